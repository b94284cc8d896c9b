"""A document that a real host writes, and documents of another shape."""

import hashlib
import json
import os
import subprocess

import pytest

from airflow_provider_cofferdam.operator import CofferdamOperator
from airflow_provider_cofferdam.schema import Mismatch, input_schema
from tests.fakes import documents

SCHEMA = {
    "type": "object",
    "properties": {"month": {"type": "string"}},
    "required": ["month"],
    "additionalProperties": False,
}


def section(number, content):
    assert len(content) < 1 << 14
    size = [len(content)] if len(content) < 128 else [len(content) & 127 | 128, len(content) >> 7]
    return bytes([number, *size]) + content


def component(**described):
    """The least that the host takes for a component of a task: something under the name `run`,
    and what the task says of itself."""
    head = b"\0asm\x0d\0\1\0"
    manifest = json.dumps({"format": 1, "name": "report", "needs": {}, **described}).encode()
    name = b"cofferdam:task"
    return (
        head
        + section(4, head)
        + section(11, b"\1\0\3run\4\0\0")
        + section(0, bytes([len(name)]) + name + manifest)
    )


@pytest.fixture
def host(tmp_path, configured):
    """Has a real host list a task."""
    binary = os.environ.get("COFFERDAM_BINARY")
    if not binary:
        pytest.fail("COFFERDAM_BINARY names no host: build it, and name it there")
    # The host reads no grants that others can write.
    before = os.umask(0o022)

    def host(**described):
        (tmp_path / "grants").mkdir(exist_ok=True)
        bytes_ = component(**described)
        (tmp_path / "report.wasm").write_bytes(bytes_)
        digest = hashlib.sha256(bytes_).hexdigest()
        (tmp_path / "grants/report.toml").write_text(
            f'task = "report"\ncomponent = "report.wasm"\ndigest = "sha256:{digest}"\n'
            '[caller]\ndags = ["reports"]\n'
        )
        (tmp_path / "cofferdam.toml").write_text("")
        done = subprocess.run(
            [binary, "--config", tmp_path / "cofferdam.toml", "--format", "json", "tasks"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        (tmp_path / "tasks.json").write_bytes(done.stdout)
        configured(tasks_file=tmp_path / "tasks.json")
        (told,) = json.loads(done.stdout)["tasks"]
        assert "unusable" not in told
        return told

    yield host
    os.umask(before)


def test_what_a_real_host_writes_is_held_against(host):
    host(input_schema=SCHEMA, output_schema={"type": "object"})
    CofferdamOperator(task_id="a", task="report", input={"month": "2026-11"})
    with pytest.raises(Mismatch, match="no parameter `moth`; it has `month`"):
        CofferdamOperator(task_id="b", task="report", input={"moth": "2026-11"})
    with pytest.raises(Mismatch, match=r"`input\.month`: 11 is not of type 'string'"):
        CofferdamOperator(task_id="c", task="report", input={"month": 11})
    with pytest.raises(Mismatch, match="did you mean `report`"):
        CofferdamOperator(task_id="d", task="repot")


def test_a_task_of_a_real_host_that_does_not_describe_itself(host):
    told = host()
    assert "input_schema" not in told
    assert input_schema("report") is None


def test_our_own_documents_have_what_a_real_host_writes(host):
    told = host(input_schema=SCHEMA, output_schema={})
    assert set(documents.task("report", SCHEMA)) == set(told)


@pytest.mark.parametrize(
    "task",
    [
        documents.task("hello", input_schema=None, output_schema={"type": "object"}),
        documents.task("hello", "object"),
        documents.task("hello", [], output_schema={}),
    ],
)
def test_a_schema_that_is_not_where_it_should_be(tasks, task):
    tasks.write_text(documents.listed(task))
    with pytest.raises(Mismatch, match="has no `input_schema` of task `hello`"):
        CofferdamOperator(task_id="t", task="hello", input={})


@pytest.mark.parametrize(
    "written",
    [
        {"tasks": [{"name": "hello", "input_schema": SCHEMA}]},
        {"tasks": [{"task": "hello", "digest": "sha256:00", "dags": []}]},
        {"tasks": [{"name": "hello", "digest": "sha256:00", "dags": "examples"}]},
        {"tasks": ["hello"]},
        {"list": []},
    ],
)
def test_a_document_of_another_shape(tasks, written):
    tasks.write_text(json.dumps(written))
    with pytest.raises(Mismatch, match="is no list of tasks; `cofferdam tasks"):
        CofferdamOperator(task_id="t", task="hello", input={})


def test_a_task_that_takes_anything(tasks):
    tasks.write_text(documents.listed(documents.task("hello", True, unusable="its grants")))
    CofferdamOperator(task_id="t", task="hello", input=[1])
