"""Reads the image of a module's flash, damaged or not, and says what lies in the journal (SPEC.md section 6).

    python -m tools.journal_dump FLASH [--all] [--flash-sector-bytes 4096] [--flash-program-bytes 256]

One line a segment, one an entry, each damage with its place and what it means; --all also names erased segments.
Written from SPEC.md, apart from the module's own mount: it is the referee of what was journaled. A segment is erased
only when it is used again, so released records stay readable here until the ring comes round.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from acqwire import journal, limits, names

SECTOR_BYTES = 4096  # boards/host: erase sector
PROGRAM_BYTES = 256  # boards/host: program unit
_KINDS = dict(names.KIND_NAMES)
_MARKER_BYTES = len(journal.COMMIT_MARKER)


@dataclass(frozen=True, slots=True)
class Entry:
    """A durable record. `offset`: of its header in the image."""

    offset: int
    kind: int
    seq: int
    boot: int
    content_hash: bytes
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What lies at `offset`, in words. `entry`: the record, None for none. `is_damage`: it is not as it should be."""

    offset: int
    words: str
    is_damage: bool
    entry: Entry | None = None


@dataclass(slots=True)
class Segment:
    """One segment. `number` None: without a readable header. `findings`: its entries and what lies behind them."""

    offset: int
    words: str
    is_damage: bool = False
    number: int | None = None
    findings: list[Finding] = field(default_factory=list)


def read_entries(path: Path, sector_bytes: int = SECTOR_BYTES, program_bytes: int = PROGRAM_BYTES) -> list[Entry]:
    """Every durable record of the image, by seq. What is torn or damaged is no record and is left out."""
    segments = read_segments(path.read_bytes(), sector_bytes, program_bytes)
    found = [finding.entry for segment in segments for finding in segment.findings]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.seq)


def read_segments(image: bytes, sector_bytes: int = SECTOR_BYTES, program_bytes: int = PROGRAM_BYTES) -> list[Segment]:
    """Everything of the image, in the order of its bytes."""
    segment_bytes = -(-journal.SEGMENT_MIN_BYTES // sector_bytes) * sector_bytes
    header_bytes = _whole_units(journal.SEGMENT_HEADER_BYTES, program_bytes)
    segments = []
    for start in range(0, len(image) - segment_bytes + 1, segment_bytes):
        end = start + segment_bytes
        segment = _read_header(image, start, end)
        if segment.number is not None:
            segment.findings += _read_entries(image, start + header_bytes, end, program_bytes)
        segments.append(segment)
    return segments


def _read_header(image: bytes, start: int, end: int) -> Segment:
    raw = image[start : start + journal.SEGMENT_HEADER_BYTES]
    if _is_blank(raw):
        if _is_blank(image[start:end]):
            return Segment(start, "erased")
        return Segment(start, "no header, but not blank: an interrupted erase; it is erased again before use", True)
    header, bit = _mended(raw, journal.SEGMENT_MAGIC)
    if header is None:
        words = "no segment of a journal (bad magic)" if raw[:4] != journal.SEGMENT_MAGIC else "header CRC wrong"
        return Segment(start, f"{words}: torn while it was opened, or foreign; nothing in it is read", True)
    _, layout, _, _, number, first_seq, _ = struct.unpack(journal.SEGMENT_FORMAT, header)
    if not journal.LAYOUT_VERSION_OLDEST <= layout <= journal.LAYOUT_VERSION:
        return Segment(start, f"layout {layout}, which this tool does not know; nothing in it is read", True)
    words = f"number {number}, first seq {first_seq}{_rot_words(bit)}"
    return Segment(start, words, bit is not None, number)


def _read_entries(image: bytes, offset: int, end: int, program_bytes: int) -> Iterator[Finding]:
    while offset + journal.ENTRY_HEADER_BYTES <= end:
        raw = image[offset : offset + journal.ENTRY_HEADER_BYTES]
        if _is_blank(raw):
            break
        header, bit = _mended(raw, journal.ENTRY_MAGIC)
        if header is None:
            words = "CRC of an entry's header is wrong" if raw[:4] == journal.ENTRY_MAGIC else "no entry's header"
            yield Finding(
                offset, f"{words}: torn in its first unit, or damaged; the rest of the segment is unread", True
            )
            return
        _, layout, kind, _, size, seq, boot, content_hash, _ = struct.unpack(journal.ENTRY_FORMAT, header)
        length = _whole_units(
            journal.ENTRY_HEADER_BYTES + size + journal.ENTRY_CRC_BYTES + _MARKER_BYTES, program_bytes
        )
        is_known = journal.LAYOUT_VERSION_OLDEST <= layout <= journal.LAYOUT_VERSION
        if not is_known or not 0 < size <= limits.ENVELOPE_MAX_BYTES or offset + length > end:
            words = f"entry of layout {layout} with {size} bytes"
            yield Finding(offset, f"{words}: impossible; the rest of the segment is unread", True)
            return
        body = offset + journal.ENTRY_HEADER_BYTES
        envelope = image[body : body + size]
        name = f"seq {seq}, boot {boot}, {_KINDS.get(kind, str(kind))}, {size} bytes"
        damage = _damage(image, body + size, offset + length, envelope)
        if damage:
            yield Finding(offset, f"{name}: {damage}", True)
        else:
            entry = Entry(offset, kind, seq, boot, content_hash, envelope)
            marker = image[offset + length - _MARKER_BYTES : offset + length]
            rot = _rot_words(bit) or ("; one bit of its marker has rotted" if marker != journal.COMMIT_MARKER else "")
            yield Finding(offset, f"{name}, content hash {content_hash.hex()}{rot}", bool(rot), entry)
        offset += length
    if offset < end and not _is_blank(image[offset:end]):
        first = next(at for at in range(offset, end) if image[at] != 0xFF)
        words = f"space behind the entries is not blank from {first:#09x}"
        yield Finding(offset, f"{words}: a program torn before its header; writing went on in the next segment", True)


def _damage(image: bytes, crc_at: int, end: int, envelope: bytes) -> str:
    """What keeps an entry with a good header from being a record; "" for nothing."""
    marker = image[end - _MARKER_BYTES : end]
    wrong_bits = sum((one ^ other).bit_count() for one, other in zip(marker, journal.COMMIT_MARKER, strict=True))
    is_whole = struct.unpack_from(">I", image, crc_at)[0] == zlib.crc32(envelope)
    if wrong_bits > 1:
        written = "and the envelope is whole" if is_whole else "and the envelope is not whole"
        return f"torn: no commit marker, {written}; the power went while it was written and nobody was told of it"
    if not is_whole:
        return "DAMAGED after it was durable: CRC of the envelope is wrong; ask the gateway's ledger for this record"
    return ""


def _mended(raw: bytes, magic: bytes) -> tuple[bytes | None, int | None]:
    """The header with a good CRC and, where it takes one, the bit that was inverted for it."""
    if raw[:4] == magic and _is_sound(raw):
        return raw, None
    for bit in range(len(raw) * 8):
        header = bytearray(raw)
        header[bit >> 3] ^= 1 << (bit & 7)
        if header[:4] == magic and _is_sound(header):
            return bytes(header), bit
    return None, None


def _is_sound(header: bytes | bytearray) -> bool:
    return int.from_bytes(header[-4:]) == zlib.crc32(header[:-4])


def _rot_words(bit: int | None) -> str:
    return "" if bit is None else f"; bit {bit & 7} of byte {bit >> 3} of its header has rotted and is mended"


def _is_blank(content: bytes) -> bool:
    return content.count(0xFF) == len(content)


def _whole_units(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def to_lines(segments: list[Segment], is_all: bool) -> Iterator[str]:
    """What a technician reads; without is_all no line for an erased segment."""
    newest = max((segment.number for segment in segments if segment.number is not None), default=None)
    for index, segment in enumerate(segments):
        if segment.words == "erased" and not is_all:
            continue
        mark = "! " if segment.is_damage else "  "
        latest = ", the newest" if segment.number is not None and segment.number == newest else ""
        yield f"{mark}segment {index} at {segment.offset:#09x}: {segment.words}{latest}"
        for finding in segment.findings:
            yield f"{'! ' if finding.is_damage else '  '}  at {finding.offset:#09x}: {finding.words}"
    entries = [found.entry for segment in segments for found in segment.findings if found.entry is not None]
    damages = sum(segment.is_damage for segment in segments)
    damages += sum(found.is_damage for segment in segments for found in segment.findings)
    seqs = sorted({entry.seq for entry in entries})
    span = f", seq {seqs[0]} to {seqs[-1]}" if seqs else ""
    holes = f", {seqs[-1] - seqs[0] + 1 - len(seqs)} of them missing" if seqs else ""
    erased = sum(segment.words == "erased" for segment in segments)
    yield f"{len(entries)} records{span}{holes}; {len(segments)} segments, {erased} erased; {damages} damages"


def main() -> int:
    """Print what is there; 0 fine, 1 something is damaged or torn, 2 wrong usage, 3 an image that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tools.journal_dump", description="records of a flash image")
    parser.add_argument("image", type=Path, metavar="FLASH")
    parser.add_argument("--all", action="store_true", help="name erased segments as well")
    parser.add_argument("--flash-sector-bytes", type=int, default=SECTOR_BYTES, metavar="N", help=f"({SECTOR_BYTES})")
    parser.add_argument(
        "--flash-program-bytes", type=int, default=PROGRAM_BYTES, metavar="N", help=f"({PROGRAM_BYTES})"
    )
    chosen = parser.parse_args()
    if chosen.flash_sector_bytes < 1 or chosen.flash_program_bytes < _MARKER_BYTES:
        parser.error(f"a sector has at least 1 byte, a program unit at least {_MARKER_BYTES}")
    try:
        image = chosen.image.read_bytes()
    except OSError as error:
        print(f"journal_dump: {chosen.image}: {error.strerror}; name the flash file of a module", file=sys.stderr)
        return 3
    segments = read_segments(image, chosen.flash_sector_bytes, chosen.flash_program_bytes)
    for line in to_lines(segments, chosen.all):
        print(line)
    damages = any(segment.is_damage or any(found.is_damage for found in segment.findings) for segment in segments)
    return 1 if damages else 0


if __name__ == "__main__":
    raise SystemExit(main())
