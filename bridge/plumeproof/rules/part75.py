"""United States, 40 CFR Part 75: data availability, substitution, formulas of Appendix F [S17]; a comparison profile.

A valid hour is short_term.covers_quadrants. Missing hours are filled by percent monitor data availability (75.32) and
length of the gap (75.33), with a method for each; the original stays missing. Times are local standard time. Family
"concentration" is 75.33(b), SO2, and CO2 alike (0.85); "nox_flow" looks back within the same load bin (0.8).
Availability is that before the gap (0.5: the text was not seen that closely). What a gap's length counts are operating
hours: hours in which the unit stood still are left out, also between the hour before and the hour after.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.elementwise import Number, Numbers, Truths, as_numbers, give
from plumeproof.rules.series import (
    as_mask,
    as_series,
    find_runs,
    last_counting,
    refuse_not_finite,
    refuse_other_lengths,
)
from plumeproof.rules.summation import add_in_lanes
from plumeproof.rules.table_file import load_table, read_confidence, read_rows

YEAR_H = 8760  # unit operating hours of the availability
LOOK_BACK_MAX_H = 26_280  # clock hours, 3 years
HB_HA, BIN_MEAN, P90, P95, MAXIMUM, MAX_POTENTIAL = "hb_ha", "bin_mean", "p90", "p95", "maximum", "max_potential"
METHODS = (HB_HA, BIN_MEAN, P90, P95, MAXIMUM, MAX_POTENTIAL)
PERCENTS = {P90: 90, P95: 95}
PERCENTILES = ("nearest_rank", "linear")
SO2_LB_PER_PPM_SCF = 1.660e-7  # Appendix F (DK 0.9), both wet or both dry, at 68 degF and 29.92 inHg
NOX_LB_PER_PPM_SCF = 1.194e-7
CO2_TON_PER_PCT_SCF = 5.7e-7  # short tons


@dataclass(frozen=True, slots=True)
class Availability:
    """Quality-assured hours of unit operating hours, compared in whole numbers."""

    qa_h: int
    operating_h: int

    def __post_init__(self) -> None:
        if not 0 <= self.qa_h <= self.operating_h:
            raise RuleError("availability", f"{self.qa_h} of {self.operating_h} hours cannot be")

    def reaches(self, pct: int) -> bool:
        """Without any operating hour only 0 % is reached."""
        return self.qa_h * 100 >= self.operating_h * pct if self.operating_h else pct == 0

    @property
    def pct(self) -> float:
        """For display; 0 without operating hours."""
        return 100.0 * self.qa_h / self.operating_h if self.operating_h else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """From this availability on: `short` for gaps up to `short_max_h`, `long` for longer ones."""

    from_pct: int
    short_max_h: int
    short: str
    long: str


@dataclass(frozen=True, slots=True)
class Family:
    """How far back one looks, until when the initial rule of 75.31 holds, and the rows from the best availability."""

    id: str
    look_back_h: int
    initial_h: int
    confidence: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Replacement:
    """A value for a missing hour and the method it came by. `exists` is false while what the method needs is missing.

    `is_short`: the look-back held fewer hours than it asks for.
    """

    value: float
    exists: bool
    method: str
    is_short: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """Hours after substitution; `methods`: "" where nothing was replaced."""

    values: Numbers
    has: Truths
    is_substituted: Truths
    methods: tuple[str, ...]
    is_short: Truths


def find_availability(valid: npt.ArrayLike, operating: npt.ArrayLike, hour: int) -> Availability:
    """Of the last 8760 unit operating hours before `hour`, at most 26280 clock hours back (75.32)."""
    mask, ran = as_mask(valid, "valid"), as_mask(operating, "operating")
    if mask.shape != ran.shape or not 0 <= hour <= mask.size:
        raise RuleError("operating", f"has {ran.size} hours beside {mask.size}, or hour {hour} lies outside them")
    since = max(0, hour - LOOK_BACK_MAX_H)
    places = np.flatnonzero(ran[since:hour])[-YEAR_H:]
    return Availability(int(np.count_nonzero(mask[since:hour][places])), int(places.size))


def find_percentile(values: npt.ArrayLike, pct: int, rule: str = "nearest_rank") -> tuple[float, bool]:
    """Nearest rank: number ceil(p n) of the sorted values (DK 0.6); linear: between the neighbours of p (n - 1)."""
    series = as_series(values, "values")
    if not (type(pct) is int and 0 < pct <= 100):
        raise RuleError("pct", f"{pct} is no whole per cent above 0")
    if rule not in PERCENTILES:
        raise RuleError("percentile", f"{rule[:40]!r} is none of {', '.join(PERCENTILES)}")
    if series.size == 0:
        return 0.0, False
    refuse_not_finite(series, np.ones(series.shape, np.bool_), "values")
    ordered = np.sort(series)
    if rule == "nearest_rank":
        return float(ordered[-(-pct * series.size // 100) - 1]), True
    place, rest = divmod(pct * (series.size - 1), 100)
    if rest == 0:
        return float(ordered[place]), True
    return float(ordered[place] + (ordered[place + 1] - ordered[place]) * (rest / 100.0)), True


def choose_method(family: str, availability: Availability, gap_h: int, qa_h_ever: int | None = None) -> str:
    """`qa_h_ever`: quality-assured hours since certification; below the family's number the initial rule holds."""
    rules = _family(family)
    if qa_h_ever is not None and qa_h_ever < rules.initial_h:
        return HB_HA
    row = next(row for row in rules.rows if availability.reaches(row.from_pct))
    return row.short if gap_h <= row.short_max_h else row.long


def replace_hour(
    method: str,
    look_back: npt.ArrayLike,
    look_back_h: int,
    before: float | None,
    after: float | None,
    max_potential: float | None,
    percentile: str = "nearest_rank",
) -> Replacement:
    """The value by a method. `before`, `after`: hour before and after the gap, None while there is none.

    A percentile is taken if it is not below the mean of those two. `max_potential` None: nobody has stated it. Raises
    RuleError.
    """
    if method not in METHODS:
        raise RuleError("method", f"{method[:40]!r} is none of {', '.join(METHODS)}")
    if max_potential is not None and not 0.0 <= max_potential < np.inf:
        raise RuleError("max_potential", f"{max_potential} is no concentration or flow; see the monitoring plan")
    series = as_series(look_back, "look_back")
    is_short = series.size < look_back_h
    mean = None if before is None or after is None else (before + after) / 2.0
    if method == MAX_POTENTIAL:
        return Replacement(max_potential or 0.0, max_potential is not None, method, False)
    if method == HB_HA:
        return Replacement(0.0 if mean is None else mean, mean is not None, method, False)
    if not series.size:
        return Replacement(0.0, False, method, True)
    if method == MAXIMUM:
        return Replacement(float(series.max()), True, method, is_short)
    if method == BIN_MEAN:
        return Replacement(add_in_lanes(series) / series.size, True, method, is_short)
    value, _ = find_percentile(series, PERCENTS[method], percentile)
    if mean is None:
        return Replacement(0.0, False, method, is_short)
    return Replacement(max(value, mean), True, method, is_short)


def fill_hours(
    values: npt.ArrayLike,
    valid: npt.ArrayLike,
    operating: npt.ArrayLike,
    family: str,
    max_potential: float | None,
    load_bin: npt.ArrayLike | None = None,
    percentile: str = "nearest_rank",
    first: int = 0,
) -> Filled:
    """Fills the operating hours from `first` on that are not valid; the series begins with the certification.

    `load_bin` (whole numbers, one for every hour) narrows the look-back of "nox_flow"; None: one bin. Raises RuleError.
    """
    series, mask, ran = as_series(values, "values"), as_mask(valid, "valid"), as_mask(operating, "operating")
    bins = np.zeros(series.shape, np.int64) if load_bin is None else np.asarray(load_bin)
    refuse_other_lengths(series, valid=mask, operating=ran, load_bin=bins)
    if bins.dtype.kind not in "iu":
        raise RuleError("load_bin", "is no whole number for every hour")
    refuse_not_finite(series, mask, "values")
    rules = _family(family)
    counts = mask & ran
    clock = np.flatnonzero(ran)  # place among the operating hours to place in the series
    filled, has, short = np.where(mask, series, 0.0), mask.copy(), np.zeros(series.shape, np.bool_)
    methods = [""] * series.size
    for start, end in find_runs(~mask[clock]):
        gap = clock[start:end]
        if gap[-1] < first:
            continue
        availability = find_availability(mask, ran, int(gap[0]))
        ever = int(np.count_nonzero(counts[: gap[0]]))
        method = choose_method(family, availability, end - start, ever)
        before = float(series[clock[start - 1]]) if start else None
        after = float(series[clock[end]]) if end < clock.size else None
        for hour in gap[gap >= first].tolist():
            same = counts & (bins == bins[hour]) if family == "nox_flow" else counts
            look_back = last_counting(series, same, int(gap[0]), rules.look_back_h)
            found = replace_hour(method, look_back, rules.look_back_h, before, after, max_potential, percentile)
            if found.exists:
                filled[hour], has[hour], short[hour], methods[hour] = found.value, True, found.is_short, method
    return Filled(filled, has, has & ~mask, tuple(methods), short)


def so2_lb_h(ppm: Number, flow_scfh: Number) -> Number:
    """(1.660e-7 ppm) scfh."""
    return _rate(SO2_LB_PER_PPM_SCF, ppm, flow_scfh)


def nox_lb_h(ppm: Number, flow_scfh: Number) -> Number:
    """(1.194e-7 ppm) scfh."""
    return _rate(NOX_LB_PER_PPM_SCF, ppm, flow_scfh)


def co2_ton_h(co2_pct: Number, flow_scfh: Number) -> Number:
    """(5.7e-7 %) scfh, short tons."""
    return _rate(CO2_TON_PER_PCT_SCF, co2_pct, flow_scfh)


def in_hour(rate_per_h: Number, operating_time_h: Number) -> Number:
    """Rate times the share of the hour in which the unit ran. Raises RuleError outside 0..1."""
    time = as_numbers(operating_time_h)
    if not ((time >= 0.0) & (time <= 1.0)).all():
        raise RuleError("operating_time_h", "is outside 0..1; give the fraction of the hour")
    return give(as_numbers(rate_per_h) * time)


def _rate(factor: float, value: Number, flow: Number) -> Number:
    return give(factor * as_numbers(value) * as_numbers(flow))


def _family(name: str) -> Family:
    families = _table()
    if name not in families:
        raise RuleError("family", f"{name[:40]!r} is none of {', '.join(families)}")
    return families[name]


@cache
def _table() -> dict[str, Family]:
    _, families = load_table("part75_substitution", lambda reader: read_rows(reader, "families", _read_family))
    return {family.id: family for family in families}


def _read_family(reader: Reader) -> Family:
    family = Family(
        reader.identifier("id"),
        reader.integer("look_back_h", 1, LOOK_BACK_MAX_H),
        reader.integer("initial_h", 0, LOOK_BACK_MAX_H),
        read_confidence(reader),
        read_rows(reader, "rows", _read_row),
    )
    borders = [row.from_pct for row in family.rows]
    if borders != sorted(set(borders), reverse=True) or borders[-1] != 0:
        raise ParametersError("range", f"{reader.where}: rows do not fall to from_pct 0")
    return family


def _read_row(reader: Reader) -> Row:
    return Row(
        reader.integer("from_pct", 0, 100),
        reader.integer("short_max_h", 0, LOOK_BACK_MAX_H),
        reader.word("short", METHODS),
        reader.word("long", METHODS),
    )
