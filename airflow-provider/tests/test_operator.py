"""The operator with a runner of the tests."""

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_cofferdam.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferralTimeout,
)
from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.operator import CofferdamOperator
from airflow_provider_cofferdam.runner import Ending, UnderWay
from airflow_provider_cofferdam.trigger import CofferdamTrigger
from tests.fakes.documents import RUN
from tests.stage import FakeRunner, context

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferred


@pytest.fixture
def runner(monkeypatch):
    fake = FakeRunner()
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    return fake


def operator(**members):
    # Outside of a task runner Airflow asks for this.
    return CofferdamOperator(
        **{"task_id": "greet", "task": "hello", "input": {"name": "Ada"}, **members}
    )


def run(operator, in_context=None):
    in_context = in_context or context()
    return operator.execute.__wrapped__(operator, in_context), in_context["ti"]


def test_its_fields_are_not_airflows():
    assert not {"task", "input", "limits", "cofferdam_run"} & set(dir(BaseOperator))


def test_a_task_that_is_done(runner, logged):
    result, ti = run(operator(limits={"timeout": "30s", "host_calls": "12"}))
    assert result == {"greeting": "Hello, Ada!"}
    (submission,) = runner.submissions
    assert submission.document() == {
        "task": "hello",
        "attempt": {
            "dag_id": "examples",
            "task_id": "greet",
            "run_id": "manual__2026-11-27T12:00:00+00:00",
            "try_number": 1,
            "map_index": -1,
            "bundle": "dags-folder",
        },
        "input": {"name": "Ada"},
        "limits": {"timeout": "30s", "host_calls": 12},
    }
    assert submission.key == "00000000-0000-0000-0000-000000000007-1"
    assert ti.pushed == {
        "cofferdam": {
            "run": RUN,
            "task": "hello",
            "outcome": "done",
            "exit": 0,
            "audit": {"file": "/var/lib/cofferdam/audit/1.jsonl", "head": "sha256:00"},
            "show": f"cofferdam audit show {RUN}",
        }
    }
    assert runner.closed


def test_lines_at_start_and_end(runner, logged):
    run(operator())
    events = [entry["event"] for entry in logged]
    words = "\n".join(str(entry["event"]) % entry.get("positional_args", ()) for entry in logged)
    assert f"run {RUN} of task `hello` by a fake" in words
    assert "grants: http.billing; limits: timeout 1m, memory 128MiB" in words
    assert f"run {RUN} done in 1.234 s; every credential revoked (2 leases)" in words
    assert f"audit: `cofferdam audit show {RUN}`" in words
    assert events[2:5] == ["> line 1", "> line 2", "> line 3"]


def test_the_logical_date_goes_along(runner):
    date = datetime(2026, 11, 1, tzinfo=timezone.utc)
    run(operator(), {**context(), "logical_date": date})
    assert runner.submissions[0].attempt.logical_date == "2026-11-01T00:00:00+00:00"


def test_a_mapped_task_instance_says_so(runner):
    run(operator(), context(map_index=3))
    assert runner.submissions[0].attempt.map_index == 3


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, AirflowException), (3, AirflowFailException), (99, AirflowSkipException)],
)
def test_ends_that_are_none_of_done(monkeypatch, code, kind):
    fake = FakeRunner(code)
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    ctx = context()
    with pytest.raises(kind) as raised:
        run(operator(), ctx)
    assert type(raised.value) is kind
    assert ctx["ti"].pushed["cofferdam"]["exit"] == code
    assert "return_value" not in ctx["ti"].pushed


@pytest.mark.parametrize("do_push", [True, False])
def test_done_and_not_revoked_hands_the_result_on_and_fails(monkeypatch, do_push):
    fake = FakeRunner(7)
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    ctx = context()
    with pytest.raises(AirflowFailException, match="cofferdam sweep"):
        run(operator(do_xcom_push=do_push), ctx)
    assert ("return_value" in ctx["ti"].pushed) is do_push
    if do_push:
        assert ctx["ti"].pushed["return_value"] == {"greeting": "Hello, Ada!"}


def test_a_lost_run(monkeypatch):
    fake = FakeRunner(ending=Ending(run=RUN, is_swept=True))
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    ctx = context()
    with pytest.raises(AirflowException, match="was lost"):
        run(operator(), ctx)
    assert ctx["ti"].pushed["cofferdam"] == {
        "run": RUN,
        "task": "hello",
        "outcome": "lost",
        "show": f"cofferdam audit show {RUN}",
    }


def test_a_run_whose_end_is_not_known_is_referred_to(runner, monkeypatch):
    def end(run):
        raise Fault("gone", exit=4).after_begin(run)

    monkeypatch.setattr(runner, "end", end)
    ctx = context()
    with pytest.raises(AirflowException, match="is not known"):
        run(operator(), ctx)
    assert ctx["ti"].pushed["cofferdam"]["outcome"] == "unknown"


@pytest.mark.parametrize(
    ("is_stopped", "kind", "words"),
    [
        (True, AirflowException, "outlasted its `drain`"),
        (False, AirflowFailException, "somebody cancelled it at the host"),
    ],
)
def test_a_run_that_somebody_else_ended(monkeypatch, is_stopped, kind, words):
    fake = FakeRunner(130)
    fake.is_stopped = is_stopped
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    with pytest.raises(kind, match=words) as raised:
        run(operator())
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("result", "words"),
    [("text", "is no object"), ([1], "is no object"), ({"cofferdam": 1}, "a field `cofferdam`")],
)
def test_several_outputs_of_what_has_none_repeat_no_work(runner, result, words):
    runner.report["result"] = result
    ctx, task = context(), operator()
    task.multiple_outputs = True
    with pytest.raises(AirflowFailException, match=words):
        run(task, ctx)
    assert ctx["ti"].pushed["return_value"] == result


@pytest.mark.parametrize("result", [None, {"a": 1}])
def test_several_outputs(runner, result):
    runner.report["result"] = result
    task = operator()
    task.multiple_outputs = True
    assert run(task)[0] == result


@pytest.mark.parametrize(
    ("run_id", "does_end", "words"),
    [
        (RUN, True, f"run {RUN} is cancelled and its authority revoked"),
        (RUN, False, f"run {RUN} was to be cancelled, and no word came back"),
        (None, True, "what was being begun is cancelled, and nothing of it is alive"),
        (None, False, "what was being begun was to be cancelled, and no word came back"),
    ],
)
def test_a_kill_says_what_is_known(runner, logged, run_id, does_end, words):
    task = operator()
    runner.does_end = does_end
    task._opened()
    task.cofferdam_run = run_id
    task.on_kill()
    told = "\n".join(entry["event"] for entry in logged)
    assert words in told
    assert ("audit show" in told) is (run_id is not None)


def test_a_refusal(runner):
    runner.fault = Fault("no such task", exit=2, hint="look")
    with pytest.raises(AirflowFailException, match="no such task\nhint: look"):
        run(operator())


def test_the_cap_is_the_operators_or_the_configurations(runner, configured):
    with pytest.raises(AirflowFailException, match="max_result_bytes"):
        run(operator(max_result_bytes=3))
    configured(max_result_bytes=4)
    with pytest.raises(AirflowFailException, match="allows 4"):
        run(operator())
    assert run(operator(max_result_bytes=100))[0]


def test_an_earlier_try_is_ended_first(runner):
    runner.under_way = [UnderWay("earlier", 1), UnderWay("own", 2), UnderWay("later", 3)]
    run(operator(), context(try_number=2))
    assert runner.others == ["earlier"]
    assert len(runner.submissions) == 1


def test_an_earlier_try_that_does_not_end_keeps_this_one_from_running(runner):
    runner.under_way = [UnderWay("earlier", 1)]
    runner.does_end = False
    with pytest.raises(AirflowException, match="two tries must not run at once"):
        run(operator(), context(try_number=2))
    assert not runner.submissions


def test_a_first_try_asks_for_no_earlier_one(runner):
    runner.under_way = [UnderWay("earlier", 0)]
    run(operator())
    assert not runner.others


def test_deferring(runner):
    task = operator(deferrable=True, execution_timeout=timedelta(minutes=3))
    with pytest.raises(TaskDeferred) as deferred:
        run(task)
    trigger = deferred.value.trigger
    assert isinstance(trigger, CofferdamTrigger)
    assert trigger.serialize()[1] == {
        "cofferdam_conn_id": "cofferdam_default",
        "run": RUN,
        "after": 0,
    }
    assert deferred.value.method_name == "execute_complete"
    assert deferred.value.timeout == timedelta(minutes=3)
    assert not runner.closed


def test_going_on_after_the_trigger_tells_only_what_is_missing(runner, logged):
    ctx = context()
    result = operator(deferrable=True).execute_complete(ctx, {"run": RUN, "after": 2})
    assert result == {"greeting": "Hello, Ada!"}
    assert [e["event"] for e in logged if str(e["event"]).startswith("> ")] == ["> line 3"]
    assert ctx["ti"].pushed["cofferdam"]["run"] == RUN


def test_a_trigger_that_ran_out_of_time_has_its_run_cancelled(runner):
    runner.under_way = [UnderWay("other", 1), UnderWay(RUN, 2)]
    task = operator(deferrable=True)
    with pytest.raises(TaskDeferralTimeout):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, context(try_number=2))
    ((run_id, seconds),) = runner.cancelled
    assert run_id == RUN
    assert 3 < seconds <= 4


def test_on_kill_twice_shares_its_time(runner):
    task = operator()
    runner.does_end = False
    # In the middle of its run.
    task._opened()
    task.cofferdam_run = RUN
    task.on_kill()
    task._kill_until -= 2
    task.on_kill()
    task._kill_until -= 2
    task.on_kill()
    (_, first), (_, second), (_, third) = runner.cancelled
    # Bounded from below with room for a machine that has much to do.
    assert 2.7 < first <= 3.7
    assert 0.5 < second <= 1.7
    assert third == 0


def test_on_kill_after_the_end_is_nothing(runner):
    task = operator()
    run(task)
    task.on_kill()
    assert runner.cancelled == []


def test_on_kill_before_there_is_anything_to_kill():
    operator().on_kill()


def test_deferring_needs_a_service(runner):
    runner.is_service = False
    with pytest.raises(AirflowFailException, match="`deferrable` needs a service"):
        run(operator(deferrable=True))
    assert not runner.submissions


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"task": "Hello World"}, "no name of a task"),
        ({"limits": {"time": "1s"}}, "no field `time`"),
        ({"limits": {"host_calls": "many"}}, "host_calls"),
        ({"limits": {"memory": 64}}, '"64MiB"'),
        ({"limits": ["timeout"]}, "no mapping"),
        ({"input": {"when": datetime(2026, 1, 1)}}, "`input.when` is datetime"),
        ({"input": {"x": [1, float("nan")]}}, r"`input.x\[1\]` is the number nan"),
        ({"input": {1: 2}}, "a key"),
    ],
)
def test_mistakes_are_told_when_the_dag_is_parsed(members, words):
    with pytest.raises((ValueError, Fault), match=words):
        operator(**members)


def test_templates_are_told_when_they_are_rendered(runner):
    task = operator(task="{{ x }}", limits={"timeout": "{{ y }}", "host_calls": "{{ z }}"})
    task.task, task.limits = "hello", {"timeout": "1s", "host_calls": "x"}
    with pytest.raises(AirflowFailException, match="host_calls"):
        run(task)
    task.task, task.limits = "Hello", None
    with pytest.raises(AirflowFailException, match="no name of a task"):
        run(task)


def test_nothing_of_the_runner_is_serialised(runner):
    with DAG("d") as dag:
        task = operator()
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialized
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    data = Serialized.to_dict(dag)
    again = Serialized.from_dict(data)
    found = again.get_task(task.task_id)
    assert found.template_fields == ["task", "input", "limits"] or tuple(found.template_fields) == (
        "task",
        "input",
        "limits",
    )
    assert "_runner" not in str(data)
    assert "kill" not in str(data)


def test_a_kill_before_there_is_a_runner_begins_nothing(runner, monkeypatch):
    made = operator()

    def slow(self):
        # The connection's look-up takes its time, and Airflow's handler comes in between.
        made.on_kill()
        return runner

    monkeypatch.setattr(CofferdamHook, "runner", slow)
    told = []
    monkeypatch.setattr(runner, "cancel", lambda run, seconds: told.append(run) or True)
    with pytest.raises(AirflowException, match="before it was begun"):
        run(made)
    assert told == [None]
    assert not runner.submissions


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"input": {"name": "\ud800"}}, "no Unicode"),
        ({"limits": {"timeout": "\udc00"}}, "no Unicode"),
    ],
)
def test_what_cannot_be_sent_is_bad_usage_and_not_tried_again(runner, members, words):
    with pytest.raises(AirflowFailException, match=words):
        run(operator(**members))
    assert not runner.submissions
