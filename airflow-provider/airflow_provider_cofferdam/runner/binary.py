"""The binary on this machine: where it is, and what it is given."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_cofferdam.fault import Exit, Fault

if TYPE_CHECKING:
    from airflow_provider_cofferdam.attempt import Submission
    from airflow_provider_cofferdam.settings import Settings

# A worker's environment holds Airflow's own secrets; the host needs none of it.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


def find_binary(settings: Settings) -> str:
    """The binary to run.

    :raises Fault: when there is none.
    """
    if settings.binary is not None:
        found = shutil.which(settings.binary)
        if found is None:
            raise Fault(
                f"`binary` names {settings.binary}, which is no program",
                exit=Exit.USAGE,
                hint="write the path of `cofferdam` in the connection's `binary`, or take it out",
            )
        return found
    # The package cofferdam-host puts it beside the interpreter of its environment.
    beside = Path(sys.executable).parent / "cofferdam"
    if beside.is_file() and os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which("cofferdam")
    if found is None:
        raise Fault(
            "there is no `cofferdam` on this worker, and no service is named",
            exit=Exit.USAGE,
            hint='`pip install "airflow-provider-cofferdam[host]"` brings it; or name the '
            "service's socket in the connection or as `socket` under [cofferdam]",
        )
    return found


def environment(settings: Settings) -> dict[str, str]:
    """What the binary sees of this process's environment."""
    names = (*_ENVIRONMENT, *settings.environment)
    return {name: os.environ[name] for name in names if name in os.environ}


def command(settings: Settings, *arguments: str) -> list[str]:
    """A command of the binary that answers with one JSON document."""
    config = ["--config", settings.config] if settings.config else []
    return [find_binary(settings), *config, "--format", "json", *arguments]


def run_arguments(submission: Submission, lifeline: int) -> list[str]:
    """The arguments of ``cofferdam run``; the input is not among them, since everybody on the
    machine can read a process's arguments."""
    attempt = submission.attempt
    arguments = [
        "run",
        submission.task,
        "--input=-",
        "--log-format=json",
        f"--lifeline={lifeline}",
        # In one word each: an id may begin with a hyphen.
        f"--dag-id={attempt.dag_id}",
        f"--task-id={attempt.task_id}",
        f"--run-id={attempt.run_id}",
        f"--try-number={attempt.try_number}",
        f"--map-index={attempt.map_index}",
    ]
    if attempt.logical_date is not None:
        arguments.append(f"--logical-date={attempt.logical_date}")
    if attempt.bundle:
        arguments.append(f"--bundle={attempt.bundle}")
    arguments += [f"--limit={name}={value}" for name, value in submission.limits.items()]
    return arguments
