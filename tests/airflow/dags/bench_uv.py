"""The virtual environments of the benchmark, made by uv.

Airflow chooses between pip and uv by a setting of the whole deployment, so these stand in a file of
their own, which changes it for the processes that run its tasks.
"""

from __future__ import annotations

import os
import sys

os.environ["AIRFLOW__STANDARD__VENV_INSTALL_METHOD"] = "uv"

from airflow.providers.standard.operators.python import PythonVirtualenvOperator  # noqa: E402
from airflow.sdk import DAG  # noqa: E402


def nothing() -> None:
    """Returns at once."""


with DAG("bench_venv_uv", schedule=None):
    PythonVirtualenvOperator(
        task_id="step",
        python_callable=nothing,
        system_site_packages=False,
        # Without it uv looks for a program `python`, which not every machine has.
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    )
