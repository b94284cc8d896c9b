"""What the benchmark compares: the same nothing, and the same job, by every operator."""

from __future__ import annotations

import os
import sys

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import (
    ExternalPythonOperator,
    PythonOperator,
    PythonVirtualenvOperator,
)
from airflow.sdk import DAG

from airflow_provider_cofferdam.operator import CofferdamOperator


def nothing() -> None:
    """Returns at once."""


def by_vault_hook() -> str:
    """Reads the secret where everybody can see it, and calls the API with it."""
    import httpx
    from airflow.providers.hashicorp.hooks.vault import VaultHook

    secret = VaultHook(vault_conn_id="vault").get_secret("api")
    headers = {"Authorization": f"Bearer {secret['token']}"}
    return httpx.get(os.environ["BENCH_API"], headers=headers).raise_for_status().text


NOTHING = {"do": "echo", "value": None}
CALL = {"do": "http", "grant": "api", "path": "status/200"}
LAPTOP = {"cofferdam_conn_id": "laptop"}
STEPS = {
    "bench_python": lambda: PythonOperator(task_id="step", python_callable=nothing),
    "bench_bash": lambda: BashOperator(task_id="step", bash_command="true"),
    "bench_external": lambda: ExternalPythonOperator(
        task_id="step", python=sys.executable, python_callable=nothing
    ),
    "bench_venv_fresh": lambda: PythonVirtualenvOperator(
        task_id="step", python_callable=nothing, system_site_packages=False
    ),
    "bench_venv_cached": lambda: PythonVirtualenvOperator(
        task_id="step",
        python_callable=nothing,
        system_site_packages=False,
        venv_cache_path=os.path.join(os.environ["AIRFLOW_HOME"], "venvs"),
    ),
    "bench_service": lambda: CofferdamOperator(task_id="step", task="probe", input=NOTHING),
    "bench_laptop": lambda: CofferdamOperator(
        task_id="step", task="probe", input=NOTHING, **LAPTOP
    ),
    "bench_hook": lambda: PythonOperator(task_id="step", python_callable=by_vault_hook),
    "bench_call_service": lambda: CofferdamOperator(task_id="step", task="caller", input=CALL),
    "bench_call_laptop": lambda: CofferdamOperator(
        task_id="step", task="caller", input=CALL, **LAPTOP
    ),
}

for name, step in STEPS.items():
    with DAG(name, schedule=None):
        step()
