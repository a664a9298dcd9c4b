"""Two clocks for one campaign: one that leaps over every wait, and one that really waits.

Both implement ports.Clock. On the leaping one work takes the time that it takes and a rest takes none, so that an
instant that somebody else noted in real time can be said on it.
"""

from __future__ import annotations

import bisect
import threading
import time


class LeapingClock:
    """This PC's time and everything that was leapt over. Read by several threads, leaps in one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._when_ns = [0]  # real instants of leaps
        self._ahead_s = [0.0]  # from each of them on

    def utc_ms(self) -> int:
        """Unix/UTC milliseconds on this clock."""
        return int(self.said(time.time_ns()) * 1000)

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        with self._lock:
            return time.monotonic() + self._ahead_s[-1]

    def rest(self, seconds: float) -> None:
        """It is so much later."""
        with self._lock:
            self._when_ns.append(time.time_ns())
            self._ahead_s.append(self._ahead_s[-1] + seconds)

    def said(self, real_ns: int) -> float:
        """What this clock showed at a real instant, in Unix seconds."""
        with self._lock:
            place = bisect.bisect_right(self._when_ns, real_ns) - 1
            return real_ns / 1e9 + self._ahead_s[place]


class RealClock:
    """This PC's time; a rest is a rest."""

    def utc_ms(self) -> int:
        """Unix/UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def rest(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def said(self, real_ns: int) -> float:
        """Unix seconds."""
        return real_ns / 1e9


CampaignClock = LeapingClock | RealClock
