"""ppm, NOx as NO2, reference conditions and their guards (sections 4.2 to 4.4)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import conditions
from tests.rules.examples import assert_close, example

E05, E06, E07, E07B, E08, E09, E27 = (example(name) for name in ("E05", "E06", "E07", "E07b", "E08", "E09", "E27"))


@pytest.mark.parametrize("row", E05["table"], ids=lambda row: row["gas"].split()[0])
def test_e05(row):
    gas = "C" if "C_atoms" in row else row["gas"]
    assert conditions.molar_mass_g_mol(gas) == row["M"]
    c_atoms = row.get("C_atoms", 1)
    found = conditions.ppm_to_mg_m3(row["ppm"], row["M"], E05["Vm"], c_atoms)
    assert isinstance(found, float)
    assert_close(found, row["mg_m3"])
    assert_close(conditions.ppm_to_mg_m3(1.0, row["M"], E05["Vm"], c_atoms), row["factor"])


def test_gases_without_a_molar_mass():
    assert conditions.molar_mass_g_mol("NOx") == 46.005
    with pytest.raises(RuleError, match="'XO'.*has no molar mass here"):
        conditions.molar_mass_g_mol("XO")


def test_e06():
    inputs, expected = E06["inputs"], E06["expected"]
    assert_close(conditions.NO2_PER_NO, expected["factor_NO_to_NO2"])
    assert_close(conditions.nox_as_no2_mg_m3(inputs["NO_mg_m3"], inputs["NO2_mg_m3"]), expected["NOx_as_NO2_from_mass"])
    assert abs(conditions.nox_as_no2_mg_m3(180.0, 12.0) - expected["round_factor_1_533"]) > 0.03


def test_fixed_share_of_no2():
    found = conditions.nox_from_no_only_mg_m3(95.0, 5.0)
    assert_close(found * 0.95, 95.0 * conditions.NO2_PER_NO)
    with pytest.raises(RuleError, match="NO2 share"):
        conditions.nox_from_no_only_mg_m3(95.0, 100.0)


@pytest.mark.parametrize("case", [E07, E07B], ids=["E07", "E07b"])
def test_e07(case):
    inputs, expected = case["inputs"], case["expected"]
    f_t, f_p = conditions.temperature_factor(inputs["T_C"]), conditions.pressure_factor(inputs["p_abs_kPa"])
    f_h = conditions.moisture_factor(inputs["H2O_vol_pct"])
    if "O2_wet_vol_pct" in inputs:
        o2, exists = conditions.dry_o2_pct(inputs["O2_wet_vol_pct"], inputs["H2O_vol_pct"])
        assert exists is True
    else:
        o2 = inputs["O2_dry_vol_pct"]
    assert_close(o2, expected["O2_dry"])
    f_o2 = conditions.oxygen_factor(o2, inputs["O2_ref_pct"])
    for (factor, exists), name in ((f_t, "f_T"), (f_p, "f_p"), (f_h, "f_H2O"), (f_o2, "f_O2")):
        assert exists is True
        assert_close(factor, expected[name])
    assert_close(conditions.standardise(inputs["c_actual_mg_m3"], f_t, f_p, f_h, f_o2)[0], expected["c_norm"])
    without, _ = conditions.standardise(inputs["c_actual_mg_m3"], f_t, f_p, f_h)
    assert_close(without, expected["c_norm_without_O2"])
    exception = conditions.oxygen_factor(o2, inputs["O2_ref_pct"], no_conversion_below_ref=True)
    assert conditions.standardise(inputs["c_actual_mg_m3"], f_t, f_p, f_h, exception) == (without, True)
    if "german_no_conversion" in case:
        assert_close(without, case["german_no_conversion"]["c"])


def test_e27():
    found, exists = conditions.moisture_from_o2_pct(E27["inputs"]["O2_wet"], E27["inputs"]["O2_dry"])
    assert exists is True
    assert_close(found, E27["expected"]["H2O_pct_from_O2"])


@pytest.mark.parametrize(("reference", "key"), [(11, "f_O2_ref11"), (6, "f_O2_ref6")])
def test_e08(reference, key):
    """At 21.0 and 21.3 % nothing is divided; alone and as an array."""
    factors, exist = conditions.oxygen_factor(np.array([row["O2_dry"] for row in E08]), reference)
    for row, factor, exists in zip(E08, factors, exist, strict=True):
        assert conditions.oxygen_factor(row["O2_dry"], reference) == (factor, exists)
        assert exists == (row[key] is not None)
        assert_close(factor, row[key] or 0.0)


def test_e09_the_order_matters():
    inputs, expected = E09["inputs"], E09["expected"]
    c, o2 = np.array(inputs["c_mg_m3"]), np.array(inputs["O2_dry"])
    each, _ = conditions.standardise(c, conditions.oxygen_factor(o2, inputs["O2_ref"]))
    assert_close(each.sum() / 4, expected["standardise_each_FLD_then_average"])
    mean, _ = conditions.standardise(c.sum() / 4, conditions.oxygen_factor(o2.sum() / 4, inputs["O2_ref"]))
    assert_close(mean, expected["average_then_standardise_STA"])
    assert_close(each.sum() / 4 - mean, expected["difference"])


def test_guards():
    """O2 = 21, H2O = 100, p = 0 and what is no number: no result, never an infinity, never a warning."""
    nan, inf = math.nan, math.inf
    for factor, exists in (
        conditions.pressure_factor(np.array([0.0, -1.0, nan, inf, 1e-320])),
        conditions.moisture_factor(np.array([100.0, 100.1, nan, inf])),
        conditions.temperature_factor(np.array([-273.15, -300.0, nan, inf])),
        conditions.oxygen_factor(np.array([21.0, 21.3, nan, inf]), 11.0),
        conditions.dry_o2_pct(np.array([8.0, nan, 8.0]), np.array([100.0, 10.0, nan])),
        conditions.moisture_from_o2_pct(np.array([6.0, 6.0, nan]), np.array([0.0, -1.0, 7.0])),
        conditions.standardise(np.array([nan, inf, -inf]), (1.0, True)),
        conditions.standardise(np.array([1e308, 5.0]), (np.array([1e10, 1.0]), np.array([True, False]))),
    ):
        assert not exists.any() and not factor.any()
    assert conditions.oxygen_factor(20.9, 11.0, o2_air_pct=20.9) == (0.0, False)
    assert conditions.standardise(-3.0, (2.0, True)) == (-6.0, True)  # negatives stay


def test_oxygen_settings():
    o2 = np.array([5.0, 11.0, 19.9, 20.0, 20.9, 21.0])
    _, exists = conditions.oxygen_factor(o2, 11.0, invalid_above_pct=20.0)
    assert exists.tolist() == [True, True, True, False, False, False]
    factors, exists = conditions.oxygen_factor(o2, 11.0, clamp_pct=20.0)
    assert exists.tolist() == [True] * 5 + [False]  # the guard looks at what was measured
    assert factors[3] == factors[4] == 10.0
    factors, _ = conditions.oxygen_factor(o2, 11.0, no_conversion_below_ref=True)
    assert factors[0] == factors[1] == 1.0 and factors[2] > 1.0
    for wrong in ({"o2_ref_pct": 21.0}, {"o2_ref_pct": math.nan}, {"clamp_pct": 21.0}, {"invalid_above_pct": 25.0}):
        with pytest.raises(RuleError):
            conditions.oxygen_factor(**({"o2_dry_pct": 5.0, "o2_ref_pct": 11.0} | wrong))


finite = st.floats(-1e4, 1e4)


@given(
    st.lists(st.tuples(finite, st.floats(-50, 400), st.floats(50, 150), st.floats(0, 99), st.floats(0, 25)), min_size=1)
)
def test_array_and_float_agree_and_are_exact(rows):
    """A year at once has the bits of each value alone, within rounding of the exact fraction."""
    c, t, p, h, o2 = (np.array(column) for column in zip(*rows, strict=True))
    factors = (
        conditions.temperature_factor(t),
        conditions.pressure_factor(p),
        conditions.moisture_factor(h),
        conditions.oxygen_factor(o2, 11.0),
    )
    values, exist = conditions.standardise(c, *factors)
    for i, row in enumerate(rows):
        one = conditions.standardise(
            row[0],
            conditions.temperature_factor(row[1]),
            conditions.pressure_factor(row[2]),
            conditions.moisture_factor(row[3]),
            conditions.oxygen_factor(row[4], 11.0),
        )
        assert one == (values[i], exist[i])
        assert exist[i] == (row[4] < 21.0)
        if exist[i] and row[4] < 20.9:
            exact = Fraction(row[0]) * (Fraction("273.15") + Fraction(row[1])) / Fraction("273.15")
            exact *= (
                Fraction("101.325") / Fraction(row[2]) * 100 / (100 - Fraction(row[3])) * 10 / (21 - Fraction(row[4]))
            )
            assert math.isclose(values[i], exact, rel_tol=1e-12, abs_tol=1e-300)
