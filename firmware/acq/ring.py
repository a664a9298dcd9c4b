"""Segments and entries on raw flash (SPEC.md section 6): where they lie, how they are written and read back.

Knows bytes and nothing of what they are for: which segment is next, which record is released, where the chain goes on
is journal.py's business. A flash that raises or that reads back other bytes is answered with False and counted: the
caller goes elsewhere. Reading is tried three times, because a cell that was cut off while erasing reads unstable. One
rotten bit of a header is found by its CRC: such a header would take its neighbours along, or the head of the chain.
"""

import struct
from binascii import crc32

from acqwire import causes, journal, limits

from acq.dialect import const
from acq.faults import JournalError

ENTRY_NONE = const(0)  # blank: nothing more in this segment
ENTRY_UNREADABLE = const(1)  # bad header: the length is unknown, so the rest of the segment is unread
ENTRY_TORN = const(2)  # good header, no commit marker
ENTRY_COMMITTED = const(3)  # good header and marker; the envelope is checked by read_envelope

_GOOD = const(0)
_BLANK = const(1)
_WRONG = const(2)
_CHUNK_BYTES = const(256)  # read and compared at a time
_TRIES = const(3)
_HEADER_CRC_AT = const(20)
_ENTRY_CRC_AT = const(56)
_NUMBER_MAX = 0xFFFF0000  # no flash lives to open so many segments: a greater number is not ours
_SEQ_MAX = 0xFFFFFFFFFFFFFFFE  # the chain needs a successor
_BOOT_MAX = 0xFFFFFFFE


class Ring:
    """The flash region cut into `segment_count` segments of `segment_bytes`; entries begin at `first_entry`.

    After read_header: `number`, `first_seq`. After read_entry: `kind`, `count` (envelope bytes), `seq`, `boot`,
    `content_hash`, `length` (bytes of the entry). After both: `is_mended` (one rotten bit was inverted). RAM: two
    chunks of 256 bytes (or one program unit each where that is larger) and as many constant bytes."""

    def __init__(self, flash) -> None:
        sector_bytes, unit = flash.sector_bytes, flash.program_bytes
        if unit < len(journal.COMMIT_MARKER) or sector_bytes < unit or sector_bytes % unit:
            raise JournalError(causes.FAULT_JOURNAL_GEOMETRY)
        self._flash = flash
        self._unit = unit
        self._segment_sectors = -(-journal.SEGMENT_MIN_BYTES // sector_bytes)
        self.segment_bytes = self._segment_sectors * sector_bytes
        self.segment_count = flash.sector_count // self._segment_sectors
        self.first_entry = -(-journal.SEGMENT_HEADER_BYTES // unit) * unit
        largest = self.first_entry + self.entry_bytes(limits.ENVELOPE_MAX_BYTES)
        if self.segment_count < journal.SEGMENTS_MIN or largest > self.segment_bytes:
            raise JournalError(causes.FAULT_JOURNAL_GEOMETRY)
        self._blank = b"\xff" * max(unit, _CHUNK_BYTES - _CHUNK_BYTES % unit)
        self._wanted = memoryview(bytearray(len(self._blank)))
        self._found = memoryview(bytearray(len(self._blank)))
        self._head = bytearray(journal.ENTRY_HEADER_BYTES)
        self._head_view = memoryview(self._head)
        self._segment_head = self._head_view[: journal.SEGMENT_HEADER_BYTES]
        self._four = bytearray(4)  # CRC of an envelope, commit marker
        self.fault_count = 0  # operations that failed or compared unequal
        self.is_mended = False
        self.number = self.first_seq = 0
        self.kind = self.count = self.seq = self.boot = self.length = 0
        self.content_hash = b""

    def entry_bytes(self, envelope_bytes: int) -> int:
        """Length of an entry on flash, a multiple of the program unit."""
        least = journal.ENTRY_HEADER_BYTES + envelope_bytes + journal.ENTRY_CRC_BYTES + len(journal.COMMIT_MARKER)
        return -(-least // self._unit) * self._unit

    # Segments

    def read_header(self, position: int) -> bool:
        """Whether the segment has a good header."""
        start = position * self.segment_bytes
        if self._read_checked(start, self._segment_head, journal.SEGMENT_MAGIC) != _GOOD:
            return False
        found = struct.unpack_from(journal.SEGMENT_FORMAT, self._head)
        self.number, self.first_seq = found[4], found[5]
        return _is_known(found[1]) and self.number <= _NUMBER_MAX

    def write_header(self, position: int, number: int, first_seq: int) -> bool:
        """Open an erased segment. Power fails before: blank; within: header CRC wrong, the segment holds nothing and is
        erased again; after: an empty segment, the newest. False as well for a number that no mount would take."""
        if number > _NUMBER_MAX:
            return False
        magic, layout = journal.SEGMENT_MAGIC, journal.LAYOUT_VERSION
        struct.pack_into(journal.SEGMENT_FORMAT, self._head, 0, magic, layout, 0, 0, number, first_seq, 0)
        struct.pack_into(">I", self._head, _HEADER_CRC_AT, crc32(self._segment_head[:_HEADER_CRC_AT]))
        self._wanted[:] = self._blank
        self._wanted[: journal.SEGMENT_HEADER_BYTES] = self._segment_head
        start = position * self.segment_bytes
        return self._program(start, self.first_entry) and self._is_equal(start, self.first_entry)

    def erase(self, position: int) -> bool:
        """Erase and verify. The header's sector goes first: power failing later leaves a segment without a header.
        Power failing within the first sector leaves unstable bytes; every entry there is released."""
        first = position * self._segment_sectors
        try:
            for sector in range(first, first + self._segment_sectors):
                self._flash.erase(sector)
        except JournalError:
            self.fault_count += 1
            return False
        if self.is_blank(position, 0):
            return True
        self.fault_count += 1
        return False

    def is_blank(self, position: int, offset: int) -> bool:
        """Whether everything from `offset` to the end of the segment reads 0xFF."""
        start = position * self.segment_bytes
        for at in range(offset, self.segment_bytes, len(self._blank)):
            found = self._found[: min(len(self._blank), self.segment_bytes - at)]
            if not self._read(start + at, found) or found != self._blank[: len(found)]:
                return False
        return True

    # Entries

    def read_entry(self, position: int, offset: int) -> int:
        """What begins at `offset`: ENTRY_*."""
        start = position * self.segment_bytes + offset
        if offset + journal.ENTRY_HEADER_BYTES > self.segment_bytes:
            return ENTRY_NONE
        state = self._read_checked(start, self._head_view, journal.ENTRY_MAGIC)
        if state != _GOOD:
            return ENTRY_NONE if state == _BLANK else ENTRY_UNREADABLE
        found = struct.unpack_from(journal.ENTRY_FORMAT, self._head)
        self.kind, self.count, self.seq, self.boot, self.content_hash = found[2], found[4], found[5], found[6], found[7]
        self.length = self.entry_bytes(self.count)
        if (
            not _is_known(found[1])
            or not 0 < self.count <= limits.ENVELOPE_MAX_BYTES
            or offset + self.length > self.segment_bytes
            or not 0 < self.seq <= _SEQ_MAX
            or not 0 < self.boot <= _BOOT_MAX
        ):
            return ENTRY_UNREADABLE
        for _ in range(_TRIES):
            if self._read(start + self.length - 4, self._four):
                wrong_bits = _differing_bits(self._four, journal.COMMIT_MARKER)
                if wrong_bits <= 1:
                    self.is_mended = self.is_mended or wrong_bits == 1
                    return ENTRY_COMMITTED
        return ENTRY_TORN

    def read_envelope(self, position: int, offset: int, buf) -> bool:
        """Check the envelope of the entry that read_entry has just found and copy it to the start of buf (None: only
        check). False: its bytes are not the ones that were appended."""
        start = position * self.segment_bytes + offset + journal.ENTRY_HEADER_BYTES
        for _ in range(_TRIES):
            crc = self._copy(start, buf)
            if crc >= 0 and self._read(start + self.count, self._four):
                if struct.unpack(">I", self._four)[0] == crc:
                    return True
        return False

    def write_entry(self, position: int, offset: int, kind: int, seq: int, boot: int, content_hash, envelope) -> bool:
        """Program an entry into blank space and read it back; `length` is then its length.

        Power fails before the last unit: no marker, the entry counts as torn and nobody was told of it. Within the last
        unit: marker or CRC incomplete, the same. After it: the entry is found by the mount, durable though nobody was
        told yet. All units before the last are compared first, so that a marker never stands behind wrong bytes."""
        count = len(envelope)
        magic, layout = journal.ENTRY_MAGIC, journal.LAYOUT_VERSION
        content_hash = bytes(content_hash)
        struct.pack_into(
            journal.ENTRY_FORMAT, self._head, 0, magic, layout, kind, 0, count, seq, boot, content_hash, 0
        )  # fmt: skip
        struct.pack_into(">I", self._head, _ENTRY_CRC_AT, crc32(self._head_view[:_ENTRY_CRC_AT]))
        self.length = self.entry_bytes(count)
        tail = struct.pack(">I", crc32(envelope))
        start = position * self.segment_bytes + offset
        last = self.length - self._unit
        return (
            self._pass(start, 0, last, envelope, tail, True)
            and self._pass(start, 0, last, envelope, tail, False)
            and self._pass(start, last, self.length, envelope, tail, True)
            and self._pass(start, 0, self.length, envelope, tail, False)
        )

    def _read_checked(self, start: int, head, magic: bytes) -> int:
        """Read a header into the start of `_head`: _GOOD, _BLANK or _WRONG."""
        crc_at = len(head) - 4
        body = head[:crc_at]
        self.is_mended = is_read = False
        for _ in range(_TRIES):
            is_read = self._read(start, head)
            if not is_read:
                continue
            if head[:4] == magic and struct.unpack_from(">I", head, crc_at)[0] == crc32(body):
                return _GOOD
            if head == self._blank[: len(head)]:
                return _BLANK
        # Up to 480 CRCs of 56 bytes, and only for what looks like a header. Within these lengths any two headers differ
        # in more than four bits, so that no other header is ever taken for this one.
        if is_read and _differing_bits(head[:4], magic) <= 1:
            for bit in range(len(head) * 8):
                head[bit >> 3] ^= 1 << (bit & 7)
                if struct.unpack_from(">I", head, crc_at)[0] == crc32(body) and head[:4] == magic:
                    self.is_mended = True
                    return _GOOD
                head[bit >> 3] ^= 1 << (bit & 7)
        return _WRONG

    def _pass(self, start: int, first: int, end: int, envelope, tail: bytes, is_program: bool) -> bool:
        at = first
        while at < end:
            size = min(len(self._blank), end - at)
            self._wanted[:] = self._blank
            self._lay(at, size, 0, self._head_view)
            self._lay(at, size, journal.ENTRY_HEADER_BYTES, envelope)
            self._lay(at, size, journal.ENTRY_HEADER_BYTES + len(envelope), tail)
            self._lay(at, size, self.length - len(journal.COMMIT_MARKER), journal.COMMIT_MARKER)
            if not (self._program(start + at, size) if is_program else self._is_equal(start + at, size)):
                return False
            at += size
        return True

    def _lay(self, at: int, size: int, place: int, data) -> None:
        first = max(at, place)
        end = min(at + size, place + len(data))
        if first < end:
            self._wanted[first - at : end - at] = data[first - place : end - place]

    def _copy(self, start: int, buf) -> int:
        if buf is not None:
            target = memoryview(buf)[: self.count]
            return crc32(target) if self._read(start, target) else -1
        crc = 0
        for at in range(0, self.count, len(self._blank)):
            found = self._found[: min(len(self._blank), self.count - at)]
            if not self._read(start + at, found):
                return -1
            crc = crc32(found, crc)
        return crc

    def _read(self, offset: int, buf) -> bool:
        try:
            self._flash.read(offset, buf)
        except JournalError:
            self.fault_count += 1
            return False
        return True

    def _program(self, offset: int, size: int) -> bool:
        try:
            self._flash.program(offset, self._wanted[:size])
        except JournalError:
            self.fault_count += 1
            return False
        return True

    def _is_equal(self, offset: int, size: int) -> bool:
        if self._read(offset, self._found[:size]) and self._found[:size] == self._wanted[:size]:
            return True
        self.fault_count += 1
        return False


def _is_known(layout: int) -> bool:
    return journal.LAYOUT_VERSION_OLDEST <= layout <= journal.LAYOUT_VERSION


def _differing_bits(found, wanted: bytes) -> int:
    return sum(bin(found[index] ^ wanted[index]).count("1") for index in range(len(wanted)))
