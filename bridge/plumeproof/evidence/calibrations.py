"""Calibration marks of a parameter set: which bit of which block says that an analyzer does not measure, and why.

SPEC.md sections 4.3 and 5. The bit itself lies in the same samples record as the readings, so a slot is judged by its
own record (decoding.py); the calibration records say the same once more, signed, for whoever draws control charts
(calibration_check.py compares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acqwire import calibration

from plumeproof.evidence.reader import Reader

PHASES = dict(calibration.PHASE_NAMES)
_NUMBERS = {name: number for number, name in calibration.PHASE_NAMES}


class _Block(Protocol):
    @property
    def bit_count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """While `bit` of the block equals `is_set`, the channels of the analyzer are in `phase` (calibration.PHASE_*)."""

    analyzer: int
    phase: int
    block: int
    bit: int
    is_set: bool


def read_mark(reader: Reader, analyzers: int, blocks: Sequence[_Block]) -> Mark:
    """An entry of `calibrations`. Raises ParametersError."""
    block = reader.index("block", len(blocks))
    return Mark(
        analyzer=reader.index("analyzer", analyzers),
        phase=_NUMBERS[reader.word("phase", tuple(_NUMBERS))],
        block=block,
        bit=reader.integer("bit", 0, blocks[block].bit_count - 1),
        is_set=bool(reader.integer("is", 0, 1)),
    )
