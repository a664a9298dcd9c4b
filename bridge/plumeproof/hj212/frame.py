"""Frames of HJ 212: `##`, four digits of length, data, four hex digits of CRC, CR LF. Pure.

The CRC is not the one of Modbus: the low byte of the old register is dropped before the XOR. Units in the field send
wrong ones, so each link has a policy; what passed by which check stays on the frame and on every value read from it.

    splitter = FrameSplitter(Policy.STRICT)
    for piece in splitter.feed(received):  # any split or concatenation gives the same pieces
        ...
    rest = splitter.close()                # the stream has ended: what was begun is named
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

DATA_MAX = 1024  # bytes of data in one packet
HEAD = 6  # bytes: ## and the length
CRC_DIGITS = 4
RUBBISH_HEAD = 64  # bytes of rubbish that are shown; the rest is only counted
HEX = frozenset(b"0123456789abcdefABCDEF")


class Policy(StrEnum):
    """What a link takes as a right checksum."""

    STRICT = "strict"
    MODBUS = "modbus-crc-accepted"
    IGNORE = "ignore-crc"


class Check(StrEnum):
    """The checksum that the bytes were found to carry."""

    HJ212 = "hj212"
    MODBUS = "modbus"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet as received, without its line end. `reason` says why it is refused; empty: accepted."""

    offset: int  # of its first # in the stream, bytes
    raw: bytes
    data: bytes
    check: Check
    policy: Policy
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the link's policy takes it."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Bytes that belong to no packet. `broken_head`: a `##` was among them whose length cannot be used."""

    offset: int
    length: int
    head: bytes  # the first RUBBISH_HEAD of them
    broken_head: str


def _crc_table() -> tuple[int, ...]:
    table = []
    for register in range(256):
        for _ in range(8):
            register = (register >> 1) ^ (0xA001 if register & 1 else 0)
        table.append(register)
    return tuple(table)


_TABLE = _crc_table()


def crc_hj212(data: bytes) -> int:
    """Checksum of HJ 212 annex A."""
    register = 0xFFFF
    for byte in data:
        register = _TABLE[(register >> 8) ^ byte]
    return register


def crc_modbus(data: bytes) -> int:
    """CRC-16/MODBUS, which some field units send by mistake."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ _TABLE[(register ^ byte) & 0xFF]
    return register


def frame_bytes(data: bytes) -> bytes:
    """The packet to send, with its line end."""
    if len(data) > DATA_MAX:
        raise ValueError(f"{len(data)} bytes of data, a packet holds at most {DATA_MAX}: split it by PNUM and PNO")
    return b"##%04d%b%04X\r\n" % (len(data), data, crc_hj212(data))


class FrameSplitter:
    """Packets out of a stream of bytes. Holds less than one packet and the chunk it was given."""

    def __init__(self, policy: Policy = Policy.STRICT) -> None:
        self.policy = policy
        self._held = bytearray()
        self._at = 0  # offset of _held[0] in the stream
        self._after_packet = False  # line ends are part of the grammar here, anywhere else they are rubbish
        self._rubbish_at = 0
        self._rubbish_length = 0
        self._rubbish_head = b""
        self._broken_head = ""

    def feed(self, chunk: bytes) -> list[Frame | Rubbish]:
        """What the bytes so far complete, in the order of the stream."""
        self._held += chunk
        return list(self._pieces(is_end=False))

    def close(self) -> list[Frame | Rubbish]:
        """What is left when no more bytes come: a packet cut short is refused, and searched for a later one."""
        return [*self._pieces(is_end=True), *self._end_rubbish()]

    def _pieces(self, is_end: bool) -> Iterator[Frame | Rubbish]:
        held = bytes(self._held)  # one copy for a chunk, not one for each packet
        start, base = 0, self._at
        while start < len(held):
            if self._after_packet:
                if held[start] in b"\r\n":
                    start += 1
                    continue
                self._after_packet = False
            found = held.find(b"##", start)
            if found != start:
                stop = found if found >= 0 else len(held)
                if found < 0 and not is_end and held[-1:] == b"#":
                    stop -= 1  # may be the first half of a ##
                self._drop(held[start:stop], base + start)
                start = stop
                if found < 0:
                    break
                continue
            digits = held[start + 2 : start + HEAD]
            if len(digits) < 4 and not is_end:
                break
            reason = _fault_of_length(digits)
            if reason:
                self._broken_head = self._broken_head or reason
                self._drop(held[start : start + 1], base + start)
                start += 1
                continue
            data_end = start + HEAD + int(digits)
            if data_end + CRC_DIGITS > len(held) and not is_end:
                break
            yield from self._end_rubbish()
            frame = self._judge(held[start : data_end + CRC_DIGITS], int(digits), base + start)
            yield frame
            start += len(frame.raw)
            self._after_packet = True
        self._held = bytearray(held[start:])
        self._at = base + start

    def _judge(self, raw: bytes, length: int, offset: int) -> Frame:
        """The claimed bytes as a frame; a refused one ends where another packet may begin inside it."""
        data, digits = raw[HEAD : HEAD + length], raw[HEAD + length :]
        check, reason = Check.WRONG, ""
        if len(raw) < HEAD + length + CRC_DIGITS:
            reason = f"cut short: {HEAD + length + CRC_DIGITS} bytes announced, {len(raw)} there"
        elif not HEX.issuperset(digits):
            reason = "no four hex digits where the length puts the CRC: length or bytes are wrong"
        else:
            sent = int(digits, 16)
            if sent == crc_hj212(data):
                check = Check.HJ212
            elif sent == crc_modbus(data):
                check = Check.MODBUS
            reason = self._fault_of_check(check, sent, data)
        if reason:
            inner = raw.find(b"##", 2)
            if inner >= 0:
                raw = raw[:inner]
            elif raw.endswith(b"#"):
                raw = raw[:-1]
            data = raw[HEAD : HEAD + length]
        return Frame(offset, raw, data, check, self.policy, reason)

    def _fault_of_check(self, check: Check, sent: int, data: bytes) -> str:
        if check is Check.HJ212 or (check is Check.MODBUS and self.policy is not Policy.STRICT):
            return ""
        if self.policy is Policy.IGNORE:
            # Without a checksum only the closing && bears the length out.
            return "" if data.endswith(b"&&") else "CRC ignored, but the data do not end with && where the length says"
        right = f"CRC {sent:04X}, of these bytes it is {crc_hj212(data):04X}"
        return f"{right} (the CRC of Modbus was sent)" if check is Check.MODBUS else right

    def _drop(self, dropped: bytes, offset: int) -> None:
        if dropped and not self._rubbish_length:
            self._rubbish_at = offset
        self._rubbish_length += len(dropped)
        self._rubbish_head = (self._rubbish_head + dropped[:RUBBISH_HEAD])[:RUBBISH_HEAD]

    def _end_rubbish(self) -> Iterator[Rubbish]:
        if self._rubbish_length:
            yield Rubbish(self._rubbish_at, self._rubbish_length, self._rubbish_head, self._broken_head)
        self._rubbish_length, self._rubbish_head, self._broken_head = 0, b"", ""


def _fault_of_length(digits: bytes) -> str:
    if len(digits) < 4 or not digits.isdigit():
        return "## without four digits of length"
    return f"length over {DATA_MAX}" if int(digits) > DATA_MAX else ""
