"""CRC-16 of MODBUS over Serial Line V1.02, section 6.2.2: polynomial 0xA001 reflected, start 0xFFFF, low byte first.

The table is made at import: 256 small integers.
"""


def _row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_TABLE = tuple(_row(value) for value in range(256))


def crc16(buf, start: int, end: int) -> int:
    """CRC of buf[start:end]; allocates nothing."""
    table = _TABLE
    crc = 0xFFFF
    for index in range(start, end):
        crc = (crc >> 8) ^ table[(crc ^ buf[index]) & 0xFF]
    return crc
