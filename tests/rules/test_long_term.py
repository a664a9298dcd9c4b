"""Day, month, rolling 30 days, year (section 6)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import long_term, plant_state
from plumeproof.rules.rule_set import load_rule_set
from tests.rules.examples import assert_close, example

E12, E12B = example("E12"), example("E12b")
VALUES = np.array(E12["inputs"]["validated_half_hour_averages"])
LOST = {
    "no_discard": range(0),
    "five_discarded_10_to_14": range(10, 15),
    "six_discarded_10_to_15_IED_AnnexVI": range(10, 16),
    "six_discarded_german_limit_6": range(10, 16),
    "seven_discarded_german_limit_6": range(10, 17),
}


def marks(indices, n=48):
    found = np.zeros(n, np.bool_)
    found[list(indices)] = True
    return found


@pytest.mark.parametrize("name", LOST)
def test_e12(name):
    case, lost = E12["expected"][name], marks(LOST[name])
    day = long_term.day_averages(VALUES, ~lost, lost, case["discard_limit_per_day"], 12)
    assert (day.n_used, day.n_discarded) == (case["n_used"], case["n_discarded_malf_or_maint"])
    assert day.n_used + day.n_discarded == case["n_operating"]
    assert day.is_valid is case["day_valid"] and day.is_discarded is not case["day_valid"]
    assert day.exists is True  # the value of an invalid day is kept
    assert_close(day.mean, case["daily_average"])


def test_e12_standstill():
    case = E12["expected"]["plant_stopped_0_to_19"]
    day = long_term.day_averages(VALUES, ~marks(range(20)), marks([]), case["discard_limit_per_day"], 12)
    assert (day.n_used, day.n_discarded, day.is_valid) == (case["n_used"], 0, case["day_valid"])
    assert_close(day.mean, case["daily_average"])
    case = E12["expected"]["plant_ran_only_11_half_hours"]
    day = long_term.day_averages(VALUES, marks(range(11)), marks([]), 5, 12)
    assert day.n_used == case["n_used"] and day.is_valid is case["day_valid"]
    assert day.is_discarded is case["counts_toward_10_invalid_days"]
    assert long_term.day_averages(VALUES, marks(range(12)), marks([]), 5, 12).is_valid is True


def test_e12b():
    numbers = np.array(E12B["inputs"]["invalid_days_so_far"])
    wanted = [case["action_required"] for case in E12B["expected"]]
    assert long_term.action_required(numbers, E12B["inputs"]["limit"]).tolist() == wanted
    assert long_term.action_required(11, 10) is True and long_term.action_required(11, None) is False


def test_empty_day_and_all_days_at_once():
    used = np.stack([marks(range(48)), marks([]), marks(range(10))])
    lost = np.stack([marks([]), marks([]), marks(range(40, 46))])
    days = long_term.day_averages(np.stack([VALUES] * 3), used, lost, 5, 12)
    assert days.exists.tolist() == [True, False, True]
    assert days.is_valid.tolist() == [True, False, False]
    assert days.is_discarded.tolist() == [False, False, True]
    assert days.mean[1] == days.total[1] == 0.0
    # Not limited: a day is valid as soon as it has a value.
    assert long_term.day_averages(VALUES, marks([3]), ~marks([3]), None, None).is_valid is True


def test_day_with_only_start_up():
    """A combustion plant's day of start-up has no value and is no discarded day; waste that burns is compared."""
    states = np.full(48, plant_state.START_UP)
    for name, is_valid in (("eu_ied_lcp", False), ("eu_ied_waste", True)):
        rules = load_rule_set(name).settings
        used = plant_state.is_compared(states, rules.start_up_compared)
        day = long_term.day_averages(
            VALUES, used, used & False, rules.discard_limit_per_day, rules.min_valid_sta_per_day
        )
        assert (day.exists, day.is_valid, day.is_discarded) == (is_valid, is_valid, False)


def test_month_and_both_routes_of_the_year():
    """The year is not always the mean of the days."""
    used = np.stack([marks(range(48)), marks(range(12))])
    values = np.stack([np.full(48, 10.0), np.full(48, 20.0)])
    days = long_term.day_averages(values, used, ~used & False, 5, 12)
    assert long_term.mean_of_days_sums(days.total, days.n_used) == (12.0, True)
    assert long_term.mean_of_days(days.mean, days.is_valid) == (15.0, True)
    assert long_term.mean_of_days(days.mean, np.array([False, False])) == (0.0, False)
    assert long_term.mean_of_days_sums(np.zeros(3), np.zeros(3, np.int64)) == (0.0, False)


def test_ten_per_cent_of_a_month():
    """72 h of a month of 30 days."""
    assert long_term.is_long_enough(144, 30, 30 * 1440, (1, 10)) is True
    assert long_term.is_long_enough(143, 30, 30 * 1440, (1, 10)) is False
    assert long_term.is_long_enough(np.array([0, 72]), 60, 31 * 1440, (0, 1)).tolist() == [True, True]
    with pytest.raises(RuleError, match="lta_min_share: 2/1"):
        long_term.is_long_enough(1, 30, 1440, (2, 1))


def test_days_of_a_month():
    months = np.array([2, 2, 3, 3])
    assert long_term.days_suffice(np.array([23, 22, 25, 24]), months, 25, 23).tolist() == [True, False, True, False]
    assert long_term.days_suffice(0, 5, None, None) is True
    with pytest.raises(RuleError, match="month"):
        long_term.days_suffice(25, 13, 25, 23)


def test_leap_day():
    """17,568 half-hours of a leap year, and a window of 30 days over its 29 February."""
    used = np.ones((366, 48), np.bool_)
    days = long_term.day_averages(np.full((366, 48), 2.5), used, ~used, 5, 12)
    assert int(days.n_used.sum()) == 17_568
    mean, exists = long_term.mean_of_days_sums(days.total[40:70], days.n_used[40:70])
    assert (mean, exists, int(days.n_used[40:70].sum())) == (2.5, True, 1440)


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 48)), min_size=1, max_size=50))
def test_a_window_is_the_mean_of_all_its_averages(rows):
    n, totals = np.array([row[1] for row in rows]), np.array([row[0] * row[1] for row in rows])
    mean, exists = long_term.mean_of_days_sums(totals, n)
    assert exists is bool(n.any())
    if exists:
        exact = sum((Fraction(total) for total, count in zip(totals, n, strict=True) if count), Fraction(0))
        assert math.isclose(mean, exact / int(n.sum()), rel_tol=1e-12, abs_tol=1e-12)


thousandths = st.integers(-50_000, 500_000).map(lambda number: number / 1000.0)  # far from what scaling could round


@given(st.lists(st.tuples(thousandths, st.sampled_from("uld")), min_size=48, max_size=48), st.integers(-4, 4))
def test_day_is_exact_and_scales(rows, power):
    values = np.array([row[0] for row in rows])
    used, lost = (np.array([row[1] == letter for row in rows]) for letter in "ul")
    day = long_term.day_averages(values, used, lost, 5, 12)
    chosen = [Fraction(value) for value, is_used in zip(values.tolist(), used, strict=True) if is_used]
    assert day.exists is bool(chosen)
    if chosen:
        assert math.isclose(day.mean, sum(chosen, Fraction(0)) / len(chosen), rel_tol=1e-11, abs_tol=1e-11)
    assert day.is_valid is bool(lost.sum() <= 5 and used.sum() >= 12)
    scaled = long_term.day_averages(values * 2.0**power, used, lost, 5, 12)
    assert (scaled.mean, scaled.is_valid) == (day.mean * 2.0**power, day.is_valid)


def test_load():
    total, n = long_term.load_in_period(np.array([2.0, 4.0, math.nan]), np.array([True, True, False]), 30)
    assert (total, n) == (3.0, 2)


def test_day_refuses():
    used = marks([1])
    for arguments, sentence in (
        ((VALUES, used, used, 5, 12), "is used and discarded"),
        ((VALUES[:10], used, ~used, 5, 12), "one shape"),
        ((np.full(48, math.nan), used, ~used, 5, 12), "NaN or infinity"),
    ):
        with pytest.raises(RuleError, match=sentence):
            long_term.day_averages(*arguments)
