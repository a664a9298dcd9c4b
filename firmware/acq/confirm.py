"""Blocks that a parameter set wants confirmed: on a bad line a value is taken only when two answers agree bit for bit.

Stands between sampler and modbus.client.Client and has the client's face; imported only where a set asks for it. Both
reads lie in the slot; a value without an equal second one is a gap of its own cause, which the sampler may retry.

When is a line bad? An analyzer is doubted until 5,000 answers running were whole, from the boot on and after each
damaged one. A damaged answer passes the CRC once in 65,536 (reference: reliability section 8). At one poll a second,
fewer than one damaged in 5,000 makes less than one wrong value in ten years: 3.2e8 s / 5,000 / 65,536 = 0.96, before
unit, function, byte count and length are looked at.
"""

from acqwire import causes

from acq.dialect import const

_DOUBT_ANSWERS = const(5000)
_ATTEMPT_MIN_US = const(5000)  # as the sampler's: a read that has less time left is not begun
_DAMAGED = (causes.GAP_CRC, causes.GAP_LENGTH, causes.GAP_MISMATCH)


class Confirming:
    """As modbus.client.Client. `doubts`: per analyzer, how many whole answers it still needs to be trusted."""

    def __init__(self, client, plan, schedule, timebase) -> None:
        self._client = client
        self._analyzers = plan.analyzers
        self._confirmed = plan.confirm
        self._schedule = schedule
        self._timebase = timebase
        self.buf = client.buf
        self.data_start = client.data_start
        self.outcome = 0
        self.doubts = [_DOUBT_ANSWERS] * len(plan.analyzers)
        self._first = bytearray(max(block.width_bytes for block in plan.confirm))
        self._analyzer = 0
        self._block = None  # to be confirmed, of plan.confirm
        self._is_second = False

    @property
    def data_bytes(self) -> int:
        return self._client.data_bytes

    @property
    def stray_bytes_total(self) -> int:
        return self._client.stray_bytes_total

    def begin(self, unit: int, function: int, address: int, quantity: int, timeout_us: int) -> None:
        """As Client.begin."""
        self._is_second = False
        self._block = None
        index = 0
        for analyzer in self._analyzers:
            if analyzer.unit == unit:
                self._analyzer = index
                break
            index += 1
        for block in self._confirmed:
            if block.address == address and block.analyzer == self._analyzer:
                if block.function == function and block.quantity == quantity:
                    self._block = block
        self._client.begin(unit, function, address, quantity, timeout_us)

    def step(self) -> bool:
        """As Client.step."""
        if not self._client.step():
            return False
        outcome = self._client.outcome
        if outcome in _DAMAGED:
            self.doubts[self._analyzer] = _DOUBT_ANSWERS
        if self._is_second:
            self.outcome = causes.VALUE if self._agrees() else causes.GAP_UNCONFIRMED
            return True
        self.outcome = outcome
        doubt = self.doubts[self._analyzer]
        if outcome != causes.VALUE or doubt == 0:
            return True
        self.doubts[self._analyzer] = doubt - 1
        return self._block is None or self._ask_again()

    def wait_us(self) -> int:
        return self._client.wait_us()

    def answer_us(self) -> int:
        return self._client.answer_us()

    def _ask_again(self) -> bool:
        """True when there is no time for it: `outcome` says so."""
        analyzer = self._analyzers[self._analyzer]
        timeout_us = min(analyzer.timeout_ms * 1000, self._schedule.left_us(self._timebase.look()))
        if timeout_us < _ATTEMPT_MIN_US:
            self.outcome = causes.GAP_UNCONFIRMED
            return True
        first, buf = self._first, self.buf  # two at a time: three make a tuple on the heap
        start = self.data_start
        for index in range(self.data_bytes):
            first[index] = buf[start + index]
        self._is_second = True
        block = self._block
        self._client.begin(analyzer.unit, block.function, block.address, block.quantity, timeout_us)
        return False

    def _agrees(self) -> bool:
        if self._client.outcome != causes.VALUE:
            return False
        first, buf = self._first, self.buf  # two at a time: three make a tuple on the heap
        start = self.data_start
        for index in range(self.data_bytes):
            if first[index] != buf[start + index]:
                return False
        return True
