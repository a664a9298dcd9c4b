"""The cases: every task runs a share of one part and says how many cases it ran and which of them broke a promise.

Everything follows from the seed and the task, so that tasks run in any order and in any process.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache

from acq.journal import Journal
from tools.powercuts import flash as kinds
from tools.powercuts.flash import Content, Flash, Geometry
from tools.powercuts.history import (
    Moment,
    Plan,
    Start,
    check_bounds,
    finish,
    go_on,
    moments,
    mounted,
    off,
    record,
    survive,
)
from tools.powercuts.model import Work, hash_of

Step = tuple[int, str, int]  # operation since the mount, behaviour, its number

# Sizes: one byte to the largest, with entries that fill their units exactly. Each sector is erased three times or more.
PLANS = {
    "fine": Plan(Geometry(8, 4096, 256), (300, 1900, 436, 440, 2300, 184, 4224, 700, 1, 3000), 52, 6),
    "narrow": Plan(Geometry(8, 4096, 16), (300, 1900, 436, 440, 2300, 180, 4224, 700, 1, 3000), 56, 6),
    "coarse": Plan(Geometry(8, 4096, 1024), (956, 1, 1500, 900, 1980, 2900, 956, 4000, 100, 500), 40, 4),
}
_DRAWS = 6  # of a behaviour that is drawn, at each operation of the singles
THIRDS = 40  # third faults behind the same first two
_TRIPLE_OPERATIONS = 60  # between two faults of a triple, at most: more than a lap
_PART_BYTES = 1024  # prefixes in one task


class Failed(Exception):
    """A promise was broken; the text says which."""


@dataclass(slots=True)
class Outcome:
    """`counts`: cases by behaviour of the last fault; `same`: cases whose flash equals one that was run."""

    counts: Counter[str] = field(default_factory=Counter)
    same: int = 0
    failures: list[tuple[str, tuple[Step, ...], str]] = field(default_factory=list)


@cache
def workload(name: str) -> list[Moment]:
    """The recorded workload of a plan."""
    return record(PLANS[name], PLANS[name].start())


def drawn(seed: int, *words: object) -> int:
    """A number that follows from these."""
    return random.Random(f"{seed} {words}").getrandbits(30)


def behaviours_of(moment: Moment) -> list[str]:
    return [*kinds.cuts_of(moment.operation, moment.following), *kinds.FAULTS]


def play(plan: Plan, moment: Moment, how: str, number: int) -> Start | Work:
    """One fault: what lies on the flash after a cut, or the journal that has survived."""
    if how in kinds.FAULTS:
        return survive(plan, moment, how, number)
    return moment.after(plan, how, number)


def go_on_recording(plan: Plan, state: Start | Work, limit: int = 1 << 30) -> list[Moment]:
    """Every moment of the work after it."""
    return list(moments(plan, state, limit)) if isinstance(state, Work) else record(plan, state, limit=limit)


def end(plan: Plan, state: Start | Work) -> None:
    """Mount if the power is off, compare, work on, mount, compare."""
    if isinstance(state, Work):
        go_on(plan, state)
    else:
        finish(plan, state)


def replay(name: str, steps: tuple[Step, ...]) -> None:
    """One schedule from the start; raises what the campaign has met."""
    plan = PLANS[name]
    state: Start | Work = plan.start()
    for operation, how, number in steps:
        found = go_on_recording(plan, state)
        if operation >= len(found):
            raise ValueError(f"operation {operation}: the work has only {len(found)}")
        state = play(plan, found[operation], how, number)
    end(plan, state)


def breaks(name: str, steps: tuple[Step, ...]) -> str:
    """What the schedule breaks; "" for nothing."""
    try:
        replay(name, steps)
    except ValueError as refused:
        return "" if "the work has only" in str(refused) else f"ValueError: {refused}"
    except Exception as broken:  # noqa: BLE001  whatever the journal raises is a finding
        return f"{type(broken).__name__}: {broken}"
    return ""


def shortened(name: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The shortest schedule found that still breaks something: fewer faults, then earlier and smaller ones."""
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for fewer in _fewer(steps):
            if breaks(name, fewer):
                steps, is_shorter = fewer, True
                break
    return steps


def _fewer(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if len(steps) > 1:
        for index in range(len(steps)):
            yield steps[:index] + steps[index + 1 :]
    for index, (operation, how, number) in enumerate(steps):
        if how == kinds.PREFIX:
            for smaller in {0, 1, number // 2} - {number}:
                if smaller < number:
                    yield (*steps[:index], (operation, how, smaller), *steps[index + 1 :])


class Runner:
    """Runs the cases of one task. Two starts that are equal byte for byte are one case that needs to be run once."""

    def __init__(self, name: str) -> None:
        self.name, self.plan = name, PLANS[name]
        self.outcome = Outcome()
        self._seen: set[tuple[int, ...]] = set()

    def run(self, moment: Moment, how: str, number: int, before: tuple[Step, ...] = ()) -> None:
        """The last fault of a schedule and what comes of it."""
        self.outcome.counts[how] += 1
        try:
            state = play(self.plan, moment, how, number)
            if isinstance(state, Start) and not state.content.weak:
                if state.key in self._seen:
                    self.outcome.same += 1
                    return
                self._seen.add(state.key)
            end(self.plan, state)
        except Exception as broken:  # noqa: BLE001  whatever the journal raises is a finding
            text = f"{type(broken).__name__}: {broken}"
            self.outcome.failures.append((self.name, (*before, (moment.number, how, number)), text))

    def after(self, moment: Moment, how: str, number: int, before: tuple[Step, ...], limit: int) -> list[Moment]:
        """The moments that follow a fault which is not the last; none when it breaks something itself."""
        try:
            return go_on_recording(self.plan, play(self.plan, moment, how, number), limit)
        except Exception as broken:  # noqa: BLE001  the same
            text = f"{type(broken).__name__}: {broken}"
            self.outcome.failures.append((self.name, (*before, (moment.number, how, number)), text))
            return []


def single_tasks() -> list[tuple[int, int]]:
    """(operation, first prefix) of each share."""
    unit, sector = PLANS["fine"].geometry.unit, PLANS["fine"].geometry.sector_bytes
    tasks = []
    for moment in workload("fine"):
        size = sector if moment.operation.data is None else unit
        tasks += [(moment.number, first) for first in range(0, size, _PART_BYTES)]
    return tasks


def run_singles(seed: int, task: tuple[int, int]) -> Outcome:
    """One operation: every byte prefix of it, and with the first share every other behaviour."""
    index, first = task
    runner = Runner("fine")
    moment = workload("fine")[index]
    size = PLANS["fine"].geometry.sector_bytes if moment.operation.data is None else len(moment.operation.data)
    for prefix in range(first, min(first + _PART_BYTES, size)):
        runner.run(moment, kinds.PREFIX, prefix)
    for how in behaviours_of(moment) if first == 0 else ():
        if how != kinds.PREFIX:
            is_drawn = how in (kinds.BITS, kinds.PREFIX_BITS, kinds.UNSTABLE, kinds.ROT, kinds.FLIPPED)
            for draw in range(_DRAWS if is_drawn else 1):
                runner.run(moment, how, drawn(seed, index, how, draw))
    return runner.outcome


def pair_tasks() -> list[tuple[int, str]]:
    """(operation, behaviour) of each first fault."""
    return [(moment.number, how) for moment in workload("coarse") for how in behaviours_of(moment)]


def run_pairs(seed: int, task: tuple[int, str]) -> Outcome:
    """One first fault and every second one that the work behind it allows."""
    index, how = task
    runner = Runner("coarse")
    number = drawn(seed, index, how)
    first = (index, how, number)
    for moment in runner.after(workload("coarse")[index], how, number, (), 1 << 30):
        for second in behaviours_of(moment):
            runner.run(moment, second, drawn(seed, index, how, moment.number, second), (first,))
    return runner.outcome


def run_triples(seed: int, task: int) -> Outcome:
    """Two faults drawn at random, and as many third ones behind them as `THIRDS`."""
    dice = random.Random(f"{seed} triple {task}")
    runner = Runner(dice.choice(list(PLANS)))
    before: tuple[Step, ...] = ()
    found = workload(runner.name)
    for _ in range(2):
        moment = dice.choice(found)
        how, number = dice.choice(behaviours_of(moment)), dice.getrandbits(30)
        found = runner.after(moment, how, number, before, _TRIPLE_OPERATIONS)
        before = (*before, (moment.number, how, number))
        if not found:
            return runner.outcome
    for _ in range(THIRDS):
        moment = dice.choice(found)
        runner.run(moment, dice.choice(behaviours_of(moment)), dice.getrandbits(30), before)
    return runner.outcome


# One sector after the other, every bit


def bit_tasks() -> list[int]:
    """First byte of each share."""
    return list(range(0, PLANS["fine"].geometry.total, 64))


@lru_cache(maxsize=1)
def _full_ring() -> tuple[Start, dict[int, bytes], int]:
    """The ring at its fullest: the start, what can be read there, and the count of torn entries without a flip."""
    plan = PLANS["fine"]
    fullest = max(workload("fine"), key=lambda moment: (moment.model.head - moment.model.released, moment.number))
    start = off(mounted(plan, fullest.after(plan, kinds.NOT, 0)))
    ring = _bare_mount(plan, start.content)
    return start, _readable(ring), ring.torn_count


def _bare_mount(plan: Plan, content: Content) -> Journal:
    flash = Flash(plan.geometry, content)
    ring = Journal(flash)
    ring.mount()
    check_bounds(plan.geometry, flash)
    return ring


def _readable(ring: Journal) -> dict[int, bytes]:
    """Everything the journal gives, released or not."""
    buffer = bytearray(4224)
    found = {}
    seq = ring.seek(1)
    while seq:
        count = ring.read(seq, buffer)
        found[seq] = bytes(buffer[:count]) + ring.read_hash
        seq = ring.seek(seq + 1)
    return found


def run_bits(seed: int, task: int) -> Outcome:
    """Each bit of 64 bytes."""
    outcome = Outcome()
    for bit in range(task * 8, (task + 64) * 8):
        outcome.counts["bit"] += 1
        try:
            check_bit(bit)
        except Exception as broken:  # noqa: BLE001  whatever the journal raises is a finding
            outcome.failures.append(("bit", ((bit, "bit", 0),), f"{type(broken).__name__}: {broken}"))
    return outcome


def check_bit(bit: int) -> None:
    """One bit inverted: every record reads as it did, or one of them is missing and was counted; the head stays."""
    start, expected, torn = _full_ring()
    image = bytearray(start.content.image)
    image[bit >> 3] ^= 1 << (bit & 7)
    ring = _bare_mount(PLANS["fine"], Content(bytes(image)))
    found = _readable(ring)
    if (ring.head_seq, ring.head_hash) != (start.model.head, hash_of(start.model.head, start.model.lives[-1])):
        raise Failed(f"head is {ring.head_seq}")
    gone = expected.keys() - found.keys()
    if any(found[seq] != expected.get(seq) for seq in found):
        raise Failed("a record reads as another one")
    if len(gone) > 1:
        raise Failed(f"neighbours are gone: {sorted(gone)}")
    if gone and ring.torn_count == torn:
        raise Failed(f"record {min(gone)} is gone and nothing was counted")
