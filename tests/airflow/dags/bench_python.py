"""What the benchmark holds ours against. Nothing else is imported here: every task's process
imports its DAG file, and that is a part of what it takes."""

from __future__ import annotations

import os

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def nothing() -> None:
    """Returns at once."""


def by_vault_hook() -> str:
    """Reads the secret where everybody can see it, and calls the API with it."""
    import httpx
    from airflow.providers.hashicorp.hooks.vault import VaultHook

    secret = VaultHook(vault_conn_id="vault").get_secret("api")
    headers = {"Authorization": f"Bearer {secret['token']}"}
    return httpx.get(os.environ["BENCH_API"], headers=headers).raise_for_status().text


for name, call in {"bench_python": nothing, "bench_hook": by_vault_hook}.items():
    with DAG(name, schedule=None):
        PythonOperator(task_id="step", python_callable=call)
