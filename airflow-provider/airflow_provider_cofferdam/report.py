"""How a run ended: the host's report, read with tolerance for what a later host adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Report:
    """The document that ``cofferdam run --format json`` prints."""

    run: str
    task: str
    exit: int
    outcome: Mapping[str, Any]
    result: Any = None
    limits: list[str] = field(default_factory=list)
    denials: list[Mapping[str, Any]] = field(default_factory=list)
    unlisted_denials: int = 0
    missing_rights: Mapping[str, Any] = field(default_factory=dict)
    revocation: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] = field(default_factory=dict)
    milliseconds: int | None = None

    @classmethod
    def parse(cls, document: Any) -> Report:
        """
        :raises ValueError: when it is no report.
        """
        try:
            outcome = _mapping(document["outcome"])
            if not isinstance(outcome["kind"], str):
                raise TypeError
            milliseconds = document.get("milliseconds")
            return cls(
                run=str(document["run"]),
                task=str(document["task"]),
                exit=int(document["exit"]),
                outcome=outcome,
                result=document.get("result"),
                limits=[str(name) for name in document.get("limits") or ()],
                denials=[_mapping(denial) for denial in document.get("denials") or ()],
                unlisted_denials=int(document.get("unlisted_denials") or 0),
                missing_rights=_missing(document.get("missing_rights")),
                revocation=_revocation(document.get("revocation")),
                audit=_mapping(document.get("audit")),
                milliseconds=None if milliseconds is None else int(milliseconds),
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise ValueError("this is no report of a run") from None

    @property
    def kind(self) -> str:
        """The outcome in one word."""
        return str(self.outcome["kind"])

    @property
    def word(self) -> str:
        """The same for people: of a failure, what the task asks for."""
        words = {"retry": "asks to be tried again", "skip": "skipped"}
        asked = self.outcome.get("disposition") if self.kind == "failed" else None
        return words.get(str(asked), self.kind.replace("_", " "))

    @property
    def show(self) -> str:
        """The command that shows the run's audit."""
        return f"cofferdam audit show {self.run}"

    def reference(self) -> dict[str, Any]:
        """What other tasks may know of the run; nothing in it is secret."""
        return {
            "run": self.run,
            "task": self.task,
            "outcome": self.kind,
            "exit": self.exit,
            "audit": {"file": self.audit.get("file"), "head": self.audit.get("head")},
            "show": self.show,
        }

    def ending(self) -> str:
        """The end in the words of the host."""
        outcome = self.outcome
        message, hint = outcome.get("message"), outcome.get("hint")
        if self.kind == "done":
            return "done"
        if self.kind == "failed":
            return f"{self.word}: {message}"
        if self.kind == "trapped":
            return f"trapped: {outcome.get('reason')}"
        if self.kind == "out_of_limits":
            return f"stopped at its limit `{outcome.get('limit')}`"
        if self.kind == "refused":
            return f"refused: {message}" + (f"\nhint: {hint}" if hint else "")
        return self.kind

    def remarks(self) -> list[str]:
        """What bit, was denied, or is missing, one line each."""
        lines = [f"limit reached: {name}" for name in self.limits]
        lines += [
            "denied: {grant} {operation} ({decision}, {count} times)".format_map(_Told(denial))
            for denial in self.denials
        ]
        if self.unlisted_denials:
            lines.append(f"denied: {self.unlisted_denials} more, see `{self.show}`")
        policies = ", ".join(f"`{name}`" for name in self.missing_rights.get("policies", ()))
        for refused in self.missing_rights.get("refused", ()):
            what = "vault refused: {grant} {operation} on `{path}`".format_map(_Told(refused))
            lines.append(f"{what}, which the policies {policies} do not allow")
        if self.missing_rights.get("refused"):
            lines.append(f"hint: `cofferdam policy {self.task} --write` writes the task's policy")
        return lines

    def revoked(self) -> str:
        """What became of the attempt's authority."""
        if self.revocation is None:
            return "nothing to revoke"
        leases = self.revocation.get("leases") or {}
        if self.revocation.get("complete"):
            count = leases.get("revoked")
            return "every credential revoked" + (f" ({_leases(count)})" if count else "")
        left = leases.get("left")
        what = _leases(left) if left else "a credential"
        reason = self.revocation.get("reason") or "unknown"
        return f"NOT revoked: {what} may still live ({reason}); run `cofferdam sweep`"


def _leases(count: Any) -> str:
    return "1 lease" if count == 1 else f"{count} leases"


def _mapping(value: Any) -> dict[str, Any]:
    """A part of a report; an empty one when it is not there."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError
    return dict(value or {})


def _missing(value: Any) -> dict[str, Any]:
    rights = _mapping(value)
    rights["policies"] = [str(name) for name in rights.get("policies") or ()]
    rights["refused"] = [_mapping(one) for one in rights.get("refused") or ()]
    return rights


def _revocation(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    revocation = _mapping(value)
    revocation["leases"] = _mapping(revocation.get("leases"))
    return revocation


class _Told(dict[str, Any]):
    """A part of a report whose members may be missing."""

    def __missing__(self, key: str) -> str:
        return "?"
