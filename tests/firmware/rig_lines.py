"""Doubles of the lines and the clock of a simulated rig: a counter by hand, analyzers on a bus, an uplink.

Not imitated: line speed, a UART's buffer, driver turn-around.
"""

from acq.instant import Instant
from acq.modbus.rtu import close_frame

_MASK = (1 << 30) - 1


class RigClock:
    """By hand; starts 5 s before the wrap of the counter."""

    def __init__(self) -> None:
        self.now = (1 << 30) - 5000000

    def ticks(self) -> int:
        return self.now & _MASK

    def elapsed(self, later: int, earlier: int) -> int:
        return ((later - earlier & _MASK) ^ (1 << 29)) - (1 << 29)


def instant(us: int) -> Instant:
    """The moment `us` microseconds after the boot."""
    moment = Instant()
    moment.s, moment.us = us // 1000000, us % 1000000
    return moment


class RigBus:
    """Analyzers that answer after `delay_us`. `answers`: {(unit, function): whole frame}; others are mute."""

    def __init__(self, clock, delay_us: int = 3000) -> None:
        self._clock = clock
        self.delay_us = delay_us
        self.answers = {}
        self.requests = 0
        self.log = None  # (microseconds, unit) of each request, when a list
        self._answer = None
        self._sent = 0
        self._key = [0, 0]
        self._pairs = []  # as answers, searched without a tuple being made

    def put(self, unit: int, function: int, data: bytes) -> None:
        """The answer of a unit to a function."""
        frame = bytearray((unit, function, len(data))) + bytearray(data) + bytearray(2)
        close_frame(frame, len(frame) - 2)
        self.remove(unit, function)
        self._pairs.append((unit, function, bytes(frame)))

    def remove(self, unit: int, function: int) -> None:
        """The unit is mute from now on."""
        self._pairs = [entry for entry in self._pairs if entry[:2] != (unit, function)]

    def send(self, buf, count: int) -> None:
        self.requests += 1
        self._sent = self._clock.ticks()
        self._answer = None
        for entry in self._pairs:
            if entry[0] == buf[0] and entry[1] == buf[1]:
                self._answer = entry[2]
        if self.log is not None:
            self.log.append((self._clock.now, buf[0]))

    @property
    def left_us(self) -> int:
        """Until the answer arrives; -1: none comes."""
        return -1 if self._answer is None else max(0, self.delay_us - self._passed_us())

    def _passed_us(self) -> int:
        return self._clock.elapsed(self._clock.ticks(), self._sent)

    def receive(self, buf, start: int) -> int:
        answer = self._answer
        if answer is None or self._passed_us() < self.delay_us:
            return 0
        self._answer = None
        index = start
        for byte in answer:
            buf[index] = byte
            index += 1
        return index - start

    def drain(self) -> int:
        self._answer = None
        return 0


class RigLine:
    """The uplink: what the test has put into `arriving` is read, what the module writes lands in `sent`."""

    def __init__(self) -> None:
        self.arriving = bytearray()
        self.sent = bytearray()
        self.room = 5000  # bytes that one write takes

    def read(self, buf) -> int:
        if not self.arriving:
            return 0
        count = min(len(buf), len(self.arriving))
        buf[:count] = self.arriving[:count]
        self.arriving = self.arriving[count:]
        return count

    def write(self, buf, start: int, end: int) -> int:
        end = min(end, start + self.room)
        self.sent.extend(memoryview(buf)[start:end])
        return end - start
