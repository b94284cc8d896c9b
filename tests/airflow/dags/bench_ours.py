"""The same nothing, and the same job, by our operator; see `bench_python.py`."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_cofferdam.operator import CofferdamOperator

STEPS = {
    "bench_service": ("probe", {"do": "echo", "value": None}, "cofferdam_default"),
    "bench_laptop": ("probe", {"do": "echo", "value": None}, "laptop"),
    "bench_call_service": (
        "caller",
        {"do": "http", "grant": "api", "path": "status/200"},
        "cofferdam_default",
    ),
    "bench_call_laptop": (
        "caller",
        {"do": "http", "grant": "api", "path": "status/200"},
        "laptop",
    ),
}

for name, (task, given, connection) in STEPS.items():
    with DAG(name, schedule=None):
        CofferdamOperator(task_id="step", task=task, input=given, cofferdam_conn_id=connection)
