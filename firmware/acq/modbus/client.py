"""One read transaction on the bus: wait for silence, send, take the one answer that fits.

No waiting inside: `begin`, then `step` until it says True. An answer fits by unit, function, byte count, length and
CRC; whatever else arrives is dropped and remembered as the cause of the gap. Nothing is read as a number: the
register bytes stay in `buf` from `data_start`, as they came. Retries and back-off are the sampler's decisions.
Nothing is allocated between begin and the end.

An answer does not name the address it was read from. So while the answer to an earlier request may still come, nothing
of the same unit, function and length is asked at another address: it would be taken for that (`_left`). The same goes
for a request of somebody else that was overheard. An analyzer answers within twice its time-out or never.
"""

from acqwire import causes, limits

from acq.dialect import const
from acq.faults import BusError
from acq.modbus import pdu, rtu
from acq.modbus.crc16 import crc16

_IDLE = const(0)
_QUIET = const(1)  # waiting for the line to be silent before the request
_ANSWER = const(2)  # the request is out
_EXCEPTION_BYTES = const(5)  # unit, function, code, CRC
_HEAD_BYTES = const(3)  # unit, function, byte count
_QUIET_MAX_US = const(200000)  # a line that never falls silent is noise: the request goes out over it at last


class Client:
    """One transaction at a time. `outcome`: 0 or a gap cause; `data_bytes` register bytes at buf[data_start:]."""

    data_start = _HEAD_BYTES

    def __init__(self, bus, clock, baud: int, parity: str, stop_bits: int) -> None:
        self.timing = rtu.Timing(baud, parity, stop_bits)
        self.buf = bytearray(limits.ADU_MAX_BYTES)
        self.outcome = 0
        self.data_bytes = 0
        self.stray_bytes_total = 0  # late answers and noise found before a request
        self._bus = bus
        self._clock = clock
        self._request = bytearray(8)
        self._state = _IDLE
        self._unit = 0
        self._function = 0
        self._timeout_us = 0
        self._began = 0
        self._seen = 0  # when the last byte was seen
        self._sent = 0
        self._count = 0  # bytes of the answer so far
        self._cause = 0  # why what came so far was no answer
        self._wanted = bytearray(8)  # the last request whose answer may still come, ours or not; unit 0: none
        self._asked = 0  # when that was
        self._other = False  # another request of ours has gone out since
        self._hush = False  # a request has waited for it in vain: nothing of this unit goes out before it is over
        self._patience = {}  # for how many microseconds it may, per unit; nothing is added once all were asked

    def begin(self, unit: int, function: int, address: int, quantity: int, timeout_us: int) -> None:
        """Start a read; the answer must be whole within timeout_us (below 536 s) of the request."""
        self._unit = unit
        self._function = function
        self.data_bytes = pdu.data_bytes(function, quantity)
        self._timeout_us = timeout_us
        # Some silences more, so that who comes behind a mute one is not asked at the very end of its own time
        self._patience[unit] = max(self._patience.get(unit, 0), 2 * timeout_us + 4 * self.timing.t35_us)
        self._request[0] = unit
        rtu.close_frame(self._request, pdu.write_request(self._request, 1, function, address, quantity))
        self._began = self._clock.ticks()
        self._count = 0
        self._state = _QUIET

    def step(self) -> bool:
        """Go on; True when `outcome` stands."""
        try:
            if self._state == _QUIET:
                return self._wait_for_silence()
            if self._state == _ANSWER:
                return self._listen()
        except BusError:
            return self._end(causes.GAP_BUS_FAULT)
        return True

    def wait_us(self) -> int:
        """How long `step` has nothing to do, unless bytes arrive."""
        now = self._clock.ticks()
        if self._state == _QUIET:
            silent_us = self._clock.elapsed(now, self._seen)
            left_us = self.timing.t35_us - silent_us if 0 <= silent_us < self.timing.t35_us else 0
            return max(left_us, min(self._left(now), self._timeout_us - self._clock.elapsed(now, self._began)))
        if self._state != _ANSWER:
            return 0
        left_us = self._timeout_us - self._clock.elapsed(now, self._sent)
        if self._count:
            left_us = min(left_us, self.timing.t35_us)
        return left_us if left_us > 0 else 0

    def answer_us(self) -> int:
        """From the request's last byte to the answer's last byte, after a value."""
        return self._clock.elapsed(self._seen, self._sent)

    def _wait_for_silence(self) -> bool:
        now = self._clock.ticks()
        count = self._bus.receive(self.buf, self._count)
        if count:
            self.stray_bytes_total += count
            self._seen = now
            self._count += count
            if self._count == len(self.buf):
                self._count = 0
        silent_us = self._clock.elapsed(now, self._seen)  # negative: the counter has gone round, long ago
        if 0 <= silent_us < self.timing.t35_us and self._clock.elapsed(now, self._began) < _QUIET_MAX_US:
            return False
        self._overhear()
        if self._left(now):
            self._count = 0
            if self._clock.elapsed(now, self._began) < self._timeout_us:
                return False
            self._hush = True  # requests of the same unit in between would prolong the suspicion slot by slot, for ever
            return self._end(causes.GAP_TIMEOUT)
        if not 0 <= self._clock.elapsed(now, self._asked) < self._patience[self._unit]:
            self._wanted[0] = 0  # it never came
            self._hush = False
        elif self._is_elsewhere():
            self._other = True
        self._bus.send(self._request, 8)
        self._sent = self._clock.ticks()
        self._seen = self._sent
        self._count = 0
        self._cause = causes.GAP_TIMEOUT
        self._state = _ANSWER
        return False

    def _left(self, now: int) -> int:
        """For how many microseconds the answer to an earlier request could be taken for the one to this."""
        last, other = self._wanted, self._request
        if last[0] != other[0]:
            return 0
        if not self._hush:
            if last[1] != other[1] or not (self._other or self._is_elsewhere()):
                return 0  # nothing of its kind, or the same once more at once: any answer to that is the right one
            if pdu.data_bytes(last[1], last[4] << 8 | last[5]) != self.data_bytes:
                return 0
        passed_us = self._clock.elapsed(now, self._asked)
        return max(0, self._patience[other[0]] - passed_us) if passed_us >= 0 else 0

    def _is_elsewhere(self) -> bool:
        last, other = self._wanted, self._request
        return last[0] != other[0] or last[2] != other[2] or last[3] != other[3]

    def _overhear(self) -> None:
        """If what stands in `buf` ends with a request, somebody else has sent it."""
        buf, last = self.buf, self._wanted  # two at a time: three make a tuple on the heap
        start = self._count - 8
        if start >= 0 and crc16(buf, start, self._count) == 0:
            is_other = last[0] == buf[start] and (last[2] != buf[start + 2] or last[3] != buf[start + 3])
            for index in range(8):
                last[index] = buf[start + index]
            self._other = is_other
            if is_other:
                last[2] = last[3] = 0xFF  # two answers may come: no address is safe from both
            self._asked = self._seen

    def _listen(self) -> bool:
        now = self._clock.ticks()
        count = self._bus.receive(self.buf, self._count)
        if count:
            self._count += count
            self._seen = now
            if self._count >= 8 and self._clock.elapsed(now, self._sent) < self.timing.t35_us:
                self._take()  # later, somebody else has asked the same
            outcome = self._judge() if self._count else -1
            if outcome >= 0:
                return self._end(outcome)
        if self._cause != causes.GAP_TIMEOUT and self._count and self._is_wrong():
            if self._count >= len(self.buf) or self._clock.elapsed(now, self._seen) >= self.timing.t35_us:
                self._overhear()
                if self._left(now):
                    self._wanted[2] = self._wanted[3] = 0xFF
                    return self._end(causes.GAP_MISMATCH)  # what comes next may be ours or theirs
                self._count = 0  # another frame has ended; ours may still come
        if self._clock.elapsed(now, self._sent) < self._timeout_us:
            return False
        if self._count and self._cause == causes.GAP_TIMEOUT:
            self._cause = causes.GAP_LENGTH
        return self._end(self._cause)

    def _take(self) -> None:
        """Take our own request away, if it stands in front: a transceiver that hears itself."""
        buf, other = self.buf, self._request
        for index in range(8):
            if buf[index] != other[index]:
                return
        for index in range(8, self._count):
            buf[index - 8] = buf[index]
        self._count -= 8
        self._cause = causes.GAP_TIMEOUT

    def _judge(self) -> int:
        """The outcome, or -1: not yet, or no frame for us (`_cause` says so)."""
        buf = self.buf
        if buf[0] != self._unit:
            self._cause = causes.GAP_MISMATCH
            return -1
        if self._count < 2:
            return -1
        if buf[1] == self._function | pdu.EXCEPTION_BIT:
            return self._judge_exception()
        if buf[1] != self._function or (self._count > 2 and buf[2] != self.data_bytes):
            self._cause = causes.GAP_MISMATCH
            return -1
        length = _HEAD_BYTES + self.data_bytes + 2
        if self._count < length:
            return -1
        return causes.VALUE if rtu.has_good_crc(buf, length) else causes.GAP_CRC

    def _judge_exception(self) -> int:
        if self._count < _EXCEPTION_BYTES:
            return -1
        if not rtu.has_good_crc(self.buf, _EXCEPTION_BYTES):
            self._cause = causes.GAP_CRC
            return -1  # it may be our echo with a wrong bit: the answer may still come
        code = self.buf[2]
        return causes.GAP_EXCEPTION + code if code in pdu.EXCEPTION_CODES else causes.GAP_MISMATCH

    def _is_wrong(self) -> bool:
        """Whether what stands in the buffer cannot become our answer any more."""
        buf = self.buf
        if buf[0] != self._unit:
            return True
        if self._count < 2 or buf[1] == self._function | pdu.EXCEPTION_BIT:
            return self._count > _EXCEPTION_BYTES or self._cause == causes.GAP_CRC
        return buf[1] != self._function or (self._count > 2 and buf[2] != self.data_bytes)

    def _end(self, outcome: int) -> bool:
        self.outcome = outcome
        if (
            self._state == _ANSWER
            and (outcome == causes.GAP_TIMEOUT or outcome == causes.GAP_MISMATCH or self._wanted[0] == self._unit)
            and self._left(self._seen) == 0
        ):  # also behind a value: it may be the answer to the attempt before, and this one's comes yet
            for index in range(8):
                self._wanted[index] = self._request[index]
            self._asked = self._sent
            self._other = False
        self._state = _IDLE
        return True
