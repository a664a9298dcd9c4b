"""Groups of bytes between host and an ATECC608: count, packet, CRC.

Source: Microchip's data sheet ATECC608B-TFLXTLS, online edition en-US-2, chapters 4.1 to 4.3, 5 and 7.2; short: DS. The
checksum has the polynomial of Modbus, 0x8005, and nothing else of it: start 0, the data's lowest bit first into a
register that shifts up, so that the result stands the other way round. It goes out low byte first and covers the count
byte and the packet. A Command holds its packet and the room for its answer; nothing is allocated while it is under way.
"""

from acq.dialect import const

WORD_RESET = b"\x00"  # word addresses, DS chapter 7.2.1: the next read begins at the answer's first byte
WORD_SLEEP = b"\x01"  # low power; TempKey is gone
WORD_IDLE = b"\x02"  # the watchdog stops; TempKey stays
_WORD_COMMAND = const(0x03)

INFO = 0x30
READ = 0x02
LOCK = 0x17
RANDOM = 0x1B
NONCE = 0x16
COUNTER = 0x24
GENKEY = 0x40
SIGN = 0x41
VERIFY = 0x45

STATUS_DONE = 0x00  # DS table 4-3
STATUS_MISCOMPARE = 0x01
STATUS_PARSE = 0x03
STATUS_ECC_FAULT = 0x05  # a computation went wrong: again
STATUS_SELF_TEST = 0x07
STATUS_HEALTH_TEST = 0x08
STATUS_EXECUTION = 0x0F  # not in the chip's present state
STATUS_AWAKE = 0x11  # just woken: no command has been executed
STATUS_WATCHDOG = 0xEE  # no time left before the watchdog
STATUS_CRC = 0xFF  # the chip received a damaged group
GARBLED = -1  # of judge(): no group, or damaged

# opcode: answer's bytes (4: a status only), first look after ms, gives up after ms. First look: about half of what
# Microchip's cryptoauthlib waits at the fastest clock divider (lib/calib/calib_execution.c, commit 055dd4af, 2021);
# limit: more than it waits at the slowest
_TIMES = {
    INFO: (7, 1, 50),
    READ: (35, 1, 50),
    LOCK: (4, 15, 150),
    RANDOM: (35, 10, 120),
    NONCE: (4, 5, 100),
    COUNTER: (7, 10, 120),
    GENKEY: (67, 50, 750),
    SIGN: (67, 40, 750),
    VERIFY: (4, 50, 1200),
}


def crc16(buf, start: int, end: int) -> int:
    """The chip's CRC of buf[start:end]; allocates nothing."""
    value = 0
    for at in range(start, end):
        byte = buf[at]
        for _ in range(8):
            turns = (value >> 15) ^ (byte & 1)
            value = (value << 1) & 0xFFFF
            if turns:
                value ^= 0x8005
            byte >>= 1
    return value


def judge(answer) -> int:
    """STATUS_DONE: `answer` is whole and as long as expected; another status of the chip; or GARBLED."""
    count = answer[0]
    if count != 4 and count != len(answer):
        return GARBLED
    if crc16(answer, 0, count - 2) != answer[count - 2] | answer[count - 1] << 8:
        return GARBLED
    if count != len(answer):
        return answer[1] or GARBLED  # done, but nothing of what was asked for
    return answer[1] if count == 4 else STATUS_DONE


class Command:
    """One command. `packet` goes out as it is, word address first; `answer` takes what comes back."""

    def __init__(self, opcode: int, mode: int, number: int, data_bytes: int = 0) -> None:
        """number: the second parameter (slot, address, counter); data_bytes: how many bytes `fill` will give."""
        answer_bytes, self.first_ms, self.limit_ms = _TIMES[opcode]
        self.answer = bytearray(answer_bytes)
        self.packet = packet = bytearray(8 + data_bytes)
        packet[0] = _WORD_COMMAND
        packet[1] = 7 + data_bytes
        packet[2] = opcode
        packet[3] = mode
        packet[4] = number & 0xFF
        packet[5] = number >> 8
        self._close()

    def fill(self, data) -> None:
        """Set the data; as many bytes as were announced."""
        if len(data) != len(self.packet) - 8:
            raise ValueError("command data of the wrong length")
        self.packet[6 : 6 + len(data)] = data
        self._close()

    def data(self) -> bytes:
        """What the chip answered, without count and CRC."""
        return bytes(self.answer[1:-2])

    def _close(self) -> None:
        packet = self.packet
        end = len(packet) - 2
        value = crc16(packet, 1, end)
        packet[end] = value & 0xFF
        packet[end + 1] = value >> 8
