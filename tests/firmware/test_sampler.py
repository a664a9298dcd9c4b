"""Slot after slot over simulated analyzers: values, gaps, retries, back-off, overrun, overflow."""

from acqwire import causes
from rig_lines import RigBus, RigClock, instant

from acq.faults import BusError
from acq.modbus.client import Client
from acq.modbus.rtu import close_frame
from acq.plan import Analyzer, Block, Plan
from acq.sampler import Sampler
from acq.schedule import Schedule


class OddBus(RigBus):
    """`spoil`: (unit, answer) -> what arrives instead, None for nothing. `is_broken`: the port fails."""

    spoil = None
    is_broken = False

    def send(self, buf, count):
        if self.is_broken:
            raise BusError(causes.FAULT_BUS_IO)
        super().send(buf, count)
        if self.spoil is not None and self._answer is not None:
            self._answer = self.spoil(buf[0], self._answer)


class Bench:
    """A sampler and its time. `outcomes`: those of each block, slot by slot, as they were handed out."""

    def __init__(self, units=(1, 2, 3), slot_ms=1000, seal_ms=1000, retries=1, timeout_ms=100):
        self.clock = RigClock()
        self.bus = OddBus(self.clock)
        plan = Plan(1, bytes(32))
        plan.slot_ms, plan.seal_ms = slot_ms, seal_ms
        plan.analyzers = [Analyzer(unit, timeout_ms, retries) for unit in units]
        plan.blocks = [Block(index, 3, 0, 1, 2) for index in range(len(units))]
        for unit in units:
            self.bus.put(unit, 3, bytes((0, unit)))
        client = Client(self.bus, self.clock, 19200, "N", 1)
        self.sampler = Sampler(plan, client, Schedule(slot_ms))
        self.start = self.clock.now
        self.raw = bytearray()
        self.width = len(units)
        self.data = []
        self.retries = 0
        self.is_sealing = True

    @property
    def outcomes(self):
        return [list(self.raw[at : at + self.width]) for at in range(0, len(self.raw), self.width)]

    def block(self, k):
        """Outcomes of one block."""
        return bytes(self.raw[at] for at in range(k, len(self.raw), self.width))

    def run(self, microseconds):
        end = self.clock.now + microseconds
        while self.clock.now < end:
            self.sampler.step(instant(self.clock.now - self.start))
            if self.is_sealing:
                self.seal()
            self.clock.now += 500

    def seal(self):
        batch = self.sampler.take()
        if batch is not None:
            assert batch.first_slot * self.width == len(self.raw)
            for slot in range(batch.slot_count):
                for k in range(batch.block_count):
                    self.raw.append(batch.outcomes(k)[slot])
            if len(self.data) < 5:
                self.data.append([bytes(batch.data(k)) for k in range(batch.block_count)])
            self.retries += batch.retries
            self.sampler.release()


def _spoil_once(units, change):
    left = list(units)

    def spoil(unit, answer):
        if unit in left:
            left.remove(unit)
            return change(answer)
        return answer

    return spoil


def _flip(answer):
    return answer[:3] + bytes((answer[3] ^ 1,)) + answer[4:]


def test_values_are_the_answers_bytes():
    bench = Bench()
    bench.run(4900000)
    assert bench.outcomes == [[0, 0, 0]] * 5
    assert bench.data == [[b"\x00\x01", b"\x00\x02", b"\x00\x03"]] * 5
    assert bench.sampler.polls_total == 15 and sum(bench.sampler.counts[1:9]) == 0 and bench.retries == 0


def test_a_retry_mends_a_bad_answer_inside_the_slot():
    bench = Bench()
    bench.bus.spoil = _spoil_once((2, 3), _flip)
    bench.run(1900000)
    assert bench.outcomes == [[0, 0, 0]] * 2 and bench.retries == 2


def test_causes_when_retries_do_not_help():
    for change, cause in (
        (_flip, causes.GAP_CRC),
        (lambda answer: None, causes.GAP_TIMEOUT),
        (lambda answer: answer[:4], causes.GAP_LENGTH),
        (lambda answer: bytes((9,)) + answer[1:], causes.GAP_MISMATCH),
    ):
        bench = Bench()
        bench.bus.spoil = _spoil_once((2,) * 2, change)
        bench.run(1900000)
        assert bench.outcomes == [[0, cause, 0], [0, 0, 0]], cause
        assert bench.retries == 1


def test_exceptions_are_surfaced_and_only_those_that_may_pass_are_retried():
    for code in (1, 2, 3, 4, 5, 6, 8, 10, 11):
        bench = Bench(units=(1,), retries=2)
        frame = bytearray((1, 0x83, code, 0, 0))
        close_frame(frame, 3)
        bench.bus.spoil = lambda unit, answer, frame=bytes(frame): frame
        bench.run(900000)
        assert bench.outcomes == [[causes.GAP_EXCEPTION + code]]
        assert bench.retries == (2 if code in (5, 6) else 0)


def test_the_silent_one_is_asked_ever_more_rarely_and_delays_nobody():
    bench = Bench(retries=1)
    bench.bus.remove(2, 3)
    bench.run(300100000)
    middle = bench.block(1)
    assert set(bench.block(0)) == {0} == set(bench.block(2))
    asked = [index for index, outcome in enumerate(middle) if outcome == causes.GAP_TIMEOUT]
    assert asked[:3] == [0, 1, 2]
    pauses = [b - a for a, b in zip(asked[2:], asked[3:])]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 64] and set(pauses[7:]) == {64}, pauses
    assert set(middle) == {causes.GAP_TIMEOUT, causes.GAP_BACKOFF}
    bench.bus.put(2, 3, b"\x00\x02")
    bench.run(70000000)
    tail = bench.block(1)[301:]
    first = tail.find(b"\x00")
    assert first >= 0 and tail[first:] == bytes(len(tail) - first)  # one answer ends it


def test_a_wrong_answer_is_no_silence():
    bench = Bench(retries=0)
    bench.bus.spoil = lambda unit, answer: _flip(answer) if unit == 2 else answer
    bench.run(19900000)
    assert [slot[1] for slot in bench.outcomes] == [causes.GAP_CRC] * 20


def test_a_port_that_fails_is_a_gap_for_all_and_recovers():
    bench = Bench(retries=0)
    bench.bus.is_broken = True
    bench.run(2100000)
    bench.bus.is_broken = False
    bench.run(2000000)
    fault = causes.GAP_BUS_FAULT
    assert bench.outcomes[:2] == [[fault] * 3] * 2 and bench.outcomes[3:] == [[0, 0, 0]] * (len(bench.outcomes) - 3)


def test_a_slot_without_time_left_is_overrun():
    bench = Bench(units=(1, 2, 3), slot_ms=100, seal_ms=100, retries=0, timeout_ms=80)
    bench.bus.remove(1, 3)
    bench.bus.delay_us = 12000
    bench.run(350000)
    assert bench.outcomes[0] == [causes.GAP_TIMEOUT, 0, causes.GAP_OVERRUN]


def test_one_that_is_silent_for_the_rest_of_each_slot_is_asked_more_rarely_too():
    bench = Bench(units=(1, 2), slot_ms=200, seal_ms=200, retries=0, timeout_ms=500)
    bench.bus.remove(1, 3)
    bench.run(6000000)
    assert set(bench.block(0)) == {causes.GAP_OVERRUN, causes.GAP_BACKOFF}
    assert bench.block(1)[:3] == bytes((causes.GAP_OVERRUN,)) * 3
    assert bench.block(1).count(b"\x00") > 20  # never itself taken for silent


def test_time_that_passed_is_overrun_slot_by_slot():
    bench = Bench(seal_ms=10000)
    bench.run(1100000)
    bench.clock.now += 5000000
    bench.run(6000000)
    overrun = [causes.GAP_OVERRUN] * 3
    assert bench.outcomes[0] == [0, 0, 0] and bench.outcomes[2:6] == [overrun] * 4
    assert len(bench.outcomes) == 10 and bench.outcomes[7:] == [[0, 0, 0]] * 3


def test_lost_slots_end_as_one_span_behind_the_batches():
    bench = Bench(seal_ms=2000)
    bench.is_sealing = False
    bench.run(9100000)
    sampler = bench.sampler
    assert sampler.lost.slot_count >= 5 and sampler.take_lost() is None
    bench.seal()
    assert len(bench.outcomes) == 2 and sampler.take_lost() is None
    bench.seal()
    assert len(bench.outcomes) == 4
    bench.run(1000000)
    span = sampler.take_lost()
    assert (span.first_slot, span.slot_count, span.first_slot_mono_ms) == (4, sampler.next_slot - 4, 4000)
    assert sampler.take_lost() is None
    bench.run(2100000)
    batch = sampler.take()
    assert batch.first_slot == 4 + span.slot_count and batch.slot_count == 2


def test_finish_hands_out_the_part_of_a_batch():
    bench = Bench(seal_ms=60000)
    bench.run(3002000)
    assert not bench.sampler.is_idle
    bench.sampler.finish()
    bench.run(20000000)
    assert bench.outcomes == [[0, 0, 0]] * 4 and bench.sampler.is_finished
    assert bench.sampler.wait_us(instant(0)) >= 1000000
