"""HJ 75 (reference: averaging-rules section 10): E24, E24b to E24e, capture, look-back, and the slow rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import hj75
from plumeproof.rules.conditions import oxygen_factor
from plumeproof.rules.flow import flow_weighted_mg_m3, mass_kg_h
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.short_term import covers
from tests.doubles import slow_substitution as slow
from tests.rules.examples import assert_close, example

HOURS = st.lists(
    st.builds(
        slow.Hour,
        st.one_of(st.none(), st.floats(0, 100), st.floats(0, 100)),
        st.sampled_from([True, True, True, False]),
        st.booleans(),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=70,
)


def arrays(hours):
    """value, valid, operating, out_of_control, calibrated."""
    return (
        np.array([math.nan if hour.value is None else hour.value for hour in hours], dtype=np.float64),
        np.array([hour.value is not None for hour in hours], dtype=np.bool_),
        np.array([hour.ran for hour in hours], dtype=np.bool_),
        np.array([hour.out_of_control for hour in hours], dtype=np.bool_),
        np.array([hour.calibrated for hour in hours], dtype=np.bool_),
    )


def test_e24_conversion():
    """The factor for oxygen; a rounded alpha_s is that of another reference oxygen."""
    part = example("E24")
    given_, wanted = part["inputs"], part["expected"]
    factor, exists = oxygen_factor(given_["O2_dry"], given_["O2_ref"])
    assert exists
    assert_close(given_["c_norm_dry"] * factor, wanted["converted"])
    assert_close(given_["c_norm_dry"] * factor, wanted["same_by_O2_formula"])
    assert_close(factor * given_["alpha_s"], wanted["alpha"])
    printed = part["gb_1_8_variant"]
    factor, _ = oxygen_factor(given_["O2_dry"], 21.0 - 21.0 / printed["alpha_s"])
    assert_close(given_["c_norm_dry"] * factor, printed["converted"])


def test_e24b_hours_and_days():
    settings = load_rule_set("cn_hj75").settings
    for row in example("E24b"):
        if "valid_min" in row:
            assert covers(row["valid_min"], 60, settings.coverage) is row["hour_valid"]
        else:
            assert (row["valid_hours"] >= settings.min_valid_sta_per_day) is row["day_valid"]


def test_e24c_capture_rate():
    part = example("E24c")
    given_, wanted = part["inputs"], part["expected"]
    found = hj75.judge_capture(given_["quarter_hours"], given_["stopped_hours"], given_["invalid_hours"])
    assert_close(found.pct, wanted["capture_rate_pct"])
    assert found.is_met is wanted["ok_75"] and found.band == wanted["band"]


@pytest.mark.parametrize(
    ("invalid", "band", "is_met"), [(10, ">=90", True), (11, "75-90", True), (25, "75-90", True), (26, "<75", False)]
)
def test_bands_in_whole_numbers(invalid, band, is_met):
    found = hj75.judge_capture(100, 0, invalid)
    assert (found.band, found.is_met) == (band, is_met)


def test_quarters_that_cannot_be():
    for quarter, stopped, invalid in ((100, 101, 0), (100, 50, 51), (100, -1, 0), (-1, 0, 0), (100, 0, -1)):
        with pytest.raises(RuleError, match="cannot be"):
            hj75.judge_capture(quarter, stopped, invalid)
    still = hj75.judge_capture(100, 100, 0)
    assert still.band == "" and hj75.find_look_back_h(still, 5) is None


def test_e24d_look_back():
    part = example("E24d")
    wanted = part["expected"]
    series = [round(6.0 + 0.8 * math.sin(i / 7) - 0.001 * i, 6) for i in range(2160)]
    every = np.ones(2160, dtype=np.bool_)
    for hours in (180, 720, 2160):
        value, exists, is_short = hj75.find_substitute(series, every, 2160, hours)
        assert exists and not is_short
        assert_close(value, wanted[f"max_last_{hours}"])
    for case in wanted["cases"]:
        capture = hj75.judge_capture(100, 0, 100 - case["capture"])
        hours = hj75.find_look_back_h(capture, case["N"])
        name = "none defined: quarter does not meet 75 %" if hours is None else f"max_last_{hours}"
        assert name == case["substitute"]


@pytest.mark.parametrize(
    ("invalid", "run", "hours"), [(10, 24, 180), (10, 25, 720), (11, 24, 2160), (25, 1, 2160), (26, 1, None)]
)
def test_borders_of_the_look_back(invalid, run, hours):
    assert hj75.find_look_back_h(hj75.judge_capture(100, 0, invalid), run) == hours


def test_e24e_mass_of_the_unconverted_concentration():
    part = example("E24e")
    c, q = np.array(part["inputs"]["c_hour"]), np.array(part["inputs"]["Qsn_dry"])
    mass, exists = mass_kg_h(c, q, zero_when_negative=False)
    assert exists.all()
    for value, expected in zip(mass, part["expected"]["G_kg_h"], strict=True):
        assert_close(value, expected)
    assert_close(float(mass.sum()), part["expected"]["day_kg"])
    assert_close(flow_weighted_mg_m3(c, q, exists)[0], part["expected"]["flow_weighted"])


@given(HOURS, st.integers(0, 100), st.integers(0, 30))
def test_against_the_slow_rule(hours, invalid, first):
    mass, valid, ran, bad, passed = arrays(hours)
    capture = hj75.judge_capture(100, 0, invalid)
    found = hj75.fill_mass(mass, valid, ran, bad, passed, capture, first)
    wanted = slow.hj75(hours, 100 - invalid, 100, first)
    for place, expected in enumerate(wanted):
        assert found.is_substituted[place] == (expected is not None)
        if expected is not None:
            assert (found.values[place], found.look_back_h[place]) == expected and found.has[place]
        else:
            assert found.has[place] == valid[place]
    assert np.all(np.isfinite(found.values)) and np.all(found.values[valid] == mass[valid])


def test_a_short_history_is_marked_and_none_gives_none():
    none = np.zeros(3, dtype=np.bool_)
    capture = hj75.judge_capture(100, 0, 5)
    ran = np.ones(3, dtype=np.bool_)
    found = hj75.fill_mass([5.0, 0.0, 0.0], np.array([True, False, False]), ran, none, none, capture)
    assert found.values.tolist() == [5.0, 5.0, 5.0] and found.is_short.tolist() == [False, True, True]
    found = hj75.fill_mass([5.0, 0.0, 0.0], none, ran, none, none, capture)
    assert not found.has.any()
    with pytest.raises(RuleError, match="marked valid"):
        hj75.fill_mass([math.nan, 0.0, 0.0], ran, ran, none, none, capture)
