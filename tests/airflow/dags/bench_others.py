"""The same nothing by other operators that keep a step apart; see `bench_python.py`."""

from __future__ import annotations

import os
import sys

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import (
    ExternalPythonOperator,
    PythonVirtualenvOperator,
)
from airflow.sdk import DAG


def nothing() -> None:
    """Returns at once."""


STEPS = {
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
}

for name, step in STEPS.items():
    with DAG(name, schedule=None):
        step()
