"""Connections, and the configuration in place of one."""

import json

import pytest

from airflow_provider_cofferdam.compat import AirflowNotFoundException
from airflow_provider_cofferdam.fault import Fault
from airflow_provider_cofferdam.hook import CofferdamHook
from airflow_provider_cofferdam.runner import LocalRunner, ServiceRunner


@pytest.fixture
def connect(monkeypatch):
    def connect(**members):
        extra = members.pop("extra", None)
        text = json.dumps({"conn_type": "cofferdam", "extra": extra or {}, **members})
        monkeypatch.setenv("AIRFLOW_CONN_COFFERDAM_TEST", text)
        return CofferdamHook("cofferdam_test")

    return connect


def test_a_socket_is_a_service(connect):
    hook = connect(host="/run/cofferdam.sock", extra={"patience": 7})
    settings = hook.settings()
    assert settings.socket == "/run/cofferdam.sock"
    assert settings.patience == 7
    assert isinstance(hook.runner(), ServiceRunner)


@pytest.mark.parametrize(
    ("host", "server"),
    [("https://c.example.com:8443", "https://c.example.com:8443"),
     ("https://c.example.com/", "https://c.example.com:443"),
     ("https://[::1]:8443", "https://[::1]:8443")],
)  # fmt: skip
def test_an_address_is_a_service(connect, host, server):
    hook = connect(host=host, password="token-of-tests")
    assert hook.settings().server == server
    assert hook.settings().token == "token-of-tests"
    assert "token-of-tests" not in repr(hook.settings())


def test_no_host_is_the_binary(connect, binary):
    hook = connect(extra={"binary": str(binary.path), "config": str(binary.config)})
    assert isinstance(hook.runner(), LocalRunner)


def test_what_the_connection_does_not_say_the_configuration_does(connect, configured, binary):
    configured(binary=binary.path, config="/c.toml", environment=" A, B ,", patience=9)
    settings = connect(extra={"config": "/other.toml"}).settings()
    assert settings.binary == str(binary.path)
    assert settings.config == "/other.toml"
    assert settings.environment == ("A", "B")
    assert settings.patience == 9


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"host": "c.example.com"}, "no address of a service"),
        ({"host": "http://c.example.com"}, "no address of a service"),
        ({"host": "https://user:hunter2@c.example.com"}, "no address of a service"),
        ({"host": "https://c.example.com/x"}, "no address of a service"),
        ({"host": "https://c.example.com:x"}, "no address of a service"),
        ({"host": "https://c", "extra": {"client_key": "/k"}}, "one of `client_certificate`"),
        ({"host": "https://c", "password": "x", "extra": {"token_file": "/t"}}, "keep one"),
        ({"host": "/s", "password": "x"}, "a Unix socket and the binary take neither"),
        ({"extra": {"ca": "/x"}}, "a Unix socket and the binary take neither"),
        ({"extra": {"binary": 3}}, "`binary` in the extra"),
        ({"extra": {"patience": "soon"}}, "`patience` in the extra"),
    ],
)
def test_mistakes(connect, members, words):
    with pytest.raises(Fault) as wrong:
        connect(**members).settings()
    assert words in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


def missing(monkeypatch):
    def get(cls, conn_id):
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(CofferdamHook, "get_connection", classmethod(get))


def test_without_a_connection_the_configuration_decides(monkeypatch, configured):
    missing(monkeypatch)
    configured(socket="/run/c.sock")
    assert CofferdamHook().settings().socket == "/run/c.sock"
    configured(socket="", server="https://c:1")
    assert CofferdamHook().settings().server == "https://c:1"
    configured(socket="/x")
    with pytest.raises(Fault, match="`socket` and `server`"):
        CofferdamHook().settings()


def test_the_configuration_names_what_an_address_needs(monkeypatch, configured):
    missing(monkeypatch)
    proofs = {
        "ca": "/etc/cofferdam/authority.pem",
        "client_certificate": "/etc/cofferdam/worker.pem",
        "client_key": "/etc/cofferdam/worker.key",
        "token_file": "/run/cofferdam/token",
    }
    configured(server="https://c:8443", **proofs)
    settings = CofferdamHook().settings()
    assert {name: getattr(settings, name) for name in proofs} == proofs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server": "https://c", "client_key": "/k"}, "[cofferdam] has one of"),
        ({"server": "https://c", "client_certificate": "/c"}, "name both, or neither"),
        ({"socket": "/s", "ca": "/x"}, "[cofferdam] has a certificate or a token and no"),
        ({"token_file": "/t"}, "a Unix socket and the binary take neither"),
        ({"server": "http://c"}, "[cofferdam] server is no address of a service"),
    ],
)
def test_mistakes_in_the_configuration(monkeypatch, configured, options, words):
    missing(monkeypatch)
    configured(**options)
    with pytest.raises(Fault) as wrong:
        CofferdamHook().settings()
    assert words in str(wrong.value)
    assert wrong.value.hint


def test_the_configurations_proofs_are_not_for_a_connection(connect, configured):
    configured(server="https://c:8443", ca="/x", token_file="/t")
    assert connect(host="/run/c.sock").settings().token_file is None


def test_a_connection_that_was_named_has_to_be_there(monkeypatch, configured):
    missing(monkeypatch)
    configured(socket="/run/c.sock")
    with pytest.raises(AirflowNotFoundException):
        CofferdamHook("mine").settings()


def test_a_number_that_is_none(configured):
    configured(patience="long")
    with pytest.raises(ValueError, match=r"\[cofferdam\] patience is `long`"):
        CofferdamHook().settings()


def test_the_trigger_reads_the_same(connect, service):
    import asyncio

    hook = connect(host=service.path)
    watch = asyncio.run(hook.watch("run"))
    assert watch._place.name == service.path


def test_testing_a_service(connect, service):
    hook = connect(host=service.path)
    assert hook.test_connection() == (True, f"cofferdam 0.1.0 at {service.path} takes runs")
    service.ready = {
        "ready": False,
        "checks": [
            {"name": "audit", "ok": True},
            {"name": "vault", "ok": False, "problem": "no node serves"},
        ],
    }
    ok, words = hook.test_connection()
    assert not ok
    assert words.endswith("takes no runs: vault: no node serves")
    service.stop()
    ok, words = hook.test_connection()
    assert not ok
    assert "cannot connect" in words
    service.start()


def test_testing_a_binary(connect, binary):
    hook = connect(extra={"binary": str(binary.path), "config": str(binary.config)})
    ok, words = hook.test_connection()
    assert (ok, words) == (True, "cofferdam doctor: 1 ok, 0 warning, 0 fault, 0 not proven")
    binary.config.with_name("cofferdam.toml.faulty").touch()
    ok, words = hook.test_connection()
    assert not ok
    assert words.endswith("the journal: is read-only (cure: chmod)")
    binary.path.write_text("#!/bin/sh\nexit 3\n")
    assert hook.test_connection() == (
        False,
        f"`{binary.path} doctor` ended with 3 and without its document",
    )
    hook = connect(extra={"binary": "/nowhere/cofferdam"})
    assert hook.test_connection()[1].startswith("`binary` names /nowhere/cofferdam")
