"""Connections to Cofferdam: a service, or the binary on this machine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_cofferdam.compat import AirflowNotFoundException
from airflow_provider_cofferdam.config import Config
from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.log import harmless
from airflow_provider_cofferdam.runner import LocalRunner, Runner, ServiceRunner
from airflow_provider_cofferdam.runner.binary import command, environment
from airflow_provider_cofferdam.runner.watch import Watch
from airflow_provider_cofferdam.runner.wire import Passing, Place
from airflow_provider_cofferdam.settings import Settings

if TYPE_CHECKING:
    import httpx

# The doctor bounds itself at 60 s and revokes for 10 s more.
_DOCTOR = 90.0


class CofferdamHook(BaseHook):
    """Where tasks run.

    :param cofferdam_conn_id: the connection. When it is the default one and does not exist,
        the section ``[cofferdam]`` of Airflow's configuration decides.
    """

    conn_name_attr = "cofferdam_conn_id"
    default_conn_name = "cofferdam_default"
    conn_type = "cofferdam"
    hook_name = "Cofferdam"

    def __init__(self, cofferdam_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.cofferdam_conn_id = cofferdam_conn_id

    def get_conn(self) -> Runner:
        """What carries one run."""
        return self.runner()

    def runner(self) -> Runner:
        """What carries one run.

        :raises Fault: when the connection or the configuration cannot be used.
        """
        settings = self.settings()
        return ServiceRunner(settings) if settings.is_service else LocalRunner(settings)

    def settings(self) -> Settings:
        """What the connection says, or else the configuration."""
        config = Config.load()
        try:
            connection = self.get_connection(self.cofferdam_conn_id)
        except AirflowNotFoundException:
            if self.cofferdam_conn_id != self.default_conn_name:
                raise
            return Settings.of_config(config)
        return Settings.of_connection(connection, config)

    async def watch(self, run: str) -> Watch:
        """What follows a run in the triggerer.

        :raises Fault: when the triggerer knows of no service.
        """
        config = Config.load()
        try:
            connection = await self.aget_connection(self.cofferdam_conn_id)
        except AirflowNotFoundException:
            # One that is named may lead elsewhere than the configuration does.
            is_default = self.cofferdam_conn_id == self.default_conn_name
            settings = Settings.of_config(config) if is_default else None
        else:
            settings = Settings.of_connection(connection, config)
        if settings is None or not settings.is_service:
            # What only the workers have: an `AIRFLOW_CONN_…` of their environment.
            raise Fault(
                f"the triggerer finds no service in the connection `{self.cofferdam_conn_id}`",
                exit=Exit.USAGE,
                hint="the triggerer needs the connection, or [cofferdam], that the workers have",
            )
        return Watch(settings, run)

    def test_connection(self) -> tuple[bool, str]:
        """Whether tasks can run there, in words for the connections page."""
        try:
            settings = self.settings()
            return _ask_service(settings) if settings.is_service else _ask_doctor(settings)
        except Fault as fault:
            return False, str(fault)
        except Passing as passing:
            return False, str(passing.fault)


def _ask_service(settings: Settings) -> tuple[bool, str]:
    place = Place(settings)
    with place.client() as client:
        version = place.document(_get(place, client, "/v1/version"))
        answer = _get(place, client, "/v1/health/ready")
    # A service that is not ready says why, with another status.
    ready = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if not isinstance(ready, dict) or "ready" not in ready:
        ready = place.document(answer)
    name = f"{version.get('name', 'cofferdam')} {version.get('version', '?')} at {place.name}"
    if ready.get("ready") is True:
        return True, f"{name} takes runs"
    checks = [check for check in ready.get("checks") or () if not check.get("ok")]
    wrong = "; ".join(f"{check.get('name')}: {check.get('problem')}" for check in checks)
    return False, f"{name} takes no runs: {wrong or 'it does not say why'}"


def _get(place: Place, client: httpx.Client, path: str) -> httpx.Response:
    import httpx

    try:
        return client.get(path)
    except httpx.TransportError as error:
        raise place.passing(error, is_sent=False) from None


def _ask_doctor(settings: Settings) -> tuple[bool, str]:
    argv = command(settings, "doctor")
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(settings),
            timeout=_DOCTOR,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"`{argv[0]} doctor` did not end within {_DOCTOR:.0f} s"
    except OSError as error:
        return False, f"`{argv[0]}` cannot be run: {error.strerror}"
    try:
        document: Any = json.loads(done.stdout)
        if "error" in document:
            told = document["error"]
            words = [told["message"], *(told.get("causes") or ())]
            hint = f"\nhint: {told['hint']}" if told.get("hint") else ""
            return False, harmless(": ".join(words)) + hint
        counts = document["counts"]
        summary = ", ".join(f"{counts[state]} {state.replace('_', ' ')}" for state in counts)
        faults = [check for check in document["checks"] if check["state"] == "fault"]
        wrong = "".join(
            f"\n{check['where']}: {check['what']} (cure: {check.get('cure')})" for check in faults
        )
    except (KeyError, TypeError, ValueError):
        return False, f"`{argv[0]} doctor` ended with {done.returncode} and without its document"
    return done.returncode == 0, f"cofferdam doctor: {summary}{wrong}"
