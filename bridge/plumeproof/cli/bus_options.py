"""Options that the verbs at an analyzer bus share: numbers in bounds, units, line settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable

UNIT_MIN, UNIT_MAX = 1, 247  # MODBUS over Serial Line V1.02 section 2.2
BAUDS = (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)


def add_line_options(parser: argparse.ArgumentParser) -> None:
    """One setting: speed, parity, stop bits, and the time an answer may take."""
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9_600, metavar="N", help="default 9600")
    parser.add_argument("--parity", choices="NEO", default="N", help="none, even, odd; default N")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="default 1")


def number(minimum: int, maximum: int) -> Callable[[str], int]:
    """An argparse type: a whole number in bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and minimum <= int(text) <= maximum):
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of {minimum} to {maximum}")
        return int(text)

    return read


def units(text: str) -> tuple[int, ...]:
    """An argparse type: `1-247`, `3`, `1-10,17`; in this order, each once."""
    found: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        read = number(UNIT_MIN, UNIT_MAX)
        found |= dict.fromkeys(range(read(first), read(last or first) + 1))
    if not found:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} names no unit; write 1-247 or 1-10,17")
    return tuple(found)


def bauds(text: str) -> tuple[int, ...]:
    """An argparse type: `9600,19200`."""
    found = []
    for part in text.split(","):
        if not part.isdecimal() or int(part) not in BAUDS:
            raise argparse.ArgumentTypeError(f"{part[:20]!r} is none of {' '.join(map(str, BAUDS))}")
        found.append(int(part))
    return tuple(dict.fromkeys(found))


def parities(text: str) -> str:
    """An argparse type: one or several of N, E, O."""
    if not text or not set(text) <= set("NEO"):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not made of N, E and O")
    return "".join(dict.fromkeys(text))
