"""The averaging engine: strips of records in, figures out, by the rule sets of a plant. Nothing is kept between calls.

A short-term figure follows from the records on its term, the plant description and the rule set; a long-term figure
from the short-term figures of its period. So the live bridge, which makes what was touched, and a bulk run, which makes
everything, have the same bits by construction, whatever the portions, their order, or the number of threads.

    engine = Engine(plant, [load_rule_set(name) for name in plant.rule_sets])
    short = engine.short_term_figures(strips_by_device, start_utc_ms, end_utc_ms)
    days = engine.long_term_figures(DAY, start_utc_ms, short)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from plumeproof.errors import RuleError
from plumeproof.evidence.strips import Strip
from plumeproof.rules import each_slot, long_terms, term_figures, term_sums
from plumeproof.rules.calendar import MINUTE_MS, floor_to
from plumeproof.rules.figure import Figure, FigureDocument
from plumeproof.rules.figure_maker import FigureMaker
from plumeproof.rules.figure_records import Records
from plumeproof.rules.first_level import RangeRule, lay_out
from plumeproof.rules.minutes import Minutes, sum_minutes
from plumeproof.rules.plant import Plant
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.short_terms import short_terms
from plumeproof.rules.term_figures import TermFigures
from plumeproof.rules.term_series import SeriesBuilder


class Engine:
    """`plant` by `rule_sets`; the figures of all of them come together. Raises RuleError for what does not fit."""

    def __init__(self, plant: Plant, rule_sets: Sequence[RuleSet]) -> None:
        self.plant = plant
        self.rule_sets = tuple(rule_sets)
        _refuse(plant, self.rule_sets)
        self._makers = {rules.id: FigureMaker(plant, rules) for rules in self.rule_sets}

    def documents(self) -> tuple[FigureDocument, ...]:
        """The plant description and the rule sets that figures name by hash."""
        found = {one.digest: one for maker in self._makers.values() for one in maker.documents()}
        return tuple(found.values())

    def devices(self) -> tuple[str, ...]:
        """The modules whose records are needed."""
        return tuple(sorted({source.device for source in self.plant.sources()}))

    def term_lengths_min(self) -> tuple[int, ...]:
        """Lengths of all short terms of all rule sets."""
        lengths = {
            length
            for rules in self.rule_sets
            for one in self.plant.measurands
            for length in rules.settings.sta_min_of(one.id)
        }
        return tuple(sorted(lengths))

    def offset_min(self, rules: RuleSet) -> int:
        """Minutes east of UTC on whose clock a rule set's periods lie."""
        return rules.settings.utc_offset_min(self.plant.utc_offset_min)

    def floor(self, utc_ms: int) -> int:
        """The latest instant at or before this one at which terms of every length and rule set begin."""
        return floor_to(utc_ms, max(self.term_lengths_min()), self.offset_min(self.rule_sets[0]))

    def short_term_figures(
        self, strips: Mapping[str, Sequence[Strip]], start_utc_ms: int, end_utc_ms: int, reason: str = ""
    ) -> list[Figure]:
        """Figures of every whole short term inside [start, end). `strips`: of each device in seq order, at least those
        that touch the period. A term in which no record has a slot has no figure. Raises RuleError."""
        columns = self.short_term_columns(strips, start_utc_ms, end_utc_ms, reason)
        return [one for found in columns for one in found]

    def short_term_columns(
        self, strips: Mapping[str, Sequence[Strip]], start_utc_ms: int, end_utc_ms: int, reason: str = ""
    ) -> list[TermFigures]:
        """The same by rule set and length of terms, for whoever needs no figure by itself. Raises RuleError."""
        found: list[TermFigures] = []
        minutes: dict[tuple[RangeRule, str, int, int], Minutes] = {}
        records = Records(strips)
        for rules in self.rule_sets:
            for length_min in sorted({x for one in self.plant.measurands for x in rules.settings.sta_min_of(one.id)}):
                length_ms, offset = length_min * MINUTE_MS, self.offset_min(rules)
                first = floor_to(start_utc_ms + length_ms - 1, length_min, offset)
                end = floor_to(end_utc_ms, length_min, offset)
                if end <= first:
                    continue
                by_slot = rules.id if rules.settings.standardise_at == "FLD" else ""
                key = (RangeRule.of(rules.settings), by_slot, first, end)
                if key not in minutes:
                    minutes[key] = minutes_of(self.plant, rules, strips, first, (end - first) // MINUTE_MS)
                sums = term_sums.merge(minutes[key], length_min, rules.settings.state_rule)
                terms = short_terms(self.plant, rules, sums)
                inputs = records.of_terms(first, length_ms, sums.count)
                found.append(term_figures.figures_of(self._makers[rules.id], terms, inputs, reason))
        return found

    def long_term_figures(
        self, level: str, start_utc_ms: int, short: Iterable[Figure], reason: str = ""
    ) -> list[Figure]:  # fmt: skip
        """Figures of the day, month or year that begins at `start_utc_ms` (local midnight of the rule set), from the
        short-term figures of it, which are taken one by one. ROLLING_30_DAYS: the window that ends with the day.

        Only rule sets on whose clock a period begins there have one. Raises RuleError (unknown level).
        """
        open_period = self.open_period(level, start_utc_ms)
        for one in short:
            open_period.add(one)
        return open_period.figures(reason)

    def open_period(self, level: str, start_utc_ms: int) -> OpenPeriod:
        """As `long_term_figures`, for a caller that passes each short-term figure once to many periods."""
        return self.open_periods(level, (start_utc_ms,))

    def open_periods(self, level: str, starts_utc_ms: Sequence[int]) -> OpenPeriod:
        """Several periods of a level near each other at once: each short-term figure is taken once, and windows that
        overlap share their arrays. Raises RuleError (unknown level)."""
        builders: dict[str, tuple[list[long_terms.Period], SeriesBuilder]] = {}
        for rules in self.rule_sets:
            offset_min = self.offset_min(rules)
            found = [long_terms.period_of(level, start, offset_min) for start in starts_utc_ms]
            periods = [period for period in found if period is not None]
            if periods and long_terms.has_level(self._makers[rules.id], level):
                whole = min(first for first, _ in periods), max(end for _, end in periods)
                builders[rules.id] = (periods, SeriesBuilder(whole, self.plant, rules.settings))
        return OpenPeriod(level, builders, self._makers)


class OpenPeriod:
    """A day, month, year or window that is being filled, or several of them; holds arrays, not figures. `period`: what
    its figures may lie in, None where no rule set has such a period."""

    def __init__(
        self,
        level: str,
        builders: dict[str, tuple[list[long_terms.Period], SeriesBuilder]],
        makers: dict[str, FigureMaker],
    ) -> None:
        self._level, self._builders, self._makers = level, builders, makers
        known = [period for periods, _ in builders.values() for period in periods]
        self.period = (min(first for first, _ in known), max(end for _, end in known)) if known else None

    def add(self, one: Figure) -> None:
        """A short-term figure; one that does not belong here is left out."""
        if one.rule_set in self._builders:
            self._builders[one.rule_set][1].add(one)

    def take(self, found: TermFigures) -> None:
        """Many short-term figures at once; those that do not belong here are left out."""
        if found.maker.rules.id in self._builders:
            self._builders[found.maker.rules.id][1].take(found)

    def parts(self) -> Iterator[tuple[FigureMaker, long_terms.Period, SeriesBuilder]]:
        """Of each rule set and period what it was filled with: for whoever explains the figures."""
        for name, (periods, builder) in self._builders.items():
            for period in periods:
                yield self._makers[name], period, builder.part(*period)

    def figures_of(self, level: str, start_utc_ms: int, reason: str = "") -> list[Figure]:
        """Those of any level whose period begins here, as far as it lies in what is filled."""
        found: list[Figure] = []
        for name, (periods, builder) in self._builders.items():
            maker = self._makers[name]
            offset_min = maker.rules.settings.utc_offset_min(maker.plant.utc_offset_min)
            period = long_terms.period_of(level, start_utc_ms, offset_min)
            if period is None or not long_terms.has_level(maker, level):
                continue
            if min(first for first, _ in periods) <= period[0] and period[1] <= max(end for _, end in periods):
                found += long_terms.figures(maker, level, period, builder.part(*period), reason)
        return found

    def figures(self, reason: str = "") -> list[Figure]:
        """What was filled so far makes these."""
        found: list[Figure] = []
        for maker, period, builder in self.parts():
            found += long_terms.figures(maker, self._level, period, builder, reason)
        return found


def minutes_of(
    plant: Plant, rules: RuleSet, strips: Mapping[str, Sequence[Strip]], start_utc_ms: int, count: int
) -> Minutes:
    """What short terms of a rule set are merged from."""
    rows = lay_out(plant, strips, start_utc_ms, count, RangeRule.of(rules.settings))
    minutes = sum_minutes(rows, start_utc_ms)
    return each_slot.add(minutes, rows, plant, rules.settings) if rules.settings.standardise_at == "FLD" else minutes


def _refuse(plant: Plant, rule_sets: Sequence[RuleSet]) -> None:
    if not rule_sets:
        raise RuleError(f"plant {plant.id}", "has no rule set; name one in rule_sets")
    for one in plant.measurands:
        if one.greenhouse_gas is not None and "O2" in one.needs:
            mend = "its mass is concentration times flow at the oxygen as measured; take O2 out of needs"
            raise RuleError(f"measurand {one.id}", f"is a greenhouse gas: {mend}")
    clocks = {rules.id: rules.settings.utc_offset_min(plant.utc_offset_min) % 60 for rules in rule_sets}
    if len(set(clocks.values())) > 1:
        told = ", ".join(f"{name} at :{minute:02}" for name, minute in clocks.items())
        raise RuleError(
            f"plant {plant.id}", f"has rule sets whose hours begin apart ({told}); describe it once for each"
        )
