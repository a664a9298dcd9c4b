"""The emulated board's counter: wraps at 2**30 microseconds, as on a 32-bit board, so that wraps happen every 17.9
minutes here too.
"""

import sys
import time

_TICKS_MASK = (1 << 30) - 1
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class HostClock:
    """ports.Clock on the system's monotonic clock."""

    if _IS_MICROPYTHON:

        def ticks(self) -> int:
            return time.ticks_us() & _TICKS_MASK

    else:

        def ticks(self) -> int:
            return time.monotonic_ns() // 1000 & _TICKS_MASK

    def elapsed(self, later: int, earlier: int) -> int:
        # In this form everything on the way is a small integer too, where words have 32 bits
        return ((later - earlier & _TICKS_MASK) ^ 0x20000000) - 0x20000000
