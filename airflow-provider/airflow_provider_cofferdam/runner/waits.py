"""How long to wait before a call is repeated."""

from __future__ import annotations

import time

# As the host's own client does it: about three seconds in all.
TRIES = 6
FIRST = 0.1
# The longest wait that a service may ask for.
ASKED = 10.0
# Between two calls to a service that comes back at some time.
LONGEST = 2.0


class Waits:
    """Doubling waits, up to a number of tries or a time without an answer."""

    def __init__(self, *, tries: int | None = None, patience: float | None = None) -> None:
        self._tries = tries
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """Something came through."""
        self._done = 0
        self._wait = FIRST
        self._since = time.monotonic()

    def allow(self, patience: float) -> None:
        """From now on a time counts, whatever the number of tries."""
        self._tries, self._patience = None, patience

    def next(self, asked: float | None = None) -> float | None:
        """Seconds until the next try; none when there is none."""
        self._done += 1
        if self._tries is not None and self._done >= self._tries:
            return None
        wait = min(asked, ASKED) if asked is not None else self._wait
        self._wait = self._wait * 2
        if self._patience is not None:
            left = self._since + self._patience - time.monotonic()
            if left <= 0:
                return None
            self._wait = min(self._wait, LONGEST)
            wait = min(wait, left)
        return wait
