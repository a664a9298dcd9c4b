"""Slots on the monotonic clock of a boot: slot k is planned at k * slot_ms (SPEC.md section 4.2). Pure.

Every slot from 0 on is handed out exactly once and in order, also those whose time has passed: the sampler turns them
into gaps. Times are instant.Instant, as timebase gives them: they never go back.
"""

from acq.instant import FAR_US, Instant


class Schedule:
    """`next_slot`: the slot that comes next. `slot_us`: its length, at most FAR_US as every span here."""

    def __init__(self, slot_ms: int) -> None:
        self.slot_us = min(slot_ms * 1000, FAR_US)
        self._slot_s = slot_ms // 1000
        self._slot_rest_us = slot_ms % 1000 * 1000
        self.next_slot = 0
        self._start = Instant()  # of next_slot
        self._end = Instant()
        self._pass(self._end)

    def is_due(self, now) -> bool:
        """Whether next_slot has begun."""
        return now.since_us(self._start) >= 0

    def is_over(self, now) -> bool:
        """Whether next_slot has ended already: there is no time left to ask anybody."""
        return now.since_us(self._end) >= 0

    def wait_us(self, now) -> int:
        """Until next_slot begins; 0 when it has."""
        return max(0, self._start.since_us(now))

    def left_us(self, now) -> int:
        """Until next_slot ends; 0 when it has."""
        return max(0, self._end.since_us(now))

    def advance(self) -> None:
        """next_slot has its outcome."""
        self.next_slot += 1
        self._start.set(self._end)
        self._pass(self._end)

    def _pass(self, now) -> None:
        """Move it on by one slot."""
        now.s += self._slot_s
        now.add_us(self._slot_rest_us)
