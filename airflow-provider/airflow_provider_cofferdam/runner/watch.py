"""A service's run as the triggerer watches it: nothing here blocks its loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import httpx
from httpx_sse import EventSource

from airflow_provider_cofferdam.runner import wire
from airflow_provider_cofferdam.runner.waits import Waits
from airflow_provider_cofferdam.runner.wire import Passing, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_provider_cofferdam.log import LogEntry
    from airflow_provider_cofferdam.settings import Settings

T = TypeVar("T")


class Watch:
    """Follows and cancels one run."""

    def __init__(self, settings: Settings, run: str) -> None:
        self._place = Place(settings)
        self._patience = settings.patience
        self._run = run

    async def follow(self, after: int) -> AsyncIterator[LogEntry]:
        """The lines after this one, until there are no more.

        :raises Fault: when the service cannot be reached any more, or refuses.
        """
        waits = Waits(patience=self._patience)
        # Reading certificates would hold up every other trigger.
        async with await asyncio.to_thread(self._place.async_client) as client:
            while True:
                try:
                    async for entry in self._lines(client, after):
                        if entry is None:
                            return
                        waits.reset()
                        if entry.sequence is not None and entry.sequence > after:
                            after = entry.sequence
                            yield entry
                except Passing as passing:
                    await _sleep(waits, passing)

    async def cancel(self, seconds: float) -> bool:
        """Cancels the run and waits until its authority is revoked; whether it is."""
        waits = Waits(patience=seconds)
        async with await asyncio.to_thread(self._place.async_client) as client:
            path = f"/v1/runs/{self._run}/cancel"
            while True:
                try:
                    answer = await self._transport(lambda: client.post(path, timeout=seconds))
                    return wire.is_over(self._place.document(answer))
                except Passing as passing:
                    await _sleep(waits, passing)

    async def _lines(self, client: httpx.AsyncClient, after: int) -> AsyncIterator[LogEntry | None]:
        request = self._place.log_request(client, self._run, after)
        response = await self._transport(lambda: client.send(request, stream=True))
        try:
            if not self._place.stream_begins(response):
                await self._transport(response.aread)
                self._place.document(response)
                raise self._place.broken_log()
            events = EventSource(response).aiter_sse()
            while True:
                event = await self._transport(lambda: anext(events, None))
                if wire.is_other(event):
                    continue
                entry = self._place.entry(event)
                yield entry
                if entry is None:
                    return
        finally:
            await response.aclose()

    async def _transport(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._place.failed(error) from None


async def _sleep(waits: Waits, passing: Passing) -> None:
    wait = waits.next(passing.retry_after)
    if wait is None:
        raise passing.fault
    await asyncio.sleep(wait)
