"""The limits that a DAG may tighten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = ("timeout", "memory", "output", "log", "host_calls")


def checked_limits(limits: Any) -> dict[str, str | int]:
    """The limits as the host reads them.

    Whether they only tighten what the grants file says, the host decides.

    :raises ValueError: names the field that cannot be used.
    """
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise ValueError('`limits` is no mapping; write {"timeout": "30s"}')  # noqa: TRY004
    found: dict[str, str | int] = {}
    for name, value in limits.items():
        if name not in NAMES:
            raise ValueError(f"`limits` has no field `{name}`; there are {', '.join(NAMES)}")
        if value is None:
            continue
        found[name] = _calls(value) if name == "host_calls" else _text(name, value)
    return found


def _calls(value: Any) -> int:
    # A template can only make text of it.
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("`limits.host_calls` is no whole number; write 1000")
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    example = "30s" if name == "timeout" else "64MiB"
    raise ValueError(f'`limits.{name}` is no text with a unit; write "{example}"')
