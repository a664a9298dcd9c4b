"""Uncertainty of short and long terms: against a shift of the readings through the whole engine, against a seeded Monte
Carlo, and a worked example by hand (JCGM 100:2008)."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.array_strips import ArrayStrips, Readings
from plumeproof.errors import ConfigError
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import CO2E, DAY, FLOW, LAYERS, MASS, MEASURED, STANDARDISED, SUBSTITUTED, VALIDATED, YEAR
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.uncertainty import of_weighted
from tests.doubles import slow_greenhouse
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels
from tests.rules.examples import assert_close

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TERM = 60_000 * 30
COMPONENT = '\n[[{table}.uncertainty]]\nname = "{name}"\n{size}\nk = {k}\nis_common = {common}\n'
OF_CHANNEL = {"nox": "measurand", "co2": "measurand", "flow": "flow"}
BASIS = {"o2": "O2", "moisture": "H2O", "temperature": "T", "pressure": "p"}


def with_component(text, channel, size, k=2.0, common=True):
    """The description with one component of one channel."""
    table = OF_CHANNEL.get(channel, "peripheral")
    component = COMPONENT.format(table=table, name=channel, size=size, k=k, common=str(common).lower())
    parts = text.split("\n\n")
    at = next(i for i, part in enumerate(parts) if f"plume-01/{channel}" in part and "[[state]]" not in part)
    parts[at] += "\n" + component
    return "\n\n".join(parts)


def engine(text, *rules):
    return Engine(parse_plant(tomllib.loads(text), Path("plant.toml")), [load_rule_set(name) for name in rules])


def figures(text, arrays, rules="eu_ied_waste", hours=24):
    strips = ArrayStrips(arrays).of_period(0, 2**50)
    return engine(text, rules).short_term_figures(strips, START_UTC_MS, START_UTC_MS + hours * HOUR_MS)


def shifted(channel, by, nox_min=-1e9):
    """The day with one channel's readings off by a constant."""
    found = channels()
    nox = found["plume-01/nox"]
    found["plume-01/nox"] = replace(nox, values=np.maximum(np.asarray(nox.values), nox_min))
    own = found[f"plume-01/{channel}"]
    found[f"plume-01/{channel}"] = replace(own, values=np.asarray(own.values) + by)
    return found


SHIFTS = {
    "nox": 0.02,
    "co2": 0.001,
    "o2": 0.002,
    "moisture": 0.002,
    "temperature": 0.02,
    "pressure": 0.05,
    "flow": 10.0,
}


@pytest.mark.parametrize("rules", ["eu_ied_waste", "de_17bimschv", "eu_mrr"])
@pytest.mark.parametrize("channel", sorted(SHIFTS))
def test_a_common_error_moves_every_layer_by_its_uncertainty(channel, rules):
    """The derivative is taken by moving the readings and running the whole engine: nothing of the formula is in it."""
    step = SHIFTS[channel]
    text = PLANT.replace("ci_qal2 = 6.4", "ci_qal2 = 0.001")
    for other in ("nox", "co2", "flow"):  # so that each figure has an uncertainty, of nothing
        text = with_component(text, other, "value = 0.0")
    in_unit = 1.06 if channel == "nox" else 1.0  # a component is of the calibrated value
    text = with_component(text, channel, f"value = {step * in_unit!r}", 1.0)
    at, below, above = (figures(text, shifted(channel, by), rules) for by in (0.0, -step, step))
    seen = set()
    for one, low, high in zip(at, below, above, strict=True):
        assert one.place == low.place == high.place
        if one.value is None or low.value is None or high.value is None:
            continue
        # what a rule sets to zero keeps its uncertainty and does not move
        has_stepped = one.layer in (VALIDATED, MASS) and min(one.value, low.value, high.value) <= 0.0
        if has_stepped or low.n_valid != high.n_valid or one.state == "stopped":
            continue
        assert one.uncertainty is not None, one.place
        assert one.uncertainty == one.uncertainty_common
        moved = abs(high.value - low.value) / 2.0
        assert one.uncertainty / 2.0 == pytest.approx(moved, rel=2e-5, abs=1e-9 * abs(one.value)), one
        if moved:
            seen.add((one.measurand, one.layer))
    assert seen >= {
        "nox": {("NOx", MEASURED), ("NOx", STANDARDISED), ("NOx", MASS)},
        "o2": {("NOx", STANDARDISED)},
        "pressure": {("NOx", STANDARDISED), ("flow", FLOW), ("CO2", MASS)},
        "flow": {("flow", FLOW), ("NOx", MASS), ("CO2", MASS)},
        "co2": {("CO2", MEASURED), ("CO2", STANDARDISED), ("CO2", MASS)},
        "moisture": {("NOx", STANDARDISED), ("flow", FLOW)},
        "temperature": {("NOx", STANDARDISED), ("flow", FLOW)},
    }[channel]  # fmt: skip


def test_temperature_and_pressure_cancel_in_the_mass_of_an_in_situ_analyzer():
    text = with_component(with_component(PLANT, "nox", "value = 0.0"), "temperature", "value = 5.0")
    text = with_component(text, "pressure", "value = 50.0")
    for one in figures(text, channels(), hours=2):
        if one.measurand == "NOx" and one.layer in (MASS, STANDARDISED) and one.value:
            assert (one.uncertainty < 1e-12 * one.value) == (one.layer == MASS)


def test_by_hand():
    """30 one-minute values of NOx, all 60 ppm; 2 % (k = 2) common, 1.5 ppm (k = 1) of each; y = -1.8 + 1.06 x."""
    arrays = {
        name: replace(one, values=np.full(len(one.times), value))
        for (name, one), value in zip(channels().items(), (60.0, 10.0, 8.0, 14.0, 140.0, 1008.0, 80_000.0), strict=True)
    }
    text = with_component(PLANT, "nox", "value_pct = 2.0")
    text = with_component(text, "nox", "value = 1.5", 1.0, False)
    first = {
        (one.measurand, one.layer): one for one in figures(text, arrays, hours=1) if one.start_utc_ms == START_UTC_MS
    }
    y = -1.8 + 1.06 * 60.0
    common, own = 0.02 * y / 2.0, 1.5 / math.sqrt(30)
    measured = first["NOx", MEASURED]
    assert_close(measured.uncertainty, 2.0 * math.hypot(common, own))
    assert_close(measured.uncertainty_common, 2.0 * common)
    oxygen = 8.0 * 100.0 / 86.0
    factor = 46.005 / 22.414 * (413.15 / 273.15) * (101.325 / 100.8) * (100.0 / 86.0) * (10.0 / (21.0 - oxygen))
    assert_close(first["NOx", STANDARDISED].uncertainty, factor * measured.uncertainty)
    assert_close(first["NOx", VALIDATED].uncertainty, factor * measured.uncertainty)
    # concentration and flow both actual and wet: c Q and nothing else
    wet = 46.005 / 22.414 * (80_000.0 * 0.98) / 1e6
    assert_close(first["NOx", MASS].uncertainty, wet * measured.uncertainty)
    assert first["flow", FLOW].uncertainty is None  # it states none
    assert first["flow", FLOW].uncertainty_common is None


def test_monte_carlo():
    """Errors drawn from the stated distributions on every reading, the engine run on each draw: seeded."""
    text = with_component(PLANT, "nox", "value_pct = 4.0", 2.0, True)
    text = with_component(text, "nox", "value_pct = 30.0", 2.0, False)
    text = with_component(text, "o2", 'value = 0.3\ndistribution = "rectangular"', 1.0, True)
    text = with_component(text, "moisture", "value = 8.0", 2.0, False)
    text = with_component(text, "flow", "value_pct = 6.0", 2.0, True)
    arrays, rng = channels(), np.random.default_rng(20261201)
    wanted = {(one.measurand, one.layer, one.start_utc_ms): one for one in figures(text, arrays, hours=1)}
    wanted = {key: one for key, one in wanted.items() if one.uncertainty is not None}
    draws = {key: [] for key in wanted}
    strips_until = START_UTC_MS + HOUR_MS

    def drawn():
        found = {}
        for name, one in arrays.items():
            inside = np.asarray(one.times) < strips_until
            values = np.asarray(one.values)[inside]
            n = len(values)
            if name.endswith("nox"):
                y = (-1.8 + 1.06 * values) * (1.0 + 0.02 * rng.standard_normal() + 0.15 * rng.standard_normal(n))
                values = (y + 1.8) / 1.06
            elif name.endswith("o2") and not name.endswith("co2"):
                values = values + rng.uniform(-0.3, 0.3)
            elif name.endswith("moisture"):
                values = values + 4.0 * rng.standard_normal(n)
            elif name.endswith("flow"):
                values = values * (1.0 + 0.03 * rng.standard_normal())
            found[name] = Readings(np.asarray(one.times)[inside], values, one.unit, one.slot_ms, None)
        return found

    of = engine(text, "eu_ied_waste")
    for _ in range(400):
        strips = ArrayStrips(drawn()).of_period(0, 2**50)
        for one in of.short_term_figures(strips, START_UTC_MS, strips_until):
            if (key := (one.measurand, one.layer, one.start_utc_ms)) in draws:
                draws[key].append(one.value)
    assert {layer for _, layer, _ in draws} == {MEASURED, STANDARDISED, VALIDATED, MASS, FLOW}
    for key, values in draws.items():
        # 400 draws know a standard deviation to 3.5 %, and curvature adds less than 1 %
        assert np.std(values, ddof=1) == pytest.approx(wanted[key].uncertainty / 2.0, rel=0.13), key


def test_a_day_and_a_year_move_by_their_uncertainty():
    """One common error: the long terms move by exactly what they state."""
    step = 0.002
    text = with_component(with_component(PLANT, "nox", "value = 0.0"), "co2", "value = 0.0")
    text = with_component(text, "o2", f"value = {step}", 1.0)
    text = with_component(text, "pressure", "value = 0.0", 1.0)
    for rules, name in (("eu_ied_waste", "NOx"), ("de_13bimschv", "NOx")):
        of = engine(text, rules)
        year = START_UTC_MS - 334 * DAY_MS
        found = []
        for by in (0.0, -step, step):
            short = of.short_term_figures(
                ArrayStrips(shifted("o2", by, 20.0)).of_period(0, 2**50), START_UTC_MS, START_UTC_MS + DAY_MS
            )
            longer = of.long_term_figures(DAY, START_UTC_MS, short) + of.long_term_figures(YEAR, year, short)
            found.append({(one.measurand, one.layer, one.level): one for one in longer})
        at, low, high = found
        for level in (DAY, YEAR):
            key = (name, VALIDATED, level)
            moved = (high[key].value - low[key].value) / 2.0
            assert moved > 0.0
            assert at[key].uncertainty / 2.0 == pytest.approx(moved, rel=1e-4)
        assert {one.layer for one in at.values()} <= set(LAYERS)


def test_tonnes_keep_their_relative_uncertainty():
    text = with_component(with_component(PLANT, "co2", "value_pct = 2.0"), "flow", "value_pct = 3.0")
    of = engine(text, "eu_mrr")
    short = of.short_term_figures(ArrayStrips(channels()).of_period(0, 2**50), START_UTC_MS, START_UTC_MS + DAY_MS)
    year = of.long_term_figures(YEAR, START_UTC_MS - 334 * DAY_MS, short)
    by_layer = {one.layer: one for one in year if one.measurand == "CO2"}
    assert by_layer[SUBSTITUTED].substituted_share > 0.0
    for layer in (MASS, SUBSTITUTED, CO2E):
        one = by_layer[layer]
        assert one.uncertainty / one.value == pytest.approx(math.hypot(0.02, 0.03), rel=1e-9)
        assert one.uncertainty == pytest.approx(one.uncertainty_common, rel=1e-12)


WEIGHTED = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=40
)


@given(WEIGHTED)
def test_weighted_terms(rows):
    """Against a sum of terms one by one; never below one common component, never above everything in common."""
    total = [math.hypot(common, own) for _, common, own, _ in rows]
    weights, common, counts = [row[0] for row in rows], [row[1] for row in rows], [row[3] for row in rows]
    whole, kept = of_weighted(weights, total, common, counts)
    shared = sum(abs(w) * c for w, c, _, is_in in rows if is_in)
    own = sum((w * o) ** 2 for w, _, o, is_in in rows if is_in)
    assert kept == pytest.approx(shared, rel=1e-12)
    assert whole == pytest.approx(math.sqrt(shared * shared + own), rel=1e-6, abs=1e-6)
    most = sum(abs(w) * t for (w, *_, is_in), t in zip(rows, total, strict=True) if is_in)
    assert kept * (1 - 1e-12) <= whole <= most * (1 + 1e-12)


@given(st.lists(st.floats(1.0, 500.0), min_size=1, max_size=60), st.floats(0.1, 10.0), st.booleans())
def test_one_component_over_terms_is_what_the_whole_series_gives(values, pct, is_common):
    """Terms of one value each, and the mean of all at once, in fractions."""
    each = [pct * value / 100.0 for value in values]  # 2 u of a component stated with k = 2
    weights = [1.0 / len(values)] * len(values)
    common = each if is_common else [0.0] * len(values)
    whole, _ = of_weighted(weights, each, common, [True] * len(values))
    variance = slow_greenhouse.combined_variance(values, weights, pct, True, Fraction(4), is_common)
    assert_close(whole, 2.0 * math.sqrt(variance))


def test_a_peripheral_states_components_and_none_wrongly():
    plant = parse_plant(tomllib.loads(with_component(PLANT, "o2", "value = 0.2")), Path("plant.toml"))
    assert plant.peripheral("O2").uncertainty[0].value == 0.2
    with pytest.raises(ConfigError, match="peripheral O2: uncertainty o2: needs one of value and value_pct"):
        parse_plant(tomllib.loads(with_component(PLANT, "o2", "value = 0.2\nvalue_pct = 1.0")), Path("plant.toml"))


def test_a_permits_substitute_is_exact():
    arrays = {name: one for name, one in channels().items() if name != "plume-01/o2"}
    text = PLANT.replace('basis = "wet"', 'basis = "wet"\nsubstitute = 9.0').replace("above = 19.5", "above = 50.0")
    text = with_component(with_component(text, "nox", "value = 0.0"), "o2", "value = 0.5")
    found = [one for one in figures(text, arrays, hours=1) if one.layer == STANDARDISED and one.measurand == "NOx"]
    assert [one.uncertainty for one in found] == [0.0, 0.0]
    assert all("peripheral_substitute" in one.flags for one in found)


def test_a_day_from_columns_is_as_uncertain():
    text = with_component(with_component(PLANT, "nox", "value = 3.0", common=False), "o2", "value = 0.2")
    of = engine(text, "eu_ied_waste")
    columns = of.short_term_columns(ArrayStrips(channels()).of_period(0, 2**50), START_UTC_MS, START_UTC_MS + DAY_MS)
    by_column, by_figure = (of.open_period(DAY, START_UTC_MS) for _ in range(2))
    for found in columns:
        by_column.take(found)
        for one in found:
            by_figure.add(one)
    wanted = by_figure.figures()
    assert any(one.uncertainty for one in wanted) and by_column.figures() == wanted
