"""Runs that the binary on this machine carries, as a child of the task's process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any
from weakref import WeakSet

from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.log import LogEntry, harmless
from airflow_provider_cofferdam.report import Report
from airflow_provider_cofferdam.runner.binary import command, environment, run_arguments
from airflow_provider_cofferdam.runner.contract import Begun, Ending, UnderWay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_cofferdam.attempt import Attempt, Submission
    from airflow_provider_cofferdam.settings import Settings

_PAUSE = 0.01

# Every lifeline of this process.
_LIFELINES: WeakSet[IO[bytes]] = WeakSet()


def _forget_lifelines() -> None:
    """A child that DAG code forks, and that outlives us, would keep the binary's run alive."""
    for lifeline in list(_LIFELINES):
        with contextlib.suppress(OSError):
            lifeline.close()


os.register_at_fork(after_in_child=_forget_lifelines)


class LocalRunner:
    """One process of the binary.

    It is told to cancel by SIGTERM, and cancels by itself when the lifeline closes: a pipe
    whose other end only this process holds. So a task that is killed outright leaves no
    credential alive either.
    """

    is_service = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._command = command(settings)
        self._process: _Process | None = None
        self._is_cancelled = False
        self.place = f"the binary {self._command[0]}"

    def unfinished(self, attempt: Attempt) -> list[UnderWay]:
        # Whatever an earlier try's process ran died with it.
        return []

    def begin(self, submission: Submission) -> Begun:
        if self._is_cancelled:
            raise Fault("cancelled before it was begun", exit=Exit.CANCELLED)
        process = self._process = _Process()
        try:
            process.start(self._command, submission, environment(self._settings))
        except ValueError as error:
            # A NUL, or text that is no Unicode, in the input or in an argument.
            raise Fault(
                f"this cannot be handed to {self.place}: {error}", exit=Exit.USAGE
            ) from None
        except OSError as error:
            raise Fault(
                f"{self.place} cannot be run: {error.strerror}",
                exit=Exit.USAGE,
                hint="check that this user may run it",
            ) from None
        if self._is_cancelled:
            process.terminate()
        begun = process.begun()
        if begun is not None:
            return begun
        # It ended without a beginning: a report says so, or an error does.
        ending = process.ending()
        return Begun(run=ending.run)

    def follow(self, run: str, after: int = 0) -> Iterator[LogEntry]:
        if self._process is not None:
            yield from self._process.lines()

    def end(self, run: str) -> Ending:
        if self._process is None:
            raise Fault(f"run {run} is not one of this process", exit=Exit.RETRY)
        return self._process.ending()

    def cancel(self, run: str | None, seconds: float) -> bool:
        self._is_cancelled = True
        process = self._process
        if process is None:
            return True
        until = time.monotonic() + seconds
        process.terminate()
        # Polled: a lock could be held by what the signal interrupted. Never SIGKILL: what is
        # killed cannot revoke.
        while not process.is_over and time.monotonic() < until:
            time.sleep(_PAUSE)
        return process.is_over

    def cancel_other(self, run: str, seconds: float) -> bool:
        return True

    def close(self) -> None:
        if self._process is not None:
            self._process.let_go()


class _Process:
    """The child, with a thread for each of its streams."""

    def __init__(self) -> None:
        self.is_over = False
        self._lifeline: IO[bytes] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._lines: SimpleQueue[LogEntry | Begun | None] = SimpleQueue()
        # What came before the beginning.
        self._early: list[LogEntry] = []
        self._is_read = False
        self._output = b""
        self._ended = threading.Event()

    def start(self, argv: list[str], submission: Submission, env: dict[str, str]) -> None:
        # NaN is no JSON; what is checked before never has it.
        text = json.dumps(submission.input, allow_nan=False, ensure_ascii=False).encode()
        theirs, ours = os.pipe()
        # A file closes when nobody holds it any more, however that comes about.
        self._lifeline = os.fdopen(ours, "wb", buffering=0)
        _LIFELINES.add(self._lifeline)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a list, no shell
                [*argv, *run_arguments(submission, theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                # A Ctrl-C at a terminal, or a signal to Airflow's group, is not for it.
                start_new_session=True,
                # The other end is closed in the child by exec.
                pass_fds=(theirs,),
            )
        finally:
            os.close(theirs)
        for work in (lambda: self._feed(text), self._read_output, self._read_log):
            threading.Thread(target=work, daemon=True).start()

    def begun(self) -> Begun | None:
        """Waits for the beginning; none when it ended before."""
        while True:
            item = self._lines.get()
            if isinstance(item, Begun):
                return item
            if item is None:
                self._is_read = True
                return None
            self._early.append(item)

    def lines(self) -> Iterator[LogEntry]:
        while self._early:
            yield self._early.pop(0)
        while not self._is_read:
            item = self._lines.get()
            if item is None:
                self._is_read = True
            elif isinstance(item, LogEntry):
                yield item

    def ending(self) -> Ending:
        """Waits for the end, and reads what the binary left.

        :raises Fault: when it left no report.
        """
        self._ended.wait()
        self.let_go()
        code = self._child.returncode if self._child is not None else None
        try:
            document = json.loads(self._output)
        except RecursionError:
            # A result that is nested without end. The work is done, so no retry.
            raise Fault(
                "the report is nested too deep to be read; the task ran to its end",
                exit=Exit.TRAPPED,
                hint="let the task return plain data",
            ) from None
        except ValueError:
            document = None
        if isinstance(document, dict) and "outcome" in document:
            with contextlib.suppress(ValueError):
                report = Report.parse(document)
                return Ending(run=report.run, report=report)
        if isinstance(document, dict) and isinstance(document.get("error"), dict):
            raise _error(document)
        raise _no_document(code, self._early)

    def terminate(self) -> None:
        """Asks it to cancel. Once is enough, and twice does no harm."""
        child = self._child
        if child is None:
            # Interrupted while it was being started.
            self.let_go()
        elif not self.is_over:
            with contextlib.suppress(OSError):
                child.send_signal(signal.SIGTERM)

    def let_go(self) -> None:
        if self._lifeline is not None:
            with contextlib.suppress(OSError):
                self._lifeline.close()

    def _feed(self, text: bytes) -> None:
        # In a thread: it may write before it has read all of it.
        stream = self._stream("stdin")
        with contextlib.suppress(OSError):
            stream.write(text)
        with contextlib.suppress(OSError):
            stream.close()

    def _read_output(self) -> None:
        try:
            self._output = self._stream("stdout").read()
        finally:
            if self._child is not None:
                self._child.wait()
            self.is_over = True
            self._ended.set()

    def _read_log(self) -> None:
        try:
            for line in self._stream("stderr"):
                item = _read(line)
                if item is not None:
                    self._lines.put(item)
        finally:
            self._lines.put(None)

    def _stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = getattr(self._child, name)
        return stream


def _read(line: bytes) -> LogEntry | Begun | None:
    """A line of the binary's log. One that is none, as of a crash, is told as it is."""
    text = line.decode(errors="replace").rstrip("\r\n")
    if not text.strip():
        return None
    try:
        document: Any = json.loads(text)
        event = document["event"]
        if event == "started":
            return Begun(run=str(document["run"]), terms=document.get("terms"))
        if event == "line":
            return LogEntry.parse(document)
        if event == "note":
            return LogEntry.of(document, origin="host")
        # A later binary may say more.
        return None  # noqa: TRY300
    except (KeyError, TypeError, ValueError):
        return LogEntry(level="error", target="stderr", message=text, origin="host")


def _error(document: dict[str, Any]) -> Fault:
    error = document["error"]
    causes = [str(cause) for cause in error.get("causes") or ()]
    code = document.get("exit")
    return Fault(
        harmless(": ".join([str(error.get("message")), *causes])),
        exit=code if isinstance(code, int) and code != Exit.DONE else Exit.USAGE,
        hint=error.get("hint"),
    )


def _no_document(code: int | None, said: list[LogEntry]) -> Fault:
    """It was killed, or crashed: nobody knows how far it got, and it may have revoked nothing."""
    if code is not None and code < 0:
        how = f"was killed by {_signal(-code)}"
    else:
        how = f"ended with {code} and without a report"
    last = f": {harmless(said[-1].message)}" if said else ""
    return Fault(
        f"the binary {how}{last}",
        exit=Exit.UNAVAILABLE,
        hint="its credentials may still live: the next run on this machine, or `cofferdam sweep`, "
        "revokes them; a kill by SIGKILL is often one for lack of memory",
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
