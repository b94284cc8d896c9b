"""A task that reads an API and signs with a key, and sees neither the API's token nor the key.

Shows one operator from the input to the result: `invoice-sync` reads the invoices of a billing
API, adds them up, signs the sum and posts it back. The grants file lets only the dag_id `billing`
run it.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_cofferdam.operator import CofferdamOperator

with DAG(
    dag_id="billing", schedule=None, tags=["cofferdam", "example"], doc_md=__doc__, catchup=False
):

    @task
    def tell(posted: dict) -> str:
        """The result is plain XCom, for whatever comes next."""
        return f"{posted['invoices']} invoices posted as {posted['receipt']}"

    sync = CofferdamOperator(
        task_id="sync",
        task="invoice-sync",
        input={"label": "{{ run_id }}"},
        # Less than the grants file allows; more would be refused.
        limits={"timeout": "30s"},
    )
    tell(sync.output)
