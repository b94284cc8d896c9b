"""What each end of a run means to Airflow."""

import pytest

from airflow_provider_cofferdam.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.outcome import judge, refused
from airflow_provider_cofferdam.report import Report
from airflow_provider_cofferdam.runner import Ending
from tests.fakes.documents import RUN, report


def verdict(exit, *, most=1000, is_killed=False, **members):  # noqa: A002
    ending = Ending(run=RUN, report=Report.parse(report(exit=exit, **members)))
    return judge(ending, max_result_bytes=most, is_killed=is_killed)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (1, AirflowException, "failed: no such month"),
        (75, AirflowException, "asks to be tried again: the API is away"),
        (4, AirflowException, "refused: no Vault"),
        (5, AirflowException, "stopped at its limit `timeout`"),
        (2, AirflowFailException, "refused: no grants\nhint: write them"),
        (3, AirflowFailException, "refused: dag_id is not it"),
        (6, AirflowFailException, "trapped: unreachable"),
        (99, AirflowSkipException, "skipped: nothing to do"),
        (130, AirflowFailException, "somebody cancelled it at the host"),
    ],
)
def test_each_exit_has_its_exception(code, kind, words):
    error = verdict(code).error
    assert type(error) is kind
    assert words in str(error)
    assert f"cofferdam audit show {RUN}" in str(error)


def test_a_cancelled_run_that_airflow_ended_follows_the_retries():
    assert type(verdict(130, is_killed=True).error) is AirflowException


def test_a_run_that_is_done_has_its_result_and_no_error():
    done = verdict(0)
    assert done.error is None
    assert done.result == {"greeting": "Hello, Ada!"}


def test_a_null_is_a_result():
    done = verdict(0, result=None)
    assert done.has_result
    assert done.result is None


def test_done_and_not_revoked_has_both():
    done = verdict(7)
    assert done.has_result
    assert done.result == {"greeting": "Hello, Ada!"}
    assert type(done.error) is AirflowFailException
    assert "the work is done" in str(done.error)
    assert "cofferdam sweep" in str(done.error)
    assert "NOT revoked" in str(done.error)


def test_done_and_no_whole_audit_says_so():
    text = str(verdict(7, revocation={"complete": True}).error)
    assert "its audit could not be written to its end" in text
    assert "sweep" not in text


def of_a_later_host(most=1000, **members):
    ending = Ending(run=RUN, report=Report.parse({**report(), "exit": 8, **members}))
    return judge(ending, max_result_bytes=most)


def test_an_exit_of_a_later_host_that_says_the_work_is_done_is_not_tried_again():
    done = of_a_later_host()
    assert done.result == {"greeting": "Hello, Ada!"}
    assert type(done.error) is AirflowFailException
    text = str(done.error)
    assert "exit code 8 is none that this provider knows: it is older than the host" in text
    assert "no retry" in text
    assert not of_a_later_host(most=3).has_result, "what does not fit does not fit"


@pytest.mark.parametrize("kind", ["failed", "of a later host"])
def test_an_exit_of_a_later_host_follows_the_retries(kind):
    odd = of_a_later_host(outcome={"kind": kind, "message": "odd"})
    assert type(odd.error) is AirflowException
    assert not odd.has_result


def test_a_result_that_is_too_large_fails_without_a_retry():
    small = verdict(0, most=9, result="1234567")
    assert small.error is None, "nine bytes with its quotes"
    large = verdict(0, most=9, result="12345678")
    assert type(large.error) is AirflowFailException
    assert "10 bytes" in str(large.error)
    assert "max_result_bytes" in str(large.error)
    assert not large.has_result


def test_the_size_counts_bytes_and_not_characters():
    assert verdict(0, most=5, result="ää").error is not None
    assert verdict(0, most=6, result="ää").error is None


def test_the_error_tells_denials_limits_and_missing_rights():
    text = str(
        verdict(
            1,
            limits=["log"],
            denials=[{"grant": "http.billing", "operation": "send", "decision": "not_allowed",
                      "count": 3}],
            unlisted_denials=2,
            missing_rights={
                "policies": ["cofferdam-task-hello"],
                "refused": [{"grant": "keys.signer", "operation": "sign", "path": "transit/x"}],
            },
        ).error
    )  # fmt: skip
    assert "limit reached: log" in text
    assert "denied: http.billing send (not_allowed, 3 times)" in text
    assert "denied: 2 more" in text
    assert "vault refused: keys.signer sign on `transit/x`" in text
    assert "`cofferdam-task-hello`" in text
    assert "cofferdam policy hello --write" in text


def test_a_lost_run_may_be_tried_again_and_says_whether_it_was_swept():
    lost = judge(Ending(run=RUN, is_swept=False), max_result_bytes=1)
    assert type(lost.error) is AirflowException
    assert "may live" in str(lost.error)
    swept = judge(Ending(run=RUN, is_swept=True), max_result_bytes=1)
    assert "credentials are revoked" in str(swept.error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(2, AirflowFailException), (3, AirflowFailException), (4, AirflowException),
     (75, AirflowException)],
)  # fmt: skip
def test_a_refusal_maps_by_its_exit_and_tells_its_hint(code, kind):
    error = refused(Fault("no task `x`", exit=code, hint="look at the list"))
    assert type(error) is kind
    assert str(error) == "no task `x`\nhint: look at the list"


def test_what_a_task_says_cannot_fold_the_log():
    outcome = {"kind": "failed", "disposition": "fail", "message": "::group::x\n::endgroup::"}
    text = str(verdict(1, outcome=outcome).error)
    assert "::group::" not in text
    assert "::endgroup::" not in text


def test_a_report_of_a_later_host_is_read():
    assert verdict(0, something_new={"x": 1}).error is None
    with pytest.raises(ValueError, match="no report"):
        Report.parse({"run": RUN})
    with pytest.raises(ValueError, match="no report"):
        Report.parse([])


@pytest.mark.parametrize(
    "members",
    [
        {"outcome": "done"},
        {"outcome": None},
        {"outcome": {"kind": 1}},
        {"revocation": "complete"},
        {"revocation": {"complete": True, "leases": 3}},
        {"audit": "/var/lib/cofferdam/audit/1.jsonl"},
        {"missing_rights": ["http.billing"]},
        {"missing_rights": {"refused": ["http.billing"]}},
        {"denials": ["http.billing"]},
        {"milliseconds": "soon"},
        {"exit": float("inf")},
    ],
)
def test_a_report_of_another_shape_is_none(members):
    with pytest.raises(ValueError, match="this is no report of a run"):
        Report.parse({**report(), **members})


def test_a_report_that_leaves_parts_out_is_one():
    bare = {"run": RUN, "task": "hello", "exit": 0, "outcome": {"kind": "done"}, "audit": None}
    assert Report.parse(bare).revoked() == "nothing to revoke"
    assert Report.parse(bare).remarks() == []
    unrevoked = Report.parse({**bare, "revocation": {}})
    assert unrevoked.revoked().startswith("NOT revoked: a credential")


@pytest.mark.parametrize(
    "result",
    [
        {"__type": "airflow.sdk.io.path.ObjectStoragePath", "__var": {"path": "/etc/hostname"}},
        {"a": [{"__classname__": "airflow.sdk.definitions.asset.Asset"}]},
        [[{"__version__": 1}]],
        "\ud800",
        {"\udc00": 1},
        float("inf"),
    ],
)
def test_a_result_that_is_more_than_data_is_not_handed_on(result):
    unfit = verdict(0, result=result)
    assert type(unfit.error) is AirflowFailException
    assert "plain data" in str(unfit.error)
    assert not unfit.has_result


def test_a_result_that_is_nested_without_end():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    unfit = verdict(0, result=deep)
    assert type(unfit.error) is AirflowFailException
    assert "nested" in str(unfit.error)


def test_what_looks_like_it_and_is_not_is_data():
    plain = {"type": "x", "__typ": [1, {"_var": None}], "text": "__type"}
    assert verdict(0, result=plain).error is None


def test_a_result_over_the_hosts_own_limit_is_not_made_again():
    limit = {"kind": "out_of_limits", "limit": "output"}
    assert type(verdict(5, outcome=limit).error) is AirflowFailException
