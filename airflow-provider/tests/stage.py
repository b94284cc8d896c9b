"""A task instance without Airflow, and a runner without a host."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

from airflow_provider_cofferdam.attempt import Attempt, Submission
from airflow_provider_cofferdam.log import LogEntry
from airflow_provider_cofferdam.report import Report
from airflow_provider_cofferdam.runner import Begun, Ending
from tests.fakes import documents


class TaskInstance(SimpleNamespace):
    def __init__(self, **members):
        defaults = {
            "id": uuid.UUID(int=7),
            "dag_id": "examples",
            "task_id": "greet",
            "run_id": "manual__2026-11-27T12:00:00+00:00",
            "try_number": 1,
            "map_index": -1,
            "bundle_instance": SimpleNamespace(name="dags-folder"),
        }
        super().__init__(**{**defaults, **members})
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


def context(**members):
    return {"ti": TaskInstance(**members)}


def attempt(**members):
    return Attempt(
        **{
            "dag_id": "examples",
            "task_id": "greet",
            "run_id": "manual__1",
            "try_number": 1,
            "map_index": -1,
            **members,
        }
    )


def submission(input=None, *, key="key-1", limits=None, **members):
    return Submission(
        task="hello",
        attempt=attempt(**members),
        input={} if input is None else input,
        limits=limits or {},
        key=key,
    )


class FakeRunner:
    """Ends as it is told to."""

    is_service = True
    place = "a fake"

    def __init__(self, exit=0, ending=None, **members):  # noqa: A002
        self.report = documents.report(exit=exit, **members)
        self._ending = ending
        self.is_stopped = False
        self.under_way = []
        self.submissions = []
        self.cancelled = []
        self.others = []
        self.does_end = True
        self.fault = None
        self.closed = False

    def unfinished(self, attempt):
        return self.under_way

    def begin(self, submission):
        self.submissions.append(submission)
        if self.fault is not None:
            raise self.fault
        return Begun(run=documents.RUN, terms=documents.TERMS)

    def follow(self, run, after=0):
        for number in range(after + 1, 4):
            yield LogEntry.parse(documents.line(number, f"line {number}"))

    def end(self, run):
        report = Report.parse(self.report)
        return self._ending or Ending(run=run, report=report, is_stopped=self.is_stopped)

    def cancel(self, run, seconds):
        self.cancelled.append((run, seconds))
        return self.does_end

    def cancel_other(self, run, seconds):
        self.others.append(run)
        return self.does_end

    def close(self):
        self.closed = True
