"""A clock that moves when the test says so: hours of waiting in no time, and steps of UTC. It does not drift."""

from __future__ import annotations

import time


class ManualClock:
    """ports.Clock. UTC begins at this PC's, unless told otherwise."""

    def __init__(self, utc_ms: int | None = None) -> None:
        self._utc_ms = float(time.time_ns() // 1_000_000 if utc_ms is None else utc_ms)
        self._monotonic_s = 1000.0

    def utc_ms(self) -> int:
        return int(self._utc_ms)

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Both go on."""
        self._utc_ms += seconds * 1000
        self._monotonic_s += seconds

    def step(self, seconds: float) -> None:
        """UTC alone is set, forward or back."""
        self._utc_ms += seconds * 1000
