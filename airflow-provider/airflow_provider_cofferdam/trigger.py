"""Waiting for a service's run without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.log import write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Well within what the triggerer allows, and as long as a task's own end takes.
_CANCEL = 10.0


class CofferdamTrigger(BaseTrigger):
    """Follows a run's log until it ends.

    It is stored in Airflow's database and shares its process with every other trigger: it
    holds ids and a cursor, and reads the connection when it runs.
    """

    def __init__(self, *, cofferdam_conn_id: str, run: str, after: int = 0) -> None:
        super().__init__()
        self.cofferdam_conn_id = cofferdam_conn_id
        self.cofferdam_run = run
        self.after = after

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_cofferdam.trigger.CofferdamTrigger",
            {
                "cofferdam_conn_id": self.cofferdam_conn_id,
                "run": self.cofferdam_run,
                "after": self.after,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        after = self.after
        try:
            watch = await CofferdamHook(self.cofferdam_conn_id).watch(self.cofferdam_run)
            async for entry in watch.follow(after):
                # The task's lines and nothing else, so that a triggerer that starts over
                # writes the same lines in the same places. See `log.write`.
                write(entry)
                after = entry.sequence or after
        except Fault:
            # The task asks for the report itself, and says what is wrong if it has to.
            pass
        yield TriggerEvent({"run": self.cofferdam_run, "after": after})

    async def on_kill(self) -> None:
        """A user ended the task. (`cleanup` is no place for this: it is called whenever a
        triggerer stops, and the run shall outlive that.)"""
        try:
            watch = await CofferdamHook(self.cofferdam_conn_id).watch(self.cofferdam_run)
            is_over = await watch.cancel(_CANCEL)
        except Fault as fault:
            self.log.error("run %s could not be cancelled: %s", self.cofferdam_run, fault)
        else:
            words = "is cancelled and its authority revoked" if is_over else "still runs"
            self.log.info("run %s %s", self.cofferdam_run, words)
