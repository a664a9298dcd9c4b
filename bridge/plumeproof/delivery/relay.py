"""From the ledger to the outbox: a cursor per sink and content, moved in the transaction that queues the rows.

A kill between two steps queues nothing twice and forgets nothing. A new broker begins with what comes from now on (its
copies are notifications, and a year of them would hold back the present); a new platform gets every average there is.

    relay = Relay([EnvelopeFeed(...), ReportFeed(...)])
    relay.begin()
    while relay.step() is not None: pass
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from plumeproof.delivery.report import AVERAGES_MAX, PLAIN, ReportShape, build_average, build_report
from plumeproof.delivery.senml import build_senml
from plumeproof.model import Average, NewRow
from plumeproof.ports import AverageStore, Clock, Ledger, Outbox

WINDOW = 256  # rows read at a time; memory stays flat with any backlog
ENVELOPES = "relay"  # stages in the cursor table; the first counts positions of records, the others ids of averages
AVERAGES = "relay_averages"
REPORTS = "relay_reports"


# One average in each form. Sparkplug numbers its messages when they leave, so its rows hold what will be said.
VIEWS: Mapping[str, Callable[[str, int, Average], bytes]] = {
    "average": build_average,
    "senml": build_senml,
    "sparkplug": build_average,
}


class Feed(Protocol):
    """One content for one sink."""

    def begin(self) -> None:
        """Give a sink that is new its place to start from."""

    def advance(self) -> int:
        """Queue what is next; how far the cursor moved. Raises StoreError."""


class Relay:
    """All feeds, in one thread. Raises StoreError; then `step` may be called again."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = feeds
        self._moved_total = 0

    def begin(self) -> None:
        """Before anything new is stored, so that a new sink misses nothing that comes from now on."""
        for feed in self._feeds:
            feed.begin()

    def step(self) -> float | None:
        """One window of every feed; 0.0 when there may be more, None when there is nothing."""
        moved = sum([feed.advance() for feed in self._feeds])
        self._moved_total += moved
        return 0.0 if moved else None

    def recover(self, _error: Exception) -> float | None:
        """Nothing is remembered: the cursors are in the store."""
        return None

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return {"examined_total": self._moved_total}

    def close(self) -> None:
        """Nothing to give back."""


class EnvelopeFeed:
    """Every stored envelope for one broker."""

    def __init__(self, sink: str, ledger: Ledger, outbox: Outbox, kid_in: Callable[[bytes], bytes]) -> None:
        """`kid_in` reads the kid of a stored envelope."""
        self._sink, self._ledger, self._outbox, self._kid_in = sink, ledger, outbox, kid_in

    def begin(self) -> None:
        """From now on."""
        if self._outbox.cursor(ENVELOPES, self._sink) is None:
            self._outbox.enqueue((), ENVELOPES, self._sink, self._ledger.newest_position())

    def advance(self) -> int:
        """As Feed.advance."""
        stored = self._ledger.after(self._outbox.cursor(ENVELOPES, self._sink) or 0, WINDOW)
        if not stored:
            return 0
        rows = [
            NewRow(
                self._sink,
                one.device,
                "envelope",
                f"envelope/{one.device}/{one.seq}",
                seq=one.seq,
                attributes={
                    "seq": str(one.seq),
                    "hash": one.content_hash.hex(),
                    "kid": self._kid_in(one.envelope).hex(),
                },
            )
            for one in stored
        ]
        self._outbox.enqueue(rows, ENVELOPES, self._sink, stored[-1].position)
        return len(stored)


class AverageFeed:
    """Every average for one broker, in one form (VIEWS)."""

    def __init__(self, sink: str, gateway: str, averages: AverageStore, outbox: Outbox, view: str = "average") -> None:
        self._sink, self._gateway, self._averages, self._outbox = sink, gateway, averages, outbox
        self._view = view
        self._stage = AVERAGES if view == "average" else f"relay_{view}"

    def begin(self) -> None:
        """From now on."""
        if self._outbox.cursor(self._stage, self._sink) is None:
            self._outbox.enqueue((), self._stage, self._sink, self._averages.newest_id())

    def advance(self) -> int:
        """As Feed.advance."""
        numbered = self._averages.after(self._outbox.cursor(self._stage, self._sink) or 0, WINDOW)
        if not numbered:
            return 0
        build = VIEWS[self._view]
        rows = [
            NewRow(
                self._sink,
                average.device,
                "average",
                f"{self._view}/{average_id}",
                build(self._gateway, average_id, average),
                attributes={"interval": str(average.interval_s)}
                | ({} if self._view == "average" else {"view": self._view}),
            )
            for average_id, average in numbered
        ]
        self._outbox.enqueue(rows, self._stage, self._sink, numbered[-1][0])
        return len(numbered)


@dataclass(frozen=True, slots=True)
class ReportRule:
    """Averages of `interval_s` go into reports of at most `averages_max`; what is fewer waits `close_after_s`."""

    interval_s: int
    averages_max: int = AVERAGES_MAX
    close_after_s: float = 0.0
    shape: ReportShape = PLAIN


class ReportFeed:
    """Every average of one interval for one platform, in reports.

    A window of averages closes as a whole: when it is full, or when it was first seen `close_after_s` ago. What comes
    after that, late revisions too, goes into later reports.
    """

    def __init__(
        self, sink: str, gateway: str, rule: ReportRule, averages: AverageStore, outbox: Outbox, clock: Clock
    ) -> None:
        self._sink, self._gateway, self._rule = sink, gateway, rule
        self._averages, self._outbox, self._clock = averages, outbox, clock
        self._first_seen: tuple[int, float] | None = None  # cursor, and when something stood behind it

    def begin(self) -> None:
        """From the first average on."""
        if self._outbox.cursor(REPORTS, self._sink) is None:
            self._outbox.enqueue((), REPORTS, self._sink, 0)

    def advance(self) -> int:
        """As Feed.advance."""
        cursor = self._outbox.cursor(REPORTS, self._sink) or 0
        limit = max(WINDOW, 2 * self._rule.averages_max)
        numbered = self._averages.after(cursor, limit)
        chosen = [one for one in numbered if one[1].interval_s == self._rule.interval_s]
        if not numbered or (chosen and len(numbered) < limit and not self._is_over(cursor)):
            return 0
        self._outbox.enqueue(self._reports(chosen), REPORTS, self._sink, numbered[-1][0])
        return len(numbered)

    def _is_over(self, cursor: int) -> bool:
        now = self._clock.monotonic_s()
        if self._first_seen is None or self._first_seen[0] != cursor:
            self._first_seen = (cursor, now)
        return now - self._first_seen[1] >= self._rule.close_after_s

    def _reports(self, chosen: Sequence[tuple[int, Average]]) -> list[NewRow]:
        rows = []
        for module in sorted({average.device for _, average in chosen}):
            of_module = [one for one in chosen if one[1].device == module]
            for at in range(0, len(of_module), self._rule.averages_max):
                part = of_module[at : at + self._rule.averages_max]
                report = build_report(self._gateway, part, self._rule.shape)
                rows.append(NewRow(self._sink, module, "report", report.key, report.body))
        return rows
