"""A day, rolling window, month or year of one measurand step by step, as explain.py does it for a short term.

Nothing is computed anew: averages, loads and tonnes come from the functions that make the figures, and `numbers` of a
step is their arithmetic with whole float64 numbers in the engine's order. What is added stands in `rows`: the averages
of a day, the days of a longer period, the hours that were substituted. A sum of more than step.WRITTEN_MAX is not
written out; its addends are in rows, or in the explanations of its days.

    open_period = engine.open_period(MONTH, start_utc_ms); ...add(figure)...
    for maker, period, builder in open_period.parts(): found = explain_longer(maker, MONTH, period, builder, "CO2")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules import annual, calendar, long_term, long_terms
from plumeproof.rules.calendar import DAY_MIN, DAY_MS, MINUTE_MS
from plumeproof.rules.explain_tonnes import explain_tonnes
from plumeproof.rules.figure import DAY, MASS, MONTH, PLAIN, ROLLING_30_DAYS, STANDARDISED, VALIDATED, YEAR, Figure
from plumeproof.rules.figure_maker import FigureMaker
from plumeproof.rules.plant import Measurand
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.step import ORDER, Row, Step, Table, source_of, write_sum
from plumeproof.rules.summation import add_in_lanes_along
from plumeproof.rules.term_series import SeriesBuilder, TermSeries


@dataclass(frozen=True, slots=True)
class LongExplanation:
    """Figures of one measurand and level by one rule set, and how they come about."""

    rules: RuleSet
    measurand: str
    level: str
    start_utc_ms: int
    end_utc_ms: int
    steps: tuple[Step, ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]


def explain_longer(
    maker: FigureMaker, level: str, period: tuple[int, int], builder: SeriesBuilder, name: str
) -> LongExplanation:
    """What a builder was filled with, explained. Raises RuleError (no such measurand, nothing in the period)."""
    measurand = next((one for one in maker.plant.measurands if one.id == name), None)
    if measurand is None:
        known = ", ".join(one.id for one in maker.plant.measurands)
        raise RuleError(f"measurand {name[:40]!r}", f"has no {level} figures; those of the plant are of {known}")
    figures = tuple(one for one in long_terms.figures(maker, level, period, builder) if one.measurand == name)
    if not figures:
        raise RuleError("no record", f"has a slot in this {level}; choose an instant inside the ledger's period")
    writer = _Writer(maker, measurand, level, period, builder.series())
    steps = tuple(writer.steps())
    return LongExplanation(maker.rules, name, level, *period, steps, tuple(writer.tables), figures)


@dataclass(slots=True)
class _Writer:
    """One period of one measurand, written down."""

    maker: FigureMaker
    measurand: Measurand
    level: str
    period: tuple[int, int]
    series: annual.Series
    tables: list[Table] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """As long_terms.figures makes its figures."""
        own = {
            layer: self.series[key]
            for layer in (VALIDATED, STANDARDISED, PLAIN, MASS)
            if (key := (self.measurand.id, layer)) in self.series
        }
        averaged = next((layer for layer in (VALIDATED, STANDARDISED) if layer in own), None)
        if averaged is not None:
            yield from self._average(averaged, own)
        if MASS in own and self.level != ROLLING_30_DAYS:
            yield from self._mass(own[MASS])
            if self.level in (MONTH, YEAR):
                yield from explain_tonnes(self.maker, self.measurand, self.series, self.tables)

    def _average(self, layer: str, own: dict[str, TermSeries]) -> Iterator[Step]:
        settings = self.maker.rules.settings
        compared = own[layer].only_compared()
        n_run = int(np.count_nonzero(compared.has_run & annual.seen(compared)))
        n = int(np.count_nonzero(compared.is_valid))
        lost = int(np.count_nonzero(compared.is_discarded & annual.seen(compared)))
        rest = max(0, n_run - n - lost)
        what = f"{settings.sta_min}-minute averages"
        told = f"{n_run} in operation, {lost} lost by malfunction or maintenance, {rest} not compared or not covered"
        yield Step(
            f"{layer}: {what} that count",
            f"{n_run} - {lost} - {rest}",
            n,
            "",
            self._source("averaging-rules 3.3", "start_up_compared"),
            told,
        )
        if self.level == DAY:
            yield from self._day(layer, compared)
            return
        taken = own[PLAIN].only_compared() if self.level == YEAR and PLAIN in own else compared
        days = long_terms.days_of(taken, self.maker)
        self.tables.append(self._table_of_days(f"{layer}: days", taken.unit, days))
        if self.level == YEAR and settings.year_from == "days":
            valid = np.asarray(days.is_valid)
            count = int(np.count_nonzero(valid))
            texts = [repr(float(mean)) if ok else None for mean, ok in zip(days.mean, valid, strict=True)]
            value, exists = long_term.mean_of_days(days.mean, valid)
            yield from self._mean(
                layer,
                "daily averages",
                texts,
                float(np.asarray(add_in_lanes_along(np.where(valid, days.mean, 0.0)))),
                count,
                value,
                exists,
                taken.unit,
            )
        else:
            used = np.asarray(days.n_used)
            texts = [repr(float(total)) if k else None for total, k in zip(days.total, used, strict=True)]
            value, exists = long_term.mean_of_days_sums(days.total, used)
            total = float(np.asarray(add_in_lanes_along(np.where(used > 0, days.total, 0.0))))
            yield from self._mean(layer, "sums of the days", texts, total, int(used.sum()), value, exists, taken.unit)
        if exists:
            yield from self._judged(days)

    def _day(self, layer: str, series: TermSeries) -> Iterator[Step]:
        settings = self.maker.rules.settings
        days = long_terms.days_of(series, self.maker)
        rows = [
            Row(
                series.start_utc_ms + place * series.length_min * MINUTE_MS,
                float(value) if ok else None,
                self._why(series, place),
            )
            for place, (value, ok) in enumerate(zip(series.values, series.exists, strict=True))
        ]
        self.tables.append(Table(f"{layer}: {settings.sta_min}-minute averages", series.unit, tuple(rows)))
        texts = [repr(float(value)) if ok else None for value, ok in zip(series.values, series.is_valid, strict=True)]
        n, lost = int(days.n_used[0]), int(days.n_discarded[0])
        yield from self._mean(
            layer, "averages", texts, float(days.total[0]), n, days.mean[0], days.exists[0], series.unit
        )
        if (limit := settings.discard_limit_per_day) is not None:
            source = self._source("averaging-rules 6", "discard_limit_per_day")
            yield Step(f"{layer}: not too many lost", f"{lost} <= {limit}", lost <= limit, "", source)
        if (least := settings.min_valid_sta_per_day) is not None:
            source = self._source("averaging-rules 6", "min_valid_sta_per_day")
            yield Step(f"{layer}: enough to be judged", f"{n} >= {least}", n >= least, "", source)

    def _mean(
        self,
        layer: str,
        of_what: str,
        texts: list[str | None],
        total: float,
        n: int,
        value: Any,
        exists: Any,
        unit: str,
    ) -> Iterator[Step]:
        if not exists:
            yield Step(f"{layer}: mean", "", None, unit, remark="none: nothing counts")
            return
        written = write_sum(texts)
        remark = "" if written else f"{n} addends, listed below or in the explanations of the days"
        yield Step(f"{layer}: sum of the {of_what}", written, total, unit, f"sum in the order {ORDER}", remark)
        yield Step(f"{layer}: mean", f"{total!r} / {n}", float(value), unit, "averaging-rules 6")

    def _judged(self, days: long_term.Days) -> Iterator[Step]:
        """Whether the period counts, by what the rule set asks of it."""
        settings = self.maker.rules.settings
        n, minutes = int(np.sum(days.n_used)), (self.period[1] - self.period[0]) // MINUTE_MS
        num, den = settings.lta_min_share
        enough = bool(long_term.is_long_enough(n, settings.sta_min, minutes, settings.lta_min_share))
        yield Step("long enough", f"{n} * {settings.sta_min} * {den} >= {minutes} * {num}", enough, "",
                   self._source("minutes of averages against minutes of the period", "lta_min_share"))  # fmt: skip
        valid = int(np.count_nonzero(days.is_valid))
        if self.level == MONTH:
            month = calendar.month_number(self.period[0], settings.utc_offset_min(self.maker.plant.utc_offset_min))
            least = (settings.min_days_in_february if month == 2 else settings.min_days_per_month) or 0
            source = self._source("valid days", "min_days_per_month", "min_days_in_february")
            yield Step("enough valid days", f"{valid} >= {least}", valid >= least, "", source)
        if self.level == YEAR and (limit := settings.invalid_days_per_year) is not None:
            lost = int(np.count_nonzero(days.is_discarded))
            source = self._source("averaging-rules 6", "invalid_days_per_year")
            yield Step(
                "the authority must act", f"{lost} > {limit}", lost > limit, "", source, f"{lost} discarded days"
            )

    def _mass(self, series: TermSeries) -> Iterator[Step]:
        per_day = DAY_MIN // series.length_min
        rates = (series.values * series.run_share).reshape(-1, per_day)
        valid = series.is_valid.reshape(-1, per_day)
        loads, numbers = long_term.load_in_period(rates, valid, series.length_min)
        n_run = int(np.count_nonzero(series.has_run & annual.seen(series)))
        n = int(np.sum(numbers))
        yield Step("mass: complete", f"{n} == {n_run}", n == n_run, "", "averaging-rules 3.3: of all operation",
                   f"{n} averages with a mass of {n_run} in operation; the others are in no sum")  # fmt: skip
        if not n:
            yield Step("mass", "", None, "kg", remark="none: no average has a mass")
            return
        if self.level != DAY:
            texts = [repr(float(load)) if k else None for load, k in zip(loads, numbers, strict=True)]
            self.tables.append(
                Table(
                    "mass: days",
                    "kg",
                    tuple(
                        Row(self.period[0] + place * DAY_MS, float(load) if k else None, f"{k} averages")
                        for place, (load, k) in enumerate(zip(loads, numbers, strict=True))
                    ),
                )
            )
            total = float(np.asarray(add_in_lanes_along(np.asarray(loads))))
            yield Step("mass", write_sum(texts), total, "kg", f"sum of the days in the order {ORDER}")
            return
        texts = [
            _times(float(value), float(share)) if ok else None
            for value, share, ok in zip(series.values, series.run_share, series.is_valid, strict=True)
        ]
        total = float(np.asarray(add_in_lanes_along(np.where(valid, rates, 0.0)))[0])
        remark = (
            ""
            if (series.run_share[series.is_valid] == 1.0).all()
            else "an hour that was partly stopped counts its part in operation"
        )
        yield Step("mass: sum of the rates", write_sum(texts), total, "kg/h", f"sum in the order {ORDER}", remark)
        yield Step(
            "mass",
            f"{total!r} * {float(series.length_min)!r} / 60.0",
            float(loads[0]),
            "kg",
            f"each rate holds for {series.length_min} minutes",
        )

    def _table_of_days(self, title: str, unit: str, days: long_term.Days) -> Table:
        rows = []
        for place, n in enumerate(np.asarray(days.n_used).tolist()):
            told = [f"{n} averages, sum {float(days.total[place])!r}"] if n else ["nothing counts"]
            told += ["discarded"] if days.is_discarded[place] else [] if days.is_valid[place] or not n else ["too few"]
            rows.append(Row(self.period[0] + place * DAY_MS, float(days.mean[place]) if n else None, ", ".join(told)))
        return Table(title, unit, tuple(rows))

    def _why(self, series: TermSeries, place: int) -> str:
        if series.is_valid[place]:
            return ""
        if not series.has_figure[place]:
            return "no record"
        if not series.has_run[place]:
            return "stopped"
        return (
            "lost" if series.is_discarded[place] else "not compared" if not series.is_compared[place] else "not valid"
        )

    def _source(self, clause: str, *settings: str) -> str:
        return source_of(self.maker.rules, clause, *settings)


def _times(value: float, share: float) -> str:
    return repr(value) if share == 1.0 else f"{value!r} * {share!r}"
