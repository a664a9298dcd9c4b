"""An hour in which the plant stood still most of the time has run all the same: counts of the day add up."""

from __future__ import annotations

import math

import pytest

from plumeproof.evidence.strips import strips_of
from plumeproof.rules import calendar
from plumeproof.rules.engine import Engine
from plumeproof.rules.explain_longer import explain_longer
from plumeproof.rules.figure import CO2E, DAY, MASS, MONTH, SUBSTITUTED, YEAR
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set
from tests.rules.test_minutes import plant

HOUR_MS = 3_600_000
DAY_START = START_UTC_MS - HOUR_MS  # local midnight at +01:00
RUNS, STANDS = 150, 460  # registers: 10 and 41 m3/h
PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+01:00"
rule_sets = ["eu_ied_lcp"]
[[state]]
state = "stopped"
source = "plume-01/dust"
above = 40.5
[flow]
source = "plume-01/dust"
unit = "m3/h"
conditions = "normal_dry"
[[measurand]]
id = "CO"
source = "plume-01/co"
unit = "mg/m3"
"""


def mass_of_day(lost_hours):
    """Hour 5 stands still for 40 of its minutes; the analyzer is at fault in the lost ones."""
    module = TimedModule(raw_set=build_set(1, dust={"unit": "m3/h"}))
    module.start()
    module.clock_offset_ms -= HOUR_MS
    for minute in range(1440):
        hour, into = divmod(minute, 60)
        register = STANDS if hour == 5 and into < 40 else RUNS
        module.sample([(1 if hour in lost_hours else 0, 100.0, register, False)] * 60)
    strips = [one for record, _ in module.sealed if record.kind == 2 for one in strips_of([record], module.parameters)]
    of = Engine(plant(PLANT), [load_rule_set("eu_ied_lcp")])
    short = of.short_term_figures({"plume-01": strips}, DAY_START, DAY_START + 24 * HOUR_MS)
    return next(one for one in of.long_term_figures(DAY, DAY_START, short) if one.layer == MASS)


def test_a_whole_day_is_complete():
    found = mass_of_day(())
    assert (found.n_expected, found.n_valid, found.n_invalid, found.is_valid) == (24, 24, (), True)


def test_a_lost_hour_is_not_made_up_for_by_it():
    found = mass_of_day((9,))
    assert (found.n_expected, found.n_valid, found.n_invalid) == (24, 23, (("without_mass", 1),))
    assert not found.is_valid
    assert found.flags == ("incomplete_mass",)


GREENHOUSE = PLANT.replace('["eu_ied_lcp"]', '["eu_mrr"]').replace(
    'unit = "mg/m3"\n', 'unit = "g/m3"\ngas = "CO2"\ngreenhouse_gas = "CO2"\n'
)


def day_of(text, rules, register_of, lost=lambda minute: False, **sets):
    """Day of the plant whose flow register is `register_of` a minute; CO is no number in the lost ones."""
    module = TimedModule(raw_set=build_set(1, dust={"unit": "m3/h"}, **sets))
    module.start()
    module.clock_offset_ms -= HOUR_MS
    for minute in range(1440):
        module.sample([(0, math.nan if lost(minute) else 100.0, register_of(minute), False)] * 60)
    strips = [one for record, _ in module.sealed if record.kind == 2 for one in strips_of([record], module.parameters)]
    of = Engine(plant(text), [load_rule_set(rules)])
    short = of.short_term_figures({"plume-01": strips}, DAY_START, DAY_START + 24 * HOUR_MS)
    return of, short, of.long_term_figures(DAY, DAY_START, short)


def stands(*minutes):
    return lambda minute: STANDS if minute in range(*minutes) else RUNS


@pytest.mark.parametrize("rules", ["eu_ied_lcp", "us_part75"])
def test_the_mass_of_a_partly_stopped_hour_is_that_of_its_part_in_operation(rules):
    """Stopped from 5:20 to 7:30: 100 mg/m3 times 10 m3/h for 24 h less 2 h 10 min."""
    _, short, days = day_of(PLANT, rules, stands(320, 450))
    hours = [one for one in short if one.layer == MASS]
    assert [one.value for one in hours if one.value is not None] == [100.0 * 10.0 / 1e6] * 23
    mass = next(one for one in days if one.layer == MASS)
    assert (mass.n_expected, mass.n_valid, mass.is_valid) == (23, 23, True)
    assert mass.value == pytest.approx(100.0 * 10.0 / 1e6 * (24 - 130 / 60), rel=1e-12)


def test_a_start_and_a_stop_leave_no_hour_of_tonnes_without_a_figure():
    of, short, _ = day_of(GREENHOUSE, "eu_mrr", stands(320, 450), co={"unit": "g/m3"})
    (tonnes,) = [one for one in of.long_term_figures(MONTH, DAY_START, short) if one.layer == CO2E]
    assert (tonnes.n_expected, tonnes.n_valid, tonnes.n_invalid, tonnes.flags) == (23, 23, (), ())
    assert tonnes.is_valid
    assert tonnes.value == pytest.approx(100.0 * 10.0 / 1e6 * (24 - 130 / 60), rel=1e-12)
    measured = [one for one in short if one.measurand == "CO" and one.layer == "measured"]
    assert [(one.n_valid, one.n_expected) for one in measured[4:9]] == [
        (3600, 3600), (1200, 1200), (0, 0), (1800, 1800), (3600, 3600),
    ]  # fmt: skip


def test_a_fault_in_the_part_in_operation_is_substituted_for_that_part():
    """From 7:30 on it runs; 10 of these 30 minutes are lost, and 80 % of them are wanted."""
    of, short, _ = day_of(
        GREENHOUSE, "eu_mrr", stands(320, 450), lost=lambda minute: 460 <= minute < 470, co={"unit": "g/m3"}
    )
    found = of.long_term_figures(MONTH, DAY_START, short)
    tonnes = next(one for one in found if one.layer == CO2E)
    assert (tonnes.n_valid, tonnes.n_invalid) == (22, (("substituted", 1),))
    assert tonnes.value == pytest.approx(100.0 * 10.0 / 1e6 * (24 - 130 / 60), rel=1e-12)  # sigma is 0


def test_where_the_clock_hour_counts_it_is_short_of_readings():
    """HJ 75: 45 minutes of the clock hour; the quarter's largest hourly mass is taken for its part in operation."""
    of, short, _ = day_of(PLANT.replace("+01:00", "+08:00"), "cn_hj75", stands(320, 450))
    hours = [one for one in short if one.layer == MASS and not one.is_valid]
    assert [dict(one.n_invalid).get("stopped", 0) for one in hours] == [2400, 3600, 1800]


STARTING = PLANT.replace('state = "stopped"', 'state = "start_up"')


@pytest.mark.parametrize(("rules", "counted"), [("eu_ied_lcp", 21), ("eu_mrr", 24)])
def test_start_up_is_averaged_only_where_the_rule_set_compares_it(rules, counted):
    """Without a limit there is nothing to subtract, and the standardised values are what a day is made from."""
    of, _, days = day_of(STARTING, rules, stands(300, 480), lost=lambda minute: 300 <= minute < 360)
    day = next(one for one in days if one.layer == "standardised")
    lost = 1 if rules == "eu_mrr" else 0
    assert day.n_valid == counted - lost
    assert dict(day.n_invalid).get("discarded", 0) == lost, "a fault while it is not compared is no lost average"
    assert next(one for one in days if one.layer == MASS).n_valid == 23, "loads include start-up"


PART75 = PLANT.replace('["eu_ied_lcp"]', '["us_part75"]')


def by_75_33(values, valid):
    """Hour by hour from the text of the reference: 75.31 below 720 hours, then by availability. All hours ran."""
    found = list(values)
    for hour in range(len(values)):
        if valid[hour]:
            continue
        start = max(place for place in range(hour + 1) if place == 0 or valid[place - 1])
        end = min(place for place in range(hour, len(values) + 1) if place == len(values) or valid[place])
        qa = sum(valid[:start])
        assert qa < 720, "the initial rule holds in this test"
        found[hour] = (values[start - 1] + values[end]) / 2 if start and end < len(values) else None
    return found


def test_part_75_fills_concentration_and_flow_of_the_year():
    """As a comparison: the history begins with the period. Flow is measured in the lost hours."""
    gone = {5, 6, 11}
    of, short, _ = day_of(PART75, "us_part75", lambda minute: RUNS + minute // 60, lambda m: m // 60 in gone)
    found = of.long_term_figures(YEAR, calendar.year_of(DAY_START, 60)[0], short)
    tonnes = next(one for one in found if one.layer == SUBSTITUTED)
    flows = [10.0 + 0.1 * hour for hour in range(24)]
    filled = by_75_33([100.0] * 24, [hour not in gone for hour in range(24)])
    wanted = sum(c * q / 1e9 for c, q in zip(filled, flows, strict=True))
    assert tonnes.value == pytest.approx(wanted, rel=1e-12)
    assert tonnes.is_valid
    assert tonnes.n_invalid == (("substituted", 3),)
    assert tonnes.flags == ("by_hb_ha", "substituted")
    assert tonnes.unit == "t"
    (part,) = of_parts(of, YEAR, short)
    steps = {step.title: step for step in explain_longer(part[0], YEAR, part[1], part[2], "CO").steps}
    hour = steps["substituted hour 2026-12-01T05:00"]
    assert hour.remark == "concentration by hb_ha, flow by measurement; history from the period's begin"
    assert eval(hour.numbers, {"__builtins__": {}}) == hour.result  # noqa: S307 - our own arithmetic
    assert steps["tonnes"].result == tonnes.value


def of_parts(of, level, short):
    period = of.open_period(level, calendar.year_of(DAY_START, 60)[0])
    for one in short:
        period.add(one)
    return list(period.parts())


def test_part_75_without_an_hour_after_the_gap_waits():
    """Hours 22 and 23 have no hour after them: no substitute, and the total says so."""
    of, short, _ = day_of(PART75, "us_part75", lambda minute: RUNS, lambda m: m // 60 >= 22)
    found = of.long_term_figures(YEAR, calendar.year_of(DAY_START, 60)[0], short)
    tonnes = next(one for one in found if one.layer == SUBSTITUTED)
    assert tonnes.n_invalid == (("without_figure", 2),)
    assert "hours_without_figure" in tonnes.flags and not tonnes.is_valid


def test_part_75_needs_a_concentration_at_the_oxygen_as_measured():
    text = PART75.replace('id = "CO"\n', 'id = "CO"\nneeds = ["O2"]\no2_reference_pct = 3.0\n')
    text += '[[peripheral]]\nkind = "O2"\nsource = "plume-01/dust"\nsubstitute = 5.0\n'
    of, short, _ = day_of(text, "us_part75", lambda minute: RUNS)
    found = of.long_term_figures(YEAR, calendar.year_of(DAY_START, 60)[0], short)
    assert {one.layer for one in found} == {"standardised", MASS}
