"""Greenhouse gases (reference: averaging-rules section 9): E22, E23, substitution, biomass, tiers, corroboration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import greenhouse, mass_balance
from plumeproof.rules.flow import mass_kg_h
from plumeproof.rules.gwp import load_gwp
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.series import find_runs
from plumeproof.rules.short_term import covers
from plumeproof.rules.substitution import fill, mean_plus_two_sigma
from plumeproof.rules.summation import add_in_lanes, add_in_lanes_along, find_moments
from plumeproof.rules.tiers import judge_tier, load_tiers
from tests.doubles import slow_greenhouse as slow
from tests.rules.examples import assert_close, example

NUMBERS = st.floats(-1e6, 1e6)
HOURS = st.lists(st.tuples(NUMBERS, st.booleans(), st.booleans(), st.floats(0, 1e6)), max_size=90)


def columns(hours):
    """Concentration, validity, operation and flow as arrays."""
    rows = list(zip(*hours, strict=True)) if hours else [(), (), (), ()]
    return (
        np.array(rows[0], dtype=np.float64),
        np.array(rows[1], dtype=np.bool_),
        np.array(rows[2], dtype=np.bool_),
        np.array(rows[3], dtype=np.float64),
    )


def tonnes(c_mg_m3, flow_m3_h):
    """Of each hour, as the engine has them."""
    return mass_kg_h(c_mg_m3, flow_m3_h, False)[0] / 1000.0


def test_e22_a_year_of_eight_hours():
    part = example("E22")
    given_, wanted = part["inputs"], part["expected"]
    points = np.array(given_["points"])
    kept = covers(points, given_["max_points"], load_rule_set("eu_mrr").settings.coverage)
    assert kept.tolist() == [True, True, True, False, True, True, False, True]
    c = np.array([math.nan if one is None else one for one in given_["conc_g_Nm3"]])
    flow = np.array(given_["flow_Nm3_h"], dtype=np.float64)
    sample, population = (mean_plus_two_sigma(c, kept, kind) for kind in ("sample", "population"))
    assert_close(sample.mean, wanted["mean_valid"])
    assert_close(sample.sigma, wanted["sigma_sample"])
    assert_close(population.sigma, wanted["sigma_population"])
    assert_close(sample.value, wanted["C_subst_sample"])
    assert_close(population.value, wanted["C_subst_population"])
    ran = np.ones(8, dtype=np.bool_)
    filled = fill(c, kept, ran, sample)
    assert filled.is_substituted.tolist() == [False, False, False, True, False, False, True, False]
    year = greenhouse.sum_hours(tonnes(filled.values * 1000.0, flow), filled.has, ran, filled.is_substituted)
    assert_close(year.total_t, wanted["total_t_CO2"])
    assert year.hours_op == wanted["hours_op"] and year.hours_substituted == 2 and year.is_complete
    assert_close(year.mean_kg_h, wanted["average_kg_h"])
    assert year.substituted_share == 0.25


def test_e23_n2o_co_biomass_and_flow():
    part = example("E23")
    n2o = part["n2o"]
    hours = tonnes(*(np.array(n2o["inputs"][key]) for key in ("conc_mg_Nm3", "flow_Nm3_h")))
    every = np.ones(3, dtype=np.bool_)
    year = greenhouse.sum_hours(hours, every, every, ~every)
    assert_close(year.total_t, n2o["expected"]["t_N2O"])
    table = load_gwp()
    for key, set_id in (("t_CO2e_AR5_265", "AR5"), ("t_CO2e_AR4_298", "AR4"), ("t_CO2e_AR6_273", "AR6")):
        assert_close(greenhouse.co2e_t(year.total_t, table.of_set(set_id, "N2O")), n2o["expected"][key])
    co = part["co"]
    assert_close(greenhouse.co_as_co2_g_nm3(co["inputs"]["CO_mg_Nm3"]), co["expected"]["add_g_CO2_per_Nm3"])
    biomass = part["biomass"]
    split = greenhouse.split_biomass(biomass["inputs"]["total_t_CO2"], biomass["inputs"]["biomass_fraction"], True)
    assert_close(split.zero_rated_t, biomass["expected"]["biomass_t"])
    assert_close(split.fossil_t, biomass["expected"]["fossil_t"])
    without = greenhouse.split_biomass(biomass["inputs"]["total_t_CO2"], biomass["inputs"]["biomass_fraction"], False)
    assert without.fossil_t == biomass["inputs"]["total_t_CO2"] and without.zero_rated_t == 0.0
    flow = part["o2_balance_flow"]
    value, exists = greenhouse.flow_by_o2_balance(*flow["inputs"].values())
    assert exists
    assert_close(value, flow["expected"]["V_flue_Nm3_h"])


def test_co2_as_the_rest():
    assert greenhouse.co2_vol_pct_from_rest(1.5, 0.25, 3.0) == 95.25
    with pytest.raises(RuleError, match="no other component"):
        greenhouse.co2_vol_pct_from_rest()


def test_elementwise_and_scalar_agree():
    air, flue = np.array([90000.0, 90000.0, 0.0]), np.array([6.3, 100.0, 21.0])
    values, exists = greenhouse.flow_by_o2_balance(air, 20.95, flue)
    assert exists.tolist() == [True, False, True]
    for index in range(3):
        value, has = greenhouse.flow_by_o2_balance(float(air[index]), 20.95, float(flue[index]))
        assert (type(value), type(has)) == (float, bool)
        assert (value, has) == (values[index], exists[index])
    assert greenhouse.flow_by_carbon_balance(1000.0, 0.0) == (0.0, False)
    assert greenhouse.flow_by_carbon_balance(1000.0, 200.0) == (5000.0, True)


@pytest.mark.parametrize(
    ("points", "most", "kept"),
    [(48, 60, True), (47, 60, False), (0, 60, False), (0, 0, False), (2880, 3600, True), (2879, 3600, False)],
)
def test_eighty_per_cent_in_whole_numbers(points, most, kept):
    assert covers(points, most, load_rule_set("eu_mrr").settings.coverage) is kept


def test_one_valid_hour_gives_the_mean_and_says_so():
    found = mean_plus_two_sigma([1.0, 7.5, 2.0], np.array([False, True, False]))
    assert (found.value, found.exists, found.is_sigma_undefined) == (7.5, True, True)
    none = mean_plus_two_sigma([1.0, 2.0], np.array([False, False]))
    assert not none.exists and none.n == 0
    ran = np.array([True, True])
    left = fill([1.0, 2.0], np.array([False, False]), ran, none)
    year = greenhouse.sum_hours(left.values, left.has, ran, left.is_substituted)
    assert not year.is_complete and year.hours_without_figure == 2 and not year.has_mean


def test_bad_series_are_named():
    for values, valid, word in (
        ([math.nan, 1.0], [True, True], "position 0 is nan"),
        ([1.0, math.inf], [True, True], "position 1 is inf"),
        ([1.0], [True, True], "2 hours beside 1"),
        ([1.0, 2.0], [1, 1], "true and false"),
        (["a"], [True], "no numbers"),
        ([[1.0]], [[True]], "2 dimensions"),
    ):
        with pytest.raises(RuleError, match=word):
            mean_plus_two_sigma(values, valid)
    with pytest.raises(RuleError, match="sigma"):
        mean_plus_two_sigma([1.0], [True], "both")


@given(HOURS, st.sampled_from(["sample", "population"]))
def test_year_against_fractions(hours, kind):
    c, valid, ran, flow = columns(hours)
    found = mean_plus_two_sigma(c, valid & ran, kind)
    wanted = slow.substitute([row[0] for row in hours if row[1] and row[2]], kind)
    assert found.exists == (wanted is not None)
    if wanted is not None:
        assert math.isclose(found.value, wanted, rel_tol=1e-12, abs_tol=1e-7)
    filled = fill(c, valid & ran, ran, found)
    year = greenhouse.sum_hours(tonnes(filled.values * 1000.0, flow), filled.has, ran, filled.is_substituted)
    total, counted, replaced, missing = slow.year_t(
        [(row[0] if row[1] else None, row[3]) for row in hours if row[2]], wanted
    )
    assert (year.hours_op, year.hours_substituted, year.hours_without_figure) == (counted, replaced, missing)
    assert math.isclose(year.total_t, total, rel_tol=1e-12, abs_tol=1e-6)


@given(HOURS)
def test_invalid_hours_are_never_looked_at(hours):
    c, valid, ran, flow = columns(hours)
    spoilt = np.where(valid, c, math.nan)
    assert mean_plus_two_sigma(c, valid) == mean_plus_two_sigma(spoilt, valid)
    substitute = mean_plus_two_sigma(c, valid)
    one, other = fill(c, valid, ran, substitute), fill(spoilt, valid, ran, substitute)
    assert one.values.tobytes() == other.values.tobytes() and np.all(np.isfinite(one.values))
    assert not np.any(one.is_substituted & valid) and np.all(one.has | ~ran | (not substitute.exists))


@given(HOURS, st.integers(-3, 10))
def test_masses_scale_with_powers_of_two_to_the_bit(hours, power):
    c, valid, ran, flow = columns(hours)
    none = np.zeros(len(hours), dtype=np.bool_)
    # below 1e-100 a product could come near the smallest float64 and lose bits
    c, flow = np.where(np.abs(c) < 1e-100, 0.0, c), np.where(flow < 1e-100, 0.0, flow)
    one = greenhouse.sum_hours(tonnes(c, flow), valid, ran, none)
    many = greenhouse.sum_hours(tonnes(c * 2.0**power, flow), valid, ran, none)
    assert many.total_t == one.total_t * 2.0**power


@given(st.lists(NUMBERS, max_size=130))
def test_lanes_are_those_of_the_page(numbers):
    """The definition of bridge/EVIDENCE.md section 3, in plain Python."""
    lanes = [0.0] * 20
    for position, number in enumerate(numbers):
        lanes[position % 20] += number
    ten = [lanes[i] + lanes[i + 10] for i in range(10)]
    five = [ten[i] + ten[i + 5] for i in range(5)]
    assert add_in_lanes(numbers) == ((five[0] + five[1]) + (five[2] + five[3])) + five[4]
    assert add_in_lanes(numbers) == add_in_lanes_along(np.array(numbers, dtype=np.float64))


@given(st.lists(st.tuples(NUMBERS, st.booleans()), max_size=60))
def test_moments_against_fractions(rows):
    found = find_moments([row[0] for row in rows], np.array([row[1] for row in rows], dtype=np.bool_))
    n, mean, m2 = slow.moments([row[0] for row in rows if row[1]])
    assert found.n == n
    assert math.isclose(found.mean, mean, rel_tol=1e-12, abs_tol=1e-8)
    assert math.isclose(found.m2, m2, rel_tol=1e-9, abs_tol=1e-3)


@given(st.lists(st.booleans(), max_size=40))
def test_runs(mask):
    runs = find_runs(np.array(mask, dtype=np.bool_))
    inside = {hour for start, end in runs for hour in range(start, end)}
    assert inside == {hour for hour, is_true in enumerate(mask) if is_true}
    assert all(earlier[1] < later[0] for earlier, later in zip(runs, runs[1:], strict=False))


def test_an_hour_of_standstill_emits_nothing():
    every, ran = np.array([True, True]), np.array([True, False])
    year = greenhouse.sum_hours([3.0, 5.0], every, ran, every)
    assert (year.total_t, year.hours_op, year.hours_substituted, year.substituted_t) == (3.0, 1, 1, 3.0)


def test_outage_of_more_than_five_days():
    assert not greenhouse.is_outage_notifiable(120) and greenhouse.is_outage_notifiable(121)


def test_fractions_of_biomass():
    for fraction in (-0.1, 1.1, 34.0, math.nan):
        with pytest.raises(RuleError, match="fraction"):
            greenhouse.split_biomass(100.0, fraction, True)


@pytest.mark.parametrize(
    ("pct", "reached"), [(2.5, 4), (2.500001, 3), (5.0, 3), (7.5, 2), (7.6, 1), (10.0, 1), (10.1, 0), (0.0, 4)]
)
def test_tiers_of_co2(pct, reached):
    judged = judge_tier("CO2", pct)
    assert judged.reached == reached and judged.is_met == (reached >= 2) and judged.required_pct == 7.5
    assert judge_tier("CO2", pct, 4).is_met == (reached == 4)


def test_tiers_refuse_what_there_is_not():
    assert judge_tier("N2O", 1.0).reached == 3 and load_tiers().head.id == "mrr_tiers"
    for stream, pct, tier in (
        ("N2O", 1.0, 4),
        ("CH4", 1.0, 1),
        ("CO2", math.nan, 1),
        ("CO2", -1.0, 1),
        ("CO2", 1.0, 0),
    ):
        with pytest.raises(RuleError):
            judge_tier(stream, pct, tier)


def test_corroborating_calculation():
    # 10,000 t of coal, 25 GJ/t, 94.6 t CO2/TJ, 1 oxidised: 23,650 t
    coal = mass_balance.Fuel("coal", 10_000.0, 25.0, 94.6)
    assert_close(mass_balance.fuel_co2_t(coal), 23_650.0)
    half = mass_balance.Fuel("mixture", 10_000.0, 25.0, 94.6, biomass_fraction=0.5)
    assert_close(mass_balance.fuel_co2_t(half), 11_825.0)
    carbon = (
        mass_balance.CarbonStream("coke", "in", 1000.0, 0.9),
        mass_balance.CarbonStream("steel", "out", 5000.0, 0.02),
        mass_balance.CarbonStream("heap", "stock_increase", -50.0, 0.9),
    )
    assert_close(mass_balance.balance_co2_t(carbon), (900.0 - 100.0 + 45.0) * 3.664)
    calculated = mass_balance.calculate_co2_t([coal], carbon)
    found = mass_balance.corroborate(27_000.0, calculated, 2.0)
    assert_close(found.difference_t, 27_000.0 - 23_650.0 - 845.0 * 3.664)
    assert found.is_within and not mass_balance.corroborate(27_000.0, calculated, 0.1).is_within
    assert mass_balance.corroborate(27_000.0, calculated).is_within is None
    assert not mass_balance.corroborate(0.0, calculated, 5.0).has_difference_pct


@pytest.mark.parametrize(
    "make",
    [
        lambda: mass_balance.calculate_co2_t([]),
        lambda: mass_balance.fuel_co2_t(mass_balance.Fuel("a", -1.0, 1.0, 1.0)),
        lambda: mass_balance.fuel_co2_t(mass_balance.Fuel("a", 1.0, 1.0, math.nan)),
        lambda: mass_balance.fuel_co2_t(mass_balance.Fuel("a", 1.0, 1.0, 1.0, oxidation=99.0)),
        lambda: mass_balance.balance_co2_t([mass_balance.CarbonStream("a", "up", 1.0, 0.5)]),
        lambda: mass_balance.balance_co2_t([mass_balance.CarbonStream("a", "in", 1.0, 50.0)]),
        lambda: mass_balance.balance_co2_t([mass_balance.CarbonStream("a", "out", -1.0, 0.5)]),
        lambda: mass_balance.corroborate(math.nan, 1.0),
        lambda: mass_balance.corroborate(1.0, 1.0, -1.0),
    ],
)
def test_corroboration_refuses(make):
    with pytest.raises(RuleError):
        make()
