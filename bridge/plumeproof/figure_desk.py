"""Figures of a period, for faces: made anew from records by the engine, or as the bridge stored them.

Records are read by the time of their slots, a day at a time; longer periods are filled while the days pass, so memory
does not grow with the period. The desk keeps account of what a plant description and the records disagree about: a
channel that no record measures as described is refused, everything else becomes a remark.

    desk = FigureDesk(engine, LedgerStrips(Path("ledger.sqlite"), engine.devices()))
    for figure in desk.figures(("short_term", "day"), (start_utc_ms, end_utc_ms)): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.evidence.strips import NO_UTC, Strip
from plumeproof.ledger_strips import LedgerStrips, Period, Tick
from plumeproof.rules import calendar, long_term
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import Engine, OpenPeriod
from plumeproof.rules.explain import Explanation, explain
from plumeproof.rules.explain_longer import LongExplanation, explain_longer
from plumeproof.rules.figure import FLOW, FLOW_ID, LEVELS, MEASURED, MONTH, ROLLING_30_DAYS, SHORT_TERM, YEAR, Figure
from plumeproof.rules.first_level import Quantity, channels_of

NOT_FINITE = intervals.name_of(decoding.NOT_FINITE)


@dataclass(frozen=True, slots=True)
class Remark:
    """`is_fault`: the data are not what they should be; otherwise something to know."""

    code: str
    sentence: str
    is_fault: bool


@dataclass(slots=True)
class _Fit:
    """Whether records measure a quantity as the plant describes it."""

    fitting: int = 0
    other: int = 0
    sentence: str = ""  # of the first that does not


class Strips(Protocol):
    """Where records come from: ledger_strips.py, array_strips.py. `is_whole`: strips have all channels of a module."""

    is_whole: bool

    def extent(self) -> Period | None:
        """[first, end) of all slots; None where there is none."""

    def of_period(self, start_utc_ms: int, end_utc_ms: int) -> Mapping[str, Sequence[Strip]]:
        """Of each module those that touch [start, end), in seq order."""

    def unused(self) -> Mapping[tuple[str, str], int]:
        """Records with slots that are in no strip, by (module, reason)."""


@dataclass(slots=True)
class _Account:
    """What came up on the way."""

    fits: dict[str, _Fit] = field(default_factory=dict)
    not_finite: dict[str, int] = field(default_factory=dict)  # measurand to slots
    set_back: dict[str, set[int]] = field(default_factory=dict)  # module to seq of records whose time was taken
    last_end: int | None = None  # of a longer period that has not ended in the ledger


class FigureDesk:
    """One plant. One thread. Raises StoreError, RuleError, ConfigError."""

    def __init__(self, engine: Engine, source: Strips) -> None:
        self.engine = engine
        self._source = source
        self._account = _Account()

    def extent(self) -> Period | None:
        """[first, end) of all slots of the plant's modules; None where there is none."""
        return self._source.extent()

    def whole_period(self, levels: Sequence[str], extent: Period) -> Period:
        """The shortest period of whole days, months or years that holds an extent."""
        offset = self.engine.offset_min(self.engine.rule_sets[0])
        around = calendar.day_of
        if MONTH in levels:
            around = calendar.month_of
        if YEAR in levels:
            around = calendar.year_of
        return around(extent[0], offset)[0], around(extent[1] - 1, offset)[1]

    def days_in(self, levels: Sequence[str], period: Period) -> int:
        """How many days `figures` will read: for a progress bar."""
        return len(self._days(levels, period))

    def figures(self, levels: Sequence[str], period: Period, tick: Tick = lambda count: None) -> Iterator[Figure]:
        """Figures of these levels whose periods lie inside [start, end), made from the records; a rolling window where
        the day lies inside that it ends with. In the order in which their periods end. `tick` is told of every day."""
        waiting = self._open_periods(levels, period)
        extent = self.extent()
        self._account.last_end = max((end for _, end, _ in waiting if extent is None or end > extent[1]), default=None)
        for day in self._days(levels, period):
            short = sorted(self._short_terms(day, day + DAY_MS), key=lambda one: (one.start_utc_ms, one.end_utc_ms))
            for one in short:
                if SHORT_TERM in levels and period[0] <= one.start_utc_ms and one.end_utc_ms <= period[1]:
                    yield one
                for (start, end, _), open_period in waiting.items():
                    if start <= one.start_utc_ms and one.end_utc_ms <= end:
                        open_period.add(one)
            for key in [key for key in waiting if key[1] <= day + DAY_MS]:
                yield from waiting.pop(key).figures()
            tick(1)
        for key in list(waiting):
            yield from waiting.pop(key).figures()

    def stored(self, levels: Sequence[str], period: Period, ledger: LedgerStrips) -> Iterator[Figure]:
        """What the bridge wrote for the same periods, every revision, oldest first."""
        wanted = {rules.id for rules in self.engine.rule_sets}
        spans = [(first, end, level) for first, end, level, _ in self._periods(levels, period)]
        if SHORT_TERM in levels:
            days = range(self.engine.floor(period[0]), period[1], DAY_MS)
            spans = [(max(day, period[0]), min(day + DAY_MS, period[1]), SHORT_TERM) for day in days] + spans
        for first, end, level in spans:
            for one in ledger.stored(self.engine.plant.id, level, first, end):
                if one.rule_set in wanted:
                    yield one

    def has_measurand(self, name: str) -> bool:
        """Whether the plant has it; "flow" is one."""
        plant = self.engine.plant
        return name in [one.id for one in plant.measurands] or (name == FLOW_ID and plant.flow is not None)

    def explain(self, name: str, at_utc_ms: int, length_min: int | None = None) -> list[Explanation]:
        """One short term by every rule set that has the measurand in this length."""
        span = max(self.engine.term_lengths_min()) * MINUTE_MS
        start = self.engine.floor(at_utc_ms)
        strips = self._source.of_period(start, start + span)
        self._compare(strips)
        found = []
        for rules in self.engine.rule_sets:
            if length_min is None or length_min in rules.settings.sta_min_of(name) or len(self.engine.rule_sets) == 1:
                found.append(explain(self.engine, rules, strips, name, at_utc_ms, length_min))
        if not found:
            raise RuleError(f"{length_min} min", f"is no length of {name} by any of the rule sets")
        return found

    def explain_longer(
        self, name: str, level: str, at_utc_ms: int, tick: Tick = lambda count: None
    ) -> list[LongExplanation]:
        """The day, month or year that holds an instant, or the window that ends with its day, by every rule set that
        has such figures. Raises RuleError. `tick` is told of every day."""
        around = {YEAR: calendar.year_of, MONTH: calendar.month_of}.get(level, calendar.day_of)
        found = []
        for offset in sorted({self.engine.offset_min(rules) for rules in self.engine.rule_sets}):
            waiting = self.engine.open_period(level, around(at_utc_ms, offset)[0])
            if waiting.period is None:
                continue
            for day in range(*waiting.period, DAY_MS):
                for one in self._short_terms(day, day + DAY_MS):
                    waiting.add(one)
                tick(1)
            for maker, period, builder in waiting.parts():
                found.append(explain_longer(maker, level, period, builder, name))
        if not found:
            names = ", ".join(rules.id for rules in self.engine.rule_sets)
            raise RuleError(f"level {level}", f"is asked for by none of {names}; --rules names another set")
        return found

    def remarks(self) -> list[Remark]:
        """What came up. Raises RuleError where no record of the period measures a channel as the plant describes it."""
        for fit in self._account.fits.values():
            if fit.other and not fit.fitting:
                raise RuleError(f"plant {self.engine.plant.id}", fit.sentence)
        found = [
            Remark("parameters_changed", f"{fit.sentence}; {fit.other} records are counted as parameters_changed", True)
            for fit in self._account.fits.values()
            if fit.other
        ]
        for (device, reason), count in self._source.unused().items():
            told = f"{device}: records with slots that are in no figure: {count} {reason}"
            # Before its first time sync a module has none; that is nobody's fault
            mend = "no time was known yet" if reason == NO_UTC else "see `plumeproof verify`"
            found.append(Remark(reason, f"{told}; {mend}", reason != NO_UTC))
        for name, count in sorted(self._account.not_finite.items()):
            told = f"{name}: {count} slots in which the register held NaN or infinity; they count as invalid"
            found.append(Remark("not_finite", told, False))
        for device, seqs in sorted(self._account.set_back.items()):
            told = f"{device}: time does not go on: {len(seqs)} records, first seq {min(seqs)}, have slots at times"
            found.append(Remark("overlap", f"{told} that earlier ones have; the earlier ones count", True))
        if self._account.last_end is not None:
            told = "the records end before the last day or longer period does: its figures are those of what is there"
            found.append(Remark("provisional", told, False))
        return found

    def _days(self, levels: Sequence[str], period: Period) -> range:
        """Starts of the days to be read."""
        early = long_term.ROLLING_DAYS - 1 if ROLLING_30_DAYS in levels else 0
        return range(self.engine.floor(period[0]) - early * DAY_MS, period[1], DAY_MS)

    def _open_periods(self, levels: Sequence[str], period: Period) -> dict[tuple[int, int, str], OpenPeriod]:
        """By (first, end, level), those that end first in front."""
        return {
            (first, end, level): self.engine.open_period(level, start)
            for first, end, level, start in self._periods(levels, period)
        }

    def _periods(self, levels: Sequence[str], period: Period) -> list[tuple[int, int, str, int]]:
        """(first, end, level, start) of the days and longer that lie inside; `start` names a window's last day."""
        found: set[tuple[int, int, str, int]] = set()
        around = {YEAR: calendar.year_of, MONTH: calendar.month_of}
        for level in levels:
            for offset in {self.engine.offset_min(rules) for rules in self.engine.rule_sets if level != SHORT_TERM}:
                at = period[0]
                while at < period[1]:
                    start, end = around.get(level, calendar.day_of)(at, offset)
                    at = end
                    if start < period[0] or end > period[1]:
                        continue
                    first = end - long_term.ROLLING_DAYS * DAY_MS if level == ROLLING_30_DAYS else start
                    found.add((first, end, level, start))
        return sorted(found, key=lambda one: (one[1], LEVELS.index(one[2]), one[0]))

    def _short_terms(self, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        strips = self._source.of_period(start_utc_ms, end_utc_ms)
        if not any(strips.values()):
            return []
        self._compare(strips)
        found = self.engine.short_term_figures(strips, start_utc_ms, end_utc_ms)
        main = self.engine.rule_sets[0]
        for one in found:
            if one.rule_set == main.id and one.layer in (MEASURED, FLOW):
                if one.end_utc_ms - one.start_utc_ms == main.settings.sta_min * MINUTE_MS:
                    count = dict(one.n_invalid).get(NOT_FINITE, 0)
                    if count:
                        self._account.not_finite[one.measurand] = self._account.not_finite.get(one.measurand, 0) + count
        return found

    def _compare(self, strips: Mapping[str, Sequence[Strip]]) -> None:
        """Does every record measure what the plant says of its channels?"""
        for device, own in strips.items() if self._source.is_whole else ():
            taken = 0
            for strip in own:  # in seq order; less than a slot is a clock that is set a little
                if strip.first_utc_ms + strip.slot_ms <= taken:
                    self._account.set_back.setdefault(device, set()).add(strip.seq)
                taken = max(taken, strip.end_utc_ms)
        for one in channels_of(self.engine.plant):
            fit = self._account.fits.setdefault(f"{one.name} {one.source}", _Fit())
            judged: dict[bytes, str] = {}
            for strip in strips.get(one.source.device, ()):
                digest = strip.parameters.parameters_hash
                if not (self._source.is_whole or intervals.column_of(strip.parameters, one.source.channel) == 0):
                    continue  # the strip of another channel
                if digest not in judged:
                    judged[digest] = _difference(one, strip.parameters)
                if judged[digest]:
                    fit.other += 1
                    fit.sentence = fit.sentence or judged[digest]
                else:
                    fit.fitting += 1


def _difference(one: Quantity, parameters: ParameterSet) -> str:
    """What a parameter set says otherwise than the plant; empty where both agree."""
    name = one.name.lstrip("/")
    column = intervals.column_of(parameters, one.source.channel)
    which = f"parameter set revision {parameters.revision} of {one.source.device}"
    if column is None:
        channels = ", ".join(channel.id for channel in parameters.channels[:20])
        return f"{name}: {which} has no channel {one.source.channel}; it has {channels}"
    unit = parameters.channels[column].unit
    if one.unit and unit != one.unit:
        return f"{name}: {one.source} is in {unit} by {which}, the plant says {one.unit}; put one of them right"
    if parameters.slot_ms != one.slot_ms:
        return f"{name}: slots are {parameters.slot_ms} ms apart by {which}, the plant says {one.slot_ms}; set slot_ms"
    return ""
