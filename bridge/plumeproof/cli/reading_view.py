"""How `plumeproof read` shows registers: within 80 columns, most telling first."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from plumeproof.survey.address import SPACES, Address, to_reference, to_zero_based
from plumeproof.survey.readings import LIKELY, ORDERS_OF, UNLIKELY, Reading, Wish, decode_one, guess, interpret
from plumeproof.survey.snapshot import Snapshot

FULL_MAX_REGISTERS = 4  # more are shown one register a line
MARKS = {LIKELY: "*", UNLIKELY: "-"}
CELL = 17  # columns of one order
NAME = 9
LEGEND = "* likely   - unlikely: NaN, infinite, denormal, beyond 1e-6..1e7, jumping"
BITS_A_LINE = 16
RAW_BYTES_A_LINE = 24
RAWS_SHOWN = 4  # different contents of few registers


@dataclass(frozen=True, slots=True)
class Look:
    """Repeated reads of one place; the newest last."""

    port: str
    settings: str
    place: Address
    reads: tuple[bytes, ...]
    wish: Wish

    @property
    def newest(self) -> bytes:
        """Bytes of the newest read."""
        return self.reads[-1]

    def at(self, register: int) -> list[Reading]:
        """Every reading from the register-th on."""
        return interpret([raw[2 * register : 2 * register + 8] for raw in self.reads], self.wish)

    def address(self, register: int) -> Address:
        """Where the register-th is."""
        return Address(self.place.function, self.place.address + register)


def complain(fault: Exception) -> None:
    """One line beside the output."""
    print(f"plumeproof read: {fault}", file=sys.stderr)


def is_met(look: Look) -> bool:
    """Whether something at any register is as wished."""
    return any(guess(look.at(register), look.wish) for register in range(len(look.newest) // 2))


def show(look: Look, is_full: bool) -> None:
    """Everything for a person."""
    place = look.place
    count = len(look.newest) // 2
    what = SPACES[place.function]
    times = f", {len(look.reads)} reads" if len(look.reads) > 1 else ""
    print(f"unit {place.unit}  {look.settings}  {what} (function {place.function}){times}")
    print(f"{to_zero_based(place)} counted from 0 = {to_reference(place)} counted from 1")
    if place.is_bits:
        _show_bits(look)
        return
    raws = list(dict.fromkeys(look.reads))
    for raw in raws[-RAWS_SHOWN:] if count <= FULL_MAX_REGISTERS else raws[-1:]:
        for start in range(0, len(raw), RAW_BYTES_A_LINE):
            print(f"{'raw' if start == 0 else '':4}{raw[start : start + RAW_BYTES_A_LINE].hex(' ')}")
    if len(look.reads) > 1:
        print("unchanged over all reads" if len(raws) == 1 else f"{len(raws)} different contents")
    print()
    if count <= FULL_MAX_REGISTERS or is_full:
        _show_registers(look, count)
        for register in range(0, count - 1, 2):
            print()
            _show_place(look, register, count)
    else:
        _show_compact(look, count)
    print(f"\n{LEGEND}")
    _show_guess(look, count)


def show_line(look: Look) -> None:
    """One line of a watch."""
    raw = look.newest
    shown = f"{raw[:8].hex(' ')}{' ..' if len(raw) > 8 else ''}"
    if look.place.is_bits:
        print(f"{time.strftime('%H:%M:%S')}  {shown}", flush=True)
        return
    best = _best(look)
    if not best and len(raw) >= 4:
        best = [one for one in look.at(0) if one.type == "float32"]
    elif not best:
        best = [one for one in look.at(0) if one.order == "AB"]
    values = "  ".join(f"{one.order} {_number(one.value)}" for one in best[:3])
    print(f"{time.strftime('%H:%M:%S')}  {shown}  {best[0].type} {values}", flush=True)


def show_json(look: Look) -> None:
    """One object on one line; numbers that JSON has not are null."""
    place = look.place
    registers = range(0 if place.is_bits else len(look.newest) // 2)
    print(
        json.dumps(
            {
                "port": look.port,
                "settings": look.settings,
                "unit": place.unit,
                "function": place.function,
                "address": place.address,
                "reference": to_reference(place),
                "reads": [raw.hex() for raw in look.reads],
                "places": [
                    {
                        "address": look.address(register).address,
                        "reference": to_reference(look.address(register)),
                        "readings": [_plain(one) for one in look.at(register)],
                    }
                    for register in registers
                ],
                "likely": [] if place.is_bits else [_plain(one) for one in _best(look)],
            }
        ),
        flush=True,
    )


def show_snapshot(snapshot: Snapshot, title: str, unit: int, settings: str, as_json: bool) -> None:
    """A whole analyzer."""
    if as_json:
        blocks = [asdict(block) | {"data": block.data.hex()} for block in snapshot.blocks]
        channels = [asdict(channel) for channel in snapshot.channels]
        print(json.dumps({"unit": unit, "settings": settings, "channels": channels, "blocks": blocks}), flush=True)
        return
    print(f"{title if len(title) <= 44 else title[:42] + '..'}  unit {unit}  {settings}  {time.strftime('%H:%M:%S')}")
    width = max([len(channel.id) for channel in snapshot.channels] + [7])
    for channel in snapshot.channels:
        value = "" if channel.value is None else f"{channel.value:.7g}"
        print(f"{channel.id:{width}}  {value:>13} {channel.unit[:12]:12}  {channel.status}")
    for block in snapshot.blocks:
        if block.heard != "answer":
            code = f" {block.exception}" if block.exception else ""
            print(f"block {block.place}, {block.quantity}: {block.heard}{code}")
    sys.stdout.flush()


def _show_registers(look: Look, count: int) -> None:
    print(f"{'from 0':9}{'from 1':8}{'hex':6}{'uint16':>8}{'int16':>8}   bits 15..0")
    for register in range(count):
        raw = look.newest[2 * register : 2 * register + 2]
        place = look.address(register)
        unsigned, signed = decode_one(raw, "uint16", "AB"), decode_one(raw, "int16", "AB")
        bits = f"{int.from_bytes(raw, 'big'):016b}"
        print(f"{to_zero_based(place):9}{to_reference(place):8}{raw.hex().upper():6}{unsigned:8}{signed:8}   {bits}")


def _show_place(look: Look, register: int, count: int) -> None:
    """Every type of 32 and 64 bits from one register on."""
    readings = look.at(register)
    place = look.address(register)
    print(f"from {to_zero_based(place)} ({to_reference(place)}) on")
    for width, kinds in ((4, ("float32", "uint32", "int32")), (8, ("float64", "uint64", "int64"))):
        if len(look.newest) - 2 * register < width:
            continue
        orders = ORDERS_OF[kinds[0]]
        print(" " * NAME + "".join(f"  {order:{CELL - 2}}" for order in orders).rstrip())
        for kind in kinds:
            cells = [_cell(one, CELL) for one in readings if one.type == kind]
            print(f"{kind:{NAME}}{''.join(cells)}".rstrip())


def _show_compact(look: Look, count: int) -> None:
    width = 14
    print(f"{'':24}float32 from this register on")
    heading = "".join(f"  {order:{width - 2}}" for order in ORDERS_OF["float32"])
    print(f"{'from 1':8}{'hex':5}{'int16':>7}  {heading}".rstrip())
    for register in range(count):
        raw = look.newest[2 * register : 2 * register + 2]
        cells = "".join(_cell(one, width) for one in look.at(register) if one.type == "float32")
        signed = decode_one(raw, "int16", "AB")
        print(f"{to_reference(look.address(register)):8}{raw.hex().upper():5}{signed:7}  {cells}".rstrip())


def _show_bits(look: Look) -> None:
    total = 8 * len(look.newest)
    for first in range(0, total, BITS_A_LINE):
        states = [look.newest[bit // 8] >> bit % 8 & 1 for bit in range(first, min(first + BITS_A_LINE, total))]
        print(
            f"{to_zero_based(look.address(first)):9}{to_reference(look.address(first)):8}{' '.join(map(str, states))}"
        )


def _best(look: Look) -> list[Reading]:
    """What fits best at the first register."""
    found = guess(look.at(0), look.wish)
    wanted = look.place.order
    if wanted is not None:  # asked for by #ORDER: shown whatever it looks like
        found = [one for one in look.at(0) if one.order == wanted and one.type in ("float32", "float64", "uint16")]
    return found


def _show_guess(look: Look, count: int) -> None:
    best = _best(look)
    if look.place.order is not None and best:
        for one in best:
            print(f"{one.type} {one.order} = {_number(one.value)}{' (' + one.reason + ')' if one.reason else ''}")
        return
    for one in best[:4]:
        scale = f" x {one.scale}" if one.scale != "1" else ""
        print(f"likely: {one.type} {one.order}{scale} = {_number(one.value * float(one.scale))}")
    if best:
        return
    if not any(look.newest):
        print("all zero: says nothing of the order; read while it measures, or another register")
    elif not look.wish.is_empty:
        print("nothing from the first register on is as expected; see the registers beside it")
    else:
        print("cannot tell: add --expect VALUE of the display, --min, --max, or --repeat 10")


def _cell(reading: Reading, width: int) -> str:
    text = _number(reading.value)
    room = width - 3
    if len(text) > room:
        text = f"{reading.value:.{room - 7}e}"
    return f"{MARKS.get(reading.mark, ' ')} {text:{width - 2}}"


def _number(value: int | float) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _plain(reading: Reading) -> dict[str, Any]:
    fields = asdict(reading)
    if isinstance(reading.value, float) and not math.isfinite(reading.value):
        fields["value"] = None
    return fields
