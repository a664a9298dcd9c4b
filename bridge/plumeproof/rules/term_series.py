"""The short-term figures of one measurand and layer as arrays over whole days, for the averages made from them.

What has no figure had no record: nothing exists there, and it counts as lost by malfunction. Raised from stored figures
or from fresh ones alike, so that longer averages have the same bits either way.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.figure import FLOW_ID, SHORT_TERM, Figure, InputRange
from plumeproof.rules.figure_maker import Expanded
from plumeproof.rules.plant import Plant
from plumeproof.rules.plant_state import NAMES, is_compared
from plumeproof.rules.settings import Settings
from plumeproof.rules.short_terms import DISCARDED
from plumeproof.rules.term_figures import TermFigures
from plumeproof.rules.uncertainty import of_weighted

Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TermSeries:
    """Arrays are (terms,). `has_figure`: a record had a slot; `is_valid`: as the figure says; `is_compared`: the
    plant's state is one that the rule set compares and averages; `is_discarded`: lost by malfunction or maintenance in
    such a state; `has_run`: the plant was not stopped all the time; `run_share`: of the term it was not stopped, 0 to
    1; `uncertainty`: expanded, and of it what all share, where `has_uncertainty`."""

    start_utc_ms: int
    length_min: int
    unit: str
    has_figure: Truths
    values: Values
    exists: Truths
    is_valid: Truths
    is_compared: Truths
    is_discarded: Truths
    has_run: Truths
    run_share: Values
    has_uncertainty: Truths
    uncertainty: Values
    uncertainty_common: Values

    @property
    def count(self) -> int:
        """Of terms."""
        return int(self.values.shape[0])

    def only_compared(self) -> TermSeries:
        """As it is averaged: what lies in a state that is not compared counts no more (section 3.3)."""
        return replace(self, is_valid=self.is_valid & self.is_compared)

    def part(self, start_utc_ms: int, end_utc_ms: int) -> TermSeries:
        """The terms inside [start, end)."""
        length_ms = self.length_min * MINUTE_MS
        first, end = (start_utc_ms - self.start_utc_ms) // length_ms, (end_utc_ms - self.start_utc_ms) // length_ms
        arrays = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _NO_ARRAYS}
        return replace(self, start_utc_ms=start_utc_ms, **{name: own[first:end] for name, own in arrays.items()})

    def combined(self, weights: Any, counts: Truths) -> Expanded | None:
        """Uncertainty of the sum of weight times value over the terms that count (uncertainty.of_weighted); None where
        one of them has none."""
        if not counts.any() or not self.has_uncertainty[counts].all():
            return None
        found = of_weighted(np.broadcast_to(weights, counts.shape), self.uncertainty, self.uncertainty_common, counts)
        return Expanded(*found)


_NO_ARRAYS = ("start_utc_ms", "length_min", "unit")
_ADDED = (
    "values", "exists", "is_valid", "is_compared", "is_discarded", "has_run", "run_share", "has_uncertainty",
    "uncertainty", "uncertainty_common",
)  # fmt: skip


class SeriesBuilder:
    """Takes short-term figures of whole days one after the other and holds arrays only: a year needs only its numbers.

    `inputs`: the records that all of them rest on.
    """

    def __init__(self, period_utc_ms: tuple[int, int], plant: Plant, settings: Settings) -> None:
        self._start, self._end = period_utc_ms
        self._length_min = settings.sta_min
        self._compared = {name for code, name in enumerate(NAMES) if is_compared(code, settings.start_up_compared)}
        term_ms = settings.sta_min * MINUTE_MS
        self._slots = {one.id: term_ms // one.slot_ms for one in plant.measurands}  # of a whole term
        self._slots[FLOW_ID] = term_ms // plant.flow.slot_ms if plant.flow is not None else 1
        self._series: dict[tuple[str, str], TermSeries] = {}
        self._waiting: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}  # rows of _ADDED behind their place
        self._inputs: dict[int, dict[str, InputRange]] = {}  # by day, counted from the first, and device

    def add(self, one: Figure) -> None:
        """A figure; one of another level or length, or outside the period, is left out."""
        length_ms = self._length_min * MINUTE_MS
        is_inside = self._start <= one.start_utc_ms and one.end_utc_ms <= self._end
        if one.level != SHORT_TERM or not is_inside or one.end_utc_ms - one.start_utc_ms != length_ms:
            return
        n_run = one.n_expected
        if (
            one.n_invalid
        ):  # not from the state, which is the majority's; "stopped" counts on the basis of the period only
            n_run -= dict(one.n_invalid).get("stopped", 0)
        is_compared = n_run > 0 and one.state in self._compared
        is_uncertain = one.uncertainty is not None and one.uncertainty_common is not None
        row = (
            (one.start_utc_ms - self._start) // length_ms,
            0.0 if one.value is None else one.value,
            one.value is not None,
            one.is_valid,
            is_compared,
            is_compared and not one.is_valid and DISCARDED in one.flags,
            n_run > 0,
            n_run / self._slots[one.measurand],
            is_uncertain,
            one.uncertainty if is_uncertain else 0.0,
            one.uncertainty_common if is_uncertain else 0.0,
        )
        self._waiting.setdefault((one.measurand, one.layer, one.unit), []).append(row)
        of_day = self._inputs.setdefault((one.start_utc_ms - self._start) // DAY_MS, {})
        for own in one.inputs:
            _widen(of_day, own)

    def take(self, found: TermFigures) -> None:
        """As `add` of every figure; the same numbers go into the arrays without a figure of each."""
        length_ms = self._length_min * MINUTE_MS
        if found.length_ms != length_ms:
            return
        begins = found.start_utc_ms + np.arange(len(found.inputs), dtype=np.int64) * length_ms
        chosen = found.is_there & (self._start <= begins) & (begins + length_ms <= self._end)
        if not chosen.any():
            return
        at = (begins[chosen] - self._start) // length_ms
        is_compared_state = np.array([name in self._compared for name in NAMES], np.bool_)[found.states[chosen]]
        for row in found.rows:
            n_run = row.expected - row.invalid.get("stopped", 0)  # not from the state, which is the majority's
            has_run = n_run[chosen] > 0
            is_compared = has_run & is_compared_state
            is_discarded = row.flags[DISCARDED][chosen]
            for one in row.layers:
                series = self._series_of(row.name, one.name, one.unit)
                is_valid = one.is_valid[chosen]
                series.has_figure[at] = True
                series.values[at], series.exists[at] = one.values[chosen], one.exists[chosen]
                series.is_valid[at], series.is_compared[at] = is_valid, is_compared
                series.is_discarded[at] = is_compared & ~is_valid & is_discarded
                series.has_run[at], series.run_share[at] = has_run, n_run[chosen] / self._slots[row.name]
                series.has_uncertainty[at] = one.is_uncertain[chosen]
                series.uncertainty[at] = one.uncertainty[chosen]
                series.uncertainty_common[at] = one.uncertainty_common[chosen]
        for term in np.flatnonzero(chosen).tolist():
            of_day = self._inputs.setdefault((int(begins[term]) - self._start) // DAY_MS, {})
            for own in found.inputs[term]:
                _widen(of_day, own)

    def _series_of(self, measurand: str, layer: str, unit: str) -> TermSeries:
        series = self._series.get((measurand, layer))
        if series is None:
            count = (self._end - self._start) // (self._length_min * MINUTE_MS)
            series = self._series[measurand, layer] = _empty(self._start, self._length_min, count, unit)
        return series

    def _settle(self) -> None:
        """What was added goes into the arrays: one by one each number costs as much as the arithmetic of its term."""
        for (measurand, layer, unit), rows in self._waiting.items():
            series = self._series_of(measurand, layer, unit)
            places, *columns = zip(*rows, strict=True)
            at = np.array(places, np.int64)
            series.has_figure[at] = True
            for name, column in zip(_ADDED, columns, strict=True):
                getattr(series, name)[at] = column
        self._waiting.clear()

    def part(self, start_utc_ms: int, end_utc_ms: int) -> SeriesBuilder:
        """What a builder of these days alone would hold; shares its arrays."""
        self._settle()
        found = copy.copy(self)
        found._waiting = {}
        found._start, found._end = start_utc_ms, end_utc_ms
        parts = {key: one.part(start_utc_ms, end_utc_ms) for key, one in self._series.items()}
        found._series = {key: one for key, one in parts.items() if one.has_figure.any()}
        first, end = (start_utc_ms - self._start) // DAY_MS, (end_utc_ms - self._start) // DAY_MS
        found._inputs = {day - first: own for day, own in self._inputs.items() if first <= day < end}
        return found

    def series(self) -> dict[tuple[str, str], TermSeries]:
        """By (measurand, layer)."""
        self._settle()
        return dict(sorted(self._series.items()))

    def inputs(self) -> tuple[InputRange, ...]:
        """By device."""
        found: dict[str, InputRange] = {}
        for of_day in self._inputs.values():
            for own in of_day.values():
                _widen(found, own)
        return tuple(found[device] for device in sorted(found))


def _widen(found: dict[str, InputRange], own: InputRange) -> None:
    known = found.get(own.device)
    if known is None:
        found[own.device] = own
    elif own.first_seq < known.first_seq or own.last_seq > known.last_seq:
        last = own if own.last_seq > known.last_seq else known
        found[own.device] = replace(last, first_seq=min(own.first_seq, known.first_seq))


def _empty(start: int, length_min: int, count: int, unit: str) -> TermSeries:
    return TermSeries(
        start_utc_ms=start,
        length_min=length_min,
        unit=unit,
        has_figure=np.zeros(count, np.bool_),
        values=np.zeros(count),
        exists=np.zeros(count, np.bool_),
        is_valid=np.zeros(count, np.bool_),
        is_compared=np.ones(count, np.bool_),
        is_discarded=np.ones(count, np.bool_),
        has_run=np.ones(count, np.bool_),
        run_share=np.ones(count),
        has_uncertainty=np.zeros(count, np.bool_),
        uncertainty=np.zeros(count),
        uncertainty_common=np.zeros(count),
    )
