"""The gateway's side of the campaign: the product's outbox in a real file, its stage and its sink, turned by hand.

A turn is what service.Worker does: a step, then the rest that the stage asked for. What is offered are reports of
drawn averages, or envelopes of the usual size; each knows its place in the order of its module.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from plumeproof.delivery.profile import Profile
from plumeproof.delivery.report import build_report
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import DeliveryError
from plumeproof.model import Average, NewRow
from plumeproof.ports import Clock, Outbox
from plumeproof.store.connection import Writer
from plumeproof.store.outbox import SqliteOutbox
from tools.deliveries.clock import CampaignClock

GATEWAY = "campaign-gateway"
MODULES = ("plume-01", "plume-02", "plume-03")
AVERAGES = 4  # of one report: it can be divided twice
IDLE_S = 1.0  # the pause of the service when nothing is due
ENVELOPE_BYTES = 700  # a sealed minute of a small plant
STUCK_TURNS = 200_000  # more than any case needs: then something does not come to its end
START_UTC_MS = 1_793_491_200_000  # 2026-11-01
MINUTE_MS = 60_000


class Stuck(Exception):
    """Rows wait that nothing moves. One line."""


class Gateway:
    """`offered`: rows so far. `failures`: the newest sentence of each kind of fault. `first_kib`, `peak_kib`."""

    def __init__(
        self, folder: Path, sink: str, clock: CampaignClock, build: Callable[[Outbox, Clock], DeliveryStage], seed: int
    ) -> None:
        """`build` makes the stage of `sink`."""
        self.clock, self.offered, self.failed_steps = clock, 0, 0
        self.failures: dict[str, str] = {}
        self.peak_kib = self.first_kib = anonymous_kib()
        self._sink, self._random, self._is_idle = sink, random.Random(seed), False
        self._writer = Writer(folder / "ledger.sqlite")
        self._outbox = SqliteOutbox(self._writer, clock)
        self._stage = build(self._outbox, clock)
        self._next_s = clock.monotonic_s()
        self._seqs = dict.fromkeys(MODULES, 0)
        self._turns = 0
        self._average_id = 0

    def offer_reports(self, count: int, profile: Profile) -> None:
        """`count` more batches of averages, the modules in turns."""
        rows = []
        for _ in range(count):
            module = MODULES[self.offered % len(MODULES)]
            numbered = [(self._average_id + index, self._average(module, index)) for index in range(1, AVERAGES + 1)]
            self._average_id += AVERAGES
            report = build_report(GATEWAY, numbered, profile.shape)
            rows.append(NewRow(self._sink, module, "report", report.key, report.body))
            self.offered += 1
        self._outbox.enqueue(rows, "campaign", self._sink, self.offered)

    def offer_envelopes(self, count: int) -> None:
        """`count` more envelopes of each module."""
        rows = []
        for module in MODULES:
            for _ in range(count):
                seq = self._seqs[module] = self._seqs[module] + 1
                body = self._random.randbytes(ENVELOPE_BYTES)
                names = {"seq": str(seq), "hash": hashlib.sha256(body).hexdigest(), "kid": "cd" * 16}
                rows.append(NewRow(self._sink, module, "envelope", f"envelope/{module}/{seq}", body, attributes=names))
                self.offered += 1
        self._outbox.enqueue(rows, "campaign", self._sink, self.offered)

    def run_for(self, seconds: float) -> None:
        """So long on the clock."""
        end_s = self.clock.monotonic_s() + seconds
        while (now_s := self.clock.monotonic_s()) < end_s:
            if self._next_s > now_s:
                self.clock.rest(min(self._next_s, end_s) - now_s)
            else:
                self.turn()

    def run_out(self, between: Callable[[], None] = lambda: None) -> None:
        """Until nothing waits; `between` is called before each turn. Raises Stuck."""
        until = self._turns + STUCK_TURNS
        while self.waiting():
            if self._turns > until:
                raise Stuck(f"{self.waiting()} rows still wait after {STUCK_TURNS} turns: {self.failures}")
            between()
            now_s = self.clock.monotonic_s()
            if self._next_s > now_s:
                self.clock.rest(self._next_s - now_s)
            self.turn()

    def turn(self) -> None:
        """One step of the stage, and when the next one is."""
        self._turns += 1
        try:
            rest_s = self._stage.step()
        except DeliveryError as error:
            self.failed_steps += 1
            self.failures[type(error).__name__] = str(error)[:200]
            rest_s = self._stage.recover(error)
        self._is_idle = rest_s is None
        self._next_s = self.clock.monotonic_s() + (IDLE_S if rest_s is None else rest_s)
        if self._turns % 20 == 0:
            self.peak_kib = max(self.peak_kib, anonymous_kib())

    def wake(self) -> None:
        """A relay has work: that ends the rest of who had none, and no other."""
        if self._is_idle:
            self.turn()

    def waiting(self) -> int:
        """Rows that are neither delivered nor set aside."""
        return len(self._ask("SELECT 1 FROM outbox WHERE state = 'waiting' LIMIT 1"))

    def bodies(self, state: str) -> list[tuple[str, bytes]]:
        """(key, body) of the rows in a state, in order."""
        return self._ask("SELECT key, body FROM outbox WHERE state = ? ORDER BY place", state)

    def proofs(self) -> list[bytes]:
        """Of the closed rows."""
        return [row[0] for row in self._ask("SELECT proof FROM receipt ORDER BY outbox_id")]

    def close(self) -> None:
        """Give everything back."""
        self._stage.close()
        self._writer.close()

    def _ask(self, question: str, *values: str) -> list[tuple]:  # type: ignore[type-arg] # rows of any shape
        with self._writer.reading() as connection:
            return list(connection.execute(question, values))

    def _average(self, module: str, index: int) -> Average:
        start_ms = START_UTC_MS + self.offered * MINUTE_MS
        mean = self._random.uniform(0.0, 500.0)
        return Average(
            device=module, channel=f"c{index}", quantity="CO", unit="mg/m3", interval_s=60, start_utc_ms=start_ms,
            n_expected=60, n_valid=59, n_invalid=(("timeout", 1),), mean=mean, minimum=mean / 2, maximum=mean * 2,
            deviation=1.0, first_seq=self.offered + 1, last_seq=self.offered + 1, head_hash=bytes(32),
            parameters_hash=bytes(32), rule="plain_utc", rule_version="1", order="lanes20-v1", revision=0, reason="",
        )  # fmt: skip


def anonymous_kib() -> int:
    """Anonymous memory of this process (RssAnon, Linux)."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
