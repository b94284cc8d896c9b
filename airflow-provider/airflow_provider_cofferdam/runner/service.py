"""Runs that a service carries, for the task's own process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from httpx_sse import EventSource

from airflow_provider_cofferdam.aside import within
from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.runner import wire
from airflow_provider_cofferdam.runner.contract import Begun, Ending, UnderWay
from airflow_provider_cofferdam.runner.waits import TRIES, Waits
from airflow_provider_cofferdam.runner.wire import Passing, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_cofferdam.attempt import Attempt, Submission
    from airflow_provider_cofferdam.log import LogEntry
    from airflow_provider_cofferdam.settings import Settings

T = TypeVar("T")

# For a run whose beginning came through when the time to cancel it was all but over: what is left
# of the five seconds that Airflow leaves a task.
_LAST_CALL = 1.0


class ServiceRunner:
    """Talks to a service over its socket or its address."""

    is_service = True

    def __init__(self, settings: Settings) -> None:
        self._place = Place(settings)
        self._patience = settings.patience
        self._client = self._place.client()
        self._submission: Submission | None = None
        # Until when whoever asked us to end waits for it.
        self._cancel_until: float | None = None
        self.place = f"the service at {self._place.name}"

    def unfinished(self, attempt: Attempt) -> list[UnderWay]:
        listed = self._again(Waits(tries=TRIES), lambda: _get(self, "/v1/runs"))
        return list(_unfinished(listed, attempt))

    def begin(self, submission: Submission) -> Begun:
        self._submission = submission
        document = submission.document()
        waits = Waits(tries=TRIES)
        replayed = may_have_begun = False

        def call() -> dict[str, Any]:
            nonlocal replayed, may_have_begun
            if self._cancel_until is not None:
                raise Fault("cancelled before it was begun", exit=Exit.CANCELLED)
            try:
                headers = {"idempotency-key": submission.key}
                answer = self._send("POST", "/v1/runs", json=document, headers=headers)
            except Passing as passing:
                if passing.is_sent:
                    # It may have begun and go on without us: what a running run gets.
                    waits.allow(self._patience)
                    may_have_begun = True
                raise
            replayed = "idempotency-replayed" in answer.headers
            return self._place.document(answer)

        try:
            view = self._again(waits, call)
        except Fault as fault:
            # What is answered later, or is not, says nothing of what was sent before.
            raise (fault.unanswered() if may_have_begun else fault) from None
        run = str(view.get("run"))
        if self._cancel_until is not None:
            # Asked to end while the answer was on its way.
            self.cancel(run, max(self._cancel_until - time.monotonic(), _LAST_CALL))
        return Begun(run=run, terms=view.get("terms"), is_replayed=replayed)

    def follow(self, run: str, after: int = 0) -> Iterator[LogEntry]:
        waits = Waits(patience=self._patience)
        while True:
            try:
                for entry in self._lines(run, after):
                    if entry is None:
                        return
                    waits.reset()
                    # What repeats itself is not told twice.
                    if entry.sequence is not None and entry.sequence > after:
                        after = entry.sequence
                        yield entry
            except Passing as passing:
                _sleep(waits, passing, run)
            except Fault as fault:
                raise fault.after_begin(run) from None

    def end(self, run: str) -> Ending:
        path = f"/v1/runs/{run}?wait={wire.WAIT}"
        times = wire.timeout(wire.WAIT + wire.SILENCE)
        waits = Waits(patience=self._patience)
        while True:
            try:
                view = self._again(waits, lambda: _get(self, path, timeout=times))
            except Fault as fault:
                raise fault.after_begin(run) from None
            if wire.is_over(view):
                return wire.ending_of(view)
            waits.reset()

    def cancel(self, run: str | None, seconds: float) -> bool:
        until = self._cancel_until = time.monotonic() + seconds
        return within(seconds, lambda: self._cancel(run, until))

    def cancel_other(self, run: str, seconds: float) -> bool:
        return self._cancel(run, time.monotonic() + seconds)

    def close(self) -> None:
        self._client.close()

    def _cancel(self, run: str | None, until: float) -> bool:
        """With a client of its own: the other one may be in the middle of a call."""
        try:
            with self._place.client() as client:
                while (left := until - time.monotonic()) > 0:
                    try:
                        run = run or self._find(client)
                        if run is None:
                            return False
                        path = f"/v1/runs/{run}/cancel"
                        answer = self._send("POST", path, client=client, timeout=left)
                        return wire.is_over(self._place.document(answer))
                    except Passing:
                        time.sleep(min(0.2, left))
        except Exception:  # noqa: BLE001 - a handler of signals has nobody to tell
            return False
        return False

    def _find(self, client: httpx.Client) -> str | None:
        """The run that ``begin`` was about, if it came through."""
        if self._submission is None:
            return None
        attempt = self._submission.attempt
        listed = self._place.document(self._send("GET", "/v1/runs", client=client))
        for found in _unfinished(listed, attempt):
            if found.try_number == attempt.try_number:
                return found.run
        return None

    def _lines(self, run: str, after: int) -> Iterator[LogEntry | None]:
        """The lines of one stream, and none at the log's end."""
        request = self._place.log_request(self._client, run, after)
        response = self._transport(lambda: self._client.send(request, stream=True))
        try:
            if not self._place.stream_begins(response):
                self._transport(response.read)
                self._place.document(response)
                raise self._place.broken_log()
            events = EventSource(response).iter_sse()
            while True:
                event = self._transport(lambda: next(events, None))
                if wire.is_other(event):
                    continue
                entry = self._place.entry(event)
                yield entry
                if entry is None:
                    return
        finally:
            response.close()

    def _send(
        self, method: str, path: str, *, client: httpx.Client | None = None, **request: Any
    ) -> httpx.Response:
        client = client or self._client
        return self._transport(lambda: client.request(method, path, **request))

    def _transport(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._place.failed(error) from None

    def _again(self, waits: Waits, call: Callable[[], T]) -> T:
        """Repeats a call that can be repeated."""
        while True:
            try:
                return call()
            except Passing as passing:
                _sleep(waits, passing, None)


def _get(runner: ServiceRunner, path: str, **request: Any) -> dict[str, Any]:
    return runner._place.document(runner._send("GET", path, **request))


def _unfinished(listed: dict[str, Any], attempt: Attempt) -> Iterator[UnderWay]:
    for view in listed.get("runs") or ():
        of = view.get("attempt") or {}
        if not wire.is_over(view) and attempt.is_same_instance(of):
            yield UnderWay(run=str(view.get("run")), try_number=int(of.get("try_number") or 1))


def _sleep(waits: Waits, passing: Passing, run: str | None) -> None:
    """Until the next try.

    :raises Fault: when there is none.
    """
    wait = waits.next(passing.retry_after)
    if wait is None:
        raise passing.fault if run is None else passing.fault.after_begin(run)
    time.sleep(wait)
