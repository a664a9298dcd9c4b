"""Tests of compliance with emission limit values (reference: averaging-rules section 7). Limits come from the permit.

IED Annex VI Part 8 point 1.1 [S1] (waste), Annex V Part 4 (combustion, confidence 0.95), 13. BImSchV section 19 [S4]
(every value), LRV Art. 15(4) [S7] (Switzerland). Shares are compared by whole numbers: 97 % of N at most B means
n_over * 100 <= 3 * N. A test says how much it has seen; with nothing to compare it is met and `is_judged` is false.

A permit's limit has one of these kinds; a test takes those that it knows:
day, half_hour, half_hour_a, half_hour_b, ten_min, hour, month, year. In mg/m3 at reference conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Count, Numbers, Truth, Truths, give
from plumeproof.rules.rounding import decimals_of, exceeds, to_decimal
from plumeproof.rules.settings import Settings

KINDS = ("ten_min", "half_hour", "half_hour_a", "half_hour_b", "hour", "day", "month", "year")
COLUMN_B_PCT = 3  # of the year's half-hours may be above B: 97 % at most B
CO_DAYS_PCT = 3  # of the year's daily averages of CO
CO_TEN_MIN_PCT = 5  # of the 10-minute averages of any 24 h
HOURS_PCT = 5  # of the year's hours may be above 200 % (combustion)
SWISS_HOURS_PCT = 3  # of the year's hours may be above 120 % (LRV)
DAY_FACTOR, HOUR_FACTOR = Decimal("1.1"), Decimal(2)  # combustion: of the monthly limit
OLD_COAL_DAY_FACTOR = Decimal("1.5")  # older coal plant of at most 50 MW
SWISS_HOUR_FACTOR, SWISS_PEAK_FACTOR = Decimal("1.2"), Decimal(2)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How values are compared (section 5.2): decimals of the limit as printed, and the rule set's way of rounding."""

    decimals: int
    rounding: str = "half_away"
    compare: str = "rounded"

    @classmethod
    def of(cls, limit: str, settings: Settings, decimals: int | None = None) -> Comparison:
        """For a limit as the permit prints it ("10" or "10.0"), or with the decimals that the plant states for it."""
        printed = decimals_of(limit) if decimals is None else decimals
        return cls(printed + settings.round_extra_digits, settings.rounding, settings.compare)

    def is_over(self, values: Any, limit: str | Decimal) -> Any:
        """Where existing values are above."""
        return exceeds(values, limit, self.decimals, self.rounding, self.compare)


@dataclass(frozen=True, slots=True)
class LimitTest:
    """One test: `n` values seen, `n_over` above `limit`, at most `n_allowed` may be.

    `averages`: the series that was compared, and `decimals`, to which it was rounded for it (None: it was not);
    `over`: places in the series of what is above, `highest`: of the greatest; None where there is nothing.
    """

    kind: str
    limit: Decimal
    n: int
    n_over: int
    n_allowed: int
    averages: str = ""
    decimals: int | None = None
    over: tuple[int, ...] = ()
    highest: int | None = None

    @property
    def is_met(self) -> bool:
        return self.n_over <= self.n_allowed

    @property
    def is_judged(self) -> bool:
        """Whether there was anything to compare."""
        return self.n > 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """All tests of a measurand: of each group one must be met, and all groups must be. `untested`: kinds of the
    permit's limits that no test of the rule set compares anything with."""

    groups: tuple[tuple[LimitTest, ...], ...]
    untested: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        return all(_is_one_met(group) for group in self.groups)

    @property
    def is_judged(self) -> bool:
        return any(test.is_judged for group in self.groups for test in group)


def _is_one_met(group: tuple[LimitTest, ...]) -> bool:
    """A test that has seen nothing fulfils no alternative, unless none of them has."""
    judged = [test for test in group if test.is_judged]
    return not judged or any(test.is_met for test in judged)


def is_share_met(n_over: Count, n: Count, allowed_pct: int) -> Truth:
    """n_over * 100 <= pct * N."""
    return give(np.asarray(np.asarray(n_over, np.int64) * 100 <= np.asarray(n, np.int64) * allowed_pct))


def co_24_h_met(n_ten_min: Count, n_ten_min_over: Count, n_half_hours: Count, n_half_hours_over: Count) -> Truth:
    """CO in any 24 h: at least 95 % of the 10-minute averages at most their limit, or all half-hours at most theirs.

    Averages that are not there fulfil nothing, unless neither kind is.
    """
    n_short, n_long = np.asarray(n_ten_min, np.int64), np.asarray(n_half_hours, np.int64)
    short = np.asarray(is_share_met(n_ten_min_over, n_ten_min, CO_TEN_MIN_PCT)) & (n_short > 0)
    long = (np.asarray(n_half_hours_over, np.int64) == 0) & (n_long > 0)
    return give(short | long | ((n_short == 0) & (n_long == 0)))


def co_windows(
    ten_min_over: Truths,
    ten_min_exists: Truths,
    half_hour_over: Truths,
    half_hour_exists: Truths,
    per_day: bool = False,
) -> Truths:
    """`co_24_h_met` for the 24 h that begin at each half-hour ("any 24 h"), or for each day with `per_day`.

    10-minute averages (3n,), half-hours (n,), from midnight on. Raises RuleError where they do not belong together.
    """
    over, has = np.asarray(ten_min_over, np.bool_), np.asarray(ten_min_exists, np.bool_)
    long_over, long_has = np.asarray(half_hour_over, np.bool_), np.asarray(half_hour_exists, np.bool_)
    is_one_time = over.ndim == 1 and over.shape == has.shape and long_over.shape == long_has.shape
    if not is_one_time or over.size != 3 * long_over.size or long_over.size < 48:
        raise RuleError("CO", "needs three 10-minute averages for each half-hour, and a day of them at least")
    step = 48 if per_day else 1
    sums = []
    for marks, per_step in ((has, 3), (over & has, 3), (long_has, 1), (long_over & long_has, 1)):
        counts = np.concatenate(([0], np.cumsum(marks, dtype=np.int64)))[::per_step]
        sums.append((counts[48:] - counts[:-48])[::step])
    return np.asarray(co_24_h_met(*sums), np.bool_)


def count_over(
    kind: str, values: Numbers, exists: Truths, limit: str | Decimal, compare: Comparison, allowed_pct: int = 0
) -> LimitTest:
    """Count what exists and what of it is above; `allowed_pct` per cent of N may be."""
    series, places = np.asarray(values, np.float64), np.flatnonzero(np.asarray(exists, np.bool_))
    chosen = series[places]
    over = places[np.asarray(compare.is_over(chosen, limit), np.bool_)] if chosen.size else places
    return LimitTest(
        kind,
        to_decimal(limit),
        chosen.size,
        over.size,
        chosen.size * allowed_pct // 100,
        decimals=compare.decimals if compare.compare == "rounded" else None,
        over=tuple(over.tolist()),
        highest=int(places[chosen.argmax()]) if chosen.size else None,
    )


Series = Mapping[str, tuple[Numbers, Truths]]  # by kind of average ("half_hour", "day" ...): values, exists


def judge_year(
    quantity: str,
    series: Series,
    limits: Mapping[str, str],
    settings: Settings,
    decimals: int | None = None,
    old_coal: bool = False,
) -> Verdict:
    """All tests of the rule set's limit_tests over the validated averages of a calendar year.

    `limits`: kind to the permit's number as text; `decimals` of it where the text does not show them. `exists`: valid
    and to be compared (plant_state.is_compared; days: is_valid). A test whose limit the permit does not have is not
    made. Raises RuleError (unknown kind, no series).
    """
    for kind in limits:
        if kind not in KINDS:
            raise RuleError(f"limit {kind[:40]!r} of {quantity}", f"is none of {', '.join(KINDS)}")
    judges = {
        "waste": _waste,
        "combustion": _combustion,
        "every_value": _every_value,
        "swiss": _swiss,
        "none": _nothing,
    }
    year = _Year(quantity, series, limits, settings, decimals, set())
    groups = judges[settings.limit_tests](year, old_coal)
    return Verdict(tuple(group for group in groups if group), tuple(sorted(set(limits) - year.used)))


@dataclass(frozen=True, slots=True)
class _Year:
    quantity: str
    series: Series
    limits: Mapping[str, str]
    settings: Settings
    decimals: int | None
    used: set[str]

    def averages(self, kind: str, of_kind: str) -> tuple[Numbers, Truths]:
        """The series that a limit needs."""
        if kind not in self.series:
            raise RuleError(f"{self.quantity}: {kind}", f"averages are needed to test the limit {of_kind}; give them")
        values, exists = self.series[kind]
        self.used.add(of_kind)
        return np.asarray(values, np.float64), np.asarray(exists, np.bool_)

    def over(self, kind: str, of_kind: str) -> tuple[Truths, Truths]:
        """Where an existing average is above the limit, and where one exists; nothing without such a limit."""
        limit = self.limits.get(of_kind)
        if limit is None:
            return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        values, has = self.averages(kind, of_kind)
        found = np.zeros(has.shape, np.bool_)
        if has.any():
            found[has] = Comparison.of(limit, self.settings, self.decimals).is_over(values[has], limit)
        return found, has

    def test(
        self, kind: str, of_kind: str, allowed_pct: int = 0, factor: Decimal = Decimal(1)
    ) -> tuple[LimitTest, ...]:  # fmt: skip
        """The test of averages `kind` against the limit `of_kind` times `factor`; empty without such a limit."""
        limit = self.limits.get(of_kind)
        if limit is None:
            return ()
        values, exists = self.averages(kind, of_kind)
        compare = Comparison.of(limit, self.settings, self.decimals)
        name = kind if kind == of_kind and factor == 1 else f"{kind} against {of_kind}"
        name = name if factor == 1 else f"{name} x {factor}"
        found = count_over(name, values, exists, to_decimal(limit) * factor, compare, allowed_pct)
        return (replace(found, averages=kind),)


def _waste(year: _Year, _old_coal: bool) -> list[tuple[LimitTest, ...]]:
    if year.quantity == "CO":
        return [year.test("day", "day", CO_DAYS_PCT), *_co(year)]
    column_a = year.test("half_hour", "half_hour_a")
    return [year.test("day", "day"), column_a + year.test("half_hour", "half_hour_b", COLUMN_B_PCT)]


def _co(year: _Year) -> list[tuple[LimitTest, ...]]:
    """Any 24 h, by 10-minute averages or by half-hours: counted in 24-hour windows, none of which may fail.

    An alternative without a limit in the permit fulfils nothing.
    """
    ten, half = year.limits.get("ten_min"), year.limits.get("half_hour_a")
    limit = ten or half
    if limit is None:
        return []
    short_over, short_exists = year.over("ten_min", "ten_min")
    long_over, long_exists = year.over("half_hour", "half_hour_a")
    if ten is None:
        short_over = short_exists = np.zeros(3 * long_exists.size, np.bool_)
    if half is None:
        long_over = long_exists = np.zeros(short_exists.size // 3, np.bool_)
    is_met = co_windows(short_over, short_exists, long_over, long_exists)
    begins = tuple(np.flatnonzero(~is_met).tolist())  # half-hours that a failing window begins with
    return [(LimitTest("any 24 h", to_decimal(limit), is_met.size, len(begins), 0, "half_hour", over=begins),)]


def _combustion(year: _Year, old_coal: bool) -> list[tuple[LimitTest, ...]]:
    day = OLD_COAL_DAY_FACTOR if old_coal else DAY_FACTOR
    return [
        year.test("month", "month"),
        year.test("day", "month", factor=day),
        year.test("hour", "month", HOURS_PCT, HOUR_FACTOR),
    ]


def _every_value(year: _Year, _old_coal: bool) -> list[tuple[LimitTest, ...]]:
    # Column B is an alternative of Annex VI, which these rules do not have: a permit may carry it for another rule set
    kinds = [kind for kind in KINDS if kind in year.limits and kind != "half_hour_b"]
    return [year.test("half_hour" if kind.startswith("half_hour") else kind, kind) for kind in kinds]


def _swiss(year: _Year, _old_coal: bool) -> list[tuple[LimitTest, ...]]:
    return [
        year.test("day", "day"),
        year.test("hour", "day", SWISS_HOURS_PCT, SWISS_HOUR_FACTOR),
        year.test("hour", "day", factor=SWISS_PEAK_FACTOR),
    ]


def _nothing(_year: _Year, _old_coal: bool) -> list[tuple[LimitTest, ...]]:
    return []
