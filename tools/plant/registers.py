"""Values to register bytes, by type and order as they lie on the wire (SPEC.md section 5).

Written with struct, apart from the bridge's decoding, which is checked against it. A float is the nearest float32, an
integer the nearest one in range: an analyzer with scaled registers saturates, it does not wrap.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection

from tools.plant.layout import Analyzer, Block, Channel

FORMATS = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f", "float64": ">d"}
RANGES = {
    "uint16": (0, 2**16 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


def encode(number: float, kind: str, order: str) -> bytes:
    """Bytes of one number (2, 4 or 8) in wire order; integers are rounded half to even and saturate."""
    if kind in RANGES:
        low, high = RANGES[kind]
        number = low if number < low else high if number > high else round(number)
    elif kind == "float32" and math.isfinite(number) and abs(number) > 3.4028234663852886e38:  # largest float32
        number = math.copysign(math.inf, number)
    plain = struct.pack(FORMATS[kind], number)
    return bytes(plain["ABCDEFGH".index(letter)] for letter in order)


def encode_value(value: float, channel: Channel) -> bytes:
    """Register bytes that stand for a value: number = (value - offset) / scale."""
    return encode((value - channel.offset) / channel.scale, channel.type, channel.order)


def build_image(
    analyzer: Analyzer, value: Callable[[Channel], float], codes: Collection[str]
) -> dict[Block, bytearray]:
    """All register bytes of an analyzer at one instant; bits packed LSB first. Registers without a meaning are 0.

    `codes`: NE 107 codes that apply; each status bit says whether its own does.
    """
    image = {
        block: bytearray((block.quantity + 7) // 8 if block.is_bits else 2 * block.quantity)
        for block in analyzer.blocks
    }
    for channel in analyzer.channels:
        held = image[channel.block]
        if channel.type == "bit":
            _set_bit(held, channel.block, channel.register, value(channel) >= 0.5)
        else:
            coded = encode_value(value(channel), channel)
            held[2 * channel.register : 2 * channel.register + len(coded)] = coded
    for bit in analyzer.bits:
        _set_bit(image[bit.block], bit.block, bit.bit, (bit.code in codes) == bit.is_set)
    return image


def _set_bit(held: bytearray, block: Block, bit: int, is_set: bool) -> None:
    if block.is_bits:
        index, shift = divmod(bit, 8)
    else:
        register, number = divmod(bit, 16)
        index, shift = 2 * register + (0 if number > 7 else 1), number % 8
    held[index] = held[index] & ~(1 << shift) | is_set << shift
