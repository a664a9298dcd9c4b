"""An explained average: its written arithmetic gives the engine's figures bit for bit, and it says how sure it is."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from plumeproof.array_strips import ArrayStrips
from plumeproof.errors import RuleError
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain import explain
from plumeproof.rules.figure import FLOW, MASS, MEASURED, STANDARDISED, VALIDATED
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set, rule_set_ids
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels
from tests.rules.test_minutes import run

MINUTE_MS = 60_000
HALF_HOUR_MS = 30 * MINUTE_MS
TITLES = {STANDARDISED: "standardised value", VALIDATED: "validated value", MASS: "mass", FLOW: "flow, normal dry"}


@pytest.fixture(scope="module")
def strips():
    return ArrayStrips(channels()).of_period(0, 2**50)


def explained(strips, name, half_hour, rules="eu_ied_waste", text=PLANT):
    plant = parse_plant(tomllib.loads(text), Path("plant.toml"))
    rule_set = load_rule_set(rules)
    engine = Engine(plant, [rule_set])
    return explain(engine, rule_set, strips, name, START_UTC_MS + half_hour * HALF_HOUR_MS + 7)


def calculated(step):
    """A calculator: the numbers as they stand there, and nothing else."""
    return eval(step.numbers, {"__builtins__": {}}, {"max": max, "min": min})  # noqa: S307 - our own arithmetic


def check(found):
    for step in found.steps:
        if step.numbers:
            assert calculated(step) == step.result, step
            assert type(step.result) in (int, bool, float), step
    results = {step.title: step.result for step in found.steps}
    for figure in found.figures:
        if figure.layer == MEASURED:
            assert results.get(f"{found.measurand}: mean of valid, calibrated values") == figure.value
            assert results[f"{found.measurand}: valid"] == figure.n_valid
            assert sum(n for _, n, _ in found.minutes) == figure.n_valid
        elif figure.layer in TITLES and figure.value is not None:
            assert results[TITLES[figure.layer]] == figure.value
        elif figure.layer in TITLES:
            assert results.get(TITLES[figure.layer]) is None
    return found


@pytest.mark.parametrize("name", ["NOx", "CO2", "flow"])
@pytest.mark.parametrize("rules", rule_set_ids())
def test_its_arithmetic_gives_the_figures_bit_for_bit(strips, rules, name):
    if rules == "cn_hj75":
        text = PLANT.replace("+01:00", "+08:00")
    else:
        text = PLANT
    for half_hour in (1, 6, 14, 20, 32, 36, 37, 47):
        check(explained(strips, name, half_hour, rules, text))


def test_steps_of_a_validated_average(strips):
    found = check(explained(strips, "NOx", 14))
    titles = [step.title for step in found.steps]
    for title in (
        "NOx: covered", "NOx: calibration in force", "in mg/m3 as measured", "factor of temperature", "p: in kPa",
        "factor of pressure", "factor of moisture", "O2 in dry gas", "factor of oxygen", "standardised value",
        "confidence interval", "validated value", "flow, normal wet", "flow, normal dry", "mass",
    ):  # fmt: skip
        assert title in titles
    assert len(titles) == len(set(titles)), "a peripheral is explained once"
    covered = next(step for step in found.steps if step.title == "NOx: covered")
    assert covered.numbers == "25 * 3 >= 2 * 30"
    assert covered.result is True
    assert "⚠ confidence 0.65" in covered.source
    assert "coverage = (2, 3) (eu_ied_waste, confidence 0.85" in covered.source
    valid = next(step for step in found.steps if step.title == "NOx: valid")
    assert valid.remark == "5 not_finite"
    interval = next(step for step in found.steps if step.title == "confidence interval")
    assert interval.numbers == "min(6.4, 200.0 * 20.0 / 100.0)"


@pytest.mark.parametrize("unit", ["mg/m3", "ug/m3", "g/m3", "ppb", "%"])
def test_every_unit(unit):
    arrays = channels()
    arrays["plume-01/nox"] = type(arrays["plume-01/nox"])(
        arrays["plume-01/nox"].times, arrays["plume-01/nox"].values, unit, 60_000
    )
    text = PLANT.replace('unit = "ppm"', f'unit = "{unit}"')
    check(explained(ArrayStrips(arrays).of_period(0, 2**50), "NOx", 2, text=text))


@pytest.mark.parametrize("share", [0.0, 5.0])
@pytest.mark.parametrize("unit", ["mg/m3", "ppm"])
def test_no_reported_as_no2(unit, share):
    """E06: 46.005/30.006 in mg/m3; ppm of NO are ppm of NO2; the permit's share of NO2 comes on top."""
    arrays = channels()
    own = arrays["plume-01/nox"]
    arrays["plume-01/nox"] = type(own)(own.times, own.values, unit, 60_000)
    text = PLANT.replace('unit = "ppm"\ngas = "NO2"', f'unit = "{unit}"\ngas = "NO"\nno2_share_pct = {share}')
    found = check(explained(ArrayStrips(arrays).of_period(0, 2**50), "NOx", 2, text=text))
    results = {step.title: step.result for step in found.steps}
    mean = results["NOx: mean of valid, calibrated values"]
    factor = 46.005 / 30.006 if unit == "mg/m3" else 46.005 / 22.414
    assert results["in mg/m3 as measured"] == pytest.approx(mean * factor / (1.0 - share / 100.0), rel=1e-12)


@pytest.mark.parametrize(
    ("flow", "line"), [("m/s", "area_m2 = 3.2\n"), ("m3/s", "")], ids=["velocity", "per second"]
)  # fmt: skip
@pytest.mark.parametrize("conditions", ["actual_wet", "normal_wet", "normal_dry"])
def test_every_flow(flow, line, conditions):
    arrays = channels()
    own = arrays["plume-01/flow"]
    arrays["plume-01/flow"] = type(own)(own.times, own.values / 9_000.0, flow, 60_000)
    text = PLANT.replace('unit = "m3/h"\nconditions = "actual_wet"\n', f'unit = "{flow}"\nconditions = "X"\n{line}')
    text = text.replace('"X"', f'"{conditions}"')
    found = explained(ArrayStrips(arrays).of_period(0, 2**50), "flow", 2, text=text)
    for step in found.steps:
        if step.numbers:
            assert calculated(step) == step.result, step
    assert found.steps[-1].result == found.figures[0].value


@pytest.mark.parametrize("mode", ["pct_of_elv", "pct_of_value", "min_of_both", "none"])
def test_every_confidence_interval(strips, mode, tmp_path):
    from plumeproof.rules.rule_set import read_rule_set

    path = tmp_path / "own.json"
    path.write_text(
        '{"id": "own", "version": "1", "title": "t", "source": "s", "status": "provisional", "inherits":'
        f' "eu_ied_waste", "settings": {{"ci_mode": "{mode}", "o2_clamp": 9.0}}, "confidence":'
        ' {"ci_mode": {"value": 0.5, "note": "n"}, "o2_clamp": {"value": 0.5, "note": "n"}}}'
    )
    rules = read_rule_set(path)
    engine = Engine(parse_plant(tomllib.loads(PLANT), Path("plant.toml")), [rules])
    found = check(explain(engine, rules, strips, "NOx", START_UTC_MS))
    assert (VALIDATED in {figure.layer for figure in found.figures}) == (mode != "none")


@pytest.mark.parametrize("seed", range(3))
def test_records_with_everything_wrong(seed):
    from tests.doubles.timed_module import START_UTC_MS as START
    from tests.rules.test_minutes import plant

    rules = load_rule_set("eu_mrr")
    engine = Engine(plant(), [rules])
    strips = run(seed)
    for name in ("CO", "dust"):
        check(explain(engine, rules, strips, name, START + 20 * MINUTE_MS))


def test_a_peripheral_that_is_missing_gives_no_factor(strips):
    arrays = {name: one for name, one in channels().items() if name != "plume-01/o2"}
    without = ArrayStrips(arrays).of_period(0, 2**50)
    found = check(explained(without, "NOx", 2, text=PLANT.replace("above = 19.5", "above = 50.0")))
    titles = [step.title for step in found.steps]
    assert "factor of moisture" in titles
    assert "factor of oxygen" not in titles
    assert next(step for step in found.steps if step.title == "O2: taken").remark == "too few: no value"
    assert next(step for step in found.steps if step.title == "standardised value").result is None
    text = PLANT.replace('basis = "wet"', 'basis = "wet"\nsubstitute = 9.0').replace("above = 19.5", "above = 50.0")
    check(explained(without, "NOx", 2, text=text))


def test_refused(strips):
    with pytest.raises(RuleError, match="measurand 'SO2': is none of plant line-1; it has NOx, CO2, flow"):
        explained(strips, "SO2", 1)
    with pytest.raises(RuleError, match="no record: has a slot"):
        explained(strips, "NOx", 500)
    engine = Engine(parse_plant(tomllib.loads(PLANT), Path("plant.toml")), [load_rule_set("eu_mrr")])
    with pytest.raises(RuleError, match="10 min: is no length of NOx by eu_mrr; it has 60"):
        explain(engine, engine.rule_sets[0], strips, "NOx", START_UTC_MS, 10)


def test_mass_by_appendix_f_beside_the_engines(strips):
    """What Appendix F makes of the same hour, in its own units."""
    for name, unit in (("CO2", "short ton"), ("NOx", "lb")):
        found = explained(strips, name, 16, "us_part75")
        check(found)
        titles = [step.title for step in found.steps]
        own = found.steps[titles.index("rate by Appendix F") :]
        assert (own[0].unit, own[1].unit) == (f"{unit}/h", unit)
        assert "60 of 60 slots" in own[1].remark
        assert "rate by Appendix F" not in [step.title for step in explained(strips, name, 16, "eu_mrr").steps]
        mass = next(step for step in found.steps if step.title == "mass")
        assert own[0].result * {"lb": 1, "short ton": 2000}[unit] * 0.45359237 == pytest.approx(mass.result, rel=2e-3)
        assert f"the mass above is {mass.result:.6g} kg/h, apart by 0." in own[0].remark
    normal = channels()
    normal["plume-01/nox"] = replace(normal["plume-01/nox"], unit="mg/m3")
    own_strips = ArrayStrips(normal).of_period(0, 2**50)
    found = explained(own_strips, "NOx", 16, "us_part75", PLANT.replace('unit = "ppm"', 'unit = "mg/m3"'))
    nox = {step.title: step for step in found.steps}
    rate = nox["rate by Appendix F"]
    assert rate.result * 0.45359237 == pytest.approx(nox["mass"].result, rel=2e-3)  # its factor has four digits
    assert f"the mass above is {nox['mass'].result:.6g} kg/h, apart by 0." in rate.remark
