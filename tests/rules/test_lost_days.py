"""Whole days without a record between others are lost hours of an emission, not hours that never were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plumeproof.rules import annual
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.term_series import TermSeries


def series(days, lost):
    has = np.ones(days * 24, np.bool_)
    for day in lost:
        has[day * 24 : (day + 1) * 24] = False
    return TermSeries(
        start_utc_ms=0,
        length_min=60,
        unit="kg/h",
        has_figure=has,
        values=np.where(has, 20.0, 0.0),
        exists=has,
        is_valid=has,
        is_compared=np.ones(days * 24, np.bool_),
        is_discarded=~has,
        has_run=np.ones(days * 24, np.bool_),
        run_share=np.ones(days * 24),
        has_uncertainty=~has,
        uncertainty=np.zeros(days * 24),
        uncertainty_common=np.zeros(days * 24),
    )


def test_a_lost_day_between_others_counts_and_one_before_or_behind_them_does_not():
    assert DAY_MS == 86_400_000
    assert annual.seen(series(31, [])).all()
    assert annual.seen(series(31, [7])).all()
    assert int(annual.seen(series(31, [0, 1, 7, 30])).sum()) == 28 * 24
    assert not annual.seen(series(2, [0, 1])).any()


def test_quarters_are_those_of_the_local_year_on_every_offset():
    for offset_min in (-720, -600, -210, 0, 345, 480, 840):
        year = series(365, [])
        local = replace(year, start_utc_ms=1_767_225_600_000 - offset_min * 60_000)  # 2026-01-01T00:00Z
        days = [(first // 24, end // 24) for first, end in annual._quarters(local, offset_min)]
        assert days == [(0, 90), (90, 181), (181, 273), (273, 365)], offset_min
