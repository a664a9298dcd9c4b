"""Double reads on a bad line: when a value is taken, what becomes of one that is not, and when a line is trusted."""

import gc
import sys

from acqwire import causes
from rig_lines import RigClock, instant
from test_sampler import OddBus

from acq.confirm import Confirming
from acq.modbus.client import Client
from acq.modbus.rtu import close_frame
from acq.plan import Analyzer, Block, Plan
from acq.sampler import Sampler
from acq.schedule import Schedule


class HandTime:
    """Timebase.look of a rig clock."""

    def __init__(self, clock):
        self._clock = clock
        self._start = clock.now

    def look(self):
        return instant(self._clock.now - self._start)


class Bench:
    """Two analyzers with a block of two registers each; the first one's is to be confirmed."""

    def __init__(self, slot_ms=1000, retries=1, timeout_ms=100, is_doubting=True):
        self.clock = RigClock()
        self.bus = OddBus(self.clock)
        self.bus.log = []
        plan = Plan(1, bytes(32))
        plan.slot_ms = plan.seal_ms = slot_ms
        plan.analyzers = [Analyzer(unit, timeout_ms, retries) for unit in (1, 2)]
        plan.blocks = [Block(0, 3, 0, 2, 4), Block(1, 3, 0, 2, 4)]
        plan.confirm = [plan.blocks[0]]
        self.put(1, 7)
        self.put(2, 9)
        client = Client(self.bus, self.clock, 19200, "N", 1)
        schedule = Schedule(slot_ms)
        self.time = HandTime(self.clock)
        self.client = Confirming(client, plan, schedule, self.time)
        if not is_doubting:
            self.client.doubts = [0, 0]
        self.sampler = Sampler(plan, self.client, schedule)
        self.outcomes = []
        self.values = []
        self.retries = 0

    def put(self, unit, value):
        self.bus.put(unit, 3, bytes((value, 1, 2, value)))

    def run(self, microseconds):
        end = self.clock.now + microseconds
        while self.clock.now < end:
            self.sampler.step(self.time.look())
            batch = self.sampler.take()
            if batch is not None:
                self.outcomes += [[batch.outcomes(k)[slot] for k in range(2)] for slot in range(batch.slot_count)]
                self.values.append(bytes(batch.data(0)))
                self.retries += batch.retries
                self.sampler.release()
            self.clock.now += 500

    def asked(self, unit):
        return [entry[1] for entry in self.bus.log].count(unit)


def frame(*body):
    buf = bytearray(body) + bytearray(2)
    close_frame(buf, len(body))
    return bytes(buf)


def answers(bench, unit, *values):
    """The unit answers with these values in turn, then as it did; None: bytes that fit no CRC."""
    left = list(values)

    def spoil(asked, answer):
        if asked != unit or not left:
            return answer
        value = left.pop(0)
        return answer[:-1] + b"\x00" if value is None else frame(unit, 3, 4, value, 1, 2, value)

    bench.bus.spoil = spoil


def test_on_a_line_in_doubt_what_is_to_be_confirmed_is_read_twice_and_nothing_else():
    bench = Bench()
    bench.run(4900000)
    assert bench.outcomes == [[0, 0]] * 5 and bench.values == [bytes((7, 1, 2, 7))] * 5
    assert (bench.asked(1), bench.asked(2)) == (10, 5)
    assert bench.client.doubts == [4995, 4995]


def test_a_trusted_line_is_read_once_until_an_answer_is_damaged():
    bench = Bench(is_doubting=False)
    bench.run(2900000)
    assert (bench.asked(1), bench.asked(2)) == (3, 3)
    answers(bench, 2, None)
    bench.run(1000000)  # the other analyzer's damage is not its own
    assert (bench.asked(1), bench.asked(2)) == (4, 5)
    for value, cause in ((None, causes.GAP_CRC), ("cut", causes.GAP_LENGTH), ("other", causes.GAP_MISMATCH)):
        bench = Bench(is_doubting=False, retries=0)
        bench.run(900000)

        def spoil(unit, answer, value=value, bench=bench):
            if unit == 2:
                return answer
            bench.bus.spoil = None
            if value == "cut":
                return answer[:6]
            return frame(9, 3, 4, 1, 2, 3, 4) if value else answer[:-1] + b"\x00"

        bench.bus.spoil = spoil
        bench.run(2000000)
        assert [slot[0] for slot in bench.outcomes] == [0, cause, 0], cause
        assert bench.asked(1) == 1 + 1 + 2 and bench.client.doubts == [4999, 0]


def test_trust_comes_back_with_whole_answers_in_a_row():
    bench = Bench(slot_ms=100)
    bench.client.doubts = [3, 0]
    bench.run(950000)
    assert bench.client.doubts == [0, 0] and bench.asked(1) == 10 + 3


def test_two_answers_that_differ_are_no_value():
    bench = Bench(retries=0)
    answers(bench, 1, 7, 8)
    bench.run(1900000)
    assert [slot[0] for slot in bench.outcomes] == [causes.GAP_UNCONFIRMED, 0]
    assert bench.values == [b"", bytes((7, 1, 2, 7))]
    counts = bench.sampler.counts
    assert (counts[0], counts[8]) == (1, 1)  # columns value, exception or unconfirmed
    assert bench.client.doubts[0] == 4998  # a value that moved is no damage


def test_each_bit_counts():
    for place in range(3, 7):
        for bit in range(8):
            bench = Bench(retries=0)
            left = [0, 1]

            def spoil(unit, answer, place=place, bit=bit, left=left):
                if unit == 1 and left and left.pop(0):
                    changed = bytearray(answer[:-2])
                    changed[place] ^= 1 << bit
                    return frame(*changed)
                return answer

            bench.bus.spoil = spoil
            bench.run(900000)
            assert bench.outcomes == [[causes.GAP_UNCONFIRMED, 0]], (place, bit)


def test_a_retry_in_the_slot_mends_it():
    bench = Bench(retries=1)
    answers(bench, 1, 7, 8)
    bench.run(900000)
    assert bench.outcomes == [[0, 0]] and bench.retries == 1 and bench.asked(1) == 4


def test_a_second_answer_that_fails_confirms_nothing():
    for second in ("crc", "silence", "exception"):
        bench = Bench(retries=0)
        turn = [0]

        def spoil(unit, answer, turn=turn, second=second):
            if unit != 1:
                return answer
            turn[0] += 1
            if turn[0] != 2 or second == "silence":
                return answer if turn[0] != 2 else None
            return frame(1, 0x83, 4) if second == "exception" else answer[:-1] + b"\x00"

        bench.bus.spoil = spoil
        bench.run(1900000)
        assert [slot[0] for slot in bench.outcomes] == [causes.GAP_UNCONFIRMED, 0], second
        assert bench.outcomes[0][1] == 0
        assert bench.client.doubts[0] == (4999 if second == "crc" else 4998), second


def test_both_reads_lie_in_the_slot():
    bench = Bench(slot_ms=100, retries=3, timeout_ms=90)
    bench.bus.delay_us = 60000
    bench.run(950000)
    # The second read is cut by the slot's end; the other analyzer's slot of time is over then
    assert {slot[0] for slot in bench.outcomes} == {causes.GAP_UNCONFIRMED}
    assert len(bench.outcomes) == 9
    bench = Bench(slot_ms=100, retries=0, timeout_ms=99)
    bench.bus.delay_us = 96000
    bench.run(450000)
    assert {slot[0] for slot in bench.outcomes} == {causes.GAP_UNCONFIRMED}
    assert bench.asked(1) == 5  # too little was left to ask again


def test_a_mute_analyzer_backs_off_as_ever():
    bench = Bench()
    bench.bus.remove(1, 3)
    bench.run(9900000)
    first = [slot[0] for slot in bench.outcomes]
    assert first[:6] == [causes.GAP_TIMEOUT] * 4 + [causes.GAP_BACKOFF, causes.GAP_TIMEOUT]
    assert bench.client.doubts[0] == 5000


def test_a_double_read_takes_nothing_from_the_heap():
    if sys.implementation.name != "micropython":
        return  # CPython counts references: there is nothing to measure
    bench = Bench()
    bench.run(3000000)
    client, clock, moment = bench.client, bench.clock, bench.time.look()
    bench.time.look = lambda: moment
    bench.bus.log = None
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(4):
        client.begin(1, 3, 0, 2, 100000)
        while not client.step():
            client.wait_us()
            clock.now += 500
    taken = gc.mem_alloc() - before
    gc.enable()
    assert client.outcome == causes.VALUE and taken == 0, taken
