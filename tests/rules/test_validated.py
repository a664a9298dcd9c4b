"""Confidence interval and rounding (section 5)."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import rounding, validated
from plumeproof.rules.rule_set import load_rule_set
from tests.rules.examples import assert_close, example

E10, E11, TRAP = example("E10"), example("E11"), example("E11", 1)["binary_float_trap"]


@pytest.mark.parametrize("case", E10["cases"], ids=lambda case: f"{case['mode']} {case['standardised']}")
def test_e10(case):
    inputs = E10["inputs"]
    interval = validated.interval_mg_m3(
        case["standardised"], case["mode"], inputs["pct"], inputs["daily_ELV"], inputs["ci_from_qal2"]
    )
    assert_close(interval, case["subtracted"])
    assert_close(validated.validate(case["standardised"], interval, False)[0], case["before_clip"])
    found, exists = validated.validate(case["standardised"], interval, True)
    assert exists is True
    assert_close(found, case["validated"])


def test_e10_as_arrays():
    for mode in ("pct_of_elv", "pct_of_value", "min_of_both", "qal2_capped"):
        cases = [case for case in E10["cases"] if case["mode"] == mode]
        values = np.array([case["standardised"] for case in cases])
        interval = validated.interval_mg_m3(values, mode, 20.0, 50.0, 6.4)
        found, exists = validated.validate(values, interval, True)
        assert exists.all()
        np.testing.assert_allclose(found, [case["validated"] for case in cases], rtol=1e-9, atol=1e-12)


def test_cap_and_none():
    assert validated.interval_mg_m3(62.0, "qal2_capped", 20.0, 50.0, 12.0) == 10.0
    assert validated.interval_mg_m3(np.array([62.0, -1.0]), "none").tolist() == [0.0, 0.0]
    assert validated.validate(math.nan, 1.0, True) == (0.0, False)
    assert validated.validate(np.array([5.0, 5.0]), 1.0, True, np.array([True, False]))[0].tolist() == [4.0, 0.0]
    assert math.copysign(1.0, validated.validate(-1.0, 0.0, True)[0]) == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("qal2_capped", 20.0, 50.0), "ci_qal2: is needed"),
        (("pct_of_elv", 20.0), "limit"),
        (("pct_of_value",), "pct"),
        (("pct_of_value", -1.0), "pct"),
        (("half",), "ci_mode"),
    ],
)
def test_what_a_mode_needs(arguments, sentence):
    with pytest.raises(RuleError, match=sentence):
        validated.interval_mg_m3(1.0, *arguments)


def test_german_dust():
    german, european = load_rule_set("de_17bimschv").settings, load_rule_set("eu_ied_waste").settings
    assert validated.limit_for_interval_mg_m3("dust", 5.0, 20.0, german) == 20.0
    assert validated.limit_for_interval_mg_m3("dust", 10.0, 20.0, german) == 10.0
    assert validated.limit_for_interval_mg_m3("HCl", 5.0, 20.0, german) == 5.0
    assert validated.limit_for_interval_mg_m3("dust", 5.0, 20.0, european) == 5.0
    with pytest.raises(RuleError, match="dust: half-hour limit"):
        validated.limit_for_interval_mg_m3("dust", 5.0, None, german)


@pytest.mark.parametrize("case", E11, ids=lambda case: f"{case['value']} to {case['decimals']}")
def test_e11(case):
    for mode in ("half_away", "half_even"):
        assert rounding.round_text(case["value"], case["decimals"], mode) == case[mode]
        assert rounding.round_text(float(case["value"]), case["decimals"], mode) == case[mode]


def test_e11_binary_trap():
    assert round(2.675, 2) == TRAP["python_round_2_675"]
    assert rounding.round_text(2.675, 2) == TRAP["decimal_half_away"]


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_rounding_is_within_half_a_digit(value, decimals):
    found = rounding.round_decimal(value, decimals)
    assert abs(Fraction(found) - Fraction(repr(value))) * 2 <= Fraction(1, 10**decimals)
    assert not (found == 0 and found.is_signed())


def test_whole_range_of_float64():
    assert rounding.round_text(1.7976931348623157e308, 15).endswith(".000000000000000")
    assert rounding.round_text(5e-324, 2) == "0.00" == rounding.round_text(-5e-324, 2)


def test_limit_of_ten():
    """Section 5.2: 10.49 complies, 10.50 exceeds; unrounded both exceed."""
    values = np.array([10.0, 10.49, 10.5, 11.0])
    assert rounding.exceeds(values, "10", 0).tolist() == [False, False, True, True]
    assert rounding.exceeds(values, "10", 0, compare="unrounded").tolist() == [False, True, True, True]
    assert rounding.exceeds(10.5, "10", 0, "half_even") is False
    assert rounding.exceeds(10.04, "10.0", 1) is False and rounding.exceeds(10.05, "10.0", 1) is True
    assert rounding.exceeds(0.05, "0.05", 2, compare="unrounded") is False
    assert [rounding.decimals_of(text) for text in ("10", "10.0", "0.05", "1e2", "-0.5")] == [0, 1, 2, 0, 1]


@given(st.integers(0, 4000), st.integers(0, 2), st.lists(st.integers(-3000, 8000), min_size=1, max_size=30))
def test_comparison_in_bulk_is_decimal_comparison(limit_thousandths, decimals, thousandths):
    """The quick way and the way of the rule agree near every tie."""
    limit, numbers = Decimal(limit_thousandths).scaleb(-3), [Decimal(number).scaleb(-3) for number in thousandths]
    slow = [n.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP) > limit for n in numbers]
    assert rounding.exceeds(np.array([float(n) for n in numbers]), limit, decimals).tolist() == slow
    plain = [n > limit for n in numbers]
    assert (
        rounding.exceeds(np.array([float(n) for n in numbers]), limit, decimals, compare="unrounded").tolist() == plain
    )


def test_rounding_refuses():
    for call, sentence in (
        (lambda: rounding.exceeds(math.nan, "10", 0), "hold NaN or infinity"),
        (lambda: rounding.exceeds(1.0, "10", 0, compare="half"), "compare"),
        (lambda: rounding.exceeds(1.0, "1e9", 0, "up"), "rounding 'up'"),
        (lambda: rounding.round_text("ten", 0), "is no decimal number"),
        (lambda: rounding.round_text(math.inf, 0), "is no number"),
        (lambda: rounding.round_text(1.0, 16), "outside 0..15"),
    ):
        with pytest.raises(RuleError, match=sentence):
            call()
