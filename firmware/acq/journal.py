"""The journal: a ring of segments on raw flash; keeps envelopes until the gateway has them (SPEC.md section 6).

`mount` takes any image and never raises for its content. `append` returns when the entry has been read back. What lies
in a segment on flash, and how it is programmed and compared, is ring.py's business.

A segment's number is its predecessor's plus their distance in the ring: one, or more where a bad segment was passed
over. So each position can carry one number only, and a segment whose header has rotted costs no other its place.
"""

from acqwire import causes, fields, frames, limits

from acq.dialect import const
from acq.faults import JournalError
from acq.ring import ENTRY_COMMITTED, ENTRY_NONE, ENTRY_UNREADABLE, Ring

_RESERVED = (fields.KIND_BOOT, fields.KIND_PARAMETERS, fields.KIND_EVENT, fields.KIND_OVERFLOW)

# What is known of a segment; everything else is on flash
_UNKNOWN = const(0)  # erased before use, whatever it looks like
_LIVE = const(1)  # holds entries of the ring
_BLANK = const(2)  # erased and verified since this start
_BAD = const(3)  # failed since the last release; tried again when the ring comes round


class Journal:
    """One ring. After `mount`: `head_seq`, `head_boot`, `head_hash` (0, 0, b"" for none), `oldest_seq` (oldest that can
    be read, 0 for none), `newest_seq` (= head_seq), `torn_count`, `fault_count` (flash operations that failed).

    A released record can still be read until its segment is erased. RAM: one byte a segment, and ring.py's."""

    def __init__(self, flash) -> None:
        """flash: ports.Flash. Raises JournalError(FAULT_JOURNAL_GEOMETRY) when it cannot hold a journal."""
        self._ring = Ring(flash)
        self._count = self._ring.segment_count
        self._forget()

    @property
    def fault_count(self) -> int:
        return self._ring.fault_count

    def _forget(self) -> None:
        self._states = bytearray(self._count)
        self.head_seq = self.newest_seq = self.head_boot = self.oldest_seq = self.torn_count = self._released_seq = 0
        self.head_hash = self.read_hash = self._released_hash = b""
        self._head = -1  # position of the segment with the newest entry; it is never erased
        self._oldest = self._kept = -1  # positions of the first live segment, and of the first not wholly released
        self._base, self._base_number = self._count - 1, 0  # from here numbers are counted on
        self._open, self._offset = -1, 0  # segment being written and where in it, -1: the next entry opens one
        self._cursor, self._cursor_offset, self._cursor_seq = -1, 0, 0  # entry found last by seek

    def mount(self) -> None:
        """Read the whole ring once: bounded by its size. Forgets releases."""
        self._forget()
        ring = self._ring
        newest = highest = -1
        for position in range(self._count):
            if ring.read_header(position) and ring.number > highest:
                newest, highest = position, ring.number
        if newest < 0:
            return
        for distance in range(self._count):
            position = (newest - distance) % self._count
            if ring.read_header(position) and ring.number == highest - distance:
                self._states[position] = _LIVE
                self.torn_count += ring.is_mended
        readable_seq = end = 0
        for step in range(1, self._count + 1):
            position = (newest + step) % self._count
            if self._states[position] == _LIVE:
                self._oldest = position if self._oldest < 0 else self._oldest
                number = highest - (newest - position) % self._count
                readable_seq, end = self._mount_segment(position, number, readable_seq)
        if self._head < 0:
            self._base, self._base_number = (newest - 1) % self._count, highest - 1
            self._oldest = -1
        elif self._kept < 0:
            self._kept = self._head
        if end < ring.segment_bytes:
            if not ring.is_blank(newest, end):
                self.torn_count += 1
            elif ring.read_header(newest) and not ring.is_mended:  # a second rotten bit would take what came into it
                if newest == self._head or ring.first_seq == self.head_seq + 1:
                    self._open, self._offset = newest, end
        # Segments opened behind the head hold nothing that was ever durable: free, whatever their headers say
        for step in range(1, (newest - self._head) % self._count + 1 if self._head >= 0 else self._count + 1):
            position = (self._head + step) % self._count
            if self._states[position] == _LIVE:
                self._states[position] = _UNKNOWN

    def _mount_segment(self, position: int, number: int, readable_seq: int):
        """Read every entry; the last readable seq so far, and where the entries end (segment_bytes: unknown)."""
        ring = self._ring
        offset = ring.first_entry
        while True:
            found = ring.read_entry(position, offset)
            if found == ENTRY_NONE:
                return readable_seq, offset
            if found == ENTRY_UNREADABLE:
                self.torn_count += 1
                return readable_seq, ring.segment_bytes
            is_committed = found == ENTRY_COMMITTED
            is_readable = is_committed and ring.seq > readable_seq and ring.read_envelope(position, offset, None)
            if is_readable:
                readable_seq = ring.seq
                if self.oldest_seq == 0:
                    self.oldest_seq = ring.seq
                    self._kept = position
            if not is_readable or ring.is_mended:
                self.torn_count += 1
            # A marker behind a damaged envelope: the record was durable and may be known to the gateway (or, rarely, a
            # cut left all of the marker and not all else). The chain goes on from its header, with a CRC of its own.
            if is_committed and (ring.seq > self.head_seq or is_readable):
                self._set_head(position, number, ring.seq, ring.boot, ring.content_hash)
            offset += ring.length

    def _set_head(self, position: int, number: int, seq: int, boot: int, content_hash: bytes) -> None:
        self._head = self._base = position
        self._base_number = number
        self.head_seq = self.newest_seq = seq
        self.head_boot, self.head_hash = boot, content_hash

    def has_room(self, envelope_bytes: int, is_reserved: bool) -> bool:
        """Whether an envelope of this size can be appended. One segment is kept back; only boot, parameters, overflow
        and event records (is_reserved) may use it."""
        fits = self._fits(self._ring.entry_bytes(envelope_bytes))
        needed = (0 if is_reserved else 1) + (0 if fits else 1)
        return self._free_behind(self._base, needed, fits) == needed

    def is_filling(self) -> bool:
        """What is not released takes more than half of the ring."""
        return self._kept >= 0 and 2 * ((self._base - self._kept) % self._count + 1) > self._count

    def append(self, kind: int, seq: int, boot: int, content_hash: bytes, envelope) -> None:
        """Durable and read back on return. Raises JournalError: FAULT_JOURNAL_FULL (nothing was taken: offer the same
        entry again when the gateway has released), FAULT_JOURNAL_TOO_LARGE; ValueError when seq does not grow."""
        ring = self._ring
        if not 0 < len(envelope) <= limits.ENVELOPE_MAX_BYTES:
            raise JournalError(causes.FAULT_JOURNAL_TOO_LARGE)
        if seq <= self.head_seq or len(content_hash) != limits.HASH_BYTES or not 0 < kind < 256:
            raise ValueError("journal: seq does not grow, or kind or content hash is none")
        kept_back = 0 if kind in _RESERVED else 1
        length = ring.entry_bytes(len(envelope))
        last = self._base
        for _ in range(self._count + 1):
            if not self._fits(length):
                if self._open != self._head:
                    self._open = -1  # holds nothing durable: erased and opened again in its turn
                last = self._open_behind(last, seq, kept_back)
            elif self._free_behind(self._base, kept_back, True) < kept_back:
                break
            if ring.write_entry(self._open, self._offset, kind, seq, boot, content_hash, envelope):
                self._took(seq, boot, content_hash, length)
                return
            if self._open != self._head:
                self._states[self._open] = _BAD
            self._open = -1
        raise JournalError(causes.FAULT_JOURNAL_FULL)

    def _took(self, seq: int, boot: int, content_hash: bytes, length: int) -> None:
        position = self._open
        if position != self._head:
            self._states[position] = _LIVE
            if self._head < 0:
                self._oldest = self._kept = position
            elif self._kept == self._head and self._released_seq == self.head_seq:
                self._kept = position  # all that was there before is released
        self._set_head(position, self._number_at(position), seq, boot, bytes(content_hash))
        self._offset += length
        self.oldest_seq = self.oldest_seq or seq

    def _fits(self, length: int) -> bool:
        return self._open >= 0 and self._offset + length <= self._ring.segment_bytes

    def _number_at(self, position: int) -> int:
        if position == self._head:
            return self._base_number
        return self._base_number + (position - self._base - 1) % self._count + 1

    def _free_behind(self, position: int, limit: int, is_open_used: bool) -> int:
        """How many segments behind `position` may be erased, counted up to `limit`."""
        count = 0
        for step in range(1, self._count + 1):
            free = (position + step) % self._count
            if count == limit or free == self._kept:
                break
            if self._states[free] != _BAD and not (is_open_used and free == self._open):
                count += 1
        return count

    def _open_behind(self, position: int, seq: int, kept_back: int) -> int:
        """Open the next segment that works and leaves `kept_back` free ones; its position."""
        for step in range(1, self._count + 1):
            free = (position + step) % self._count
            if free == self._kept or self._free_behind(free, kept_back, True) < kept_back:
                break
            self._open = -1
            is_blank = self._states[free] == _BLANK or self._erase(free)
            if is_blank and self._ring.write_header(free, self._number_at(free), seq):
                self._states[free] = _UNKNOWN  # nothing durable in it yet
                self._open, self._offset = free, self._ring.first_entry
                return free
            self._states[free] = _BAD
        raise JournalError(causes.FAULT_JOURNAL_FULL)

    def _erase(self, position: int) -> bool:
        was_live = self._states[position] == _LIVE
        self._states[position] = _UNKNOWN
        if position == self._cursor:
            self._cursor = -1
        if was_live:
            if position == self._oldest:
                self._oldest = self._next_live(position)
            self.oldest_seq = self.seek(1)
        # Power fails within: only released entries, or none, were here (ring.erase says what is left of them)
        is_erased = self._ring.erase(position)
        self._states[position] = _BLANK if is_erased else _BAD
        return is_erased

    def prepare(self, is_look: bool = False) -> bool:
        """Erase one free segment ahead in a quiet moment (is_look: only look); False when there is nothing to do."""
        free = (self._base + 1) % self._count
        if free == self._open:
            free = (free + 1) % self._count
        if free == self._kept or self._states[free] == _BLANK or self._states[free] == _BAD:
            return False
        return is_look or self._erase(free)

    def seek(self, seq: int) -> int:
        """The first seq >= `seq` that can be read; 0: none."""
        return self._find(seq, True)

    def read(self, seq: int, buf) -> int:
        """Copy the envelope of record `seq` to the start of buf; its count of bytes, 0 when it cannot be read.
        Then `read_hash` (32 bytes) is its content hash."""
        ring = self._ring
        if (self._cursor < 0 or self._cursor_seq != seq) and self._find(seq, True) != seq:
            return 0
        position, offset = self._cursor, self._cursor_offset
        if ring.read_entry(position, offset) == ENTRY_COMMITTED and ring.seq == seq:
            if len(buf) < ring.count:
                raise ValueError("journal: buffer shorter than the envelope")
            if ring.read_envelope(position, offset, buf):
                self.read_hash = ring.content_hash
                return ring.count
        self._cursor = -1
        return 0

    def release(self, seq: int, content_hash: bytes) -> int:
        """Everything up to and including seq is on the gateway's disk; frames.RELEASE_*."""
        ring = self._ring
        if seq == self._released_seq and content_hash == self._released_hash:
            return frames.RELEASE_DONE
        if not 0 < seq <= self.head_seq or self._find(seq, False) != seq:
            return frames.RELEASE_UNKNOWN_SEQ
        if ring.content_hash != content_hash:
            return frames.RELEASE_WRONG_HASH
        if seq <= self._released_seq:
            return frames.RELEASE_DONE
        self._released_seq, self._released_hash = seq, bytes(content_hash)
        self._kept = self._cursor
        if self._cursor != self._head:
            following = self._next_live(self._cursor)
            if ring.read_header(following) and ring.first_seq <= seq + 1:
                self._kept = following
        for position in range(self._count):
            if self._states[position] == _BAD:
                self._states[position] = _UNKNOWN
        return frames.RELEASE_DONE

    def _find(self, seq: int, is_whole: bool) -> int:
        """Put the cursor on the first committed entry (is_whole: with a good envelope) at or behind `seq`."""
        ring = self._ring
        if self._head < 0 or seq > self.head_seq:
            return 0
        is_wanted = self._cursor >= 0 and self._cursor_seq <= seq
        position, offset = (self._cursor, self._cursor_offset) if is_wanted else (self._oldest, ring.first_entry)
        while position != self._head:
            following = self._next_live(position)
            if not ring.read_header(following) or ring.first_seq > seq:
                break
            position, offset = following, ring.first_entry
        while True:
            found = ring.read_entry(position, offset)
            if found == ENTRY_NONE or found == ENTRY_UNREADABLE:
                if position == self._head:
                    return 0
                position, offset = self._next_live(position), ring.first_entry
                continue
            is_wanted = found == ENTRY_COMMITTED and ring.seq >= seq
            if is_wanted and (not is_whole or ring.read_envelope(position, offset, None)):
                self._cursor, self._cursor_offset, self._cursor_seq = position, offset, ring.seq
                return ring.seq
            offset += ring.length

    def _next_live(self, position: int) -> int:
        for step in range(1, self._count):
            following = (position + step) % self._count
            if self._states[following] == _LIVE:
                return following
        return position
