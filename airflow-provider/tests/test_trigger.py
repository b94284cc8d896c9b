"""The trigger against the service of the tests."""

import asyncio
import threading
import time
from importlib import import_module

import pytest

from airflow_provider_cofferdam.compat import AirflowNotFoundException
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.runner import ServiceRunner
from airflow_provider_cofferdam.runner.watch import Watch
from airflow_provider_cofferdam.settings import Settings
from airflow_provider_cofferdam.trigger import CofferdamTrigger
from tests.stage import submission


@pytest.fixture
def settings(service, monkeypatch):
    found = Settings(socket=service.path, patience=3)

    async def watch(self, run):
        return Watch(found, run)

    monkeypatch.setattr(CofferdamHook, "watch", watch)
    return found


def begin(settings, service, *said):
    service.on_begin = lambda run: run.say(*said)
    return ServiceRunner(settings).begin(submission()).run


def events(trigger):
    async def collect():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), 20))


def test_it_comes_back_from_the_database_as_it_was():
    first = CofferdamTrigger(cofferdam_conn_id="c", run="r", after=7)
    path, arguments = first.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(import_module(module), name)(**arguments)
    assert isinstance(again, CofferdamTrigger)
    assert again.serialize() == first.serialize()
    assert arguments == {"cofferdam_conn_id": "c", "run": "r", "after": 7}


def test_it_follows_and_tells_where_it_got_to(service, settings, logged):
    run = begin(settings, service, "one", "two")
    timer = threading.Timer(0.3, lambda: (service.only.say("three"), service.only.end()))
    timer.start()
    assert events(CofferdamTrigger(cofferdam_conn_id="c", run=run)) == [{"run": run, "after": 3}]
    assert [e["event"] for e in logged] == ["> one", "> two", "> three"]


def test_it_goes_on_after_its_cursor_and_over_a_broken_stream(service, settings, logged):
    run = begin(settings, service, *"abcdef")
    service.only.end()
    service.cut_log_after = [2]
    trigger = CofferdamTrigger(cofferdam_conn_id="c", run=run, after=1)
    assert events(trigger) == [{"run": run, "after": 6}]
    assert [e["event"] for e in logged] == ["> b", "> c", "> d", "> e", "> f"]
    assert len(service.asked("/log")) == 2


def test_it_waits_for_a_service_that_restarts(service, settings, logged):
    run = begin(settings, service, "before")

    def restart():
        time.sleep(0.2)
        service.stop()
        time.sleep(0.4)
        service.only.say("after")
        service.only.end()
        service.start()

    threading.Thread(target=restart).start()
    assert events(CofferdamTrigger(cofferdam_conn_id="c", run=run)) == [{"run": run, "after": 2}]


def test_a_service_that_is_gone_is_left_to_the_task(service, settings, monkeypatch):
    run = begin(settings, service)
    service.stop()
    object.__setattr__(settings, "patience", 0.2)
    assert events(CofferdamTrigger(cofferdam_conn_id="c", run=run)) == [{"run": run, "after": 0}]
    service.start()


@pytest.mark.parametrize(
    ("conn_id", "has_socket"), [("cofferdam_default", False), ("named", False), ("named", True)]
)
def test_a_triggerer_that_knows_of_no_service_leaves_it_to_the_task(
    service, configured, monkeypatch, conn_id, has_socket
):
    async def nobody(self, conn_id):
        raise AirflowNotFoundException

    monkeypatch.setattr(CofferdamHook, "aget_connection", nobody)
    if has_socket:
        # Another than the one that the connection names.
        configured(socket=service.path)
    trigger = CofferdamTrigger(cofferdam_conn_id=conn_id, run="r")
    assert events(trigger) == [{"run": "r", "after": 0}]
    assert service.requests == []


def test_a_user_who_ends_the_task_cancels_the_run(service, settings):
    run = begin(settings, service)
    asyncio.run(CofferdamTrigger(cofferdam_conn_id="c", run=run).on_kill())
    assert service.only.report["exit"] == 130


def test_a_triggerer_that_stops_cancels_nothing(service, settings):
    run = begin(settings, service, "one")
    trigger = CofferdamTrigger(cofferdam_conn_id="c", run=run)

    async def stop():
        following = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0.3)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        await trigger.cleanup()

    asyncio.run(stop())
    assert service.asked("/log"), "it did follow"
    assert service.only.state == "running"
    assert not service.asked("/cancel")


def test_a_cancellation_that_fails_is_logged_and_raises_nothing(service, settings):
    run = begin(settings, service)
    service.runs.clear()
    asyncio.run(CofferdamTrigger(cofferdam_conn_id="c", run=run).on_kill())
    assert service.asked("/cancel")


def test_following_does_not_hold_up_the_loop(service, settings):
    run = begin(settings, service, "one")

    async def both():
        trigger = CofferdamTrigger(cofferdam_conn_id="c", run=run)
        following = asyncio.ensure_future(anext(trigger.run()))
        gaps, last = [], time.monotonic()
        for _ in range(40):
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        service.only.end()
        await following
        return max(gaps)

    assert asyncio.run(both()) < 0.2
