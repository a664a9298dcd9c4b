"""Random histories of clocks: the module's time base, its records and the bridge's averages agree (F9 of the design's
fault matrix; reference: reliability and security, section 5).

A history: a module whose oscillator is off by up to 500 ppm and whose counter wraps; a gateway whose clock drifts as
much, stands still, jumps by 1 ms to ten years either way, or repeats or skips a leap second. Whatever happens: slots
are sealed once each and in order, decisions and states are those of a plain model, and the averages are those of the
slow reference, with every slot counted that has a time. Whole lines beyond the short run:

    PYTHONPATH=firmware:bridge python -m tests.contract.test_clock_histories FIRST_SEED COUNT
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from acqwire import fields, limits

from acq.record import Stamp
from acq.timebase import Timebase
from tests.bridge.test_averaging_stage import Bench, check
from tests.doubles.timed_module import START_UTC_MS, TimedModule, store_all

YEAR_MS = 31_556_952_000
STEPS_MS = (1, 499, 500, 501, 1000, 60_000, 3_599_000, 3_600_000, 3_601_000, 86_400_000, YEAR_MS, 10 * YEAR_MS)
PPM_MAX = 500
MILLION = 1_000_000
TICKS = 2**30
INTERVALS_S = (10, 60, 600)


class WorldTime:
    """True time by hand, the module's counter and the gateway's clock with their errors."""

    def __init__(self, dice: random.Random) -> None:
        self.true_us = 0
        self._module_ppm = dice.randint(-PPM_MAX, PPM_MAX)
        self._gateway_ppm = dice.randint(-PPM_MAX, PPM_MAX)
        self._first_tick = dice.choice((0, TICKS - 1, TICKS - 5_000_000, dice.randrange(TICKS)))
        self._gateway_ms = START_UTC_MS + dice.randrange(YEAR_MS)
        self._seen_us = 0  # of the gateway's clock
        self.is_frozen = False

    # ports.Clock

    def ticks(self) -> int:
        return (self._first_tick + self.module_us) % TICKS

    def elapsed(self, later: int, earlier: int) -> int:
        return (later - earlier + TICKS // 2) % TICKS - TICKS // 2

    @property
    def module_us(self) -> int:
        """Since the boot, as the module's oscillator has it."""
        return self.true_us + self.true_us * self._module_ppm // MILLION

    # The gateway

    def gateway_ms(self) -> int:
        passed_us = self.true_us - self._seen_us
        self._seen_us = self.true_us
        if not self.is_frozen:
            self._gateway_ms += passed_us * (MILLION + self._gateway_ppm) // MILLION // 1000
        return max(0, self._gateway_ms)

    def jump(self, ms: int) -> None:
        self._gateway_ms = self.gateway_ms() + ms


class Nonces:
    """ports.Entropy that never repeats itself."""

    def __init__(self) -> None:
        self._count = 0

    def random(self, count: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(count, "big")


class Model:
    """SPEC.md section 4.1 in plain words."""

    def __init__(self) -> None:
        self.offset_ms: int | None = None
        self.at_ms = self.seq = 0
        self.is_stepped = False

    def judge(self, utc_ms: int, round_trip_ms: int, now_ms: int) -> int:
        offset_ms = utc_ms + round_trip_ms // 2 - now_ms
        step_ms = None if self.offset_ms is None else abs(offset_ms - self.offset_ms)
        is_plausible = limits.UTC_PLAUSIBLE_FROM_MS <= utc_ms < limits.UTC_PLAUSIBLE_UNTIL_MS
        if not is_plausible or (step_ms is not None and step_ms > 3_600_000):
            return fields.SYNC_REFUSED
        self.offset_ms, self.at_ms = offset_ms, now_ms
        self.is_stepped = step_ms is not None and step_ms > 500
        if step_ms is None:
            return fields.SYNC_FIRST
        return fields.SYNC_STEPPED if self.is_stepped else fields.SYNC_SLEWED

    def status(self, now_ms: int) -> int:
        if self.offset_ms is None:
            return fields.UTC_NONE
        if self.is_stepped:
            return fields.UTC_STEPPED
        return fields.UTC_HOLDOVER if now_ms - self.at_ms > 3_600_000 else fields.UTC_HOST


class History(TimedModule):
    """One boot under one history. `events`: what happened, by name."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self._world = WorldTime(self._dice)
        self._base = Timebase(self._world, Nonces())
        self._model = Model()
        self.events: Counter[str] = Counter()

    def utc_fields(self, seq: int) -> dict[int, Any]:
        """As timebase gives them, compared with the model."""
        stamp = Stamp()
        self._base.stamp(stamp)
        assert stamp.mono_ms == self.mono_ms == self._world.module_us // 1000
        assert stamp.utc_status == self._model.status(stamp.mono_ms)
        self.events[f"status {stamp.utc_status}"] += 1
        if stamp.utc_status == fields.UTC_NONE:
            return {9: 0}
        assert self._model.offset_ms is not None
        assert stamp.utc_ms == stamp.mono_ms + self._model.offset_ms and stamp.sync_seq == self._model.seq
        return {8: stamp.utc_ms, 9: stamp.utc_status, 10: stamp.utc_unc_ms, 11: stamp.sync_seq}

    def go_on(self, module_ms: int) -> None:
        """Time passes, the module looks at least every 400 s."""
        until_us = self._world.module_us + module_ms * 1000
        while self._world.module_us < until_us:
            self._world.true_us += min(400 * MILLION, max(1, (until_us - self._world.module_us) * 999 // 1000))
            now_ms = self._base.now_ms()
            assert now_ms >= self.mono_ms  # never back
            self.mono_ms = now_ms

    def disturb(self) -> None:
        """Something happens to the gateway's clock."""
        kind = self._dice.choice(("nothing", "nothing", "jump", "jump", "freeze", "thaw", "leap"))
        self.events[kind] += 1
        if kind == "jump":
            self._world.jump(self._dice.choice((-1, 1)) * self._dice.choice(STEPS_MS))
        elif kind == "leap":
            self._world.jump(self._dice.choice((-1000, 1000)))
        elif kind in ("freeze", "thaw"):
            self._world.gateway_ms()
            self._world.is_frozen = kind == "freeze"

    def sync(self) -> None:
        """An exchange, and its record."""
        nonce = self._base.ask(self._base.now_ms())
        asked_ms = self.mono_ms
        self.go_on(self._dice.randrange(1500))
        utc_ms = self._world.gateway_ms()
        decision, round_trip_ms = self._base.set(nonce, utc_ms, 5, self._base.now_ms())
        assert round_trip_ms == self.mono_ms - asked_ms
        assert decision == self._model.judge(utc_ms, round_trip_ms, self.mono_ms)
        self.events[f"decision {decision}"] += 1
        self._seal_sync(utc_ms, nonce)

    def _seal_sync(self, utc_ms: int, nonce: bytes) -> None:
        pending = self._base.pending
        seq = self.sealed[-1][0].seq + 1 if self.sealed else 1
        self._base.adopt(pending, seq)
        if pending.decision != fields.SYNC_REFUSED:
            self._model.seq = seq
        step = {} if pending.step_ms is None else {54: pending.step_ms}
        self.seal(4, {50: utc_ms, 51: 5, 52: nonce, 53: pending.round_trip_ms, 55: pending.decision} | step)

    def sample_until_now(self, is_lost: bool) -> None:
        """Every slot that has ended, in one record; slot k has the value k."""
        first, until = self.next_slot, self.mono_ms // self.parameters.slot_ms
        until = min(until, first + 250) if not is_lost else until
        if until <= first:
            return
        slots = {20: first, 21: until - first, 22: self.parameters.slot_ms, 23: first * self.parameters.slot_ms}
        if is_lost:
            self.seal(6, slots)
        else:
            data = b"".join((0x40000000 + slot).to_bytes(4, "big") + bytes(2) for slot in range(first, until))
            blocks = [[bytes(until - first), data], [bytes(until - first), bytes(until - first)]]
            self.seal(2, slots | {24: blocks, 25: 0})
        self.next_slot = until

    def play(self, steps: int) -> None:
        self.boot = 1
        key = b"\x04" + bytes(64)
        self.seal(1, {30: 1, 31: "0", 32: bytes(32), 33: "double", 34: 1, 35: key, 36: 0})
        self.send_set()
        for _ in range(steps):
            self.disturb()
            is_long = self._dice.randrange(8) == 0
            self.go_on(self._dice.randrange(6_000_000) if is_long else self._dice.randrange(1, 90_000))
            if self._dice.randrange(3):
                self.sync()
            self.sample_until_now(is_lost=is_long)


def check_order(history: History) -> None:
    """Every slot once, in the order of records, whatever the clocks did."""
    expected = 0
    records = [record for record, _ in history.sealed]
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert all(one.mono_ms <= other.mono_ms for one, other in zip(records, records[1:], strict=False))
    for record in records:
        if record.kind in (2, 6):
            assert record.body.slots.first_slot == expected
            expected += record.body.slots.slot_count
    assert expected == history.next_slot


def check_averages(history: History, folder: Path) -> int:
    """The bridge's rows are the reference's, and every slot of every record with a time is in one; how many rows."""
    bench = Bench(folder / "ledger.sqlite", INTERVALS_S)
    try:
        store_all(bench.ledger, history.sealed)
        bench.run()
        check(bench, history)
        skipped = {one.seq for one in bench.averages.skipped(history.device)}
        spans = [r for r, _ in history.sealed if r.kind in (2, 6)]
        assert skipped == {record.seq for record in spans if record.utc_ms is None}
        return len(bench.rows())
    finally:
        bench.writer.close()


def play_line(seed: int) -> Counter[str]:
    """A whole line under history `seed`; what happened."""
    history = History(seed)
    history.play(12)
    check_order(history)
    with tempfile.TemporaryDirectory() as folder:
        history.events["rows"] = check_averages(history, Path(folder))
    history.events["slots"] = history.next_slot
    return history.events


def test_the_model_agrees_over_many_histories():
    """Module and records only; nothing is averaged."""
    seen: Counter[str] = Counter()
    for seed in range(1000):
        history = History(seed)
        history.play(6)
        check_order(history)
        seen += history.events
    for decision in (fields.SYNC_FIRST, fields.SYNC_SLEWED, fields.SYNC_STEPPED, fields.SYNC_REFUSED):
        assert seen[f"decision {decision}"] >= 50, seen
    for status in (fields.UTC_NONE, fields.UTC_HOST, fields.UTC_HOLDOVER, fields.UTC_STEPPED):
        assert seen[f"status {status}"] >= 50, seen
    assert min(seen[kind] for kind in ("jump", "freeze", "thaw", "leap")) >= 500, seen


def test_whole_lines_average_what_they_sampled():
    seen: Counter[str] = Counter()
    for seed in range(20):
        seen += play_line(seed)
    assert seen["rows"] > 500 and seen["slots"] > 5000


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    total: Counter[str] = Counter()
    for number in range(first, first + count):
        try:
            total += play_line(number)
        except AssertionError:
            print(f"history {number}", file=sys.stderr)
            raise
    print(f"{count} histories from seed {first}:", dict(sorted(total.items())))
