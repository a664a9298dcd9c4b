"""First level data and minutes: pandas as referee, and the same bits however the minutes are cut."""

from __future__ import annotations

import hashlib
import random
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.strips import strips_of
from plumeproof.rules.first_level import RangeRule, lay_out
from plumeproof.rules.minutes import Minutes, sum_minutes
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.plant_state import START_UP, STOPPED
from plumeproof.rules.status import RANGE_END, letters_of, to_codes
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set

PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+01:00"
rule_sets = ["eu_mrr"]
[[state]]
state = "stopped"
source = "plume-01/dust"
above = 40.0
[[state]]
state = "start_up"
source = "plume-01/dust"
below = -40.0
[[measurand]]
id = "CO"
source = "plume-01/co"
unit = "mg/m3"
range_max = 160.0
[[measurand.calibration]]
id = "first"
begins = "2026-12-01T00:20:30Z"
a = -1.8
b = 1.06
[[measurand]]
id = "dust"
source = "plume-01/dust"
unit = "mg/m3"
"""


def plant(text=PLANT):
    return parse_plant(tomllib.loads(text), Path("plant.toml"))


def run(seed, minutes=60, changes=True):
    """A module over an hour with gaps, resets of its clock, overflow, and changed parameter sets; its strips."""
    module, rng = TimedModule(), random.Random(seed)
    module.start()
    module.clock_offset_ms += rng.randrange(1000)
    sets = [
        build_set(),
        build_set(2, co={"scale": "1.5"}),
        build_set(3, co={"unit": "ppm"}),
        build_set(4, slot_ms=2000),
    ]
    for _ in range(minutes):
        module.sample(
            [
                (rng.choice([0] * 9 + [1, 66]), rng.gauss(120, 35), rng.randrange(-500, 500), rng.random() < 0.05)
                for _ in range(60)
            ]
        )
        if changes and rng.random() < 0.05:
            module.clock_offset_ms += rng.choice([-1, 1]) * rng.randrange(90_000)
        if changes and rng.random() < 0.05:
            module.use(rng.choice(sets))
            module.start()
    strips, known = [], {}
    for record, _ in module.sealed:
        if record.kind == 2:
            raw = next(one for one in sets if _hash(one) == record.parameters_hash)
            known.setdefault(raw, TimedModule(raw_set=raw).parameters)
            strips += strips_of([record], known[raw])
    return {"plume-01": strips}


def _hash(raw):
    return hashlib.sha256(raw).digest()


def same(one, other):
    assert one.start_utc_ms == other.start_utc_ms
    for entry in fields(Minutes):
        left, right = getattr(one, entry.name), getattr(other, entry.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes(), entry.name
    assert one.invalid.keys() == other.invalid.keys()
    for status, counts in one.invalid.items():
        assert (counts == other.invalid[status]).all()


def summed(strips, start, count):
    return sum_minutes(lay_out(plant(), strips, start, count), start)


@pytest.mark.parametrize("seed", range(12))
def test_however_it_is_cut(seed):
    strips = run(seed)
    whole = summed(strips, START_UTC_MS, 60)
    each = [summed(strips, START_UTC_MS + i * 60_000, 1) for i in range(60)]
    for at, one in enumerate(each):
        same(whole.part(at, at + 1), one)
    rng = random.Random(seed)
    cuts = sorted({0, 60, *(rng.randrange(60) for _ in range(5))})
    for first, end in zip(cuts, cuts[1:], strict=False):
        same(whole.part(first, end), summed(strips, START_UTC_MS + first * 60_000, end - first))


@pytest.mark.parametrize("seed", range(4))
def test_pandas_agrees(seed):
    strips = run(seed, changes=False)
    found = summed(strips, START_UTC_MS, 61)
    rows = []
    for strip in strips["plume-01"]:
        for k in range(strip.slot_count):
            at = strip.first_utc_ms + k * strip.slot_ms
            rows.append((at, *strip.values[:, k], *strip.status[:, k]))
    frame = pd.DataFrame(rows, columns=["utc", "co", "dust", "co_status", "dust_status"])
    has_state = frame.dust_status == 0
    frame = frame[~(has_state & (frame.dust > 40.0))]
    counts = (frame.co_status == 0) & (frame.co <= 160.0) & (frame.co >= -3.2)
    # the grid puts a slot on the second before it, and the function in force is that of the grid's instant
    is_calibrated = (frame.utc // 1000 * 1000) >= START_UTC_MS + 20 * 60_000 + 30_000
    co = frame.co.where(~is_calibrated, -1.8 + 1.06 * frame.co)[counts]
    by_minute = co.groupby((frame.utc[counts] - START_UTC_MS) // 60_000)
    wanted = by_minute.agg(["count", "sum", "min", "max", "var"]).reindex(range(61))
    assert found.n[0].tolist() == wanted["count"].fillna(0).astype(int).tolist()
    has = found.n[0] > 0
    np.testing.assert_allclose(found.total[0][has], wanted["sum"][has], rtol=1e-13)
    np.testing.assert_array_equal(found.low[0][has], wanted["min"][has])
    np.testing.assert_array_equal(found.high[0][has], wanted["max"][has])
    many = found.n[0] > 1
    np.testing.assert_allclose(found.m2[0][many], (wanted["var"] * (wanted["count"] - 1))[many], rtol=1e-9)
    lost = sum(counts for counts in found.invalid.values())
    assert (found.n + lost == found.expected).all()


def test_states_are_told_in_milliseconds():
    strips = run(3, changes=False)
    found = summed(strips, START_UTC_MS, 60)
    assert (found.states.sum(axis=0) == 60_000).all()
    assert found.states[STOPPED].sum() > 0
    assert found.states[START_UP].sum() > 0


def test_a_device_that_is_not_there_is_absent_and_the_plant_runs():
    found = summed({}, START_UTC_MS, 3)
    assert found.expected.tolist() == [[60, 60, 60]] * 2
    assert found.invalid.keys() == {intervals.ABSENT}
    assert not found.n.any()


def test_another_unit_is_named():
    strips = run(0, 3, changes=False)
    head, _, tail = PLANT.rpartition('unit = "mg/m3"')
    text = f'{head}unit = "g/m3"{tail}'
    found = sum_minutes(lay_out(plant(text), strips, START_UTC_MS, 3), START_UTC_MS)
    assert found.n[0].any()
    assert not found.n[1].any()
    assert intervals.PARAMETERS_CHANGED in found.invalid


def test_above_the_range_may_count_as_its_end():
    strips = run(0, 3, changes=False)
    rows = lay_out(plant(), strips, START_UTC_MS, 3, RangeRule("use_range_end", -2.0))
    is_end = rows[0].status == RANGE_END
    assert not (rows[0].status == decoding.OVER_RANGE).any()
    assert letters_of(to_codes(RANGE_END)) == "S", "a substitute, never silent"
    found = sum_minutes(rows, START_UTC_MS)
    assert found.range_end.sum() == np.count_nonzero(is_end & (rows[0].state != STOPPED)) > 0
    assert found.high[0].max() == 160.0
    counted = (decoding.is_valid(rows[0].status) | is_end) & (rows[0].state != STOPPED)
    assert (found.n[0] == np.count_nonzero(counted, axis=1)).all()
    assert found.part(1, 3).range_end.tolist() == found.range_end[:, 1:].tolist()
    assert (lay_out(plant(), strips, START_UTC_MS, 3)[0].status == decoding.OVER_RANGE).any()
