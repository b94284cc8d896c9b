"""What Airflow learns of the package, and the link."""

import json
from importlib import import_module
from importlib.metadata import distribution, entry_points
from pathlib import Path
from types import SimpleNamespace

import airflow
import jsonschema
import pytest

import airflow_provider_cofferdam
from airflow_provider_cofferdam.links import CofferdamAuditLink
from airflow_provider_cofferdam.provider_info import get_provider_info

INFO = get_provider_info()

pytestmark = pytest.mark.every_airflow


def schema(name):
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def test_it_fits_airflows_schema():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "hooks": "one"}, schema("provider_info.schema.json"))


def test_the_connections_fields_fit_the_schema_of_provider_files():
    file = Path(airflow.__file__).parent / "provider.yaml.schema.json"
    if not file.exists():
        pytest.skip("this Airflow has no schema for them")
    whole = json.loads(file.read_text())
    of_types = whole["properties"]["connection-types"]
    if "conn-fields" not in json.dumps(of_types):
        pytest.skip("this Airflow knows no fields")
    jsonschema.validate(
        INFO["connection-types"], {**of_types, "definitions": whole.get("definitions", {})}
    )


def test_airflow_finds_it_by_its_entry_point():
    (entry,) = [
        one
        for one in entry_points(group="apache_airflow_provider")
        if one.value.startswith("airflow_provider_cofferdam")
    ]
    assert entry.load()() == INFO
    found = distribution(INFO["package-name"])
    assert found.version == airflow_provider_cofferdam.__version__


def test_the_binary_comes_in_the_same_version():
    wanted = [one for one in distribution("airflow-provider-cofferdam").requires if "host" in one]
    (only,) = wanted
    version = airflow_provider_cofferdam.__version__
    assert only.replace('"', "'") == f"cofferdam-host=={version}; extra == 'host'"


def names():
    yield INFO["connection-types"][0]["hook-class-name"]
    yield INFO["task-decorators"][0]["class-name"]
    yield from INFO["extra-links"]


@pytest.mark.parametrize("path", names())
def test_every_name_is_there(path):
    module, name = path.rsplit(".", 1)
    assert getattr(import_module(module), name)


def test_every_module_is_there():
    for kind in ("operators", "hooks", "triggers"):
        for module in INFO[kind][0]["python-modules"]:
            import_module(module)


def test_the_hook_is_what_is_told():
    from airflow_provider_cofferdam.hook import CofferdamHook

    told = INFO["connection-types"][0]
    assert CofferdamHook.conn_type == told["connection-type"]
    assert CofferdamHook.hook_name == told["hook-name"]


def test_every_option_is_read_and_told(configured):
    from dataclasses import fields

    from airflow_provider_cofferdam.config import Config

    assert {one.name for one in fields(Config)} == set(INFO["config"]["cofferdam"]["options"])
    defaults = {one.name: one.default for one in fields(Config)}
    for name, option in INFO["config"]["cofferdam"]["options"].items():
        if option["default"] is not None:
            assert float(option["default"]) == defaults[name]
    configured(socket="/s", max_result_bytes="12", environment="A,B", audit_url="https://x/{run}")
    config = Config.load()
    assert config.socket == "/s"
    assert config.max_result_bytes == 12
    assert config.environment == ("A", "B")


def test_airflow_itself_takes_it():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-provider-cofferdam" in manager.providers
    hook = manager.hooks["cofferdam"]
    assert hook.hook_class_name == "airflow_provider_cofferdam.hook.CofferdamHook"
    assert "airflow_provider_cofferdam.links.CofferdamAuditLink" in manager.extra_links_class_names
    assert "cofferdam" in manager.taskflow_decorators


def instance(**members):
    return SimpleNamespace(
        **{"dag_id": "a b", "run_id": "manual__2026+00:00", "task_id": "t", "map_index": -1,
           **members}
    )  # fmt: skip


def test_the_link_leads_to_the_audit(configured):
    configured(audit_url="https://audit.example.com/runs/{run}?x=1")
    link = CofferdamAuditLink()
    assert link.name == "Cofferdam audit"
    operator = SimpleNamespace(cofferdam_run="0190-run")
    assert link.get_link(operator, ti_key=instance()) == (
        "https://audit.example.com/runs/0190-run?x=1"
    )


@pytest.mark.parametrize("url", [None, "javascript:alert(1)//{run}"])
def test_else_it_leads_to_the_xcom_of_the_task(configured, url):
    if url:
        configured(audit_url=url)
    operator = SimpleNamespace(cofferdam_run="0190-run")
    page = "http://127.0.0.1:8080/dags/a%20b/runs/manual__2026%2B00%3A00/tasks/t"
    link = CofferdamAuditLink()
    assert link.get_link(operator, ti_key=instance()) == f"{page}/xcom"
    assert link.get_link(operator, ti_key=instance(map_index=2)) == f"{page}/mapped/2/xcom"


def test_before_there_is_a_run_it_leads_to_the_xcom(configured):
    configured(audit_url="https://audit.example.com/runs/{run}")
    link = CofferdamAuditLink()
    assert link.get_link(SimpleNamespace(cofferdam_run=None), ti_key=instance()).endswith("/xcom")
