"""The clock of this PC. Tests hand in one of their own, so that hours pass in seconds."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock of this PC."""

    def utc_ms(self) -> int:
        """Unix/UTC milliseconds; may step."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
