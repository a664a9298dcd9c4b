"""Reads the image of a module's flash, damaged or not, and says what lies in the journal (SPEC.md section 6).

    python -m tools.journal_dump FLASH [--flash-program-bytes 256]

Written from SPEC.md, apart from the module's own mount: it is the referee of what was journaled. A segment is erased
only when it is used again, so released records stay readable here until the ring comes round.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from acqwire import journal, limits, names

SECTOR_BYTES = 4096  # boards/host: erase sector
PROGRAM_BYTES = 256  # boards/host: program unit
_KINDS = dict(names.KIND_NAMES)


@dataclass(frozen=True, slots=True)
class Entry:
    """A durable record. `offset`: of its header in the image."""

    offset: int
    kind: int
    seq: int
    boot: int
    content_hash: bytes
    envelope: bytes


def read_entries(path: Path, sector_bytes: int = SECTOR_BYTES, program_bytes: int = PROGRAM_BYTES) -> list[Entry]:
    """Every durable record of the image, by seq. What is torn or damaged is no record and is left out."""
    image = path.read_bytes()
    segment_bytes = -(-journal.SEGMENT_MIN_BYTES // sector_bytes) * sector_bytes
    entries: list[Entry] = []
    for start in range(0, len(image) - segment_bytes + 1, segment_bytes):
        if _is_segment(image[start : start + journal.SEGMENT_HEADER_BYTES]):
            header_bytes = _whole_units(journal.SEGMENT_HEADER_BYTES, program_bytes)
            entries += _read_segment(image, start + header_bytes, start + segment_bytes, program_bytes)
    return sorted(entries, key=lambda entry: entry.seq)


def _is_segment(header: bytes) -> bool:
    magic, layout, *_, crc = struct.unpack(journal.SEGMENT_FORMAT, header)
    return magic == journal.SEGMENT_MAGIC and layout == journal.LAYOUT_VERSION and crc == zlib.crc32(header[:-4])


def _read_segment(image: bytes, offset: int, end: int, program_bytes: int) -> list[Entry]:
    entries = []
    while offset + journal.ENTRY_HEADER_BYTES <= end:
        header = image[offset : offset + journal.ENTRY_HEADER_BYTES]
        magic, layout, kind, _, size, seq, boot, content_hash, crc = struct.unpack(journal.ENTRY_FORMAT, header)
        if magic != journal.ENTRY_MAGIC or layout != journal.LAYOUT_VERSION or crc != zlib.crc32(header[:-4]):
            break  # blank, or torn in its header: the rest of the segment is unread
        body = offset + journal.ENTRY_HEADER_BYTES
        marker_bytes = len(journal.COMMIT_MARKER)
        length = _whole_units(journal.ENTRY_HEADER_BYTES + size + journal.ENTRY_CRC_BYTES + marker_bytes, program_bytes)
        if size > limits.ENVELOPE_MAX_BYTES or offset + length > end:
            break
        envelope = image[body : body + size]
        (envelope_crc,) = struct.unpack_from(">I", image, body + size)
        is_committed = image[offset + length - marker_bytes : offset + length] == journal.COMMIT_MARKER
        if is_committed and envelope_crc == zlib.crc32(envelope):
            entries.append(Entry(offset, kind, seq, boot, content_hash, envelope))
        offset += length
    return entries


def _whole_units(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def main() -> int:
    """Print one line for each record; 0 fine, 3 an image that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tools.journal_dump", description="records of a flash image")
    parser.add_argument("image", type=Path, metavar="FLASH")
    parser.add_argument("--flash-sector-bytes", type=int, default=SECTOR_BYTES)
    parser.add_argument("--flash-program-bytes", type=int, default=PROGRAM_BYTES)
    chosen = parser.parse_args()
    try:
        entries = read_entries(chosen.image, chosen.flash_sector_bytes, chosen.flash_program_bytes)
    except OSError as error:
        print(f"journal_dump: {chosen.image}: {error.strerror}; name the flash file of a module", file=sys.stderr)
        return 3
    for entry in entries:
        kind = _KINDS.get(entry.kind, str(entry.kind))
        words = f"at {entry.offset:#09x}: seq {entry.seq}, boot {entry.boot}, {kind}, {len(entry.envelope)} bytes"
        print(f"{words}, content hash {entry.content_hash.hex()}")
    print(f"{len(entries)} records")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
