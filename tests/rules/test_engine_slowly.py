"""The whole engine beside the slow one: plants and records drawn from seeds, every figure of every level.

Existence, validity, counts, flags, states and named records must be equal, values within 1e-9. The campaign over any
number of seeds is `make figures` (tools/figures); these are the same seeds in each run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.rules.engine import Engine
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.random_plant import TOLERANCE, Case, strip_of
from tests.doubles.slow_terms import Recorded
from tests.rules.test_minutes import PLANT, START_UTC_MS, plant

HOUR_MS = 3_600_000


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_every_figure_of_a_drawn_plant(seed):
    count, worst, told = Case(seed, days=1).compare()
    assert not told, "\n".join(told[:5])
    assert count > 20 and worst <= TOLERANCE


def test_a_difference_would_be_told(monkeypatch):
    """The comparison itself: another rule of coverage in the engine only."""
    monkeypatch.setattr("plumeproof.rules.short_term.covers", lambda n, expected, coverage: n > 0)
    assert any("is_valid" in line for seed in range(3) for line in Case(seed, days=1).compare()[2])


def strip(seq, first_utc_ms, slots=60):
    readings = {"co": [(50.0, 0)] * slots, "dust": [(1.0, 0)] * slots}
    units = dict.fromkeys(("co", "dust"), "mg/m3")
    return strip_of(Recorded("plume-01", seq, first_utc_ms, 1_000, slots, units, readings))


def test_a_slot_that_reaches_into_the_next_term_is_no_record_of_it():
    """Its figure would be there or not, and name it or not, by how the records were cut."""
    of = Engine(plant(PLANT), [load_rule_set("eu_mrr")])
    strips = {"plume-01": [strip(1, START_UTC_MS + HOUR_MS - 59_400)]}
    found = of.short_term_figures(strips, START_UTC_MS, START_UTC_MS + 2 * HOUR_MS)
    assert {one.start_utc_ms for one in found} == {START_UTC_MS}
    strips["plume-01"].append(strip(2, START_UTC_MS + HOUR_MS + 600))
    found = of.short_term_figures(strips, START_UTC_MS, START_UTC_MS + 2 * HOUR_MS)
    named = {(one.start_utc_ms - START_UTC_MS, one.inputs[0].first_seq, one.inputs[0].last_seq) for one in found}
    assert named == {(0, 1, 1), (HOUR_MS, 2, 2)}


@pytest.mark.parametrize("name", ["eu_ied_lcp", "eu_mrr", "us_part75"])
def test_a_flow_without_its_moisture_is_lost_as_a_concentration_is(name):
    tree = {
        "plant": {"id": "l", "title": "L", "utc_offset": "+00:00", "rule_sets": [name]},
        "flow": {"source": "plume-01/co", "unit": "m3/h", "conditions": "normal_wet"},
        "peripheral": [{"kind": "H2O", "source": "plume-01/h2o"}],
        "measurand": [{"id": "dust", "source": "plume-01/dust", "unit": "mg/m3", "needs": ["H2O"]}],
    }
    one = strip(1, START_UTC_MS, 3_600)
    channels = tuple(replace(each, unit="m3/h") if each.id == "co" else each for each in one.parameters.channels)
    strips = {"plume-01": [one._replace(parameters=replace(one.parameters, channels=channels))]}
    of = Engine(parse_plant(tree, Path("drawn.toml")), [load_rule_set(name)])
    found = of.short_term_figures(strips, START_UTC_MS, START_UTC_MS + HOUR_MS)
    flags = {one.layer: {"discarded", "peripheral_missing"} & set(one.flags) for one in found}
    assert flags["flow"] == flags["standardised"] == {"discarded", "peripheral_missing"}
