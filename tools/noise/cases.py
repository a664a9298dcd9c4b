"""The kinds of noise, and one run: so many slots of the firmware's poller under one of them, judged slot by slot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from acqwire import causes

from acq.confirm import Confirming
from acq.instant import Instant
from acq.modbus.client import Client
from acq.plan import Analyzer, Block, Plan
from acq.sampler import Sampler
from acq.schedule import Schedule
from tools.noise.line import REST, Noise, NoisyLine, SimClock, content

BAUD = 19_200
SLOT_MS = 1_000
TIMEOUT_MS = 100
RETRIES = 1
NOISY_SLOTS, REST_SLOTS = 20, 5
GOOD_FROM = 2  # slot of a rest: "within 2 slots"
# (unit, address, registers) of the blocks: two of the same length at one analyzer, which a late answer could mix up
BLOCKS = ((1, 0, 2), (1, 40, 2), (2, 0, 4), (2, 60, 4), (3, 0, 20), (3, 100, 60))

KINDS: dict[str, Noise] = {
    "bits-1e-6": Noise(bit=1e-6),
    "bits-1e-5": Noise(bit=1e-5),
    "bits-1e-4": Noise(bit=1e-4),
    "bits-1e-3": Noise(bit=1e-3),
    "bursts": Noise(burst=0.1),
    "dropouts": Noise(dropout=0.05),
    "echo": Noise(echo=True, bit=1e-4),
    "glitches": Noise(glitch=0.2, bit=1e-5),
    "late": Noise(late=0.2, lost=0.05),
    "second": Noise(second=0.2),
    "all-but-second": Noise(bit=1e-4, burst=0.03, dropout=0.01, glitch=0.05, late=0.05, lost=0.02),
}


@dataclass(slots=True)
class Outcome:
    """`wrong`: values that no altered frame explains; `residual`: those with an altered frame whose CRC is good;
    `stale`: the block's own of the slot before, whose late answer was taken in this one.
    `slow_rests`: rests in which a block was no value from their third slot on; not counted are blocks of an analyzer
    whose back-off of three silent slots has not ended (`paused`): it is asked again after 1, 2, 4 … 64 slots."""

    polls: int = 0
    values: int = 0
    wrong: int = 0
    residual: int = 0
    stale: int = 0
    rests: int = 0
    slow_rests: int = 0
    paused: int = 0
    altered: int = 0
    foreign: int = 0
    causes: Counter[int] = field(default_factory=Counter)
    first: str = ""  # of what must not be


def run(kind: str, seed: int, slots: int, is_confirmed: bool) -> Outcome:
    """`is_confirmed`: every block is read twice, and the line is never trusted."""
    clock = SimClock()
    units = {unit for unit, _, _ in BLOCKS}
    line = NoisyLine(clock, BAUD, SLOT_MS * 1000, TIMEOUT_MS * 1000, units, f"{kind} {seed} {is_confirmed}")
    plan = Plan(1, bytes(32))
    plan.slot_ms = plan.seal_ms = SLOT_MS
    plan.analyzers = [Analyzer(unit, TIMEOUT_MS, RETRIES) for unit in sorted(units)]
    plan.blocks = [Block(sorted(units).index(unit), 3, address, count, 2 * count) for unit, address, count in BLOCKS]
    client = Client(line, clock, BAUD, "N", 1)
    schedule = Schedule(SLOT_MS)
    confirming = None
    if is_confirmed:
        plan.confirm = plan.blocks
        client = confirming = Confirming(client, plan, schedule, _Time(clock))
    sampler = Sampler(plan, client, schedule)
    found = Outcome()
    judge = _Judge(found)
    moment = Instant()
    slot = -1
    while judge.slot < slots:
        if confirming is not None:
            for index in range(len(confirming.doubts)):
                confirming.doubts[index] = 5000
        if clock.now // (SLOT_MS * 1000) > slot and sampler.is_idle:
            slot = clock.now // (SLOT_MS * 1000)
            line.noise = KINDS[kind] if slot % (NOISY_SLOTS + REST_SLOTS) < NOISY_SLOTS else REST
            line.begin_slot()
        moment.s, moment.us = divmod(clock.now, 1_000_000)
        sampler.step(moment)
        batch = sampler.take()
        if batch is not None:
            judge.look(batch, line)
            sampler.release()
        moment.s, moment.us = divmod(clock.now, 1_000_000)
        arrives_us = line.next_us()
        # Bytes that nobody reads between two slots wake nobody
        wait_us = sampler.wait_us(moment)
        clock.now += max(1, wait_us if sampler.is_idle else min(wait_us, arrives_us))
    found.polls = sampler.polls_total
    found.altered, found.foreign = line.altered, line.foreign
    return found


class _Time:
    """timebase.Timebase as far as double reads ask for it."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._moment = Instant()

    def look(self) -> Instant:
        self._moment.s, self._moment.us = divmod(self._clock.now, 1_000_000)
        return self._moment


class _Judge:
    def __init__(self, found: Outcome) -> None:
        self.slot = 0
        self._found = found
        self._is_slow = False

    def look(self, batch: object, line: NoisyLine) -> None:
        """The one slot of a batch."""
        found, slot = self._found, batch.first_slot  # type: ignore[attr-defined]
        place = slot % (NOISY_SLOTS + REST_SLOTS) - NOISY_SLOTS
        for k, (unit, address, count) in enumerate(BLOCKS):
            outcome = batch.outcomes(k)[0]  # type: ignore[attr-defined]
            found.causes[outcome] += 1
            if outcome != causes.VALUE:
                if place >= GOOD_FROM and outcome == causes.GAP_BACKOFF:
                    found.paused += 1
                elif place >= GOOD_FROM:
                    self._is_slow = True
                    found.first = found.first or f"slot {slot}, block {k}: cause {outcome} in a rest"
                continue
            found.values += 1
            data = bytes(batch.data(k))  # type: ignore[attr-defined]
            if data == content(unit, address, count, slot):
                continue
            if data == content(unit, address, count, slot - 1):
                found.stale += 1
                found.first = found.first or f"slot {slot}, block {k}: the value of the slot before"
                continue
            if line.is_strange or data not in line.sent_answers:
                found.residual += 1
            else:
                found.wrong += 1
            found.first = f"slot {slot}, block {k}: a wrong value"
        if place == REST_SLOTS - 1:
            found.rests += 1
            found.slow_rests += self._is_slow
            self._is_slow = False
        self.slot = slot + 1
