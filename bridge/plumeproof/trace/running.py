"""A ledger, and the figures of periods that are still running: nobody has stored those yet, and a draft declares them.
They are made from the records by the plant descriptions of today; what is stored always goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from plumeproof.figure_ids import Wanted, unquoted
from plumeproof.rules import calendar
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MONTH, SHORT_TERM, YEAR, Figure
from plumeproof.trace.source import LedgerSource

_AROUND = {DAY: calendar.day_of, MONTH: calendar.month_of, YEAR: calendar.year_of}


class Desk(Protocol):
    """Makes figures from records: figure_desk.FigureDesk."""

    @property
    def engine(self) -> Engine:
        """Of the plant."""

    def figures(self, levels: Sequence[str], period: tuple[int, int]) -> Iterator[Figure]:
        """Of these levels inside [start, end)."""


DeskOf = Callable[[str], Desk | None]  # by a plant's id


class RunningSource(LedgerSource):
    """As LedgerSource; `desk_of` is asked only for a whole id that the ledger does not hold."""

    def __init__(self, path: Path, desk_of: DeskOf) -> None:
        super().__init__(path)
        self._desk_of = desk_of
        self._made: dict[tuple[str, str, int], list[Figure]] = {}
        self._documents: dict[bytes, bytes] = {}

    def figures(self, wanted: Wanted) -> list[Figure]:
        found = super().figures(wanted)
        period = wanted.period or ""
        is_term = period.endswith("min")
        if not (is_term or period in _AROUND) or len(wanted.words) != 4 or wanted.around_utc_ms is None:
            return found
        start = wanted.around_utc_ms[0]
        plant, measurand, layer, rule_set = (unquoted(word) for word in wanted.words)
        place = (plant, measurand, layer, rule_set, start)
        if wanted.around_utc_ms[1] != start + 1 or any(_place(one) == place for one in found):
            return found
        return found + [one for one in self._running(plant, period, start) if _place(one) == place]

    def revisions(self, figure: Figure) -> list[Figure]:
        return super().revisions(figure) or [figure]

    def document(self, digest: bytes) -> bytes | None:
        return super().document(digest) or self._documents.get(digest)

    def _running(self, plant: str, period: str, start_utc_ms: int) -> list[Figure]:
        """All figures of a length that begin here; where rule sets have clocks of their own their ends may differ."""
        key = (plant, period, start_utc_ms)
        if key not in self._made:
            self._made[key] = []
            desk = self._desk_of(plant)
            if desk is not None:
                self._documents |= {one.digest: one.raw for one in desk.engine.documents()}
                for span in _spans(desk, period, start_utc_ms):
                    level = period if period in _AROUND else SHORT_TERM
                    found = desk.figures((level,), span)
                    self._made[key] += [one for one in found if (one.start_utc_ms, one.end_utc_ms) == span]
        return self._made[key]


def _spans(desk: Desk, period: str, start_utc_ms: int) -> list[tuple[int, int]]:
    if period not in _AROUND:
        return [(start_utc_ms, start_utc_ms + int(period.removesuffix("min")) * MINUTE_MS)]
    offsets = {desk.engine.offset_min(rules) for rules in desk.engine.rule_sets}
    found = {_AROUND[period](start_utc_ms, offset) for offset in offsets}
    return sorted(span for span in found if span[0] == start_utc_ms)


def _place(one: Figure) -> tuple[str, str, str, str, int]:
    return one.plant, one.measurand, one.layer, one.rule_set, one.start_utc_ms
