"""An hour in which the plant stood still most of the time has run all the same: counts of the day add up."""

from __future__ import annotations

from plumeproof.evidence.strips import strips_of
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MASS
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
