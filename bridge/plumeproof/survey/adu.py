"""Requests and answers of Modbus RTU as bytes (MODBUS over Serial Line V1.02; Application Protocol V1.1b3). No I/O.

Only functions that read can be built: 01 to 04, and 43/14, read device identification. Function 17, report server id,
is left out: what it does and returns is each maker's own. The judge gets everything that was heard after a request and
tells an answer from an echo, an exception, a stranger, two answers and noise; the bytes stay beside the verdict.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from acqwire import limits

READ_FUNCTIONS = (1, 2, 3, 4)
IDENTIFY = 0x2B  # 43, encapsulated interface transport
IDENTIFY_TYPE = 0x0E  # 14, read device identification (Application Protocol section 6.21)
IDENTIFY_BASIC = 0x01  # basic objects as a stream: vendor, product, revision
IDENTITY_NAMES = ("vendor", "product", "revision")  # objects 0, 1, 2
EXCEPTION_BIT = 0x80
BIT_FUNCTION_MAX = 2
REQUEST_BYTES = 8  # of functions 1 to 4
EXCEPTION_BYTES = 5
CRC_BYTES = 2
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}  # Application Protocol section 7


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xA001 if value & 1 else 0)  # x^16 + x^15 + x^2 + 1, bits reversed
    return value


_CRC_TABLE = tuple(map(_crc_of_byte, range(256)))


class Heard(enum.Enum):
    """What came after a request."""

    SILENCE = "silence"
    ANSWER = "answer"
    EXCEPTION = "exception"
    STRANGER = "stranger"  # a good frame of another unit or function, a late answer for instance
    TWO_ANSWERS = "two answers"  # good frames one behind the other
    CUT = "cut"  # begins as an answer and ends too soon
    UNREADABLE = "unreadable"  # bytes without a good frame


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `quantity`: registers or bits; 0 for device identification."""

    unit: int
    function: int
    address: int
    quantity: int

    @property
    def raw(self) -> bytes:
        """The bytes on the wire."""
        if self.function == IDENTIFY:
            content = bytes((self.unit, IDENTIFY, IDENTIFY_TYPE, IDENTIFY_BASIC, 0))
        else:
            content = struct.pack(">BBHH", self.unit, self.function, self.address, self.quantity)
        return content + crc(content)

    @property
    def answer_bytes(self) -> int | None:
        """Length of a whole answer; None where only the answer knows."""
        if self.function == IDENTIFY:
            return None
        width = (self.quantity + 7) // 8 if self.function <= BIT_FUNCTION_MAX else 2 * self.quantity
        return 3 + width + CRC_BYTES


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was heard. `data`: register or bit bytes of an ANSWER (of an identification: what follows the function).

    `exception`: its code. `has_echo`: our own request came back in front. `raw`: every byte. `stranger`: unit id.
    """

    heard: Heard
    raw: bytes
    data: bytes = b""
    exception: int = 0
    has_echo: bool = False
    stranger: int | None = None


def build_read(unit: int, function: int, address: int, quantity: int) -> Request:
    """A request that reads. Raises ValueError for any other function and for quantities beyond the specification."""
    most = limits.BITS_MAX if function <= BIT_FUNCTION_MAX else limits.REGISTERS_MAX
    if function not in READ_FUNCTIONS:
        raise ValueError(f"function {function} does not read")
    if not (limits.UNIT_MIN <= unit <= limits.UNIT_MAX and 1 <= quantity <= most):
        raise ValueError(f"unit {unit}, quantity {quantity} are outside the specification")
    if not 0 <= address <= 0x10000 - quantity:
        raise ValueError(f"address {address} with {quantity} ends behind 65535")
    return Request(unit, function, address, quantity)


def build_identify(unit: int) -> Request:
    """Ask for vendor, product and revision; reads by definition."""
    if not limits.UNIT_MIN <= unit <= limits.UNIT_MAX:
        raise ValueError(f"unit {unit} is outside the specification")
    return Request(unit, IDENTIFY, 0, 0)


def crc(content: bytes) -> bytes:
    """CRC-16 of the serial line specification, section 6.2.2, low byte first."""
    value = 0xFFFF
    for byte in content:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def is_frame(raw: bytes) -> bool:
    """Whether bytes are one whole frame by their CRC."""
    return limits.ADU_MIN_BYTES <= len(raw) <= limits.ADU_MAX_BYTES and crc(raw[:-CRC_BYTES]) == raw[-CRC_BYTES:]


def is_complete(request: Request, heard: bytes) -> bool:
    """Whether nothing more need be waited for; a second answer may still come."""
    rest = heard[len(request.raw) :] if heard.startswith(request.raw) else heard
    return _length_of_first(request, rest) is not None


def judge(request: Request, heard: bytes) -> Verdict:
    """The verdict on all bytes heard after a request."""
    # No answer to any of our requests begins with the whole request: third byte and length differ.
    has_echo = heard.startswith(request.raw)
    rest = heard[len(request.raw) :] if has_echo else heard
    if not rest:
        return Verdict(Heard.SILENCE, heard, has_echo=has_echo)
    first = _length_of_first(request, rest)
    if first is not None:
        if len(rest) > first:
            return _judge_surplus(request, heard, rest, first, has_echo)
        return _judge_frame(request, heard, rest, has_echo)
    length = request.answer_bytes
    if length is not None and len(rest) < length:
        begins = bytes((request.unit, request.function, length - 3 - CRC_BYTES))
        if rest[:3] == begins[: len(rest)]:  # before strangers: a CRC holds by chance once in 65,536
            return Verdict(Heard.CUT, heard, has_echo=has_echo)
    stranger = find_frame(rest)
    if stranger is not None and rest.startswith(stranger):
        return Verdict(Heard.STRANGER, heard, has_echo=has_echo, stranger=stranger[0])
    return Verdict(Heard.UNREADABLE, heard, has_echo=has_echo)


def find_frame(heard: bytes) -> bytes | None:
    """The first whole frame of functions 1 to 4 or of an exception inside a stretch of traffic, if there is one.

    Only lengths that such a request or answer has are tried, so that chance (1 in 65,536 a try) stays far away.
    """
    for start in range(len(heard) - limits.ADU_MIN_BYTES + 1):
        unit, function = heard[start], heard[start + 1]
        if not limits.UNIT_MIN <= unit <= limits.UNIT_MAX or function & ~EXCEPTION_BIT not in READ_FUNCTIONS:
            continue
        answer = 3 + heard[start + 2] + CRC_BYTES
        for length in (EXCEPTION_BYTES,) if function & EXCEPTION_BIT else (REQUEST_BYTES, answer):
            frame = heard[start : start + length]
            if len(frame) == length and is_frame(frame):
                return frame
    return None


def parse_identity(data: bytes) -> dict[str, str]:
    """Vendor, product, revision out of an identification's data; empty where its form is not the specified one."""
    found: dict[str, str] = {}
    if len(data) < 6 or data[0] != IDENTIFY_TYPE:
        return found
    place = 6  # type, code, conformity, more follows, next object, number of objects
    for _ in range(data[5]):
        if place + 2 > len(data):
            break
        number, length = data[place], data[place + 1]
        text = data[place + 2 : place + 2 + length].decode("ascii", "replace").strip("\x00 ")
        if number < len(IDENTITY_NAMES) and text:
            found[IDENTITY_NAMES[number]] = "".join(letter if letter.isprintable() else "?" for letter in text)
        place += 2 + length
    return found


def _length_of_first(request: Request, rest: bytes) -> int | None:
    """Length of the good frame of the asked unit that `rest` begins with."""
    answer = (request.answer_bytes or len(rest), request.function)
    for length, function in ((EXCEPTION_BYTES, request.function | EXCEPTION_BIT), answer):
        frame = rest[:length]
        if len(frame) == length and frame[:2] == bytes((request.unit, function)) and is_frame(frame):
            return length
    return None


def _judge_frame(request: Request, heard: bytes, frame: bytes, has_echo: bool) -> Verdict:
    if frame[1] & EXCEPTION_BIT:
        return Verdict(Heard.EXCEPTION, heard, exception=frame[2], has_echo=has_echo)
    if request.function == IDENTIFY:
        return Verdict(Heard.ANSWER, heard, data=frame[2:-CRC_BYTES], has_echo=has_echo)
    if frame[2] != len(frame) - 3 - CRC_BYTES:
        return Verdict(Heard.UNREADABLE, heard, has_echo=has_echo)
    return Verdict(Heard.ANSWER, heard, data=frame[3:-CRC_BYTES], has_echo=has_echo)


def _judge_surplus(request: Request, heard: bytes, rest: bytes, first: int, has_echo: bool) -> Verdict:
    """Something follows a good frame: a second answer, or bytes of one that ran into the end of the first."""
    surplus = rest[first:]
    if find_frame(surplus) is not None:
        return Verdict(Heard.TWO_ANSWERS, heard, has_echo=has_echo)
    verdict = _judge_frame(request, heard, rest[:first], has_echo)
    if len(surplus) < limits.ADU_MIN_BYTES:
        return verdict  # a direction switch that throws a byte or two behind the last stop bit: common and harmless
    return Verdict(Heard.UNREADABLE, heard, has_echo=has_echo)
