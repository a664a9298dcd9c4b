"""The averaging stage on a real ledger: portions, kills, late records, steps of the clock, boots, parameter changes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from acqwire import limits
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.averaging_stage import AveragingStage
from plumeproof.errors import StoreError
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.slow_averages import slow_averages
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set, store_all

INTERVALS_S = (10, 60, 600, 3600)


class StillClock:
    """Time that stands; does not imitate steps or drift."""

    def utc_ms(self) -> int:
        return START_UTC_MS

    def monotonic_s(self) -> float:
        return 0.0


class Bench:
    """A ledger in a file, its averages and a stage."""

    def __init__(self, path: Path, intervals_s=INTERVALS_S, grace_s=0):
        self.path, self.intervals_s, self.grace_s = path, intervals_s, grace_s
        self.open()

    def open(self):
        self.writer = Writer(self.path)
        self.ledger = SqliteLedger(self.writer, StillClock())
        self.averages = SqliteAverages(self.writer, StillClock())
        self.stage = AveragingStage(self.ledger, self.averages, self.intervals_s, self.grace_s)

    def restart(self):
        self.writer.close()
        self.open()

    def run(self, limit=64):
        while self.stage.step(limit):
            pass

    def rows(self):
        return [average for _, average in self.averages.after(0, 10**6)]

    def newest(self):
        return {
            (row.device, row.channel, row.interval_s, row.start_utc_ms): replace(row, revision=0, reason="")
            for row in self.rows()
        }


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "ledger.sqlite")
    yield bench
    bench.writer.close()


def readings(count, value=20.0, outcome=0):
    return [(outcome, value + 0.1 * (index % 7), 10 * index % 300, False) for index in range(count)]


def check(bench, module, order=None, sets=()):
    """Every interval that is not open has a row, and its newest revision is what the slow reference says."""
    known = {one.parameters_hash: one for one in (module.parameters, *sets)}
    records = [record for record, _ in order or module.sealed]
    opened = {
        (state.device, one.interval_s, one.start_utc_ms)
        for state in bench.averages.states()
        for one in state.open_intervals
    }
    reference = slow_averages(records, known, bench.intervals_s)
    found = bench.newest()
    for rows in (reference, found):
        for key in [key for key in rows if (key[0], key[2], key[3]) in opened]:
            del rows[key]
    assert found == reference


def test_a_quarter_of_an_hour(bench):
    module = TimedModule()
    module.start()
    for _ in range(16):
        module.sample(readings(60))
    store_all(bench.ledger, module.sealed)
    bench.run()
    rows = bench.rows()
    assert {(row.revision, row.reason) for row in rows} == {(0, "first")}
    starts = [row.start_utc_ms for row in rows if row.interval_s == 60 and row.channel == "co"]
    assert starts == [START_UTC_MS + minute * 60_000 for minute in range(15)]  # the sixteenth is open
    assert [row.n_valid for row in rows if row.interval_s == 600] == [600, 600]
    assert {row.n_expected for row in rows if row.interval_s == 10} == {10}
    check(bench, module)
    minute = next(row for row in rows if row.interval_s == 60)
    assert (minute.first_seq, minute.last_seq) == (3, 3)
    assert minute.head_hash == module.sealed[2][0].content_hash
    assert minute.parameters_hash == module.parameters.parameters_hash


def test_nothing_is_written_before_grace_is_over(tmp_path):
    bench = Bench(tmp_path / "ledger.sqlite", (60,), grace_s=30)
    module = TimedModule()
    module.start()
    module.sample(readings(90))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert bench.rows() == []
    module.sample(readings(1))  # its slot stands at 90 s = end + grace
    store_all(bench.ledger, module.sealed[-1:])
    bench.run()
    assert [row.n_valid for row in bench.rows()] == [60, 60]
    bench.writer.close()


def test_records_without_utc_are_named_and_not_averaged(bench):
    module = TimedModule()
    module.clock_offset_ms = None
    module.start()
    module.sample(readings(70))
    module.clock_offset_ms = START_UTC_MS
    module.sample(readings(70))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert [(skipped.seq, skipped.reason) for skipped in bench.averages.skipped("plume-01")] == [(3, "no_utc")]
    assert bench.stage.counters.skipped_total == 1
    assert {row.first_seq for row in bench.rows()} == {4}


def test_gap_causes_statuses_and_overflow_count_by_name(bench):
    module = TimedModule()
    module.start()
    module.sample([(1, 0.0, 0, False)] * 5 + [(64 + 7, 0.0, 0, False)] * 2 + [(0, 5.0, 0, True)] * 3)
    module.sample([(0, 5000.0e30, 0, False)] * 2 + [(0, float("nan"), 0, False)] * 2 + readings(6))
    module.lose(20)
    module.sample(readings(21))
    store_all(bench.ledger, module.sealed)
    bench.run()
    row = next(row for row in bench.rows() if row.interval_s == 60 and row.channel == "co")
    assert dict(row.n_invalid) == {
        "timeout": 5, "exception_7": 2, "failure": 3, "over_range": 2, "not_finite": 2, "overflow": 20,
    }  # fmt: skip
    assert row.n_valid == 26 and row.n_expected == 60
    check(bench, module)
    # A stretch of ten seconds that is all overflow holds no sample: no row.
    assert START_UTC_MS + 30_000 not in {row.start_utc_ms for row in bench.rows() if row.interval_s == 10}


def test_a_clock_set_back_makes_revisions_and_counts_each_position_once(bench):
    module = TimedModule()
    module.start()
    module.sample(readings(180))
    module.clock_offset_ms -= 100_000
    module.sample(readings(180, 50.0))
    store_all(bench.ledger, module.sealed)
    bench.run()
    minutes = [row for row in bench.rows() if row.interval_s == 60 and row.channel == "co"]
    second = [row for row in minutes if row.start_utc_ms == START_UTC_MS + 60_000]
    assert [(row.revision, row.reason) for row in second] == [(0, "first"), (1, "clock_back")]
    assert second[0].mean == second[1].mean  # the first in seq order counts
    assert dict(second[1].n_invalid) == {"overlap": 40}
    assert second[1].n_valid == 60
    check(bench, module)


def test_a_clock_far_ahead_closes_what_it_leaves_in_both_directions(bench):
    module = TimedModule()
    module.start()
    module.sample(readings(30))
    module.clock_offset_ms += 365 * 86_400_000
    module.sample(readings(30, 70.0))
    module.clock_offset_ms = START_UTC_MS
    module.sample(readings(3600))
    store_all(bench.ledger, module.sealed)
    bench.run()
    check(bench, module)
    ahead = [row for row in bench.rows() if row.start_utc_ms > START_UTC_MS + 86_400_000]
    assert {row.interval_s for row in ahead} == set(INTERVALS_S)
    first = [row for row in bench.rows() if row.start_utc_ms == START_UTC_MS and row.interval_s == 60]
    assert [row.revision for row in first] == [0, 0]  # of two channels


def test_late_records_make_one_revision_when_their_run_ends(bench):
    module = TimedModule()
    module.start()
    for _ in range(30):
        module.sample(readings(10))
    late = module.sealed[5:9]
    store_all(bench.ledger, [pair for pair in module.sealed if pair not in late])
    bench.run()
    before = bench.rows()
    for pair in late:
        store_all(bench.ledger, [pair])
        bench.run()
    assert bench.rows() == before
    module.sample(readings(1))
    store_all(bench.ledger, module.sealed[-1:])
    bench.run()
    new = bench.rows()[len(before) :]
    assert {(row.revision, row.reason) for row in new if row.revision} == {(1, "late_record")}
    check(bench, module)


def test_the_same_again_writes_nothing(bench):
    module = TimedModule()
    module.start()
    module.sample(readings(70))
    module.sample(readings(70))
    store_all(bench.ledger, module.sealed)
    bench.run()
    count = len(bench.rows())
    with bench.writer.transaction() as connection:  # everything from the beginning, as after a lost cursor
        connection.execute("DELETE FROM cursor")
        connection.execute("DELETE FROM averaging_state")
        connection.execute("DELETE FROM averaging_open")
        connection.execute("DELETE FROM averaging_span")
    bench.restart()
    bench.run()
    assert len(bench.rows()) == count


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"co": {"scale": "2"}}, (60, {})),  # each slot by its own set
        ({"co": {"unit": "ppm"}}, (30, {"parameters_changed": 30})),
        ({"co": {"quantity": "CO dry"}}, (30, {"parameters_changed": 30})),
    ],
)
def test_parameters_that_change_inside_a_minute(bench, change, counts):
    module = TimedModule()
    module.start()
    old = module.parameters
    module.sample(readings(30))
    module.use(build_set(2, **change))
    module.send_set()
    module.sample(readings(31))
    module.sample(readings(600))
    store_all(bench.ledger, module.sealed)
    bench.run()
    row = next(row for row in bench.rows() if row.interval_s == 60 and row.channel == "co")
    assert (row.n_valid, dict(row.n_invalid)) == counts
    assert row.parameters_hash == module.parameters.parameters_hash
    check(bench, module, sets=[old])


def test_another_slot_distance_and_a_channel_less(bench):
    module = TimedModule()
    module.start()
    old = module.parameters
    module.sample(readings(90))
    module.use(build_set(2, slot_ms=700, dust={"absent": True}))
    module.send_set()
    module.sample(readings(900))
    store_all(bench.ledger, module.sealed)
    bench.run()
    check(bench, module, sets=[old])
    second = {
        row.channel: row for row in bench.rows() if row.interval_s == 60 and row.start_utc_ms == START_UTC_MS + 60_000
    }
    assert dict(second["co"].n_invalid)["parameters_changed"] == 30
    assert second["co"].n_expected == 86
    assert (second["dust"].n_valid, second["dust"].n_expected) == (30, 60)


def test_a_parameter_set_that_comes_later(bench):
    module = TimedModule()
    module.start(with_set=False)
    module.sample(readings(60))
    module.sample(readings(10))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert bench.rows() == []
    assert [skipped.reason for skipped in bench.averages.skipped("plume-01")] == ["parameters_missing"] * 2
    bench.restart()
    module.send_set()
    module.sample(readings(10))
    store_all(bench.ledger, module.sealed[-2:])
    bench.run()
    assert bench.averages.skipped("plume-01") == []
    check(bench, module)
    assert len([row for row in bench.rows() if row.interval_s == 60]) == 2


def test_a_row_damaged_in_the_file_is_named_and_left_out(bench):
    module = TimedModule()
    module.start()
    for _ in range(3):
        module.sample(readings(30))
    store_all(bench.ledger, module.sealed)
    with bench.writer.transaction() as connection:
        raw = bytearray(module.sealed[2][1].raw)
        raw[-80] ^= 1
        connection.execute("UPDATE record SET envelope = ? WHERE seq = 3", (bytes(raw),))
    bench.run()
    assert [(skipped.seq, skipped.reason) for skipped in bench.averages.skipped("plume-01")] == [(3, "content_hash")]
    row = next(row for row in bench.rows() if row.interval_s == 60)
    assert (row.n_valid, row.n_invalid, row.first_seq) == (30, (("absent", 30),), 4)


MIDNIGHTS = (
    "1970-01-01T23:50", "1999-12-31T23:50", "2026-10-24T23:50", "2026-12-31T23:50", "2028-02-28T23:50",
    "2028-02-29T23:50", "2036-02-06T23:50", "2038-01-18T23:50", "2099-12-30T23:50",
)  # fmt: skip


@pytest.mark.parametrize("start", MIDNIGHTS)
def test_days_end_at_utc_midnight(tmp_path, start):
    import datetime

    bench = Bench(tmp_path / "ledger.sqlite", (60, 3600, 86_400))
    module = TimedModule()
    at = datetime.datetime.fromisoformat(start).replace(tzinfo=datetime.UTC)
    module.clock_offset_ms = int(at.timestamp() * 1000)
    module.start()
    for _ in range(20):
        module.sample(readings(60))
    store_all(bench.ledger, module.sealed)
    bench.run()
    day = next(row for row in bench.rows() if row.interval_s == 86_400)
    assert day.start_utc_ms == int(at.replace(hour=0, minute=0).timestamp() * 1000)
    assert (day.n_valid, day.n_expected) == (600, 86_400)
    check(bench, module)
    bench.writer.close()


@pytest.mark.parametrize(("offset_ms", "reasons"), [(-2000, []), (-1999, ["utc_implausible"])])
def test_the_last_slot_ends_with_2099(bench, offset_ms, reasons):
    module = TimedModule()
    module.clock_offset_ms = limits.UTC_PLAUSIBLE_UNTIL_MS + offset_ms
    module.start()
    module.sample(readings(2))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert [one.reason for one in bench.averages.skipped("plume-01")] == reasons


def test_overflow_of_a_month_is_one_step(bench):
    module = TimedModule()
    module.start()
    module.sample(readings(30))
    module.lose(30 * 86_400)
    module.sample(readings(91))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert len([row for row in bench.rows() if row.interval_s == 60]) == 6  # first minute, the two of the end
    first = next(row for row in bench.rows() if row.interval_s == 60)
    assert dict(first.n_invalid) == {"overflow": 30}


def test_a_module_whose_arithmetic_failed(bench):
    module = TimedModule()
    module.start()
    module.clock_offset_ms = 2**62
    module.sample(readings(30))
    module.lose(2**50)
    module.clock_offset_ms = START_UTC_MS
    module.sample(readings(30))
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert {skipped.reason for skipped in bench.averages.skipped("plume-01")} == {"utc_implausible"}


def test_recompute_gives_the_rows_that_were_written(bench):
    module = TimedModule()
    module.start()
    for _ in range(70):
        module.sample(readings(60))
    module.clock_offset_ms -= 90_000
    for _ in range(70):
        module.sample(readings(60))
    store_all(bench.ledger, module.sealed)
    bench.run()
    again = list(bench.stage.recompute("plume-01", START_UTC_MS, START_UTC_MS + 86_400_000))
    assert {(row.device, row.channel, row.interval_s, row.start_utc_ms): row for row in again} == bench.newest()
    assert list(bench.stage.recompute("plume-99", 0, 10)) == []


def test_a_commit_that_fails_is_done_again(bench, monkeypatch):
    module = TimedModule()
    module.start()
    for _ in range(8):
        module.sample(readings(30))
    store_all(bench.ledger, module.sealed)

    def fail(step):
        raise StoreError("disk full")

    bench.stage.step(3)
    monkeypatch.setattr(bench.averages, "commit", fail)
    with pytest.raises(StoreError):
        bench.stage.step(4)
    assert bench.averages.position() == 3
    monkeypatch.undo()
    bench.run(2)
    assert {(row.device, row.channel, row.interval_s, row.start_utc_ms) for row in bench.rows()} == set(bench.newest())
    check(bench, module)
    assert {row.revision for row in bench.rows()} == {0}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("sample"), st.integers(1, 90), st.integers(0, 2**16)),
        st.tuples(st.just("lose"), st.integers(1, 400), st.just(0)),
        st.tuples(st.just("step"), st.integers(-200_000, 200_000), st.just(0)),
        st.tuples(st.just("boot"), st.integers(0, 120_000), st.just(0)),
        st.tuples(st.just("deaf"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("late"), st.integers(1, 5), st.just(0)),
        st.tuples(st.just("set"), st.integers(0, 3), st.just(0)),
    ),
    min_size=4,
    max_size=25,
)
SETS = (
    build_set(1),
    build_set(2, co={"scale": "1.5"}),
    build_set(3, dust={"unit": "ug/m3"}),
    build_set(4, slot_ms=1500),
)


def random_readings(count, seed):
    rng = random.Random(seed)
    kinds = [(0, False)] * 12 + [(0, True), (1, False), (5, False), (66, False)]
    found = []
    for _ in range(count):
        outcome, fails = rng.choice(kinds)
        found.append(
            (outcome, rng.choice((rng.uniform(-5, 5), 1e20, -0.0, float("inf"))), rng.randrange(-999, 999), fails)
        )
    return found


def play(actions):
    """A module's life and the order in which its records reach the ledger."""
    module, held = TimedModule(), []
    module.start()
    order = list(module.sealed)
    for name, number, seed in actions:
        known = len(module.sealed)
        if name == "sample":
            module.sample(random_readings(number, seed))
        elif name == "lose":
            module.lose(number)
        elif name == "step":
            module.clock_offset_ms += number
        elif name == "boot":
            module.clock_offset_ms += module.mono_ms + number
            module.start()
        elif name == "deaf":
            offset, module.clock_offset_ms = module.clock_offset_ms, None
            module.sample(random_readings(number, number))
            module.clock_offset_ms = offset
        elif name == "set":
            module.use(SETS[number])
            module.send_set()
        elif name == "late":
            module.sample(random_readings(number * 10, number))
            held += module.sealed[known:]
            known = len(module.sealed)
        order += module.sealed[known:]
        if name == "boot" and held:
            order, held = order + held, []
    return module, order + held


@settings(max_examples=25, deadline=None)
@given(ACTIONS, st.integers(0, 2**32))
def test_any_life_in_any_portions_with_any_restarts(tmp_path_factory, actions, seed):
    module, order = play(actions)
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("life")
    lengths = rng.choice((INTERVALS_S, (60,), (90, 120)))
    whole = Bench(folder / "whole", lengths, grace_s=rng.choice((0, 20)))
    store_all(whole.ledger, order)
    whole.run(1000)
    parted = Bench(folder / "parted", lengths, whole.grace_s)
    at = 0
    while at < len(order):
        count = rng.randint(1, 8)
        store_all(parted.ledger, order[at : at + count])
        at += count
        for _ in range(rng.randint(0, 2)):
            parted.stage.step(rng.randint(1, 4))
        if rng.random() < 0.3:
            parted.restart()
    parted.run(rng.randint(1, 5))
    assert parted.rows() == whole.rows()
    check(whole, module, order, [parse_parameters(raw) for raw in SETS])
    whole.writer.close()
    parted.writer.close()


def changed_behind_our_back(bench, *statements):
    connection = apsw.Connection(str(bench.path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


DAMAGE = {
    "row_missing": ["DELETE FROM record WHERE seq = 4"],
    "content_hash": ["UPDATE record SET envelope = (SELECT envelope FROM record WHERE seq = 5) WHERE seq = 4"],
    "row": [
        "UPDATE record SET (envelope, content_hash) ="
        " (SELECT envelope, content_hash FROM record WHERE seq = 5) WHERE seq = 4"
    ],
    "cbor": ["UPDATE record SET envelope = x'd2ff' WHERE seq = 4"],
}


@pytest.mark.parametrize("kind", [2, 6])
@pytest.mark.parametrize("reason", DAMAGE)
def test_what_the_file_lost_behind_our_back_is_named_and_stops_nothing(bench, reason, kind):
    module = TimedModule()
    module.start()
    for minute in range(1, 60):
        if minute == 2 and kind == 6:
            module.lose(60)
        else:
            module.sample(readings(60))
    store_all(bench.ledger, module.sealed)
    bench.run()
    changed_behind_our_back(bench, *DAMAGE[reason])
    bench.restart()
    module.sample(readings(120))  # ends the hour: the lost record is needed again
    store_all(bench.ledger, module.sealed[-1:])
    bench.run()
    assert [(one.seq, one.reason) for one in bench.averages.skipped("plume-01")] == [(4, reason)]
    (hour,) = [row for row in bench.rows() if (row.interval_s, row.channel) == (3600, "co")]
    assert (hour.n_valid, hour.n_invalid) == (3540, (("absent", 60),))


def test_a_row_that_became_another_kind_stops_nothing(bench):
    module = TimedModule()
    module.start()
    module.sample(readings(60))
    store_all(bench.ledger, module.sealed)
    changed_behind_our_back(bench, "UPDATE record SET kind = 2 WHERE seq = 1")
    bench.run()
    assert [(one.seq, one.reason) for one in bench.averages.skipped("plume-01")] == [(1, "row")]
