"""A signed module whose analyzer is checked with zero and span gas: mark bits in samples, calibration records behind.

As SPEC.md section 4.3 has them. Each visit is a boot of its own, so that weeks pass without samples. Does not imitate
how the firmware sees a mark (tests/firmware do that), only what it then seals.
"""

from __future__ import annotations

import json

import rfc8785
from acqwire import calibration

from tests.doubles.signed_module import SignedModule
from tests.doubles.timed_module import START_UTC_MS, build_set

MARKS = {"zero": (0, calibration.PHASE_ZERO, 2), "span": (1, calibration.PHASE_SPAN, 4)}  # mark, phase, bits
PURGE = (2, calibration.PHASE_PURGE, 8)
DAY_MS = 86_400_000


def checked_set() -> bytes:
    """timed_module's set with marks: coils 1 (zero), 2 (span), 3 (purge) of block 1."""
    tree = json.loads(build_set())
    phases = ("zero", "span", "purge")
    tree["calibrations"] = [
        {"analyzer": 0, "phase": phase, "block": 1, "bit": bit, "is": 1} for bit, phase in enumerate(phases, 1)
    ]
    return rfc8785.dumps(tree)


class GasCheckedModule(SignedModule):
    """`visit` boots at a time, measures, and checks; `check` adds one to the running boot."""

    def __init__(self, device: str = "plume-01") -> None:
        super().__init__(device, checked_set())

    def visit(self, day: float) -> None:
        """A boot `day` days behind START_UTC_MS."""
        self.clock_offset_ms = START_UTC_MS + round(day * DAY_MS)
        self.start(with_set=self.boot == 0)

    def check(self, point: str, values: list[float], settling: int = 5, bits: int | None = None) -> None:
        """A minute's end of measuring, `settling` slots that say 999, then `values`, in one samples record; the begin
        and end records behind it. `bits`: what the coils say meanwhile, where that is not the mark."""
        mark, phase, own = MARKS[point]
        on = own if bits is None else bits
        begin = self.next_slot + 3
        end = begin + settling + len(values)
        slots = [(0, 50.0, 0, 0)] * 3 + [(0, 999.0, 0, on)] * settling + [(0, value, 0, on) for value in values]
        self.sample([*slots, (0, 50.0, 0, 0)])  # type: ignore[list-item] # the failure bit is bit 0 of the coils
        self.mark(mark, phase, True, begin)
        self.mark(mark, phase, False, end)

    def mark(self, mark: int, phase: int, is_begin: bool, slot: int) -> None:
        """A calibration record."""
        self.seal(8, {80: mark, 81: 0, 82: phase, 83: int(is_begin), 84: slot, 85: slot * self.parameters.slot_ms})
