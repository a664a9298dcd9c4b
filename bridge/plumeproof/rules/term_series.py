"""The short-term figures of one measurand and layer as arrays over whole days, for the averages made from them.

What has no figure had no record: nothing exists there, and it counts as lost by malfunction. Raised from stored figures
or from fresh ones alike, so that longer averages have the same bits either way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import SHORT_TERM, Figure
from plumeproof.rules.plant_state import STOPPED, state_of
from plumeproof.rules.short_terms import DISCARDED

Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TermSeries:
    """Arrays are (terms,). `has_figure`: a record had a slot; `is_valid`: counts by the rule set and the plant's state;
    `is_discarded`: lost by malfunction or maintenance in compared operation; `has_run`: the plant was not stopped."""

    start_utc_ms: int
    length_min: int
    unit: str
    has_figure: Truths
    values: Values
    exists: Truths
    is_valid: Truths
    is_discarded: Truths
    has_run: Truths

    @property
    def count(self) -> int:
        """Of terms."""
        return int(self.values.shape[0])


def series_of(
    figures: Iterable[Figure], period_utc_ms: tuple[int, int], length_min: int
) -> dict[tuple[str, str], TermSeries]:
    """By (measurand, layer): the short-term figures of this length that lie inside the period."""
    start, end = period_utc_ms
    length_ms = length_min * MINUTE_MS
    count = (end - start) // length_ms
    by_key: dict[tuple[str, str], list[Figure]] = {}
    for one in figures:
        is_inside = start <= one.start_utc_ms and one.end_utc_ms <= end
        if one.level == SHORT_TERM and is_inside and one.end_utc_ms - one.start_utc_ms == length_ms:
            by_key.setdefault((one.measurand, one.layer), []).append(one)
    return {key: _one_series(rows, start, length_min, count) for key, rows in sorted(by_key.items())}


def _one_series(rows: list[Figure], start: int, length_min: int, count: int) -> TermSeries:
    found = TermSeries(
        start_utc_ms=start,
        length_min=length_min,
        unit=rows[-1].unit,
        has_figure=np.zeros(count, np.bool_),
        values=np.zeros(count),
        exists=np.zeros(count, np.bool_),
        is_valid=np.zeros(count, np.bool_),
        is_discarded=np.ones(count, np.bool_),
        has_run=np.ones(count, np.bool_),
    )
    for one in rows:
        place = (one.start_utc_ms - start) // (length_min * MINUTE_MS)
        found.has_figure[place] = True
        found.exists[place] = one.value is not None
        found.values[place] = 0.0 if one.value is None else one.value
        found.is_valid[place] = one.is_valid
        found.is_discarded[place] = DISCARDED in one.flags and not one.is_valid
        found.has_run[place] = state_of(one.state) != STOPPED
    return found
