"""Explained days, windows, months and years: the written arithmetic gives the engine's figures bit for bit."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from plumeproof.array_strips import ArrayStrips
from plumeproof.errors import RuleError
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain_longer import explain_longer
from plumeproof.rules.figure import (
    CO2E,
    DAY,
    MASS,
    MONTH,
    ROLLING_30_DAYS,
    STANDARDISED,
    SUBSTITUTED,
    VALIDATED,
    YEAR,
)
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set, rule_set_ids
from plumeproof.rules.step import WRITTEN_MAX
from plumeproof.rules.summation import add_in_lanes
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels

TITLES = {SUBSTITUTED: "tonnes", CO2E: "CO2e", MASS: "mass"}
DAYS = 4


@pytest.fixture(scope="module")
def strips():
    """Four days of the stack, NOx and CO2 a little higher each day."""
    arrays = channels(DAYS)
    for name in ("plume-01/nox", "plume-01/co2"):
        one = arrays[name]
        later = (one.times - START_UTC_MS) // DAY_MS
        arrays[name] = replace(one, values=one.values * (1.0 + later / 100.0))
    return ArrayStrips(arrays).of_period(0, 2**50)


def explained(strips, name, level, rules, day=0):
    text = PLANT.replace("+01:00", "+08:00") if rules == "cn_hj75" else PLANT
    engine = Engine(parse_plant(tomllib.loads(text), Path("plant.toml")), [load_rule_set(rules)])
    offset = engine.offset_min(engine.rule_sets[0])
    around = {MONTH: calendar.month_of, YEAR: calendar.year_of}.get(level, calendar.day_of)
    start = around(START_UTC_MS + day * DAY_MS + 12 * 3_600_000, offset)[0]
    short = engine.short_term_figures(strips, START_UTC_MS - DAY_MS, START_UTC_MS + (DAYS + 1) * DAY_MS)
    period = engine.open_period(level, start)
    for one in short:
        period.add(one)
    parts = list(period.parts())
    if not parts:
        return None, []
    (part,) = parts
    return explain_longer(part[0], level, part[1], part[2], name), period.figures()


def calculated(step):
    """A calculator: the numbers as they stand there, and nothing else."""
    known = {"max": max, "min": min, "sqrt": math.sqrt}
    return eval(step.numbers, {"__builtins__": {}}, known)  # noqa: S307 - our own arithmetic


def check(found):
    titles = [step.title for step in found.steps]
    assert len(titles) == len(set(titles))
    for step in found.steps:
        if step.numbers:
            assert calculated(step) == step.result, step
            assert type(step.result) in (int, bool, float), step
    results = {step.title: step for step in found.steps}
    told = 0
    for figure in found.figures:
        title = TITLES.get(figure.layer, f"{figure.layer}: mean")
        assert title in results, title
        assert results[title].result == figure.value, title
        told += figure.value is not None
    return results, told


@pytest.mark.parametrize("name", ["NOx", "CO2"])
@pytest.mark.parametrize("level", [DAY, ROLLING_30_DAYS, MONTH, YEAR])
@pytest.mark.parametrize("rules", rule_set_ids())
def test_its_arithmetic_gives_the_figures_bit_for_bit(strips, rules, level, name):
    found, figures = explained(strips, name, level, rules)
    if level == ROLLING_30_DAYS and load_rule_set(rules).settings.month != "rolling_30d":
        assert found is None
        return
    assert list(found.figures) == [one for one in figures if one.measurand == name]
    assert check(found)[1] > 0


def test_a_day_of_half_hours(strips):
    found, _ = explained(strips, "NOx", DAY, "eu_ied_waste", day=1)
    results, _ = check(found)
    figure = next(one for one in found.figures if one.layer == VALIDATED)
    step = results["validated: 30-minute averages that count"]
    assert step.result == figure.n_valid
    assert results["validated: sum of the averages"].numbers.count("+") == figure.n_valid - 1
    (table, *_) = [one for one in found.tables if one.title.startswith("validated")]
    assert len(table.rows) == 48
    assert {row.remark for row in table.rows} >= {"", "stopped", "lost"}
    assert sum(row.remark == "" for row in table.rows) == figure.n_valid
    assert "not too many lost" in " ".join(results)


def test_substituted_hours_of_a_month(strips):
    found, _ = explained(strips, "CO2", MONTH, "eu_mrr")
    results, _ = check(found)
    assert results["substitute"].numbers.startswith(repr(results["mean concentration"].result) + " + 2.0 * ")
    hours = [step for title, step in results.items() if title.startswith("substituted hour")]
    figure = next(one for one in found.figures if one.layer == SUBSTITUTED)
    assert len(hours) == dict(figure.n_invalid)["substituted"] > 0
    assert results["CO2e"].unit == "t CO2e"
    assert results["fossil share"].remark == "34 % biomass by the plant description"
    days = next(one for one in found.tables if one.title.startswith("tonnes"))
    assert sum(row.value or 0.0 for row in days.rows) == pytest.approx(figure.value, rel=1e-12)
    assert "⚠ confidence 0.6" in results["standard deviation"].source


def test_a_sum_that_is_too_long_to_type_is_in_the_table(strips):
    found, _ = explained(strips, "NOx", YEAR, "eu_ied_waste")
    results, _ = check(found)
    total = results["validated: sum of the daily averages"]
    (table, *_) = [one for one in found.tables if one.title.startswith("validated")]
    assert total.numbers == ""
    assert len(table.rows) == 365 > WRITTEN_MAX
    valid = [row.value if row.value is not None and row.remark.count(",") == 1 else 0.0 for row in table.rows]
    assert add_in_lanes(valid) == total.result
    assert results["validated: mean"].numbers == f"{total.result!r} / {sum(value != 0.0 for value in valid)}"


def test_the_largest_mass_of_the_look_back(strips):
    found, _ = explained(strips, "NOx", MONTH, "cn_hj75")
    results, _ = check(found)
    captured = next(step for title, step in results.items() if title.startswith("capture rate"))
    assert captured.unit == "%"
    figure = next(one for one in found.figures if one.layer == SUBSTITUTED)
    hours = [title for title in results if title.startswith("substituted hour")]
    assert len(hours) == min(24, dict(figure.n_invalid).get("substituted", 0))


def test_refused(strips):
    with pytest.raises(RuleError, match="measurand 'flow': has no day figures; those of the plant are of NOx, CO2"):
        explained(strips, "flow", DAY, "eu_mrr")
    with pytest.raises(RuleError, match="no record: has a slot in this day"):
        explained(strips, "NOx", DAY, "eu_mrr", day=30)
    assert STANDARDISED in {one.layer for one in explained(strips, "CO2", DAY, "eu_mrr")[0].figures}
