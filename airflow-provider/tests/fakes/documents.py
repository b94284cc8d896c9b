"""Documents as the host writes them."""

from __future__ import annotations

import json

RUN = "0190a1b2-0000-7000-8000-000000000001"


def report(run=RUN, task="hello", exit=0, **members):  # noqa: A002
    kinds = {
        0: {"kind": "done"},
        7: {"kind": "done"},
        1: {"kind": "failed", "disposition": "fail", "message": "no such month"},
        75: {"kind": "failed", "disposition": "retry", "message": "the API is away"},
        99: {"kind": "failed", "disposition": "skip", "message": "nothing to do"},
        2: {"kind": "refused", "phase": "grants", "blame": "operator", "message": "no grants",
            "hint": "write them"},
        3: {"kind": "refused", "phase": "grants", "blame": "task", "message": "dag_id is not it"},
        4: {"kind": "refused", "phase": "authority", "blame": "operator", "message": "no Vault"},
        5: {"kind": "out_of_limits", "limit": "timeout"},
        6: {"kind": "trapped", "reason": "unreachable"},
        130: {"kind": "cancelled"},
    }  # fmt: skip
    document = {
        "run": run,
        "task": task,
        "outcome": kinds[exit],
        "limits": ["timeout"] if exit == 5 else [],
        "denials": [],
        "unlisted_denials": 0,
        "calls": {},
        "revocation": {"complete": exit != 7, "leases": {"revoked": 2, "left": 0}},
        "audit": {"file": "/var/lib/cofferdam/audit/1.jsonl", "head": "sha256:00", "synced": True},
        "exit": exit,
        "milliseconds": 1234,
    }
    if exit == 7:
        document["revocation"]["reason"] = "unreachable"
    if exit in (0, 7):
        document["result"] = {"greeting": "Hello, Ada!"}
    document.update(members)
    return document


def line(sequence, message="working", level="info", target="hello", time=None):
    return {
        "sequence": sequence,
        "time": time or f"2026-11-27T12:00:00.{sequence:06d}789Z",
        "level": level,
        "target": target,
        "message": message,
    }


TERMS = {"grants": ["http.billing"], "limits": {"timeout": "1m", "memory": "128MiB"}}


def task(name, input_schema=None, **members):
    """One of ``cofferdam tasks``."""
    document = {"name": name, "digest": "sha256:00", "needs": {}, "dags": ["*"]}
    if input_schema is not None:
        document |= {"input_schema": input_schema, "output_schema": True}
    return document | members


def listed(*tasks):
    """What ``cofferdam --format json tasks`` writes."""
    return json.dumps({"tasks": tasks})


TASKS = listed(
    task(
        "hello",
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"$ref": "#/$defs/Count"}},
            "required": ["name"],
            "additionalProperties": False,
            "$defs": {"Count": {"type": "integer", "minimum": 1}},
        },
    ),
    task("open", {"type": "object", "properties": {"a": {}}}),
    task("free"),
    task("one", {"type": "string"}),
)
