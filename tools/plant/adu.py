"""Modbus RTU frames as the cable sees them: requests of eight bytes, answers whose length follows from their head.

MODBUS over Serial Line V1.02 section 2.5.1: unit id, function, data, CRC-16 low byte first. Written for the plant only,
apart from the module's own and pymodbus' framing.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUEST_BYTES = 8  # functions 1..6: unit, function, address, quantity or value, CRC
ANSWER_MIN_BYTES = 5
EXCEPTION_FLAG = 0x80


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus: polynomial 0xA001 reflected, start 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def close_frame(content: bytes) -> bytes:
    """Content with its CRC."""
    return content + crc16(content).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Request:
    """One question of the module."""

    number: int
    raw: bytes

    @property
    def unit(self) -> int:
        return self.raw[0]

    @property
    def function(self) -> int:
        return self.raw[1]

    @property
    def address(self) -> int:
        return int.from_bytes(self.raw[2:4], "big")

    @property
    def quantity(self) -> int:
        return int.from_bytes(self.raw[4:6], "big")

    def fields(self) -> dict[str, int]:
        """Its keys in the log."""
        return {
            "n": self.number,
            "unit": self.unit,
            "function": self.function,
            "address": self.address,
            "quantity": self.quantity,
        }


def take_request(buffer: bytearray) -> tuple[bytes, bytes | None]:
    """Takes from the front: (noise, request or None). At most seven bytes that may become a request stay."""
    noise = bytearray()
    while len(buffer) >= REQUEST_BYTES:
        raw = bytes(buffer[:REQUEST_BYTES])
        if 1 <= raw[1] <= 6 and close_frame(raw[:-2]) == raw:
            del buffer[:REQUEST_BYTES]
            return bytes(noise), raw
        noise.append(buffer.pop(0))
    return bytes(noise), None


def take_answer(buffer: bytearray) -> bytes | None:
    """A whole answer from the front of what an analyzer sent, None while it is not complete."""
    if len(buffer) < ANSWER_MIN_BYTES:
        return None
    function = buffer[1]
    if function & EXCEPTION_FLAG:
        length = ANSWER_MIN_BYTES
    elif function <= 4:
        length = ANSWER_MIN_BYTES + buffer[2]
    else:
        length = REQUEST_BYTES  # answers to 5 and 6 repeat the request
    if len(buffer) < length:
        return None
    raw = bytes(buffer[:length])
    del buffer[:length]
    return raw
