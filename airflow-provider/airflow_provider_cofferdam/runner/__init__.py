"""What carries a run: the service, or the binary on this machine."""

from __future__ import annotations

from airflow_provider_cofferdam.runner.contract import Begun, Ending, Runner, UnderWay
from airflow_provider_cofferdam.runner.local import LocalRunner
from airflow_provider_cofferdam.runner.service import ServiceRunner

__all__ = ["Begun", "Ending", "LocalRunner", "Runner", "ServiceRunner", "UnderWay"]
