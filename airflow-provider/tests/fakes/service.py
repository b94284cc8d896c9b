"""A service that speaks the protocol over a Unix socket, and can misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from urllib.parse import parse_qs, urlsplit

from tests.fakes.documents import TERMS, line, report


class Run:
    def __init__(self, submission):
        self.id = str(uuid.uuid4())
        self.submission = submission
        self.lines = []
        self.state = "running"
        self.report = None
        self.swept = None
        self.cancelled_by = None
        self.changed = threading.Condition()

    def say(self, *messages, **more):
        with self.changed:
            for message in messages:
                self.lines.append(line(len(self.lines) + 1, message, **more))
            self.changed.notify_all()

    def end(self, exit=0, cancelled_by=None, **members):  # noqa: A002
        with self.changed:
            self.state, self.cancelled_by = "ended", cancelled_by
            task = self.submission["task"]
            self.report = report(run=self.id, task=task, exit=exit, **members)
            self.changed.notify_all()

    def lose(self, *, swept):
        with self.changed:
            self.state, self.swept = "lost", swept
            self.changed.notify_all()

    @property
    def is_over(self):
        return self.state in ("ended", "lost")

    def view(self):
        view = {
            "run": self.id,
            "task": self.submission["task"],
            "attempt": {"map_index": -1, **self.submission["attempt"]},
            "state": self.state,
            "submitted": "2026-11-27T12:00:00Z",
            "terms": TERMS,
        }
        if self.report is not None:
            view["report"] = self.report
        if self.cancelled_by is not None:
            view["cancelled_by"] = self.cancelled_by
        if self.swept is not None:
            view["swept"] = self.swept
        return view


class FakeService:
    """``on_begin(run)`` plays the task; ``faults`` are answers given before the true one."""

    def __init__(self, path):
        self.path = str(path)
        self.runs = {}
        self.keys = {}
        self.requests = []
        self.bodies = []
        self.faults = []
        self.cut_log_after = []
        self.ready = {"ready": True, "checks": []}
        self.is_cancel_slow = threading.Event()
        self.revocation_seconds = 0.0
        self.on_begin = lambda run: (run.say("working"), run.end())
        self._server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        fake = self

        class Server(ThreadingMixIn, UnixStreamServer):
            daemon_threads = True
            allow_reuse_address = True

            # So that a fault that is provoked makes no noise.
            def handle_error(self, *_):
                pass

        handler = type("Handler", (_Handler,), {"fake": fake})
        self._open = set()
        self._server = Server(self.path, handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in list(self._open):
                # As when the process dies.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            os.unlink(self.path)

    def asked(self, pattern):
        """The requests that match."""
        return [one for one in self.requests if re.search(pattern, one[0])]

    @property
    def only(self):
        (run,) = self.runs.values()
        return run


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = False
    fake: FakeService

    def setup(self):
        super().setup()
        self.fake._open.add(self.connection)

    def finish(self):
        self.fake._open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._handle()

    def do_POST(self):
        self._handle()

    def _handle(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        self.fake.requests.append(
            (
                f"{self.command} {self.path}",
                {name.lower(): value for name, value in self.headers.items()},
            )
        )
        self.fake.bodies.append(body)
        if self.fake.faults:
            fault = self.fake.faults.pop(0)
            if fault == "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if fault is not None:
                self._answer(*fault)
                return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        steps = parts.path.strip("/").split("/")
        match (self.command, *steps):
            case ("GET", "v1", "version"):
                self._answer(200, {"name": "cofferdam", "version": "0.1.0", "api": "1"})
            case ("GET", "v1", "health", "ready"):
                self._answer(200 if self.fake.ready["ready"] else 503, self.fake.ready)
            case ("POST", "v1", "runs"):
                self._submit(json.loads(body))
            case ("GET", "v1", "runs"):
                views = [run.view() for run in reversed(self.fake.runs.values())]
                for view in views:
                    view.pop("report", None)
                self._answer(200, {"runs": views})
            case (_, "v1", "runs", run, *rest) if run in self.fake.runs:
                self._run(self.fake.runs[run], rest, query)
            case _:
                self._answer(404, problem("you have no such run", exit=2, status=404))

    def _submit(self, submission):
        key = self.headers["idempotency-key"]
        if key in self.fake.keys:
            run = self.fake.keys[key]
            if run.submission != submission:
                self._answer(422, problem("the key names another submission", exit=2, status=422))
                return
            self._answer(200, run.view(), {"idempotency-replayed": "true"})
            return
        run = Run(submission)
        self.fake.runs[run.id] = run
        self.fake.keys[key] = run
        self.fake.on_begin(run)
        self._answer(201, run.view())

    def _run(self, run, rest, query):
        match (self.command, *rest):
            case ("GET",):
                with run.changed:
                    run.changed.wait_for(lambda: run.is_over, int(query.get("wait", 0)))
                self._answer(200, run.view())
            case ("GET", "log"):
                self._log(run, int(self.headers.get("last-event-id") or query.get("after", 0)))
            case ("POST", "cancel"):
                if not run.is_over:
                    threading.Event().wait(self.fake.revocation_seconds)
                    run.end(130)
                self._answer(200, run.view())
            case _:
                self._answer(405, problem("no such method", exit=2, status=405))

    def _log(self, run, after):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        cut = self.fake.cut_log_after.pop(0) if self.fake.cut_log_after else None
        sent = 0
        while True:
            with run.changed:
                if not run.is_over and len(run.lines) <= after:
                    run.changed.wait(0.2)
                ready = run.lines[after:]
                is_over = run.is_over
            for entry in ready:
                if cut is not None and sent >= cut:
                    return
                after = entry["sequence"]
                self._event("line", entry, id=after)
                sent += 1
            if not ready and is_over:
                if cut is None:
                    self._event("end", {"state": run.state})
                return
            if not ready:
                self.wfile.write(b":\n\n")

    def _event(self, event, data, id=None):  # noqa: A002
        text = f"event: {event}\n" + (f"id: {id}\n" if id else "")
        self.wfile.write(f"{text}data: {json.dumps(data)}\n\n".encode())

    def _answer(self, status, document, headers=None):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = "application/json"
        if isinstance(document, bytes):
            kind = "text/html"
        elif "type" in document:
            kind = "application/problem+json"
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def problem(detail, *, exit, status=422, hint=None, retry_after=None):  # noqa: A002
    document = {
        "type": "urn:cofferdam:problem:of-the-tests",
        "title": "a problem",
        "status": status,
        "detail": detail,
        "phase": "admission",
        "blame": "operator",
        "exit": exit,
    }
    if hint is not None:
        document["hint"] = hint
    if retry_after is not None:
        document["retry_after"] = retry_after
    return document
