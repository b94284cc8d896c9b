"""Why a run did not come about, or its end is not known."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of ``cofferdam run``; reports and problems carry them too."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    UNAVAILABLE = 4
    OUT_OF_LIMITS = 5
    TRAPPED = 6
    DONE_UNREVOKED = 7
    RETRY = 75
    SKIPPED = 99
    CANCELLED = 130


class Fault(Exception):
    """A run that was refused, or whose end nobody can tell us.

    ``exit`` says what that means for the task, as a report's exit does. The text holds
    neither a token nor anything of a request's headers.
    """

    def __init__(self, message: str, *, exit: int, hint: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.exit = exit
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def unanswered(self) -> Fault:
        """The same of a submission that was sent and not answered: 4 would say that nothing was
        begun."""
        return Fault(
            f"whether the run was begun is not known: {self.message}",
            exit=self.exit if self.exit == Exit.CANCELLED else Exit.RETRY,
            hint=self.hint,
        )

    def after_begin(self, run: str) -> Fault:
        """The same of a run that was begun.

        2, 3 and 4 only ever say that nothing was started. Once there is a run, all that a
        failed call can mean is that its end is not known; that is 75.
        """
        return Fault(
            f"what became of run {run} is not known: {self.message}",
            exit=Exit.RETRY,
            hint=self.hint,
        )
