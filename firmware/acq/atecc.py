"""Commands to an ATECC608 in steps: wake, send, look for the answer, put to sleep.

Source: Microchip's data sheet ATECC608B-TFLXTLS, online edition en-US-2, chapters 4, 7 and 9; short: DS.

    element.begin((nonce, sign))
    while not element.step():
        wait(element.wait_us())                    # or poll an analyzer

All commands of one `begin` are given within one wake, because sleep forgets TempKey. Each step is a short exchange on
the bus: 7 ms for a signature's answer at 100 kHz. A chip that is busy, idle or asleep does not acknowledge, which looks
the same; so patience ends after the command's limit, and everything is begun again. The last attempt comes when the
chip's own watchdog has put it to sleep for certain.
"""

from acqwire import causes

from acq import atecc_packet as packet
from acq.dialect import const
from acq.faults import SignerFault

_DONE = const(0)
_PULSE = const(1)  # the line is to be pulled low
_ROUSED = const(2)  # it was; the chip is to say so
_ANSWER = const(3)  # a command is out

_WAKE_HIGH_US = const(1500)  # tWHI, DS chapter 9.3
_WAKE_LIMIT_US = const(40000)  # tWHIST is 20 ms where the chip tests itself at each wake
_AWAKE_US = const(500000)  # no command is sent later after a wake: the watchdog may bite after 0.7 s (DS chapter 9.3)
_POLL_US = const(2000)
_REREADS = const(3)  # of one answer with a wrong CRC: the chip keeps it
_PAUSES_US = (0, 20000, 200000, 1800000)  # before each attempt; the watchdog's longest is 1.7 s
_AFRESH_LIMIT = const(8)  # idle and wake again within one attempt


class Element:
    """One chip. `status`: what the chip last complained of (a STATUS_ of atecc_packet), 0: of nothing."""

    def __init__(self, bus, clock, address: int = 0x60) -> None:
        """bus: ports.ElementBus; address: 7 bits, 0x60 ex works, 0x36 TrustFLEX, 0x35 Trust&GO."""
        self._bus = bus
        self._clock = clock
        self._address = address
        self._commands = ()
        self._index = 0
        self._attempt = 0
        self._afresh = 0
        self._rereads = 0
        self._state = _DONE
        self._woke = self._sent = self._since = clock.ticks()
        self._pause_us = 0
        self._greeting = bytearray(4)
        self.status = 0
        self.retries_total = 0

    @property
    def is_busy(self) -> bool:
        """Commands are under way."""
        return self._state != _DONE

    def begin(self, commands) -> None:
        """Start a group of Commands; their answers are good when `step` has said True."""
        if self._state != _DONE:
            raise ValueError("secure element: busy")
        self._commands = commands
        self._attempt = 0
        self.status = 0
        self._start_over()

    def drop(self) -> None:
        """Forget what is under way; the chip is told to sleep."""
        if self._state != _DONE:
            self._bus.write(self._address, packet.WORD_SLEEP)
            self._state = _DONE

    def wait_us(self) -> int:
        """For how long `step` has nothing to do."""
        if self._state == _DONE:
            return 0
        left_us = self._pause_us - self._clock.elapsed(self._clock.ticks(), self._since)
        return left_us if left_us > 0 else 0

    def step(self) -> bool:
        """One exchange; True when every command has been answered. Raises SignerFault(causes.FAULT_ELEMENT_*)."""
        if self._state != _DONE and self.wait_us() == 0:
            if self._state == _PULSE:
                self._bus.wake()
                self._woke = self._clock.ticks()
                self._pause(_ROUSED, _WAKE_HIGH_US)
            elif self._state == _ROUSED:
                self._hear_greeting()
            else:
                self._hear_answer()
        return self._state == _DONE

    def _hear_greeting(self) -> None:
        if self._read(self._greeting):
            status = packet.judge(self._greeting)
            if status == packet.STATUS_AWAKE:
                self._send()  # in the same step: the watchdog is running
                return
            if status != packet.GARBLED:  # it was awake already and repeats an old answer, or failed its self-test
                self.status = status
                self._fail(causes.FAULT_ELEMENT_STATUS)
                return
        if self._clock.elapsed(self._clock.ticks(), self._woke) >= _WAKE_LIMIT_US:
            self._fail(causes.FAULT_ELEMENT_SILENT)
        else:
            self._pause(_ROUSED, _POLL_US)

    def _send(self) -> None:
        if self._clock.elapsed(self._clock.ticks(), self._woke) >= _AWAKE_US:
            self._wake_afresh()
            return
        command = self._commands[self._index]
        if not self._bus.write(self._address, command.packet):
            self._fail(causes.FAULT_ELEMENT_SILENT)
            return
        self._sent = self._clock.ticks()
        self._rereads = 0
        self._pause(_ANSWER, command.first_ms * 1000)

    def _hear_answer(self) -> None:
        command = self._commands[self._index]
        if not self._read(command.answer):
            if self._clock.elapsed(self._clock.ticks(), self._sent) >= command.limit_ms * 1000:
                self._fail(causes.FAULT_ELEMENT_SILENT)
            else:
                self._pause(_ANSWER, _POLL_US)
            return
        status = packet.judge(command.answer)
        if status == packet.STATUS_DONE:
            self._index += 1
            if self._index < len(self._commands):
                self._send()
            else:
                self._bus.write(self._address, packet.WORD_SLEEP)  # not acknowledged: its watchdog will see to it
                self._state = _DONE
        elif status == packet.GARBLED:
            self._rereads += 1
            if self._rereads > _REREADS:
                self._fail(causes.FAULT_ELEMENT_GARBLED)
            else:
                self._pause(_ANSWER, _POLL_US)
        elif status == packet.STATUS_WATCHDOG:
            self._wake_afresh()
        else:
            self.status = status
            self._fail(causes.FAULT_ELEMENT_STATUS, self._is_final(status))

    def _is_final(self, status: int) -> bool:
        """Whether asking again cannot help. With a command before this one TempKey may have got lost: then it can."""
        if status == packet.STATUS_EXECUTION:
            return self._index == 0
        return status in (packet.STATUS_MISCOMPARE, packet.STATUS_PARSE)

    def _read(self, answer) -> bool:
        bus, address = self._bus, self._address
        return bus.write(address, packet.WORD_RESET) and bus.read(address, answer)

    def _wake_afresh(self) -> None:
        """Idle stops the watchdog and keeps TempKey; the same command comes after the next wake."""
        self._afresh += 1
        if self._afresh > _AFRESH_LIMIT:
            self._fail(causes.FAULT_ELEMENT_SILENT)
            return
        self._bus.write(self._address, packet.WORD_IDLE)
        self._pause(_PULSE, 0)

    def _fail(self, code: int, is_final: bool = False) -> None:
        self._bus.write(self._address, packet.WORD_SLEEP)
        self._attempt += 1
        if is_final or self._attempt == len(_PAUSES_US):
            self._state = _DONE
            raise SignerFault(code)
        self.retries_total += 1
        self._start_over()

    def _start_over(self) -> None:
        self._index = self._afresh = 0
        self._pause(_PULSE, _PAUSES_US[self._attempt])

    def _pause(self, state: int, pause_us: int) -> None:
        self._state = state
        self._since = self._clock.ticks()
        self._pause_us = pause_us
