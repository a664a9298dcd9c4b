"""Frames on the serial line and their silent intervals (MODBUS over Serial Line V1.02, section 2.5.1).

ADU: unit, PDU, CRC low byte first. Frames are apart by t3.5, characters inside one by less than t1.5; above 19,200
baud both are fixed. t1.5 cannot be judged from Python (characters come in heaps from the UART): an answer is taken by
its length and CRC, and a pause only ends a frame that is wrong already.
"""

from acq.modbus.crc16 import crc16

T15_FAST_US = 750  # above 19,200 baud, section 2.5.1.1
T35_FAST_US = 1750
_FAST_BAUD = 19200


class Timing:
    """Character time and silent intervals of a line, in microseconds, rounded up."""

    def __init__(self, baud: int, parity: str, stop_bits: int) -> None:
        bits = 1 + 8 + (0 if parity == "N" else 1) + stop_bits
        self.character_us = -(-bits * 1000000 // baud)
        self.t15_us = T15_FAST_US if baud > _FAST_BAUD else -(-bits * 1500000 // baud)
        self.t35_us = T35_FAST_US if baud > _FAST_BAUD else -(-bits * 3500000 // baud)


def close_frame(buf, end: int) -> int:
    """Put the CRC of buf[:end] behind it; returns the length of the frame."""
    crc = crc16(buf, 0, end)
    buf[end] = crc & 0xFF
    buf[end + 1] = crc >> 8
    return end + 2


def has_good_crc(buf, count: int) -> bool:
    """Whether buf[:count] ends with its own CRC."""
    return crc16(buf, 0, count) == 0  # a frame with its CRC behind it leaves 0
