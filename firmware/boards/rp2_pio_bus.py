"""ports.Bus485 whose transmitter and driver-enable are one PIO state machine: DE to the microsecond, at any load.

First word of a frame: number of bits less one; then the bits, least significant first, with start, parity and stop bits
as they go over the line, 30 in a word, which a small integer holds: nothing is allocated. 8 cycles a bit:

    out x, 32      side 0      wait for a frame, driver off; TX rests at the level of the last stop bit
    nop            side 1 [7]  driver on, one bit time
    bit: out pins, 1  side 1 [6]
    jmp x--, bit   side 1
    out null, 32   side 0      driver off as the last stop bit ends; what is left of the last word is thrown away

Reception stays with the UART. RP2040 data sheet, build 2024-10-15, chapter 3; autopull: section 3.5.4.
"""

import array
import time

import rp2
from acqwire import causes

from acq.faults import BusError
from boards.uart_bus import UartBus

_CYCLES = 8  # a bit
_MACHINE = 0
_WORD_BITS = 30
_FIFO_WORDS = 8  # joined
_FRAME_MAX_BYTES = 256
_SLACK_US = 2000


# Why the checks are off below: asm_pio carries the function out once, at import, with the assembler's words (out, nop,
# label, jmp, x, pins, x_dec, null) as globals. They are names nowhere else, no stub has them, and what out(...).side(0)
# gives is known to the assembler only; the function itself takes and returns nothing.
@rp2.asm_pio(
    out_init=rp2.PIO.OUT_HIGH,
    sideset_init=rp2.PIO.OUT_LOW,
    out_shiftdir=rp2.PIO.SHIFT_RIGHT,
    autopull=True,
    pull_thresh=_WORD_BITS,
    fifo_join=rp2.PIO.JOIN_TX,
)
def _transmit():  # type: ignore[no-untyped-def]
    out(x, 32).side(0)  # type: ignore # noqa: F821
    nop().side(1)[7]  # type: ignore # noqa: F821
    label("bit")  # type: ignore # noqa: F821
    out(pins, 1).side(1)[6]  # type: ignore # noqa: F821
    jmp(x_dec, "bit").side(1)  # type: ignore # noqa: F821
    out(null, 32).side(0)  # type: ignore # noqa: F821


class PioBus(UartBus):
    """UartBus that sends by PIO. tx, enable: the pins; uart: receives only."""

    def __init__(self, uart, tx, enable) -> None:
        self._tx = tx
        self._enable = enable
        self._sender = None  # type: rp2.StateMachine | None
        self._words = array.array("I", [0] * (_FRAME_MAX_BYTES * 12 // _WORD_BITS + 2))
        super().__init__(uart, None)

    def set_line(self, baud: int, parity: str, stop_bits: int) -> None:
        super().set_line(baud, parity, stop_bits)
        self._parity = parity
        self._stop_bits = stop_bits
        if self._sender is not None:
            self._sender.active(0)
        sender = rp2.StateMachine(
            _MACHINE, _transmit, freq=_CYCLES * baud, out_base=self._tx, sideset_base=self._enable
        )
        sender.active(1)
        self._sender = sender

    def send(self, buf, count: int) -> None:
        sender = self._sender
        if sender is None:
            raise BusError(causes.FAULT_BUS_IO)
        total = self._compose(buf, count)
        words = self._words
        limit_us = (total + 1) * self.bit_us + _SLACK_US
        started = time.ticks_us()
        # A frame starts with its first words in the FIFO: a pause of Python then comes between frames, never inside one
        sender.active(0)
        sender.put(total - 1)
        count = (total + _WORD_BITS - 1) // _WORD_BITS
        for index in range(min(count, _FIFO_WORDS - 1)):
            sender.put(words[index])
        sender.active(1)
        for index in range(_FIFO_WORDS - 1, count):
            sender.put(words[index])  # blocks while the FIFO is full; the machine is 240 bits behind
        # The machine ends by itself; its DE pin says when. A bit time first: it may not have risen yet
        time.sleep_us(self.bit_us)
        while self._enable.value():
            if time.ticks_diff(time.ticks_us(), started) > limit_us:
                raise BusError(causes.FAULT_BUS_IO)

    def _compose(self, buf, count: int) -> int:
        """The frame's bits into `_words`; how many."""
        words = self._words
        if count > _FRAME_MAX_BYTES:
            raise BusError(causes.FAULT_BUS_IO)
        has_parity = self._parity != "N"
        width = 1 + 8 + has_parity + self._stop_bits
        position = word = filled = 0
        for index in range(count):
            bits = buf[index] << 1 | -1 << 9  # start bit, data; stop bits and what lies behind them are ones
            if has_parity and _is_odd(buf[index]) != (self._parity == "E"):
                bits &= ~(1 << 9)
            taken = min(width, _WORD_BITS - filled)
            word |= (bits & (1 << taken) - 1) << filled
            filled += taken
            if filled == _WORD_BITS:
                words[position] = word
                position += 1
                filled = width - taken
                word = bits >> taken & (1 << filled) - 1
        total = count * width
        if filled == 0:  # a full last word: the machine would wait for another to throw away, so one idle bit more
            word = 1
            total += 1
        words[position] = word
        return total


def _is_odd(byte: int) -> bool:
    """Whether the number of ones is."""
    byte ^= byte >> 4
    byte ^= byte >> 2
    return (byte ^ byte >> 1) & 1 == 1
