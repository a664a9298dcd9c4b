"""What register bytes may mean: every type in every word order, and how plausible each is.

The orders are those of the parameter set (evidence/parameters.py): letters name the bytes as they lie on the wire, A
the most significant. Field drivers use ABCD in about half of all cases, CDAB in most others, DCBA and BADC rarely
(reference: reporting interfaces section 5); the plausibility of the numbers decides, and a value that is known best.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from plumeproof.evidence.parameters import ORDERS

FORMATS = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f", "float64": ">d",
           "uint64": ">Q", "int64": ">q"}  # fmt: skip
ORDERS_OF = {kind: orders for kind, orders in ORDERS.items() if kind != "bit"} | {
    "uint64": ORDERS["float64"],  # shown for completeness; a parameter set has no 64-bit integers
    "int64": ORDERS["float64"],
}
FLOATS = ("float32", "float64")
SMALLEST_NORMAL = {"float32": 2.0**-126, "float64": 2.0**-1022}
SMALL, LARGE = 1e-6, 1e7  # beyond these no emission, flow, temperature or count of one analyzer is found
USUAL_SMALL, USUAL_LARGE = 1e-3, 1e5  # where most of them lie; one order inside wins over others outside
INTEGER_LARGE = 1e8  # totals and counters of 32 bits stay below for years
JUMP_FACTOR = 4.0  # between two reads a second apart
JUMP_FLOOR = 1.0  # changes below are noise whatever the factor
EXPECT_RELATIVE = 0.05  # the display was read a moment before the register
EXPECT_ABSOLUTE = 0.02
SCALES = ("1", "0.1", "0.01", "0.001", "10", "100")  # of integers, when a value is expected

LIKELY, POSSIBLE, UNLIKELY = "likely", "possible", "unlikely"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the technician knows of the value: a figure read from the display, or bounds."""

    expect: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return self.expect is None and self.minimum is None and self.maximum is None


@dataclass(frozen=True, slots=True)
class Reading:
    """One type in one order. `value` is that of the newest read; `scale`: what makes it the expected value.

    `mark`: likely, possible, unlikely. `reason`: why unlikely, one word or two; empty otherwise.
    """

    type: str
    order: str
    value: int | float
    mark: str
    reason: str
    scale: str = "1"


def decode_one(raw: bytes, kind: str, order: str) -> int | float:
    """The number that `raw` (wire order, exactly the width of the type) is as `kind` in `order`."""
    ordered = bytes(raw[order.index(letter)] for letter in "ABCDEFGH"[: len(order)])
    number: int | float = struct.unpack(FORMATS[kind], ordered)[0]
    return number


def interpret(reads: Sequence[bytes], wish: Wish) -> list[Reading]:
    """Every reading of the registers at one place; `reads` are the bytes of repeated reads, the newest last.

    As many types as fit into the bytes: 2, 4 and 8 of them. Within a type at most one order is marked likely.
    """
    found = []
    for kind, orders in ORDERS_OF.items():
        width = struct.calcsize(FORMATS[kind])
        if len(reads[-1]) >= width:
            found += _mark([_judge([raw[:width] for raw in reads], kind, order, wish) for order in orders], wish)
    return found


def guess(readings: Sequence[Reading], wish: Wish) -> list[Reading]:
    """The readings that fit best: those that match the wish, nearest first, or without one the likely float32."""
    likely = [one for one in readings if one.mark == LIKELY]
    if wish.is_empty:
        return [one for one in likely if one.type == "float32"]
    if wish.expect is not None:
        likely.sort(key=lambda one: (_error(one, wish), one.type not in FLOATS))
    return likely


def _judge(reads: Sequence[bytes], kind: str, order: str, wish: Wish) -> Reading:
    values = [decode_one(raw, kind, order) for raw in reads]
    value = values[-1]
    reason = _fault(values, kind)
    scale = "1"
    if not reason and wish.expect is not None:
        scales = ("1",) if kind in FLOATS else SCALES
        near = [one for one in scales if _is_near(value * float(one), wish.expect)]
        scale, reason = (near[0], "") if near else ("1", "not as expected")
    if not reason and not _is_inside(value * float(scale), wish):
        reason = "outside bounds"
    return Reading(kind, order, value, UNLIKELY if reason else POSSIBLE, reason, scale)


def _fault(values: Sequence[int | float], kind: str) -> str:
    """What speaks against a run of values, whatever the technician knows."""
    for value in values:
        if kind in FLOATS:
            if math.isnan(value):
                return "NaN"
            if math.isinf(value):
                return "infinite"
            if value != 0 and abs(value) < SMALLEST_NORMAL[kind]:
                return "denormal"
            if value != 0 and not SMALL <= abs(value) <= LARGE:
                return "range"
        elif abs(value) > INTEGER_LARGE:
            return "range"
    for before, after in zip(values, values[1:], strict=False):
        small, large = sorted((abs(before), abs(after)))
        if abs(after - before) > JUMP_FLOOR and (large > JUMP_FACTOR * max(small, JUMP_FLOOR) or before * after < 0):
            return "jumps"
    return ""


def _mark(readings: list[Reading], wish: Wish) -> list[Reading]:
    """Raise to likely what a wish leaves, or the one order that stands out. Where several do, the data cannot tell."""
    chosen = [one for one in readings if one.mark == POSSIBLE]
    if wish.is_empty:
        # Of an integer one order below a hundred million says little.
        usual = [one for one in chosen if USUAL_SMALL <= abs(one.value) <= USUAL_LARGE]
        chosen = usual if len(usual) == 1 else chosen
        if len(chosen) != 1 or chosen[0].type not in FLOATS or chosen[0].value == 0:
            return readings
    return [
        Reading(one.type, one.order, one.value, LIKELY, "", one.scale) if one in chosen else one for one in readings
    ]


def _is_near(value: float, expected: float) -> bool:
    return abs(value - expected) <= max(EXPECT_RELATIVE * abs(expected), EXPECT_ABSOLUTE)


def _is_inside(value: float, wish: Wish) -> bool:
    return (wish.minimum is None or value >= wish.minimum) and (wish.maximum is None or value <= wish.maximum)


def _error(reading: Reading, wish: Wish) -> float:
    return abs(reading.value * float(reading.scale) - (wish.expect or 0.0))
