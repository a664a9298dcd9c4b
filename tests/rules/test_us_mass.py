"""Mass of a channel in ppm, ppb or %, whose mg/m3 are at 20 degC, and a flow at 0 degC: against 40 CFR 75 Appendix F.

By hand, once: 20,000,000 scfh at 68 degF are 20e6 * 0.028316846592 m3 * 273.15/293.15 = 527,699.6 normal m3/h; SO2 of
180 ppm 1.660e-7 * 180 * 20e6 = 597.6 lb/h = 271.067 kg/h (E25c); NOx 1.194e-7 * 100 * 20e6 = 238.8 lb/h = 108.318 kg/h;
CO2 5.7e-7 * 11.2 * 20e6 = 127.68 short ton/h = 115,829.3 kg/h. Appendix F rounds: 64.064 g in 24.055 L are 1.6626e-7,
44.009 g 5.711e-7.
"""

from __future__ import annotations

import numpy as np
import pytest

from plumeproof.rules import each_slot, term_sums
from plumeproof.rules.figure import MASS, STANDARDISED
from plumeproof.rules.first_level import Row, quantities_of
from plumeproof.rules.minutes import sum_minutes
from plumeproof.rules.our_units import mass_state_factor
from plumeproof.rules.plant_state import OPERATING
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.short_terms import short_terms
from plumeproof.rules.term_uncertainty import of_terms
from tests.rules.test_each_slot import HEAD, own_rules
from tests.rules.test_minutes import plant

FLOW_M3_H = 527_699.6
STACK = (
    HEAD
    + """
[flow]
source = "m/f"
slot_ms = 15000
conditions = "normal_dry"
"""
    + "".join(
        f'[[measurand]]\nid = "{name}"\ngas = "{gas}"\nunit = "{unit}"\nsource = "m/{name}"\nslot_ms = 15000\n'
        "[[measurand.uncertainty]]\nname = 'all'\nvalue_pct = 5.0\nis_common = true\nk = 2.0\n"
        for name, gas, unit in (
            ("SO2", "SO2", "ppm"), ("NOx", "NO2", "ppb"), ("CO2", "CO2", "%"), ("normal", "SO2", "mg/m3"),
        )
    )
)  # fmt: skip
READ = {"SO2": 180.0, "NOx": 100_000.0, "CO2": 11.2, "normal": 180.0 * 64.064 / 22.414, "/flow": FLOW_M3_H}
APPENDIX_F_KG_H = {"SO2": (271.067, 1.7e-3), "NOx": (108.318, 2e-4), "CO2": (115_829.3, 2e-3)}


def hour_of(rules):
    """One hour of constant readings by a rule set: its terms by measurand, and the uncertainties."""
    stack = plant(STACK)
    rows = [
        Row(one, np.full((60, 4), READ[one.name]), *(np.full((60, 4), code, np.uint8) for code in (0, OPERATING)))
        for one in quantities_of(stack)
    ]
    minutes = sum_minutes(rows, 0)
    if rules.settings.standardise_at == "FLD":
        minutes = each_slot.add(minutes, rows, stack, rules.settings)
    terms = short_terms(stack, rules, term_sums.merge(minutes, 60, "majority"))
    return {one.measurand.id: one for one in terms.measurands}, of_terms(stack, rules, terms)


@pytest.mark.parametrize("standardise_at", ["STA", "FLD"])
def test_mass_is_that_of_appendix_f(tmp_path, standardise_at):
    rules = own_rules(tmp_path, inherits="us_part75", standardise_at=standardise_at)
    found, uncertain = hour_of(rules)
    for name, (kg_h, rounding) in APPENDIX_F_KG_H.items():
        assert found[name].layers[MASS].values[0] == pytest.approx(kg_h, rel=rounding), name
        mass, own = uncertain[name, MASS], found[name].layers[MASS].values[0]
        assert mass.total[0] == pytest.approx(0.05 * own, rel=1e-9)  # 5 % of it, like its concentration
    # What is reported stays at the rule set's own state: 180 ppm at 20 degC
    assert found["SO2"].layers[STANDARDISED].values[0] == pytest.approx(180.0 * 64.064 / 24.055, rel=1e-12)


@pytest.mark.parametrize("standardise_at", ["STA", "FLD"])
@pytest.mark.parametrize("inherits", ["us_part75", "eu_mrr", "cn_hj75"])
def test_the_same_gas_has_the_same_mass_in_every_unit_and_rule_set(tmp_path, inherits, standardise_at):
    """cn_hj75 rounds the molar volume to 22.4: its masses are 22.414/22.4 of ours, and no state is changed."""
    found, _ = hour_of(own_rules(tmp_path, inherits=inherits, standardise_at=standardise_at))
    by_volume, normal = (found[name].layers[MASS].values[0] for name in ("SO2", "normal"))
    assert normal == pytest.approx(READ["normal"] * FLOW_M3_H / 1e6, rel=1e-12)
    assert by_volume / normal == pytest.approx(22.414 / 22.4 if inherits == "cn_hj75" else 1.0, rel=1e-12)


def test_the_factor_is_one_where_the_concentration_is_normal():
    units = {one.id: one for one in plant(STACK).measurands}
    state = 24.055 / 22.414
    for name, wanted in (
        ("us_part75", [state] * 3 + [1.0]), ("eu_ied_waste", [1.0] * 4), ("cn_hj75", [1.0] * 4),
    ):  # fmt: skip
        settings = load_rule_set(name).settings
        assert [mass_state_factor(one, settings) for one in units.values()] == wanted
