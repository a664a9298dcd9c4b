"""Days, months, rolling windows and years of a plant once more, slowly, from the slow short-term figures.

Written from reference/averaging-rules.md sections 6, 9 and 10 and the documentation of the settings; loops over short
terms, fractions. Substitutes of HJ 75 and 40 CFR 75.33: slow_substitution.py. Does not imitate: uncertainty.
"""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.doubles.slow_measurand import state_of_flow
from tests.doubles.slow_plant import SlowPlant
from tests.doubles.slow_substitution import Hour, hj75, part75
from tests.doubles.slow_terms import MINUTE, NOTHING, Key, SlowFigure, exact

DAY = 1440 * MINUTE
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GWP = {  # section 9.6
    "AR4": {"CO2": "1", "CH4": "25", "N2O": "298", "CF4": "7390", "C2F6": "12200"},
    "AR5": {"CO2": "1", "CH4": "28", "N2O": "265", "CF4": "6630", "C2F6": "11100"},
    "AR6": {"CO2": "1", "CH4": "27", "N2O": "273", "CF4": "7380", "C2F6": "12400"},
}
LongKey = tuple[str, str]  # measurand, layer


def local(utc_ms: int, offset_min: int) -> datetime:
    return EPOCH + timedelta(milliseconds=utc_ms) + timedelta(minutes=offset_min)


def period(level: str, begin: int, offset_min: int) -> tuple[int, int]:
    """[start, end) in UTC ms of the period that begins at a local midnight; rolling: that ends with this day."""
    if level in ("day", "rolling_30d"):
        return begin - 29 * DAY * (level == "rolling_30d"), begin + DAY
    at = local(begin, offset_min)
    until = at.replace(year=at.year + 1) if level == "year" else (at + timedelta(days=31)).replace(day=1)
    return begin, begin + (until - at) // timedelta(milliseconds=1)


class SlowPeriod:
    """One level of one rule set from `begin` on."""

    def __init__(self, plant: SlowPlant, rule_set: str, level: str, begin: int, short: dict[Key, SlowFigure]) -> None:
        self.plant, self.level, self.settings = plant, level, plant.settings(rule_set)
        self.offset_min = plant.offset_min(self.settings)
        self.start, self.end = period(level, begin, self.offset_min)
        step = self.settings["sta_min"] * MINUTE
        self.terms = range(self.start, self.end, step)
        inside: dict[tuple[str, str], dict[int, SlowFigure]] = {}
        for (name, layer, at, until), figure in short.items():
            if self.start <= at and until <= self.end and until - at == step:
                inside.setdefault((name, layer), {})[at] = figure
        self.inside = inside
        days = sorted({(at - self.start) // DAY for own in inside.values() for at in own})
        self.days = range(days[0], days[-1] + 1) if days else range(0)

    def figures(self) -> dict[LongKey, SlowFigure]:
        found: dict[LongKey, SlowFigure] = {}
        if self.level == "rolling_30d" and self.settings["month"] != "rolling_30d":
            return found
        for one in self.plant.measurands:
            name = one["id"]
            layer = next((each for each in ("validated", "standardised") if (name, each) in self.inside), None)
            if layer is not None:
                found[name, layer] = self._average(name, layer)
            if (name, "mass") in self.inside and self.level != "rolling_30d":
                found[name, "mass"] = self._mass(name)
                if self.level in ("month", "year"):
                    found |= self._tonnes(one)
        return found

    def _day(self, at: int) -> int:
        return (at - self.start) // DAY

    def _is_seen(self, at: int) -> bool:
        """A day without records between others is lost, not absent."""
        return self._day(at) in self.days

    def _compared(self, figure: SlowFigure | None) -> bool:
        if figure is None:
            return True  # nobody knows: the plant may have run
        states = {"operating", "other"} | ({"start_up", "shut_down"} if self.settings["start_up_compared"] else set())
        return figure.has_run and figure.state in states

    def _is_lost(self, figure: SlowFigure | None) -> bool:
        if figure is None:
            return True
        return "discarded" in figure.flags and not figure.is_valid and self._compared(figure)

    def _used(self, own: dict[int, SlowFigure]) -> list[tuple[int, Fraction]]:
        found = []
        for at in self.terms:
            one = own.get(at)
            if one is not None and one.is_valid and one.value is not None and self._compared(one):
                found.append((at, one.value))
        return found

    def _judge_days(self, own: dict[int, SlowFigure]) -> tuple[dict[int, Fraction], int, int]:
        """Means of the valid days, how many are discarded, how many terms are used."""
        settings, used = self.settings, self._used(own)
        means: dict[int, Fraction] = {}
        discarded = 0
        recorded = {self._day(at) for at in own}
        by_day: dict[int, list[Fraction]] = {}
        for at, value in used:
            by_day.setdefault(self._day(at), []).append(value)
        lost: dict[int, int] = {}
        for at in self.terms:
            if self._day(at) in recorded and self._is_lost(own.get(at)):
                lost[self._day(at)] = lost.get(self._day(at), 0) + 1
        limit, least = settings["discard_limit_per_day"], settings["min_valid_sta_per_day"] or 0
        for day in sorted(recorded):
            is_discarded = limit is not None and lost.get(day, 0) > limit
            discarded += is_discarded
            values = by_day.get(day, [])
            if values and not is_discarded and len(values) >= least:
                means[day] = sum(values, NOTHING) / len(values)
        return means, discarded, len(used)

    def _average(self, name: str, layer: str) -> SlowFigure:
        settings, level = self.settings, self.level
        own = self.inside[name, layer]
        plain = self.inside.get((name, "without_o2_exception"))
        source = plain if level == "year" and plain is not None else own
        means, discarded, n_used = self._judge_days(source)
        values = [value for _, value in self._used(source)]
        flags = set()
        if level == "day":
            value, is_valid = _mean(values), bool(means)
            flags |= {"discarded_day"} if discarded else set()
            flags |= {"too_few"} if not is_valid and not discarded else set()
        else:
            value = (
                _mean(list(means.values())) if level == "year" and settings["year_from"] == "days" else _mean(values)
            )
            num, den = settings["lta_min_share"]
            minutes = (self.end - self.start) // MINUTE
            is_valid = value is not None and n_used * settings["sta_min"] * den >= num * minutes
            if level == "month":
                is_february = local(self.start, self.offset_min).month == 2
                least = settings["min_days_in_february" if is_february else "min_days_per_month"] or 0
                is_valid = is_valid and len(means) >= least
            flags |= set() if is_valid else {"too_few"}
            limit = settings["invalid_days_per_year"]
            flags |= {"action_required"} if level == "year" and limit is not None and discarded > limit else set()
        spread = [float(each) for _, each in self._used(own)]
        seen = [own.get(at) for at in self.terms if self._is_seen(at)]
        n_run = sum(one is None or one.has_run for one in seen)
        lost = sum(self._is_lost(one) for one in seen)
        counts = {"discarded": lost, "not_compared": max(0, n_run - len(spread) - lost)}
        unit = next(iter(own.values())).unit
        figure = SlowFigure(unit, value, is_valid, flags, "", n_run, len(spread), counts)
        figure.minimum, figure.maximum = (min(spread), max(spread)) if spread else (None, None)
        return figure

    def _mass(self, name: str) -> SlowFigure:
        own = self.inside[name, "mass"]
        hours = Fraction(self.settings["sta_min"], 60)
        counted = [one for one in own.values() if one.is_valid and one.value is not None]
        total = sum((one.value * one.run_share * hours for one in counted if one.value is not None), NOTHING)
        n_run = sum(self._has_run(own, at) for at in self.terms)
        n = len(counted)
        flags = {"incomplete_mass"} if n < n_run else set()
        is_valid = n == n_run and n > 0
        return SlowFigure("kg", total if n else None, is_valid, flags, "", n_run, n, {"without_mass": n_run - n})

    def _has_run(self, own: dict[int, SlowFigure], at: int) -> bool:
        return self._is_seen(at) and (at not in own or own[at].has_run)

    def _tonnes(self, one: dict[str, Any]) -> dict[LongKey, SlowFigure]:
        settings, name = self.settings, one["id"]
        is_greenhouse = "greenhouse_gas" in one and settings["gwp"] is not None
        method = settings["substitution"]
        if not (is_greenhouse or method in ("hj75_mass_only", "75.33")):
            return {}
        own = self.inside[name, "mass"]
        run = [at for at in self.terms if self._has_run(own, at)]
        flags: set[str] = set()
        hours: dict[int, tuple[Fraction, bool]] = {}  # kg/h of what ran, is it a substitute
        if method == "mean_plus_2sigma":
            hours, flags = self._by_concentration(name, run)
        elif method == "hj75_mass_only":
            hours, flags = self._by_mass(own, run)
        elif method == "75.33":
            if "O2" in one.get("needs", []):
                return {}  # a concentration at reference oxygen has no flow of its state
            hours, flags = self._by_availability(one, run)
        else:
            hours = {at: (own[at].value or NOTHING, False) for at in run if at in own and own[at].is_valid}
        total, replaced = NOTHING, 0
        for at, (rate, is_substitute) in hours.items():
            share = own[at].run_share if at in own else 1
            total += rate * share * Fraction(settings["sta_min"], 60) / 1000
            replaced += is_substitute
        without = len(run) - len(hours)
        flags |= {"substituted"} if replaced else set()
        flags |= {"hours_without_figure"} if without else set()
        flags |= {"provisional"} if replaced and self.level != "year" else set()
        counts = {"substituted": replaced, "without_figure": without}
        found: dict[LongKey, SlowFigure] = {}

        def put(layer: str, unit: str, value: Fraction) -> None:
            figure = SlowFigure(unit, value if hours else None, not without and bool(hours), flags, "", len(run))
            figure.n_valid, figure.n_invalid = len(hours) - replaced, counts
            figure.substituted_share = Fraction(replaced, len(hours)) if hours else NOTHING
            found[name, layer] = figure

        put("substituted", "t", total)
        if is_greenhouse:
            fossil = total * (100 - exact(float(one.get("biomass_share_pct", 0)))) / 100
            put("co2e", "t CO2e", fossil * Fraction(GWP[settings["gwp"]][one["greenhouse_gas"]]))
        return found

    def _by_concentration(self, name: str, run: list[int]) -> tuple[dict[int, tuple[Fraction, bool]], set[str]]:
        """Section 9.3: mean + 2 sigma of the concentrations of the period; a missing flow is not replaced."""
        own, flow = self.inside[name, "standardised"], self.inside["flow", "flow"]
        valid = {at: own[at].value for at in run if at in own and own[at].is_valid}
        numbers = [one for one in valid.values() if one is not None]
        substitute, flags = None, set()
        if numbers:
            spread = statistics.stdev if self.settings["sigma"] == "sample" else statistics.pstdev
            sigma = spread([float(one) for one in numbers]) if len(numbers) > 1 else 0.0
            substitute = sum(numbers, NOTHING) / len(numbers) + 2 * Fraction(sigma)
            flags = {"sigma_undefined"} if len(numbers) == 1 and len(run) > 1 else set()
        found = {}
        for at in run:
            c, q = valid.get(at, substitute), flow.get(at)
            if c is not None and q is not None and q.is_valid and q.value is not None:
                found[at] = (c * q.value / 1_000_000, at not in valid)
        return found, flags

    def _by_mass(
        self, own: dict[int, SlowFigure], run: list[int]
    ) -> tuple[dict[int, tuple[Fraction, bool]], set[str]]:  # fmt: skip
        """Section 10.2, quarter by quarter."""
        ran = set(run)
        hours = [
            Hour(float(own[at].value or 0) if at in own and own[at].is_valid and at in ran else None, at in ran)
            for at in self.terms
        ]
        found, flags = {}, set()
        quarter = [(local(at, self.offset_min).month - 1) // 3 for at in self.terms]
        for number in sorted(set(quarter)):
            first, end = quarter.index(number), len(quarter) - quarter[::-1].index(number)
            part = hours[first:end]
            possible = sum(one.ran for one in part)
            captured = sum(one.ran and one.value is not None for one in part)
            flags |= {"capture_rate_failed"} if possible and captured * 100 < 75 * possible else set()
            filled = hj75(hours[:end], captured, possible, first)
            for place in range(first, end):
                at, substitute = self.terms[place], filled[place]
                value = own[at].value if hours[place].value is not None else None
                if value is not None:
                    found[at] = (value, False)
                elif substitute is not None:
                    found[at] = (Fraction(substitute[0]), True)
        return found, flags

    def _by_availability(
        self, one: dict[str, Any], run: list[int]
    ) -> tuple[dict[int, tuple[Fraction, bool]], set[str]]:  # fmt: skip
        """Section 11.3 of concentration and flow, each by itself; the history begins with the period."""
        ran, flags = set(run), set()
        assert self.plant.flow is not None
        filled: list[dict[int, tuple[Fraction, bool]]] = []
        is_nox = "NOx" in (one["id"], one.get("gas")) or one.get("gas") in ("NO", "NO2")
        for source, family, worst, key in (
            (one, "nox_flow" if is_nox else "concentration", one.get("max_potential"), (one["id"], "standardised")),
            (self.plant.flow, "nox_flow", self.plant.flow.get("max_potential"), ("flow", "flow")),
        ):
            own, times = self.inside[key], Fraction(1)
            if source is one:
                times = state_of_flow(one, self.settings)
            values = {at: own[at].value * times for at in run if at in own and own[at].is_valid}
            hours = [Hour(float(values[at]) if at in values else None, at in ran) for at in self.terms]
            taken = {at: (value, False) for at, value in values.items()}
            for at, found in zip(self.terms, part75(hours, family, worst), strict=True):
                if found is not None and found[0] is not None:
                    taken[at] = (Fraction(found[0]), True)
                    flags.add(f"by_{found[1]}")
            filled.append(taken)
        concentration, flow = filled
        both: dict[int, tuple[Fraction, bool]] = {}
        for at in concentration.keys() & flow.keys():
            (c, c_new), (q, q_new) = concentration[at], flow[at]
            is_zero = self.settings["mass_zero_when_negative"] and (c < 0 or q < 0)
            both[at] = (NOTHING if is_zero else c * q / 1_000_000, c_new or q_new)
        return both, flags


def _mean(values: list[Fraction]) -> Fraction | None:
    return sum(values, NOTHING) / len(values) if values else None
