"""The service runner against a service that speaks the protocol over a real socket."""

import json
import threading
import time
import traceback

import pytest

from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.runner import ServiceRunner, waits
from airflow_provider_cofferdam.settings import Settings
from tests.fakes.documents import TERMS
from tests.fakes.service import FakeService, problem
from tests.stage import attempt, submission


@pytest.fixture
def runner(service):
    found = ServiceRunner(Settings(socket=service.path, patience=5))
    yield found
    found.close()


def follow(runner, run, after=0):
    return [entry.sequence for entry in runner.follow(run, after)]


def test_a_run_from_its_beginning_to_its_end(service, runner):
    service.on_begin = lambda run: (run.say("one", "two"), run.end())
    asked = submission({"name": "Ada"}, limits={"timeout": "30s", "host_calls": 5})
    begun = runner.begin(asked)
    assert begun.terms == TERMS
    assert not begun.is_replayed
    assert follow(runner, begun.run) == [1, 2]
    ending = runner.end(begun.run)
    assert ending.report.result == {"greeting": "Hello, Ada!"}
    assert json.loads(service.bodies[0]) == {
        "task": "hello",
        "attempt": {
            "dag_id": "examples",
            "task_id": "greet",
            "run_id": "manual__1",
            "try_number": 1,
            "map_index": -1,
        },
        "input": {"name": "Ada"},
        "limits": {"timeout": "30s", "host_calls": 5},
    }
    (_, headers), *_ = service.requests
    assert headers["idempotency-key"] == "key-1"
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers


def test_lines_come_while_the_run_goes_on(service, runner):
    service.on_begin = lambda run: run.say("first")
    begun = runner.begin(submission())
    lines = runner.follow(begun.run)
    assert next(lines).message == "first"
    service.only.say("second")
    assert next(lines).message == "second"
    service.only.end()
    assert next(lines, None) is None


def test_the_same_key_finds_the_run(service, runner):
    first = runner.begin(submission())
    second = runner.begin(submission())
    assert second.run == first.run
    assert second.is_replayed
    with pytest.raises(Fault, match="another submission") as refused:
        runner.begin(submission({"other": True}))
    assert refused.value.exit == 2


def test_a_log_that_breaks_off_goes_on_where_it_was(service, runner):
    service.on_begin = lambda run: (run.say(*"abcdefg"), run.end())
    service.cut_log_after = [2, 0, 3]
    begun = runner.begin(submission())
    assert follow(runner, begun.run) == [1, 2, 3, 4, 5, 6, 7]
    cursors = [one.split("after=")[1] for one, _ in service.asked("/log")]
    assert cursors == ["0", "2", "2", "5"]


def test_reading_on_after_a_cursor(service, runner):
    service.on_begin = lambda run: (run.say(*"abc"), run.end())
    begun = runner.begin(submission())
    assert follow(runner, begun.run, after=2) == [3]


@pytest.mark.parametrize(
    "fault",
    [
        "reset",
        (429, problem("too many", exit=4, retry_after=0)),
        (503, problem("ending", exit=4, retry_after=0)),
        (503, b"<html>a proxy of somebody</html>", {"retry-after": "0"}),
    ],
)
def test_what_passes_is_tried_again(service, runner, fault):
    service.faults = [fault] * 3
    begun = runner.begin(submission())
    assert not service.faults, "the faults were given"
    assert len(service.runs) == 1
    assert begun.run in service.runs


def test_there_is_an_end_to_trying(service, runner, monkeypatch):
    monkeypatch.setattr(waits, "FIRST", 0.001)
    service.faults = [(429, problem("too many of your runs wait", exit=4, retry_after=0))] * 20
    with pytest.raises(Fault, match="too many of your runs wait") as refused:
        runner.begin(submission())
    assert refused.value.exit == 4
    assert len(service.faults) == 20 - waits.TRIES
    assert not service.runs


def test_a_refusal_is_not_tried_again(service, runner):
    service.faults = [
        (503, problem("task `hello` cannot be run: broken", exit=4, hint="see its log"))
    ]
    with pytest.raises(Fault) as refused:
        runner.begin(submission())
    assert refused.value.exit == 4
    assert refused.value.hint == "see its log"
    assert len(service.requests) == 1


def test_what_is_no_cofferdam(service, runner):
    service.faults = [(404, b"<html>nothing here</html>")]
    with pytest.raises(Fault, match="is not one of cofferdam's") as refused:
        runner.begin(submission())
    assert refused.value.exit == 2


def test_nobody_listens(tmp_path, monkeypatch):
    monkeypatch.setattr(waits, "FIRST", 0.01)
    runner = ServiceRunner(Settings(socket=str(tmp_path / "none.sock")))
    begun = time.monotonic()
    with pytest.raises(Fault, match="cannot connect to the service") as refused:
        runner.begin(submission())
    assert refused.value.exit == 4
    assert "cofferdam serve" in refused.value.hint
    assert time.monotonic() - begun < 2


def test_the_waits_are_those_of_the_hosts_own_client():
    steps = waits.Waits(tries=waits.TRIES)
    assert [steps.next() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.6, None]
    steps = waits.Waits(tries=3)
    assert [steps.next(1), steps.next(3600), steps.next()] == [1, 10, None]


def test_patience_ends():
    steps = waits.Waits(patience=0.05)
    assert steps.next() <= 0.05
    time.sleep(0.06)
    assert steps.next() is None
    steps.reset()
    assert steps.next() is not None


def test_a_service_that_restarts_in_mid_run_is_found_again(service, runner):
    service.on_begin = lambda run: run.say("before")
    begun = runner.begin(submission())

    def restart():
        service.stop()
        time.sleep(0.5)
        service.only.say("after")
        service.only.end()
        service.start()

    lines = runner.follow(begun.run)
    assert next(lines).message == "before"
    other = threading.Thread(target=restart)
    other.start()
    assert [entry.message for entry in lines] == ["after"]
    other.join()
    assert runner.end(begun.run).report.exit == 0
    assert len(service.asked("/log")) > 1


def test_a_service_that_stays_away_costs_no_more_than_patience(service):
    runner = ServiceRunner(Settings(socket=service.path, patience=0.3))
    service.on_begin = lambda run: None
    begun = runner.begin(submission())
    service.stop()
    since = time.monotonic()
    with pytest.raises(Fault, match=r"what became of run .* is not known") as unknown:
        follow(runner, begun.run)
    assert unknown.value.exit == 75, "4 would say that nothing was begun"
    assert time.monotonic() - since < 3
    service.start()


def test_a_submission_whose_answer_is_lost_may_have_begun(service):
    runner = ServiceRunner(Settings(socket=service.path, patience=0.3))
    # Once it is in; whoever asks again finds nobody.
    service.on_begin = lambda run: service.stop()
    with pytest.raises(Fault, match="whether the run was begun is not known") as unknown:
        runner.begin(submission())
    assert unknown.value.exit == 75, "4 would say that nothing was begun"
    assert len(service.runs) == 1
    service.start()


def test_a_run_that_the_service_cancelled_when_it_was_stopped(service, runner):
    for cancelled_by, is_stopped in ((None, False), ("caller", False), ("service", True)):
        service.on_begin = lambda run, by=cancelled_by: run.end(130, cancelled_by=by)
        begun = runner.begin(submission(key=str(cancelled_by)))
        assert runner.end(begun.run).is_stopped is is_stopped


def test_a_refusal_in_mid_run_is_no_refusal_of_the_run(service, runner):
    begun = runner.begin(submission())
    service.runs.clear()
    for call in (lambda: follow(runner, begun.run), lambda: runner.end(begun.run)):
        with pytest.raises(Fault, match="you have no such run") as unknown:
            call()
        assert unknown.value.exit == 75


@pytest.mark.parametrize("swept", [True, False])
def test_a_lost_run(service, runner, swept):
    service.on_begin = lambda run: (run.say("last words"), run.lose(swept=swept))
    begun = runner.begin(submission())
    assert follow(runner, begun.run) == [1]
    ending = runner.end(begun.run)
    assert ending.report is None
    assert ending.is_swept is swept


def test_a_report_that_cannot_be_read(service, runner):
    service.on_begin = lambda run: run.end(outcome=None)
    begun = runner.begin(submission())
    with pytest.raises(Fault, match="cannot be read") as unknown:
        runner.end(begun.run)
    assert unknown.value.exit == 75


def test_cancelling_waits_for_the_revocation(service, runner):
    service.on_begin = lambda run: None
    service.revocation_seconds = 0.3
    begun = runner.begin(submission())
    since = time.monotonic()
    assert runner.cancel(begun.run, 3)
    assert 0.25 < time.monotonic() - since < 2
    assert runner.end(begun.run).report.exit == 130
    assert runner.cancel(begun.run, 3), "again is no harm"


def test_cancelling_does_not_wait_for_ever(service, runner):
    service.on_begin = lambda run: None
    service.revocation_seconds = 30
    begun = runner.begin(submission())
    since = time.monotonic()
    assert not runner.cancel(begun.run, 0.5)
    assert time.monotonic() - since < 1


def test_cancelling_while_the_service_is_away(service, runner):
    service.on_begin = lambda run: None
    begun = runner.begin(submission())
    service.stop()
    assert not runner.cancel(begun.run, 0.3)
    service.start()


def test_cancelling_a_run_whose_id_is_still_on_its_way(service, runner):
    # The answer to the submission is lost, and Airflow asks to end.
    service.on_begin = lambda run: None
    begun = runner.begin(submission())
    assert runner.cancel(None, 2)
    assert service.runs[begun.run].state == "ended"
    with pytest.raises(Fault) as cancelled:
        runner.begin(submission(key="another"))
    assert cancelled.value.exit == 130
    assert len(service.runs) == 1


def test_a_run_that_is_cancelled_while_it_is_submitted(service, runner):
    service.on_begin = lambda run: runner.cancel(None, 0)
    begun = runner.begin(submission())
    assert service.runs[begun.run].state == "ended"
    assert runner.end(begun.run).report.exit == 130


def test_a_run_whose_beginning_comes_late_is_cancelled_in_the_time_that_is_left(service, runner):
    def begin(run):
        service.revocation_seconds = 30
        runner.cancel(None, 0.2)

    service.on_begin = begin
    since = time.monotonic()
    runner.begin(submission())
    assert service.asked("/cancel$"), "it was told, though the time was over"
    assert time.monotonic() - since < 2.5


def test_the_unfinished_runs_of_a_task_instance(service, runner):
    service.on_begin = lambda run: None
    first = runner.begin(submission(key="1", try_number=1)).run
    second = runner.begin(submission(key="2", try_number=2)).run
    for number, other in enumerate(
        [{"map_index": 0}, {"dag_id": "x"}, {"task_id": "x"}, {"run_id": "x"}]
    ):
        runner.begin(submission(key=f"other {number}".replace(" ", "-"), **other))
    over = runner.begin(submission(key="3", try_number=3)).run
    service.runs[over].end()
    found = {one.run: one.try_number for one in runner.unfinished(attempt(try_number=4))}
    assert found == {first: 1, second: 2}
    assert runner.cancel_other(first, 2)
    assert runner.unfinished(attempt())[0].run == second


def test_a_token_goes_with_each_call_and_is_read_anew(service, tmp_path):
    file = tmp_path / "token"
    file.write_text("first-token\n")
    # A socket takes no token; the connection's own check says so before. Here it shows the header.
    runner = ServiceRunner(Settings(socket=service.path, token_file=str(file)))
    begun = runner.begin(submission())
    file.write_text("second-token\n")
    runner.end(begun.run)
    assert [headers["authorization"] for _, headers in service.requests] == [
        "Bearer first-token",
        "Bearer second-token",
    ]


@pytest.mark.parametrize("content", [None, "", "two words", "ä", "a\nb"])
def test_a_token_file_that_holds_none(service, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    runner = ServiceRunner(Settings(socket=service.path, token_file=str(file)))
    with pytest.raises(Fault, match="token_file") as wrong:
        runner.begin(submission())
    assert wrong.value.exit == 2
    assert not service.requests


def test_no_token_is_in_any_text(monkeypatch):
    monkeypatch.setattr(waits, "FIRST", 0.001)
    settings = Settings(server="https://127.0.0.1:1", token="very-secret-token")
    assert "very-secret" not in repr(settings)
    runner = ServiceRunner(settings)
    with pytest.raises(Fault) as refused:
        runner.begin(submission())
    fault = refused.value
    text = "".join(traceback.format_exception(fault)) + repr(fault) + str(vars(fault))
    assert "very-secret" not in text
    assert fault.__cause__ is None


def test_the_environment_names_no_proxy(service, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    runner = ServiceRunner(Settings(socket=service.path))
    assert runner.begin(submission()).run in service.runs


def test_many_lines(tmp_path):
    with FakeService(tmp_path / "many.sock") as service:
        service.on_begin = lambda run: (run.say(*map(str, range(5000))), run.end())
        runner = ServiceRunner(Settings(socket=service.path))
        begun = runner.begin(submission())
        assert follow(runner, begun.run) == list(range(1, 5001))
