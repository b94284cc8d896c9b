"""A function whose signature is a task's input."""

from __future__ import annotations

import dis
import inspect
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_cofferdam.values import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What a body of nothing but a docstring, `...` or `pass` compiles to, from Python 3.10 on.
_NOTHING = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
# Whatever such a parameter has as its default: Airflow demands that it is None.
_OF_CONTEXT = frozenset(Context.__annotations__)
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class NotASignature(ValueError):
    """A function that is more, or less, than a signature."""


def names_of(function: Callable[..., Any]) -> list[str]:
    """The names of the function's parameters."""
    return list(inspect.signature(function).parameters)


def check_function(function: Callable[..., Any]) -> None:
    """That the function is a signature and nothing else.

    :raises NotASignature: when it has a body, which would never run, or parameters without
        a name.
    """
    name = getattr(function, "__name__", "the function")
    if not inspect.isfunction(function):
        raise NotASignature(f"`{name}` is no function; write `def {name}(…): ...`")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise NotASignature(f"`{name}` is async; its body never runs, so write a plain `def`")
    if not _is_empty(function):
        raise NotASignature(
            f"the body of `{name}` would never run: the task is a component of its own, and the "
            "function only says what its input is; leave a docstring, `...` or `pass`"
        )
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind in _MANY:
            raise NotASignature(
                f"`{parameter}` of `{name}` has no fixed name in the input; name each parameter"
            )


def bound(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments by name. One that is not given has its default, or what Airflow's context
    has under its name; without a context what only Airflow knows is left out."""
    signature = inspect.signature(function)
    arguments = dict(signature.bind_partial(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if name in arguments:
            continue
        if context is not None and name in context:
            arguments[name] = context[name]
        elif context is None and name in _OF_CONTEXT:
            continue
        elif parameter.default is not inspect.Parameter.empty:
            arguments[name] = parameter.default
    return {name: arguments[name] for name in signature.parameters if name in arguments}


def as_input(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JSON.

    :raises NotJson: names the parameter.
    """
    return {name: as_json(value, name) for name, value in arguments.items()}


def _is_empty(function: Callable[..., Any]) -> bool:
    # The code and not the source: that is not always there, and has decorators and comments.
    for step in dis.get_instructions(function):
        if step.opname not in _NOTHING:
            return False
        if step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval is not None:
            return False
    return True
