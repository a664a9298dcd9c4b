"""The store of averages on real SQLite files: contract of ports.AverageStore, revisions, faults, kills."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from plumeproof.averaging_stage import AveragingStage
from plumeproof.errors import StoreError
from plumeproof.model import Average, AveragingState, AveragingStep, OpenInterval, SkippedRecord, SlotSpan
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.timed_module import START_UTC_MS, TimedModule, store_all

AVERAGE = Average(
    device="plume-01",
    channel="co",
    quantity="CO",
    unit="mg/m3",
    interval_s=60,
    start_utc_ms=START_UTC_MS,
    n_expected=60,
    n_valid=50,
    n_invalid=(("failure", 4), ("timeout", 6)),
    mean=math.pi,
    minimum=5e-324,
    maximum=1.7976931348623157e308,
    deviation=None,
    first_seq=3,
    last_seq=4,
    head_hash=bytes(32),
    parameters_hash=b"\x01" * 32,
    rule="plain_utc",
    rule_version="1",
    order="lanes20-v1",
    revision=0,
    reason="late_record",
)
EMPTY = AveragingStep(position=1, states=(), spans=(), skipped=(), resumed=(), averages=())


class StillClock:
    """Time that stands; does not imitate steps or drift."""

    def utc_ms(self) -> int:
        return START_UTC_MS

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def writer(tmp_path: Path):
    opened = Writer(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def store(writer):
    return SqliteAverages(writer, StillClock())


def test_a_row_comes_back_bit_for_bit(store):
    assert store.commit(replace(EMPTY, averages=(AVERAGE,))) == 1
    ((number, found),) = store.after(0, 10)
    assert found == replace(AVERAGE, reason="first") and number == 1
    assert store.newest("plume-01", 60, START_UTC_MS) == [found]
    assert store.after(1, 10) == []


def test_revisions(store):
    other = replace(AVERAGE, mean=math.nextafter(math.pi, 4))
    again = replace(other, channel="dust")
    assert store.commit(replace(EMPTY, averages=(AVERAGE, AVERAGE, other))) == 2
    assert store.commit(replace(EMPTY, averages=(other, again))) == 1
    assert store.commit(replace(EMPTY, averages=(AVERAGE,))) == 1  # back to the first figures is a change too
    assert [(row.channel, row.revision, row.reason) for _, row in store.after(0, 10)] == [
        ("co", 0, "first"),
        ("co", 1, "late_record"),
        ("dust", 0, "first"),
        ("co", 2, "late_record"),
    ]
    assert [(row.channel, row.revision) for row in store.newest("plume-01", 60, START_UTC_MS)] == [
        ("co", 2),
        ("dust", 0),
    ]
    # Another rule counts its own revisions.
    assert store.commit(replace(EMPTY, averages=(replace(AVERAGE, rule_version="2"),))) == 1
    assert store.after(4, 10)[0][1].revision == 0


def test_state_spans_and_skipped(store):
    state = AveragingState("plume-01", 9, START_UTC_MS, 60_000, (OpenInterval(60, START_UTC_MS, "clock_back"),))
    spans = (
        ("plume-01", SlotSpan(3, False, 1000, 61_000)),
        ("plume-01", SlotSpan(5, False, 121_000, 181_000)),
        ("plume-01", SlotSpan(4, True, 61_000, 121_000)),
        ("plume-02", SlotSpan(3, False, 1000, 61_000)),
    )
    skipped = (("plume-01", SkippedRecord(7, "no_utc", bytes(32))), ("plume-01", SkippedRecord(8, "array", b"")))
    store.commit(replace(EMPTY, position=44, states=(state,), spans=spans, skipped=skipped))
    assert store.position() == 44
    assert store.states() == [state]
    assert [span.seq for span in store.spans("plume-01", 0, 200_000, 60_000)] == [3, 4, 5]
    assert [span.seq for span in store.spans("plume-01", 60_999, 61_000, 60_000)] == [3]
    assert [span.seq for span in store.spans("plume-01", 61_000, 61_001, 60_000)] == [4]
    assert store.spans("plume-01", 181_000, 200_000, 60_000) == []
    assert [record.seq for record in store.skipped("plume-01")] == [7, 8]
    assert [record.seq for record in store.skipped("plume-01", "array")] == [8]
    store.commit(replace(EMPTY, position=45, states=(replace(state, open_intervals=()),), resumed=(("plume-01", 7),)))
    assert [record.seq for record in store.skipped("plume-01")] == [8]
    assert store.states()[0].open_intervals == ()


def test_a_step_that_fails_leaves_nothing(store):
    step = replace(EMPTY, averages=(AVERAGE, replace(AVERAGE, channel="dust", head_hash=None)))  # NOT NULL
    with pytest.raises(StoreError):
        store.commit(step)
    assert store.after(0, 10) == [] and store.position() == 0


CHILD = """
import sys
from pathlib import Path
from plumeproof.averaging_stage import AveragingStage
from plumeproof.service import SystemClock
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
writer = Writer(Path(sys.argv[1]))
ledger, averages = SqliteLedger(writer, SystemClock()), SqliteAverages(writer, SystemClock())
stage = AveragingStage(ledger, averages, (10, 60, 600), 0)
print("ready", flush=True)
while stage.step(int(sys.argv[2])):
    print(averages.position(), flush=True)
"""


def test_killed_at_any_instant_and_started_again(tmp_path):
    """Process deaths, not exceptions: the rows are those of one undisturbed run."""
    module = TimedModule()
    module.start()
    for index in range(200):
        module.sample([(0, index + k / 7, k, False) for k in range(7)])
        if index % 50 == 30:
            module.clock_offset_ms -= 45_000
    rows = []
    for name in ("whole", "killed"):
        writer = Writer(tmp_path / name)
        ledger = SqliteLedger(writer, StillClock())
        store_all(ledger, module.sealed)
        if name == "killed":
            writer.close()
            kill_often(tmp_path / name)
            writer = Writer(tmp_path / name)
            ledger = SqliteLedger(writer, StillClock())
        averages = SqliteAverages(writer, StillClock())
        stage = AveragingStage(ledger, averages, (10, 60, 600), 0)
        while stage.step(64):
            pass
        rows.append(averages.after(0, 10_000))
        writer.close()
    assert rows[0] == rows[1] and len(rows[0]) > 300


def kill_often(path):
    """Three processes one after the other, each killed in the middle of its steps."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / name) for name in ("bridge", "firmware"))}
    for steps in (2, 5, 9):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), "3"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        for _ in range(steps):
            assert child.stdout.readline().strip().isdigit()
        time.sleep(0.001 * steps)  # somewhere inside the next step
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
        assert child.returncode == -signal.SIGKILL
