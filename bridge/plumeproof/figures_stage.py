"""From records to figures while the plant runs: makes what new records touch, and nothing else.

Works behind the averaging stage, which has placed every record on the UTC axis. A span of terms (the longest of the
rule sets, mostly an hour) is open from its first slot until every module of the plant has left it, or, for a module
that has fallen silent, until another one has been `WAIT_MS` beyond its end. Then all its terms are made from the
records on it, with the long-term figures of every period that ends with it. A record that comes later opens its span
again, and with it every ended day, window, month and year that it lies in; what changes becomes the next revision.
What a step costs does not depend on how long the plant has run; a month's end reads a month of figures, a year's end a
year.

The cursor stays before the first record of an open span, so nothing but the ledger is needed to go on after a kill.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acqwire import fields

from plumeproof.errors import EvidenceError
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import Strip, open_slots
from plumeproof.model import StoredRecord
from plumeproof.ports import AverageStore, FigureStore, Ledger
from plumeproof.rules import calendar, long_term
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import Engine, OpenPeriod
from plumeproof.rules.figure import DAY, MONTH, ROLLING_30_DAYS, SHORT_TERM, YEAR, Figure

STEP_RECORDS = 64
WAIT_MS = 15 * MINUTE_MS  # a module silent for so long keeps no figure back; what it sends later is a revision
WITH_SLOTS = (fields.KIND_SAMPLES, fields.KIND_OVERFLOW)
LATE = "late_record"  # reason of a revision
SETS_MAX = 16


@dataclass(slots=True)
class FiguresCounters:
    """For the graph, since the start."""

    figures_total: int = 0
    spans_total: int = 0


class FiguresStage:
    """Figures of all plants of a bridge. One thread; raises StoreError, then `step` may be called again."""

    def __init__(
        self, ledger: Ledger, averages: AverageStore, figures: FigureStore, engines: Sequence[Engine], grace_s: int
    ) -> None:
        """`grace_s`: as the averaging stage has it."""
        self._ledger = ledger
        self._averages = averages
        self._figures = figures
        self._plants = [_PlantSpans(engine, grace_s * 1000) for engine in engines]
        self._sets: dict[bytes, ParameterSet] = {}
        self._position = 0  # read up to here
        self._safe = 0  # the cursor, as it is stored
        self._first_of: dict[tuple[int, int], int] = {}  # (plant, span) to the position before its first record
        self._is_loaded = False
        self.counters = FiguresCounters()

    def step(self, limit: int = STEP_RECORDS) -> int:
        """Take at most `limit` records and make at most one span of terms; how much there was to do."""
        if not self._is_loaded:
            self._load()
        self._is_loaded = False  # what fails below is read again
        end = self._averages.position()
        stored = [row for row in self._ledger.after(self._position, limit) if row.position <= end]
        if stored:
            self._take(stored)
        made = self._make_one()
        self._is_loaded = True
        return len(stored) + made

    def _load(self) -> None:
        self._position = self._safe = self._figures.position()
        self._first_of.clear()
        for plant in self._plants:
            name = plant.engine.plant.id
            plant.forget(self._figures.newest_end(name), self._figures.longer_until(name))

    def _take(self, stored: Sequence[StoredRecord]) -> None:
        """Which spans the records touch, and how far each module has come."""
        for device in {row.device for row in stored}:
            rows = [row for row in stored if row.device == device]
            opened = open_slots([row for row in rows if row.kind in WITH_SLOTS], self._parameters)
            for row in rows:
                found = opened.get(row.seq)
                if found is None or found.strip is None:
                    continue  # averaging has named why it is skipped
                for number, plant in enumerate(self._plants):
                    for span in plant.touch(found.strip, device):
                        self._first_of.setdefault((number, span), row.position - 1)
        self._position = stored[-1].position

    def _make_one(self) -> int:
        for number, plant in enumerate(self._plants):
            span = plant.due()
            if plant.late and (span is None or not plant.is_same_day(span, min(plant.late))):
                self._settle(number, plant, sorted(plant.late))
                return 1
            if span is None:
                continue
            found = list(self._span_figures(plant, span))
            # The cursor moves only with the last commit: power failing before it returns, the span is made again, and
            # what is stored already writes nothing.
            self.counters.figures_total += self._figures.commit(found, plant.engine.documents(), self._safe)
            self.counters.spans_total += 1
            if plant.close(span):
                plant.late.add(span)  # a day that comes late is read once for its longer figures, not for each hour
            else:
                self._settle(number, plant, [span])
            return 1
        return 0

    def _settle(self, number: int, plant: _PlantSpans, spans: Sequence[int]) -> None:
        """Make the long-term figures that are due with spans whose own figures are made, and let the cursor pass."""
        longer: list[Figure] = []
        for level, starts in plant.ended(spans):
            periods = plant.engine.open_periods(level, starts)
            for one in self._short(plant, periods):
                periods.add(one)
            longer += periods.figures(LATE)
        for span in spans:
            if not plant.is_open(span):  # or a record has come for it meanwhile
                self._first_of.pop((number, span), None)
        self._safe = min([self._position, *self._first_of.values()])
        self.counters.figures_total += self._figures.commit(longer, plant.engine.documents(), self._safe)
        plant.passed(spans)

    def _span_figures(self, plant: _PlantSpans, span: int) -> Sequence[Figure]:
        end = span + plant.length_ms
        longest = {state.device: state.longest_ms for state in self._averages.states()}
        strips = {
            device: self._strips(device, span, end, longest.get(device, 0))
            for device in plant.engine.devices()
            if device in longest
        }
        return plant.engine.short_term_figures(strips, span, end, LATE)

    def _strips(self, device: str, start_utc_ms: int, end_utc_ms: int, longest_ms: int) -> list[Strip]:
        spans = self._averages.spans(device, start_utc_ms, end_utc_ms, longest_ms)
        if not spans:
            return []
        wanted = {span.seq for span in spans}
        stored = self._ledger.of_device(device, min(wanted), max(wanted))
        opened = open_slots([row for row in stored if row.seq in wanted], self._parameters)
        return [one.strip for seq, one in sorted(opened.items()) if one.strip is not None]

    def _short(self, plant: _PlantSpans, periods: OpenPeriod) -> Iterator[Figure]:
        """The short-term figures of periods, a day at a time: the store is never held for long."""
        for day in range(*periods.period, DAY_MS) if periods.period is not None else ():
            yield from self._figures.of_period(plant.engine.plant.id, SHORT_TERM, day, day + DAY_MS)

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            raw = self._ledger.parameter_set(parameters_hash)
            if raw is None:
                return None
            try:
                found = parse_parameters(raw, parameters_hash)
            except EvidenceError:
                return None  # averaging has named it
            while len(self._sets) >= SETS_MAX:
                self._sets.pop(next(iter(self._sets)))
            self._sets[parameters_hash] = found
        return self._sets[parameters_hash]


class _PlantSpans:
    """Which spans of one plant are open. A span is named by its start, UTC ms."""

    def __init__(self, engine: Engine, grace_ms: int) -> None:
        self.engine = engine
        self.length_ms = max(engine.term_lengths_min()) * MINUTE_MS
        self._offset_min = engine.offset_min(engine.rule_sets[0])
        self._offsets = sorted({engine.offset_min(rules) for rules in engine.rule_sets})
        self._grace_ms = grace_ms
        self._open: set[int] = set()
        self.late: set[int] = set()  # made again, but not yet the longer figures that they touch
        self._newest: dict[str, int] = {}  # end of the newest slot of each module
        self._passed: int | None = None  # end of the newest span that is made
        self._sure: int | None = None  # every period that ends up to here has its long-term figures

    def forget(self, newest_end_utc_ms: int | None, longer_until_utc_ms: int | None) -> None:
        """Begin again from what the store has; between a span's two commits power may have failed."""
        self._open.clear()
        self.late.clear()
        self._newest.clear()
        self._passed, self._sure = newest_end_utc_ms, longer_until_utc_ms

    def touch(self, strip: Strip, device: str) -> Iterator[int]:
        """Open the spans that a record has slots in."""
        if device not in self.engine.devices():
            return
        self._newest[device] = max(strip.end_utc_ms, self._newest.get(device, 0))
        for span in range(self.engine.floor(strip.first_utc_ms), strip.end_utc_ms, self.length_ms):
            self._open.add(span)
            yield span

    def due(self) -> int | None:
        """The earliest open span that every module has left."""
        if not self._open:
            return None
        span = min(self._open)
        ends = [self._newest.get(device, 0) for device in self.engine.devices()]
        limit = span + self.length_ms
        is_left = all(end >= limit + self._grace_ms for end in ends)
        return span if is_left or max(ends) >= limit + WAIT_MS else None

    def is_open(self, span: int) -> bool:
        """A record has touched it since its figures were made."""
        return span in self._open

    def is_same_day(self, span: int, other: int) -> bool:
        """Of the first rule set's clock."""
        return calendar.day_of(span, self._offset_min) == calendar.day_of(other, self._offset_min)

    def close(self, span: int) -> bool:
        """Its figures are made; whether it is a late one: time has passed it before."""
        self._open.discard(span)
        return self._passed is not None and span + self.length_ms <= self._passed

    def ended(self, spans: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
        """(level, starts) of the periods whose long-term figures are due with spans: those that they end, those that
        ended while no record came, and, for late ones, those that they lie in."""
        found = {pair for span in spans for offset_min in self._offsets for pair in self._ended_on(span, offset_min)}
        for level in (DAY, MONTH, YEAR):
            for start in sorted(start for name, start in found if name == level):
                yield level, [start]
        rolling = sorted(start for name, start in found if name == ROLLING_30_DAYS)
        for first in range(0, len(rolling), long_term.ROLLING_DAYS):
            yield ROLLING_30_DAYS, rolling[first : first + long_term.ROLLING_DAYS]

    def _ended_on(self, span: int, offset_min: int) -> Iterator[tuple[str, int]]:
        """(level, start) by the rule sets on one clock."""
        end = span + self.length_ms
        passed = end if self._passed is None else self._passed
        progress = max(passed, end)
        sure = passed if self._sure is None else min(passed, self._sure)
        day, newest = calendar.day_of(span, offset_min)[0], calendar.day_of(sure, offset_min)[0]
        # What ends now for the first time begins with the newest day; in what has ended only this day is another
        new = range(newest, progress - DAY_MS + 1, DAY_MS)
        touched = [start for start in (day,) if start < newest and start + DAY_MS <= progress]
        windows = range(day, min(newest, day + long_term.ROLLING_DAYS * DAY_MS), DAY_MS)
        days = [*touched, *new]
        for start in days:
            yield DAY, start
        for start in (*windows, *new):
            if start + DAY_MS <= progress:
                yield ROLLING_30_DAYS, start
        for level, around in ((MONTH, calendar.month_of), (YEAR, calendar.year_of)):
            for start, period_end in {around(one, offset_min) for one in days}:
                if period_end <= progress:
                    yield level, start

    def passed(self, spans: Sequence[int]) -> None:
        """The long-term figures that were due with spans are made."""
        self.late.difference_update(spans)
        self._passed = self._sure = max(self._passed or 0, max(spans) + self.length_ms)
