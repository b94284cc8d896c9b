"""What operator and trigger need of whatever carries a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_cofferdam.attempt import Attempt, Submission
    from airflow_provider_cofferdam.log import LogEntry
    from airflow_provider_cofferdam.report import Report


@dataclass(frozen=True)
class Begun:
    """A run that was begun, or found again."""

    run: str
    # The grants that it uses and the limits in effect; none from a host that does not tell.
    terms: Mapping[str, Any] | None = None
    # This try began it earlier, in a process that is gone.
    is_replayed: bool = False


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    run: str
    # None for a run that was lost with its service.
    report: Report | None = None
    is_swept: bool = False
    # The service itself cancelled it, since it was stopped.
    is_stopped: bool = False


@dataclass(frozen=True)
class UnderWay:
    """A run of the same task instance that is not over."""

    run: str
    try_number: int


class Runner(Protocol):
    """Carries one run. Every method but ``cancel`` may raise :class:`Fault`."""

    # Whether a run goes on without the process that began it.
    is_service: bool
    # Where the run is carried, for people.
    place: str

    def unfinished(self, attempt: Attempt) -> list[UnderWay]:
        """The runs of this task instance that are not over, of whichever try."""

    def begin(self, submission: Submission) -> Begun:
        """Begins the run, or finds the one that bears the submission's key."""

    def follow(self, run: str, after: int = 0) -> Iterator[LogEntry]:
        """The log's lines after this one, as they are written, until there are no more."""

    def end(self, run: str) -> Ending:
        """Waits for the end."""

    def cancel(self, run: str | None, seconds: float) -> bool:
        """Cancels the run and waits at most so long until its authority is revoked; whether
        it is. Without a run: the one that ``begin`` is about.

        Can be called from a signal handler in the middle of any other method, and again.
        Raises nothing.
        """

    def cancel_other(self, run: str, seconds: float) -> bool:
        """The same for a run of an earlier try; this runner goes on."""

    def close(self) -> None:
        """Lets go of everything. A binary that still runs is cancelled by that."""
