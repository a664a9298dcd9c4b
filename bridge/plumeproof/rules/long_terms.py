"""Days, months, rolling 30 days and years of a plant from its short-term figures (averaging-rules sections 6 and 9).

What is compared with a limit is averaged: validated values where the rule set makes them, standardised ones elsewhere.
Masses are summed, start-up and shut-down included. Greenhouse gases get their tonnes with missing hours substituted in
annual.py. A period in which no record had a slot has no figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules import annual, calendar, long_term
from plumeproof.rules.calendar import DAY_MIN, DAY_MS, MINUTE_MS
from plumeproof.rules.figure import DAY, MASS, MONTH, PLAIN, ROLLING_30_DAYS, STANDARDISED, VALIDATED, YEAR, Figure
from plumeproof.rules.figure_maker import Expanded, FigureMaker, Spread
from plumeproof.rules.summation import add_in_lanes_along
from plumeproof.rules.term_series import SeriesBuilder, TermSeries

# Flags of a figure
DISCARDED_DAY = "discarded_day"  # too many averages lost by malfunction or maintenance
TOO_FEW = "too_few"  # averages or days, to be judged
INCOMPLETE_MASS = "incomplete_mass"  # hours in operation without a mass: nothing is taken for them here
ACTION_REQUIRED = "action_required"  # more invalid days in the year than the rule set allows

_AVERAGED = (VALIDATED, STANDARDISED)
Period = tuple[int, int]


def period_of(level: str, start_utc_ms: int, offset_min: int) -> Period | None:
    """[start, end) of the period of a level that begins at an instant, None where none does; rolling: the window that
    ends with the day that begins there. Raises RuleError (unknown level)."""
    if level not in (DAY, MONTH, YEAR, ROLLING_30_DAYS):
        raise RuleError(f"level {level[:40]!r}", f"is none of {DAY}, {ROLLING_30_DAYS}, {MONTH}, {YEAR}")
    day = calendar.day_of(start_utc_ms, offset_min)
    if day[0] != start_utc_ms:
        return None
    if level == DAY:
        return day
    if level == ROLLING_30_DAYS:
        return day[1] - long_term.ROLLING_DAYS * DAY_MS, day[1]
    found = (
        calendar.month_of(start_utc_ms, offset_min) if level == MONTH else calendar.year_of(start_utc_ms, offset_min)
    )
    return found if found[0] == start_utc_ms else None


def has_level(maker: FigureMaker, level: str) -> bool:
    """Whether a rule set asks for figures of a level."""
    return level != ROLLING_30_DAYS or maker.rules.settings.month == "rolling_30d"


def figures(
    maker: FigureMaker, level: str, period: Period, builder: SeriesBuilder, reason: str = ""
) -> Iterator[Figure]:  # fmt: skip
    """Every figure of one period, from the short-term figures that the builder was given."""
    series, inputs = builder.series(), builder.inputs()
    for measurand in maker.plant.measurands:
        own = {
            layer: series[measurand.id, layer] for layer in (*_AVERAGED, PLAIN, MASS) if (measurand.id, layer) in series
        }
        averaged = next((layer for layer in _AVERAGED if layer in own), None)
        if averaged is not None:
            yield _average(maker, measurand.id, averaged, own, level, period, inputs, reason)
        if MASS in own and level != ROLLING_30_DAYS:
            yield _mass(maker, measurand.id, own[MASS], level, period, inputs, reason)
        if level in (MONTH, YEAR) and averaged is not None:
            yield from annual.figures(maker, measurand, series, level, period, inputs, reason)


def _by_day(series: TermSeries, values: Any) -> Any:
    return np.asarray(values).reshape(-1, DAY_MIN // series.length_min)


def days_of(series: TermSeries, maker: FigureMaker) -> long_term.Days:
    """The days of whole days of terms; those without any figure hold nothing and are not discarded."""
    settings = maker.rules.settings
    seen = _by_day(series, series.has_figure).any(axis=-1)
    lost = _by_day(series, series.is_discarded) & seen[:, None]
    return long_term.day_averages(
        _by_day(series, series.values),
        _by_day(series, series.is_valid),
        lost,
        settings.discard_limit_per_day,
        settings.min_valid_sta_per_day,
    )


def _average(
    maker: FigureMaker,
    name: str,
    layer: str,
    own: dict[str, TermSeries],
    level: str,
    period: Period,
    inputs: Any,
    reason: str,
) -> Figure:
    settings = maker.rules.settings
    own = {name: one.only_compared() for name, one in own.items()}
    series = own[layer]
    days = days_of(series, maker)
    flags = []
    source, is_of_days = series, False
    if level == DAY:
        value, exists, is_valid = days.mean[0], days.exists[0], days.is_valid[0]
        flags += [DISCARDED_DAY] if days.is_discarded[0] else []
        flags += [TOO_FEW] if not is_valid and not days.is_discarded[0] else []
    else:
        source = own[PLAIN] if level == YEAR and PLAIN in own else series
        of_days = days if source is series else days_of(source, maker)
        is_of_days = level == YEAR and settings.year_from == "days"
        if is_of_days:
            value, exists = long_term.mean_of_days(of_days.mean, of_days.is_valid)
        else:
            value, exists = long_term.mean_of_days_sums(of_days.total, of_days.n_used)
        period_min = (period[1] - period[0]) // MINUTE_MS
        is_valid = exists and long_term.is_long_enough(
            int(np.sum(of_days.n_used)), settings.sta_min, period_min, settings.lta_min_share
        )
        if level == MONTH:
            month = calendar.month_number(period[0], settings.utc_offset_min(maker.plant.utc_offset_min))
            n_days = int(np.count_nonzero(of_days.is_valid))
            is_valid = is_valid and long_term.days_suffice(
                n_days, month, settings.min_days_per_month, settings.min_days_in_february
            )  # fmt: skip
        flags += [] if is_valid else [TOO_FEW]
        n_discarded = int(np.count_nonzero(of_days.is_discarded))
        if level == YEAR and long_term.action_required(n_discarded, settings.invalid_days_per_year):
            flags.append(ACTION_REQUIRED)
    used = series.values[series.is_valid]
    spread = Spread(float(used.min()), float(used.max()), None) if used.size else Spread()
    n_run = int(np.count_nonzero(series.has_run & _seen(series)))
    lost = int(np.count_nonzero(series.is_discarded & _seen(series)))
    counts = (n_run, int(used.size), {"discarded": lost, "not_compared": max(0, n_run - int(used.size) - lost)})
    number = float(value) if exists else None
    return maker.make(
        (name, layer, level), period, series.unit, number, bool(is_valid), counts, inputs, flags=flags, spread=spread,
        uncertainty=_of_mean(source, days_of(source, maker) if is_of_days else None), reason=reason,
    )  # fmt: skip


def _of_mean(series: TermSeries, days: long_term.Days | None) -> Expanded | None:
    """Of the mean of what counts; with `days` of the mean of the valid days' means."""
    counts = series.is_valid
    if not series.has_uncertainty.any():
        return None
    if days is None:
        return series.combined(1.0 / max(1, int(np.count_nonzero(counts))), counts)
    valid = np.asarray(days.is_valid)
    of_term = np.where(valid, 1.0 / np.where(valid, days.n_used, 1) / max(1, int(np.count_nonzero(valid))), 0.0)
    per_day = series.count // len(of_term)
    return series.combined(np.repeat(of_term, per_day), counts & np.repeat(valid, per_day))


def _seen(series: TermSeries) -> Any:
    """Terms that count towards what is expected (annual.seen)."""
    return annual.seen(series)


def _mass(
    maker: FigureMaker, name: str, series: TermSeries, level: str, period: Period, inputs: Any, reason: str
) -> Figure:
    """kg of what was measured; days first, then over the days in their order."""
    loads, numbers = long_term.load_in_period(
        _by_day(series, series.values * series.run_share), _by_day(series, series.is_valid), series.length_min
    )  # fmt: skip
    total = float(add_in_lanes_along(np.asarray(loads))) if level != DAY else float(loads[0])
    n_run = int(np.count_nonzero(series.has_run & _seen(series)))
    n = int(np.sum(numbers))
    flags = [INCOMPLETE_MASS] if n < n_run else []
    counts = (n_run, n, {"without_mass": n_run - n})
    return maker.make(
        (name, MASS, level), period, "kg", total if n else None, n == n_run and n > 0, counts, inputs, flags=flags,
        uncertainty=series.combined(series.run_share * series.length_min / 60.0, series.is_valid), reason=reason,
    )  # fmt: skip
