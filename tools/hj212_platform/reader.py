"""The platform's own reader of HJ 212 packets, from the text of the reference alone (reporting-interfaces section 4).

Nothing here knows plumeproof: what both read from one capture can be compared (tests/tools/test_hj212_platform.py).

    reader = PacketReader("strict")
    for found in reader.take(chunk):  # a Message, or Refused bytes
        ...
    last = reader.end()
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DATA_MAX = 1024  # characters of data (section 4.1)
POLICIES = ("strict", "modbus-crc-accepted", "ignore-crc")  # section 4.2
SHOWN_BYTES = 64  # of refused ones
START = b"##"
HEAD_FORMS = {  # section 4.1, data; MN by its relaxed rule, empty only in 1001. Marks of CP stay out of PW and MN: ours
    b"QN": rb"\d{17}",
    b"ST": rb"[0-9A-Za-z]{2}",
    b"CN": rb"\d{4}",
    b"PW": rb"[^,&]{1,9}",
    b"MN": rb"[^,&]{0,64}",
    b"Flag": rb"\d|\d\d|[01]\d\d|2[0-4]\d|25[0-5]",
    b"PNUM": rb"\d{1,4}",
    b"PNO": rb"\d{1,4}",
}
RawPairs = list[tuple[bytes, bytes]]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One packet that the policy takes. `checksum`: hj212, modbus or wrong, whichever the bytes carried."""

    at: int  # of its first # in the stream
    size: int  # bytes up to the checksum's end
    data: bytes
    checksum: str
    policy: str
    head: Pairs
    items: tuple[Pairs, ...]

    def of(self, name: str) -> str:
        """A field of the head; empty where there is none."""
        return dict(self.head).get(name, "")

    def value(self, name: str) -> str:
        """The first field of CP with this name; empty where there is none."""
        return next((value for item in self.items for key, value in item if key == name), "")

    @property
    def flag(self) -> int:
        """The Flag byte; 0 where it is missing, as packets of 2005 may."""
        return int(self.of("Flag") or 0)

    @property
    def wants_answer(self) -> bool:
        """Bit A."""
        return self.flag % 2 == 1

    @property
    def part(self) -> tuple[int, int]:
        """(PNO, PNUM); (0, 0) for a whole packet."""
        return (int(self.of("PNO")), int(self.of("PNUM"))) if self.of("PNO") and self.of("PNUM") else (0, 0)


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes that are no message. `is_packet`: they had the shape of one."""

    at: int
    size: int
    reason: str
    is_packet: bool
    shown: bytes


class Malformed(Exception):
    """Data outside the grammar; one line."""


def _eight_steps(register: int) -> int:
    for _ in range(8):
        register, was_one = register >> 1, register & 1
        register ^= 0xA001 * was_one
    return register


EIGHT_STEPS = tuple(map(_eight_steps, range(256)))  # a hostile line asks for many checksums of the same bytes


def checksum_of(data: bytes) -> int:
    """Annex A: the register's high byte alone meets the next byte, so its low byte is lost each time."""
    register = 0xFFFF
    for byte in data:
        register = EIGHT_STEPS[(register >> 8) ^ byte]
    return register


def modbus_of(data: bytes) -> int:
    """CRC-16 of Modbus, which wrong units send: the whole register meets the next byte."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        register = (register >> 8) ^ EIGHT_STEPS[register & 0xFF]
    return register


def packet_of(data: bytes, checksum: int | None = None) -> bytes:
    """A packet with its line end; `checksum`: a wrong one on purpose."""
    return (
        b"##" + b"%04d" % len(data) + data + b"%04X" % (checksum_of(data) if checksum is None else checksum) + b"\r\n"
    )


def words_of(raw: bytes) -> str:
    """UTF-8, else the GBK of older units, else with escapes."""
    for name in ("utf-8", "gbk"):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", "backslashreplace")


def pairs_of(text: bytes, separator: bytes) -> RawPairs:
    """Fields of one item or of the head. Raises Malformed."""
    pairs = []
    for field in text.split(separator):
        name, sign, value = field.partition(b"=")
        if not sign or not re.fullmatch(rb"[!-+\--~]{1,64}", name):  # printable, no comma
            raise Malformed(f"{words_of(field[:40])!r} is no field")
        pairs.append((name, value))
    return pairs


def in_words(pairs: RawPairs) -> Pairs:
    """The same as text."""
    return tuple((words_of(name), words_of(value)) for name, value in pairs)


def fields_of(data: bytes) -> tuple[Pairs, tuple[Pairs, ...]]:
    """Head and items of a packet's data. Raises Malformed."""
    parts = re.fullmatch(rb"(?s:(.*?)(?:^|;)CP=&&(.*)&&)", data)
    if parts is None:
        raise Malformed("the data do not end in CP=&&...&&")
    head = pairs_of(parts[1], b";") if parts[1] else []
    items = [pairs_of(item, b",") for item in parts[2].split(b";")] if parts[2] else []
    values = dict(head)
    if len(values) < len(head):
        raise Malformed("a field stands twice in the head")
    for name, value in head:
        if name in HEAD_FORMS and not re.fullmatch(HEAD_FORMS[name], value, re.DOTALL):
            raise Malformed(f"{words_of(name)} cannot be {words_of(value[:40])!r}")
    if missing := {b"ST", b"CN", b"MN"} - set(values):
        raise Malformed(f"{min(missing).decode()} is missing")
    if (b"PNUM" in values) is not (b"PNO" in values):
        raise Malformed("one of PNUM and PNO is missing")
    if b"PNO" in values and not 0 < int(values[b"PNO"]) <= int(values[b"PNUM"]):
        raise Malformed("PNO is not 1 to PNUM")
    return in_words(head), tuple(map(in_words, items))


class PacketReader:
    """The state machine of section 4.2. Keeps less than one packet between two chunks."""

    def __init__(self, policy: str = "strict") -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy {policy!r} is none of {', '.join(POLICIES)}")
        self.policy = policy
        self._waiting = b""
        self._at = 0  # of the first waiting byte
        self._noise_at = self._noise_size = 0
        self._noise = b""
        self._noise_reason = ""

    def take(self, chunk: bytes) -> list[Message | Refused]:
        """What these bytes complete."""
        self._waiting += chunk
        return self._read(is_last=False)

    def end(self) -> list[Message | Refused]:
        """The line is closed: what waits will not be completed."""
        return self._read(is_last=True) + self._noise_found()

    def _read(self, is_last: bool) -> list[Message | Refused]:
        found: list[Message | Refused] = []
        while self._waiting:
            if not self._waiting.startswith(START):
                start = self._waiting.find(START)
                if start < 0:  # a lone # at the end may be half of a start
                    start = len(self._waiting) - (self._waiting.endswith(b"#") and not is_last)
                if not start:
                    break
                self._skip(start, "")
                continue
            length = self._waiting[2:6]
            if len(length) < 4 and not is_last:
                break
            if not re.fullmatch(rb"[0-9]{4}", length) or int(length) > DATA_MAX:
                # The reference drops both; dropping one also finds the packet behind ###, and loses nothing else.
                self._skip(1, "no length of 0000 to 1024 behind ##")
                continue
            size = 6 + int(length) + 4
            if len(self._waiting) < size and not is_last:
                break
            found += self._noise_found()
            found.append(self._packet(self._waiting[:size], size))
        return found

    def _packet(self, raw: bytes, size: int) -> Message | Refused:
        data, digits = raw[6 : size - 4], raw[size - 4 :]
        checksum, reason = "wrong", ""
        if len(raw) < size:
            reason = "the stream ends inside the packet"
        elif not re.fullmatch(rb"[0-9A-Fa-f]{4}", digits):
            reason = "the checksum is not four hex digits"
        else:
            sent = int(digits, 16)
            checksum = "hj212" if sent == checksum_of(data) else "modbus" if sent == modbus_of(data) else "wrong"
            taken = {"strict": ("hj212",), "modbus-crc-accepted": ("hj212", "modbus")}.get(self.policy, (checksum,))
            if checksum not in taken:
                reason = f"checksum {digits.decode()}, should be {checksum_of(data):04X}"
            elif self.policy == "ignore-crc" and checksum == "wrong" and not data.endswith(b"&&"):
                reason = "checksum ignored, but the length does not lead to the closing &&"
        at = self._at
        if reason:  # goes on at the next ## inside
            inside = raw.find(START, 2)
            used = inside if inside >= 0 else len(raw) - raw.endswith(b"#")
            self._use(used)
            return Refused(at, used, reason, True, raw[: min(used, SHOWN_BYTES)])
        self._use(size)
        try:
            head, items = fields_of(data)
        except Malformed as fault:
            return Refused(at, size, str(fault), True, raw[:SHOWN_BYTES])
        return Message(at, size, data, checksum, self.policy, head, items)

    def _skip(self, count: int, reason: str) -> None:
        if not self._noise_size:
            self._noise_at = self._at
        self._noise = (self._noise + self._waiting[: min(count, SHOWN_BYTES)])[:SHOWN_BYTES]
        self._noise_size += count
        self._noise_reason = self._noise_reason or reason
        self._use(count)

    def _use(self, count: int) -> None:
        self._waiting = self._waiting[count:]
        self._at += count

    def _noise_found(self) -> list[Message | Refused]:
        """Line ends and other bytes since the last packet; line ends alone are in order."""
        found: list[Message | Refused] = []
        if self._noise_size and (self._noise.strip(b"\r\n") or self._noise_size > len(self._noise)):
            found.append(
                Refused(
                    self._noise_at, self._noise_size, self._noise_reason or "bytes between packets", False, self._noise
                )
            )
        self._noise, self._noise_size, self._noise_reason = b"", 0, ""
        return found
