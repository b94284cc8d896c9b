"""The operator that runs a task."""

from __future__ import annotations

import inspect
import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_cofferdam.aside import within
from airflow_provider_cofferdam.attempt import (
    Submission,
    attempt_of,
    check_task_name,
    key_of,
)
from airflow_provider_cofferdam.compat import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    conf,
)
from airflow_provider_cofferdam.config import Config
from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.limits import checked_limits
from airflow_provider_cofferdam.links import CofferdamAuditLink
from airflow_provider_cofferdam.log import harmless, writer
from airflow_provider_cofferdam.mapping import Checks, with_checks
from airflow_provider_cofferdam.outcome import judge, refused
from airflow_provider_cofferdam.schema import input_schema
from airflow_provider_cofferdam.values import as_json, check_json, is_literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_provider_cofferdam.mapping import Known
    from airflow_provider_cofferdam.report import Report
    from airflow_provider_cofferdam.runner import Begun, Runner

# Under which other tasks, and people, find the run.
XCOM_KEY = "cofferdam"

# Airflow kills 5 s after it asked a task to end. The rest is for what comes after.
KILL_SECONDS = 4.0
_LAST_LINE = 0.3

# For the report of a run that is over, after a timeout.
_LAST_REPORT = 2.0

# An earlier try's run is given the time that its own end may take.
_EARLIER_SECONDS = 30.0


class CofferdamOperator(BaseOperator):
    """Runs a task in Cofferdam's sandbox, under credentials of this attempt alone.

    :param task: the name of the task, as ``cofferdam tasks`` lists it (templated).
    :param input: any JSON value; ``{}`` when absent (templated).
    :param limits: ``timeout``, ``memory``, ``output``, ``log``, ``host_calls``: may only tighten
        what the grants file says (templated).
    :param cofferdam_conn_id: where it runs, see :class:`CofferdamHook`.
    :param deferrable: give the worker back while a service runs the task.
    :param max_result_bytes: the largest result that goes to XCom, as JSON; default:
        ``max_result_bytes`` under ``[cofferdam]``.
    """

    template_fields: Sequence[str] = ("task", "input", "limits")
    template_fields_renderers: ClassVar[dict[str, str]] = {"input": "json", "limits": "json"}
    operator_extra_links = (CofferdamAuditLink(),)
    ui_color = "#dfe7ee"

    def __init__(
        self,
        *,
        task: str,
        input: Any = None,
        limits: Mapping[str, str | int] | None = None,
        cofferdam_conn_id: str = CofferdamHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_result_bytes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task = task
        self.input = {} if input is None else input
        self.limits = limits
        self.cofferdam_conn_id = cofferdam_conn_id
        self.deferrable = deferrable
        self.max_result_bytes = max_result_bytes
        # The run's id once there is one; the link reads it.
        self.cofferdam_run: str | None = None
        self._runner: Runner | None = None
        self._kill_until: float | None = None
        # Whether the log says already how the run ended.
        self._is_told = False
        self._check()

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Airflow's, whose ``expand`` looks at what is written out."""
        return with_checks(super().partial(**kwargs), _CHECKS)

    def execute(self, context: Context) -> Any:
        runner = self._opened()
        with self._ends(context, runner):
            submission = self._submission(context)
            self._end_earlier_tries(runner, submission)
            if self._kill_until is not None:
                raise Fault("cancelled before it was begun", exit=Exit.CANCELLED)
            begun = runner.begin(submission)
            self.cofferdam_run = begun.run
            self._tell_begun(begun, submission, runner)
            if self.deferrable:
                # Here, since Airflow's base of triggers takes its time to import, in every
                # task's process.
                from airflow_provider_cofferdam.trigger import CofferdamTrigger

                self.defer(
                    trigger=CofferdamTrigger(
                        cofferdam_conn_id=self.cofferdam_conn_id, run=begun.run
                    ),
                    method_name="execute_complete",
                    timeout=self.execution_timeout,
                )
            return self._finish(context, runner, begun.run, after=0)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Goes on where the trigger left off."""
        self.cofferdam_run = str(event["run"])
        runner = self._opened()
        with self._ends(context, runner):
            return self._finish(context, runner, self.cofferdam_run, after=int(event["after"]))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """A trigger that ran out of time, or failed, leaves its run behind: it is cancelled
        here, since a trigger is not asked to."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError):
            self._cancel_this_try(context)
            raise

    def on_kill(self) -> None:
        """Cancels the run and waits until its authority is revoked, at most four seconds in
        all. Called from a signal handler, or after ``execution_timeout``; can be called again.
        """
        # First, and without a runner too: a task that is asked to end while it looks its
        # connection up must not begin anything later.
        if self._kill_until is None:
            self._kill_until = time.monotonic() + KILL_SECONDS - _LAST_LINE
        runner = self._runner
        if runner is None or self._is_told:
            return
        is_over = runner.cancel(self.cofferdam_run, max(self._kill_until - time.monotonic(), 0.0))
        words = _words_of_kill(self.cofferdam_run, is_over=is_over)

        def tell() -> bool:
            self.log.info(words)
            return True

        # The signal may have interrupted somebody who writes to the same log.
        within(_LAST_LINE, tell)

    def _check(self) -> None:
        """What can be known when the DAG is parsed."""
        check_terms([self.task], [self.limits])
        check_json(self.input, "input")
        self._check_input()

    def _check_input(self) -> None:
        schema = input_schema(self.task)
        if schema is not None:
            schema.check_input(self.input)

    def _input(self, context: Context) -> Any:
        """The input, rendered."""
        return self.input

    def _submission(self, context: Context) -> Submission:
        try:
            value = as_json(self._input(context), "input")
            schema = input_schema(self.task)
            if schema is not None:
                schema.check_input(value)
            limits = checked_limits(self.limits)
            # As it will be sent: half a surrogate pair is text to Python and to nobody else.
            json.dumps([value, limits], ensure_ascii=False, allow_nan=False).encode()
        except RecursionError:
            raise Fault("`input` is nested too deep", exit=Exit.USAGE) from None
        except UnicodeEncodeError:
            raise Fault(
                "`input` or `limits` holds text that is no Unicode", exit=Exit.USAGE
            ) from None
        except ValueError as error:
            raise Fault(str(error), exit=Exit.USAGE) from None
        return Submission(
            task=check_task_name(self.task),
            attempt=attempt_of(context),
            input=value,
            limits=limits,
            key=key_of(context),
        )

    def _opened(self) -> Runner:
        try:
            runner = CofferdamHook(self.cofferdam_conn_id).runner()
        except Fault as fault:
            raise refused(fault) from None
        if self.deferrable and not runner.is_service:
            raise AirflowFailException(
                f"`deferrable` needs a service, and `{self.cofferdam_conn_id}` leads to "
                f"{runner.place}, which ends with this process\n"
                "hint: name the service's socket or `https://` address in the connection, or set "
                "`deferrable=False`"
            )
        self._runner = runner
        if self._kill_until is not None:
            # Asked to end before there was anybody to tell.
            runner.cancel(self.cofferdam_run, max(self._kill_until - time.monotonic(), 0.0))
        return runner

    def _end_earlier_tries(self, runner: Runner, submission: Submission) -> None:
        """Two tries must not run at once. One whose worker died may still be under way."""
        number = submission.attempt.try_number
        if number <= 1:
            return
        for other in runner.unfinished(submission.attempt):
            if other.try_number >= number:
                continue
            self.log.warning("run %s of try %s still runs: cancelling", other.run, other.try_number)
            if not runner.cancel_other(other.run, _EARLIER_SECONDS):
                raise Fault(
                    f"run {other.run} of try {other.try_number} does not end",
                    exit=Exit.RETRY,
                    hint="two tries must not run at once; it ends at its own limit",
                )
            self.log.info("run %s is cancelled and its authority revoked", other.run)

    @contextmanager
    def _ends(self, context: Context, runner: Runner) -> Iterator[None]:
        """What comes of a run that gives no report of its own accord."""
        try:
            yield
        except Fault as fault:
            raise refused(fault) from None
        except AirflowTaskTimeout:
            # Airflow calls `on_kill` next, which has no context. Nobody interrupts us here.
            self.on_kill()
            self._publish_timed_out(context, runner)
            raise

    def _finish(self, context: Context, runner: Runner, run: str, *, after: int) -> Any:
        try:
            with writer() as write:
                for entry in runner.follow(run, after):
                    write(entry)
            ending = runner.end(run)
        except Fault:
            self._push(context, XCOM_KEY, self._reference(run, "unknown"))
            raise
        runner.close()
        report = ending.report
        if report is not None:
            self._publish_ending(context, report)
        else:
            self._push(context, XCOM_KEY, self._reference(run, "lost"))
        most = self.max_result_bytes
        verdict = judge(
            ending,
            max_result_bytes=Config.load().max_result_bytes if most is None else most,
            is_killed=self._kill_until is not None,
        )
        if verdict.error is None:
            self._check_outputs(context, run, verdict.result)
            return verdict.result
        if isinstance(verdict.error, AirflowSkipException):
            # Airflow itself does not say why.
            self.log.info("%s", verdict.error)
        if verdict.has_result and self.do_xcom_push:
            # The work is done; who clears the failure by hand finds what it gave.
            self._push(context, "return_value", verdict.result)
        raise verdict.error

    def _check_outputs(self, context: Context, run: str, result: Any) -> None:
        """With ``multiple_outputs`` Airflow makes an XCom of each field of the result, after
        ours. What it cannot do would be an ordinary failure, and the work done once more."""
        is_used = getattr(self, "multiple_outputs", False) and self.do_xcom_push
        if not is_used or result is None:
            return
        if not isinstance(result, dict):
            wrong = "is no object, and `multiple_outputs` makes an XCom of each field of one"
        elif XCOM_KEY in result:
            wrong = (
                f"has a field `{XCOM_KEY}`, which with `multiple_outputs` would hide the run's own "
                "XCom of that name"
            )
        else:
            return
        self._push(context, "return_value", result)
        raise AirflowFailException(
            f"the result of run {run} {wrong}\n"
            "hint: the work is done, so there is no retry; leave `multiple_outputs` off"
        )

    def _reference(self, run: str, outcome: str) -> dict[str, Any]:
        """That of a run whose report there is none of."""
        return {
            "run": run,
            "task": self.task,
            "outcome": outcome,
            "show": f"cofferdam audit show {run}",
        }

    def _cancel_this_try(self, context: Context) -> None:
        try:
            runner = self._opened()
            attempt = attempt_of(context)
            for found in runner.unfinished(attempt):
                if found.try_number == attempt.try_number:
                    self.cofferdam_run = found.run
                    self.on_kill()
        except Exception as error:  # noqa: BLE001 - what it failed for is what is told
            self.log.error("the run could not be cancelled: %s", error)

    def _push(self, context: Context, key: str, value: Any) -> None:
        ti: Any = context["ti"]
        ti.xcom_push(key=key, value=value)

    def _tell_begun(self, begun: Begun, submission: Submission, runner: Runner) -> None:
        terms = begun.terms or {}
        grants = ", ".join(str(grant) for grant in terms.get("grants") or ())
        limits = ", ".join(f"{name} {value}" for name, value in (terms.get("limits") or {}).items())
        again = " (begun before by this try, and found again)" if begun.is_replayed else ""
        self.log.info(
            "run %s of task `%s` by %s%s", begun.run, submission.task, runner.place, again
        )
        if begun.terms is not None:
            self.log.info("grants: %s; limits: %s", grants or "none", harmless(limits) or "none")

    def _publish_timed_out(self, context: Context, runner: Runner) -> None:
        """After Airflow's timeout: what the ending leaves, if the host tells it in time."""
        run, found = self.cofferdam_run, []
        if run is None:
            return

        def look() -> bool:
            with suppress(Fault):
                found.append(runner.end(run).report)
            return bool(found)

        # Bounded: what the timeout interrupted may have left a connection in no state.
        if within(_LAST_REPORT, look) and found[0] is not None:
            self._publish_ending(context, found[0])

    def _publish_ending(self, context: Context, report: Report) -> None:
        """Says in the log how the run ended, and leaves its reference as XCom."""
        self._is_told = True
        spent = f" in {report.milliseconds / 1000:.3f} s" if report.milliseconds is not None else ""
        self.log.info("run %s %s%s; %s", report.run, report.word, spent, report.revoked())
        self.log.info("audit: `%s`", report.show)
        self._push(context, XCOM_KEY, report.reference())


def _words_of_kill(run: str | None, *, is_over: bool) -> str:
    """What is known once the time to cancel is over."""
    if run is None:
        what = "what was being begun"
        return (
            f"{what} is cancelled, and nothing of it is alive"
            if is_over
            else f"{what} was to be cancelled, and no word came back that it is"
        )
    if is_over:
        return f"run {run} is cancelled and its authority revoked; `cofferdam audit show {run}`"
    # Nobody was there to hear it, or revoking takes its time.
    return (
        f"run {run} was to be cancelled, and no word came back yet that its authority is "
        f"revoked; `cofferdam audit show {run}` says what became of it"
    )


def check_terms(tasks: Sequence[Any], limits: Sequence[Any]) -> None:
    """Names of tasks and limits, as far as they are known when the DAG is parsed."""
    for task in filter(is_literal, tasks):
        check_task_name(task)
    for one in filter(is_literal, limits):
        checked_limits(one)


class _OperatorChecks(Checks):
    """What is looked at when a partial operator is expanded. Of an input that is absent nothing
    is known: ``default_args`` may have it."""

    def fixed(self, mappable: OperatorPartial) -> Mapping[str, Any]:
        return mappable.kwargs

    def check(self, mappable: OperatorPartial, known: Known) -> None:
        if not _has_our_parameters(mappable.operator_class):
            return
        tasks, inputs = known.get("task", ()), known.get("input", ())
        check_terms(tasks, known.get("limits", ()))
        for value in inputs:
            check_json(value, "input")
        for task in tasks:
            schema = input_schema(task)
            if schema is not None:
                for value in inputs:
                    schema.check_input({} if value is None else value)


_CHECKS = _OperatorChecks()


def _has_our_parameters(operator_class: type[BaseOperator]) -> bool:
    """A subclass with an ``__init__`` of its own may make something else of what it gets.
    (Airflow wraps that of every class.)"""
    ours, theirs = CofferdamOperator.__init__, operator_class.__init__
    return inspect.unwrap(theirs) is inspect.unwrap(ours)
