"""``@task.cofferdam``: a function's signature as a task's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_provider_cofferdam.attempt import check_task_name
from airflow_provider_cofferdam.mapping import Checks, with_checks
from airflow_provider_cofferdam.operator import CofferdamOperator, check_terms
from airflow_provider_cofferdam.schema import input_schema
from airflow_provider_cofferdam.signature import as_input, bound, check_function, names_of
from airflow_provider_cofferdam.values import check_json, is_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from airflow_provider_cofferdam.mapping import Known


class _CofferdamDecoratedOperator(DecoratedOperator, CofferdamOperator):
    """The operator behind the decorator."""

    template_fields: Sequence[str] = ("op_args", "op_kwargs", "task", "limits")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "limits": "json",
    }
    custom_operator_name = "@task.cofferdam"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        task: str,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            task=task,
            **kwargs,
        )

    def _check_input(self) -> None:
        # The decorator looked at its own task's; `override` may have named another.
        _check_names(self.task, self.python_callable)
        arguments = bound(self.python_callable, list(self.op_args), self.op_kwargs)
        _check_arguments(self.task, {name: [value] for name, value in arguments.items()})

    def _input(self, context: Context) -> Any:
        arguments = bound(self.python_callable, list(self.op_args), self.op_kwargs, context)
        return as_input(arguments)


class _FunctionChecks(Checks):
    """What is looked at when a decorated function is expanded. Of a parameter that is not given
    nothing is known: ``default_args`` go before its own default."""

    def fixed(self, mappable: Any) -> Mapping[str, Any]:
        return mappable.kwargs.get("op_kwargs") or {}

    def check(self, mappable: Any, known: Known) -> None:
        task = mappable.kwargs["task"]
        check_terms([task], [mappable.kwargs.get("limits")])
        _check_names(task, mappable.function)
        _check_arguments(task, known)


_CHECKS = _FunctionChecks()


def _check_names(task: str, function: Callable[..., Any]) -> None:
    """The parameters' names, all of which a mapped task has only when it runs."""
    schema = input_schema(task)
    if schema is not None:
        schema.check_names(names_of(function))


def _check_arguments(task: str, known: Known) -> None:
    """The values that each parameter can have, as far as they are known."""
    schema = input_schema(task)
    for name, values in known.items():
        for value in values:
            check_json(value, name)
            if schema is not None:
                schema.check_value(name, value)


def cofferdam_task(task: str | None = None, **kwargs: Any) -> TaskDecorator:
    """Makes a task of a function that is nothing but its signature.

    :param task: the name of the task, as ``cofferdam tasks`` lists it.
    :param kwargs: what :class:`CofferdamOperator` takes, and every operator.
    """
    if not isinstance(task, str):
        raise TypeError('name the task: @task.cofferdam("invoice-sync")')
    if "input" in kwargs:
        raise TypeError("the function's parameters are the input; `input=` is CofferdamOperator's")
    if is_literal(task):
        check_task_name(task)
    # The names in a result are the task's choice: they become XCom keys only where the DAG's
    # author says so, and not because of the function's annotation.
    kwargs.setdefault("multiple_outputs", False)
    make = task_decorator_factory(
        decorated_operator_class=_CofferdamDecoratedOperator, task=task, **kwargs
    )

    def decorate(function: Callable[..., Any]) -> Any:
        # Here and not in the operator: a mapped function's operator is made when it runs.
        check_function(function)
        _check_names(task, function)
        return with_checks(make(function), _CHECKS)

    return decorate  # type: ignore[return-value]


__all__ = ["cofferdam_task"]
