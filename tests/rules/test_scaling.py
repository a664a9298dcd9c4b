"""4-20 mA to values, status from the current, calibration function (section 4.1)."""

from __future__ import annotations

import numpy as np
import pytest

from plumeproof.errors import RuleError
from plumeproof.rules import scaling, status
from tests.rules.examples import assert_close, example

E04 = example("E04")
LOW, HIGH = E04["inputs"]["range_mg_m3"]


def test_e04():
    x = scaling.scale_loop(E04["inputs"]["signal_mA"], LOW, HIGH)
    assert isinstance(x, float)
    assert_close(x, E04["expected"]["x_mg_m3"])
    y = scaling.calibrate(x, E04["inputs"]["calibration"]["a"], E04["inputs"]["calibration"]["b"])
    assert_close(y, E04["expected"]["y_mg_m3"])
    assert scaling.is_in_valid_range(y, E04["inputs"]["valid_calibration_range"][1]) is True
    assert status.letters_of(scaling.judge_loop(E04["inputs"]["signal_mA"], LOW, HIGH)) == "V"


@pytest.mark.parametrize("case", E04["live_zero_examples"], ids=lambda case: f"{case['mA']} mA")
def test_e04_live_zero(case):
    assert_close(scaling.scale_loop(case["mA"], LOW, HIGH), case["x"])
    assert status.letters_of(scaling.judge_loop(case["mA"], LOW, HIGH)) == case["status"]


def test_borders_of_the_current():
    currents = np.array([0.0, 3.6, 3.61, 3.67, 3.69, 4.0, 20.0, 20.001, 20.999, 21.0, np.nan, np.inf])
    assert status.letters_of(scaling.judge_loop(currents, LOW, HIGH)) == "FFUUVVVOOFFF"
    assert status.letters_of(scaling.judge_loop(3.65, LOW, HIGH, under_range_pct=-3.0)) == "V"


def test_range_of_a_digital_value():
    values = np.array([-6.1, -6.0, -0.0, 300.0, 300.1, np.nan, -np.inf])
    codes = scaling.judge_range(values, LOW, HIGH)
    assert status.letters_of(codes) == "UVVVOFF"
    taken, marked = scaling.use_range_end(np.array([1.0, 300.1]), codes[[3, 4]], HIGH)
    assert taken.tolist() == [1.0, 300.0] and status.letters_of(marked) == "VS"


def test_calibration_changes_within_a_period():
    x = np.array([10.0, 10.0, 20.0])
    assert scaling.calibrate(x, np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.0, 2.0])).tolist() == [10.0, 21.0, 41.0]


def test_valid_range_holds_its_ends():
    assert scaling.is_in_valid_range(np.array([-0.1, 0.0, 180.4, 180.5]), 180.4).tolist() == [False, True, True, False]


def test_empty_range_is_refused():
    with pytest.raises(RuleError, match="measuring range: 5..5 is empty"):
        scaling.scale_loop(4.0, 5.0, 5.0)
