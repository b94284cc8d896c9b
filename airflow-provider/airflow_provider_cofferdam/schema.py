"""Inputs held against the schemas of the tasks, when a DAG is parsed and when it runs."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for

from airflow_provider_cofferdam.config import tasks_file
from airflow_provider_cofferdam.values import is_literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_WRITE = "`cofferdam tasks --format json` writes it"


class Mismatch(ValueError):
    """An input that its task would not take."""


class InputSchema:
    """What a task takes."""

    def __init__(self, task: str, schema: dict[str, Any]) -> None:
        self._task = task
        self._schema = schema
        self._validator = validator_for(schema)
        try:
            self._validator.check_schema(schema)
        except SchemaError:
            raise Mismatch(f"the input schema of task `{task}` is no JSON Schema") from None
        self._properties: Mapping[str, Any] = schema.get("properties") or {}
        self._required: Collection[str] = schema.get("required") or ()

    def check_names(self, names: Collection[str]) -> None:
        """Whether the task knows these parameters, and needs no other.

        :raises Mismatch: names the parameter.
        """
        kinds = self._schema.get("type", "object")
        if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
            raise Mismatch(
                f"task `{self._task}` takes no parameters but one value of type {kinds!r}: "
                "use CofferdamOperator with `input=`"
            )
        if self._is_closed():
            for name in names:
                if name not in self._properties:
                    known = ", ".join(f"`{one}`" for one in self._properties) or "none"
                    raise Mismatch(f"task `{self._task}` has no parameter `{name}`; it has {known}")
        for name in self._required:
            if name not in names:
                raise Mismatch(f"task `{self._task}` needs the parameter `{name}`")

    def check_value(self, name: str, value: Any) -> None:
        """Whether the task takes this value as that parameter.

        :raises Mismatch: says what it takes.
        """
        of_one = self._properties.get(name)
        if isinstance(of_one, dict) and is_literal(value):
            # References lead to the whole schema's definitions.
            keys = ("$schema", "$defs", "definitions")
            shared = {key: self._schema[key] for key in keys if key in self._schema}
            self._hold({**shared, **of_one}, value, name)

    def check_input(self, value: Any) -> None:
        """Whether the task takes this input; of one that is known in part, the part.

        :raises Mismatch: names the place.
        """
        has_names = isinstance(value, dict) and all(is_literal(name) for name in value)
        if has_names:
            self.check_names(value)
        if is_literal(value):
            self._hold(self._schema, value, "input")
        elif has_names:
            for name, one in value.items():
                self.check_value(name, one)

    def _hold(self, schema: dict[str, Any], value: Any, where: str) -> None:
        # A list that Airflow hands on as a tuple is a list.
        value = json.loads(json.dumps(value))
        error = best_match(self._validator(schema).iter_errors(value))
        if error is None:
            return
        path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in error.path)
        raise Mismatch(f"task `{self._task}` does not take `{where}{path}`: {error.message}")

    def _is_closed(self) -> bool:
        """Whether the properties are all there is. A schema that does not say so describes a
        task that passes over what it does not know: who writes it means something else."""
        if "additionalProperties" in self._schema:
            return self._schema["additionalProperties"] is False
        open_ends = ("$ref", "allOf", "anyOf", "oneOf", "patternProperties")
        return bool(self._properties) and not any(key in self._schema for key in open_ends)


def input_schema(task: Any) -> InputSchema | None:
    """What a task takes; none when nobody says.

    :raises Mismatch: when there is no such task, or the file of the tasks cannot be used.
    """
    if not isinstance(task, str) or not is_literal(task):
        return None
    file = tasks_file()
    if file is None:
        return None
    changed = _changed(file)
    tasks = _tasks(file, changed)
    if task not in tasks:
        near = difflib.get_close_matches(task, tasks, n=1)
        known = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(tasks) or 'none'}"
        raise Mismatch(f"`tasks_file` {file} has no task `{task}`; {known}")
    return _schema(file, changed, task)


def _changed(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        raise Mismatch(f"`tasks_file` {file} cannot be read; {_WRITE}") from None


@lru_cache(maxsize=4)
def _tasks(file: str, changed: int) -> dict[str, dict[str, Any]]:
    """Read once for each state of the file: a DAG folder has many operators."""
    try:
        document = json.loads(Path(file).read_bytes())
        return {_name(task): task for task in document["tasks"]}
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        raise Mismatch(f"`tasks_file` {file} is no list of tasks; {_WRITE}") from None


def _name(task: Any) -> str:
    """The name of a task that has all that the host says of each."""
    name, digest, dags = task["name"], task["digest"], task["dags"]
    if not (isinstance(name, str) and isinstance(digest, str) and isinstance(dags, list)):
        raise TypeError
    return name


@lru_cache(maxsize=256)
def _schema(file: str, changed: int, task: str) -> InputSchema | None:
    told = _tasks(file, changed)[task]
    schema = told.get("input_schema")
    if schema is None and told.get("output_schema") is None:
        return None
    if schema is True:
        return None
    if not isinstance(schema, dict):
        # A task that describes itself says both: without this one, nothing would be checked.
        raise Mismatch(
            f"`tasks_file` {file} has no `input_schema` of task `{task}` that this provider can "
            f"read\nhint: bring provider and host to the same version; {_WRITE}"
        )
    return InputSchema(task, schema)
