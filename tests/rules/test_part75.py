"""40 CFR Part 75 (reference: averaging-rules section 11): E25, E25b, E25c, availability, and the slow rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import part75
from plumeproof.rules.short_term import covers_quadrants
from tests.doubles import slow_substitution as slow
from tests.rules.examples import assert_close, example

SERIES = [round(200 + 60 * math.sin(i / 11) + 0.02 * i, 6) for i in range(720)]


def test_e25_valid_hours():
    for case in example("E25"):
        minutes = np.zeros(60, dtype=np.bool_)
        minutes[case["minutes_with_valid_data"]] = True
        runs = np.array([quadrant in case["unit_operating_quadrants"] for quadrant in (1, 2, 3, 4)])
        assert covers_quadrants(minutes, runs, case["qa_or_maintenance"]) is case["valid"]


def test_e25b_substitution():
    part = example("E25b")
    given_, wanted = part["inputs"], part["expected"]
    before, after = given_["hour_before"], given_["hour_after"]
    assert_close(part75.find_percentile(SERIES, 90)[0], wanted["p90_nearest_rank"])
    assert_close(part75.find_percentile(SERIES, 95)[0], wanted["p95_nearest_rank"])
    for case in wanted["cases"]:
        availability = part75.Availability(round(case["PMA"] * 10), 1000)
        method = part75.choose_method("concentration", availability, case["N"])
        found = part75.replace_hour(method, SERIES, 720, before, after, given_["MPC"])
        assert found.exists and not found.is_short
        assert_close(found.value, case["value"])
    assert_close(part75.replace_hour("hb_ha", (), 720, before, after, 1.0).value, wanted["avg_HB_HA"])
    assert_close(part75.replace_hour("maximum", SERIES, 720, None, None, 1.0).value, wanted["max"])


def test_e25c_formulas():
    part = example("E25c")
    given_, wanted = part["inputs"], part["expected"]
    assert part75.SO2_LB_PER_PPM_SCF == given_["K_SO2"] and part75.CO2_TON_PER_PCT_SCF == given_["K_CO2"]
    rate = part75.so2_lb_h(given_["SO2_ppm"], given_["flow_scfh"])
    assert_close(rate, wanted["SO2_lb_h"])
    assert_close(part75.in_hour(rate, given_["op_time_h"]), wanted["SO2_lb_in_hour"])
    assert_close(part75.co2_ton_h(given_["CO2_pct"], given_["flow_scfh"]), wanted["CO2_ton_h"])
    assert_close(part75.nox_lb_h(100.0, 1e6), 11.94)
    both = part75.so2_lb_h(np.array([180.0, 0.0]), 2e7)
    assert both.tolist() == [rate, 0.0] and type(rate) is float
    for time in (-0.1, 1.1, math.nan):
        with pytest.raises(RuleError, match="fraction of the hour"):
            part75.in_hour(1.0, time)


@pytest.mark.parametrize(
    ("pct", "gap", "method"),
    [
        (95, 24, "hb_ha"), (95, 25, "p90"), (94, 8, "hb_ha"), (94, 9, "p95"), (90, 9, "p95"), (89, 1, "maximum"),
        (80, 500, "maximum"), (79, 1, "max_potential"), (0, 1, "max_potential"),
    ],
)  # fmt: skip
def test_borders_of_availability(pct, gap, method):
    assert part75.choose_method("concentration", part75.Availability(pct, 100), gap) == method
    if method == "hb_ha":
        assert part75.choose_method("nox_flow", part75.Availability(pct, 100), gap) == "bin_mean"


@pytest.mark.parametrize(("family", "initial"), [("concentration", 720), ("nox_flow", 2160)])
def test_the_initial_rule_ends_with_its_hours(family, initial):
    full = part75.Availability(100, 100)
    assert part75.choose_method(family, full, 25, initial - 1) == "hb_ha"
    assert part75.choose_method(family, full, 25, initial) == "p90"


def test_a_percentile_is_not_below_the_neighbours():
    found = part75.replace_hour("p90", SERIES, 720, 400.0, 300.0, 450.0)
    assert found.value == 350.0 and found.method == "p90"
    assert not part75.replace_hour("p90", SERIES, 720, 400.0, None, 450.0).exists


def test_availability_looks_back_a_year_of_operation_and_three_of_the_clock():
    valid, ran = np.ones(30_000, dtype=np.bool_), np.zeros(30_000, dtype=np.bool_)
    ran[:3000] = ran[-3000:] = True
    valid[:3000] = False
    found = part75.find_availability(valid, ran, 30_000)
    assert (found.operating_h, found.qa_h) == (3000, 3000)  # the first 3,000 are longer ago than three years
    found = part75.find_availability(valid, ran, 26_280)
    assert (found.operating_h, found.qa_h) == (3000, 0)
    ran[:] = True
    assert part75.find_availability(valid, ran, 10_000) == part75.Availability(7000, 8760)
    assert part75.find_availability(valid, ran, 0) == part75.Availability(0, 0)
    with pytest.raises(RuleError, match="outside"):
        part75.find_availability(valid, ran, 30_001)
    with pytest.raises(RuleError, match="cannot be"):
        part75.Availability(2, 1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(1, 100))
def test_percentiles(values, pct):
    assert part75.find_percentile(values, pct)[0] == slow.nearest_rank(values, pct)
    found, exists = part75.find_percentile(values, pct, "linear")
    assert exists and math.isclose(found, np.percentile(values, pct), rel_tol=1e-9, abs_tol=1e-6)


def history(seed: int, size: int, good: float) -> list[slow.Hour]:
    rng = np.random.default_rng(seed)
    bad = rng.random(size) >= good
    ran = rng.random(size) < 0.97
    values = np.round(rng.uniform(50, 300, size), 3)
    return [
        slow.Hour(None if bad[i] else float(values[i]), bool(ran[i]), load_bin=int(rng.integers(0, 3)))
        for i in range(size)
    ]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.7, 0.85, 0.93, 0.97, 0.999]),
    st.lists(st.integers(1, 40), max_size=3),
    st.sampled_from(["concentration", "nox_flow"]),
    st.booleans(),
)
def test_against_the_slow_rule(seed, good, gaps, family, is_new):
    """Random years with gaps of any length at their end, looked at there."""
    hours = history(seed, 300 if is_new else 3000, good)
    first = len(hours)
    for length in gaps:
        hours += [slow.Hour(None, load_bin=length % 3) for _ in range(length)] + history(seed + length, 5, 0.9)
    found = part75.fill_hours(
        np.array([math.nan if hour.value is None else hour.value for hour in hours]),
        np.array([hour.value is not None for hour in hours]),
        np.array([hour.ran for hour in hours]),
        family,
        900.0,
        np.array([hour.load_bin for hour in hours]),
        first=first,
    )
    for place, expected in enumerate(slow.part75(hours, family, 900.0, first)):
        if expected is None or expected[0] is None:
            assert not found.is_substituted[place]
        else:
            assert found.methods[place] == expected[1]
            assert math.isclose(found.values[place], expected[0], rel_tol=1e-12)


def test_a_gap_at_the_end_waits_for_its_hour_after():
    values, valid, ran = np.arange(800.0), np.ones(800, dtype=np.bool_), np.ones(800, dtype=np.bool_)
    valid[-3:] = False
    open_ = part75.fill_hours(values, valid, ran, "concentration", 900.0)
    assert not open_.is_substituted.any()
    valid[-1] = True
    closed = part75.fill_hours(values, valid, ran, "concentration", 900.0)
    assert closed.values[-3:].tolist() == [797.5, 797.5, 799.0]
    assert closed.methods[-3:] == ("hb_ha", "hb_ha", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: part75.choose_method("dust", part75.Availability(1, 1), 1),
        lambda: part75.replace_hour("guess", SERIES, 720, 1.0, 1.0, 1.0),
        lambda: part75.replace_hour("hb_ha", SERIES, 720, 1.0, 1.0, math.nan),
        lambda: part75.find_percentile(SERIES, 0),
        lambda: part75.find_percentile(SERIES, 90, "median"),
        lambda: part75.find_percentile([math.nan], 90),
    ],
)
def test_refusals(make):
    with pytest.raises(RuleError):
        make()
    assert part75.find_percentile([], 90) == (0.0, False)
