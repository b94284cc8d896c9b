"""The log of a task, and how it comes into Airflow's."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# No line of ours begins like this, so a task cannot pass its words off as the host's.
MARK = "> "

# How many lines the task may be ahead of Airflow's log.
_LINES_AHEAD = 1000
_PAUSE = 0.01
# What is left of them when the task is interrupted, in seconds.
_LAST_LINES = 1.0

_METHODS = {"trace": "debug", "debug": "debug", "warn": "warning", "error": "error"}
_GROUP = re.compile(r"::(?=(end)?group::)", re.IGNORECASE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


@dataclass(frozen=True)
class LogEntry:
    """One line: of the task, scrubbed by the host, or the host's own."""

    level: str
    target: str
    message: str
    time: str | None = None
    # Counted from 1 without gaps; the host's own lines have none.
    sequence: int | None = None
    origin: Literal["task", "host"] = "task"

    @classmethod
    def parse(cls, document: Any) -> LogEntry:
        """A task's line as the service and the binary write it.

        :raises ValueError: when it is none.
        """
        try:
            sequence = document["sequence"]
            if not isinstance(sequence, int) or sequence < 1:
                raise TypeError
            return cls.of(document, origin="task", sequence=sequence)
        except (KeyError, TypeError):
            raise ValueError("this is no line of a log") from None

    @classmethod
    def of(
        cls,
        document: Mapping[str, Any],
        *,
        origin: Literal["task", "host"],
        sequence: int | None = None,
    ) -> LogEntry:
        """A line of either origin."""
        return cls(
            level=str(document["level"]),
            target=str(document["target"]),
            message=str(document["message"]),
            time=document.get("time"),
            sequence=sequence,
            origin=origin,
        )


def harmless(text: str) -> str:
    """Text that opens and closes no fold in Airflow's log view, which looks for the marks
    anywhere in a line, and that stays on its line."""
    text = _GROUP.sub(r":\\:", text)
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in text)


def write(entry: LogEntry) -> None:
    """Writes a line to Airflow's log, with its own level and its own time.

    What is written depends on the line alone. Airflow's log reader orders the lines of all
    files of a try by time and place and drops one that equals its neighbour: a triggerer that
    comes back and reads the log again from the same cursor leaves no line twice.
    """
    # Bound at each call: a logger that was bound before Airflow set logging up keeps the
    # settings of then.
    logger = structlog.get_logger(logger_name=f"cofferdam.{entry.origin}")
    method = getattr(logger, _METHODS.get(entry.level, "info"))
    # Not `target`: Airflow's supervisor hands the fields on beside an argument of that name.
    fields: dict[str, Any] = {"module": harmless(entry.target)}
    if entry.sequence is not None:
        # Two lines of the same text in the same microsecond are still two.
        fields["sequence"] = entry.sequence
    stamp = _timestamp(entry.time)
    if stamp is not None:
        # Airflow stamps only lines that have no time.
        fields["timestamp"] = stamp
    mark = MARK if entry.origin == "task" else ""
    method(mark + harmless(entry.message), **fields)


@contextmanager
def writer() -> Iterator[Callable[[LogEntry], None]]:
    """Writes lines from a thread of its own, all of them before it ends well.

    Airflow's ``execution_timeout`` is a signal whose handler writes a line itself. In the middle
    of a line of ours, in the main thread, it would wait for the logger's lock for ever: the one
    who holds it is the one who waits.
    """
    # Its methods are whole, whatever a signal's handler raises; those of `Queue` can leave a
    # lock behind.
    lines: SimpleQueue[LogEntry | None] = SimpleQueue()
    faults: list[Exception] = []

    def work() -> None:
        while (entry := lines.get()) is not None:
            try:
                write(entry)
            except Exception as fault:  # noqa: BLE001 - told where the lines come from
                # Whoever hands lines over must not wait for one who is gone.
                faults[:] = faults or [fault]

    def put(entry: LogEntry) -> None:
        while lines.qsize() > _LINES_AHEAD:
            time.sleep(_PAUSE)
        lines.put(entry)

    thread = Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    try:
        yield put
    except BaseException:
        # Whoever is interrupted has a run to cancel, and does not wait for a log that stands.
        lines.put(None)
        thread.join(_LAST_LINES)
        raise
    lines.put(None)
    thread.join()
    if faults:
        raise faults[0]


def _timestamp(told: Any) -> str | None:
    """As Airflow writes it; none when it is no time, which Airflow's supervisor would not
    survive."""
    match = _TIME.fullmatch(told) if isinstance(told, str) else None
    if match is None:
        return None
    text = f"{match[1]}.{(match[2] or '').ljust(6, '0')[:6]}"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return text + "Z"
