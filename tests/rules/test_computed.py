"""Computed channels: the worked examples slot by slot, beside channels that were recorded so, and what is refused."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest

from plumeproof.array_strips import ArrayStrips, Readings
from plumeproof.errors import ConfigError, RuleError
from plumeproof.evidence import decoding
from plumeproof.figure_desk import FigureDesk
from plumeproof.rules.computed import compute
from plumeproof.rules.computed_plan import FORMULAS
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain import explain
from plumeproof.rules.figure import FLOW, SHORT_TERM
from plumeproof.rules.our_units import to_mg_m3
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.timed_module import START_UTC_MS
from tests.rules.examples import assert_close, example

HEAD = {"id": "line-1", "title": "t", "utc_offset": "+00:00", "rule_sets": ["eu_ied_lcp"]}
SLOT = 60_000
DUST = {"id": "dust", "source": "m/dust", "unit": "mg/m3", "slot_ms": SLOT}


def plan_of(formula, **inputs):
    """A computed channel whose inputs are channels `m/name`, (unit) or fixed numbers."""
    own = [
        {"name": name, "fixed": unit}
        if isinstance(unit, float)
        else {"name": name, "source": f"m/{name}", "unit": unit}
        for name, unit in inputs.items()
    ]
    tree = {"plant": HEAD, "computed": [{"id": "made", "formula": formula, "input": own}], "measurand": [DUST]}
    return parse_plant(tree, Path("line-1.toml")).computed[0]


def made(plan, *numbers, status=None):
    """The result of one slot: value, status."""
    status = status or [0] * len(numbers)
    inputs = [(np.array([number]), np.array([own], np.uint8)) for number, own in zip(numbers, status, strict=True)]
    values, found = compute(plan, inputs)
    return values[0], found[0]


def test_e21_velocity():
    part = example("E21")
    given, wanted = part["inputs"], part["expected"]
    plan = plan_of("pitot_velocity", dp="hPa", T="K", p="kPa", H2O="%", O2="%", CO2="%", K=0.84)
    assert plan.unit == "m/s"
    value, status = made(
        plan, given["dp_Pa"] / 100, given["T_C"] + 273.15, given["p_abs_Pa"] / 1000, given["H2O_pct"],
        given["O2_dry_pct"], given["CO2_dry_pct"], 0.84,
    )  # fmt: skip
    assert status == 0
    assert_close(value, wanted["v_m_s"])


def test_e06_nox_from_both_channels():
    given, wanted = example("E06")["inputs"], example("E06")["expected"]
    by_mass = made(plan_of("nox_as_no2", NO="mg/m3", NO2="mg/m3"), given["NO_mg_m3"], given["NO2_mg_m3"])
    assert_close(by_mass[0], wanted["NOx_as_NO2_from_mass"])
    by_volume = made(plan_of("nox_ppm", NO="ppm", NO2="ppm"), given["NO_ppm"], given["NO2_ppm"])
    tree = {"plant": HEAD, "measurand": [DUST | {"unit": "ppm", "gas": "NO2"}]}
    (nox,) = parse_plant(tree, Path("line-1.toml")).measurands
    found = to_mg_m3(np.array([by_volume[0]]), nox, load_rule_set("eu_ied_waste").settings)
    assert_close(found[0], wanted["NOx_as_NO2_from_ppm"])


def test_e23_e26_e27():
    flow = example("E23")["o2_balance_flow"]
    plan = plan_of("flow_by_o2_balance", air="m3/h", O2_air=20.95, O2="%")
    assert_close(made(plan, *flow["inputs"].values())[0], flow["expected"]["V_flue_Nm3_h"])
    co = example("E23")["co"]
    value, _ = made(plan_of("co2_with_co", CO2="g/m3", CO="mg/m3"), 200.0, co["inputs"]["CO_mg_Nm3"])
    assert_close(value - 200.0, co["expected"]["add_g_CO2_per_Nm3"], rel=1e-7)  # a difference of two near numbers
    ducts = example("E26")
    (c1, c2), (q1, q2) = ducts["inputs"]["c"], ducts["inputs"]["Q"]
    plan = plan_of("ducts", c1="mg/m3", q1="m3/h", c2="mg/m3", q2="m3/h")
    assert_close(made(plan, c1, q1, c2, q2)[0], ducts["expected"]["flow_weighted"])
    oxygen = example("E27")
    value, _ = made(plan_of("moisture_from_o2", wet="%", dry="%"), *oxygen["inputs"].values())
    assert_close(value, oxygen["expected"]["H2O_pct_from_O2"])
    assert made(plan_of("co2_from_rest", other1="%", other2="%", other3="%"), 1.5, 0.25, 3.0) == (95.25, 0)
    plan = plan_of("co2_from_o2", O2="%", F=9570.0, Fc=1820.0)
    assert_close(made(plan, 10.45, 9570.0, 1820.0)[0], 100 * 1820 / 9570 / 2)  # half of the air's oxygen is left
    assert made(plan, 20.9, 9570.0, 1820.0) == (0.0, 0)
    assert made(plan_of("co2_from_o2", O2="%", F="1", Fc=1820.0), 7.0, 0.0, 1820.0)[1] == decoding.NOT_FINITE


def test_a_slot_has_the_cause_of_the_first_input_that_lacks():
    plan = plan_of("nox_as_no2", NO="mg/m3", NO2="mg/m3")
    assert made(plan, 1.0, 1.0, status=[decoding.FAILURE, 1]) == (0.0, decoding.FAILURE)
    assert made(plan, 1.0, 1.0, status=[0, 1]) == (0.0, 1)
    assert made(plan, 0.0, 1.0, status=[0, decoding.WARNING]) == (1.0, decoding.WARNING)
    velocity = plan_of("pitot_velocity", dp="Pa", T="degC", p="hPa", H2O=12.0, O2=7.5, CO2=11.0, K=0.84)
    assert made(velocity, -0.1, 135.0, 994.0, 12.0, 7.5, 11.0, 0.84) == (0.0, decoding.NOT_FINITE)
    assert made(plan_of("moisture_from_o2", wet="%", dry="%"), 6.0, 0.0) == (0.0, decoding.NOT_FINITE)


def test_a_duct_that_stands_still_needs_no_concentration():
    plan = plan_of("ducts", c1="mg/m3", q1="m3/s", c2="mg/m3", q2="m3/h")
    assert made(plan, 35.0, 1.0, 0.0, 0.0, status=[0, 0, decoding.FAILURE, 0]) == (35.0, 0)
    assert made(plan, 35.0, 1.0, 0.0, 1.0, status=[0, 0, decoding.FAILURE, 0])[1] == decoding.FAILURE
    assert made(plan, 35.0, 0.0, 80.0, 0.0)[1] == decoding.NOT_FINITE
    assert made(plan, 30.0, 1.0, 60.0, 3600.0) == (45.0, 0)  # m3/s and m3/h


# The whole engine: computed, and recorded as it is computed here in plain Python

PITOT = [
    {"name": "dp", "source": "m/dp", "unit": "Pa", "slot_ms": 30_000},
    {"name": "T", "source": "m/t", "slot_ms": SLOT},
    {"name": "p", "source": "m/p", "unit": "hPa", "slot_ms": SLOT},
    {"name": "H2O", "fixed": 12.0},
    {"name": "O2", "source": "m/o2", "slot_ms": SLOT},
    {"name": "CO2", "fixed": 11.0},
    {"name": "K", "fixed": 0.84},
]
STACK = {
    "plant": HEAD,
    "computed": [{"id": "velocity", "formula": "pitot_velocity", "slot_ms": 30_000, "input": PITOT}],
    "peripheral": [
        {"kind": "T", "source": "m/t", "slot_ms": SLOT},
        {"kind": "p", "source": "m/p", "unit": "hPa", "slot_ms": SLOT},
        {"kind": "H2O", "source": "m/h", "slot_ms": SLOT},
        {"kind": "O2", "source": "m/o2", "slot_ms": SLOT},
    ],
    "flow": {"source": "computed/velocity", "unit": "m/s", "area_m2": 4.9, "slot_ms": 30_000},
    "measurand": [DUST | {"needs": ["O2"], "o2_reference_pct": 6.0}],
}


def readings(seed=1, minutes=60):
    rng = np.random.default_rng(seed)
    units = {"dp": "Pa", "t": "degC", "p": "hPa", "h": "%", "o2": "%", "dust": "mg/m3"}
    around = {"dp": (80.0, 85.0), "t": (135.0, 5.0), "p": (994.0, 3.0), "h": (12.0, 1.0), "o2": (7.5, 1.0)}
    found = {}
    for name, unit in units.items():
        slot = 30_000 if name == "dp" else SLOT
        level, width = around.get(name, (20.0, 4.0))
        count = minutes * 60_000 // slot
        values = level + width * (2 * rng.random(count) - 1)
        times = START_UTC_MS + np.arange(count) * slot
        found[f"m/{name}"] = Readings(times, values, unit, slot, rng.random(count) > 0.05)
    return found


def figures(tree, channels):
    plant = parse_plant(tree, Path("line-1.toml"))
    engine = Engine(plant, [load_rule_set("eu_ied_lcp")])
    source = ArrayStrips(channels, map(str, plant.sources()))
    desk = FigureDesk(engine, source)
    found = list(desk.figures((SHORT_TERM,), (START_UTC_MS, START_UTC_MS + 3_600_000)))
    return engine, source, desk, {(one.measurand, one.layer): one for one in found}


def test_a_plant_beside_one_whose_velocity_was_recorded():
    channels = readings()
    engine, source, _, found = figures(STACK, channels)
    assert engine.devices() == ("m",) and "computed" not in " ".join(map(str, engine.plant.sources()))
    plain = copy.deepcopy(STACK)
    del plain["computed"]
    plain["flow"]["source"] = "m/v"
    dp, count = channels["m/dp"], 120
    values, valid = np.zeros(count), np.zeros(count, np.bool_)
    for at in range(count):
        t, p, o2 = (channels[f"m/{name}"].values[at // 2] for name in ("t", "p", "o2"))
        has = all(channels[f"m/{name}"].is_valid[at // 2] for name in ("t", "p", "o2")) and dp.is_valid[at]
        if has and dp.values[at] >= 0.0:
            dry = (o2 * 31.998 + 11.0 * 44.009 + (100.0 - o2 - 11.0) * 28.0134) / 100.0
            rho = p * 100.0 * ((dry * 88.0 + 18.015 * 12.0) / 100.0) / 1000.0 / (8.314462618 * (273.15 + t))
            values[at], valid[at] = 0.84 * math.sqrt(2.0 * dp.values[at] / rho), True
    recorded = {key: one for key, one in channels.items() if key != "m/dp"}
    recorded["m/v"] = Readings(dp.times, values, "m/s", 30_000, valid)
    _, _, _, wanted = figures(plain, recorded)
    assert found.keys() == wanted.keys() and ("flow", FLOW) in found
    for key, one in wanted.items():
        own = found[key]
        assert (own.is_valid, own.flags, own.n_expected, own.n_valid) == (
            one.is_valid, one.flags, one.n_expected, one.n_valid
        ), key  # fmt: skip
        assert own.value is not None
        assert_close(own.value, one.value, rel=1e-12)
    causes = dict(found["flow", FLOW].n_invalid)
    assert causes["not_finite"] > 0 and causes["failure"] > 0  # below zero, and an input that failed
    strips = source.of_period(START_UTC_MS, START_UTC_MS + 3_600_000)
    steps = explain(engine, engine.rule_sets[0], strips, "flow", START_UTC_MS).steps
    (step,) = [step for step in steps if "computed" in step.title]
    assert step.remark.startswith(FORMULAS["pitot_velocity"].text) and "dp = m/dp [Pa]" in step.remark


def test_an_input_in_another_unit_is_named():
    channels = readings()
    channels["m/dp"] = Readings(channels["m/dp"].times, channels["m/dp"].values, "hPa", 30_000)
    desk = figures(STACK, channels)[2]
    with pytest.raises(RuleError, match="computed velocity dp: m/dp is in hPa"):
        desk.remarks()


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (("computed", 0, "formula"), "sum", "is none of pitot_velocity"),
        (("computed", 0, "id"), "speed", "no [[computed]] is named velocity"),
        (("computed", 0, "slot_ms"), 10_000, "has slot_ms 30000, and computed/velocity 10000"),
        (("computed", 0, "input", 0, "unit"), "bar", "dp in bar; it is taken in Pa, hPa, mbar"),
        (("computed", 0, "input", 0, "name"), "pressure", "are dp, T, p, H2O, O2, CO2, K, each once"),
        (("computed", 0, "input", 0, "fixed"), 1.0, "dp needs a source, or a number"),
        (("computed", 0, "input", 0, "source"), "computed/velocity", "inputs are channels of modules"),
        (("computed", 0, "input"), [{"name": "dp", "fixed": 1.0}], "each once"),
        (("computed", 0, "input"), [], "write [[computed.input]]"),
        (("flow", "unit"), "m3/s", "is in m3/s, and computed/velocity in m/s"),
        (("computed",), [STACK["computed"][0]] * 2, "two have one id"),
    ],
)
def test_descriptions_that_are_refused(at, value, told):
    tree = copy.deepcopy(STACK)
    place = tree
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    with pytest.raises(ConfigError) as caught:
        parse_plant(tree, Path("line-1.toml"))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_formulas_of_any_number_of_inputs_are_refused_too():
    for formula, inputs, told in (
        ("ducts", {"c1": "mg/m3", "q1": "m3/h", "c2": "mg/m3"}, "are c1, q1, c2, q2"),
        ("ducts", {"c1": "mg/m3", "q1": "m3/h", "c2": "g/m3", "q2": "m3/h"}, "in different units"),
        ("co2_from_rest", {"other1": "%", "more": "%"}, "are other1, each once"),
        ("nox_ppm", {"NO": 1.0, "NO2": 2.0}, "has no source at all"),
    ):
        with pytest.raises(ConfigError, match=told):
            plan_of(formula, **inputs)
