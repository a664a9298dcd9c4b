"""CRC-16 of MODBUS over Serial Line V1.02, section 6.2.2: polynomial 0xA001 reflected, start 0xFFFF, low byte first.

The table is made at import, in two byte strings of 256 (high and low bytes): a tuple of numbers takes four times that.
"""


def _row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_HIGH = bytes(_row(value) >> 8 for value in range(256))
_LOW = bytes(_row(value) & 0xFF for value in range(256))


def crc16(buf, start: int, end: int) -> int:
    """CRC of buf[start:end]; allocates nothing."""
    high = 0xFF
    low = 0xFF
    for index in range(start, end):
        row = low ^ buf[index]
        low = high ^ _LOW[row]
        high = _HIGH[row]
    return high << 8 | low
