"""Airflow's ways to end a task, with its real signals, on a process that reads a log."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# As Airflow's task runner does it: SIGTERM calls `on_kill` in the middle of `execute`, and so does
# the end of `execution_timeout`, after it has thrown an exception into `execute`.
CHILD = """
import json, signal, sys, time
from datetime import timedelta
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.operator import CofferdamOperator
from airflow_provider_cofferdam.runner import LocalRunner, ServiceRunner
from airflow_provider_cofferdam.settings import Settings
from airflow.sdk.execution_time.timeout import TimeoutPosix
from tests.stage import context

plan = json.loads(sys.argv[1])
settings = Settings(**plan["settings"])
runner = ServiceRunner(settings) if settings.is_service else LocalRunner(settings)
CofferdamHook.runner = lambda self: runner
operator = CofferdamOperator(task_id="t", task="hello", input=plan["input"])
took = []


def on_kill():
    since = time.monotonic()
    operator.on_kill()
    took.append(time.monotonic() - since)


signal.signal(signal.SIGTERM, lambda *_: on_kill())
print("ready", flush=True)
error = None
where = context()
execute = lambda: operator.execute.__wrapped__(operator, where)
try:
    if plan.get("timeout"):
        try:
            with TimeoutPosix(plan["timeout"]):
                execute()
        except BaseException:
            on_kill()
            raise
    else:
        execute()
except BaseException as raised:
    error = raised
told = {"error": type(error).__name__, "text": str(error), "took": took}
print("\\n" + json.dumps({**told, "pushed": where["ti"].pushed}))
"""


@pytest.fixture(params=["service", "local"])
def host(request, service, binary):
    """Either host, as settings, an input that waits, one that chatters, and whether it revoked."""

    class Host:
        def __init__(self):
            self.is_service = request.param == "service"
            if self.is_service:
                self.settings = {"socket": service.path}
            else:
                self.settings = {"binary": str(binary.path), "config": str(binary.config)}

        def plan(self, do):
            if self.is_service:

                def begin(run):
                    run.say("working")
                    if do == "chatter":
                        import threading

                        def chatter():
                            while not run.is_over:
                                run.say("more " * 40)
                                time.sleep(0.0005)

                        threading.Thread(target=chatter, daemon=True).start()

                service.on_begin = begin
                service.revocation_seconds = 0.3
            return {"do": do, "revocation": 0.3}

        def wait_until_begun(self):
            until = time.monotonic() + 20
            while not (service.asked("/log") if self.is_service else "input" in binary.events()):
                assert time.monotonic() < until
                time.sleep(0.02)

        def has_revoked(self):
            if self.is_service:
                return service.only.is_over
            return "revoked" in binary.events()

    return Host()


def start(host, do, **plan):
    argument = json.dumps({"settings": host.settings, "input": host.plan(do), **plan})
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    host.wait_until_begun()
    return child


def end(child):
    out, err = child.communicate(timeout=30)
    last = out.decode().strip().splitlines()[-1]
    assert last.startswith("{"), (out.decode()[-2000:], err.decode()[-2000:])
    return json.loads(last)


@pytest.mark.parametrize("do", ["wait", "chatter"])
def test_a_users_kill_ends_revoked(host, do):
    child = start(host, do)
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGTERM)
    told = end(child)
    assert host.has_revoked()
    assert told["error"] == "AirflowException"
    assert "cancelled" in told["text"]
    assert len(told["took"]) == 1
    assert told["took"][0] < 4


def test_two_kills_are_one(host):
    child = start(host, "chatter")
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.05)
    os.kill(child.pid, signal.SIGTERM)
    told = end(child)
    assert host.has_revoked()
    assert told["error"] == "AirflowException"
    assert sum(told["took"]) < 5


@pytest.mark.parametrize("do", ["wait", "chatter"])
def test_a_timeout_ends_revoked(host, do):
    child = start(host, do, timeout=1.0)
    told = end(child)
    assert host.has_revoked()
    assert told["error"] == "AirflowTaskTimeout"
    assert len(told["took"]) == 1
    assert told["took"][0] < 4
    # Who looks for the run afterwards finds it, as after every other end.
    assert told["pushed"]["cofferdam"]["outcome"] == "cancelled"


def test_a_kill_that_meets_a_slow_revocation_is_over_in_four_seconds(service):
    class Host:
        settings = {"socket": service.path}  # noqa: RUF012

        def plan(self, do):
            service.on_begin = lambda run: None
            service.revocation_seconds = 6
            return {}

        def wait_until_begun(self):
            until = time.monotonic() + 20
            while not service.asked("/log"):
                assert time.monotonic() < until
                time.sleep(0.02)

    child = start(Host(), "wait")
    os.kill(child.pid, signal.SIGTERM)
    told = end(child)
    assert 3 < told["took"][0] < 4.3
    # The task goes on to wait for the end; Airflow would have killed it by then.
    assert "cancelled" in told["text"]
