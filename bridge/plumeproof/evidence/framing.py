"""Link frames to bytes and back: SPEC.md section 2.1. COBS (Cheshire and Baker, 1999), CRC-32, one zero at the end.

Incremental and bounded: whatever lies between two zeros and is no good frame is dropped and counted, never raised;
after a frame longer than the maximum the codec waits for the next zero. What a body means is left to link.session.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST, frames

from plumeproof.model import Frame

ZERO = bytes((frames.DELIMITER,))
BLOCK_BYTES = 254  # longest run of a COBS block
ENCODED_MAX_BYTES = frames.FRAME_MAX_BYTES + frames.FRAME_MAX_BYTES // BLOCK_BYTES + 1
BODY_MAX_BYTES = frames.FRAME_MAX_BYTES - frames.HEADER_BYTES - frames.CRC_BYTES
FRAME_TYPES = frozenset(
    (
        frames.HELLO, frames.FETCH, frames.ACKNOWLEDGE, frames.TIME_ASK, frames.TIME_SET,
        frames.UPDATE_ASK, frames.UPDATE_BEGIN, frames.UPDATE_DATA, frames.UPDATE_END, frames.UPDATE_STATE,
        frames.FAULTS_ASK, frames.FAULTS, frames.WELCOME, frames.RECORD,
        frames.END, frames.MISSING, frames.RELEASED, frames.TIME_NONCE, frames.TIME_TAKEN, frames.BUSY, frames.REFUSED,
    )
)  # fmt: skip


@dataclass(slots=True)
class FrameCounters:
    """Counted since the start. `header_total`: good CRC, but unknown version, type or address."""

    frames_total: int = 0
    cobs_total: int = 0
    crc_total: int = 0
    too_long_total: int = 0
    header_total: int = 0
    unfinished_total: int = 0


class FrameCodec:
    """Both directions of one line. Not shared between threads."""

    def __init__(self) -> None:
        self.counters = FrameCounters()
        self._partial = bytearray()
        self._is_skipping = False

    def encode(self, frame: Frame) -> bytes:
        """The frame ready for the line, a zero before and behind it. Raises ValueError when it does not fit."""
        return ZERO + encode_frame(frame)

    def feed(self, data: bytes) -> list[Frame]:
        """Good frames completed by `data`, in order."""
        found: list[Frame] = []
        start = 0
        while (end := data.find(ZERO, start)) >= 0:
            self._take(data, start, end)
            start = end + 1
            if self._is_skipping:
                self.counters.too_long_total += 1
            elif self._partial:
                frame = self._parse(bytes(self._partial))
                if frame is not None:
                    found.append(frame)
            self._partial.clear()
            self._is_skipping = False
        self._take(data, start, len(data))
        return found

    def reset(self) -> None:
        """Forget an unfinished frame (older than frames.PARTIAL_MAX_MS, or the line was opened again)."""
        if self._partial or self._is_skipping:
            self.counters.unfinished_total += 1
        self._partial.clear()
        self._is_skipping = False

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._is_skipping or end == start:
            return
        if len(self._partial) + end - start > ENCODED_MAX_BYTES:
            self._partial.clear()
            self._is_skipping = True
            return
        self._partial += data[start:end]

    def _parse(self, encoded: bytes) -> Frame | None:
        decoded = decode_cobs(encoded)
        if decoded is None or len(decoded) < frames.HEADER_BYTES + frames.CRC_BYTES:
            self.counters.cobs_total += 1
            return None
        if len(decoded) > frames.FRAME_MAX_BYTES:
            self.counters.too_long_total += 1
            return None
        content, crc = decoded[: -frames.CRC_BYTES], decoded[-frames.CRC_BYTES :]
        if binascii.crc32(content) != int.from_bytes(crc, "big"):
            self.counters.crc_total += 1
            return None
        version, address, kind, number = content[: frames.HEADER_BYTES]
        if (
            not WIRE_VERSION_OLDEST <= version <= WIRE_VERSION
            or not frames.ADDRESS_MIN <= address <= frames.ADDRESS_MAX
            or kind not in FRAME_TYPES
        ):
            self.counters.header_total += 1
            return None
        self.counters.frames_total += 1
        return Frame(type=kind, address=address, number=number, body=content[frames.HEADER_BYTES :])


def encode_frame(frame: Frame) -> bytes:
    """Header, body and CRC-32 in COBS, closed by one zero. Raises ValueError when the body is too long."""
    if len(frame.body) > BODY_MAX_BYTES:
        raise ValueError(f"body of {len(frame.body)} bytes; a frame holds {BODY_MAX_BYTES}")
    content = bytes((WIRE_VERSION, frame.address, frame.type, frame.number)) + frame.body
    return encode_cobs(content + binascii.crc32(content).to_bytes(frames.CRC_BYTES, "big")) + ZERO


def encode_cobs(data: bytes) -> bytes:
    """COBS without the delimiter: every zero becomes the distance to the next one."""
    encoded = bytearray()
    pieces = data.split(ZERO)
    for index, piece in enumerate(pieces):
        is_last = index == len(pieces) - 1
        while len(piece) >= BLOCK_BYTES:
            encoded.append(BLOCK_BYTES + 1)
            encoded += piece[:BLOCK_BYTES]
            piece = piece[BLOCK_BYTES:]
            if is_last and not piece:
                return bytes(encoded)  # a full block that ends the data needs no empty one behind it
        encoded.append(len(piece) + 1)
        encoded += piece
    return bytes(encoded)


def decode_cobs(encoded: bytes) -> bytes | None:
    """The data of one COBS string without delimiter; None when it is none."""
    decoded = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        end = at + code
        if code == 0 or end > len(encoded):
            return None
        decoded += encoded[at + 1 : end]
        if code <= BLOCK_BYTES and end < len(encoded):
            decoded.append(0)
        at = end
    return bytes(decoded)
