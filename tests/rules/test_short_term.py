"""Coverage by whole numbers, means, quadrants (sections 3.4, 11.1)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import short_term, status
from plumeproof.rules.plant_state import OPERATING, STOPPED
from plumeproof.rules.summation import add_in_lanes
from tests.rules.examples import assert_close, example

E01, E02, E03, E25 = (example(name) for name in ("E01", "E02", "E03", "E25"))


def test_e01():
    inputs, expected = E01["inputs"], E01["expected"]
    values, codes = np.array(inputs["values"]), status.codes_of(inputs["status"])
    states = np.zeros(30, np.uint8)
    total, n = short_term.sum_valid(values, codes, states)
    mean, exists, is_valid = short_term.short_term(total, n, expected["n_expected"], (2, 3))
    assert (n, exists, is_valid) == (expected["n_valid"], True, expected["valid"])
    assert_close(mean, expected["mean_of_valid"])
    assert_close(short_term.coverage_share(n, 30)[0], expected["coverage"])
    assert_close(values.sum() / 30, expected["mean_of_all_wrong"])
    for letter, count in expected["discarded_min"].items():
        assert int((codes == status.codes_of(letter)[0]).sum()) == count


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


def test_e03():
    inputs, expected = E03["inputs"], E03["expected"]
    running, standing = inputs["minutes_valid_while_operating"], inputs["minutes_valid_while_stopped"]
    runs = inputs["minutes_plant_operating"]
    states = np.array([OPERATING] * runs + [STOPPED] * (30 - runs))
    codes = status.codes_of("V" * running + "M" * (runs - running) + "V" * standing)
    values = np.array(
        [inputs["mean_valid_while_operating"]] * runs + [inputs["mean_valid_while_stopped"]] * (30 - runs)
    )
    total, n = short_term.sum_valid(values, codes, states)
    for basis, key in (("operating", "mode_operating_time"), ("period", "mode_whole_period")):
        n_expected = short_term.count_expected(30, runs, basis)
        mean, _, is_valid = short_term.short_term(total, n, n_expected, (2, 3))
        assert is_valid is expected[key]["valid"]
        assert_close(short_term.coverage_share(n, n_expected)[0], expected[key]["coverage"])
        if is_valid:
            assert_close(mean, expected[key]["average"])
    mixed, m = short_term.sum_valid(values, codes, np.zeros(30, np.uint8))
    assert_close(mixed / m, expected["wrong_mixing_stopped_minutes"])


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
    assert short_term.short_term(0.0, 0, 30, (2, 3)) == (0.0, False, False)
    assert short_term.covers(0, 0, (2, 3)) is False
    assert short_term.coverage_share(0, 0) == (0.0, False)
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


rows = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.sampled_from(status.LETTERS), st.integers(0, 4)), min_size=1, max_size=90
)


@given(rows)
def test_sum_is_lanes20_of_what_counts(found):
    values, letters, states = zip(*found, strict=True)
    total, n = short_term.sum_valid(np.array(values), status.codes_of("".join(letters)), np.array(states))
    counts = [letter in "VWS" and state != STOPPED for letter, state in zip(letters, states, strict=True)]
    assert n == sum(counts)
    assert total == add_in_lanes([value if is_in else 0.0 for value, is_in in zip(values, counts, strict=True)])


@given(rows, st.randoms())
def test_reordered_rows_give_the_same_bits(found, random):
    """Rows carry their place; whatever order they arrive in, they are put there."""
    places = list(range(len(found)))
    random.shuffle(places)
    values, codes, states = np.zeros(len(found)), np.zeros(len(found), np.uint8), np.zeros(len(found), np.uint8)
    for place in places:
        values[place], codes[place], states[place] = (
            found[place][0],
            status.LETTERS.index(found[place][1]),
            found[place][2],
        )
    ordered = short_term.sum_valid(
        np.array([row[0] for row in found]),
        status.codes_of("".join(row[1] for row in found)),
        np.array([row[2] for row in found]),
    )
    assert short_term.sum_valid(values, codes, states) == ordered


@given(rows, st.lists(st.integers(1, 30_000), min_size=90, max_size=90))
def test_splitting_first_level_data(found, halves):
    """Two of half the duration for one: the same coverage, the same mean within rounding."""
    values, letters, states = zip(*found, strict=True)
    durations = 2 * np.array(halves[: len(found)])
    codes = status.codes_of("".join(letters))
    whole, n = short_term.sum_valid(np.array(values), codes, np.array(states), durations)
    split = [np.repeat(column, 2) for column in (np.array(values), codes, np.array(states), durations // 2)]
    parts, m = short_term.sum_valid(*split)
    assert m == n
    if n:
        assert math.isclose(whole / n, parts / n, rel_tol=1e-9, abs_tol=1e-6)  # values up to 1e6 may cancel


def test_duration_weighs():
    total, n = short_term.sum_valid(np.array([10.0, 40.0]), status.codes_of("VV"), np.zeros(2), np.array([2000, 1000]))
    assert (total / n, n) == (20.0, 3000)


@given(st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 1000.0), min_size=1, max_size=60), st.integers(-3, 8))
def test_scaling_all_values(values, power):
    """k a power of two: the same bits."""
    k, series = 2.0**power, np.array(values)
    codes, states = np.zeros(len(values), np.uint8), np.zeros(len(values), np.uint8)
    total, _ = short_term.sum_valid(series, codes, states)
    scaled, _ = short_term.sum_valid(series * k, codes, states)
    assert scaled == total * k


def test_nan_where_nothing_counts_is_not_touched():
    total, n = short_term.sum_valid(np.array([1.0, math.nan, math.inf]), status.codes_of("VFX"), np.zeros(3))
    assert (total, n) == (1.0, 1)


def test_status_that_changes_each_minute():
    total, n = short_term.sum_valid(np.arange(60.0), status.codes_of("VF" * 30), np.zeros(60))
    assert n == 30 and total == float(sum(range(0, 60, 2)))
    assert short_term.short_term(total, n, 60, (2, 3))[1:] == (True, False)
