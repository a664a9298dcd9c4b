"""The short-term figures of one measurand and layer as arrays over whole days, for the averages made from them.

What has no figure had no record: nothing exists there, and it counts as lost by malfunction. Raised from stored figures
or from fresh ones alike, so that longer averages have the same bits either way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import SHORT_TERM, Figure, InputRange
from plumeproof.rules.figure_maker import Expanded
from plumeproof.rules.short_terms import DISCARDED
from plumeproof.rules.uncertainty import of_weighted

Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TermSeries:
    """Arrays are (terms,). `has_figure`: a record had a slot; `is_valid`: counts by the rule set and the plant's state;
    `is_discarded`: lost by malfunction or maintenance in compared operation; `has_run`: the plant was not stopped;
    `uncertainty`: expanded, and of it what all share, where `has_uncertainty`."""

    start_utc_ms: int
    length_min: int
    unit: str
    has_figure: Truths
    values: Values
    exists: Truths
    is_valid: Truths
    is_discarded: Truths
    has_run: Truths
    has_uncertainty: Truths
    uncertainty: Values
    uncertainty_common: Values

    @property
    def count(self) -> int:
        """Of terms."""
        return int(self.values.shape[0])

    def combined(self, weights: Any, counts: Truths) -> Expanded | None:
        """Uncertainty of the sum of weight times value over the terms that count (uncertainty.of_weighted); None where
        one of them has none."""
        if not counts.any() or not self.has_uncertainty[counts].all():
            return None
        found = of_weighted(np.broadcast_to(weights, counts.shape), self.uncertainty, self.uncertainty_common, counts)
        return Expanded(*found)


class SeriesBuilder:
    """Takes short-term figures one after the other and holds arrays only: a year of them needs only its numbers.

    `inputs`: the records that all of them rest on.
    """

    def __init__(self, period_utc_ms: tuple[int, int], length_min: int) -> None:
        self._start, self._end = period_utc_ms
        self._length_min = length_min
        self._series: dict[tuple[str, str], TermSeries] = {}
        self._inputs: dict[str, InputRange] = {}

    def add(self, one: Figure) -> None:
        """A figure; one of another level or length, or outside the period, is left out."""
        length_ms = self._length_min * MINUTE_MS
        is_inside = self._start <= one.start_utc_ms and one.end_utc_ms <= self._end
        if one.level != SHORT_TERM or not is_inside or one.end_utc_ms - one.start_utc_ms != length_ms:
            return
        key = (one.measurand, one.layer)
        if key not in self._series:
            self._series[key] = _empty(self._start, self._length_min, (self._end - self._start) // length_ms, one.unit)
        found = self._series[key]
        place = (one.start_utc_ms - self._start) // length_ms
        found.has_figure[place] = True
        found.exists[place] = one.value is not None
        found.values[place] = 0.0 if one.value is None else one.value
        found.is_valid[place] = one.is_valid
        if one.uncertainty is not None and one.uncertainty_common is not None:
            found.has_uncertainty[place] = True
            found.uncertainty[place], found.uncertainty_common[place] = one.uncertainty, one.uncertainty_common
        found.is_discarded[place] = DISCARDED in one.flags and not one.is_valid
        # not from the state, which is the majority's; "stopped" counts on the basis of the period only
        found.has_run[place] = one.n_expected > dict(one.n_invalid).get("stopped", 0)
        for own in one.inputs:
            known = self._inputs.get(own.device)
            if known is None:
                self._inputs[own.device] = own
            elif own.first_seq < known.first_seq or own.last_seq > known.last_seq:
                last = own if own.last_seq > known.last_seq else known
                self._inputs[own.device] = replace(last, first_seq=min(own.first_seq, known.first_seq))

    def series(self) -> dict[tuple[str, str], TermSeries]:
        """By (measurand, layer)."""
        return dict(sorted(self._series.items()))

    def inputs(self) -> tuple[InputRange, ...]:
        """By device."""
        return tuple(self._inputs[device] for device in sorted(self._inputs))


def _empty(start: int, length_min: int, count: int, unit: str) -> TermSeries:
    return TermSeries(
        start_utc_ms=start,
        length_min=length_min,
        unit=unit,
        has_figure=np.zeros(count, np.bool_),
        values=np.zeros(count),
        exists=np.zeros(count, np.bool_),
        is_valid=np.zeros(count, np.bool_),
        is_discarded=np.ones(count, np.bool_),
        has_run=np.ones(count, np.bool_),
        has_uncertainty=np.zeros(count, np.bool_),
        uncertainty=np.zeros(count),
        uncertainty_common=np.zeros(count),
    )
