"""One reading of one slot: register bytes to number to value, each step written out and exact (SPEC.md section 5).

Written apart from evidence/decoding.py, which makes columns of readings at once, so that the two can be compared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from plumeproof.evidence.parameters import Block, ChannelSpec
from plumeproof.rules.step import Step

_FORMATS = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f", "float64": ">d"}


@dataclass(frozen=True, slots=True)
class Reading:
    """`wire`: the channel's register bytes as they came; `ordered`: the same, most significant first; `number`: None
    where they are NaN or infinity."""

    wire: bytes
    ordered: bytes
    number: float | int | None
    product: float | None
    value: float | None


def read_exactly(spec: ChannelSpec, block: Block, raw: bytes) -> Reading:
    """`raw`: the register bytes of the block in one slot."""
    if spec.type == "bit":
        index, shift = divmod(spec.register, 8)
        if not block.is_bits:
            register, number = divmod(spec.register, 16)
            index, shift = 2 * register + (1 - number // 8), number % 8
        wire = ordered = raw[index : index + 1]
        return _scaled(spec, wire, ordered, wire[0] >> shift & 1)
    letters = "ABCDEFGH"[: len(spec.order)]
    wire = raw[2 * spec.register : 2 * spec.register + len(letters)]
    ordered = bytes(wire[spec.order.index(letter)] for letter in letters)
    return _scaled(spec, wire, ordered, struct.unpack(_FORMATS[spec.type], ordered)[0])


def _scaled(spec: ChannelSpec, wire: bytes, ordered: bytes, number: float | int) -> Reading:
    as_float = float(number)  # exact: no register holds more than 53 bits of a whole number
    if as_float - as_float != 0.0:
        return Reading(wire, ordered, None, None, None)
    product = as_float * spec.scale
    return Reading(wire, ordered, number, product, product + spec.offset)


def steps_of(spec: ChannelSpec, found: Reading, scale_text: str, offset_text: str) -> list[Step]:
    """The arithmetic; `scale_text`, `offset_text`: the decimals as the signed parameter set writes them."""
    order = f"as the bytes lie on the wire: {spec.order}" if spec.type != "bit" else f"bit {spec.register}"
    told = "" if found.wire == found.ordered else f"; most significant first: {found.ordered.hex(' ')}"
    if found.number is None or found.product is None or found.value is None:
        return [
            Step("number of the registers", "", None, "", f"{spec.type}, {order}{told}", "NaN or infinity: no value")
        ]
    exact = str(found.number) if isinstance(found.number, int) else f"{Decimal(found.number):f}"
    remark = f"{spec.type}, {order}{told}; exactly {exact}"
    return [
        Step("number of the registers", f"0x{found.wire.hex()}", found.number, "", "SPEC.md section 5", remark),
        Step(
            "scaled", f"{float(found.number)!r} * {spec.scale!r}", found.product, "",
            f'scale "{scale_text}" of the parameter row', _rounding(Fraction(found.number), spec.scale, found.product),
        ),
        Step(
            "value", f"{found.product!r} + {spec.offset!r}", found.value, spec.unit,
            f'offset "{offset_text}" of the parameter row',
        ),
    ]  # fmt: skip


def _rounding(number: Fraction, scale: float, product: float) -> str:
    exact = number * Fraction(scale)
    return "exact" if exact == Fraction(product) else "rounded to the nearest float64, as IEEE 754 has it"


def is_rounded_right(spec: ChannelSpec, found: Reading) -> bool:
    """Whether both steps are the float64 nearest to the exact result, by fractions; a third way to the same value."""
    if found.number is None or found.product is None or found.value is None:
        return True
    try:
        product = float(Fraction(found.number) * Fraction(spec.scale))
        return product == found.product and float(Fraction(product) + Fraction(spec.offset)) == found.value
    except OverflowError:
        return False
