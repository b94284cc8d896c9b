"""The local runner with a binary of the tests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.runner import LocalRunner
from airflow_provider_cofferdam.runner.binary import find_binary
from airflow_provider_cofferdam.settings import Settings
from tests.fakes.documents import RUN, TERMS
from tests.stage import attempt, submission


@pytest.fixture
def settings(binary):
    return Settings(binary=str(binary.path), config=str(binary.config))


@pytest.fixture
def runner(settings):
    found = LocalRunner(settings)
    yield found
    found.close()


def test_a_run_from_its_beginning_to_its_end(binary, runner):
    plan = {"say": ["one", "two"], "secretive": "not in the arguments"}
    members = {"bundle": "dags", "map_index": 4, "try_number": 2}
    members["logical_date"] = "2026-11-01T00:00:00+00:00"
    begun = runner.begin(submission(plan, limits={"timeout": "5s"}, **members))
    assert begun.run == RUN
    assert begun.terms == TERMS
    lines = list(runner.follow(begun.run))
    assert [(one.origin, one.sequence, one.message) for one in lines] == [
        ("task", 1, "one"),
        ("task", 2, "two"),
        ("host", None, "a word of the host"),
    ]
    assert runner.end(begun.run).report.result == {"greeting": "Hello, Ada!"}
    argv = binary.said("begun")["argv"]
    fd = next(one for one in argv if one.startswith("--lifeline="))
    assert argv == [
        "--config", str(binary.config), "--format", "json", "run", "hello", "--input=-",
        "--log-format=json", fd, "--dag-id=examples", "--task-id=greet", "--run-id=manual__1",
        "--try-number=2", "--map-index=4", "--logical-date=2026-11-01T00:00:00+00:00",
        "--bundle=dags", "--limit=timeout=5s",
    ]  # fmt: skip
    assert "not in the arguments" in binary.said("input")["text"]


def test_the_binary_sees_nothing_of_the_workers_environment(binary, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "a secret of the worker")
    monkeypatch.setenv("ALLOWED", "yes")
    monkeypatch.setenv("LANG", "C.UTF-8")
    settings = Settings(
        binary=str(binary.path), config=str(binary.config), environment=("ALLOWED", "ABSENT")
    )
    runner = LocalRunner(settings)
    runner.end(runner.begin(submission({})).run)
    seen = binary.said("begun")["environment"]
    assert seen["ALLOWED"] == "yes"
    assert seen["LANG"] == "C.UTF-8"
    known = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "ALLOWED"}
    # What the interpreter of the fake sets for itself.
    assert set(seen) - known <= {"LC_CTYPE", "PWD", "SHLVL", "_"}


def test_it_has_a_session_of_its_own(binary, runner):
    runner.end(runner.begin(submission({})).run)
    begun = binary.said("begun")
    assert begun["session"] == begun["pid"] != os.getsid(0)


def test_a_large_input_and_many_lines_block_nothing(runner):
    plan = {"say": ["x" * 200] * 3000, "ballast": "y" * 3_000_000}
    begun = runner.begin(submission(plan))
    assert len(list(runner.follow(begun.run))) == 3001
    assert runner.end(begun.run).report.exit == 0


def test_an_error_instead_of_a_report(runner):
    with pytest.raises(Fault) as wrong:
        runner.begin(submission({"do": "error"}))
    assert wrong.value.exit == 2
    assert str(wrong.value) == "bad configuration: line 3\nhint: mend it"


def test_a_run_that_is_refused_has_a_report(runner):
    begun = runner.begin(submission({"do": "refused"}))
    assert [one.message for one in runner.follow(begun.run)] == ["asked in vain"]
    assert runner.end(begun.run).report.exit == 3


def test_a_crash_is_told_as_it_is(runner):
    begun = runner.begin(submission({"do": "crash"}))
    last = list(runner.follow(begun.run))[-1]
    assert (last.level, last.origin) == ("error", "host")
    assert last.message == "thread 'main' panicked at src/main.rs:1"
    with pytest.raises(Fault, match="killed by SIGKILL") as gone:
        runner.end(begun.run)
    assert gone.value.exit == 4
    assert "cofferdam sweep" in gone.value.hint


def test_cancelling_waits_for_the_revocation(binary, runner):
    begun = runner.begin(submission({"do": "wait", "revocation": 0.4}))
    since = time.monotonic()
    assert runner.cancel(begun.run, 4)
    assert 0.35 < time.monotonic() - since < 3
    assert runner.end(begun.run).report.exit == 130
    assert binary.events().count("revoked") == 1
    assert runner.cancel(begun.run, 4)


def test_cancelling_does_not_wait_for_ever_and_does_not_kill(binary, runner):
    begun = runner.begin(submission({"do": "wait", "revocation": 1.0}))
    assert not runner.cancel(begun.run, 0.2)
    assert not runner.cancel(begun.run, 0.0)
    assert runner.end(begun.run).report.exit == 130, "it could still revoke"


def test_closing_ends_a_run(binary, runner):
    runner.begin(submission({"do": "wait"}))
    runner.close()
    binary.wait_for("revoked")
    assert "lifeline closed" in binary.events()
    assert "sigterm" not in binary.events()


def test_a_run_that_is_cancelled_before_it_is_begun(binary, runner):
    assert runner.cancel(None, 1)
    with pytest.raises(Fault) as cancelled:
        runner.begin(submission({}))
    assert cancelled.value.exit == 130
    assert not binary.events()


def test_there_is_no_earlier_try_to_end(runner):
    assert runner.unfinished(attempt(try_number=3)) == []


CHILD = """
import sys
from airflow_provider_cofferdam.runner import LocalRunner
from airflow_provider_cofferdam.settings import Settings
from tests.stage import submission
runner = LocalRunner(Settings(binary=sys.argv[1], config=sys.argv[2]))
begun = runner.begin(submission({"do": "wait"}))
print("begun", flush=True)
list(runner.follow(begun.run))
"""


def test_kill_9_of_the_tasks_process_ends_the_run(binary):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, binary.path, binary.config],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert child.stdout.readline() == b"begun\n"
    assert "revoked" not in binary.events()
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    binary.wait_for("revoked")
    assert "lifeline closed" in binary.events()
    assert "sigterm" not in binary.events()


def test_where_the_binary_is(tmp_path, monkeypatch):
    def program(folder):
        folder.mkdir()
        file = folder / "cofferdam"
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
        return file

    named, beside, on_path = (program(tmp_path / name) for name in ("named", "beside", "path"))
    monkeypatch.setattr(sys, "executable", str(beside.parent / "python"))
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_binary(Settings(binary=str(named))) == str(named)
    assert find_binary(Settings()) == str(beside)
    beside.unlink()
    assert find_binary(Settings()) == str(on_path)
    on_path.chmod(0o644)
    with pytest.raises(Fault, match="no `cofferdam` on this worker"):
        find_binary(Settings())
    named.unlink()
    with pytest.raises(Fault, match="`binary` names"):
        find_binary(Settings(binary=str(named)))
