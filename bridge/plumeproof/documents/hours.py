"""The hours of a declared source: of every clock hour its mass, how it was found, and the figure that `trace` opens.

Figures that the bridge stored count, in their newest revision; what it has not written yet is made from the records.
A measured hour has the number of its own mass figure, kg/h of operation times the part in operation, as the plant's
daily masses are added; a substituted one what the year or month declares for it (annual.py). So the hours of a period
and its declared tonnes are the same tonnes, but for the last digit of float64 of each.

    hours = HourSource(desk, ledger)
    for one in hours.of_period("CO2", "eu_mrr", (start_utc_ms, end_utc_ms)): one.kg, one.status, tonnes_text(one.kg)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from plumeproof.documents.declared import Period, decimal_of, pieces_of
from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.figure_ids import id_of_figure
from plumeproof.ledger_strips import LedgerStrips, Tick
from plumeproof.rules import annual
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import OpenPeriod
from plumeproof.rules.figure import MASS, SHORT_TERM, Figure
from plumeproof.rules.rule_set import RuleSet

HOUR_MIN = 60
TONNES_DECIMALS = 6  # of a tonne in texts of hours: a gram; half away from zero (DIN 1333), from the exact kg
MEASURED, SUBSTITUTED, MISSING, STOPPED = "measured", "substituted", "missing", "stopped"
STATUSES = (MEASURED, SUBSTITUTED, MISSING, STOPPED)
_GRAM = Decimal(1).scaleb(-TONNES_DECIMALS)
_WIDE = Context(prec=400)  # digits of any float64 in grams


@dataclass(frozen=True, slots=True)
class Hour:
    """[start, start + 1 h). `figure_id`: of its mass figure, "" where no record had a slot. `kg`: the shortest decimal
    that is the float64, None where the hour is missing, 0 where the plant stood still. `is_closed`: the bridge has
    stored the figure; otherwise later records may change it. `mg_m3`, `m3_h`: concentration and flow that make the
    mass, as the rule set filled them; None where it fills no flow, and in hours without a mass."""

    start_utc_ms: int
    figure_id: str
    kg: Decimal | None
    status: str
    is_closed: bool
    mg_m3: Decimal | None = None
    m3_h: Decimal | None = None


def tonnes_text(kg: Decimal) -> str:
    """Of kg, in t with TONNES_DECIMALS: what every document shows of an hour."""
    tonnes = kg.scaleb(-3, _WIDE).quantize(_GRAM, ROUND_HALF_UP, _WIDE)
    return format(abs(tonnes) if tonnes.is_zero() else tonnes, "f")


def _exact(number: float) -> Decimal:
    return decimal_of(float(number))


class HourSource:
    """Hours of one plant. One thread. Raises StoreError, RuleError, ConfigError."""

    def __init__(self, desk: FigureDesk, ledger: LedgerStrips, tick: Tick = lambda count: None) -> None:
        """`tick` is told of days that are read."""
        self.desk, self._ledger, self._tick = desk, ledger, tick

    def of_period(self, measurand: str, rule_set: str, period: Period) -> Iterator[Hour]:
        """One for each clock hour of the period, in order; none where neither mass nor flow is measured."""
        rules = self._rules(measurand, rule_set)
        for level, start, end in pieces_of(period, self.desk.engine.offset_min(rules)):
            yield from self._piece(measurand, rules, level, start, end)

    def _rules(self, measurand: str, rule_set: str) -> RuleSet:
        engine = self.desk.engine
        found = next((one for one in engine.rule_sets if one.id == rule_set), None)
        if found is None:
            there = ", ".join(one.id for one in engine.rule_sets)
            raise ConfigError(f"rule set {rule_set[:40]}", f"is none of plant {engine.plant.id}: {there}")
        if not self.desk.has_measurand(measurand):
            raise ConfigError(f"measurand {measurand[:40]}", f"is none of plant {engine.plant.id}")
        if found.settings.sta_min != HOUR_MIN:
            told = f"averages over {found.settings.sta_min} minutes; hours are declared by a rule set of hours"
            raise ConfigError(f"rule set {rule_set}", told)
        return found

    def _piece(self, measurand: str, rules: RuleSet, level: str, start: int, end: int) -> Iterator[Hour]:
        """Of one month or year: its substitutes follow from all of its hours."""
        engine = self.desk.engine
        waiting = engine.open_period(level, start)
        masses: dict[int, tuple[Figure, bool]] = {}
        for day in range(start, end, DAY_MS):
            self._fill(waiting, masses, measurand, rules, day)
            self._tick(1)
        series = next(builder for maker, _, builder in waiting.parts() if maker.rules.id == rules.id).series()
        one = next(one for one in engine.plant.measurands if one.id == measurand)
        found = annual.fill(engine.plant, one, series, rules.settings, engine.offset_min(rules))
        if found is None:
            return
        own = series[measurand, MASS]
        for place, at in enumerate(range(start, end, HOUR_MIN * MINUTE_MS)):
            figure, is_closed = masses.get(at, (None, False))
            name = "" if figure is None else id_of_figure(figure)
            if not found.has_run[place]:
                has_stood = bool(own.has_figure[place])
                yield Hour(at, name, Decimal(0) if has_stood else None, STOPPED if has_stood else MISSING, is_closed)
            elif not found.has[place]:
                yield Hour(at, name, None, MISSING, is_closed)
            else:
                is_own = own.is_valid[place] and not found.is_substituted[place]
                kg = float(own.values[place]) * float(own.run_share[place]) if is_own else found.mass_kg_h[place]
                status, gas = MEASURED if is_own else SUBSTITUTED, found.flow_m3_h
                factors = () if gas is None else (found.concentration[place], gas[place])
                yield Hour(at, name, _exact(kg), status, is_closed, *(_exact(factor) for factor in factors))

    def _fill(
        self,
        waiting: OpenPeriod,
        masses: dict[int, tuple[Figure, bool]],
        measurand: str,
        rules: RuleSet,
        day: int,
    ) -> None:
        """A day's short terms of the rule set: stored ones, and for what is not stored those of the records."""
        plant, span = self.desk.engine.plant.id, (day, day + DAY_MS)
        stored = {one.place: one for one in self._ledger.newest(plant, SHORT_TERM, *span) if one.rule_set == rules.id}
        made: dict[tuple[object, ...], Figure] = {}
        mass_count = sum(1 for one in stored.values() if (one.measurand, one.layer) == (measurand, MASS))
        if mass_count < DAY_MS // (HOUR_MIN * MINUTE_MS):
            fresh = self.desk.figures((SHORT_TERM,), span)
            made = {one.place: one for one in fresh if one.rule_set == rules.id and one.place not in stored}
        for is_closed, figures in ((True, stored.values()), (False, made.values())):
            for one in figures:
                waiting.add(one)
                if (one.measurand, one.layer) == (measurand, MASS):
                    masses[one.start_utc_ms] = (one, is_closed)
