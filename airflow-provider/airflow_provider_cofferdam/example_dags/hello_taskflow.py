"""A function's signature as a task's input.

Shows `@task.cofferdam`: the parameters are the input, so arguments are bound as Python binds them
and checked when the DAG is parsed; the body stays empty, since the task is a component of its own.
Results of other tasks go in, and the result goes on, as with every TaskFlow task.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

with DAG(
    dag_id="examples",
    schedule=None,
    tags=["cofferdam", "example"],
    doc_md=__doc__,
    catchup=False,
):

    @task
    def choose() -> str:
        return "Ada"

    @task.cofferdam("hello")
    def greet(name: str) -> None:
        """Whom to greet."""

    @task
    def tell(said: dict) -> str:
        return said["greeting"]

    tell(greet(choose()))
