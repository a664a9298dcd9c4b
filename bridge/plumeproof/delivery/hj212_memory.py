"""What an HJ 212 link must still know after a restart: numbers given out (QN), and what the platform has set.

Kept as cursors of the outbox, so that one synced transaction stores each. A QN is never given out twice: a stretch of
time is written down before a number of it is used, and the next start begins behind it.

    numbers = QnSource(clock, 480, memory)
    qn = numbers.next()
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from plumeproof.hj212.numbers import QN_DIGITS, to_time
from plumeproof.ports import Clock, Outbox

STRETCH_MS = 10_000  # a synced write for every ten seconds in which something is sent
DAY_MS = 86_400_000  # ahead by more: the clock was set back, and the numbers follow it
OVER_TIME, TRIES = "over_time_s", "tries"
REAL_TIME_S, MINUTE_MIN, IS_REAL_TIME, IS_STATE = "real_time_s", "minute_min", "is_real_time", "is_state"
_QN = "qn"


class LinkMemory:
    """Whole numbers of one link by name; `defaults`: before the platform has set them."""

    def __init__(self, outbox: Outbox, sink: str, defaults: Mapping[str, int]) -> None:
        self._outbox, self._sink, self._defaults = outbox, sink, defaults
        self._known: dict[str, int | None] = {}

    def get(self, name: str) -> int:
        """As it was set last, over restarts."""
        if name not in self._known:
            self._known[name] = self._outbox.cursor(f"hj212_{name}", self._sink)
        found = self._known[name]
        return self._defaults.get(name, 0) if found is None else found

    def set(self, name: str, value: int) -> None:
        """Durable when it returns. Raises StoreError."""
        self._outbox.enqueue((), f"hj212_{name}", self._sink, value)
        self._known[name] = value


class QnSource:
    """QN by QN, ascending, of the present while the clock does not step back. Threads may share it."""

    def __init__(self, clock: Clock, utc_offset_min: int, memory: LinkMemory) -> None:
        self._clock, self._utc_offset_min, self._memory = clock, utc_offset_min, memory
        self._lock = threading.Lock()
        self._last = self._written = memory.get(_QN)  # all up to here may have been used

    def next(self) -> str:
        """The QN of a packet that is to be made. Raises StoreError; then none was given out."""
        with self._lock:
            now = self._clock.utc_ms()
            if self._last > now + DAY_MS:
                self._last = self._written = now
            found = max(now, self._last + 1)
            if found >= self._written:
                # Power failing behind this line: numbers up to `found + STRETCH_MS` are left out, none comes twice.
                self._memory.set(_QN, found + STRETCH_MS)
                self._written = found + STRETCH_MS
            self._last = found
        return to_time(found, self._utc_offset_min, QN_DIGITS)
