"""A moment of the boot in two small integers. Pure.

Where words have 32 bits, an integer of 2**30 and more is an object on the heap: microseconds since the boot become one
after 17.9 minutes, milliseconds after 12.4 days; seconds outlive the module. So whatever is read in every round counts
seconds and microseconds apart, and nothing here allocates, however long ago the boot was.
"""

from acq.dialect import const

FAR_US = 1000000000  # below 2**30: all differences that are longer are this long
_FAR_S = const(999)
_SECOND_US = const(1000000)


class Instant:
    """`s` whole seconds since the boot and `us` microseconds of the next one, 0 to 999,999."""

    def __init__(self) -> None:
        self.s = 0
        self.us = 0

    def set(self, other) -> None:
        """Become the same moment."""
        self.s = other.s
        self.us = other.us

    def add_us(self, us: int) -> None:
        """Move on by 0 <= us <= FAR_US."""
        us += self.us
        if us >= _SECOND_US:
            self.s += us // _SECOND_US
            us %= _SECOND_US
        self.us = us

    def since_us(self, other) -> int:
        """Microseconds from `other` to this moment, negative when other comes later; at most FAR_US either way."""
        seconds = self.s - other.s
        if seconds > _FAR_S:
            return FAR_US
        if seconds < -_FAR_S:
            return -FAR_US
        return seconds * _SECOND_US + self.us - other.us
