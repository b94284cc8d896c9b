"""What a run's end means to Airflow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_cofferdam.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.log import harmless

if TYPE_CHECKING:
    from airflow_provider_cofferdam.report import Report
    from airflow_provider_cofferdam.runner import Ending

# After these nothing changes when the same is tried again: bad usage, denied, trapped.
_FINAL = (Exit.USAGE, Exit.DENIED, Exit.TRAPPED)

# Nobody wanted this run to end, so another try is as good as the first.
_STOPPED = "hint: the service was stopped, and the run outlasted its `drain`"


@dataclass(frozen=True)
class Verdict:
    """What is left to do: hand the result on, raise the error, or both."""

    result: Any = None
    has_result: bool = False
    error: AirflowException | None = None


def judge(ending: Ending, *, max_result_bytes: int, is_killed: bool = False) -> Verdict:
    """The verdict on a run.

    :param is_killed: Airflow asked this very process to end the run.
    """
    report = ending.report
    if report is None:
        return Verdict(error=AirflowException(_lost(ending)))
    text = _told(report)
    if report.exit in (Exit.DONE, Exit.DONE_UNREVOKED) or _is_done_somehow(report):
        return _done(report, text, max_result_bytes)
    if report.exit == Exit.SKIPPED:
        return Verdict(error=AirflowSkipException(text))
    if report.exit == Exit.CANCELLED:
        if ending.is_stopped and not is_killed:
            return Verdict(error=AirflowException(f"{text}\n{_STOPPED}"))
        return Verdict(error=_cancelled(text, is_killed=is_killed))
    if report.exit == Exit.OUT_OF_LIMITS and report.outcome.get("limit") == "output":
        # The work is done and only its result was too large, as it will be again.
        return Verdict(error=AirflowFailException(text))
    return Verdict(error=error_of(report.exit, text))


def refused(fault: Fault) -> AirflowException:
    """A run that did not come about, or whose end is not known."""
    return error_of(fault.exit, harmless_lines(str(fault)))


def error_of(code: int, text: str) -> AirflowException:
    """The exception for an exit code: with or without a retry.

    A failed task, a retry that was asked for, a Vault that is away and a limit that bit may
    all be better the next time; so may a code that a later host brings, unless its report says
    that the work is done. The task's own ``retries`` say how often.
    """
    if code == Exit.SKIPPED:
        return AirflowSkipException(text)
    if code in _FINAL:
        return AirflowFailException(text)
    if code == Exit.CANCELLED:
        return _cancelled(text, is_killed=True)
    return AirflowException(text)


def harmless_lines(text: str) -> str:
    """Text of several lines, of which none can fold Airflow's log."""
    return "\n".join(harmless(line) for line in text.split("\n"))


def _cancelled(text: str, *, is_killed: bool) -> AirflowException:
    """The end of a cancelled run.

    Airflow asked for it: a user ended the task, and its state is settled whatever we raise; or
    the worker shuts down, and the task should be tried elsewhere, as often as its ``retries``
    say. An ordinary failure is right for both.

    Somebody else asked for it, at the host: an operator, or a reload that took the caller's
    right away. Trying again would begin it against their will: no retry. Airflow 3.2 has
    `AirflowTaskTerminated` for ended tasks; it is the supervisor's own, passes by every
    `except Exception` of a DAG author, and is not there in 3.1, so it is not used.
    """
    if is_killed:
        return AirflowException(text)
    return AirflowFailException(f"{text}\nhint: somebody cancelled it at the host; no retry")


# What Airflow's deserialisation takes for an object of its own, in the form of today and of old.
_OBJECTS = frozenset(
    {"__classname__", "__version__", "__data__", "__id__", "__type", "__var", "__source"}
)
# Far from where Python's own recursion ends.
_DEEPEST = 200


def _unfit(result: Any) -> str | None:
    """Why a result cannot be an XCom: the task chose every byte of it, and whoever pulls it
    must get the data that it is."""
    level = [result]
    for _ in range(_DEEPEST):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if not _OBJECTS.isdisjoint(value):
                    return "holds a field that Airflow would make an object of"
                deeper += value.values()
                deeper += value.keys()
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, float) and not math.isfinite(value):
                return "holds a number that JSON does not have"
            elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
                return "holds text that is no Unicode"
        if not deeper:
            return None
        level = deeper
    return f"is nested deeper than {_DEEPEST} levels"


def _is_done_somehow(report: Report) -> bool:
    """Whether the work is done and the exit code is one that only a later host has."""
    return report.kind == "done" and report.exit not in set(Exit)


def _done(report: Report, text: str, most: int) -> Verdict:
    unfit = _unfit(report.result)
    if unfit is not None:
        return Verdict(
            error=AirflowFailException(
                f"the result of run {report.run} {unfit}\nhint: the work is done, so there is no "
                "retry; let the task return plain data"
            )
        )
    size = len(json.dumps(report.result, ensure_ascii=False, separators=(",", ":")).encode())
    is_small = size <= most
    problems = []
    if report.exit == Exit.DONE_UNREVOKED:
        is_revoked = report.revocation is None or report.revocation.get("complete")
        left = (
            "its audit could not be written to its end: let the operator look at the host's log"
            if is_revoked
            else "a credential may live: let the operator run `cofferdam sweep`"
        )
        problems.append(f"{text}\nhint: the work is done, so there is no retry, but {left}")
    if _is_done_somehow(report):
        problems.append(
            f"{text}\nexit code {report.exit} is none that this provider knows: it is older than "
            "the host\nhint: the work is done, so there is no retry; the audit says what else "
            "there is to say; bring the provider to the host's version"
        )
    if not is_small:
        problems.append(
            f"the result of run {report.run} has {size} bytes, and `max_result_bytes` allows "
            f"{most}\nhint: the work is done, so there is no retry; let the task store its data "
            "and return a reference to it, or raise `max_result_bytes` of the operator or under "
            "[cofferdam]"
        )
    error = AirflowFailException("\n".join(problems)) if problems else None
    return Verdict(result=report.result if is_small else None, has_result=is_small, error=error)


def _told(report: Report) -> str:
    lines = [f"task `{report.task}` {report.ending()}", *report.remarks()]
    if report.revocation is not None and not report.revocation.get("complete"):
        lines.append(report.revoked())
    lines.append(f"run {report.run}; `{report.show}` shows its audit")
    return harmless_lines("\n".join(lines))


def _lost(ending: Ending) -> str:
    what = f"run {ending.run} was lost: the service died while it was under way"
    if ending.is_swept:
        return f"{what}; nobody knows how far it got, and its credentials are revoked"
    return (
        f"{what}; nobody knows how far it got, and a credential of it may live\n"
        "hint: let the operator run `cofferdam sweep`"
    )
