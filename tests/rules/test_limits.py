"""Compliance with limit values (section 7)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import limits
from plumeproof.rules.rule_set import load_rule_set
from tests.rules.examples import example

E13, E14, E15 = (example(name) for name in ("E13", "E14", "E15"))
WASTE, COMBUSTION = load_rule_set("eu_ied_waste").settings, load_rule_set("eu_ied_lcp").settings


def series(values):
    return np.asarray(values, np.float64), np.ones(len(values), np.bool_)


def over(n, n_over, low, high):
    return series([high] * n_over + [low] * (n - n_over))


@pytest.mark.parametrize("case", E13["cases"], ids=lambda case: str(case["N"]))
def test_e13_allowed(case):
    n, most = case["N"], case["max_exceedances"]
    for n_over, is_met in ((most, True), (most + 1, False)):
        half_hours = over(n, n_over, 100.0, 300.0)
        verdict = limits.judge_year("NOx", {"half_hour": half_hours}, {"half_hour_b": "200"}, WASTE)
        assert verdict.is_met is is_met and verdict.groups[0][0].n_allowed == most
        assert limits.is_share_met(n_over, n, limits.COLUMN_B_PCT) is is_met


@pytest.mark.parametrize("case", E13["check"], ids=lambda case: case["why"])
def test_e13_columns(case):
    n, a, b = case["N"], case["n_over_A"], case["n_over_B"]
    values = series([500.0] * a + [300.0] * (b - a) + [100.0] * (n - b))
    verdict = limits.judge_year("NOx", {"half_hour": values}, {"half_hour_a": "400", "half_hour_b": "200"}, WASTE)
    assert verdict.is_met is case["compliant"] and verdict.is_judged
    ((test_a, test_b),) = verdict.groups
    assert (test_a.n_over, test_b.n_over, test_b.n_allowed) == (a, b, n * 3 // 100)


@pytest.mark.parametrize("case", E14["cases"], ids=lambda case: str(case["N"]))
def test_e14(case):
    n, most = case["N"], case["max_exceedances"]
    assert limits.co_24_h_met(n, most, 48, 1) is True
    assert limits.co_24_h_met(n, most + 1, 48, 1) is False
    assert limits.co_24_h_met(n, most + 1, 48, 0) is True  # every half-hour at most its limit


@pytest.mark.parametrize("case", E15["cases"], ids=str)
def test_e15(case):
    permit = {"month": str(E15["ELV"])}
    of = {"month": series([100.0]), "day": series([100.0]), "hour": series([100.0])}
    if "monthly" in case:
        of["month"] = series(case["monthly"])
    elif "daily" in case:
        of["day"] = series(case["daily"])
    else:
        of["hour"] = over(case["N_hours"], case["n_over_400"], 100.0, 401.0)
    verdict = limits.judge_year("NOx", of, permit, COMBUSTION)
    assert verdict.is_met is case["ok"]
    assert [float(group[0].limit) for group in verdict.groups] == [test["limit"] for test in E15["tests"]]


def test_old_coal():
    of = {"month": series([200.0]), "day": series([290.0]), "hour": series([200.0])}
    assert limits.judge_year("dust", of, {"month": "200"}, COMBUSTION).is_met is False
    assert limits.judge_year("dust", of, {"month": "200"}, COMBUSTION, old_coal=True).is_met is True


def test_switzerland():
    swiss = dataclasses.replace(COMBUSTION, limit_tests="swiss")
    for hours, is_met in (
        (over(100, 3, 100.0, 130.0), True),
        (over(100, 4, 100.0, 130.0), False),
        (over(100, 1, 100.0, 200.0), True),
        (over(100, 1, 100.0, 201.0), False),
    ):
        of = {"day": series([100.0, 99.0]), "hour": hours}
        assert limits.judge_year("NOx", of, {"day": "100"}, swiss).is_met is is_met
    assert (
        limits.judge_year("NOx", {"day": series([101.0]), "hour": series([1.0])}, {"day": "100"}, swiss).is_met is False
    )


def test_germany_every_value():
    german = load_rule_set("de_13bimschv").settings
    of = {"half_hour": over(1000, 1, 100.0, 401.0), "day": series([200.4])}
    verdict = limits.judge_year("NOx", of, {"day": "200", "half_hour": "400"}, german)
    assert verdict.is_met is False
    assert [(group[0].kind, group[0].n_over) for group in verdict.groups] == [("half_hour", 1), ("day", 0)]


def test_few_values_allow_no_exceedance():
    """A short year: N small, nothing allowed."""
    for n, n_allowed in ((33, 0), (34, 1)):
        half_hours = over(n, 1, 100.0, 500.0)
        verdict = limits.judge_year(
            "NOx", {"half_hour": half_hours}, {"half_hour_a": "400", "half_hour_b": "200"}, WASTE
        )  # fmt: skip
        assert verdict.groups[0][1].n_allowed == n_allowed and verdict.is_met is bool(n_allowed)


def test_nothing_to_compare():
    empty = np.zeros(48), np.zeros(48, np.bool_)
    verdict = limits.judge_year("SO2", {"half_hour": empty, "day": empty}, {"day": "50", "half_hour_a": "200"}, WASTE)
    assert verdict.is_met is True and verdict.is_judged is False
    assert limits.judge_year("SO2", {}, {}, load_rule_set("eu_mrr").settings).groups == ()


def test_limits_that_nothing_tests_are_named():
    verdict = limits.judge_year("NOx", {"day": series([1.0])}, {"day": "200", "year": "100"}, WASTE)
    assert verdict.untested == ("year",)
    assert limits.judge_year("NOx", {}, {"day": "200"}, load_rule_set("cn_hj75").settings).untested == ("day",)


def co_year(ten_min, half_hour, permit=("150", "100"), days=2, exists=True):
    """CO of some days: values of single places over a low floor."""
    short, long = np.full(144 * days, 20.0), np.full(48 * days, 20.0)
    for place, value in ten_min.items():
        short[place] = value
    for place, value in half_hour.items():
        long[place] = value
    limit = {kind: text for kind, text in zip(("ten_min", "half_hour_a"), permit, strict=True) if text}
    has = np.full(long.size, exists)
    of = {"ten_min": (short, np.ones(short.size, np.bool_)), "half_hour": (long, has)}
    return limits.judge_year("CO", of, limit, WASTE)


def test_co_in_any_24_hours():
    seven, eight = dict.fromkeys(range(140, 147), 151.0), dict.fromkeys(range(140, 148), 151.0)
    assert co_year(seven, {0: 101.0, 48: 101.0}).is_met is True
    # Eight around midnight: no calendar day has eight, but a window of 24 h does.
    verdict = co_year(eight, {47: 101.0})
    assert verdict.is_met is False and verdict.groups[0][0].n == 49
    assert co_year(eight, {}).is_met is True  # all half-hours at most 100
    assert co_year(eight, {}, permit=("150", "")).is_met is False
    assert co_year(eight, {}, exists=False).is_met is False  # half-hours that are not there fulfil nothing
    assert co_year({}, {0: 101.0}, permit=("", "100")).is_met is False
    short, long = np.zeros(288, np.bool_), np.zeros(96, np.bool_)
    short[140:148], long[47] = True, True
    windows = limits.co_windows(short, np.ones(288, np.bool_), long, np.ones(96, np.bool_), per_day=True)
    assert windows.tolist() == [True, True]


def test_co_days():
    days = over(100, 3, 40.0, 51.0)
    assert limits.judge_year("CO", {"day": days}, {"day": "50"}, WASTE).is_met is True
    assert limits.judge_year("CO", {"day": over(100, 4, 40.0, 51.0)}, {"day": "50"}, WASTE).is_met is False
    assert limits.judge_year("NOx", {"day": days}, {"day": "50"}, WASTE).is_met is False  # no share for the others


def test_decimals_of_the_limit():
    day = {"day": series([10.04])}
    assert limits.judge_year("dust", day, {"day": "10"}, WASTE).is_met is True
    assert limits.judge_year("dust", {"day": series([10.05])}, {"day": "10.0"}, WASTE).is_met is False
    assert limits.judge_year("dust", {"day": series([10.4])}, {"day": "10.0"}, WASTE, decimals=0).is_met is True
    one_more = dataclasses.replace(WASTE, round_extra_digits=1)  # 10.04 complies with 10, 10.05 does not
    assert limits.judge_year("dust", day, {"day": "10"}, one_more).is_met is True
    assert limits.judge_year("dust", {"day": series([10.05])}, {"day": "10"}, one_more).is_met is False
    assert limits.judge_year("dust", {"day": series([10.05])}, {"day": "10"}, WASTE).is_met is True
    unrounded = dataclasses.replace(WASTE, compare="unrounded")
    assert limits.judge_year("dust", day, {"day": "10"}, unrounded).is_met is False


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([3, 5]))
def test_shares_and_allowed_numbers_say_the_same(n, n_over, pct):
    assert limits.is_share_met(n_over, n, pct) is (n_over <= n * pct // 100)


def test_limits_refused():
    with pytest.raises(RuleError, match="limit 'week' of NOx"):
        limits.judge_year("NOx", {}, {"week": "5"}, WASTE)
    with pytest.raises(RuleError, match="NOx: day: averages are needed"):
        limits.judge_year("NOx", {}, {"day": "5"}, WASTE)
    with pytest.raises(RuleError, match="three 10-minute averages"):
        limits.co_windows(np.zeros(10, np.bool_), np.zeros(10, np.bool_), np.zeros(3, np.bool_), np.zeros(3, np.bool_))
