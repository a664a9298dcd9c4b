"""A real outbox in a file, a delivery stage and a clock of ours: what the tests of the sinks share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from plumeproof.delivery.report import build_report
from plumeproof.delivery.retry import LONGEST_S
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import DeliveryError
from plumeproof.model import NewRow
from plumeproof.ports import Sink
from plumeproof.store.connection import Writer
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.doubles.manual_clock import ManualClock


class Bench:
    """`errors`: what the stage raised, in order; `pauses_s`: how long it rested after each fault."""

    def __init__(self, path: Path, make_sink: Callable[[ManualClock], Sink], longest_s: float = LONGEST_S) -> None:
        self.path, self.make_sink, self.longest_s = path, make_sink, longest_s
        self.clock = ManualClock()
        self.errors: list[DeliveryError] = []
        self.pauses_s: list[float] = []
        self.writer = Writer(path)
        self.outbox = SqliteOutbox(self.writer, self.clock)
        self.open()

    def open(self) -> None:
        """A new stage with a new sink, as after a restart."""
        self.sink = self.make_sink(self.clock)
        self.stage = DeliveryStage(self.sink, self.outbox, self.clock, self.longest_s, random.Random(1).random)

    def close(self) -> None:
        self.stage.close()
        self.writer.close()

    def add(self, *rows: NewRow) -> None:
        self.outbox.enqueue(rows, "test", self.sink.name, 0)

    def add_reports(self, count: int, of: int = 3, module: str = "plume-01", first_id: int = 1) -> list[str]:
        """`count` reports of `of` averages each; their keys."""
        rows = []
        for index in range(count):
            ids = range(first_id + index * of, first_id + (index + 1) * of)
            averages = [(one, replace(AVERAGE, device=module, channel=f"c{one}", maximum=4.0)) for one in ids]
            report = build_report("gw-1", averages)
            rows.append(NewRow(self.sink.name, module, "report", report.key, report.body))
        self.add(*rows)
        return [row.key for row in rows]

    def step(self) -> float | None:
        """One step, and the pause that follows it on our clock."""
        known = self.stage.counters()["failures_total"]
        try:
            rest_s = self.stage.step()
        except DeliveryError as error:
            if self.stage.counters()["failures_total"] > known:  # else the last one is only said again
                self.errors.append(error)
                rest_s = self.stage.recover(error)
            else:
                rest_s = 60.0  # faster than it looks again
            assert rest_s is not None
        if rest_s:
            self.pauses_s.append(rest_s)
            self.clock.advance(rest_s)
        return rest_s

    def run(self, steps: int = 10_000) -> None:
        """Until nothing waits."""
        for _ in range(steps):
            if not self.states().get("waiting"):
                return
            if self.step() is None:
                self.clock.advance(60.0)
        raise AssertionError(f"still waiting: {self.states()}, {self.errors[-3:]}")

    def states(self) -> dict[str, int]:
        with self.writer.reading() as connection:
            return dict(connection.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())

    def rows(self, state: str) -> Sequence[tuple[str, str]]:
        """(key, last reason) in order."""
        with self.writer.reading() as connection:
            return connection.execute(
                "SELECT key, last_reason FROM outbox WHERE state = ? ORDER BY place", (state,)
            ).fetchall()

    def proofs(self) -> list[bytes]:
        with self.writer.reading() as connection:
            return [row[0] for row in connection.execute("SELECT proof FROM receipt ORDER BY outbox_id")]
