"""A task's lines in Airflow's log."""

import json
import signal
import threading
import time

import pytest

from airflow_provider_cofferdam import log
from airflow_provider_cofferdam.log import LogEntry, harmless, write
from tests.fakes.documents import line


def entry(message="hello", **members):
    return LogEntry.parse({**line(1), "message": message, **members})


@pytest.mark.parametrize(
    ("level", "written"),
    [("trace", "debug"), ("debug", "debug"), ("info", "info"), ("warn", "warning"),
     ("error", "error"), ("of a later host", "info")],
)  # fmt: skip
def test_levels(monkeypatch, level, written):
    # Not through Airflow's loggers: they leave out what is below their own level.
    said = []

    class Logger:
        def __getattr__(self, method):
            return lambda event, **fields: said.append(method)

    monkeypatch.setattr(log.structlog, "get_logger", lambda **_: Logger())
    write(entry(level=level))
    assert said == [written]


def test_a_line_has_its_own_time_and_number(logged):
    write(entry(time="2026-11-27T12:00:00.123456789Z"))
    assert logged == [
        {
            "event": "> hello",
            "log_level": "info",
            "logger_name": "cofferdam.task",
            "sequence": 1,
            "module": "hello",
            "timestamp": "2026-11-27T12:00:00.123456Z",
        }
    ]


@pytest.mark.parametrize(
    ("time", "written"),
    [("2026-11-27T12:00:00Z", "2026-11-27T12:00:00.000000Z"),
     ("2026-11-27T12:00:00.5Z", "2026-11-27T12:00:00.500000Z"),
     ("2026-13-27T12:00:00Z", None), ("yesterday", None), (None, None), (17, None)],
)  # fmt: skip
def test_a_time_that_is_none_is_left_to_airflow(logged, time, written):
    write(entry(time=time))
    assert logged[0].get("timestamp") == written


def test_a_percent_sign_is_text(logged):
    write(entry("100% of %s"))
    assert logged[0]["event"] == "> 100% of %s"


@pytest.mark.parametrize(
    "text", ["::group::x", "a ::endgroup::", "::GROUP::", "x::group::::group::"]
)
def test_a_task_cannot_fold_the_log(logged, text):
    # Airflow's page looks for the marks anywhere in a line.
    write(entry(text, target=text))
    for field in ("event", "module"):
        assert "::group::" not in logged[0][field].lower()
        assert "::endgroup::" not in logged[0][field].lower()


def test_control_characters_are_shown():
    assert harmless("a\nb\x1b[1m\u202eä\t.") == "a\\nb\\x1b[1m\\u202eä\t."


def test_the_hosts_own_words_bear_no_mark(logged):
    write(LogEntry(level="info", target="cofferdam", message="hello", origin="host"))
    assert logged[0]["event"] == "hello"
    assert logged[0]["logger_name"] == "cofferdam.host"


@pytest.mark.parametrize("document", [{}, [], None, {**line(1), "sequence": "1"}, {**line(0)}])
def test_what_is_no_line(document):
    with pytest.raises(ValueError, match="no line"):
        LogEntry.parse(document)


def as_airflow_writes(document):
    """A line as it comes out of the processors of a worker."""
    import structlog
    from airflow.sdk.log import logging_processors

    event = {"event": document["event"], **document}
    event.pop("log_level")
    *processors, last = logging_processors(json_output=True)
    for processor in processors:
        event = processor(structlog.get_logger(), "info", event)
    return last(None, "info", event)


def test_airflow_keeps_the_time_of_a_line(logged):
    write(entry(time="2026-11-27T12:00:00.123456789Z"))
    written = json.loads(as_airflow_writes(logged[0]))
    assert written["timestamp"] == "2026-11-27T12:00:00.123456Z"
    assert written["event"] == "> hello"
    assert written["logger"] == "cofferdam.task"


def test_airflows_supervisor_takes_a_line(logged):
    """It hands a line's fields on as arguments of its own, some of whose names are taken."""
    import structlog
    from airflow.sdk.execution_time.supervisor import process_log_messages_from_subprocess

    write(entry(time="2026-11-27T12:00:00.123456789Z"))
    line = as_airflow_writes(logged[0])
    took = []

    def last(logger, method, event):
        took.append(event)
        raise structlog.DropEvent

    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[last])
    reader = process_log_messages_from_subprocess((logger,))
    next(reader)
    reader.send(line if isinstance(line, bytes) else line.encode())
    (event,) = took
    assert event["event"] == "> hello"
    assert event["sequence"] == 1
    assert event["timestamp"].isoformat() == "2026-11-27T12:00:00.123456+00:00"


def test_airflows_reader_drops_what_a_restarted_triggerer_repeats(logged):
    """Two files of one try: the second triggerer read the log from the same cursor again, further
    than the first had come. The lines share milliseconds, which is what its order goes by."""
    from airflow.utils.log.file_task_handler import _interleave_logs

    for number in range(1, 41):
        time = f"2026-11-27T12:00:00.{number // 10:03d}{number:03d}Z"
        write(LogEntry.parse(line(number, f"line {number % 3}", time=time)))
    lines = [as_airflow_writes(document) for document in logged]
    lines = [text if isinstance(text, str) else text.decode() for text in lines]
    preamble = '{"event": "trigger starting", "timestamp": "2026-11-27T11:59:59.%06dZ"}'
    first = [preamble % 1, *lines[:25]]
    second = [preamble % 2, *lines]
    read = [message.event for message in _interleave_logs(iter(first), iter(second))]
    assert read == ["trigger starting"] * 2 + [document["event"] for document in logged]
    # The control: what differs in anything is kept.
    changed = [text.replace('"sequence":', '"number":') for text in lines]
    assert len(list(_interleave_logs(iter(first), iter([preamble % 2, *changed])))) == 67


def entries(count):
    return [LogEntry.parse(line(number, str(number))) for number in range(1, count + 1)]


def test_the_writer_has_written_all_before_it_ends(monkeypatch):
    written = []
    monkeypatch.setattr(log, "write", lambda entry: written.append(entry.sequence))
    with log.writer() as put:
        for entry in entries(3_000):
            put(entry)
    assert written == list(range(1, 3_001))


def test_a_log_that_takes_no_line_is_told_at_the_end(monkeypatch):
    def broken(entry):
        raise OSError("nobody reads")

    monkeypatch.setattr(log, "write", broken)

    def write_all():
        with log.writer() as put:
            for entry in entries(2_000):
                put(entry)

    with pytest.raises(OSError, match="nobody reads"):
        write_all()


def test_an_alarm_in_the_middle_of_a_line_can_write_one_itself(monkeypatch):
    """Airflow's `execution_timeout`: its handler writes to the log that we write to."""
    lock, got = threading.Lock(), []

    def slow(entry):
        with lock:
            time.sleep(0.3)

    def on_alarm(signum, frame):
        got.append(lock.acquire(timeout=5))
        lock.release()

    monkeypatch.setattr(log, "write", slow)
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with log.writer() as put:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            put(entries(1)[0])
            until = time.monotonic() + 10
            while not got and time.monotonic() < until:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert got == [True]


def test_who_is_interrupted_does_not_wait_for_a_log_that_stands(monkeypatch):
    """He has a run to cancel."""
    stands = threading.Event()
    monkeypatch.setattr(log, "write", lambda entry: stands.wait(20))

    def interrupted():
        with log.writer() as put:
            put(entries(1)[0])
            raise KeyboardInterrupt

    since = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - since < 5
    stands.set()
