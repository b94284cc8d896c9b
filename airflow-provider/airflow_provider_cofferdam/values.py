"""Which values are known when a DAG is parsed, and whether they are JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_MARKS = ("{{", "{%")


class NotJson(ValueError):
    """A value that JSON does not have."""

    def __init__(self, path: str, value: Any) -> None:
        kind = type(value).__name__
        if isinstance(value, float):
            kind = f"the number {value}"
        super().__init__(
            f"`{path}` is {kind}, which JSON does not have; hand over text, a number, true, "
            "false, none, a list or a dict with text as keys"
        )


def is_literal(value: Any) -> bool:
    """Whether a value is what the task will get: no template, nothing that Airflow resolves."""
    if isinstance(value, str):
        return not any(mark in value for mark in _MARKS)
    if isinstance(value, Mapping):
        return all(is_literal(key) and is_literal(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_literal(one) for one in value)
    return not _is_resolved_later(value)


def check_json(value: Any, path: str) -> None:
    """Looks for what JSON does not have; what is resolved later is passed by.

    :raises NotJson: names the place.
    """
    if value is None or isinstance(value, (str, bool, int)) or _is_resolved_later(value):
        return
    if isinstance(value, float) and math.isfinite(value):
        return
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise NotJson(f"{path} (a key)", key)
            check_json(one, f"{path}.{key}")
        return
    if isinstance(value, (list, tuple)):
        for at, one in enumerate(value):
            check_json(one, f"{path}[{at}]")
        return
    raise NotJson(path, value)


def as_json(value: Any, path: str) -> Any:
    """The value in the types of JSON: what Airflow hands over may be a sequence of its own.

    :raises NotJson: names the place.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotJson(f"{path} (a key)", key)
        return {key: as_json(one, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [as_json(one, f"{path}[{at}]") for at, one in enumerate(value)]
    if _is_resolved_later(value):
        raise NotJson(path, value)
    check_json(value, path)
    return value


def _is_resolved_later(value: Any) -> bool:
    """Airflow's references to another task's result, to a parameter, to a mapped value."""
    return callable(getattr(value, "resolve", None)) and hasattr(value, "iter_references")
