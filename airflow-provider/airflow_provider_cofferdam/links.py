"""The link from a task to its audit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs
from airflow.sdk import BaseOperatorLink

from airflow_provider_cofferdam.compat import conf
from airflow_provider_cofferdam.config import Config

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


@attrs.define()
class CofferdamAuditLink(BaseOperatorLink):
    """To the run in the audit, where ``audit_url`` says it can be seen; else to the XCom page
    of the task, whose entry ``cofferdam`` has the command that shows it."""

    @property
    def name(self) -> str:
        return "Cofferdam audit"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Called in the task's process once it has ended."""
        url = Config.load().audit_url
        run = getattr(operator, "cofferdam_run", None)
        if url and run and url.startswith(("https://", "http://")):
            return url.replace("{run}", quote(str(run), safe=""))
        return xcom_page(ti_key)


def xcom_page(ti_key: TaskInstanceKey) -> str:
    """The page in Airflow's UI with the task instance's XCom."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    parts = ["dags", ti_key.dag_id, "runs", ti_key.run_id, "tasks", ti_key.task_id]
    if ti_key.map_index is not None and ti_key.map_index >= 0:
        parts += ["mapped", str(ti_key.map_index)]
    return "/".join([base, *(quote(part, safe="") for part in parts), "xcom"])
