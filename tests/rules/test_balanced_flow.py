"""Missing flow by a mass balance, in the tonnes of a month and in their explanation; and what is no balance."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from plumeproof.array_strips import ArrayStrips
from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.rules.annual import HOURS_WITHOUT_FIGURE, MASS_BALANCE
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import FLOW, MONTH, SHORT_TERM, STANDARDISED, SUBSTITUTED
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BALANCE = """
[[flow.mass_balance]]
begins = "{}"
ends = "{}"
co2_kg_h = 9000.0
basis = "gas meter"
"""


def with_balance(begins="2026-12-01T04:00:00Z", ends="2026-12-01T07:00:00Z"):
    return PLANT.replace(
        "wall_factor = 0.98\nslot_ms = 60000\n", "wall_factor = 0.98\nslot_ms = 60000\n" + BALANCE.format(begins, ends)
    )


def tonnes(text, arrays):
    plant = parse_plant(tomllib.loads(text), Path("plant.toml"))
    engine = Engine(plant, [load_rule_set("eu_mrr")])
    strips = ArrayStrips(arrays).of_period(0, 2**50)
    short = engine.short_term_figures(strips, START_UTC_MS, START_UTC_MS + DAY_MS)
    longer = engine.long_term_figures(MONTH, START_UTC_MS, short)
    return short, next(one for one in longer if (one.measurand, one.layer) == ("CO2", SUBSTITUTED))


def without_flow(first, end):
    """No valid flow in these hours of the local day."""
    arrays = channels()
    own = arrays["plume-01/flow"]
    hour = (np.asarray(own.times) - START_UTC_MS) // HOUR_MS
    arrays["plume-01/flow"] = type(own)(own.times, own.values, own.unit, own.slot_ms, ~((hour >= first) & (hour < end)))
    return arrays


def test_hours_get_the_stated_mass():
    short, bare = tonnes(PLANT, without_flow(5, 8))
    _, found = tonnes(with_balance(), without_flow(5, 8))  # 04:00Z is 05:00 of the site
    assert MASS_BALANCE in found.flags
    assert MASS_BALANCE not in bare.flags
    assert found.value == pytest.approx(bare.value + 3 * 9.0, rel=1e-12)
    counts, before = dict(found.n_invalid), dict(bare.n_invalid)
    assert counts.get("without_figure", 0) == before["without_figure"] - 3
    assert counts["substituted"] == before["substituted"] + 3
    assert HOURS_WITHOUT_FIGURE in bare.flags
    assert [one.is_valid for one in short if one.layer == FLOW and one.level == SHORT_TERM][5:8] == [False] * 3
    assert [one.is_valid for one in short if one.layer == STANDARDISED and one.measurand == "CO2"][5:7] == [True] * 2


def test_measured_flow_stays_and_a_part_of_an_hour_is_none():
    _, plain = tonnes(PLANT, channels())
    _, measured = tonnes(with_balance("2026-12-01T04:00:00Z", "2026-12-01T07:00:00Z"), channels())
    assert measured.value == plain.value
    _, bare = tonnes(PLANT, without_flow(5, 8))
    _, found = tonnes(with_balance("2026-12-01T04:30:00Z", "2026-12-01T06:30:00Z"), without_flow(5, 8))
    assert found.value == pytest.approx(bare.value + 9.0, rel=1e-12)


def test_its_hours_are_explained_bit_for_bit():
    plant = parse_plant(tomllib.loads(with_balance()), Path("plant.toml"))
    desk = FigureDesk(Engine(plant, [load_rule_set("eu_mrr")]), ArrayStrips(without_flow(5, 8)))
    (found,) = desk.explain_longer("CO2", MONTH, START_UTC_MS)
    told = [step for step in found.steps if step.remark.startswith("flow by the plant's mass balance")]
    assert len(told) == 3
    for step in told:
        assert eval(step.numbers, {"__builtins__": {}}) == step.result  # noqa: S307 - our own arithmetic
        assert step.result == pytest.approx(9000.0, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_balance("2026-12-01T07:00:00Z", "2026-12-01T04:00:00Z"), "ends before it begins"),
        (with_balance().replace('greenhouse_gas = "CO2"\nbiomass_share_pct = 34.0\n', ""), "needs a measurand with"),
        (with_balance().replace('basis = "gas meter"\n', ""), "mass_balance.basis: is missing"),
        (with_balance().replace("co2_kg_h = 9000.0", "co2_kg_h = -1.0"), "outside"),
    ],
)
def test_refused(text, line):
    with pytest.raises(ConfigError, match=line):
        parse_plant(tomllib.loads(text), Path("plant.toml"))
