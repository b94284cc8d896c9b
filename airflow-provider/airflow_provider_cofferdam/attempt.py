"""Which attempt of which task instance asks, and what for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_cofferdam.fault import Exit, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

_TASK = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True)
class Attempt:
    """One attempt, in Airflow's terms."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    map_index: int
    bundle: str = ""
    logical_date: str | None = None

    def document(self) -> dict[str, Any]:
        """As the service's API has it."""
        document: dict[str, Any] = {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "run_id": self.run_id,
            "try_number": self.try_number,
            "map_index": self.map_index,
        }
        if self.bundle:
            document["bundle"] = self.bundle
        if self.logical_date is not None:
            document["logical_date"] = self.logical_date
        return document

    def is_same_instance(self, other: Mapping[str, Any]) -> bool:
        """Whether a run's attempt is one of the same task instance, of whichever try."""
        return (
            other.get("dag_id") == self.dag_id
            and other.get("task_id") == self.task_id
            and other.get("run_id") == self.run_id
            and other.get("map_index", -1) == self.map_index
        )


@dataclass(frozen=True)
class Submission:
    """A run that is asked for."""

    task: str
    attempt: Attempt
    input: Any
    limits: Mapping[str, str | int] = field(default_factory=dict)
    # Names this try of this task instance, so that it is never begun twice.
    key: str = ""

    def document(self) -> dict[str, Any]:
        """As the service's API has it."""
        document = {
            "task": self.task,
            "attempt": self.attempt.document(),
            "input": self.input,
        }
        if self.limits:
            document["limits"] = dict(self.limits)
        return document


def attempt_of(context: Context) -> Attempt:
    """The attempt that this process claims to be.

    The one place where an identity comes into being, so that one that Airflow's supervisor
    vouches for can take its place.
    """
    ti: Any = context["ti"]
    bundle = getattr(getattr(ti, "bundle_instance", None), "name", None)
    date = context.get("logical_date")
    map_index = ti.map_index
    return Attempt(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=max(int(ti.try_number or 1), 1),
        map_index=-1 if map_index is None else int(map_index),
        bundle=bundle if isinstance(bundle, str) else "",
        # A run that was begun by hand may have none.
        logical_date=date.isoformat() if date is not None else None,
    )


def key_of(context: Context) -> str:
    """The same for every execution of the same try, and for nothing else."""
    ti: Any = context["ti"]
    return f"{ti.id}-{max(int(ti.try_number or 1), 1)}"


def check_task_name(task: Any) -> str:
    """A name that can be handed to the host."""
    if isinstance(task, str) and _TASK.fullmatch(task):
        return task
    raise Fault(
        f"`task` is {task!r}, which is no name of a task",
        exit=Exit.USAGE,
        hint="1 to 64 of the characters a-z, 0-9 and `-`, as `cofferdam tasks` lists them",
    )
