"""The explained uncertainty of a short term: its written arithmetic gives the engine's numbers bit for bit."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from plumeproof.array_strips import ArrayStrips
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain import explain
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels
from tests.rules.test_term_uncertainty import with_component

TEXT = with_component(PLANT, "nox", "value_pct = 2.0")
TEXT = with_component(TEXT, "nox", "value_pct = 5.0", 1.0, False)
TEXT = with_component(TEXT, "flow", "value_pct = 3.0")
TEXT = with_component(TEXT, "flow", "value = 400.0", 2.0, False)
TEXT = with_component(TEXT, "o2", 'value = 0.2\ndistribution = "rectangular"')
TEXT = with_component(TEXT, "moisture", "value = 0.5")
TEXT = with_component(TEXT, "pressure", "value = 1.0", 2.0, False)


@pytest.fixture(scope="module")
def strips():
    return ArrayStrips(channels()).of_period(0, 2**50)


def calculated(step):
    """A calculator."""
    known = {"max": max, "min": min, "sqrt": math.sqrt, "abs": abs}
    return eval(step.numbers, {"__builtins__": {}}, known)  # noqa: S307 - our own arithmetic


@pytest.mark.parametrize("name", ["NOx", "flow"])
@pytest.mark.parametrize("rules", ["eu_ied_waste", "de_13bimschv", "eu_mrr"])
def test_every_line(strips, rules, name):
    rule_set = load_rule_set(rules)
    engine = Engine(parse_plant(tomllib.loads(TEXT), Path("plant.toml")), [rule_set])
    for half_hour in (1, 14, 20, 36, 47):
        found = explain(engine, rule_set, strips, name, START_UTC_MS + half_hour * 1_800_000 + 7)
        for step in found.steps:
            if step.numbers:
                assert calculated(step) == step.result, step
        told = {step.title: step.result for step in found.steps}
        for figure in found.figures:
            if figure.uncertainty is not None:
                assert told[f"{figure.layer}: expanded uncertainty"] == figure.uncertainty
        assert any("expanded uncertainty" in title for title in told) == any(
            figure.uncertainty is not None for figure in found.figures
        )


def test_none_is_stated(strips):
    rule_set = load_rule_set("eu_ied_waste")
    engine = Engine(parse_plant(tomllib.loads(PLANT), Path("plant.toml")), [rule_set])
    found = explain(engine, rule_set, strips, "NOx", START_UTC_MS)
    assert not [step for step in found.steps if "uncertainty" in step.title]
