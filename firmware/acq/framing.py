"""Link frames to bytes and back (SPEC.md section 2.1): COBS (Cheshire and Baker, 1999), CRC-32, one zero at the end.

Both classes work in one buffer made at the start and allocate nothing per byte. Noise is no error: whatever lies
between two zeros and is no good frame is dropped and counted. What a body means is link.py's business.
"""

import struct
from binascii import crc32

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST, frames

from acq.dialect import const

_LEAST_BYTES = frames.HEADER_BYTES + frames.CRC_BYTES
_RUN_MAX = const(255)  # code of a full COBS block: 254 bytes and no zero behind them
_OVERHEAD_BYTES = frames.FRAME_MAX_BYTES // 254 + 1  # what COBS can add
_RAW_AT = 1 + _OVERHEAD_BYTES  # the frame is written here and encoded towards the front; byte 0 is a zero
_TYPES = bytes(
    (
        frames.HELLO, frames.FETCH, frames.ACKNOWLEDGE, frames.TIME_ASK, frames.TIME_SET,
        frames.UPDATE_ASK, frames.UPDATE_BEGIN, frames.UPDATE_DATA, frames.UPDATE_END, frames.UPDATE_STATE,
        frames.FAULTS_ASK, frames.FAULTS, frames.WELCOME, frames.RECORD,
        frames.END, frames.MISSING, frames.RELEASED, frames.TIME_NONCE, frames.TIME_TAKEN, frames.BUSY, frames.REFUSED,
    )
)  # fmt: skip


class FrameReader:
    """Decodes byte by byte. `is_whole` is True from the end of a good frame to the next call of `feed`; then `address`,
    `type`, `number` and body[:body_count] are good. RAM: `capacity` bytes.

    Counted since the start: `frame_count`; dropped: `cobs_count`, `crc_count`, `too_long_count`, `header_count` (good
    CRC, but unknown version, type or address), `unfinished_count`."""

    def __init__(self, capacity: int) -> None:
        """capacity: longest frame (header, body, CRC) that is of interest; a longer one is dropped and counted."""
        self._buf = bytearray(capacity)
        self._view = memoryview(self._buf)
        self.body = self._view[frames.HEADER_BYTES :]
        self.is_whole = False
        self.address = self.type = self.number = self.body_count = 0
        self.frame_count = self.cobs_count = self.crc_count = 0
        self.too_long_count = self.header_count = self.unfinished_count = 0
        self._begin()

    def _begin(self) -> None:
        self.has_partial = False  # a frame has begun and not ended
        self._is_skipping = False  # too long: wait for the next zero
        self._is_zero_due = False  # the block before stood for a zero, if another one follows
        self._left = 0  # bytes of the block still to come
        self._count = 0

    def feed(self, buf, start: int, end: int) -> int:
        """Take buf[start:end] up to the end of the first good frame; index of the first byte not taken."""
        self.is_whole = False
        for index in range(start, end):
            byte = buf[index]
            if byte == frames.DELIMITER:
                if self.has_partial:
                    self.is_whole = self._close()
                    self._begin()
                    if self.is_whole:
                        return index + 1
            elif not self._is_skipping:
                self.has_partial = True
                if self._left:
                    self._left -= 1
                    self._put(byte)
                else:
                    if self._is_zero_due:
                        self._put(0)
                    self._left = byte - 1
                    self._is_zero_due = byte != _RUN_MAX
        return end

    def reset(self) -> None:
        """Forget an unfinished frame."""
        if self.has_partial:
            self.unfinished_count += 1
        self._begin()

    def widen(self, capacity: int) -> None:
        """Between frames: from now on frames of this length are of interest as well. Allocates the new buffer."""
        if capacity > len(self._buf):
            self._buf = bytearray(capacity)
            self._view = memoryview(self._buf)
            self.body = self._view[frames.HEADER_BYTES :]

    def _put(self, byte: int) -> None:
        if self._count == len(self._buf):
            self._is_skipping = True
            return
        self._buf[self._count] = byte
        self._count += 1

    def _close(self) -> bool:
        count = self._count - frames.CRC_BYTES
        if self._is_skipping:
            self.too_long_count += 1
        elif self._left or self._count < _LEAST_BYTES:
            self.cobs_count += 1
        elif struct.unpack_from(">I", self._buf, count)[0] != crc32(self._view[:count]):
            self.crc_count += 1
        elif not self._is_known():
            self.header_count += 1
        else:
            self.address, self.type, self.number = self._buf[1], self._buf[2], self._buf[3]
            self.body_count = count - frames.HEADER_BYTES
            self.frame_count += 1
            return True
        return False

    def _is_known(self) -> bool:
        buf = self._buf
        return (
            WIRE_VERSION_OLDEST <= buf[0] <= WIRE_VERSION
            and frames.ADDRESS_MIN <= buf[1] <= frames.ADDRESS_MAX
            and buf[2] in _TYPES
        )


class FrameWriter:
    """Encodes one frame at a time in place. `body` is where the body is written; after `finish`, buf[start:end] is what
    the line must carry. RAM: one frame of 4,608 bytes and 21 for the encoding."""

    def __init__(self) -> None:
        self.buf = bytearray(_RAW_AT + frames.FRAME_MAX_BYTES + 1)
        self._view = memoryview(self.buf)
        self.body = self._view[_RAW_AT + frames.HEADER_BYTES : _RAW_AT + frames.FRAME_MAX_BYTES - frames.CRC_BYTES]
        self.start = self.end = 0

    def finish(self, address: int, type_: int, number: int, body_count: int, is_first: bool) -> None:
        """Encode header, body[:body_count] and CRC; a zero in front when it is the first frame after silence."""
        buf = self.buf
        end = _RAW_AT + frames.HEADER_BYTES + body_count
        struct.pack_into("BBBB", buf, _RAW_AT, WIRE_VERSION, address, type_, number)
        struct.pack_into(">I", buf, end, crc32(self._view[_RAW_AT:end]))
        self.start = 0 if is_first else 1
        self.end = self._encode(end + frames.CRC_BYTES)

    def _encode(self, end: int) -> int:
        """COBS from _RAW_AT:end to 1:. The writing never catches up with the reading: COBS adds one byte, and one more
        for each 254, and that many lie between the two."""
        buf = self.buf
        code_at, at, run = 1, 2, 1
        for index in range(_RAW_AT, end):
            if run == _RUN_MAX:  # checked before the next byte: a full block that ends the data has nothing behind it
                buf[code_at] = run
                code_at, at, run = at, at + 1, 1
            byte = buf[index]
            if byte:
                buf[at] = byte
                run += 1
            else:
                buf[code_at] = run
                code_at, run = at, 1
            at += 1
        buf[code_at] = run
        buf[at] = frames.DELIMITER
        return at + 1
