"""DAGs of the tests: what runs comes with the trigger's conf.

Each stands here twice: as it is for the service, and `…_laptop` for the local binary.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_cofferdam.operator import CofferdamOperator

TASK = "{{ dag_run.conf['task'] }}"
INPUT = "{{ dag_run.conf['input'] }}"
LIMITS = "{{ dag_run.conf.get('limits') }}"


def step(name: str, **arguments) -> None:
    """A DAG of one task."""
    arguments = {"task": TASK, "input": INPUT, "limits": LIMITS, **arguments}
    with DAG(name, schedule=None, render_template_as_native_obj=True):
        CofferdamOperator(task_id="step", **arguments)


def mapped(name: str, **arguments) -> None:
    """A DAG of twenty tasks that are one: each uses the secret, and waits until it may go on."""
    call = {"do": "http", "grant": "api", "path": "held"}
    inputs = [{**call, "then": {"do": "echo", "value": number}} for number in range(20)]
    with DAG(name, schedule=None):
        steps = CofferdamOperator.partial(task_id="step", task="caller", **arguments)
        steps.expand(input=inputs)


retry = {"retries": 1, "retry_delay": timedelta(seconds=1)}
for suffix, connection in (("", "cofferdam_default"), ("_laptop", "laptop")):
    common = {"cofferdam_conn_id": connection}
    step("tests" + suffix, **common)
    step("tests_retry" + suffix, **common, **retry)
    step("tests_timeout" + suffix, **common, execution_timeout=timedelta(seconds=3))
    step("tests_denied" + suffix, **common, **retry)
    mapped("tests_mapped" + suffix, **common)

step("tests_deferred", deferrable=True)
step("tests_deferred_timeout", deferrable=True, execution_timeout=timedelta(seconds=3))

# Over TCP: those who are known there, and two who are not.
for connection in ("certificate", "bearer", "nobody", "forger"):
    step("tests_" + connection, cofferdam_conn_id=connection, **retry)
step("tests_certificate_deferred", cofferdam_conn_id="certificate", deferrable=True)

with DAG("tests_thief", schedule=None):

    @task
    def steal() -> dict[str, str]:
        """Tries to read what makes the service what it is."""
        import os

        tried = {}
        for path in os.environ["THIEF_WANTS"].split(":"):
            try:
                with open(path, "rb") as file:
                    tried[path] = f"read {len(file.read())} bytes"
            except OSError as error:
                tried[path] = type(error).__name__
        return tried

    steal()
