"""Work beside the main thread, for signal handlers."""

from __future__ import annotations

import _thread
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 0.01


def within(seconds: float, work: Callable[[], bool]) -> bool:
    """Does the work in a thread of its own and waits for it, at most so long.

    Airflow calls ``on_kill`` from a signal handler, in the middle of whatever the main thread
    does: it may hold the lock of a connection pool, of a logger's file, or of ``threading``
    itself. Nothing here takes a lock that it could hold: a raw thread, and a flag that is
    polled. A thread that has to wait for such a lock goes on once the handler has returned.
    """
    answers: list[bool] = []

    def run() -> None:
        answer = False
        try:
            answer = work()
        finally:
            answers.append(answer)

    until = time.monotonic() + seconds
    _thread.start_new_thread(run, ())
    while not answers and time.monotonic() < until:
        time.sleep(_PAUSE)
    return bool(answers) and answers[0]
