"""What is said of a mapped task when its DAG is parsed."""

import pytest
from airflow.sdk import DAG, setup, task

from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.operator import CofferdamOperator
from airflow_provider_cofferdam.schema import Mismatch
from tests.fakes import documents

# It stands on what Airflow does not promise.
pytestmark = pytest.mark.every_airflow


@pytest.fixture(autouse=True)
def dag(tasks):
    with DAG("d") as dag:
        yield dag


@task
def choose():
    return ["Ada"]


def partial(**members):
    return CofferdamOperator.partial(**{"task_id": "t", "task": "hello", **members})


@pytest.mark.parametrize(
    ("fixed", "mapped", "words"),
    [
        ({"task": "helo"}, {"input": [{"name": "Ada"}]}, "has no task `helo`; did you mean"),
        ({"task": "Hello"}, {"input": [{"name": "Ada"}]}, "no name of a task"),
        ({"limits": {"tim": "1s"}}, {"input": [{"name": "Ada"}]}, "no field `tim`"),
        ({}, {"input": [{"name": "Ada"}, {"nam": "Grace"}]}, "no parameter `nam`"),
        ({}, {"input": [{"name": "Ada"}, {"name": 3}]}, "`input.name`: 3 is not of type"),
        ({}, {"input": [None]}, "needs the parameter `name`"),
        ({}, {"input": [{"name": "{{ x }}", "count": 0}]}, "`count`: 0 is less than"),
        ({}, {"input": [{"name": {1, 2}}]}, "`input.name` is set"),
        ({}, {"input": {"name": "Ada"}}, "is not of type 'object'"),
        ({"input": {"nam": 1}}, {"limits": [{"timeout": "1s"}]}, "no parameter `nam`"),
        ({"input": {"name": "Ada"}}, {"limits": [{}, {"memory": 3}]}, '"64MiB"'),
    ],
)
def test_mistakes_of_a_mapped_operator(fixed, mapped, words):
    with pytest.raises((ValueError, Fault), match=words):
        partial(**fixed).expand(**mapped)


def test_each_task_has_a_schema_of_its_own():
    both = CofferdamOperator.partial(task_id="t", input={"a": 1})
    both.expand(task=["open", "free", "{{ x }}"])
    with pytest.raises(Mismatch, match="task `hello` has no parameter `a`"):
        CofferdamOperator.partial(task_id="u", input={"a": 1}).expand(task=["open", "hello"])


def test_rows_of_a_mapped_operator():
    rows = [{"input": {"name": "Ada"}}, {"input": {"name": "Grace"}, "limits": {"timeout": "1s"}}]
    partial().expand_kwargs(rows)
    partial(task_id="u").expand_kwargs([choose(), *rows])
    with pytest.raises(Mismatch, match="no parameter `nam`"):
        partial(task_id="v").expand_kwargs([*rows, {"input": {"nam": "Ada"}}])
    # A row has the last word, if it may.
    loose = partial(task_id="w", input={"nam": 1})
    loose.expand_kwargs(rows, strict=False)


def test_rows_that_nobody_knows_yet():
    partial().expand_kwargs(choose())
    with pytest.raises(Mismatch, match="has no task `helo`"):
        partial(task_id="u", task="helo").expand_kwargs(choose())
    partial(task_id="v", task="helo").expand_kwargs(choose(), strict=False)


def test_what_is_not_known_yet_passes_by(dag):
    partial().expand(input=choose())
    partial(task_id="u").expand(input=[choose(), {"name": choose()}, {"name": "{{ run_id }}"}])
    partial(task_id="v", task="{{ x }}").expand(input=[{"anything": 1}])
    partial(task_id="w", input=choose()).expand(limits=[{"timeout": "{{ x }}"}])
    partial(task_id="x").expand(input=choose().map(lambda name: {"name": name}))
    assert dag.get_task("v").operator_class is CofferdamOperator


def test_a_subclass_that_makes_something_else_of_its_parameters():
    class Monthly(CofferdamOperator):
        def __init__(self, *, month, **kwargs):
            super().__init__(input={"name": month}, **kwargs)

    class Wrapped(CofferdamOperator):
        def __init__(self, *, input, **kwargs):
            super().__init__(input={"name": input}, **kwargs)

    class Same(CofferdamOperator):
        pass

    Monthly.partial(task_id="a", task="hello").expand(month=["1", "2"])
    Wrapped.partial(task_id="b", task="hello").expand(input=["1", "2"])
    with pytest.raises(Mismatch, match="not of type 'object'"):
        Same.partial(task_id="c", task="hello").expand(input=["1", "2"])


def test_a_mapped_task_is_still_airflows():
    with pytest.raises(TypeError, match="unexpected keyword argument 'inputs'"):
        partial().expand(inputs=[{}])
    made = partial()
    assert repr(made).startswith("CofferdamOperator.partial(")
    made.expand(input=[{"name": "Ada"}])


def greeter(**members):
    @task.cofferdam("hello", **members)
    def greet(name, count=1): ...

    return greet


@pytest.mark.parametrize(
    ("fixed", "mapped", "words"),
    [
        ({}, {"name": [1, 2]}, "does not take `name`: 1 is not of type 'string'"),
        ({}, {"name": ["Ada"], "count": [1, 0]}, "`count`: 0 is less than"),
        ({"name": 3}, {"count": [1]}, "`name`: 3 is not of type"),
        ({}, {"name": ["Ada", b""]}, "`name` is bytes"),
    ],
)
def test_mistakes_of_a_mapped_function(fixed, mapped, words):
    with pytest.raises(ValueError, match=words):
        greeter().partial(**fixed).expand(**mapped)


def test_names_of_a_function_whose_task_is_another():
    @task.cofferdam("free")
    def anything(nam): ...

    anything.override(task_id="a")("Ada")
    with pytest.raises(Mismatch, match="task `hello` has no parameter `nam`"):
        anything.override(task="hello", task_id="b")("Ada")
    with pytest.raises(Mismatch, match="task `hello` has no parameter `nam`"):
        anything.override(task="hello", task_id="c").expand(nam=["Ada"])
    with pytest.raises(Mismatch, match="has no task `helo`"):
        anything.override(task="helo", task_id="d")("Ada")


def test_rows_of_a_mapped_function():
    greeter().expand_kwargs([{"name": "Ada"}, choose(), {"name": "Grace", "count": 2}])
    greeter().expand_kwargs(choose())
    with pytest.raises(Mismatch, match="`count`: 0 is less than"):
        greeter().expand_kwargs([{"name": "Ada", "count": 0}])
    with pytest.raises(Mismatch, match="`name`: 3 is not of type"):
        greeter().partial(name=3).expand_kwargs(choose())


def test_limits_of_a_mapped_function():
    with pytest.raises(ValueError, match="no field `tim`"):
        greeter(limits={"tim": "1s"}).expand(name=["Ada"])


def test_what_default_args_hold_is_not_missed(tasks):
    members = {"task": "hello", "input": {"name": "Ada"}, "count": 1}
    with DAG("defaults", default_args=members) as dag:

        @task.cofferdam("hello")
        def greet(name, count=None): ...

        greet("Ada")
        greet.override(task_id="mapped").expand(name=["Ada"])
        CofferdamOperator.partial(task_id="t").expand(limits=[{"timeout": "1s"}])
    assert {"greet", "mapped", "t"} == set(dag.task_ids)


def test_arguments_of_a_mapped_function_that_are_not_known_yet(dag):
    greeter().expand(name=choose(), count=["{{ x }}", 1])
    greeter().partial(count=choose()).expand(name=["Ada", choose()])
    greeter().override(task_id="other").partial(count=2).expand(name=["Ada"])
    assert "other" in dag.task_ids


def test_a_mapped_function_is_still_airflows(dag):
    @setup
    @task.cofferdam("free")
    def ready(name): ...

    ready.expand(name=["Ada"])
    assert dag.get_task("ready").is_setup
    with pytest.raises(ValueError, match="task context variable 'run_id'"):
        greeter().expand(run_id=["1"])


def test_a_parameter_of_airflows_context_has_no_value_yet(tasks):
    properties = {"ds": {"type": "string"}, "name": {"type": "string"}}
    schema = {"type": "object", "properties": properties}
    tasks.write_text(documents.listed(documents.task("daily", schema)))

    @task.cofferdam("daily")
    def daily(name, ds=None): ...

    daily("Ada")
    daily.expand(name=["Ada"])
