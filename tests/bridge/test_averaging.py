"""Placing, summing and merging as pure functions; pandas as a referee that shares nothing with us."""

from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest
from acqwire import causes

from plumeproof.evidence import averaging, intervals
from plumeproof.evidence.decoding import STATUS_NAMES
from plumeproof.evidence.strips import Strip, strips_of
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set


def started():
    """A module that has sealed its boot record and its parameter set."""
    module = TimedModule()
    module.start()
    return module


def strips(module):
    """All strips of a module in seq order."""
    return [
        strip
        for record, _ in module.sealed
        if record.kind in (2, 6)
        for strip in strips_of([record], module.parameters)
    ]


def averages(module, interval_s, start):
    """One interval of any length, the short way."""
    inside = [strip for strip in strips(module) if strip.touches(start, start + interval_s * 1000)]
    if intervals.base_of(interval_s) == interval_s:
        groups = averaging.sum_slots(inside, start, interval_s)
    else:
        minutes = range(start, start + interval_s * 1000, 60_000)
        groups = averaging.merge([averaging.sum_slots(inside, at, 60) for at in minutes], start, interval_s)
    return {average.channel: average for average in averaging.to_averages("plume-01", groups, start, interval_s)}


def hour(seed=3):
    """An hour of 1 s slots with gaps, from a start that is no whole second."""
    module, rng = started(), random.Random(seed)
    module.clock_offset_ms += 137
    for _ in range(60):
        module.sample(
            [
                (rng.choice([0, 0, 0, 0, 0, 1, 66]), rng.gauss(120, 35), rng.randrange(-500, 500), rng.random() < 0.05)
                for _ in range(60)
            ]
        )
    return module


@pytest.mark.parametrize("interval_s", [10, 60, 600, 1800, 3600, 90, 675])
def test_pandas_agrees(interval_s):
    module = hour()
    rows = []
    for strip in strips(module):
        for k in range(strip.slot_count):
            for channel in range(2):
                status = int(strip.status[channel, k])
                at = strip.first_utc_ms + k * strip.slot_ms
                rows.append((at, channel, strip.values[channel, k] if status == 0 else np.nan))
    frame = pd.DataFrame(rows, columns=["utc_ms", "channel", "value"])
    frame.index = pd.to_datetime(frame["utc_ms"], unit="ms", utc=True)
    for channel, name in enumerate(("co", "dust")):
        wanted = frame[frame["channel"] == channel]["value"].resample(f"{interval_s}s", origin="epoch")
        said = wanted.agg(["count", "min", "max", "mean", "std"])
        for at, row in list(said.iterrows())[:12]:
            start = at.value // 1_000_000
            if start % (interval_s * 1000):
                continue
            found = averages(module, interval_s, start)[name]
            assert (found.n_valid, found.minimum, found.maximum) == (row["count"], row["min"], row["max"])
            assert found.mean == pytest.approx(row["mean"], rel=4 * 2**-52)
            if found.n_valid > 1:
                assert found.deviation == pytest.approx(row["std"], rel=1e-12)


def test_grid():
    assert intervals.start_of(START_UTC_MS, 86_400) == START_UTC_MS
    assert intervals.start_of(START_UTC_MS - 1, 3600) == START_UTC_MS - 3_600_000
    assert [intervals.base_of(length) for length in (1, 10, 60, 90, 120, 600, 86_400)] == [1, 10, 60, 90, 60, 60, 60]
    assert intervals.expected_slots(60, 1000) == 60
    assert intervals.expected_slots(60, 700) == 86
    assert intervals.expected_slots(10, 3_600_000) == 1


def test_a_slot_on_the_border_belongs_to_the_later_interval():
    module = started()
    module.clock_offset_ms += 59_000
    module.sample([(0, 1.0, 0, False), (0, 2.0, 0, False)])
    assert averages(module, 60, START_UTC_MS)["co"].maximum == 1.0
    assert averages(module, 60, START_UTC_MS + 60_000)["co"].minimum == 2.0


def test_every_cause_has_its_own_name():
    names = [intervals.name_of(cause) for cause in range(1, 256)]
    assert len({name for name in names if not name.startswith("exception_")}) == len(
        [name for name in names if not name.startswith("exception_")]
    )
    for cause, name in STATUS_NAMES:
        assert intervals.name_of(cause) == name
    assert intervals.name_of(causes.GAP_EXCEPTION + 7) == "exception_7"
    ours = {intervals.ABSENT, intervals.PARAMETERS_CHANGED, intervals.OVERLAP}
    assert not ours & {cause for cause, _ in STATUS_NAMES} and len(ours) == 3


@pytest.mark.parametrize("slew_ms", [-3, 3])
def test_a_slew_across_the_border_of_two_positions(slew_ms):
    """The price of positions by time: one overlap, or one absent."""
    module = started()
    module.clock_offset_ms += 1 if slew_ms < 0 else -1 + 1000
    module.sample([(0, 1.0, 0, False)] * 30)
    module.clock_offset_ms += slew_ms
    module.sample([(0, 1.0, 0, False)] * 30)
    found = averages(module, 60, START_UTC_MS)["co"]
    assert found.n_valid + sum(n for name, n in found.n_invalid if name != "overlap") == 60
    assert dict(found.n_invalid).get("overlap", 0) == (1 if slew_ms < 0 else 0)


def test_beyond_float64_there_is_no_figure():
    huge = build_set(co={"type": "float64", "order": "ABCDEFGH", "max": "1e308", "register": 0}, dust={"absent": True})
    parameters = TimedModule(raw_set=huge.replace(b'"quantity":3', b'"quantity":4')).parameters
    values = np.full((1, 60), 1e308)
    strip = Strip(1, bytes(32), parameters, START_UTC_MS, 1000, 60, values, np.zeros((1, 60), np.uint8))
    groups = averaging.sum_slots([strip], START_UTC_MS, 60)
    (found,) = averaging.to_averages("plume-01", groups, START_UTC_MS, 60)
    assert (found.n_valid, found.mean, found.deviation, found.maximum) == (60, None, None, 1e308)


def test_a_minimum_of_zero_is_positive():
    module = started()
    module.sample([(0, -0.0, 50, False)] * 3)
    found = averages(module, 60, START_UTC_MS)["co"]
    assert [math.copysign(1.0, value) for value in (found.mean, found.minimum, found.maximum)] == [1.0, 1.0, 1.0]


def test_no_valid_slot_and_only_one():
    module = started()
    module.sample([(1, 0.0, 0, False)] * 59 + [(0, 7.0, 0, False)])
    found = averages(module, 60, START_UTC_MS)["co"]
    assert (found.mean, found.minimum, found.deviation, found.n_invalid) == (7.0, 7.0, None, (("timeout", 59),))
    none = started()
    none.sample([(5, 0.0, 0, False)] * 60)
    found = averages(none, 60, START_UTC_MS)["co"]
    assert (found.mean, found.minimum, found.maximum, found.deviation) == (None, None, None, None)
    assert found.n_invalid == (("backoff", 60),)


def test_the_order_of_records_is_by_seq_and_portions_do_not_matter():
    module = hour(5)
    records = [record for record, _ in module.sealed if record.kind == 2]
    together = strips_of(records, module.parameters)
    for one, other in zip(together, strips(module), strict=True):
        assert one.seq == other.seq and one.first_utc_ms == other.first_utc_ms
        assert one.values.tobytes() == other.values.tobytes() and one.status.tobytes() == other.status.tobytes()


def test_merging_what_does_not_fill_an_interval_is_refused():
    with pytest.raises(ValueError, match="9 base intervals"):
        averaging.merge([()] * 9, START_UTC_MS, 600)
    with pytest.raises(ValueError, match="base intervals"):
        averaging.merge([()] * 10, START_UTC_MS + 60_000, 600)
    assert averaging.merge([()] * 10, START_UTC_MS, 600) == ()
