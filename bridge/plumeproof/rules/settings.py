"""The settings that a rule set may give, each with what it allows (reference: averaging-rules section 2).

Names and JSON values are those of the reference; what it leaves open (its signs of doubt) has a setting too. A setting
of None means that the step is not done. Defaults are no code: they stand in sets/base.json, with their confidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

from plumeproof.errors import RuleError

DAY_MIN = 1440
OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")
OFFSET_MAX_MIN = 14 * 60  # as rules/plant.py
QUANTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
QUANTITIES_MAX = 64
CI_MODES = ("none", "qal2_capped", "pct_of_elv", "pct_of_value", "min_of_both")

Check = Callable[[Any], Any]  # takes a JSON value, gives the setting; raises ValueError: what it must be
_T = TypeVar("_T")


def _word(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return check


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number {low}..{high}")
        return value

    return check


def _decimal(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"must be a number {low:g}..{high:g}")
        return float(value)

    return check


def _or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _sta_min(value: Any) -> int:
    if type(value) is not int or value < 1 or DAY_MIN % value:
        raise ValueError("must be minutes that divide a day, such as 10, 30 or 60")
    return value


def _by_quantity(check: Check) -> Check:
    def check_all(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict) or len(value) > QUANTITIES_MAX:
            raise ValueError(f'must be an object such as {{"CO": 10}}, of at most {QUANTITIES_MAX}')
        found = {}
        for name, item in value.items():
            if QUANTITY.fullmatch(name) is None:
                raise ValueError(f"{name[:40]!r} is no name of a measurand")
            try:
                found[name] = check(item)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from error
        return MappingProxyType(dict(sorted(found.items())))

    return check_all


def _share(value: Any) -> tuple[int, int]:
    is_pair = isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)
    if not is_pair or not 0 <= value[0] <= value[1] <= 10_000 or value[1] == 0:
        raise ValueError("must be two whole numbers, such as [2, 3] for two thirds, the first not the larger")
    return value[0], value[1]


def _coverage(value: Any) -> tuple[int, int] | str:
    """A share above zero: without any valid value there is no mean."""
    if value == "quadrants":
        return "quadrants"
    share = _share(value)
    if share[0] == 0:
        raise ValueError("must be above zero: a mean of nothing is no figure")
    return share


def _letters(value: Any) -> str:
    allowed = "PUOCMFLX"
    if not isinstance(value, str) or not value or list(value) != [letter for letter in allowed if letter in value]:
        raise ValueError(f"must be letters of {allowed}, in this order")
    return value


def _offset(value: Any) -> str:
    found = OFFSET.fullmatch(value) if isinstance(value, str) else None
    is_fixed = found is not None and int(found[2]) * 60 + int(found[3]) <= OFFSET_MAX_MIN
    if value not in ("site", "local standard") and not is_fixed:
        raise ValueError('must be "site", "local standard" or an offset such as "+08:00"')
    return str(value)


def _rule(check: Check) -> Any:
    return field(metadata={"check": check})


@dataclass(frozen=True, slots=True)
class Settings:
    """A resolved rule set's settings. Shares are pairs of integers (numerator, denominator), never a float."""

    # Data levels, status and coverage (section 3)
    sta_min: int = _rule(_sta_min)  # length of a short-term average
    extra_sta_min: Mapping[str, int] = _rule(_by_quantity(_sta_min))  # another length beside it, per measurand
    fld_max_s: int = _rule(_whole(1, 3600))  # first level data are at most this long
    coverage: tuple[int, int] | str = _rule(_coverage)
    coverage_basis: str = _rule(_word("operating", "period"))
    standstill_lowers_coverage: bool = _rule(_truth)  # of the period; else its part in operation is the basis
    over_range: str = _rule(_word("invalid", "use_range_end"))
    under_range_pct: float = _rule(_decimal(-100.0, 0.0))  # of the range: below it a value is U
    lost_letters: str = _rule(_letters)  # which count as malfunction or maintenance
    state_rule: str = _rule(_word("majority", "whole"))  # which plant state an STA has
    start_up_compared: bool = _rule(_truth)  # start-up and shut-down are compared with limits
    otnoc_uninterrupted_h: int | None = _rule(_or_none(_whole(1, 8784)))
    otnoc_window_h: int | None = _rule(_or_none(_whole(1, 8784)))
    otnoc_window: str = _rule(_word("calendar_year", "12_months"))
    # From signal to reference conditions (section 4)
    standardise_at: str = _rule(_word("STA", "FLD"))
    molar_volume: float = _rule(_decimal(20.0, 26.0))  # L/mol
    zero_celsius_k: float = _rule(_decimal(273.0, 273.15))  # in the formula of the flow; concentrations have 273.15
    o2_air: float = _rule(_decimal(20.0, 22.0))  # vol-%
    o2_no_conversion_below_ref: bool = _rule(_truth)
    o2_invalid_above: float | None = _rule(_or_none(_decimal(1.0, 22.0)))  # vol-%
    o2_clamp: float | None = _rule(_or_none(_decimal(1.0, 22.0)))  # vol-%
    mass_zero_when_negative: bool = _rule(_truth)
    # Validated values and rounding (section 5)
    ci_mode: str = _rule(_word(*CI_MODES))
    ci_pct: Mapping[str, float] = _rule(_by_quantity(_decimal(0.0, 100.0)))  # of the daily limit, per measurand
    ci_half_hour_below: Mapping[str, float] = _rule(_by_quantity(_decimal(0.0, 1e6)))  # mg/m3, see validated.py
    clip_negative: bool = _rule(_truth)
    rounding: str = _rule(_word("half_away", "half_even"))
    round_extra_digits: int = _rule(_whole(0, 3))
    compare: str = _rule(_word("rounded", "unrounded"))
    # Day, month, year (section 6)
    discard_limit_per_day: int | None = _rule(_or_none(_whole(0, DAY_MIN)))
    invalid_days_per_year: int | None = _rule(_or_none(_whole(0, 366)))
    min_valid_sta_per_day: int | None = _rule(_or_none(_whole(0, DAY_MIN)))
    lta_min_share: tuple[int, int] = _rule(_share)  # of a period's time: below it month and year have no value
    month: str = _rule(_word("calendar", "rolling_30d"))
    year_from: str = _rule(_word("days", "sta"))
    year_without_o2_exception: bool = _rule(_truth)
    min_days_per_month: int | None = _rule(_or_none(_whole(0, 31)))
    min_days_in_february: int | None = _rule(_or_none(_whole(0, 29)))
    # Limits (section 7)
    limit_tests: str = _rule(_word("none", "waste", "combustion", "every_value", "swiss"))
    # EN 14181 (section 8)
    qal2_max_years: int | None = _rule(_or_none(_whole(1, 10)))
    ast_max_months: int | None = _rule(_or_none(_whole(1, 60)))
    shewhart_warning_sigma: float = _rule(_decimal(0.1, 10.0))
    shewhart_action_sigma: float = _rule(_decimal(0.1, 10.0))
    # Substitution, greenhouse gases, capture (sections 9 to 11)
    substitution: str = _rule(_word("none", "mean_plus_2sigma", "hj75_mass_only", "75.33"))
    sigma: str = _rule(_word("sample", "population"))
    percentile: str = _rule(_word("nearest_rank", "linear"))
    gwp: str | None = _rule(_or_none(_word("AR4", "AR5", "AR6")))
    min_capture_pct: float | None = _rule(_or_none(_decimal(0.0, 100.0)))
    # Time (section 12)
    utc_offset: str = _rule(_offset)
    time_label: str = _rule(_word("start", "end"))

    def sta_min_of(self, quantity: str) -> tuple[int, ...]:
        """Lengths of the short-term averages of a measurand, in minutes, the main one first."""
        extra = self.extra_sta_min.get(quantity)
        return (self.sta_min,) if extra is None or extra == self.sta_min else (self.sta_min, extra)

    def expected_basis(self) -> str:
        """Of which part of a term first level data are expected: "operating" or "period"."""
        return self.coverage_basis if self.standstill_lowers_coverage else "operating"

    def utc_offset_min(self, site_min: int) -> int:
        """Minutes east of UTC on whose days the averages lie; `site_min`: the site's standard time."""
        found = OFFSET.fullmatch(self.utc_offset)
        if found is None:
            return site_min
        return (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)


NAMES = tuple(entry.name for entry in fields(Settings))
_CHECKS: dict[str, Check] = {entry.name: entry.metadata["check"] for entry in fields(Settings)}


def check_setting(name: str, value: Any, where: str) -> Any:
    """The value as it is kept. Raises RuleError (unknown name, impossible value)."""
    if name not in _CHECKS:
        raise RuleError(f"{where}: {name[:40]}", "is no known setting; rules/settings.py lists them")
    try:
        return _CHECKS[name](value)
    except ValueError as error:
        raise RuleError(f"{where}: {name}", str(error)) from error


def build_settings(values: Mapping[str, Any], where: str) -> Settings:
    """All settings together. Raises RuleError for what one alone cannot show."""
    missing = [name for name in NAMES if name not in values]
    if missing:
        raise RuleError(f"{where}: {missing[0]}", "is set neither here nor in what it inherits; set it")
    found = Settings(**{name: check_setting(name, values[name], where) for name in NAMES})
    if found.coverage == "quadrants" and found.sta_min != 60:
        raise RuleError(f"{where}: coverage", "quadrants are those of an hour; set sta_min to 60")
    if found.min_valid_sta_per_day is not None and found.min_valid_sta_per_day > DAY_MIN // found.sta_min:
        raise RuleError(f"{where}: min_valid_sta_per_day", f"a day has only {DAY_MIN // found.sta_min} averages")
    for name in ("o2_invalid_above", "o2_clamp"):
        limit = getattr(found, name)
        if limit is not None and limit >= found.o2_air:
            raise RuleError(f"{where}: {name}", f"is not below o2_air {found.o2_air:g}, where no result exists anyway")
    if (found.otnoc_window_h is None) != (found.otnoc_uninterrupted_h is None):
        raise RuleError(f"{where}: otnoc_window_h", "and otnoc_uninterrupted_h belong together; set both or none")
    return found
