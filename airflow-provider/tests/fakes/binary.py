"""A ``cofferdam`` that does what its input says, and writes down what it was given."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

SCRIPT = """\
#!{python}
import json, os, select, signal, sys, threading, time
sys.path.insert(0, {root!r})
from tests.fakes.documents import RUN, TERMS, line, report

arguments = sys.argv[1:]
config = arguments[arguments.index("--config") + 1]
trace = config + ".trace"


def note(**what):
    with open(trace, "a") as file:
        file.write(json.dumps(what) + "\\n")


def say(document):
    sys.stderr.write(json.dumps(document) + "\\n")
    sys.stderr.flush()


def end(code, **members):
    print(json.dumps(report(exit=code, **members)), flush=True)
    sys.exit(code)


cancelled = threading.Event()


def terminated(*_):
    note(event="sigterm")
    # Not here: what was interrupted may hold the lock that this needs.
    threading.Thread(target=cancelled.set).start()


signal.signal(signal.SIGTERM, terminated)
note(event="begun", argv=arguments, environment=dict(os.environ), pid=os.getpid(),
     session=os.getsid(0))
if "doctor" in arguments:
    checks = [{{"id": "node-health", "state": "ok", "where": "vault", "what": "serves"}}]
    if os.path.exists(config + ".faulty"):
        checks.append({{"id": "x", "state": "fault", "where": "the journal", "what": "is read-only",
                       "cure": "chmod"}})
    faults = sum(check["state"] == "fault" for check in checks)
    print(json.dumps({{"exit": int(faults > 0), "checks": checks,
        "counts": {{"ok": 1, "warning": 0, "fault": faults, "not_proven": 0}}}}))
    sys.exit(int(faults > 0))

values = dict(one[2:].split("=", 1) for one in arguments if one.startswith("--") and "=" in one)


def watch(fd):
    while os.read(fd, 64):
        pass
    note(event="lifeline closed")
    cancelled.set()


threading.Thread(target=watch, args=(int(values["lifeline"]),), daemon=True).start()
text = sys.stdin.read()
note(event="input", text=text)
plan = json.loads(text)
do = plan.get("do", "done")
if do == "error":
    print(json.dumps({{"error": {{"message": "bad configuration", "causes": ["line 3"],
        "hint": "mend it", "blame": "operator"}}, "exit": 2}}))
    sys.exit(2)
if do == "refused":
    say({{"event": "note", "time": "2026-11-27T12:00:00Z", "level": "warn", "target": "cofferdam",
         "message": "asked in vain"}})
    end(3)
task = arguments[arguments.index("run") + 1]
say({{"event": "started", "run": RUN, "task": task, "terms": TERMS}})
for number, message in enumerate(plan.get("say", ["working"]), 1):
    say({{"event": "line", **line(number, message)}})
say({{"event": "note", "time": "2026-11-27T12:00:00Z", "level": "info", "target": "cofferdam",
     "message": "a word of the host"}})
say({{"event": "something of a later version", "more": 1}})
if do == "crash":
    sys.stderr.write("thread 'main' panicked at src/main.rs:1\\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
if do == "wait":
    cancelled.wait(30)
    time.sleep(plan.get("revocation", 0.2))
    note(event="revoked")
    end(130)
if do == "chatter":
    number = 1
    while not cancelled.wait(0.0005):
        number += 1
        say({{"event": "line", **line(number, "more " * 40)}})
    note(event="revoked")
    end(130)
end(plan.get("exit", 0), **plan.get("members", {{}}))
"""


class FakeBinary:
    def __init__(self, folder: Path):
        self.path = folder / "cofferdam"
        self.config = folder / "cofferdam.toml"
        root = str(Path(__file__).parents[2])
        self.path.write_text(SCRIPT.format(python=sys.executable, root=root))
        self.path.chmod(0o755)
        self.config.write_text("")

    def trace(self):
        file = Path(f"{self.config}.trace")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def events(self):
        return [one["event"] for one in self.trace()]

    def said(self, event):
        (found,) = [one for one in self.trace() if one["event"] == event]
        return found

    def wait_for(self, event, seconds=10.0):
        until = time.monotonic() + seconds
        while event not in self.events():
            assert time.monotonic() < until, f"no {event} in {self.events()}"
            time.sleep(0.02)
