"""A task that asks to be tried again.

Shows retries: `second-try` tells "not yet" from "never". Airflow's `retries` and `retry_delay` say
how often and how soon; each try is an attempt of its own, with an authority of its own. What no
retry can cure, as a denied call, fails at once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_cofferdam.operator import CofferdamOperator

with DAG(
    dag_id="examples_retry",
    schedule=None,
    tags=["cofferdam", "example"],
    doc_md=__doc__,
    catchup=False,
):
    CofferdamOperator(
        task_id="wait_for_it",
        task="second-try",
        input={"succeed_on": 2},
        retries=3,
        retry_delay=timedelta(seconds=2),
    )
