"""What Airflow learns of this package."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Cofferdam"
_PACKAGE = "airflow_provider_cofferdam"


def get_provider_info() -> dict[str, Any]:
    """Airflow's entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-cofferdam",
        "name": _INTEGRATION,
        "description": "Runs tasks as sandboxed components that use secrets they can never read.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
        "operators": [_modules("operator")],
        "hooks": [_modules("hook")],
        "triggers": [_modules("trigger")],
        "connection-types": [
            {
                "connection-type": "cofferdam",
                "hook-class-name": f"{_PACKAGE}.hook.CofferdamHook",
                "hook-name": _INTEGRATION,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port"],
                    "relabeling": {"host": "Service", "password": "Token"},
                    "placeholders": {
                        "host": "/run/cofferdam/cofferdam.sock, https://HOST:PORT, or empty",
                        "password": "for an https service; better a token file",
                    },
                },
                "conn-fields": {
                    "ca": _field("CA file", "PEM file with those who vouch for the service."),
                    "client_certificate": _field(
                        "Client certificate", "PEM file of the certificate to show."
                    ),
                    "client_key": _field("Client key", "PEM file of its key."),
                    "token_file": _field(
                        "Token file", "File with a token, read anew for every call."
                    ),
                    "binary": _field(
                        "Binary", "Without a service: the path of cofferdam on the worker."
                    ),
                    "config": _field(
                        "Configuration", "Without a service: the path of its cofferdam.toml."
                    ),
                    "patience": {
                        "label": "Patience",
                        "description": "Seconds to wait for a service that is away in mid-run.",
                        "schema": {"type": ["number", "null"], "minimum": 0},
                    },
                },
            }
        ],
        "task-decorators": [
            {"name": "cofferdam", "class-name": f"{_PACKAGE}.decorator.cofferdam_task"}
        ],
        "extra-links": [f"{_PACKAGE}.links.CofferdamAuditLink"],
        "config": {
            "cofferdam": {
                "description": "Where tasks run when there is no connection, and what holds for "
                "every connection.",
                "options": {
                    "socket": _option("The Unix socket of the service.", "/run/cofferdam.sock"),
                    "server": _option("The address of the service.", "https://HOST:PORT"),
                    "ca": _option(
                        "With `server`: PEM file with those who vouch for the service.",
                        "/etc/cofferdam/authority.pem",
                    ),
                    "client_certificate": _option(
                        "With `server`: PEM file of the certificate to show.",
                        "/etc/cofferdam/worker.pem",
                    ),
                    "client_key": _option(
                        "With `server`: PEM file of its key.", "/etc/cofferdam/worker.key"
                    ),
                    "token_file": _option(
                        "With `server`: file with a token, read anew for every call.",
                        "/run/cofferdam/token",
                    ),
                    "binary": _option(
                        "Without a service: the path of cofferdam on the worker.",
                        "/usr/local/bin/cofferdam",
                    ),
                    "config": _option(
                        "Without a service: the path of its configuration.",
                        "/etc/cofferdam/cofferdam.toml",
                    ),
                    "environment": _option(
                        "Names of variables of the worker's environment that the binary sees "
                        "besides PATH, HOME, LANG, LC_ALL, TZ and TMPDIR; with commas between.",
                        "SSL_CERT_FILE",
                    ),
                    "max_result_bytes": _option(
                        "The largest result that goes to XCom, as JSON.", None, "1048576", "integer"
                    ),
                    "tasks_file": _option(
                        "What `cofferdam tasks --format json` wrote: inputs are held against it "
                        "when a DAG is parsed.",
                        "/etc/cofferdam/tasks.json",
                    ),
                    "audit_url": _option(
                        "Where a run's audit can be seen; {run} stands for its id.",
                        "https://audit.example.com/runs/{run}",
                    ),
                    "patience": _option(
                        "Seconds to wait for a service that is away in mid-run.",
                        None,
                        "60",
                        "float",
                    ),
                },
            }
        },
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}"]}


def _field(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _option(
    description: str, example: str | None, default: str | None = None, kind: str = "string"
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": kind,
        "example": example,
        "default": default,
    }
