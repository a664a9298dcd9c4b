"""Flow by pitot probe, conversions, mass, ducts (section 4.5)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import flow
from plumeproof.rules.conditions import oxygen_factor, standardise
from tests.rules.examples import assert_close, example

E21, E21B, E26 = example("E21"), example("E21b"), example("E26")


def test_e21():
    inputs, expected = E21["inputs"], E21["expected"]
    p_kpa = inputs["p_abs_Pa"] / 1000.0
    dry = flow.dry_molar_mass_g_mol(inputs["O2_dry_pct"], inputs["CO2_dry_pct"])
    wet = flow.wet_molar_mass_g_mol(dry, inputs["H2O_pct"])
    rho, _ = flow.density_kg_m3(p_kpa, wet, inputs["T_C"])
    velocity, _ = flow.pitot_velocity_m_s(inputs["dp_Pa"], rho, inputs["K_pitot"])
    actual = flow.actual_flow_m3_h(velocity, inputs["area_m2"], inputs["f_wall"])
    normal, _ = flow.normal_wet_m3_h(actual, inputs["T_C"], p_kpa)
    dry_flow, _ = flow.dry_m3_h(normal, inputs["H2O_pct"])
    factor, exists = oxygen_factor(inputs["O2_dry_pct"], 6.0)
    assert exists is True
    for found, name in (
        (dry, "M_dry_g_mol"),
        (wet, "M_wet_g_mol"),
        (rho, "rho_kg_m3"),
        (velocity, "v_m_s"),
        (actual, "Q_actual_m3_h"),
        (normal, "Q_norm_wet_m3_h"),
        (dry_flow, "Q_norm_dry_m3_h"),
        (dry_flow / factor, "Q_norm_dry_ref6_m3_h"),
    ):
        assert isinstance(found, float)
        assert_close(found, expected[name])


def test_e21b_both_at_the_same_conditions():
    inputs, expected = E21B["inputs"], E21B["expected"]
    matching, _ = flow.mass_kg_h(inputs["c_norm_dry_at_actual_O2"], inputs["Q_norm_dry"], True)
    assert_close(matching, expected["mass_kg_h_matching_basis"])
    assert_close(flow.mass_kg_h(inputs["c_ref6"], inputs["Q_ref6"], True)[0], expected["mass_kg_h_both_ref6"])
    assert_close(flow.mass_kg_h(inputs["c_ref6"], inputs["Q_norm_dry"], True)[0], expected["wrong_mixed_basis"])


def test_e26_two_ducts():
    c, q = np.array(E26["inputs"]["c"]), np.array(E26["inputs"]["Q"])
    found, exists = flow.flow_weighted_mg_m3(c, q, np.array([True, True]))
    assert exists is True
    assert_close(found, E26["expected"]["flow_weighted"])
    assert_close(c.sum() / 2, E26["expected"]["simple"])


def test_ducts_that_stand_still_or_have_no_value():
    c = np.array([[35.0, 35.0, 35.0, 35.0, 35.0], [80.0, math.nan, math.nan, 80.0, 80.0]])
    q = np.array([[6e4, 6e4, 6e4, 0.0, 6e4], [2e4, 0.0, 2e4, 0.0, -2e4]])
    exists = np.array([[True] * 5, [True, False, False, True, True]])
    found, has = flow.flow_weighted_mg_m3(c, q, exists)
    assert found.tolist() == [46.25, 35.0, 0.0, 0.0, 0.0]
    assert has.tolist() == [True, True, False, False, False]
    stopped, has = flow.flow_weighted_mg_m3(c, q, exists, runs=np.array([[True] * 5, [False] * 5]))
    assert stopped.tolist() == [35.0, 35.0, 35.0, 0.0, 35.0] and has.tolist() == [True, True, True, False, True]
    with pytest.raises(RuleError, match="one shape"):
        flow.flow_weighted_mg_m3(c, q[:1], exists)


def test_mass_with_negatives():
    c, q = np.array([-1.0, 10.0, 10.0]), np.array([1000.0, -5.0, 1000.0])
    assert flow.mass_kg_h(c, q, True)[0].tolist() == [0.0, 0.0, 0.01]
    assert flow.mass_kg_h(c, q, False)[0].tolist() == [-0.001, -0.00005, 0.01]  # greenhouse gases: nothing is clipped


def test_guards():
    nan, inf = math.nan, math.inf
    for value, exists in (
        flow.density_kg_m3(np.array([0.0, -1.0, nan, 101.325]), 29.0, np.array([20.0, 20.0, 20.0, -273.15])),
        flow.pitot_velocity_m_s(np.array([-0.1, 5.0, nan, inf]), np.array([1.0, 0.0, 1.0, 1.0])),
        flow.normal_wet_m3_h(np.array([1.0, 1.0, nan]), np.array([-300.0, 20.0, 20.0]), np.array([100.0, 0.0, 100.0])),
        flow.dry_m3_h(np.array([1.0, 1.0, nan]), np.array([100.0, nan, 5.0])),
        flow.mass_kg_h(np.array([nan, inf, 1e200]), np.array([1.0, 1.0, 1e200]), False),
    ):
        assert not exists.any() and not value.any()
    with pytest.raises(RuleError, match="duct"):
        flow.actual_flow_m3_h(5.0, 0.0)


@given(st.floats(0.1, 1e3), st.floats(0.1, 1e6), st.floats(0.0, 20.0), st.floats(0.0, 15.0))
def test_reference_oxygen_leaves_the_mass(c, q, o2, reference):
    """Both at actual or both at reference O2: the same mass (E21b for all figures)."""
    factor = oxygen_factor(o2, reference)
    c_ref, _ = standardise(c, factor)
    assert_close(flow.mass_kg_h(c_ref, q / factor[0], True)[0], flow.mass_kg_h(c, q, True)[0], rel=1e-12)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(1, 1e6)), min_size=1, max_size=4), st.floats(0.5, 8.0))
def test_scaling_concentrations_scales_the_ducts_mean(rows, k):
    c, q = (np.array(column) for column in zip(*rows, strict=True))
    whole, _ = flow.flow_weighted_mg_m3(c, q, np.ones(c.size, bool))
    scaled, _ = flow.flow_weighted_mg_m3(c * k, q, np.ones(c.size, bool))
    assert math.isclose(scaled, whole * k, rel_tol=1e-12, abs_tol=1e-9)
