"""ports.Outbox against a model a tenth its size: any order of operations and restarts leaves both the same.

Ledger and AverageStore have one implementation each; their contract is tests/bridge/test_store.py and
test_averages_store.py. Here is what all three promise together: what was committed is there for everybody else.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plumeproof.errors import StoreError
from plumeproof.model import AveragingStep, NewRow, Receipt
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import LONGEST_WAIT_MS, SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_store import head_of, sealed
from tests.doubles.manual_clock import ManualClock

SINKS = ("a", "b")
MODULES = ("m1", "m2", "m3")


@dataclass
class ModelRow:
    sink: str
    module: str
    key: str
    state: str = "waiting"
    due: int = 0
    attempts: int = 0


class OutboxMachine(RuleBasedStateMachine):
    """`rows` in the order of deliveries, closed ones too."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock(1_800_000_000_000)
        self.rows: list[ModelRow] = []
        self.cursors: dict[str, int] = {}
        self.open()

    def open(self):
        self.writer = Writer(Path(self.folder.name) / "ledger.sqlite")
        self.outbox = SqliteOutbox(self.writer, self.clock)

    def teardown(self):
        if hasattr(self, "writer"):
            self.writer.close()
            self.folder.cleanup()

    def due(self, sink: str, limit: int) -> list[ModelRow]:
        found = []
        now = self.clock.utc_ms()
        for module in MODULES:
            waiting = [r for r in self.rows if (r.sink, r.module, r.state) == (sink, module, "waiting")][:limit]
            for row in waiting:
                if now < row.due <= now + LONGEST_WAIT_MS:
                    break
                found.append(row)
        return found

    @rule(
        sink=st.sampled_from(SINKS), items=st.lists(st.tuples(st.sampled_from(MODULES), st.integers(0, 40)), max_size=5)
    )
    def enqueue(self, sink, items):
        new = [NewRow(sink, module, "report", f"{module}/{key}", b"%d" % key) for module, key in items]
        self.cursors[sink] = self.cursors.get(sink, 0) + 1
        self.outbox.enqueue(new, "stage", sink, self.cursors[sink])
        for row in new:
            if not any((r.sink, r.key) == (sink, row.key) for r in self.rows):
                self.rows.append(ModelRow(sink, row.module, row.key))

    @precondition(lambda self: any(row.state == "waiting" for row in self.rows))
    @rule(data=st.data(), what=st.sampled_from(["close", "defer", "quarantine", "split"]), ms=st.integers(0, 10_000))
    def settle(self, data, what, ms):
        sink = data.draw(st.sampled_from(SINKS))
        real, model = self.outbox.due(sink, self.clock.utc_ms(), 3), self.due(sink, 3)
        if not real:
            return
        at = data.draw(st.integers(0, len(real) - 1))
        row, mine = real[at], model[at]
        mine.attempts += 1
        if what == "close":
            self.outbox.close([Receipt(row.id, sink, b"{}", 1)])
            mine.state = "closed"
        elif what == "defer":
            self.outbox.defer(row.id, self.clock.utc_ms() + ms, "later")
            mine.due = self.clock.utc_ms() + ms
        elif what == "quarantine":
            self.outbox.quarantine(row.id, "bad")
            mine.state = "quarantined"
        else:
            parts = [(f"{row.key}.{half}", b"") for half in "01"]
            self.outbox.split(row, parts)
            mine.state = "split"
            where = self.rows.index(mine)
            self.rows[where + 1 : where + 1] = [ModelRow(sink, row.module, key) for key, _ in parts]

    @rule(seconds=st.integers(-200_000, 200_000))
    def time_passes_or_is_set(self, seconds):
        self.clock.step(seconds)

    @rule()
    def restart(self):
        self.writer.close()
        self.open()

    @invariant()
    def both_say_the_same(self):
        for sink in SINKS if hasattr(self, "rows") else ():
            for limit in (1, 3, 100):
                real = self.outbox.due(sink, self.clock.utc_ms(), limit)
                model = self.due(sink, limit)
                assert [(r.module, r.key) for r in real] == [(r.module, r.key) for r in model]
            assert self.outbox.cursor("stage", sink) == self.cursors.get(sink)


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_outbox_and_its_model = OutboxMachine.TestCase


# What all stores promise


def outsider(path: Path, question: str) -> list:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


WRITES = {
    "Ledger.append": (
        lambda writer, clock: SqliteLedger(writer, clock).append([sealed("m1", 1)], head_of(sealed("m1", 1)[0]), []),
        "SELECT count(*) FROM record",
    ),
    "Ledger.quarantine": (
        lambda writer, clock: SqliteLedger(writer, clock).quarantine("m1", 1, None, "cbor", "", b"x", None),
        "SELECT count(*) FROM quarantine",
    ),
    "AverageStore.commit": (
        lambda writer, clock: SqliteAverages(writer, clock).commit(AveragingStep(1, (), (), (), (), (AVERAGE,))),
        "SELECT count(*) FROM average",
    ),
    "Outbox.enqueue": (
        lambda writer, clock: SqliteOutbox(writer, clock).enqueue([NewRow("a", "m1", "report", "k", b"")], "s", "a", 1),
        "SELECT count(*) FROM outbox JOIN cursor ON stage = 's'",
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_returned_is_committed(tmp_path, name):
    write, question = WRITES[name]
    writer = Writer(tmp_path / "ledger.sqlite")
    write(writer, ManualClock())
    assert outsider(tmp_path / "ledger.sqlite", question) == [(1,)]
    writer.close()


@pytest.mark.parametrize("name", WRITES)
def test_what_cannot_be_committed_says_so_and_leaves_nothing(tmp_path, name):
    write, question = WRITES[name]
    path = tmp_path / "ledger.sqlite"
    writer = Writer(path)
    with writer.reading() as connection:
        connection.pragma("query_only", True)  # what a file system that became read-only does
    with pytest.raises(StoreError):
        write(writer, ManualClock())
    assert outsider(path, question) == [(0,)]
    with writer.reading() as connection:
        connection.pragma("query_only", False)
    write(writer, ManualClock())
    assert outsider(path, question) == [(1,)]
    writer.close()


def test_a_row_that_the_store_does_not_know_is_an_error_and_moves_no_cursor(tmp_path):
    writer = Writer(tmp_path / "ledger.sqlite")
    outbox = SqliteOutbox(writer, ManualClock())
    with pytest.raises(StoreError):
        outbox.enqueue([NewRow("a", "m1", "telegram", "k", b"")], "s", "a", 1)
    assert outbox.cursor("s", "a") is None
    outbox.enqueue([NewRow("a", "m1", "report", "k", b"")] * 2, "s", "a", 1)  # the same key again is no error
    assert outsider(tmp_path / "ledger.sqlite", "SELECT count(*) FROM outbox") == [(1,)]
    writer.close()
