"""Sums of short terms: the minutes of a plant merged to 10, 30 or 60 minutes on the clock grid of the site.

Merged from the sums of minutes in the order "lanes20-v1", squared deviations by the law of total variance
(bridge/EVIDENCE.md section 3). Coverage is judged by whole numbers (short_term.py), each quantity by itself
((EU) 2018/2066 Art. 44: each parameter separately).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.evidence import _kernels
from plumeproof.rules import short_term, status
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.first_level import Quantity
from plumeproof.rules.minutes import Minutes
from plumeproof.rules.plant_state import STOPPED, state_of_period
from plumeproof.rules.settings import Settings

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TermSums:
    """Arrays are (quantities, terms). `period`: slots of a whole term, (quantities,); `expected`: those in which the
    plant was not stopped; `n` of them count, `range_end` of these as the range's end. `invalid`: status number to
    counts. `state`: code of each term by the rule set, `has_run`: the plant was not stopped all the time.
    `minutes_filled`: something counts in a minute, (quantities, terms, minutes); `minutes_run`: the plant was not
    stopped all of it, (terms, minutes).
    """

    start_utc_ms: int
    length_min: int
    quantities: tuple[Quantity, ...]
    period: Counts
    expected: Counts
    n: Counts
    total: Values
    m2: Values
    low: Values
    high: Values
    range_end: Counts
    invalid: dict[int, Counts]
    state: npt.NDArray[np.uint8]
    state_ms: Counts
    has_run: Truths
    minutes_filled: Truths
    minutes_run: Truths

    @property
    def count(self) -> int:
        """Of terms."""
        return int(self.n.shape[1])

    def start_of(self, term: int) -> int:
        """UTC ms."""
        return self.start_utc_ms + term * self.length_min * MINUTE_MS

    def row(self, name: str) -> int | None:
        """Which row a quantity has."""
        return next((index for index, one in enumerate(self.quantities) if one.name == name), None)


def merge(minutes: Minutes, length_min: int, state_rule: str) -> TermSums:
    """Terms of `length_min` from minutes that begin and end on their grid. Raises RuleError when they do not."""
    if minutes.count % length_min:
        raise RuleError("minutes", f"{minutes.count} are no whole number of terms of {length_min}; lay out whole ones")
    count, terms = len(minutes.quantities), minutes.count // length_min
    shape = (count, terms)
    n, sums = np.zeros(count * terms, np.int64), np.zeros((4, count * terms))
    fine = [
        np.ascontiguousarray(entry).reshape(count * terms, length_min)
        for entry in (minutes.n, minutes.total, minutes.m2, minutes.low, minutes.high)
    ]
    _kernels.merge_sums(*fine, n, *sums)
    states = minutes.states.reshape(-1, terms, length_min).sum(axis=-1)
    return TermSums(
        start_utc_ms=minutes.start_utc_ms,
        length_min=length_min,
        quantities=minutes.quantities,
        period=np.array([one.slots * length_min for one in minutes.quantities], np.int64),
        expected=_added(minutes.expected, terms),
        n=n.reshape(shape),
        total=sums[0].reshape(shape),
        m2=sums[1].reshape(shape),
        low=sums[2].reshape(shape),
        high=sums[3].reshape(shape),
        range_end=_added(minutes.range_end, terms),
        invalid={number: _added(counts, terms) for number, counts in minutes.invalid.items()},
        state=np.atleast_1d(np.asarray(state_of_period(states, state_rule), np.uint8)),
        state_ms=states,
        has_run=np.asarray(states.sum(axis=0) - states[STOPPED] > 0),
        minutes_filled=(minutes.n > 0).reshape(count, terms, length_min),
        minutes_run=(minutes.states.sum(axis=0) - minutes.states[STOPPED] > 0).reshape(terms, length_min),
    )


def _added(counts: Counts, terms: int) -> Counts:
    return np.asarray(counts.reshape(counts.shape[0], terms, -1).sum(axis=-1), np.int64)


def expected_of(sums: TermSums, row: int, settings: Settings) -> Counts:
    """What coverage of a row is measured against, by the rule set's basis."""
    whole = np.full(sums.count, sums.period[row], np.int64)
    return np.asarray(short_term.count_expected(whole, sums.expected[row], settings.expected_basis()))


def is_covered(sums: TermSums, row: int, settings: Settings) -> Truths:
    """Which terms of a row hold enough first level data."""
    if isinstance(settings.coverage, str):  # quadrants, 40 CFR 75.10(d): settings.py lets them be with an hour only
        runs = short_term.quadrants(sums.minutes_run)
        checks = [sums.invalid[number][row] > 0 for number in sums.invalid if _is_check(number)]
        has_check = np.logical_or.reduce(checks) if checks else np.zeros(sums.count, np.bool_)
        return np.asarray(short_term.covers_quadrants(sums.minutes_filled[row], runs, has_check))
    return np.asarray(short_term.covers(sums.n[row], expected_of(sums, row, settings), settings.coverage))


def is_discarded(sums: TermSums, row: int, settings: Settings, covered: Truths) -> Truths:
    """Which terms are lost by malfunction or maintenance."""
    if isinstance(settings.coverage, str):
        return sums.has_run & ~covered
    excused = np.zeros(sums.count, np.int64)
    for number, counts in sums.invalid.items():
        if status.letters_of(status.to_codes(number)) not in settings.lost_letters:
            excused = excused + counts[row]
    expected = expected_of(sums, row, settings)
    lost: Any = short_term.is_discarded(sums.n[row], excused, expected, settings.coverage)
    return np.asarray(lost) & sums.has_run


def mean_of(sums: TermSums, row: int) -> tuple[Values, Truths]:
    """Mean of what counts, and where anything does."""
    has = sums.n[row] > 0
    return np.asarray(np.where(has, sums.total[row] / np.where(has, sums.n[row], 1), 0.0)), has


def _is_check(number: int) -> bool:
    return status.letters_of(status.to_codes(number)) in "CM"
