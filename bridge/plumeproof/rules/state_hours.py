"""Hours of plant states, and the counters of other than normal operation (averaging-rules 3.3).

Waste incineration with failing abatement: at most 4 h uninterrupted and 60 h in a year (IED Art. 46(6), confidence
0.95); combustion: 24 h, and 120 h in any 12 months (Art. 37, 0.95); the numbers are settings of the rule set. Counted
in short terms of the rule set by the state that the term has; the state is `other` where the plant description says
that abatement fails. A term without a record between two of state `other` is taken to be one as well, for the plant may
not gain by losing its records; it is told apart. The 12 months look back no further than the period that is asked for.

    hours = StateHours(rules, period, offset_min); hours.add(figure) ...; hours.judgements(year)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from plumeproof.rules import calendar
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import SHORT_TERM, Figure
from plumeproof.rules.judgement import EXCEEDED, KEPT, NOT_JUDGED, PLANT, STATED, STATES, Case, Judgement
from plumeproof.rules.plant_state import NAMES, OTHER, exceeds_hours, state_of, uninterrupted, window_begins, within
from plumeproof.rules.rule_set import RuleSet

UNKNOWN = 255
WINDOWS = {"calendar_year": "calendar year", "12_months": "any 12 months"}


class StateHours:
    """Of one plant by one rule set over [start, end), whole days of the rule set's clock."""

    def __init__(self, rules: RuleSet, period_utc_ms: tuple[int, int], offset_min: int) -> None:
        self._rules, self._offset_min = rules, offset_min
        self._start, self._end = period_utc_ms
        self._length_ms = rules.settings.sta_min * MINUTE_MS
        self._states = np.full((self._end - self._start) // self._length_ms, UNKNOWN, np.uint8)

    def add(self, one: Figure) -> None:
        """A short-term figure of the rule set; one of another length, or outside, is left out."""
        is_inside = self._start <= one.start_utc_ms and one.end_utc_ms <= self._end
        if one.level == SHORT_TERM and one.end_utc_ms - one.start_utc_ms == self._length_ms and is_inside:
            self._states[(one.start_utc_ms - self._start) // self._length_ms] = state_of(one.state)

    def judgements(self, year_utc_ms: tuple[int, int], until_utc_ms: int, is_whole: bool) -> Iterator[Judgement]:
        """Hours of each state in the year, of terms that have ended by `until_utc_ms`, and the counters of `other`."""
        first, end = (
            (at - self._start) // self._length_ms
            for at in self._clip((year_utc_ms[0], min(year_utc_ms[1], until_utc_ms)))
        )
        seen = np.flatnonzero(self._states[first:end] != UNKNOWN)
        if not seen.size:
            return
        first, end = first + int(seen[0]), first + int(seen[-1]) + 1
        year = calendar.year_number(year_utc_ms[0], self._offset_min)
        span = (self._start + first * self._length_ms, self._start + end * self._length_ms)
        own = self._states[first:end]
        make = partial(
            Judgement, rule_set=self._rules.id, subject=PLANT, year=year, start_utc_ms=span[0], end_utc_ms=span[1],
            is_whole=is_whole, about=STATES, averages=f"{self._rules.settings.sta_min} min", unit="h",
        )  # fmt: skip
        for code, name in (*enumerate(NAMES), (UNKNOWN, "no record")):
            hours = self._hours(int(np.count_nonzero(own == code)))
            if hours or code != UNKNOWN:
                yield make(
                    requirement=0, test=name, limit="", verdict=STATED, is_met=None, compared=hours,
                    compared_text=f"{hours:g}",
                )  # fmt: skip
        yield from self._counters(first, end, make)

    def _clip(self, period: tuple[int, int]) -> tuple[int, int]:
        return max(period[0], self._start), min(period[1], self._end)

    def _hours(self, steps: int) -> float:
        return steps * self._rules.settings.sta_min / 60.0

    def _counters(self, first: int, end: int, make: Callable[..., Judgement]) -> Iterator[Judgement]:
        settings = self._rules.settings
        is_on, assumed = self._failing()
        starts = self._start + np.arange(self._states.size, dtype=np.int64) * self._length_ms
        runs = uninterrupted(is_on)[first:end]
        begins = window_begins(starts, settings.otnoc_window, self._offset_min)
        windows = within(is_on, begins)[first:end]
        n_assumed = int(np.count_nonzero(assumed[first:end]))
        told = f"{self._hours(n_assumed):g} h of it without a record, between two of this state" if n_assumed else ""
        for number, (name, steps, limit_h) in enumerate(
            (
                ("other, uninterrupted", runs, settings.otnoc_uninterrupted_h),
                (f"other, {WINDOWS[settings.otnoc_window]}", windows, settings.otnoc_window_h),
            ),
            1,
        ):
            at = int(steps.argmax())
            hours = self._hours(int(steps[at]))
            verdict, reason = NOT_JUDGED, "the rule set sets no limit"
            if limit_h is not None:
                is_over = bool(exceeds_hours(int(steps[at]), settings.sta_min * 60, limit_h))
                verdict, reason = EXCEEDED if is_over else KEPT, told
            when = int(starts[first + at]) + self._length_ms
            length = int(steps[at]) * self._length_ms if steps is runs else when - int(starts[begins[first + at]])
            yield make(
                requirement=number, test=name, limit="" if limit_h is None else str(limit_h),
                verdict=verdict, is_met=None if limit_h is None else verdict == KEPT, compared=hours,
                compared_text=f"{hours:g}", at=Case(when - length, when, hours) if steps[at] else None,
                reason=reason,
            )  # fmt: skip

    def _failing(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Where the state is `other`, and where that is assumed."""
        known = np.where(self._states != UNKNOWN, np.arange(1, self._states.size + 1), 0)
        before = np.maximum.accumulate(known)
        backward = np.where(self._states != UNKNOWN, np.arange(self._states.size), self._states.size)
        behind = np.minimum.accumulate(backward[::-1])[::-1]
        padded = np.concatenate((self._states, [UNKNOWN]))
        is_between = (padded[before - 1] == OTHER) & (padded[behind] == OTHER)
        assumed = (self._states == UNKNOWN) & is_between
        return (self._states == OTHER) | assumed, assumed
