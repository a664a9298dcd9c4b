"""Whatever may lie in the region: the mount ends in bounded time, says only what is there, and work goes on or stops.

No journal of ours, or one that somebody has spoilt: nothing durable is promised of it. What it says it has must read,
in ascending order, and the next record must find its place as soon as everything is released.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from zlib import crc32

from acqwire import fields, frames, journal

from acq.faults import JournalError
from acq.journal import Journal
from tools.powercuts.cases import PLANS, Failed, Outcome, drawn, workload
from tools.powercuts.flash import Content, Flash, Geometry
from tools.powercuts.history import check_bounds

_SEQ_MAX = 0xFFFFFFFFFFFFFFFE  # SPEC.md section 6: the chain needs a successor
_EACH = 40  # images of a kind in one task


def image_tasks() -> list[int]:
    """Numbers of the shares."""
    return list(range(50))


def run_images(seed: int, task: int) -> Outcome:
    """`_EACH` images of every kind."""
    outcome = Outcome()
    for name in KINDS:
        for number in range(task * _EACH, (task + 1) * _EACH):
            outcome.counts[name] += 1
            try:
                check_drawn(name, number, seed)
            except Exception as broken:  # noqa: BLE001  whatever the journal raises is a finding
                text = f"{type(broken).__name__}: {broken}"
                outcome.failures.append(("image", ((number, name, seed),), text))
    return outcome


def check_drawn(name: str, number: int, seed: int) -> None:
    """Image `number` of a kind."""
    check_image(name, KINDS[name](random.Random(drawn(seed, name, number))), drawn(seed, number))


def check_image(name: str, image: bytes, seed: int) -> None:
    """Mount, walk, release, append, mount."""
    geometry = PLANS["coarse" if name.startswith("coarse") else "fine"].geometry
    units = frozenset(range(geometry.total // geometry.unit))  # nobody knows which units are programmed
    flash = Flash(geometry, Content(image, rotten=units), seed)
    if name == "bad-sector":  # it can be read neither now nor later
        flash.failing_sector, flash.failing_reads = seed % geometry.sectors, 1 << 40
    ring = mounted(geometry, flash)
    if name in ("zeros", "ones", "random", "layout") and (ring.head_seq, ring.seek(1)) != (0, 0):
        raise Failed(f"head {ring.head_seq} of an image without a journal")
    walk(ring)
    seq, boot, first_head = ring.head_seq + 1, ring.head_boot, ring.head_seq
    if seq > _SEQ_MAX:
        return
    appended = bytes(32)
    for size in (1, 4224, 300):
        if seq > _SEQ_MAX:
            break
        try:
            append(ring, seq, boot or 1, appended, size)
        except JournalError:
            if name != "liar":
                raise
            break  # its segment numbers are at their end: no more is taken, rather than taken and not found
        seq += 1
    again = mounted(geometry, flash)
    if again.head_seq != seq - 1 or seq - 1 > first_head and again.head_hash != appended:
        raise Failed(f"head {again.head_seq} after {seq - 1} was appended")
    walk(again)


def mounted(geometry: Geometry, flash: Flash) -> Journal:
    """A mount within its bounds."""
    ring = Journal(flash)
    flash.reads = flash.read_bytes = flash.operations = 0
    ring.mount()
    check_bounds(geometry, flash)
    return ring


def walk(ring: Journal) -> None:
    """Everything that it says it has."""
    buffer = bytearray(4224)
    asked = 1
    while seq := ring.seek(asked):
        if not asked <= seq <= ring.head_seq or not ring.read(seq, buffer):
            raise Failed(f"{seq} is said to be there")
        asked = seq + 1


def append(ring: Journal, seq: int, boot: int, content_hash: bytes, size: int) -> None:
    """At once, or as soon as everything is released."""
    try:
        ring.append(fields.KIND_SAMPLES, seq, boot, content_hash, bytes(size))
    except JournalError:
        if ring.release(ring.head_seq, ring.head_hash) != frames.RELEASE_DONE:
            raise Failed("its own head is not released") from None
        ring.append(fields.KIND_SAMPLES, seq, boot, content_hash, bytes(size))


# The images


def _moment_image(name: str, dice: random.Random) -> bytearray:
    return bytearray(dice.choice(workload(name)).operation.before.image)


def _random(dice: random.Random) -> bytes:
    return dice.randbytes(PLANS["fine"].geometry.total)


def _half_erased(dice: random.Random) -> bytes:
    image, size = _moment_image("fine", dice), PLANS["fine"].geometry.sector_bytes
    for sector in range(PLANS["fine"].geometry.sectors):
        if dice.random() < 0.5:
            first, end = sorted((dice.randrange(size), dice.randrange(size)))
            image[sector * size + first : sector * size + end] = b"\xff" * (end - first)
    return bytes(image)


def _mixed(name: str) -> Callable[[random.Random], bytes]:
    """Sectors of two instants of the same ring, laps apart."""

    def make(dice: random.Random) -> bytes:
        one, other = _moment_image(name, dice), _moment_image(name, dice)
        size = PLANS[name].geometry.sector_bytes
        for start in range(0, len(one), size):
            if dice.random() < 0.5:
                one[start : start + size] = other[start : start + size]
        return bytes(one)

    return make


def _scrambled(dice: random.Random) -> bytes:
    """Sectors in another order: a copy of somebody who knew no better."""
    image, size = _moment_image("fine", dice), PLANS["fine"].geometry.sector_bytes
    sectors = [bytes(image[start : start + size]) for start in range(0, len(image), size)]
    dice.shuffle(sectors)
    return b"".join(sectors)


def _damaged(dice: random.Random) -> bytes:
    image = _moment_image("fine", dice)
    for _ in range(dice.randrange(1, 60)):
        image[dice.randrange(len(image))] = dice.randrange(256)
    return bytes(image)


def _layout(dice: random.Random) -> bytes:
    """A whole journal of a layout that is not ours."""
    image = _moment_image("fine", dice)
    segment = journal.SEGMENT_MIN_BYTES
    for start in range(0, len(image), segment):
        image[start : start + 20] = struct.pack(
            ">4sBBHIQ", journal.SEGMENT_MAGIC, 77, 0, 0, dice.getrandbits(20) + 1, 1
        )
        image[start + 20 : start + 24] = crc32(image[start : start + 20]).to_bytes(4)
    return bytes(image)


def _liar(dice: random.Random) -> bytes:
    """Headers with good CRCs and numbers drawn to hurt: lengths, seqs and segment numbers at their ends."""
    geometry = PLANS["fine"].geometry
    image = bytearray(b"\xff" * geometry.total)
    numbers = (0, 1, 2, 3, 0xFFFEFFFF, 0xFFFF0000, 0xFFFFFFFF, dice.getrandbits(32))
    seqs = (0, 1, 2, 5, _SEQ_MAX - 1, _SEQ_MAX, _SEQ_MAX + 1, dice.getrandbits(64))
    base = dice.choice(numbers[:6])
    for index, start in enumerate(range(0, len(image), journal.SEGMENT_MIN_BYTES)):
        number = base + index if dice.random() < 0.7 else dice.choice(numbers)
        head = struct.pack(
            ">4sBBHIQ", journal.SEGMENT_MAGIC, journal.LAYOUT_VERSION, 0, 0, number & 0xFFFFFFFF, dice.choice(seqs)
        )
        image[start : start + 24] = head + crc32(head).to_bytes(4)
        at = start + geometry.unit
        while at < start + journal.SEGMENT_MIN_BYTES:
            size = dice.choice((0, 1, 188, 4224, 4225, 8000, 0xFFFFFFFF))
            _lay_entry(image, at, size, dice.choice(seqs), dice)
            at += geometry.unit * dice.randrange(1, 4)
    return bytes(image)


def _lay_entry(image: bytearray, at: int, size: int, seq: int, dice: random.Random) -> None:
    boot = dice.choice((0, 1, 2, 0xFFFFFFFE, 0xFFFFFFFF))
    magic, layout = journal.ENTRY_MAGIC, journal.LAYOUT_VERSION
    head = struct.pack(">4sBBHIQI32s", magic, layout, dice.randrange(256), 0, size, seq, boot, dice.randbytes(32))
    image[at : at + 60] = head + crc32(head).to_bytes(4)
    unit = PLANS["fine"].geometry.unit
    if size <= 8000:
        image[at + 60 + size : at + 64 + size] = crc32(image[at + 60 : at + 60 + size]).to_bytes(4)
        end = at + -(-(60 + size + 8) // unit) * unit
        image[end - 4 : end] = journal.COMMIT_MARKER
    del image[PLANS["fine"].geometry.total :]


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "zeros": lambda dice: bytes(PLANS["fine"].geometry.total),
    "ones": lambda dice: b"\xff" * PLANS["fine"].geometry.total,
    "random": _random,
    "half-erased": _half_erased,
    "two-laps": _mixed("fine"),
    "coarse-two-laps": _mixed("coarse"),
    "scrambled": _scrambled,
    "damaged": _damaged,
    "layout": _layout,
    "liar": _liar,
    "bad-sector": lambda dice: bytes(_moment_image("fine", dice)),
}
