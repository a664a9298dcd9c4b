"""Figures as documents declare them: of whole months and years, exact decimals, each with the id that `trace` opens.

Where the bridge has closed a month or year its stored figure counts, in its newest revision; what is still running is
made from the records that are there and says so. A period is cut into years where it holds whole ones, into months
elsewhere: a year's substitutes differ from its months' (MRR: mean and sigma of the year), so none is a sum of months.

    source = DeclaredSource(desk, ledger)
    for one in source.of_period("CO2", "co2e", "eu_mrr", (start_utc_ms, end_utc_ms)): one.value, one.id
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact

from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.figure_ids import id_of_figure
from plumeproof.ledger_strips import LedgerStrips, Tick
from plumeproof.rules import calendar
from plumeproof.rules.figure import MONTH, YEAR, Figure

Period = tuple[int, int]
_EXACT = Context(prec=1200, traps=[Inexact])  # holds any sum of float64 written out; rounding would be an error


@dataclass(frozen=True, slots=True)
class Declared:
    """A figure and its number as text can carry it: the shortest decimal that is this float64. `is_closed`: the bridge
    has stored it; otherwise later records may change it."""

    id: str
    figure: Figure
    value: Decimal | None
    uncertainty: Decimal | None
    is_closed: bool


def decimal_of(number: float) -> Decimal:
    """The shortest decimal that is this float64 and no other (RFC 8785 section 3.2.2.3 writes the same digits)."""
    return Decimal(repr(number))


def text_of(number: Decimal) -> str:
    """Digits without exponent or trailing zeros, as JSON documents hold them."""
    return format(_EXACT.normalize(number), "f") if number else "0"


def add(numbers: Sequence[Decimal]) -> Decimal:
    """Exact sum."""
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total


def multiply(one: Decimal, other: Decimal) -> Decimal:
    """Exact product."""
    return _EXACT.multiply(one, other)


def pieces_of(period: Period, offset_min: int) -> list[tuple[str, int, int]]:
    """(level, start, end) of the years and months that make up a period. Raises ConfigError where it has others."""
    found: list[tuple[str, int, int]] = []
    at = period[0]
    while at < period[1]:
        year, month = calendar.year_of(at, offset_min), calendar.month_of(at, offset_min)
        level, piece = (YEAR, year) if year[0] == at and year[1] <= period[1] else (MONTH, month)
        if piece[0] != at or piece[1] > period[1]:
            raise ConfigError("period", "documents are made of whole months of the site's clock; write 2026-11 or 2026")
        found.append((level, *piece))
        at = piece[1]
    if not found:
        raise ConfigError("period", "is empty; the end lies behind the begin")
    return found


class DeclaredSource:
    """Declared figures of one plant. One thread. Raises StoreError, RuleError, ConfigError."""

    def __init__(self, desk: FigureDesk, ledger: LedgerStrips, tick: Tick = lambda count: None) -> None:
        """`tick` is told of days whose records are read."""
        self.desk, self._ledger, self._tick = desk, ledger, tick
        self._known: dict[tuple[str, int, int], list[Declared]] = {}

    def of_period(self, measurand: str, layer: str, rule_set: str, period: Period) -> Iterator[Declared]:
        """One for each year and month of the period that has this figure, in order."""
        rules = next((one for one in self.desk.engine.rule_sets if one.id == rule_set), None)
        if rules is None:
            there = ", ".join(one.id for one in self.desk.engine.rule_sets)
            raise ConfigError(f"rule set {rule_set[:40]}", f"is none of plant {self.desk.engine.plant.id}: {there}")
        for level, start, end in pieces_of(period, self.desk.engine.offset_min(rules)):
            for one in self.everything(level, start, end):
                if (one.figure.measurand, one.figure.layer, one.figure.rule_set) == (measurand, layer, rule_set):
                    yield one

    def everything(self, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Declared]:
        """All figures of one month or year, by any rule set whose period it is."""
        key = (level, start_utc_ms, end_utc_ms)
        if key not in self._known:
            stored = self._stored(*key)
            if not stored:
                made = self.desk.figures((level,), (start_utc_ms, end_utc_ms), self._tick)
                stored = [_declared(one, False) for one in made]
            self._known[key] = stored
        return self._known[key]

    def _stored(self, level: str, start: int, end: int) -> list[Declared]:
        newest = {one.place: one for one in self._ledger.stored(self.desk.engine.plant.id, level, start, end)}
        wanted = {rules.id for rules in self.desk.engine.rule_sets}
        return [_declared(one, True) for one in newest.values() if one.rule_set in wanted]


def _declared(one: Figure, is_closed: bool) -> Declared:
    return Declared(
        id=id_of_figure(one),
        figure=one,
        value=None if one.value is None else decimal_of(one.value),
        uncertainty=None if one.uncertainty is None else decimal_of(one.uncertainty),
        is_closed=is_closed,
    )
