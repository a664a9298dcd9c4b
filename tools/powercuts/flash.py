"""NOR flash in one bytearray that notes what is done to it, and what each misbehaviour makes of an operation.

The double of tests/doubles does the same slowly and on both interpreters; this one is for millions of cases.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from acqwire import causes

from acq.faults import JournalError

# What the power leaves of the operation in which it goes
NOT = "not"  # nothing
WHOLE = "whole"  # all of it, and nobody was told
PREFIX = "prefix"  # the first bytes, the others as they were
BITS = "bits"  # a random subset of the bits, in the whole operation
PREFIX_BITS = "prefix+bits"  # the first bytes, and a random subset of the bits behind them
SWAPPED = "swapped"  # this program not, but the one behind it (if nothing was read in between: reading tells)
UNSTABLE = "unstable"  # erase: the first bytes; the others read differently each time
ROT = "rot"  # all of it; then one bit somewhere changes while the power is off
CUTS = (NOT, WHOLE, PREFIX, BITS, PREFIX_BITS, SWAPPED, UNSTABLE, ROT)

# What the flash does while the power stays
SILENT = "silent"  # says it is done and did nothing
FLIPPED = "flipped"  # one bit of it is wrong
HALF_ERROR = "half+error"  # half of it, then an error
WHOLE_ERROR = "whole+error"  # all of it, then an error
READ_ERROR = "read-error"  # done; the next two reads of that sector fail
DEAF = "deaf"  # done; every read of that sector fails until the record under way is through
FAULTS = (SILENT, FLIPPED, HALF_ERROR, WHOLE_ERROR, READ_ERROR, DEAF)


class Broken(AssertionError):
    """The journal used the flash as none may be used."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Erase sectors, their bytes, bytes of a program unit."""

    sectors: int = 8
    sector_bytes: int = 4096
    unit: int = 256

    @property
    def total(self) -> int:
        return self.sectors * self.sector_bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What is on the flash when the power is off. `weak`: (sector, first byte that reads unstable) pairs.
    `rotten`: units with a bit that has changed, which nobody can know to be programmed."""

    image: bytes
    weak: tuple[tuple[int, int], ...] = ()
    rotten: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """A program, or an erase where data is None, and what was there before. `reads`: how many there were until then."""

    offset: int
    data: bytes | None
    before: Content
    reads: int


class Flash:
    """acq.ports.Flash. `watch` is called before each operation with what it is; `faults`: {operation: behaviour}."""

    erase_ms = append_ms = 0

    def __init__(self, geometry: Geometry, content: Content | None = None, seed: int = 0) -> None:
        self.geometry = geometry
        self.sector_count, self.sector_bytes, self.program_bytes = (
            geometry.sectors,
            geometry.sector_bytes,
            geometry.unit,
        )
        content = content or Content(b"\xff" * geometry.total)
        self.image = bytearray(content.image)
        self._view = memoryview(self.image)
        self._weak = dict(content.weak)
        self._rotten = set(content.rotten)
        self._blank = b"\xff" * geometry.unit
        self._dice = random.Random(seed)
        self.reads = self.read_bytes = self.operations = 0
        self.watch: Callable[[Operation], None] | None = None
        self.faults: dict[int, str] = {}
        self.failing_sector, self.failing_reads = -1, 0

    def content(self) -> Content:
        return Content(bytes(self.image), tuple(self._weak.items()), frozenset(self._rotten))

    def read(self, offset: int, buf) -> None:
        size = len(buf)
        self.reads += 1
        self.read_bytes += size
        if self.failing_reads and offset // self.sector_bytes == self.failing_sector:
            self.failing_reads -= 1
            raise JournalError(causes.FAULT_FLASH_IO)
        buf[:] = self._view[offset : offset + size]
        if self._weak:
            for sector, first in self._weak.items():
                begin = max(sector * self.sector_bytes + first, offset)
                for at in range(begin, min((sector + 1) * self.sector_bytes, offset + size)):
                    buf[at - offset] |= self._dice.getrandbits(8)

    def program(self, offset: int, buf) -> None:
        unit = self.program_bytes
        if offset % unit or len(buf) % unit or not len(buf):
            raise Broken("program is not in whole units")
        fault = self._begin(offset, bytes(buf))
        if fault == SILENT:
            return
        data = bytearray(buf)
        if fault == FLIPPED:
            bit = self._dice.randrange(len(data) * 8)
            data[bit >> 3] ^= 1 << (bit & 7)
        if fault == HALF_ERROR:
            data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
        for at in range(0, len(data), unit):
            place = offset + at
            if self.image[place : place + unit] != self._blank:
                if place // unit not in self._rotten:
                    raise Broken(f"unit {place // unit} programmed twice between erases")
                data[at : at + unit] = _and(self.image[place : place + unit], data[at : at + unit])
        self._view[offset : offset + len(data)] = data
        self._after(fault, offset // self.sector_bytes)

    def erase(self, sector: int) -> None:
        fault = self._begin(sector * self.sector_bytes, None)
        if fault == SILENT:
            return
        start = sector * self.sector_bytes
        size = self.sector_bytes // 2 if fault == HALF_ERROR else self.sector_bytes
        self._view[start : start + size] = b"\xff" * size
        if size == self.sector_bytes:
            self._weak.pop(sector, None)
            units = range(start // self.program_bytes, (start + size) // self.program_bytes)
            self._rotten.difference_update(units)
        if fault == FLIPPED:
            self.image[start + self._dice.randrange(size)] ^= 1 << self._dice.randrange(8)
        self._after(fault, sector)

    def _begin(self, offset: int, data: bytes | None) -> str:
        if self.watch is not None:
            self.watch(Operation(offset, data, self.content(), self.reads))
        fault = self.faults.get(self.operations, "")
        self.operations += 1
        return fault

    def _after(self, fault: str, sector: int) -> None:
        if fault in (HALF_ERROR, WHOLE_ERROR):
            raise JournalError(causes.FAULT_FLASH_IO)
        if fault in (READ_ERROR, DEAF):
            self.failing_sector, self.failing_reads = sector, 2 if fault == READ_ERROR else 1 << 30


def cuts_of(operation: Operation, following: Operation | None) -> list[str]:
    """Which behaviours a power cut within this operation can have."""
    if operation.data is None:
        return [NOT, WHOLE, PREFIX, BITS, PREFIX_BITS, UNSTABLE, ROT]
    is_next = following is not None and following.data is not None and following.reads == operation.reads
    return [NOT, WHOLE, PREFIX, BITS, PREFIX_BITS, ROT, *([SWAPPED] if is_next else [])]


def cut(geometry: Geometry, operation: Operation, following: Operation | None, how: str, number: int) -> Content:
    """What is on the flash when the power goes within `operation`. `number`: bytes of the prefix, or seed of bits."""
    before, start = operation.before, operation.offset
    size = geometry.sector_bytes if operation.data is None else len(operation.data)
    image = bytearray(before.image)
    weak, rotten = dict(before.weak), before.rotten
    sector = start // geometry.sector_bytes
    drawn = random.Random(number)
    done = {NOT: 0, BITS: 0, SWAPPED: 0, WHOLE: size, ROT: size}.get(how, number % size)
    wanted = b"\xff" * size if operation.data is None else _and(before.image[start : start + size], operation.data)
    image[start : start + done] = wanted[:done]
    if how in (BITS, PREFIX_BITS):
        old, new = image[start + done : start + size], wanted[done:]
        mask = drawn.randbytes(len(old))
        image[start + done : start + size] = _mixed(old, new, mask)
    elif how == SWAPPED:
        if following is None or following.data is None:
            raise ValueError("swapped: no program follows")
        place, end = following.offset, following.offset + len(following.data)
        image[place:end] = _and(image[place:end], following.data)
    elif how == UNSTABLE:
        weak[sector] = min(done, weak.get(sector, size))
    elif how == ROT:
        bit = drawn.randrange(geometry.total * 8)
        image[bit >> 3] ^= 1 << (bit & 7)
        rotten |= {(bit >> 3) // geometry.unit}
    if operation.data is None and done == size:
        weak.pop(sector, None)
        first = start // geometry.unit
        rotten = frozenset(unit for unit in rotten if not first <= unit < first + size // geometry.unit) | (
            {(bit >> 3) // geometry.unit} if how == ROT else frozenset()
        )
    return Content(bytes(image), tuple(weak.items()), frozenset(rotten))


def _and(old: bytes | bytearray, new: bytes | bytearray) -> bytes:
    return (int.from_bytes(old) & int.from_bytes(new)).to_bytes(len(old))


def _mixed(old: bytes | bytearray, new: bytes | bytearray, mask: bytes) -> bytes:
    """Bits of `new` where mask is set, of `old` elsewhere."""
    chosen = int.from_bytes(mask)
    whole = (1 << len(mask) * 8) - 1
    return (int.from_bytes(old) & (whole ^ chosen) | int.from_bytes(new) & chosen).to_bytes(len(old))
