"""Two lanes: the present does not wait behind the past, and in each lane the rows of a module leave in order."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.delivery.lanes import LaneRule, TokenBucket
from plumeproof.delivery.retry import LONGEST_S
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import DeliveryError
from plumeproof.model import NewRow
from plumeproof.store.connection import Writer
from plumeproof.store.outbox import SqliteOutbox
from tests.doubles.manual_clock import ManualClock
from tests.doubles.scripted_sink import ScriptedSink

RULE = LaneRule(live_for_s=300.0, rows_per_s=1000.0, replay_rows_per_s=20.0)


class Listening(ScriptedSink):
    """`heard`: (module, key, is it of the backlog, clock's second), in the order in which it took effect."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.heard: list[tuple[str, str, bool, float]] = []

    def deliver(self, rows):
        known = len(self.effects)
        try:
            return super().deliver(rows)
        finally:
            by_key = {row.key: row for row in rows}
            for key in list(self.effects)[known:]:
                row = by_key[key]
                self.heard.append((row.module, key, row.is_replay, self.clock.monotonic_s()))


class Line:
    def __init__(self, path: Path, rule: LaneRule = RULE) -> None:
        self.clock = ManualClock()
        self.writer = Writer(path)
        self.outbox = SqliteOutbox(self.writer, self.clock)
        self.sink = Listening(self.clock)
        self.numbers = itertools.count(1)
        self.rule = rule
        self.open()

    def open(self) -> None:
        dice = random.Random(1).random
        self.stage = DeliveryStage(self.sink, self.outbox, self.clock, LONGEST_S, dice, lanes=self.rule)

    def add(self, *modules: str) -> None:
        rows = [NewRow(self.sink.name, one, "envelope", f"{next(self.numbers):06}", b"x") for one in modules]
        self.outbox.enqueue(rows, "test", self.sink.name, 0)

    def step(self) -> float | None:
        try:
            rest_s = self.stage.step()
        except DeliveryError as error:
            rest_s = self.stage.recover(error) or 1.0
        self.clock.advance(rest_s or 0.0)
        return rest_s

    def waiting(self) -> int:
        with self.writer.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM outbox WHERE state = 'waiting'").get)

    def run(self) -> None:
        for _ in range(20_000):
            if not self.waiting():
                return
            if self.step() is None:
                self.clock.advance(5.0)
        raise AssertionError(f"{self.waiting()} still wait")


@pytest.fixture
def line(tmp_path):
    found = Line(tmp_path / "ledger.sqlite")
    yield found
    found.writer.close()


def test_the_present_leaves_before_the_past_and_the_past_at_its_rate(line):
    line.add(*["a", "b"] * 300)
    line.clock.advance(3_600.0)
    begin_s = line.clock.monotonic_s()
    line.add("a", "b")
    line.step(), line.step()
    assert {(module, is_replay) for module, _, is_replay, _ in line.sink.heard} == {("a", False), ("b", False)}
    while line.waiting():
        if len(line.sink.heard) % 100 == 50:
            line.add("b")  # comes while the backlog goes
        line.step()
    late = [at_s for _, _, is_replay, at_s in line.sink.heard if is_replay]
    assert len(late) == 600
    for first, last in zip(late, late[40:], strict=False):  # any two seconds
        assert last - first >= 2.0 - 3 / 20.0 - 1e-6  # a window of 3 is the burst
    assert late[-1] - begin_s < 600 / 20.0 + 1.0  # and no slower than that
    by_key = {key: at_s for _, key, is_replay, at_s in line.sink.heard if not is_replay}
    assert len(by_key) > 2
    assert line.stage.counters()["replayed_total"] == 600


def test_what_is_new_waits_at_most_one_window_of_the_backlog(line):
    line.add(*["a"] * 200)
    line.clock.advance(3_600.0)
    for _ in range(20):
        line.step()
    line.add("a")
    before_s = line.clock.monotonic_s()
    while line.sink.heard[-1][2]:
        line.step()
    assert line.sink.heard[-1][1] == "000201"
    assert line.clock.monotonic_s() - before_s <= 0.25


def test_a_row_that_ages_goes_behind_the_backlog(line):
    line.add(*["a"] * 30)
    line.sink.script = ["lost"]  # took effect, answer lost
    line.step()
    line.clock.advance(400.0)
    line.add("a", "a")
    line.run()
    live = [key for _, key, is_replay, _ in line.sink.heard if not is_replay]
    late = [key for _, key, is_replay, _ in line.sink.heard if is_replay]
    assert live == sorted(live) and late == sorted(late)
    assert live == ["000001", "000031", "000032"] and late[-1] == "000030"


def test_one_lane_is_as_it_was(tmp_path):
    line = Line(tmp_path / "ledger.sqlite", None)
    line.add(*["a"] * 30)
    line.clock.advance(3_600.0)
    line.add("a")
    line.run()
    assert [(key, late) for _, key, late, _ in line.sink.heard] == [(f"{n:06}", False) for n in range(1, 32)]
    line.writer.close()


def test_the_rate_of_all_is_kept_too(tmp_path):
    line = Line(tmp_path / "ledger.sqlite", LaneRule(300.0, 10.0, 10.0))
    line.add(*["a"] * 60)
    line.run()
    times = [at_s for *_, at_s in line.sink.heard]
    assert 60 / 10.0 - 1.5 <= times[-1] - times[0] <= 60 / 10.0 + 0.5  # ten of them at once
    line.writer.close()


events = st.one_of(
    st.tuples(st.just("add"), st.lists(st.sampled_from("abc"), min_size=1, max_size=30)),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 100.0, 299.0, 400.0, 90_000.0])),
    st.tuples(st.just("set"), st.sampled_from([-7_200.0, -200.0, 200.0, 7_200.0])),
    st.tuples(st.just("work"), st.integers(1, 12)),
    st.tuples(st.just("answer"), st.lists(st.sampled_from(["ok", "lost", "retry", "blocked"]), max_size=5)),
)


@given(st.lists(events, max_size=25))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_each_lane_is_in_order_and_nothing_is_lost(tmp_path_factory, story):
    """Also where UTC is set: what is live and what is late may then be misjudged, the order may not."""
    line = Line(tmp_path_factory.mktemp("any") / "ledger.sqlite", LaneRule(300.0, 200.0, 100.0))
    count = 0
    for word, value in story:
        if word == "add":
            line.add(*value)
            count += len(value)
        elif word == "pass":
            line.clock.advance(value)
        elif word == "set":
            line.clock.step(value)
        elif word == "answer":
            line.sink.script = [*line.sink.script, *value]
        else:
            for _ in range(value):
                line.step()
    line.run()
    assert len(line.sink.heard) == count
    for module, is_late in itertools.product("abc", (False, True)):
        keys = [key for of, key, late, _ in line.sink.heard if (of, late) == (module, is_late)]
        assert keys == sorted(keys)
    line.writer.close()


@given(
    st.floats(0.5, 500.0), st.integers(1, 50), st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 50)), max_size=60)
)
def test_no_second_sees_more_than_its_tokens(per_s, burst, asked):
    bucket = TokenBucket(per_s, burst, 0.0)
    now_s, taken = 0.0, []
    for pause_s, wanted in asked:
        now_s += pause_s
        count = min(wanted, burst)
        wait_s = bucket.wait_s(count, now_s)
        if wait_s == 0.0:
            bucket.take(count)
            taken.append((now_s, count))
        else:
            assert bucket.wait_s(count, now_s + wait_s) <= 1e-9  # it said how long
            now_s += wait_s
    for index, (begin_s, _) in enumerate(taken):
        total = 0
        for at_s, count in taken[index:]:
            total += count
            assert total <= burst + per_s * (at_s - begin_s) + 1e-6


def test_place_since_among_many(tmp_path):
    clock = ManualClock(1_800_000_000_000)
    writer = Writer(tmp_path / "ledger.sqlite")
    outbox = SqliteOutbox(writer, clock)
    assert outbox.place_since(0) == 1.0  # behind nothing
    for number in range(40):
        row = NewRow("s", "m", "envelope", str(number), b"x")
        outbox.enqueue([row] * 2 + [NewRow("s", "n", "envelope", f"{number}b", b"x")], "t", "s", number)
        clock.advance(10.0)
    now = clock.utc_ms()
    for seconds in range(0, 405, 5):
        first = outbox.place_since(now - seconds * 1000)
        with writer.reading() as connection:
            places = [
                place
                for place, created in connection.execute("SELECT place, created_utc_ms FROM outbox ORDER BY id")
                if created >= now - seconds * 1000
            ]
        assert first == (places[0] if places else 121.0)  # a key that is known takes an id as well
    writer.close()
