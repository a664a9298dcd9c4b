"""Verdicts over calendar years from figures: limits, lost days, hours of plant states, and the tier of an emission.

Takes short-term figures, days, months (or rolling windows) and years of a plant in any order, and judges what is
compared: validated averages where the rule set makes them, standardised ones elsewhere, only those that it lets count
(limits.judge_year). Rounded to the decimals of the limit, at least to those that the plant states (reference 5.2).

    account = LimitAccount(engine, period)
    for figure in figures: account.add(figure)
    for line in account.judgements(extent): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules import calendar, long_term
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import (
    CO2E,
    DAY,
    MONTH,
    ROLLING_30_DAYS,
    SHORT_TERM,
    STANDARDISED,
    SUBSTITUTED,
    VALIDATED,
    YEAR,
    Figure,
)
from plumeproof.rules.judgement import (
    CORROBORATION,
    EXCEEDED,
    KEPT,
    LIMIT,
    LOST_DAYS,
    NOT_JUDGED,
    STATED,
    TIER,
    Case,
    Judgement,
)
from plumeproof.rules.limits import LimitTest, judge_year
from plumeproof.rules.long_terms import DISCARDED_DAY
from plumeproof.rules.mass_balance import corroborate
from plumeproof.rules.outages import Outages
from plumeproof.rules.plant import Measurand
from plumeproof.rules.rounding import decimals_of, round_text
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.state_hours import StateHours
from plumeproof.rules.tiers import judge_tier, load_tiers

KIND_OF_LENGTH = {10: "ten_min", 30: "half_hour", 60: "hour"}
LENGTH_OF_KIND = {kind: length for length, kind in KIND_OF_LENGTH.items()}
Key = tuple[str, str, int, str]  # rule set, measurand, start of the year, kind of average
_Row = tuple[int, int, float, bool]  # start, end, value, counts


class LimitAccount:
    """One plant over [start, end), whole days."""

    def __init__(self, engine: Engine, period_utc_ms: tuple[int, int]) -> None:
        self._engine, self._period = engine, period_utc_ms
        self._rules = {rules.id: rules for rules in engine.rule_sets}
        self._offset = {rules.id: engine.offset_min(rules) for rules in engine.rule_sets}
        self._limited = {one.id for one in engine.plant.measurands if one.limits}
        self._states = {
            rules.id: StateHours(rules, self._whole_days(rules), self._offset[rules.id]) for rules in engine.rule_sets
        }
        gases = [one.id for one in engine.plant.measurands if one.greenhouse_gas is not None]
        self._outages = {
            rules.id: Outages(rules, gases if rules.settings.gwp is not None else (), self._whole_days(rules))
            for rules in engine.rule_sets
        }
        self._rows: dict[tuple[Key, str], list[_Row]] = {}
        self._lost: dict[Key, list[Case]] = {}
        self._days: dict[Key, list[int]] = {}  # ends
        self._annual: dict[tuple[str, str, int], Figure] = {}
        self._fossil: dict[tuple[str, str, int], Figure] = {}

    def levels(self) -> tuple[str, ...]:
        """The levels of figures that are needed."""
        is_rolling = any(rules.settings.month == "rolling_30d" for rules in self._rules.values())
        return (SHORT_TERM, DAY, *((ROLLING_30_DAYS,) if is_rolling else ()), MONTH, YEAR)

    def add(self, one: Figure) -> None:
        """A figure of one of the levels; what is not judged is left out."""
        if one.level == SHORT_TERM:
            self._states[one.rule_set].add(one)
            self._outages[one.rule_set].add(one)
        year = calendar.year_of(one.end_utc_ms - 1, self._offset[one.rule_set])[0]
        if one.level == YEAR and one.layer in (SUBSTITUTED, CO2E):
            annual = self._annual if one.layer == SUBSTITUTED else self._fossil
            annual[one.rule_set, one.measurand, year] = one
        if one.layer not in (VALIDATED, STANDARDISED) or one.measurand not in self._limited:
            return
        kind = self._kind_of(one)
        if kind is None:
            return
        key = (one.rule_set, one.measurand, year, kind)
        row = (one.start_utc_ms, one.end_utc_ms, one.value or 0.0, one.is_valid and one.value is not None)
        self._rows.setdefault((key, one.layer), []).append(row)
        if one.level == DAY:
            self._days.setdefault(key, []).append(one.end_utc_ms)
            if DISCARDED_DAY in one.flags:
                self._lost.setdefault(key, []).append(Case(one.start_utc_ms, one.end_utc_ms, row[2]))

    def judgements(self, extent_utc_ms: tuple[int, int]) -> Iterator[Judgement]:
        """Every line, by rule set and year. `extent_utc_ms`: [first, end) of what was recorded: a year is whole only
        where records and period hold all of it, and what has not ended in the records is not judged yet."""
        for rules in self._engine.rule_sets:
            offset = self._offset[rules.id]
            at = self._period[0]
            while at < self._period[1]:
                year = calendar.year_of(at, offset)
                at = year[1]
                seen = max(year[0], self._period[0], extent_utc_ms[0]), min(year[1], self._period[1], extent_utc_ms[1])
                if seen[0] < seen[1]:
                    yield from self._of_year(rules, year, seen)

    def corroboration(self, name: str, year: int, calculated_t: float, tolerance_pct: float | None) -> list[Judgement]:
        """Measured fossil CO2 of a calendar year beside what was calculated from fuels (mass_balance.corroborate).
        Raises RuleError (another gas, no such year in the figures)."""
        gas = next((one.greenhouse_gas for one in self._engine.plant.measurands if one.id == name), None)
        if gas != "CO2":
            raise RuleError(f"measurand {name[:40]}", "is no CO2 of the plant; fuels corroborate CO2 only (Art. 46)")
        found = []
        for (rule_set, measurand, start), one in self._fossil.items():
            if measurand != name or calendar.year_number(start, self._offset[rule_set]) != year:
                continue
            told = corroborate(one.value or 0.0, calculated_t, tolerance_pct)
            verdict, reason = STATED if told.is_within is None else KEPT if told.is_within else EXCEEDED, ""
            if one.value is None or not one.is_valid:
                verdict, reason = NOT_JUDGED, "hours are missing in the measured tonnes"
            found.append(
                Judgement(
                    rule_set=rule_set, subject=name, year=year, start_utc_ms=one.start_utc_ms,
                    end_utc_ms=one.end_utc_ms, is_whole=True, about=CORROBORATION, requirement=0,
                    test=f"measured {told.measured_t:.3f} t less calculated {told.calculated_t:.3f} t of fossil CO2",
                    averages=YEAR, unit="%", limit="" if tolerance_pct is None else f"{tolerance_pct:g}",
                    verdict=verdict, is_met={KEPT: True, EXCEEDED: False}.get(verdict),
                    compared=told.difference_pct if told.has_difference_pct else None,
                    compared_text=f"{told.difference_pct:.2f}", reason=reason,
                )
            )  # fmt: skip
        if not found:
            raise RuleError(f"year {year}", f"has no tonnes of {name} in the period; ask for the whole year")
        return found

    def _of_year(self, rules: RuleSet, year: tuple[int, int], seen: tuple[int, int]) -> Iterator[Judgement]:
        make = partial(
            Judgement, rule_set=rules.id, year=calendar.year_number(year[0], self._offset[rules.id]),
            start_utc_ms=seen[0], end_utc_ms=seen[1], is_whole=seen == year,
        )  # fmt: skip
        for measurand in self._engine.plant.measurands:
            if measurand.limits and rules.settings.limit_tests != "none":
                yield from self._limits(rules, measurand, year, seen, make)
                yield from self._lost_days(rules, measurand, year[0], seen[1], make)
            yield from self._tier(rules, measurand, year[0], make)
            yield from self._outages[rules.id].judgement(measurand.id, seen, make)
        yield from self._states[rules.id].judgements(year, seen[1], seen == year)

    def _limits(
        self,
        rules: RuleSet,
        measurand: Measurand,
        year: tuple[int, int],
        seen: tuple[int, int],
        make: partial[Judgement],
    ) -> Iterator[Judgement]:
        rows = {kind: self._rows_of(rules, measurand, year[0], kind, seen) for kind in (*LENGTH_OF_KIND, DAY, "month")}
        rows[YEAR] = self._rows_of(rules, measurand, year[0], YEAR, seen)
        series = {
            kind: (np.array([row[2] for row in own], np.float64), np.array([row[3] for row in own], np.bool_))
            for kind, own in rows.items()
        }
        texts = {one.kind: _limit_text(one.value) for one in measurand.limits}
        decimals = max(measurand.decimals, *(decimals_of(text) for text in texts.values()))
        verdict = judge_year(measurand.id, series, texts, rules.settings, decimals)
        common = {"subject": measurand.id, "about": LIMIT, "unit": "mg/m3"}
        for number, group in enumerate(verdict.groups, 1):
            judged = [test for test in group if test.is_judged]
            is_met = any(test.is_met for test in judged) if judged else None
            for test in group:
                own = rows[test.averages]
                yield make(
                    **common, requirement=number, test=test.kind, averages=test.averages, is_met=is_met,
                    **_told(test, own, rules, rules.settings.rounding),
                )  # fmt: skip
        for kind in verdict.untested:
            yield make(
                **common, requirement=0, test=kind, averages="", limit=texts[kind], verdict=NOT_JUDGED, is_met=None,
                reason=f"the tests of {rules.id} ({rules.settings.limit_tests}) compare nothing with this limit",
            )  # fmt: skip

    def _lost_days(
        self, rules: RuleSet, measurand: Measurand, year: int, until: int, make: partial[Judgement]
    ) -> Iterator[Judgement]:  # fmt: skip
        key = (rules.id, measurand.id, year, DAY)
        most = rules.settings.invalid_days_per_year
        lost = tuple(one for one in self._lost.get(key, ()) if one.end_utc_ms <= until)
        n = sum(end <= until for end in self._days.get(key, ()))
        is_over = bool(long_term.action_required(len(lost), most))
        verdict = STATED if most is None else EXCEEDED if is_over else KEPT
        yield make(
            subject=measurand.id, about=LOST_DAYS, requirement=0, test="days lost by malfunction or maintenance",
            averages=DAY, unit="d", limit="" if most is None else str(most), verdict=verdict,
            is_met=None if most is None else not is_over, n=n, compared=float(len(lost)),
            compared_text=str(len(lost)), cases=lost,
        )  # fmt: skip

    def _tier(self, rules: RuleSet, measurand: Measurand, year: int, make: partial[Judgement]) -> Iterator[Judgement]:
        """The tier that the year's emission reaches, against the permit's, or the minimum of category A ((EU)
        2018/2066 Annex VIII)."""
        gas, one = measurand.greenhouse_gas, self._annual.get((rules.id, measurand.id, year))
        if gas is None or rules.settings.gwp is None or gas not in load_tiers().streams or one is None:
            return
        common = {"subject": measurand.id, "about": TIER, "requirement": 0, "averages": YEAR, "unit": "%"}
        if one.uncertainty is None or not one.value:
            why = "no components of uncertainty are stated, or nothing was emitted"
            yield make(**common, test="tier", limit="", verdict=NOT_JUDGED, is_met=None, reason=why)
            return
        pct = 100.0 * one.uncertainty / one.value
        found = judge_tier(gas, pct, measurand.tier)
        of_whom = "is the minimum of category A" if measurand.tier is None else "is asked for"
        yield make(
            **common, test=f"tier {found.reached} reached, {found.required} {of_whom}",
            limit=f"{found.required_pct:g}", verdict=KEPT if found.is_met else EXCEEDED, is_met=found.is_met,
            compared=pct, compared_text=f"{pct:.2f}", reason="what states no component counts as exact",
        )  # fmt: skip

    def _kind_of(self, one: Figure) -> str | None:
        if one.level == SHORT_TERM:
            return KIND_OF_LENGTH.get((one.end_utc_ms - one.start_utc_ms) // MINUTE_MS)
        month = ROLLING_30_DAYS if self._rules[one.rule_set].settings.month == "rolling_30d" else MONTH
        return {DAY: DAY, month: "month", YEAR: YEAR}.get(one.level)

    def _rows_of(
        self, rules: RuleSet, measurand: Measurand, year: int, kind: str, seen: tuple[int, int]
    ) -> list[_Row]:  # fmt: skip
        """In the order of time; short terms on the whole grid of the days seen, for tests of any 24 h."""
        key = (rules.id, measurand.id, year, kind)
        found = self._rows.get((key, VALIDATED), self._rows.get((key, STANDARDISED), []))
        length_ms = LENGTH_OF_KIND.get(kind, 0) * MINUTE_MS
        if not length_ms:
            return sorted(row for row in found if row[1] <= seen[1])
        offset = self._offset[rules.id]
        first, end = calendar.day_of(seen[0], offset)[0], calendar.day_of(seen[1] - 1, offset)[1]
        grid: list[_Row] = [(at, at + length_ms, 0.0, False) for at in range(first, end, length_ms)]
        for row in found:
            place = (row[0] - first) // length_ms
            if 0 <= place < len(grid):
                grid[place] = row
        return grid

    def _whole_days(self, rules: RuleSet) -> tuple[int, int]:
        offset = self._offset[rules.id]
        return calendar.day_of(self._period[0], offset)[0], calendar.day_of(self._period[1] - 1, offset)[1]


def _limit_text(value: float) -> str:
    """As a permit prints it: 200, 0.05."""
    return format(Decimal(repr(value)).normalize(), "f")


def _told(test: LimitTest, rows: Sequence[_Row], rules: RuleSet, rounding: str) -> dict[str, object]:
    """Counts, the greatest value, and what is above."""
    if test.kind == "any 24 h":
        cases = tuple(Case(rows[place][0], rows[place][0] + DAY_MS, 0.0) for place in test.over)
    else:
        cases = tuple(Case(*rows[place][:3]) for place in test.over)
    highest = None if test.highest is None else Case(*rows[test.highest][:3])
    text = "" if highest is None else repr(highest.value)
    if highest is not None and test.decimals is not None:
        text = round_text(highest.value, test.decimals, rounding)
    reason = "" if test.is_judged else f"no average of this kind counts by {rules.id}"
    return {
        "limit": format(test.limit.normalize(), "f"),
        "verdict": NOT_JUDGED if not test.is_judged else KEPT if test.is_met else EXCEEDED,
        "n": test.n, "n_over": test.n_over, "n_allowed": test.n_allowed,
        "compared": None if highest is None else highest.value, "compared_text": text, "at": highest, "cases": cases,
        "reason": reason,
    }  # fmt: skip
