"""QAL2 and AST: the calibration function from parallel measurements, and its tests (EN 14181:2014 clauses 6, 8).

    y = a + b x      x: AMS signal, y: standard reference method (SRM) at the same conditions

Method a is a line through the pairs where they span enough, b a line through the AMS reading at zero, c method a with
reference material beside the pairs (clause 6.4, DK 0.85). Variability, at reference conditions (6.6, DK 0.9):
s_D <= sigma_0 k_v(N), sigma_0 = pct ELV / 1.96; in an AST s_D <= 1.5 sigma_0 k_v(N) and
|mean D| <= t(N-1) s_D / sqrt(N) + sigma_0. Which weeks leave the valid range: qal2_range.py; when what is due:
due_dates.py. Sums are made in the order lanes20-v1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Number, Numbers, Truth, as_numbers, give
from plumeproof.rules.qal2_factors import factors_of
from plumeproof.rules.series import as_series, refuse_not_finite, refuse_other_lengths
from plumeproof.rules.summation import Moments, add_in_lanes, find_moments

QAL2_MIN_PAIRS = 15  # over at least 3 days [S22, second-hand]
QAL2_MIN_DAYS = 3
AST_MIN_PAIRS = 5  # DK 0.9
METHOD_C_BELOW_PCT = 15.0  # of the ELV: where the smallest SRM value lies below, method c
RANGE_BEYOND = 1.1  # the range ends 10 % above the largest calibrated value [S11]
RANGE_MIN_PCT = 20.0  # or at this share of the ELV, if that is more (DK 0.8)
EXPANSION = 1.96  # of the permissible uncertainty: a 95 % confidence interval of a normal distribution
AST_VARIABILITY = 1.5


@dataclass(frozen=True, slots=True)
class CalibrationFunction:
    """y = a + b x, and what it was made from. `r2` exists where neither x nor y is one and the same value. `y_min`,
    `y_span`: at reference conditions.

    `permissible`: the largest permissible uncertainty, pct of the daily ELV, in the unit of y. `remarks`:
    too_few_pairs, too_few_days, slope_not_positive: the function is given all the same, a person decides.
    """

    method: str
    a: float
    b: float
    n: int
    x_mean: float
    y_mean: float
    y_min: float
    y_span: float
    r2: float
    has_r2: bool
    permissible: float
    remarks: tuple[str, ...]

    def apply(self, x: Number) -> Number:
        """a + (b x)."""
        return self.a + self.b * x


def calibrate(
    x_ams: npt.ArrayLike,
    y_srm: npt.ArrayLike,
    daily_elv: float,
    permissible_pct: float,
    *,
    days: int,
    zero_reading: float | None = None,
    reference: Sequence[tuple[float, float]] = (),
    at_reference: npt.ArrayLike | None = None,
) -> CalibrationFunction:
    """The function by the method that the pairs ask for.

    `zero_reading`: what the AMS shows at zero (method b); `reference`: (AMS reading, value) of zero and span reference
    material (method c); `at_reference`: `y_srm` at the limit's reference conditions, by which the method is chosen, if
    that is something else. Raises RuleError: no line goes through the figures, or what the method needs is not given.
    """
    x, y = _pairs(x_ams, y_srm)
    elv, permissible = _permissible(daily_elv, permissible_pct)
    x_moments, y_moments = _moments(x), _moments(y)
    judged, _ = (y, y) if at_reference is None else _pairs(at_reference, y)
    y_min, span = float(judged.min()), float(judged.max()) - float(judged.min())
    r2, has_r2 = _r2(x, y, x_moments, y_moments)
    if span >= permissible:
        method, (a, b) = "a", _line(x, y)
    elif y_min >= METHOD_C_BELOW_PCT * elv / 100.0:
        method, (a, b) = "b", _line_through_zero(x_moments.mean, y_moments.mean, zero_reading)
    else:
        if len(reference) < 2:
            mend = "give readings of zero and span reference material"
            raise RuleError("reference", f"the pairs span {span:g} from {y_min:g}: method c; {mend}")
        x_more, y_more = _pairs([point[0] for point in reference], [point[1] for point in reference], at_least=2)
        method, (a, b) = "c", _line(np.concatenate((x, x_more)), np.concatenate((y, y_more)))
    remarks = []
    if x.size < QAL2_MIN_PAIRS:
        remarks.append("too_few_pairs")
    if days < QAL2_MIN_DAYS:
        remarks.append("too_few_days")
    if b <= 0.0:
        remarks.append("slope_not_positive")
    n, x_mean, y_mean = x.size, x_moments.mean, y_moments.mean
    return CalibrationFunction(method, a, b, n, x_mean, y_mean, y_min, span, r2, has_r2, permissible, tuple(remarks))


@dataclass(frozen=True, slots=True)
class ValidRange:
    """Calibrated, standardised values in which the function is proven: lower <= y <= upper. Outside stays valid."""

    lower: float
    upper: float

    def holds(self, value: Number) -> Truth:
        """Element by element; compared are always standardised values."""
        numbers = as_numbers(value)
        return give((numbers >= self.lower) & (numbers <= self.upper))


def find_valid_range(largest_standardised: float, daily_elv: float) -> ValidRange:
    """From 0 to 1.1 times the largest calibrated, standardised value of the QAL2, or to 20 % of the ELV (DK 0.8)."""
    if not (math.isfinite(largest_standardised) and 0.0 < daily_elv < math.inf):
        raise RuleError("largest_standardised, daily_elv", "must be finite, and the ELV above 0")
    return ValidRange(0.0, max(RANGE_BEYOND * largest_standardised, RANGE_MIN_PCT * daily_elv / 100.0))


@dataclass(frozen=True, slots=True)
class RangeExtension:
    """A range that reaches further, from `since` on, because reference material near the ELV agreed (DK 0.6)."""

    since: date
    before: ValidRange
    after: ValidRange
    difference: float
    permissible: float
    is_granted: bool


def extend_range(
    before: ValidRange,
    function: CalibrationFunction,
    reading: float,
    reference_value: float,
    daily_elv: float,
    permissible_pct: float,
    since: date,
) -> RangeExtension:
    """To the reference material's value, if its reading, calibrated, agrees within the permissible uncertainty."""
    if not (math.isfinite(reading) and math.isfinite(reference_value)):
        raise RuleError("reading, reference_value", "must be finite numbers")
    _, permissible = _permissible(daily_elv, permissible_pct)
    difference = float(function.apply(reading)) - reference_value
    is_granted = abs(difference) <= permissible and reference_value > before.upper
    after = ValidRange(before.lower, reference_value) if is_granted else before
    return RangeExtension(since, before, after, difference, permissible, is_granted)


@dataclass(frozen=True, slots=True)
class Variability:
    """Differences SRM less calibrated AMS at reference conditions, and whether they scatter little enough."""

    n: int
    mean: float
    s_d: float
    sigma_0: float
    k_v: float
    limit: float
    is_passed: bool


def find_sigma_0(daily_elv: float, permissible_pct: float) -> float:
    """(pct ELV / 100) / 1.96."""
    return _permissible(daily_elv, permissible_pct)[1] / EXPANSION


def judge_variability(y_srm: npt.ArrayLike, y_calibrated: npt.ArrayLike, sigma_0: float) -> Variability:
    """QAL2: s_D <= sigma_0 k_v(N). Raises RuleError."""
    return _variability(y_srm, y_calibrated, sigma_0, 1.0)


@dataclass(frozen=True, slots=True)
class AnnualTest:
    """AST: the variability, and whether the function still holds: |mean D| <= bias_limit."""

    variability: Variability
    t_095: float
    bias_limit: float
    is_bias_passed: bool
    remarks: tuple[str, ...]  # too_few_pairs

    @property
    def is_passed(self) -> bool:
        return self.variability.is_passed and self.is_bias_passed


def judge_ast(y_srm: npt.ArrayLike, y_calibrated: npt.ArrayLike, sigma_0: float) -> AnnualTest:
    """At least 5 pairs; both series at reference conditions. Raises RuleError."""
    found = _variability(y_srm, y_calibrated, sigma_0, AST_VARIABILITY)
    t_095 = factors_of(found.n).t_095
    bias_limit = t_095 * found.s_d / math.sqrt(found.n) + sigma_0
    remarks = ("too_few_pairs",) if found.n < AST_MIN_PAIRS else ()
    return AnnualTest(found, t_095, bias_limit, abs(found.mean) <= bias_limit, remarks)


def _variability(y_srm: npt.ArrayLike, y_calibrated: npt.ArrayLike, sigma_0: float, share: float) -> Variability:
    if not 0.0 < sigma_0 < math.inf:
        raise RuleError("sigma_0", f"{sigma_0} is not above 0; give ELV and permissible uncertainty")
    srm, calibrated = _pairs(y_srm, y_calibrated)
    moments = _moments(srm - calibrated)
    s_d, _ = moments.sample_deviation()
    k_v = factors_of(moments.n).k_v
    limit = share * sigma_0 * k_v
    return Variability(moments.n, moments.mean, s_d, sigma_0, k_v, limit, s_d <= limit)


def _pairs(first: npt.ArrayLike, second: npt.ArrayLike, at_least: int = 3) -> tuple[Numbers, Numbers]:
    x, y = as_series(first, "the first of each pair"), as_series(second, "the second of each pair")
    refuse_other_lengths(x, pairs=y)
    if x.size < at_least:
        raise RuleError("pairs", f"{x.size} are too few; at least {at_least}")
    every = np.ones(x.shape, np.bool_)
    refuse_not_finite(x, every, "the first of each pair")
    refuse_not_finite(y, every, "the second of each pair")
    return x, y


def _permissible(daily_elv: float, permissible_pct: float) -> tuple[float, float]:
    if not (0.0 < daily_elv < math.inf and 0.0 < permissible_pct <= 100.0):
        raise RuleError("daily_elv, permissible_pct", "an ELV above 0 and per cent up to 100 are needed")
    return daily_elv, permissible_pct * daily_elv / 100.0


def _moments(series: Numbers) -> Moments:
    return find_moments(series, np.ones(series.shape, np.bool_))


def _line(x: Numbers, y: Numbers) -> tuple[float, float]:
    """Least squares: b = Sxy / Sxx, a = mean y - b mean x."""
    x_moments, y_moments = _moments(x), _moments(y)
    if not x_moments.m2 > 0.0:
        raise RuleError("x_ams", "all readings are the same; no line can be laid through them")
    b = add_in_lanes((x - x_moments.mean) * (y - y_moments.mean)) / x_moments.m2
    a = y_moments.mean - b * x_moments.mean
    if not (math.isfinite(a) and math.isfinite(b)):
        raise RuleError("x_ams", "readings are next to the same; no line can be laid through them")
    return a, b


def _line_through_zero(x_mean: float, y_mean: float, zero_reading: float | None) -> tuple[float, float]:
    """b = mean y / (mean x - Z), a = -b Z."""
    if zero_reading is None or not math.isfinite(zero_reading):
        raise RuleError("zero_reading", "the pairs ask for method b; give what the AMS shows at zero")
    if x_mean == zero_reading:
        raise RuleError("zero_reading", "is the mean of the readings; the AMS shows nothing but zero")
    b = y_mean / (x_mean - zero_reading)
    return 0.0 - b * zero_reading, b


def _r2(x: Numbers, y: Numbers, x_moments: Moments, y_moments: Moments) -> tuple[float, bool]:
    if not (x_moments.m2 > 0.0 and y_moments.m2 > 0.0):
        return 0.0, False
    together = add_in_lanes((x - x_moments.mean) * (y - y_moments.mean))
    return (together / x_moments.m2) * (together / y_moments.m2), True
