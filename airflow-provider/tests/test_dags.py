"""The example DAGs, and others, in Airflow's own hands: `dag.test()` with its database."""

import shutil
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

import airflow_provider_cofferdam

EXAMPLES = Path(airflow_provider_cofferdam.__file__).parent / "example_dags"
NUMBERS = count()


def dag_bag(folder):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return DagBag(str(folder))


@pytest.fixture
def folder(database):
    """Airflow's own folder of DAGs, empty: `dag.test()` looks a DAG's file up there."""
    found = database / "dags"
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    return found


@pytest.fixture
def bag(folder):
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, folder)
    return dag_bag(folder)


@pytest.fixture
def serve(service, configured):
    """A service that plays the tasks of the examples."""

    def begin(run):
        run.say("working")
        asked = run.submission
        if asked["task"] == "hello":
            run.end(result={"greeting": f"Hello, {asked['input'].get('name')}!"})
        else:
            run.end(result={"receipt": "r-1", "invoices": 3, "totals": []})

    service.on_begin = begin
    configured(socket=service.path)
    return service


def run(dag, **more):
    return dag.test(**more)


def states(dag_run):
    return {
        (one.task_id, one.map_index): str(getattr(one.state, "value", one.state))
        for one in dag_run.get_task_instances()
    }


def xcom(dag_run, task_id, key="return_value", map_index=-1):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            run_id=dag_run.run_id,
            dag_ids=dag_run.dag_id,
            task_ids=task_id,
            key=key,
            map_indexes=map_index,
        )
        query = query if hasattr(query, "all") else session.scalars(query)
        found = [one.value for one in query.all()]
    return found[0] if found else None


@pytest.mark.every_airflow
def test_the_examples_are_parsed(bag):
    assert not bag.import_errors
    assert sorted(bag.dags) == ["billing", "examples", "examples_mapped", "examples_retry"]
    for dag in bag.dags.values():
        assert {"cofferdam", "example"} <= set(dag.tags)
        assert dag.doc_md
        assert dag.schedule is None


@pytest.mark.every_airflow
def test_invoice_sync(bag, serve):
    done = run(bag.dags["billing"])
    assert set(states(done).values()) == {"success"}
    assert xcom(done, "tell") == "3 invoices posted as r-1"
    assert serve.only.submission["task"] == "invoice-sync"
    assert serve.only.submission["input"] == {"label": done.run_id}
    assert serve.only.submission["limits"] == {"timeout": "30s"}
    attempt = serve.only.submission["attempt"]
    assert (attempt["dag_id"], attempt["task_id"], attempt["run_id"]) == (
        "billing",
        "sync",
        done.run_id,
    )
    reference = xcom(done, "sync", key="cofferdam")
    assert reference["run"] == serve.only.id
    link = xcom(done, "sync", key="_link_CofferdamAuditLink")
    assert link.endswith("/tasks/sync/xcom")


@pytest.mark.every_airflow
def test_a_mapped_task(bag, serve):
    done = run(bag.dags["examples_mapped"])
    assert states(done) == {("greet", at): "success" for at in range(3)}
    greetings = [xcom(done, "greet", map_index=at)["greeting"] for at in range(3)]
    assert greetings == ["Hello, Ada!", "Hello, Grace!", "Hello, Katherine!"]
    asked = [one.submission["attempt"]["map_index"] for one in serve.runs.values()]
    assert sorted(asked) == [0, 1, 2]
    assert len(serve.keys) == 3


@pytest.mark.every_airflow
def test_taskflow(bag, serve):
    done = run(bag.dags["examples"])
    assert set(states(done).values()) == {"success"}
    assert xcom(done, "tell") == "Hello, Ada!"
    assert serve.only.submission["input"] == {"name": "Ada"}


def test_the_retrying_one_asks_again(bag, serve):
    def begin(run):
        asked = run.submission
        is_enough = asked["attempt"]["try_number"] >= asked["input"]["succeed_on"]
        run.end(0 if is_enough else 75)

    serve.on_begin = begin
    dag = bag.dags["examples_retry"]
    # Two seconds are for people.
    dag.task_dict["wait_for_it"].retry_delay = timedelta(0)
    done = run(dag)
    assert states(done) == {("wait_for_it", -1): "success"}
    tries = [one.submission["attempt"]["try_number"] for one in serve.runs.values()]
    assert tries == [1, 2]
    assert len(serve.asked("GET /v1/runs$")) == 1, "the second try looked for the first"


@pytest.fixture
def written(folder):
    """Writes a DAG file with these tasks, and reads it. Each has a name of its own: Airflow does
    not look at the same one twice in half a minute."""

    def write(text):
        name = f"made_{next(NUMBERS)}"
        (folder / f"{name}.py").write_text(
            "from airflow.sdk import DAG, task\n"
            "from datetime import timedelta\n"
            "from airflow_provider_cofferdam.operator import CofferdamOperator\n"
            f"with DAG('{name}', schedule=None) as dag:\n    " + text.replace("\n", "\n    ")
        )
        found = dag_bag(folder)
        assert not found.import_errors
        return found.dags[name]

    return write


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "success"), (1, "failed"), (3, "failed"), (7, "failed"), (99, "skipped")],
)
def test_ends(written, serve, code, state):
    serve.on_begin = lambda run: run.end(code)
    done = run(written("CofferdamOperator(task_id='t', task='hello')"))
    assert states(done) == {("t", -1): state}
    assert xcom(done, "t", key="cofferdam")["exit"] == code
    has_result = xcom(done, "t") is not None
    assert has_result is (code in (0, 7))


@pytest.mark.parametrize(("code", "tries"), [(75, 2), (1, 2), (4, 2), (3, 1), (7, 1), (130, 1)])
def test_which_ends_are_tried_again(written, serve, code, tries):
    serve.on_begin = lambda run: run.end(code)
    dag = written(
        "CofferdamOperator(task_id='t', task='hello', retries=1, retry_delay=timedelta(0))"
    )
    assert states(run(dag)) == {("t", -1): "failed"}
    assert len(serve.runs) == tries


@pytest.mark.every_airflow
def test_a_deferred_task(written, serve):
    dag = written("CofferdamOperator(task_id='t', task='hello', deferrable=True)")
    done = run(dag)
    assert states(done) == {("t", -1): "success"}
    assert xcom(done, "t")["greeting"].startswith("Hello")
    assert len(serve.runs) == 1


@pytest.mark.every_airflow
def test_a_mapped_decorator(written, serve):
    dag = written(
        "@task.cofferdam('hello')\n"
        "def greet(name: str, loud: bool = False): ...\n"
        "greet.partial(loud=True).expand(name=['Ada', 'Grace'])"
    )
    done = run(dag)
    assert states(done) == {("greet", 0): "success", ("greet", 1): "success"}
    inputs = [one.submission["input"] for one in serve.runs.values()]
    assert sorted(inputs, key=str) == [
        {"name": "Ada", "loud": True},
        {"name": "Grace", "loud": True},
    ]


def test_mapping_over_a_result(written, serve):
    dag = written(
        "@task\ndef names():\n    return [{'name': 'Ada'}, {'name': 'Grace'}]\n"
        "CofferdamOperator.partial(task_id='t', task='hello').expand(input=names())"
    )
    done = run(dag)
    assert states(done)[("t", 1)] == "success"
    assert sorted(one.submission["input"]["name"] for one in serve.runs.values()) == [
        "Ada",
        "Grace",
    ]


def test_the_binary(written, binary, configured):
    configured(binary=binary.path, config=binary.config)
    dag = written("CofferdamOperator(task_id='t', task='hello', input={'do': 'done'})")
    done = run(dag)
    assert states(done) == {("t", -1): "success"}
    assert "--dag-id=" + done.dag_id in binary.said("begun")["argv"]


def test_a_timeout_of_airflows_ends_the_run(written, serve):
    serve.on_begin = lambda run: run.say("working")
    dag = written(
        "CofferdamOperator(task_id='t', task='hello', execution_timeout=timedelta(seconds=1))"
    )
    assert states(run(dag)) == {("t", -1): "failed"}
    assert serve.only.report["exit"] == 130


def test_rendered_fields_hold_what_the_author_wrote(written, serve):
    dag = written("CofferdamOperator(task_id='t', task='hello', input={'a': '{{ run_id }}'})")
    done = run(dag)
    assert serve.only.submission["input"] == {"a": done.run_id}
