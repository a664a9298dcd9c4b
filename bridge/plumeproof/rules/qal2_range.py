"""Surveillance of the valid calibration range, week by week (EN 14181:2014 clause 6.5 with MEL-16 [S11]).

A week is Monday 00:00 to Sunday 24:00 at the site's fixed offset (DK 0.85). Counted are valid standardised short-term
averages, those outside the range among them. A new QAL2 is due within 6 months (DK 0.85) when more than 5 % lie outside
in more than 5 weeks since the last QAL2 or AST, consecutive or not, or more than 40 % in any one week. Shares are
compared in whole numbers. Values outside the range stay valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Integers
from plumeproof.rules.qal2 import ValidRange
from plumeproof.rules.series import as_mask, as_series, refuse_not_finite, refuse_other_lengths

WEEK_MS = 7 * 86_400_000
THURSDAY_MS = 3 * 86_400_000  # 1970-01-01 was one: days since Monday
OFTEN_PCT = 5
OFTEN_WEEKS = 5
ONCE_PCT = 40


@dataclass(frozen=True, slots=True)
class Week:
    """Counts of one week; `start_utc_ms`: its Monday 00:00 at the site."""

    start_utc_ms: int
    n_valid: int
    n_outside: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_outside <= self.n_valid:
            raise RuleError("week", f"{self.n_outside} of {self.n_valid} outside cannot be")

    @property
    def is_over_5(self) -> bool:
        return self.n_outside * 100 > self.n_valid * OFTEN_PCT

    @property
    def is_over_40(self) -> bool:
        return self.n_outside * 100 > self.n_valid * ONCE_PCT

    @property
    def pct(self) -> float:
        """For display; 0 of an empty week."""
        return 100.0 * self.n_outside / self.n_valid if self.n_valid else 0.0


@dataclass(frozen=True, slots=True)
class Surveillance:
    """Weeks since the last QAL2 or AST. `due_since_utc_ms`: end of the week that made a new QAL2 due, None if none."""

    weeks: tuple[Week, ...]
    weeks_over_5: int
    weeks_over_40: int
    due_since_utc_ms: int | None

    @property
    def is_qal2_due(self) -> bool:
        return self.due_since_utc_ms is not None


def week_start_utc_ms(utc_ms: npt.ArrayLike, utc_offset_min: int) -> Integers:
    """Monday 00:00 at the site, of each instant."""
    shift = utc_offset_min * 60_000 + THURSDAY_MS
    times = np.asarray(utc_ms)
    if times.dtype.kind not in "iu":
        raise RuleError("utc_ms", "are no whole milliseconds")
    return np.asarray((times.astype(np.int64) + shift) // WEEK_MS * WEEK_MS - shift, np.int64)


def count_weeks(
    start_utc_ms: npt.ArrayLike,
    standardised: npt.ArrayLike,
    valid: npt.ArrayLike,
    valid_range: ValidRange,
    utc_offset_min: int,
) -> tuple[Week, ...]:
    """Every week in which a short-term average begins, in time order; one without valid averages has zeros.

    `start_utc_ms` need not be sorted; the same instant twice is refused. Raises RuleError.
    """
    values, mask = as_series(standardised, "standardised"), as_mask(valid, "valid")
    times = np.asarray(start_utc_ms)
    refuse_other_lengths(values, valid=mask, start_utc_ms=times)
    refuse_not_finite(values, mask, "standardised")
    if values.size == 0:
        return ()
    if np.unique(times).size != times.size:
        raise RuleError("start_utc_ms", "an average is there twice; give the last revision of each")
    starts, place = np.unique(week_start_utc_ms(times, utc_offset_min), return_inverse=True)
    inside = valid_range.holds(np.where(mask, values, valid_range.lower))
    n_valid = np.bincount(place[mask], minlength=starts.size)
    n_outside = np.bincount(place[mask & ~np.asarray(inside)], minlength=starts.size)
    return tuple(
        Week(int(start), int(every), int(some)) for start, every, some in zip(starts, n_valid, n_outside, strict=True)
    )


def survey_weeks(weeks: Sequence[Week]) -> Surveillance:
    """Judges the weeks since the last QAL2 or AST; those before it are left out by the caller. Raises RuleError."""
    often = once = 0
    due: int | None = None
    for earlier, later in zip(weeks, weeks[1:], strict=False):
        if earlier.start_utc_ms >= later.start_utc_ms:
            raise RuleError("weeks", "are not in time order, or one is there twice")
    for week in weeks:
        often += week.is_over_5
        once += week.is_over_40
        if due is None and (often > OFTEN_WEEKS or once):
            due = week.start_utc_ms + WEEK_MS
    return Surveillance(tuple(weeks), often, once, due)
