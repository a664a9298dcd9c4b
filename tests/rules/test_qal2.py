"""QAL2, AST, surveillance of the range and due dates (reference: averaging-rules 8.1 to 8.3): E16, E17, E18, E20."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import due_dates, qal2, qal2_range
from plumeproof.rules.qal2_factors import factors_of
from tests.doubles import slow_quality as slow
from tests.rules.examples import assert_close, example

READINGS = st.floats(-1e4, 1e4).map(lambda value: round(value, 6))
WEEK_MS = 7 * 86_400_000


def test_e16_method_a():
    part = example("E16")
    given_, wanted = part["inputs"], part["expected"]
    elv, pct = given_["ELV_daily"], given_["P_pct"]
    found = qal2.calibrate(given_["x_ams"], given_["y_srm"], elv, pct, days=3)
    assert found.method == "a" and found.n == wanted["n"] and found.remarks == ()
    for value, key in (
        (found.x_mean, "x_mean"), (found.y_mean, "y_mean"), (found.a, "a"), (found.b, "b"), (found.r2, "R2"),
        (found.y_span, "y_span"), (found.permissible, "max_permissible_uncertainty"),
    ):  # fmt: skip
        assert_close(value, wanted[key])
    calibrated = found.apply(np.array(given_["x_ams"]))
    sigma_0 = qal2.find_sigma_0(elv, pct)
    test = qal2.judge_variability(given_["y_srm"], calibrated, sigma_0)
    for value, key in ((test.mean, "D_mean"), (test.s_d, "s_D"), (sigma_0, "sigma_0"), (test.limit, "limit")):
        assert_close(value, wanted[key])
    assert_close(test.k_v, wanted["k_v"])
    assert test.is_passed is wanted["variability_passed"]
    assert_close(float(calibrated.max()), wanted["y_hat_max"])
    valid_range = qal2.find_valid_range(float(calibrated.max()), elv)
    assert_close(valid_range.upper, wanted["valid_range_upper_110pct"])
    assert valid_range.lower == wanted["valid_range"][0]


def test_e17_method_b():
    part = example("E17")
    given_, wanted = part["inputs"], part["expected"]
    pairs = given_["x_ams"], given_["y_srm"], given_["ELV_daily"], given_["P_pct"]
    found = qal2.calibrate(*pairs, days=3, zero_reading=given_["Z_ams_reading_at_zero"])
    assert found.method == "b"
    for value, key in (
        (found.x_mean, "x_mean"), (found.y_mean, "y_mean"), (found.a, "a"), (found.b, "b"),
        (found.y_span, "y_span"), (found.permissible, "max_permissible_uncertainty"), (found.y_min, "y_min"),
    ):  # fmt: skip
        assert_close(value, wanted[key])
    assert abs(found.apply(given_["Z_ams_reading_at_zero"])) < 1e-12
    with pytest.raises(RuleError, match="zero_reading"):
        qal2.calibrate(*pairs, days=3)


def test_method_c_takes_reference_material():
    x, y = [1.0, 1.2, 1.1, 1.3, 1.15], [0.9, 1.1, 1.0, 1.2, 1.1]
    with pytest.raises(RuleError, match="method c"):
        qal2.calibrate(x, y, 50.0, 20.0, days=3)
    found = qal2.calibrate(x, y, 50.0, 20.0, days=2, reference=[(0.1, 0.0), (45.2, 45.0)])
    a, b = slow.line([*x, 0.1, 45.2], [*y, 0.0, 45.0])
    assert_close(found.a, a)
    assert_close(found.b, b)
    assert found.method == "c" and found.remarks == ("too_few_pairs", "too_few_days")


def test_e18_annual_test():
    part = example("E18")
    given_, wanted = part["inputs"], part["expected"]
    calibrated = given_["calibration"]["a"] + given_["calibration"]["b"] * np.array(given_["x_ams"])
    for value, expected in zip(calibrated, wanted["y_hat"], strict=True):
        assert_close(value, expected)
    test = qal2.judge_ast(given_["y_srm"], calibrated, given_["sigma_0"])
    for value, key in (
        (test.variability.mean, "D_mean"), (test.variability.s_d, "s_D"), (test.variability.k_v, "k_v"),
        (test.variability.limit, "variability_limit"), (test.t_095, "t_095"), (test.bias_limit, "bias_limit"),
    ):  # fmt: skip
        assert_close(value, wanted[key])
    assert test.variability.is_passed is wanted["variability_passed"]
    assert test.is_bias_passed is wanted["bias_passed"] and test.is_passed and test.remarks == ()


def test_every_factor_is_that_of_its_distribution():
    for pairs in range(3, 61):
        row = factors_of(pairs)
        k_v, t_095 = slow.factors(pairs)
        assert math.isclose(row.k_v, k_v, rel_tol=1e-15) and math.isclose(row.t_095, t_095, rel_tol=1e-15)
    for row in example("k_v"):
        found = factors_of(row["N"])
        assert abs(found.k_v - row["k_v"]) <= 0.5001e-4 and abs(found.t_095 - row["t_095_one_sided"]) <= 0.5001e-4


@pytest.mark.parametrize("pairs", [2, 61, 0, -5])
def test_no_factor_is_guessed(pairs):
    with pytest.raises(RuleError, match="no guesses"):
        factors_of(pairs)


@given(st.lists(st.tuples(READINGS, READINGS), min_size=3, max_size=40))
def test_line_and_scatter_against_fractions(pairs):
    x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if max(x) - min(x) < 1.0 or max(y) - min(y) < 1.0:
        return
    found = qal2.calibrate(x, y, 1.0, 10.0, days=3)
    a, b = slow.line(x, y)
    assert found.method == "a"
    assert math.isclose(found.b, b, rel_tol=1e-9, abs_tol=1e-9) and math.isclose(found.a, a, rel_tol=1e-8, abs_tol=1e-6)
    calibrated = found.apply(np.array(x))
    test = qal2.judge_variability(y, calibrated, 1.0)
    mean, s_d = slow.scatter([one - float(other) for one, other in zip(y, calibrated, strict=True)])
    assert math.isclose(test.mean, mean, abs_tol=1e-9) and math.isclose(test.s_d, s_d, rel_tol=1e-9, abs_tol=1e-9)
    assert test.is_passed == (test.s_d <= slow.factors(len(pairs))[0])
    assert not found.has_r2 or -1e-9 <= found.r2 <= 1.0 + 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda: qal2.calibrate([1.0, 1.0, 1.0], [1.0, 5.0, 9.0], 10.0, 20.0, days=3),
        lambda: qal2.calibrate([1.0, 2.0], [1.0, 5.0], 10.0, 20.0, days=3),
        lambda: qal2.calibrate([1.0, 2.0, 3.0], [1.0, 5.0], 10.0, 20.0, days=3),
        lambda: qal2.calibrate([1.0, 2.0, math.nan], [1.0, 5.0, 9.0], 10.0, 20.0, days=3),
        lambda: qal2.calibrate([1.0, 2.0, 3.0], [1.0, 5.0, 9.0], 0.0, 20.0, days=3),
        lambda: qal2.calibrate([1.0, 2.0, 3.0], [1.0, 5.0, 9.0], 10.0, 120.0, days=3),
        lambda: qal2.calibrate([2.0, 2.0, 2.0], [9.0, 9.0, 9.0], 10.0, 20.0, days=3, zero_reading=2.0),
        lambda: qal2.judge_variability([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.0),
        lambda: qal2.judge_ast([1.0, 2.0], [1.0, 2.0], 1.0),
        lambda: qal2.find_valid_range(math.inf, 50.0),
    ],
)
def test_figures_no_line_goes_through(make):
    with pytest.raises(RuleError):
        make()


def test_variability_passes_up_to_its_limit_and_no_further():
    k_v = factors_of(3).k_v  # differences of -1, 0 and 1 scatter by exactly 1
    for sigma_0, is_passed in ((1.001 / k_v, True), (0.999 / k_v, False)):
        test = qal2.judge_variability([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], sigma_0)
        assert test.s_d == 1.0 and test.is_passed is is_passed


def test_range_is_at_least_a_fifth_of_the_limit_and_can_be_extended():
    valid_range = qal2.find_valid_range(5.0, 50.0)
    assert valid_range == qal2.ValidRange(0.0, 10.0)
    assert valid_range.holds(10.0) is True and valid_range.holds(-0.1) is False
    assert valid_range.holds(np.array([0.0, 10.5])).tolist() == [True, False]
    function = qal2.calibrate([1.0, 2.0, 30.0], [1.0, 2.0, 30.0], 50.0, 20.0, days=3)
    near = qal2.extend_range(valid_range, function, 46.0, 45.0, 50.0, 20.0, date(2026, 3, 1))
    assert near.is_granted and near.after.upper == 45.0 and near.since == date(2026, 3, 1)
    far = qal2.extend_range(valid_range, function, 56.0, 45.0, 50.0, 20.0, date(2026, 3, 1))
    assert not far.is_granted and far.after == valid_range
    inside = qal2.extend_range(valid_range, function, 9.0, 9.0, 50.0, 20.0, date(2026, 3, 1))
    assert not inside.is_granted and inside.after == valid_range  # an extension never makes a range smaller


def test_e20_weeks():
    part = example("E20")
    weeks = [
        qal2_range.Week(index * WEEK_MS, week["n_valid"], week["n_outside"])
        for index, week in enumerate(part["inputs"]["weeks"])
    ]
    wanted = part["expected"]
    for week, pct in zip(weeks, wanted["pct"], strict=True):
        assert_close(week.pct, pct)
    assert [week.is_over_5 for week in weeks] == wanted["over_5"]
    assert [week.is_over_40 for week in weeks] == wanted["over_40"]
    found = qal2_range.survey_weeks(weeks)
    assert found.weeks_over_5 == wanted["n_weeks_over_5"] and found.is_qal2_due is wanted["new_QAL2_needed"]
    assert found.due_since_utc_ms == 7 * WEEK_MS  # the sixth of them is the seventh week
    assert not qal2_range.survey_weeks(weeks[:6]).is_qal2_due
    for row in example("E20", 1):
        week = qal2_range.Week(0, row["n_valid"], row["n_outside"])
        assert_close(week.pct, row["pct"])
        assert week.is_over_40 is row["trigger_40"]
        assert qal2_range.survey_weeks([week]).is_qal2_due is row["trigger_40"]


AVERAGES = st.lists(
    st.tuples(st.integers(0, 3 * 10**9).map(lambda half_hour: half_hour * 1000), st.floats(-50, 150), st.booleans()),
    max_size=60,
    unique_by=lambda row: row[0],
)


@given(AVERAGES, st.integers(-14 * 60, 14 * 60), st.randoms())
def test_weeks_against_the_calendar(averages, offset_min, random):
    wanted = slow.weeks(averages, 84.2, offset_min)
    random.shuffle(averages)
    columns = list(zip(*averages, strict=True)) if averages else [(), (), ()]
    found = qal2_range.count_weeks(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.float64),
        np.array(columns[2], dtype=np.bool_),
        qal2.ValidRange(0.0, 84.2),
        offset_min,
    )
    begins = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=week.start_utc_ms) for week in found]
    assert dict(zip(begins, [(week.n_valid, week.n_outside) for week in found], strict=True)) == wanted


def test_a_week_begins_on_monday_at_the_site():
    monday = int(datetime(2026, 11, 22, 23, tzinfo=UTC).timestamp() * 1000)  # 00:00 on Monday 23rd at UTC+1
    assert qal2_range.week_start_utc_ms(monday, 60) == monday
    assert qal2_range.week_start_utc_ms(monday - 1, 60) == monday - WEEK_MS
    with pytest.raises(RuleError, match="twice"):
        qal2_range.count_weeks([0, 0], [1.0, 1.0], np.array([True, True]), qal2.ValidRange(0.0, 1.0), 0)
    with pytest.raises(RuleError, match="time order"):
        qal2_range.survey_weeks([qal2_range.Week(0, 1, 0), qal2_range.Week(0, 1, 0)])
    with pytest.raises(RuleError, match="cannot be"):
        qal2_range.Week(0, 1, 2)


def test_due_dates():
    ast, second = due_dates.find_due_dates(date(2024, 2, 29), date(2025, 3, 31))
    assert (ast.test, ast.due) == ("AST", date(2026, 3, 31))
    assert (second.test, second.due, second.why) == ("QAL2", date(2029, 2, 28), "interval")
    ast, second = due_dates.find_due_dates(date(2024, 2, 29), qal2_max_years=3, range_left_on=date(2025, 8, 31))
    assert ast.due == date(2025, 2, 28)
    assert (second.due, second.why) == (date(2026, 2, 28), "range_surveillance")
    _, second = due_dates.find_due_dates(date(2024, 2, 29), date(2025, 3, 31), ast_failed_on=date(2025, 3, 31))
    assert (second.due, second.why) == (date(2025, 9, 30), "ast_failed")
    _, second = due_dates.find_due_dates(date(2024, 2, 29), major_change_on=date(2024, 5, 1))
    assert (second.due, second.why) == (date(2024, 11, 1), "major_change")
    _, second = due_dates.find_due_dates(date(2024, 2, 29), major_change_on=date(2024, 2, 1))
    assert second.why == "interval"
    ast, _ = due_dates.find_due_dates(date(2024, 2, 29), date(2023, 12, 1))
    assert ast.due == date(2025, 2, 28)
    assert ast.state_on(date(2025, 2, 28)) == "soon" and ast.state_on(date(2025, 3, 1)) == "overdue"
    assert ast.state_on(date(2024, 12, 30)) == "soon" and ast.state_on(date(2024, 12, 29)) == "fine"
    only = due_dates.find_due_dates(date(2024, 2, 29), qal2_max_years=None)
    assert [one.test for one in only] == ["AST"]
    assert due_dates.find_due_dates(date(2024, 2, 29), qal2_max_years=None, ast_max_months=None) == ()
    for settings in ({"qal2_max_years": 0}, {"ast_max_months": 61}):
        with pytest.raises(RuleError, match="outside"):
            due_dates.find_due_dates(date(2024, 2, 29), **settings)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(0, 120))
def test_a_month_later(day, months):
    later = due_dates.add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)
