"""standardise_at = FLD: every slot converted by itself, against exact fractions; the same bits however it is cut."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding
from plumeproof.evidence.strips import strips_of
from plumeproof.rules import each_slot, term_sums
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain import explain
from plumeproof.rules.figure import FLOW, MASS, MEASURED, PLAIN, SHORT_TERM, STANDARDISED
from plumeproof.rules.first_level import Row, quantities_of
from plumeproof.rules.minutes import sum_minutes
from plumeproof.rules.plant_state import OPERATING, STOPPED
from plumeproof.rules.rule_set import load_rule_set, read_rule_set
from plumeproof.rules.short_terms import PERIPHERAL_MISSING, PERIPHERAL_SUBSTITUTE, short_terms
from tests.doubles.slow_short_term import slow_mass, slow_normalised
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set
from tests.rules.examples import example
from tests.rules.test_minutes import PLANT, plant, run

HOUR_MS = 3_600_000
HEAD = '[plant]\nid = "line-1"\ntitle = "t"\nutc_offset = "+00:00"\nrule_sets = ["eu_ied_lcp"]\n'
STACK = (
    HEAD
    + """
[[peripheral]]
kind = "T"
unit = "K"
source = "m/t"
slot_ms = 6000
[[peripheral]]
kind = "p"
unit = "hPa"
source = "m/p"
slot_ms = 6000
substitute = 98.5
[[peripheral]]
kind = "H2O"
source = "m/h"
slot_ms = 12000
[[peripheral]]
kind = "O2"
basis = "wet"
source = "m/o"
slot_ms = 6000
[flow]
source = "m/f"
unit = "m3/s"
slot_ms = 6000
wall_factor = 0.98
[[measurand]]
id = "NOx"
gas = "NO2"
unit = "ppm"
source = "m/nox"
slot_ms = 6000
needs = ["T", "p", "H2O", "O2"]
o2_reference_pct = 11.0
[[measurand]]
id = "CO"
unit = "mg/m3"
source = "m/co"
slot_ms = 12000
needs = ["O2"]
o2_reference_pct = 3.0
[[measurand]]
id = "dust"
unit = "ug/m3"
source = "m/dust"
slot_ms = 6000
"""
)
CENTRES = {
    "NOx": (90, 60), "CO": (30, 40), "dust": (5000, 6000), "/T": (410, 30), "/p": (990, 20), "/H2O": (14, 5),
    "/O2": (9, 3), "/flow": (60, 40),
}  # fmt: skip
EDGES = {"/T": 273.15, "/p": 0.0, "/H2O": 100.0, "/O2": 20.5}
TERM_MIN, TERMS = 60, 2


def own_rules(tmp_path, inherits="eu_ied_lcp", **changed):
    changed = {"standardise_at": "FLD"} | changed
    sure = {name: {"value": 0.5, "note": "a test"} for name in changed}
    head = {"id": "own", "version": "1", "title": "t", "source": "s", "status": "provisional", "inherits": inherits}
    (tmp_path / "own.json").write_text(json.dumps(head | {"settings": changed, "confidence": sure}))
    return read_rule_set(tmp_path / "own.json")


def rows_of(stack, rng, loss, stop):
    """First level data of a plant, as lay_out gives them."""
    found = []
    states = np.where(rng.random((TERM_MIN * TERMS, 5)) < stop, STOPPED, OPERATING).astype(np.uint8)
    for one in quantities_of(stack):
        shape = (TERM_MIN * TERMS, one.slots)
        centre, width = CENTRES[one.name]
        values = np.round(centre + width * (rng.random(shape) - 0.5) * 2, 2)
        if one.name in EDGES:
            values[rng.random(shape) < 0.02] = EDGES[one.name]
        status = np.where(rng.random(shape) < loss, decoding.FAILURE, decoding.VALID).astype(np.uint8)
        found.append(Row(one, values, status, np.repeat(states, one.slots // 5, axis=1)))
    return found


class Slowly:
    """Slot by slot, in fractions."""

    def __init__(self, rows, rules):
        self.rows = {row.quantity.name: row for row in rows}
        self.rules = {one.name: getattr(rules.settings, one.name) for one in dataclasses.fields(rules.settings)}

    def at(self, name, minute, share):
        """Its value at a place of the minute, or None."""
        row = self.rows[name]
        slot = int(share * row.quantity.slots)
        value = Fraction(row.values[minute, slot].item())
        return value if row.status[minute, slot] == decoding.VALID else None

    def around(self, minute, share):
        t, p, h, o = (self.at(name, minute, share) for name in ("/T", "/p", "/H2O", "/O2"))
        t = None if t is None else t - Fraction("273.15")
        p = Fraction("98.5") if p is None else p / 10
        o = None if o is None or h is None or h >= 100 else o * 100 / (100 - h)
        return t, p, h, o

    def dry(self, name, value, minute, share):
        """At 0 degC, 1 atm, dry; oxygen as measured."""
        t, p, h, _ = self.around(minute, share)
        if name != "NOx":
            return value
        needed = None in (t, h) or value is None
        return None if needed else slow_normalised(value, t, p, h, Fraction(0), Fraction(0), self.air())

    def air(self):
        return self.rules | {"o2_no_conversion_below_ref": False, "o2_clamp": None, "o2_invalid_above": None}

    def flow(self, minute, share):
        t, p, h, _ = self.around(minute, share)
        value = self.at("/flow", minute, share)
        if None in (t, h, value) or h >= 100 or p <= 0:
            return None
        kelvin = Fraction("273.15")
        return value * 3600 * Fraction(0.98) * kelvin / (kelvin + t) * p / Fraction("101.325") * (100 - h) / 100

    def slot(self, name, minute, share):
        """(standardised, load kg/h) of a slot, None where there is none."""
        value = self.at(name, minute, share)
        if value is None:
            return None, None
        value = {"NOx": value * Fraction("46.005") / Fraction("22.414"), "dust": value / 1000}.get(name, value)
        value, flow = self.dry(name, value, minute, share), self.flow(minute, share)
        if value is None:
            return None, None
        standardised = value
        if name != "dust":
            oxygen = self.around(minute, share)[3]
            reference = Fraction(11 if name == "NOx" else 3)
            standardised = None
            if oxygen is not None:
                nothing = (Fraction(0), Fraction("101.325"), Fraction(0))
                standardised = slow_normalised(value, *nothing, oxygen, reference, self.rules)
        return standardised, None if flow is None else slow_mass(value, flow, self.rules)

    def means(self, name, term):
        """Of a term: [(n, mean)] of standardised and load, or of the flow."""
        row = self.rows[name]
        found = []
        for minute in range(term * TERM_MIN, (term + 1) * TERM_MIN):
            for slot in range(row.quantity.slots):
                if row.state[minute, slot] != STOPPED:
                    share = Fraction(slot, row.quantity.slots)
                    one = (self.flow(minute, share),) if name == "/flow" else self.slot(name, minute, share)
                    found.append(one)
        kept = [[value for value in column if value is not None] for column in zip(*found, strict=True)]
        return [(len(column), sum(column) / len(column) if column else None) for column in kept]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.03, 0.4]), st.sampled_from([0.0, 0.2]), st.booleans())
def test_random_slots_against_fractions(tmp_path_factory, seed, loss, stop, is_strict):
    changed = {"o2_no_conversion_below_ref": True, "o2_clamp": 18.0} if is_strict else {"mass_zero_when_negative": True}
    rules = own_rules(tmp_path_factory.mktemp("rules"), **changed)
    stack = plant(STACK)
    rows = rows_of(stack, np.random.default_rng(seed), loss, stop)
    minutes = each_slot.add(sum_minutes(rows, START_UTC_MS), rows, stack, rules.settings)
    sums = term_sums.merge(minutes, TERM_MIN, rules.settings.state_rule)
    terms, slowly = short_terms(stack, rules, sums), Slowly(rows, rules)

    def compare(one, layer, term, exact):
        n, mean = exact
        assert sums.n[one.rows[layer], term] == n
        found = one.layers[layer]
        assert found.exists[term] == (mean is not None)
        if mean is not None:
            assert math.isclose(found.values[term], mean, rel_tol=1e-10, abs_tol=1e-9)

    for term in range(TERMS):
        compare(terms.flow, FLOW, term, slowly.means("/flow", term)[0])
        for one in terms.measurands:
            standardised, load = slowly.means(one.measurand.id, term)
            compare(one, STANDARDISED, term, standardised)
            compare(one, MASS, term, load)
            assert one.flags[PERIPHERAL_MISSING][term] == (standardised[0] < sums.n[one.row, term])
            pressure = sums.row("/p")
            is_short = sums.n[pressure, term] < sums.expected[pressure, term]
            assert one.flags[PERIPHERAL_SUBSTITUTE][term] == (one.measurand.id == "NOx" and is_short)
            valid = one.layers[STANDARDISED].is_valid[term]
            assert not valid or 3 * standardised[0] >= 2 * sums.expected[one.row, term]


def test_e09_by_the_engine(tmp_path):
    """Four first level values of 15 s, minute by minute the same."""
    part = example("E09")
    text = HEAD + '[[peripheral]]\nkind = "O2"\nsource = "m/o"\nslot_ms = 15000\n'
    text += '[[measurand]]\nid = "CO"\nunit = "mg/m3"\nsource = "m/co"\nslot_ms = 15000\n'
    stack = plant(text + 'needs = ["O2"]\no2_reference_pct = 11.0\n')
    values = {"CO": part["inputs"]["c_mg_m3"], "/O2": part["inputs"]["O2_dry"]}
    rows = [
        Row(one, np.tile(values[one.name], (60, 1)), *(np.full((60, 4), code, np.uint8) for code in (0, OPERATING)))
        for one in quantities_of(stack)
    ]
    for rules, key in (
        (own_rules(tmp_path), "standardise_each_FLD_then_average"),
        (load_rule_set("eu_ied_lcp"), "average_then_standardise_STA"),
    ):
        minutes = sum_minutes(rows, 0)
        if rules.settings.standardise_at == "FLD":
            minutes = each_slot.add(minutes, rows, stack, rules.settings)
        terms = short_terms(stack, rules, term_sums.merge(minutes, 60, "majority"))
        (found,) = terms.measurands[0].layers[STANDARDISED].values
        assert math.isclose(found, part["expected"][key], rel_tol=1e-9)


WET = PLANT.replace('id = "CO"\n', 'id = "CO"\nneeds = ["T"]\n').replace(
    "below = -40.0", "below = -49.0"
) + '[[peripheral]]\nkind = "T"\nsource = "plume-01/dust"\nunit = "mg/m3"\n'.replace("mg/m3", "degC")


def strips_with_a_temperature(minutes):
    """Dust is taken as a temperature: its channel says so."""
    module, rng = TimedModule(raw_set=build_set(dust={"unit": "degC"})), random.Random(7)
    module.start()
    for _ in range(minutes):
        module.sample(
            [(rng.choice([0] * 9 + [1]), rng.gauss(120, 20), rng.randrange(0, 500), False) for _ in range(60)]
        )
    records = [record for record, _ in module.sealed if record.kind == 2]
    own = [one for record in records for one in strips_of([record], module.parameters)]
    return {"plume-01": own}


def test_the_same_bits_however_it_is_cut(tmp_path):
    text = WET[: WET.index('[[measurand]]\nid = "dust"')] + WET[WET.index("[[peripheral]]") :]
    by_slot, by_term = own_rules(tmp_path, "eu_mrr"), load_rule_set("eu_mrr")
    of, strips = Engine(plant(text), [by_slot, by_term]), strips_with_a_temperature(180)
    whole = of.short_term_figures(strips, START_UTC_MS, START_UTC_MS + 3 * HOUR_MS)
    pieces = []
    for hour in (2, 0, 1):
        pieces += of.short_term_figures(
            strips, START_UTC_MS + hour * HOUR_MS, START_UTC_MS + (hour + 1) * HOUR_MS
        )  # fmt: skip

    def place(one):
        return one.place

    assert sorted(pieces, key=place) == sorted(whole, key=place)
    alone = Engine(plant(text), [by_slot]).short_term_figures(strips, START_UTC_MS, START_UTC_MS + 3 * HOUR_MS)
    assert [one for one in whole if one.rule_set == "own"] == alone
    hour = {
        (one.rule_set, one.layer): one
        for one in whole
        if one.measurand == "CO" and one.start_utc_ms == START_UTC_MS and one.level == SHORT_TERM
    }
    assert hour["own", MEASURED].value == hour["eu_mrr", MEASURED].value
    assert hour["own", STANDARDISED].value != hour["eu_mrr", STANDARDISED].value
    assert math.isclose(hour["own", STANDARDISED].value, hour["eu_mrr", STANDARDISED].value, rel_tol=0.02)
    told = explain(of, by_slot, strips, "CO", START_UTC_MS)
    step = next(one for one in told.steps if one.title == "standardised value")
    assert step.result == hour["own", STANDARDISED].value == eval(step.numbers)  # noqa: S307 - it is our own text


def test_the_year_without_the_exception_is_made_slot_by_slot_too(tmp_path):
    rules = own_rules(tmp_path, o2_no_conversion_below_ref=True, year_without_o2_exception=True)
    stack = plant(STACK)
    rows = rows_of(stack, np.random.default_rng(3), 0.0, 0.0)
    minutes = each_slot.add(sum_minutes(rows, START_UTC_MS), rows, stack, rules.settings)
    terms = short_terms(stack, rules, term_sums.merge(minutes, TERM_MIN, "majority"))
    nox = terms.measurands[0]
    assert PLAIN in nox.rows and (nox.plain.values < nox.layers[STANDARDISED].values).all()


def test_what_lacks_is_refused(tmp_path):
    rules = own_rules(tmp_path)
    text = STACK.replace('needs = ["T", "p", "H2O", "O2"]', 'needs = ["O2"]')
    begin, end = text.index('[[peripheral]]\nkind = "H2O"'), text.index('[[peripheral]]\nkind = "O2"')
    stack = plant(text[:begin] + text[end:])
    rows = rows_of(stack, np.random.default_rng(1), 0.0, 0.0)
    with pytest.raises(RuleError, match="needs a peripheral H2O"):
        each_slot.add(sum_minutes(rows, 0), rows, stack, rules.settings)


def test_nothing_measured_is_nothing(tmp_path):
    of = Engine(plant(PLANT), [own_rules(tmp_path, "eu_mrr")])
    assert of.short_term_figures({}, START_UTC_MS, START_UTC_MS + HOUR_MS) == []
    found = of.short_term_figures(run(2, changes=False), START_UTC_MS, START_UTC_MS + HOUR_MS)
    assert {one.layer for one in found} >= {MEASURED, STANDARDISED}
