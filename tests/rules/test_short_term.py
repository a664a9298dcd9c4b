"""Coverage by whole numbers, the short-term average, quadrants (sections 3.4, 11.1)."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding
from plumeproof.rules import short_term
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import MEASURED
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.random_plant import strip_of
from tests.doubles.slow_terms import Recorded
from tests.doubles.timed_module import START_UTC_MS
from tests.rules.examples import assert_close, example

E01, E02, E03, E25 = (example(name) for name in ("E01", "E02", "E03", "E25"))
STATUS = {
    "V": decoding.VALID, "C": decoding.CALIBRATION, "M": decoding.FUNCTION_CHECK, "F": decoding.FAILURE,
    "O": decoding.OVER_RANGE,
}  # fmt: skip
CAUSES = {"C": "calibration", "M": "function_check", "F": "failure", "O": "over_range"}
PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+00:00"
rule_sets = ["eu_ied_waste"]
[[state]]
state = "stopped"
source = "m/load"
below = 1.0
slot_ms = 60000
[[measurand]]
id = "SO2"
source = "m/so2"
unit = "mg/m3"
slot_ms = 60000
"""


def half_hour(values, letters, load, **changed):
    """The measured average of 30 minutes of first level data, by the engine."""
    rules = load_rule_set("eu_ied_waste")
    rules = replace(rules, settings=replace(rules.settings, **changed))
    readings = {
        "so2": [(value, STATUS[letter]) for value, letter in zip(values, letters, strict=True)],
        "load": [(one, decoding.VALID) for one in load],
    }
    units = {"so2": "mg/m3", "load": "%"}
    strip = strip_of(Recorded("m", 1, START_UTC_MS, 60_000, len(values), units, readings))
    engine = Engine(parse_plant(tomllib.loads(PLANT), Path("line-1.toml")), [rules])
    found = engine.short_term_figures({"m": [strip]}, START_UTC_MS, START_UTC_MS + 1_800_000)
    return next(one for one in found if one.layer == MEASURED)


def test_e01():
    inputs, expected = E01["inputs"], E01["expected"]
    found = half_hour(inputs["values"], inputs["status"], [50.0] * 30)
    assert (found.n_expected, found.n_valid) == (expected["n_expected"], expected["n_valid"])
    assert found.is_valid is expected["valid"]
    assert_close(found.value, expected["mean_of_valid"])
    assert_close(found.coverage, expected["coverage"])
    assert abs(found.value - expected["mean_of_all_wrong"]) > 0.5
    assert dict(found.n_invalid) == {CAUSES[letter]: n for letter, n in expected["discarded_min"].items()}


def test_e02():
    """One by one and as arrays."""
    shares = {case["rule"] for case in E02}
    for rule in shares:
        cases = [case for case in E02 if case["rule"] == rule]
        num, den = map(int, rule.split("/"))
        n, of = np.array([case["n_valid"] for case in cases]), np.array([case["n_expected"] for case in cases])
        assert short_term.covers(n, of, (num, den)).tolist() == [case["valid"] for case in cases]
        for case in cases:
            assert short_term.covers(case["n_valid"], case["n_expected"], (num, den)) is case["valid"]


@pytest.mark.parametrize(("basis", "key"), [("operating", "mode_operating_time"), ("period", "mode_whole_period")])
def test_e03(basis, key):
    inputs, expected = E03["inputs"], E03["expected"]
    running, standing = inputs["minutes_valid_while_operating"], inputs["minutes_valid_while_stopped"]
    runs = inputs["minutes_plant_operating"]
    letters = "V" * running + "M" * (runs - running) + "V" * standing
    values = [inputs["mean_valid_while_operating"]] * runs + [inputs["mean_valid_while_stopped"]] * (30 - runs)
    found = half_hour(values, letters, [50.0] * runs + [0.0] * (30 - runs), coverage_basis=basis)
    assert found.is_valid is expected[key]["valid"]
    assert_close(found.coverage, expected[key]["coverage"])
    assert_close(found.value, inputs["mean_valid_while_operating"])  # minutes of a standstill never mix in
    mixed = half_hour(values, letters, [50.0] * 30, coverage_basis=basis)
    assert_close(mixed.value, expected["wrong_mixing_stopped_minutes"])


@pytest.mark.parametrize("case", E25, ids=lambda case: f"{case['minutes_with_valid_data']}")
def test_e25(case):
    minutes = np.zeros(60, np.bool_)
    minutes[case["minutes_with_valid_data"]] = True
    runs = np.isin(np.arange(1, 5), case["unit_operating_quadrants"])
    assert short_term.covers_quadrants(minutes, runs, case["qa_or_maintenance"]) is case["valid"]


def test_quadrants_of_a_year_at_once():
    minutes = np.zeros((3, 60), np.bool_)
    minutes[0, [3, 18, 33, 48]] = minutes[1, [14, 29]] = minutes[2, [59]] = True
    runs = np.array([[True] * 4, [True] * 4, [False] * 4])
    assert short_term.covers_quadrants(minutes, runs, np.array([False, True, True])).tolist() == [True, True, False]
    assert short_term.quadrants(minutes)[1].tolist() == [True, True, False, False]
    one = np.array([True, False, False, False])
    assert short_term.covers_quadrants(minutes[2], one, True) is True  # one point, one quadrant run, a check
    assert short_term.covers_quadrants(minutes[2], one, False) is False
    with pytest.raises(RuleError, match="hour of 60 minutes"):
        short_term.quadrants(np.zeros(30, np.bool_))


def test_empty_and_impossible():
    assert short_term.covers(0, 0, (2, 3)) is False
    assert short_term.is_discarded(0, 0, 0, (2, 3)) is False  # a standstill is no loss
    with pytest.raises(RuleError, match="never compared as a float"):
        short_term.covers(20.0, 30, (2, 3))
    with pytest.raises(RuleError, match="is negative"):
        short_term.covers(-1, 30, (2, 3))
    with pytest.raises(RuleError, match="coverage: 0/3"):
        short_term.covers(1, 30, (0, 3))
    with pytest.raises(RuleError, match="coverage_basis"):
        short_term.count_expected(30, 18, "valid")


def test_discarded_and_excused():
    """Austria: a function test alone makes no discarded half-hour; with faults enough it does."""
    assert short_term.is_discarded(19, 0, 30, (2, 3)) is True
    assert short_term.is_discarded(20, 0, 30, (2, 3)) is False
    assert short_term.is_discarded(10, 20, 30, (2, 3)) is False
    assert short_term.is_discarded(10, 9, 30, (2, 3)) is True


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from([(2, 3), (4, 5), (3, 4), (1, 1)]))
def test_coverage_is_exact(n_valid, n_expected, share):
    exact = n_valid > 0 and n_valid * share[1] >= share[0] * n_expected
    assert short_term.covers(n_valid, n_expected, share) is exact
    third = 3 * n_expected
    assert short_term.covers(2 * n_expected, third, (2, 3)) is True
    assert short_term.covers(2 * n_expected - 1, third, (2, 3)) is False  # one short
