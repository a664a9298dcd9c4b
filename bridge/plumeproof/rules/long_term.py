"""Long-term averages: day, month, rolling 30 days, year, and what was discarded (reference: averaging-rules section 6).

A day is the mean of its valid validated short-term averages within operating time, not weighted by flow. It is invalid
when more of them were lost by malfunction or maintenance than the rule set allows, or too few are left; its value is
kept all the same. Longer periods are made from the days' sums, so the live path needs no old short-term averages:
total and number of a day, added over days, both in the order lanes20-v1. Days lie on the site's fixed offset.

    days = day_averages(values, used, discarded, settings.discard_limit_per_day, settings.min_valid_sta_per_day)
    value, exists = mean_of_days_sums(days.total, days.n_used)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import (
    Count,
    Integers,
    Number,
    Numbers,
    Truth,
    Truths,
    as_numbers,
    give,
    give_existing,
)
from plumeproof.rules.summation import add_in_lanes_along

ROLLING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Days:
    """Days, or one day (then plain numbers). `mean` where `exists`; `is_valid`: it is compared with a limit.

    `total`, `n_used`: sum and number of the averages that count, for longer periods, of invalid days too.
    `is_discarded`: invalid by malfunction or maintenance, which counts towards the invalid days of the year.
    """

    mean: Any
    exists: Any
    n_used: Any
    n_discarded: Any
    is_valid: Any
    is_discarded: Any
    total: Any


def day_averages(
    values: Numbers, used: Truths, discarded: Truths, discard_limit: int | None, min_valid: int | None
) -> Days:
    """Days along the last axis, (..., n) short-term averages each.

    `used`: valid and within operating time as the rule set counts it; `discarded`: lost by malfunction or maintenance
    (short_term.is_discarded). `discard_limit` 5: a day stays valid with five (IED Annex VI Part 8 [S1]). `min_valid`:
    with fewer averages a day is not judged, without counting as discarded. None: no such limit. Raises RuleError.
    """
    series, use = np.asarray(values, np.float64), np.asarray(used, np.bool_)
    lost = np.asarray(discarded, np.bool_)
    if series.shape != use.shape or series.shape != lost.shape or series.ndim == 0:
        raise RuleError("day", "values, used and discarded must have one shape, (..., averages of a day)")
    if (use & lost).any():
        raise RuleError("day", "an average is used and discarded; what was discarded has no valid value")
    if not np.isfinite(series[use]).all():
        raise RuleError("day", "a used average is NaN or infinity; leave out what does not exist")
    total = add_in_lanes_along(np.where(use, series, 0.0))
    n_used, n_lost = use.sum(axis=-1), lost.sum(axis=-1)
    mean, exists = give_existing(total / np.where(n_used > 0, n_used, 1), n_used > 0)
    too_many = n_lost > (series.shape[-1] if discard_limit is None else discard_limit)
    too_few = n_used < (0 if min_valid is None else min_valid)
    return Days(
        mean=mean,
        exists=exists,
        n_used=give(np.asarray(n_used)),
        n_discarded=give(np.asarray(n_lost)),
        is_valid=give(np.asarray(exists) & ~too_many & ~too_few),
        is_discarded=give(np.asarray(too_many)),
        total=give(total),
    )


def mean_of_days_sums(totals: Numbers, n_used: Integers) -> tuple[Any, Any]:
    """Mean of all short-term averages of a period of days, along the last axis: sum of totals / sum of numbers.

    A month (IED: calendar), and the year where the rule set says year_from = sta (13. BImSchV section 19(2) [S4]; with
    year_without_o2_exception from values standardised without the exception).
    """
    n = np.asarray(n_used, np.int64)
    # A day without any adds nothing, whatever its total holds.
    total = add_in_lanes_along(np.where(n > 0, np.asarray(totals, np.float64), 0.0))
    count = n.sum(axis=-1)
    return give_existing(total / np.where(count > 0, count, 1), np.asarray(count > 0))


def mean_of_days(means: Numbers, is_valid: Truths) -> tuple[Any, Any]:
    """Mean of the valid daily averages along the last axis: year_from = days (17. BImSchV section 17(4) [S3])."""
    valid = np.asarray(is_valid, np.bool_)
    total = add_in_lanes_along(np.where(valid, np.asarray(means, np.float64), 0.0))
    count = valid.sum(axis=-1)
    return give_existing(total / np.where(count > 0, count, 1), np.asarray(count > 0))


def is_long_enough(n_used: Count, sta_min: int, period_min: Count, share: tuple[int, int]) -> Truth:
    """Whether the short-term averages fill the share lta_min_share of a period ([1, 10]: 72 h of a 30-day month,
    EN 17255-1, second-hand [S8]); whole numbers."""
    num, den = share
    if not 0 <= num <= den or den == 0:
        raise RuleError("lta_min_share", f"{num}/{den} is no share of 0 to 1; write it as [1, 10]")
    used, period = np.asarray(n_used, np.int64), np.asarray(period_min, np.int64)
    return give(np.asarray(used * sta_min * den >= period * num))


def days_suffice(n_valid_days: Count, month: Count, min_days: int | None, min_in_february: int | None) -> Truth:
    """HJ 75: about 25 valid days in a month, 23 in February (confidence 0.5). `month` 1 to 12."""
    valid, number = np.asarray(n_valid_days, np.int64), np.asarray(month, np.int64)
    if ((number < 1) | (number > 12)).any():
        raise RuleError("month", "is outside 1..12")
    needed = np.where(number == 2, min_in_february or 0, min_days or 0)
    return give(np.asarray(valid >= needed))


def action_required(n_discarded_days: Count, limit: int | None) -> Truth:
    """More than `limit` (10) daily averages of a calendar year discarded by malfunction or maintenance: the authority
    requires measures, or is informed (IED Annex VI Part 8 [S1], Annex V Part 3 point 10; Austria [S6])."""
    count = np.asarray(n_discarded_days, np.int64)
    if limit is None:
        return give(np.zeros(count.shape, np.bool_))
    return give(np.asarray(count > limit))


def load_in_period(rates: Number, exists: Truths, sta_min: int) -> tuple[Any, Any]:
    """(load, n) along the last axis: sum of rate_per_h * sta_min / 60 of the averages that exist, start-up and
    shut-down included: kg from kg/h. What is missing adds nothing; `n` says how many there were."""
    has = np.asarray(exists, np.bool_)
    total = add_in_lanes_along(np.where(has, as_numbers(rates), 0.0))
    return give(np.asarray(total * float(sta_min) / 60.0)), give(np.asarray(has.sum(axis=-1)))
