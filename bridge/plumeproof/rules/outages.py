"""How long a greenhouse gas was not measured at a stretch: more than 5 days are reported ((EU) 2018/2066 Art. 45(1)).

Counted are hours of the rule set's short terms in which the plant was not stopped and no average counts, those without
any record among them, within a calendar year (DK 0.9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import MEASURED, SHORT_TERM, Figure
from plumeproof.rules.greenhouse import OUTAGE_NOTICE_H, is_outage_notifiable
from plumeproof.rules.judgement import EXCEEDED, KEPT, OUTAGE, Case, Judgement
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.series import find_runs


class Outages:
    """Of the measurands of one plant by one rule set over [start, end), whole days of the rule set's clock."""

    def __init__(self, rules: RuleSet, measurands: Sequence[str], period_utc_ms: tuple[int, int]) -> None:
        self._start, end = period_utc_ms
        self._length_ms = rules.settings.sta_min * MINUTE_MS
        self._per_hour = 60 // rules.settings.sta_min
        self._layout = f"{rules.settings.sta_min} min"
        count = (end - self._start) // self._length_ms
        self._fine: dict[str, npt.NDArray[np.bool_]] = {name: np.zeros(count, np.bool_) for name in measurands}

    def add(self, one: Figure) -> None:
        """A short-term figure of the rule set; one of another length, layer or measurand is left out."""
        fine = self._fine.get(one.measurand)
        if fine is None or one.level != SHORT_TERM or one.layer != MEASURED:
            return
        place = (one.start_utc_ms - self._start) // self._length_ms
        if one.end_utc_ms - one.start_utc_ms == self._length_ms and 0 <= place < fine.size:
            fine[place] = one.is_valid or one.state == "stopped"

    def judgement(
        self, measurand: str, seen_utc_ms: tuple[int, int], make: Callable[..., Judgement]
    ) -> Iterator[Judgement]:  # fmt: skip
        """The longest of what was seen of a year."""
        fine = self._fine.get(measurand)
        if fine is None:
            return
        first, end = (max(0, (at - self._start) // self._length_ms) for at in seen_utc_ms)
        runs = find_runs(~fine[first:end])
        begin, stop = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
        hours = (stop - begin) / self._per_hour
        is_long = is_outage_notifiable(hours)
        at = self._start + (first + begin) * self._length_ms
        yield make(
            subject=measurand, about=OUTAGE, requirement=0, test="longest time without a valid average",
            averages=self._layout, unit="h", limit=str(OUTAGE_NOTICE_H), verdict=EXCEEDED if is_long else KEPT,
            is_met=not is_long, compared=hours, compared_text=f"{hours:g}",
            at=Case(at, at + (stop - begin) * self._length_ms, hours) if hours else None,
            reason="longer: inform the authority (Art. 45(1))" if is_long else "",
        )  # fmt: skip
