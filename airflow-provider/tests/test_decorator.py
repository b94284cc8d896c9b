"""``@task.cofferdam``, when a DAG is parsed and when it runs."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from airflow.sdk import DAG, Context, task

from airflow_provider_cofferdam.compat import AirflowFailException
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.operator import CofferdamOperator
from airflow_provider_cofferdam.schema import Mismatch
from airflow_provider_cofferdam.signature import NotASignature, bound, check_function
from tests.fakes import documents
from tests.stage import FakeRunner, context


@pytest.fixture
def runner(monkeypatch):
    fake = FakeRunner()
    monkeypatch.setattr(CofferdamHook, "runner", lambda self: fake)
    return fake


@pytest.fixture(autouse=True)
def dag():
    with DAG("d") as dag:
        yield dag


def docstring():
    """Nothing but words."""


def dots(): ...


def passed():
    pass


def returns():
    return 3


def prints():
    print("never")


def looks(a):
    a.b  # noqa: B018


def raises():
    raise ValueError


def many(*args): ...


def more(**kwargs): ...


async def later(): ...


def yields():
    yield


@pytest.mark.parametrize("function", [docstring, dots, passed])
def test_an_empty_body(function):
    check_function(function)


@pytest.mark.parametrize("function", [returns, prints, looks, raises, yields])
def test_a_body_would_never_run(function):
    with pytest.raises(NotASignature, match="would never run"):
        task.cofferdam("hello")(function)


@pytest.mark.parametrize(
    ("function", "words"),
    [(many, "no fixed name"), (more, "no fixed name"), (later, "async"), (print, "no function")],
)
def test_what_is_no_signature(function, words):
    with pytest.raises(NotASignature, match=words):
        task.cofferdam("hello")(function)


def test_the_task_is_named():
    with pytest.raises(TypeError, match="name the task"):
        task.cofferdam(dots)
    with pytest.raises(TypeError, match="name the task"):
        task.cofferdam()
    with pytest.raises(TypeError, match="`input=` is CofferdamOperator's"):
        task.cofferdam("hello", input={})
    with pytest.raises(Exception, match="no name of a task"):
        task.cofferdam("Hello")


def execute(made, **more):
    operator = made.operator
    ctx = {**context(), **more}
    return operator.execute.__wrapped__(operator, ctx)


def test_the_arguments_are_the_input(runner):
    @task.cofferdam("hello", limits={"timeout": "3s"})
    def greet(name: str, /, count: int = 2, *, loud: bool = False):
        """Greets."""

    made = greet("Ada", loud=True)
    assert execute(made) == {"greeting": "Hello, Ada!"}
    (submission,) = runner.submissions
    assert submission.task == "hello"
    assert submission.input == {"name": "Ada", "count": 2, "loud": True}
    assert submission.limits == {"timeout": "3s"}
    assert made.operator.task_id == "greet"


def test_a_parameter_of_airflows_context(runner):
    @task.cofferdam("hello")
    def greet(run_id, name="Ada"): ...

    execute(greet(), run_id="manual__1")
    assert runner.submissions[0].input == {"run_id": "manual__1", "name": "Ada"}

    @task.cofferdam("hello")
    def when(logical_date): ...

    with pytest.raises(AirflowFailException, match="`logical_date` is datetime"):
        execute(when(), logical_date=datetime(2026, 1, 1))


def test_arguments_are_bound_as_python_binds_them():
    @task.cofferdam("hello")
    def greet(name): ...

    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        greet()
    with pytest.raises(TypeError, match="unexpected keyword"):
        greet(name="Ada", other=1)


def test_what_json_does_not_have():
    @task.cofferdam("hello")
    def greet(name): ...

    for value, words in [
        ({1, 2}, "`name` is set"),
        ({"a": [b""]}, r"`name.a\[0\]` is bytes"),
        (float("inf"), "`name` is the number inf"),
    ]:
        with pytest.raises(ValueError, match=words):
            greet(value)


def test_results_of_other_tasks_pass_by(runner, tasks):
    @task
    def choose():
        return 1

    @task.cofferdam("hello")
    def greet(name, count): ...

    made = greet(choose(), "{{ run_id }}")
    operator = made.operator
    assert operator.upstream_task_ids == {"choose"}
    # As Airflow leaves it once it is rendered.
    operator.op_args, operator.op_kwargs = ("Ada", 3), {}
    execute(made)
    assert runner.submissions[0].input == {"name": "Ada", "count": 3}
    operator.op_args = ("Ada", 0)
    with pytest.raises(AirflowFailException, match=r"`input.count`: 0 is less than"):
        execute(made)
    assert len(runner.submissions) == 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("name, cuont", "has no parameter `cuont`; it has `name`, `count`"),
        ("count", "needs the parameter `name`"),
    ],
)
def test_names_are_held_against_the_schema(tasks, parameters, words):
    scope = {}
    exec(f"def greet({parameters}): ...", scope)
    with pytest.raises(Mismatch, match=words):
        task.cofferdam("hello")(scope["greet"])


def test_values_are_held_against_the_schema(tasks):
    @task.cofferdam("hello")
    def greet(name, count=1): ...

    greet("Ada", 2)
    with pytest.raises(Mismatch, match="does not take `name`: 3 is not of type 'string'"):
        greet(3)
    with pytest.raises(Mismatch, match="does not take `count`: 0 is less than the minimum of 1"):
        greet("Ada", 0)

    @task.cofferdam("hello")
    def by_default(name, count=-1): ...

    with pytest.raises(Mismatch, match="`count`"):
        by_default("Ada")


def test_an_unknown_task(tasks):
    with pytest.raises(Mismatch, match="has no task `helo`; did you mean `hello`"):
        task.cofferdam("helo")(dots)
    with pytest.raises(Mismatch, match="has no task `zzz`; it has hello, open, free, one"):
        CofferdamOperator(task_id="t", task="zzz")
    CofferdamOperator(task_id="u", task="{{ any }}")


def test_a_task_without_a_schema_takes_anything(tasks):
    CofferdamOperator(task_id="t", task="free", input=[1])
    task.cofferdam("free")(dots)


def test_a_task_that_takes_no_object(tasks):
    CofferdamOperator(task_id="t", task="one", input="text")
    with pytest.raises(Mismatch, match="`input`: 3 is not of type 'string'"):
        CofferdamOperator(task_id="u", task="one", input=3)
    with pytest.raises(Mismatch, match="use CofferdamOperator"):
        task.cofferdam("one")(dots)


def test_an_unknown_parameter_of_a_task_that_would_pass_over_it(tasks):
    with pytest.raises(Mismatch, match="no parameter `b`"):
        CofferdamOperator(task_id="t", task="open", input={"b": 1})


def test_the_operators_input_is_held_against_the_schema(tasks, runner):
    CofferdamOperator(task_id="a", task="hello", input={"name": "Ada", "count": "{{ x }}"})
    cases = [
        ({"name": 3}, "`input.name`: 3 is not of type 'string'"),
        ({"name": "{{ x }}", "count": 0}, "`count`: 0 is less than"),
        ({"name": "{{ x }}", "cuont": 1}, "no parameter `cuont`"),
        ({"count": "{{ x }}"}, "needs the parameter `name`"),
        ({}, "needs the parameter `name`"),
    ]
    for number, (input, words) in enumerate(cases):
        with pytest.raises(Mismatch, match=words):
            CofferdamOperator(task_id=f"b{number}", task="hello", input=input)
    operator = CofferdamOperator(task_id="c", task="hello", input={"name": "{{ x }}"})
    operator.input = {"name": None}
    with pytest.raises(AirflowFailException, match=r"`input.name`: None is not of type 'string'"):
        operator.execute.__wrapped__(operator, context())
    assert not runner.submissions


def test_a_file_of_tasks_that_cannot_be_used(tmp_path, configured, tasks):
    tasks.write_text(documents.listed(documents.task("hello", {"required": 1, "type": "object"})))
    with pytest.raises(Mismatch, match="no JSON Schema"):
        CofferdamOperator(task_id="t", task="hello", input={})
    tasks.write_text("[]")
    with pytest.raises(Mismatch, match="no list of tasks"):
        CofferdamOperator(task_id="u", task="hello")
    tasks.unlink()
    with pytest.raises(Mismatch, match="cannot be read; `cofferdam tasks --format json` writes it"):
        CofferdamOperator(task_id="v", task="hello")


def test_mapping(tasks):
    @task.cofferdam("hello")
    def greet(name, count): ...

    greet.partial(count=1).expand(name=["Ada", "Grace"])
    with pytest.raises(TypeError):
        greet.partial(cuont=1).expand(name=["Ada"])


def test_bound_leaves_out_what_is_not_known_yet():
    def function(a, b=2, *, c): ...

    assert bound(function, (), {}) == {"b": 2}
    assert bound(function, (1,), {"c": 3}) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.every_airflow
def test_what_airflows_context_has_is_what_the_host_takes_for_given():
    judge = Path(__file__).parents[2] / "host/src/cli/check/dags/judge/function.rs"
    listed = re.search(r"CONTEXT: &\[&str\] = &\[(.*?)\];", judge.read_text(), re.DOTALL)
    assert set(Context.__annotations__) <= set(re.findall(r'"(\w+)"', listed[1]))
