"""One task for each of several inputs, at the same time.

Shows dynamic task mapping: every mapped task instance is an attempt of its own, with a run, a log
and an audit of its own.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_cofferdam.operator import CofferdamOperator

with DAG(
    dag_id="examples_mapped",
    schedule=None,
    tags=["cofferdam", "example"],
    doc_md=__doc__,
    catchup=False,
):
    CofferdamOperator.partial(task_id="greet", task="hello").expand(
        input=[{"name": "Ada"}, {"name": "Grace"}, {"name": "Katherine"}]
    )
