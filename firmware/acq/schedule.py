"""Slots on the monotonic clock of a boot: slot k is planned at k * slot_ms (SPEC.md section 4.2). Pure.

Every slot from 0 on is handed out exactly once and in order, also those whose time has passed: the sampler turns them
into gaps. Times are microseconds since the boot, as timebase gives them: they never go back.
"""


class Schedule:
    """`next_slot`: the slot that comes next."""

    def __init__(self, slot_ms: int) -> None:
        self.slot_us = slot_ms * 1000
        self.next_slot = 0
        self._start_us = 0  # of next_slot

    def is_due(self, now_us: int) -> bool:
        """Whether next_slot has begun."""
        return now_us >= self._start_us

    def is_over(self, now_us: int) -> bool:
        """Whether next_slot has ended already: there is no time left to ask anybody."""
        return now_us - self._start_us >= self.slot_us

    def wait_us(self, now_us: int) -> int:
        """Until next_slot begins; 0 when it has."""
        return self._start_us - now_us if now_us < self._start_us else 0

    def left_us(self, now_us: int) -> int:
        """Until next_slot ends; 0 when it has."""
        left = self._start_us + self.slot_us - now_us
        return left if left > 0 else 0

    def advance(self) -> None:
        """next_slot has its outcome."""
        self.next_slot += 1
        self._start_us += self.slot_us
