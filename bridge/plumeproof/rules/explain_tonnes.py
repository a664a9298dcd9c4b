"""Tonnes of a month or year step by step, for explain_longer.py: substitutes, hours, biomass, CO2 equivalents.

As annual.py makes them and from its functions; `numbers` in its order. The first HOURS_WRITTEN substituted hours have
steps of their own, the table has every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumeproof.rules import annual, greenhouse
from plumeproof.rules.calendar import DAY_MIN, DAY_MS, MINUTE_MS
from plumeproof.rules.figure import FLOW, FLOW_ID, MASS, STANDARDISED
from plumeproof.rules.figure_maker import FigureMaker
from plumeproof.rules.gwp import load_gwp
from plumeproof.rules.our_units import mass_state_factor
from plumeproof.rules.plant import Measurand
from plumeproof.rules.step import ORDER, Row, Step, Table, source_of, write_sum
from plumeproof.rules.substitution import mean_plus_two_sigma
from plumeproof.rules.summation import add_in_lanes_along, find_moments
from plumeproof.rules.term_series import TermSeries

HOURS_WRITTEN = 24  # substituted hours whose mass is a step of its own


def explain_tonnes(maker: FigureMaker, one: Measurand, series: annual.Series, tables: list[Table]) -> Iterator[Step]:
    """Nothing where annual.figures makes nothing. A table of the days is added to `tables`."""
    yield from _Writer(maker, one, series, tables).steps(series[one.id, MASS])


@dataclass(slots=True)
class _Writer:
    maker: FigureMaker
    measurand: Measurand
    series: annual.Series
    tables: list[Table]

    def steps(self, mass: TermSeries) -> Iterator[Step]:
        """As annual.figures makes them."""
        settings, one = self.maker.rules.settings, self.measurand
        is_greenhouse = one.greenhouse_gas is not None and settings.gwp is not None
        if not (is_greenhouse or settings.substitution in ("hj75_mass_only", "75.33")):
            return
        offset_min = settings.utc_offset_min(self.maker.plant.utc_offset_min)
        found = annual.fill(self.maker.plant, one, self.series, settings, offset_min)
        if found is None:
            return
        if settings.substitution == "mean_plus_2sigma":
            yield from self._mean_plus_two_sigma(found, mass)
        elif settings.substitution == "hj75_mass_only":
            yield from self._largest_before(found, mass, offset_min)
        elif settings.substitution == "75.33":
            yield from self._by_availability(found, mass)
        hours = settings.sta_min / 60.0
        mass_t = found.mass_kg_h * hours / 1000.0
        emission = greenhouse.sum_hours(mass_t, found.has, found.has_run, found.is_substituted)
        counts = found.has & found.has_run
        texts = [
            f"{float(rate)!r} * {hours!r} / 1000.0" if ok else None
            for rate, ok in zip(found.mass_kg_h, counts, strict=True)
        ]
        written = write_sum(texts)
        remark = "" if written else f"{emission.hours_op} hours; a day's explanation has the rates of its hours"
        without = emission.hours_without_figure
        yield Step(
            "tonnes: complete",
            f"{without} == 0",
            without == 0,
            "",
            "averaging-rules 9.2",
            f"{without} hours in operation have neither flow nor substitute: they are in no total",
        )
        if not emission.hours_op:
            yield Step("tonnes", "", None, "t", remark="none: no hour has a figure")
            return
        self.tables.append(self._table_of_tonnes(mass_t, counts, found.is_substituted, mass))
        yield Step(
            "tonnes",
            written,
            emission.total_t,
            "t",
            f"kg/h of every hour in operation, measured or substituted; sum in the order {ORDER}",
            remark,
        )
        yield Step(
            "share of substituted hours",
            f"{emission.hours_substituted} / {emission.hours_op}",
            emission.substituted_share,
            "",
        )
        if is_greenhouse:
            assert one.greenhouse_gas is not None and settings.gwp is not None
            yield from self._co2e(emission.total_t, one, load_gwp().of_set(settings.gwp, one.greenhouse_gas).value)

    def _co2e(self, total_t: float, one: Measurand, potential: float) -> Iterator[Step]:
        split = greenhouse.split_biomass(total_t, one.biomass_share_pct / 100.0, has_evidence=True)
        text = f"{total_t!r} - {total_t!r} * ({one.biomass_share_pct!r} / 100.0)"
        yield Step(
            "fossil share",
            text,
            split.fossil_t,
            "t",
            "(EU) 2018/2066 Art. 43: biomass is deducted",
            f"{one.biomass_share_pct:g} % biomass by the plant description",
        )
        co2e = split.fossil_t * potential
        yield Step(
            "CO2e",
            f"{split.fossil_t!r} * {potential!r}",
            co2e,
            "t CO2e",
            self._source(f"global warming potential of {one.greenhouse_gas}", "gwp"),
        )

    def _mean_plus_two_sigma(self, found: annual.Hours, mass: TermSeries) -> Iterator[Step]:
        settings, source = self.maker.rules.settings, self._source("Annex VIII equation 4", "substitution", "sigma")
        concentration, flow = self.series[self.measurand.id, STANDARDISED], self.series[FLOW_ID, FLOW]
        valid = concentration.is_valid & found.has_run
        moments = find_moments(concentration.values, valid)
        taken = mean_plus_two_sigma(concentration.values, valid, settings.sigma)
        if not taken.exists:
            yield Step("substitute", "", None, "mg/m3", source, "none: no hour has a valid concentration")
            return
        yield Step(
            "mean concentration",
            f"{moments.total!r} / {moments.n}",
            taken.mean,
            "mg/m3",
            source,
            f"{moments.n} hours with a valid concentration",
        )
        below = moments.n - 1 if settings.sigma == "sample" else moments.n
        if taken.is_sigma_undefined and settings.sigma == "sample":
            yield Step(
                "standard deviation",
                "0.0",
                taken.sigma,
                "mg/m3",
                source,
                "undefined of one hour: its value is the substitute",
            )
        else:
            yield Step(
                "standard deviation",
                f"sqrt({moments.m2!r} / {below})",
                taken.sigma,
                "mg/m3",
                source,
                "squared deviations from the mean, summed in the same order",
            )
        yield Step(
            "substitute",
            f"{taken.mean!r} + 2.0 * {taken.sigma!r}",
            taken.value,
            "mg/m3",
            source,
            "for every hour in operation without a valid concentration; final when the year is over",
        )
        filled = flow.values if found.flow_m3_h is None else found.flow_m3_h
        for place in np.flatnonzero(found.is_substituted)[:HOURS_WRITTEN].tolist():
            c, q = float(found.concentration[place]), float(filled[place])
            text = f"{c!r}{self._at_flow()} / 1000.0 * {q!r} / 1000.0 * {float(mass.run_share[place])!r}"
            yield Step(
                f"substituted hour {self._time(mass, place)}",
                text,
                float(found.mass_kg_h[place]),
                "kg/h",
                "c V of Annex VIII equation 1; part of the hour in operation",
                "" if flow.is_valid[place] else "flow by the plant's mass balance: kg/h * 1000 / (g/m3 of CO2)",
            )

    def _largest_before(self, found: annual.Hours, mass: TermSeries, offset_min: int) -> Iterator[Step]:
        source = self._source("HJ 75-2017 tables 5 and 6", "substitution", "min_capture_pct")
        written = 0
        for first, end, capture, filled in annual.quarters(mass, found.has_run, offset_min):
            if not capture.possible:
                continue
            name = f"quarter from {self._time(mass, first)}"
            yield Step(
                f"capture rate, {name}",
                f"100.0 * {capture.captured} / {capture.possible}",
                capture.pct,
                "%",
                source,
                f"band {capture.band}; {end - first} hours of this period"
                + ("" if capture.is_met else ": no substitution is defined"),
            )
            for place in [
                place for place in range(first, end) if filled.is_substituted[place] and found.has_run[place]
            ]:
                written += 1
                if written > HOURS_WRITTEN:
                    break
                text = f"{float(filled.values[place])!r} * {float(mass.run_share[place])!r}"
                told = f"largest of the {int(filled.look_back_h[place])} valid hours before" + (
                    ", of which there are fewer" if filled.is_short[place] else ""
                )
                yield Step(
                    f"substituted hour {self._time(mass, place)}",
                    text,
                    float(found.mass_kg_h[place]),
                    "kg/h",
                    source,
                    told,
                )

    def _by_availability(self, found: annual.Hours, mass: TermSeries) -> Iterator[Step]:
        filled = annual.available(self.maker.plant, self.measurand, self.series, self.maker.rules.settings)
        assert filled is not None  # or there is no total
        concentration, gas = filled
        source = self._source("40 CFR 75.33", "substitution", "percentile")
        for place in np.flatnonzero(found.is_substituted & found.has_run)[:HOURS_WRITTEN].tolist():
            c, q = float(concentration.values[place]), float(gas.values[place])
            told = f"concentration by {concentration.methods[place] or 'measurement'}"
            told += f", flow by {gas.methods[place] or 'measurement'}; history from the period's begin"
            is_zero = self.maker.rules.settings.mass_zero_when_negative and (c < 0.0 or q < 0.0)
            text = f"{c!r} * {q!r} / 1000000.0 * {float(mass.run_share[place])!r}" if not is_zero else "0.0"
            title = f"substituted hour {self._time(mass, place)}"
            yield Step(title, text, float(found.mass_kg_h[place]), "kg/h", source, told)

    def _at_flow(self) -> str:
        """What brings the concentration to the state of the flow; nothing where it is there."""
        factor = mass_state_factor(self.measurand, self.maker.rules.settings)
        return "" if factor == 1.0 else f" * {factor!r}"

    def _table_of_tonnes(self, mass_t: Any, counts: Any, substituted: Any, mass: TermSeries) -> Table:
        per_day = DAY_MIN // mass.length_min
        rows = []
        for place in range(mass.count // per_day):
            day = slice(place * per_day, (place + 1) * per_day)
            n, k = int(np.count_nonzero(counts[day])), int(np.count_nonzero(substituted[day]))
            total = float(add_in_lanes_along(np.where(counts[day], mass_t[day], 0.0)))
            rows.append(Row(mass.start_utc_ms + place * DAY_MS, total if n else None, f"{n} hours, {k} substituted"))
        return Table("tonnes: days (the engine adds the hours)", "t", tuple(rows))

    def _time(self, series: TermSeries, place: int) -> str:
        offset = self.maker.rules.settings.utc_offset_min(self.maker.plant.utc_offset_min)
        at = np.datetime64(series.start_utc_ms + (place * series.length_min + offset) * MINUTE_MS, "ms")
        return str(at.astype("datetime64[m]"))

    def _source(self, clause: str, *settings: str) -> str:
        return source_of(self.maker.rules, clause, *settings)
