"""What a mapped task is given, looked at when its DAG is parsed.

Airflow makes the operators of a mapped task when they run, and asks no class before. So the object
that has the ``expand`` gets a class of its own, which looks at what is written out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

# The values that each name can have; none where they are not known yet.
Known = Mapping[str, Sequence[Any]]


class Checks(ABC):
    """What is looked at, of something that has an ``expand``."""

    @abstractmethod
    def fixed(self, mappable: Any) -> Mapping[str, Any]:
        """What ``partial`` was given."""

    @abstractmethod
    def check(self, mappable: Any, known: Known) -> None:
        """
        :raises ValueError: names what cannot be.
        """


def with_checks(mappable: T, checks: Checks) -> T:
    """The same object, which looks when it is expanded."""
    airflows: Any = type(mappable)
    mappable.__class__ = _class(airflows, checks)
    return mappable


@cache
def _class(airflows: Any, checks: Checks) -> Any:
    class Checked(airflows):
        # Or it could not take the place of a class that has some.
        __slots__ = ()

        def expand(self, **mapped: Any) -> Any:
            made = super().expand(**mapped)
            several = {name: _values(value) for name, value in mapped.items()}
            checks.check(self, {**_one(checks.fixed(self)), **several})
            return made

        def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
            made = super().expand_kwargs(kwargs, strict=strict)
            if isinstance(kwargs, Sequence):
                for row in kwargs:
                    if isinstance(row, Mapping):
                        checks.check(self, _one({**checks.fixed(self), **row}))
            elif strict:
                # Rows that nobody knows yet, and which must not say what `partial` said.
                checks.check(self, _one(checks.fixed(self)))
            return made

    Checked.__name__, Checked.__qualname__ = airflows.__name__, airflows.__qualname__
    Checked.__module__, Checked.__doc__ = airflows.__module__, airflows.__doc__
    return Checked


def _one(given: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    return {name: [value] for name, value in given.items()}


def _values(mapped: Any) -> Sequence[Any]:
    """The values over which Airflow maps; none of another task's result."""
    if isinstance(mapped, Mapping):
        # Airflow hands on a name and its value together.
        return list(mapped.items())
    return mapped if isinstance(mapped, Sequence) else ()
