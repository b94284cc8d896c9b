"""The same nothing in a fresh virtual environment that uv makes, with pip from the index or, as
mostly, from uv's cache; see `bench_python.py`."""

from __future__ import annotations

import os
import sys

from airflow.providers.standard.operators.python import PythonVirtualenvOperator
from airflow.sdk import DAG

# For the process that imports this file alone: the others keep pip.
os.environ["AIRFLOW__STANDARD__VENV_INSTALL_METHOD"] = "uv"
# Last, or its own interpreter would be taken.
os.environ["PATH"] = f"{os.environ['PATH']}:{os.environ['BENCH_UV']}"
# The machine may have authorities of its own.
os.environ["UV_SYSTEM_CERTS"] = "1"


def nothing() -> None:
    """Returns at once."""


with DAG("bench_venv_uv", schedule=None):
    PythonVirtualenvOperator(
        task_id="step",
        python_callable=nothing,
        system_site_packages=False,
        # uv takes no interpreter of a virtual environment, as Airflow's own is.
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
    )
