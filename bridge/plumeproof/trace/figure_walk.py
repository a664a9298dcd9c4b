"""From a figure to one of its short terms: computed again from the signed records, compared bit for bit, explained.

Plant description and rule set are the documents whose hashes the figure names, so that nothing but the ledger is
needed. Which hour is gone on with is the caller's choice, or the first that counts as measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plumeproof.errors import ConfigError, RuleError
from plumeproof.evidence.strips import Strip
from plumeproof.figure_files import local_time
from plumeproof.figure_ids import id_of_figure
from plumeproof.rules import annual
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import Engine, OpenPeriod
from plumeproof.rules.explain import Explanation, explain
from plumeproof.rules.explain_longer import explain_longer
from plumeproof.rules.figure import (
    CO2E,
    ENGINE_VERSION,
    FLOW_ID,
    LEVELS,
    MASS,
    SHORT_TERM,
    STANDARDISED,
    SUBSTITUTED,
    VALIDATED,
    Figure,
)  # fmt: skip
from plumeproof.rules.figure_maker import FigureMaker
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import open_resolved
from plumeproof.rules.term_series import SeriesBuilder, TermSeries
from plumeproof.store.figures import CONTENT_NAMES, content_of
from plumeproof.trace.source import Source
from plumeproof.trace.stage import Grid, Stage, Trace

Tick = Callable[[int], object]
NO_RECORD = "no record"
COUNTED = ("measured", "counts")  # roles of terms whose own value is in the figure
SHOWN = (VALIDATED, STANDARDISED, MASS)  # of a term, the first that a measurand has


@dataclass(frozen=True, slots=True)
class Term:
    """One short term of a longer figure. `role`: what it is to the figure. `has_record`: a record has a slot in it."""

    start_utc_ms: int
    role: str
    value: float | None
    has_record: bool


class FigureWalk:
    """One figure, which `source` has stored. Raises StoreError, RuleError, ConfigError."""

    def __init__(self, source: Source, figure: Figure, trace: Trace, tick: Tick = lambda count: None) -> None:
        self._source, self._figure, self._trace, self._tick = source, figure, trace, tick
        self.engine = self._engine()
        self.rules = self.engine.rule_sets[0]
        self.offset_min = self.engine.offset_min(self.rules)

    def days(self) -> int:
        """How many days will be read: for a progress bar."""
        return max(1, (self._figure.end_utc_ms - self._figure.start_utc_ms) // DAY_MS)

    def walk(self, hour_utc_ms: int | None) -> Explanation:
        """Stages figure, explanation, terms, term. Raises ConfigError for an hour that is not in the figure."""
        figure = self._figure
        if figure.level == SHORT_TERM:
            start = figure.start_utc_ms
        else:
            start = self._longer(hour_utc_ms)
        return self._term(start, (figure.end_utc_ms - start) // MINUTE_MS if figure.level == SHORT_TERM else None)

    def _engine(self) -> Engine:
        figure = self._figure
        plant = self._document(figure.plant_hash, f"plant description of {figure.plant}")
        rules = self._document(figure.rule_hash, f"rule set {figure.rule_set}")
        found = parse_plant(json.loads(plant), Path(f"{figure.plant}.json"))
        return Engine(found, [open_resolved(rules, f"rule set {figure.rule_set}")])

    def _document(self, digest: bytes, what: str) -> bytes:
        raw = self._source.document(digest)
        if raw is None or hashlib.sha256(raw).digest() != digest:
            state = "is not there" if raw is None else "has another SHA-256 than the figure names"
            raise RuleError(self._source.where, f"{what}, {digest.hex()}: {state}; nothing can be computed again")
        return raw

    def _stage(self, again: Sequence[Figure]) -> None:
        """The figure, and whether the records make it again."""
        one, stage = self._figure, self._trace.add("figure", "The declared figure")
        stage.facts += [
            ("id", self._trace.id),
            ("value", "none" if one.value is None else f"{one.value!r} {one.unit}"),
            ("period", " to ".join(local_time(at, self.offset_min) for at in (one.start_utc_ms, one.end_utc_ms))),
            ("counts by the rule set", one.is_valid),
            ("flags", ", ".join(one.flags) or "none"),
            ("averages or slots", f"{one.n_valid} of {one.n_expected}; {_counts(one.n_invalid)}"),
            ("substituted share", one.substituted_share),
            ("expanded uncertainty, k = 2", one.uncertainty),
            ("rule set", f"{self.rules.id} {self.rules.version} [{self.rules.status}] {self.rules.title}"),
            ("SHA-256 of the rule set", one.rule_hash.hex()),
            ("SHA-256 of the plant description", one.plant_hash.hex()),
            ("revision", f"{one.revision} ({one.reason})"),
        ]  # fmt: skip
        for own in one.inputs:
            told = f"seq {own.first_seq} to {own.last_seq}, last record {own.head_hash.hex()}"
            stage.facts.append((f"rests on {own.device}", told))
        stage.check(True, "plant description and rule set have the hashes that the figure names")
        if one.engine != ENGINE_VERSION:
            stage.check(False, f"made by engine {one.engine}; this release has {ENGINE_VERSION} and cannot repeat it")
            return
        found = next((other for other in again if other.place == one.place), None)
        if found is None:
            stage.check(False, "no signed record makes this figure")
            return
        pairs = zip(CONTENT_NAMES, content_of(found), content_of(one), strict=True)
        wrong = [(name, made, said) for name, made, said in pairs if made != said]
        newest = self._source.revisions(one)[-1]
        if wrong and newest.revision > one.revision:
            stage.facts.append(("newer revision", f"{id_of_figure(newest)}: {newest.value!r} ({newest.reason})"))
            stage.check(False, "an older revision: it rested on fewer records than there are now; trace the newest")
            return
        told = "; ".join(f"{name} is {str(said)[:60]}, the records make {str(made)[:60]}" for name, made, said in wrong)
        stage.check(not wrong, "computed again from the records: every field is equal, bit for bit", told[:400])

    # A day and longer

    def _longer(self, hour_utc_ms: int | None) -> int:
        one = self._figure
        waiting = self.engine.open_period(one.level, self._first_day())
        terms: dict[int, list[Figure]] = {}
        for day in range(one.start_utc_ms, one.end_utc_ms, DAY_MS):
            strips = self._source.of_period(self.engine.devices(), day, day + DAY_MS)
            for term in self.engine.short_term_figures(strips, day, day + DAY_MS):
                waiting.add(term)
                if term.measurand == one.measurand:
                    terms.setdefault(term.start_utc_ms, []).append(term)
            self._tick(1)
        self._stage(waiting.figures())
        for (device, seq), why in sorted(self._source.faults.items()):
            self._trace.stages[-1].check(False, f"{device} seq {seq}: {why}")
        self._explain(waiting)
        return self._pick(self._terms(waiting, terms), hour_utc_ms)

    def _first_day(self) -> int:
        """How an open period names this one: a window by its last day."""
        is_window = self._figure.level == LEVELS[2]
        return self._figure.end_utc_ms - DAY_MS if is_window else self._figure.start_utc_ms

    def _explain(self, waiting: OpenPeriod) -> None:
        one = self._figure
        for maker, period, builder in waiting.parts():
            found = explain_longer(maker, one.level, period, builder, one.measurand)
            stage = self._trace.add("explanation", f"How {one.measurand} of this {one.level} is made")
            stage.steps += found.steps
            for table in found.tables:
                rows = [(local_time(row.start_utc_ms, self.offset_min), row.value, row.remark) for row in table.rows]
                stage.grids.append(Grid(table.title, ("begin", table.unit, "remark"), rows))

    def _terms(self, waiting: OpenPeriod, terms: dict[int, list[Figure]]) -> list[Term]:
        """The short terms that the figure rests on, listed with what each is to it."""
        one = self._figure
        maker, _, builder = next(waiting.parts())
        roles, values, unit = _roles(maker, builder, one)
        length_ms = self.rules.settings.sta_min * MINUTE_MS
        found, rows = [], []
        seen = [place for place, role in enumerate(roles) if role != NO_RECORD]
        for place in range(seen[0], seen[-1] + 1) if seen else ():  # before and behind there is nothing to list
            start, role = one.start_utc_ms + place * length_ms, roles[place]
            own = _shown(terms.get(start, ()))
            found.append(Term(start, role, values[place], start in terms))
            told = ", ".join(own.flags) if own is not None else ""
            own_value = None if own is None else own.value
            rows.append((local_time(start, self.offset_min), role, values[place], own_value,
                         "" if own is None else f"{own.layer} {own.unit}", told))  # fmt: skip
        count = {role: roles.count(role) for role in dict.fromkeys(roles)}
        stage = self._trace.add("terms", f"The {self.rules.settings.sta_min}-minute averages that it rests on")
        stage.facts += list(count.items())
        columns = ("begin", "is", f"in the figure, {unit}", "own value", "of", "flags")
        stage.grids.append(Grid("averages", columns, rows))
        if one.layer in (SUBSTITUTED, CO2E):
            stated = (one.n_valid, dict(one.n_invalid).get("substituted", 0))
            counted = (count.get("measured", 0), count.get("substituted", 0))
            told = f"{stated[0]} measured and {stated[1]} substituted, as the figure counts them"
            stage.check(stated == counted, told, f"not {told}")
        else:
            seen_n = count.get("counts", 0)
            stage.check(one.n_valid == seen_n, f"{seen_n} count, as the figure says", f"{seen_n}, not {one.n_valid}")
        return found

    def _pick(self, terms: list[Term], hour_utc_ms: int | None) -> int:
        length_ms = self.rules.settings.sta_min * MINUTE_MS
        if hour_utc_ms is not None:
            at = [number for number, term in enumerate(terms) if 0 <= hour_utc_ms - term.start_utc_ms < length_ms]
            if not at:
                raise ConfigError("--hour", "lies outside the figure's period, or where it has no record")
            place = at[0]
        else:
            counted = [number for number, term in enumerate(terms) if term.role in COUNTED]
            seen = counted or [number for number, term in enumerate(terms) if term.has_record]
            if not seen:
                raise RuleError(self._trace.id, "no record has a slot in its period any more")
            place = seen[0]
        stage = self._trace.stages[-1]
        grid = stage.grids[0]
        stage.grids[0] = Grid(grid.title, grid.columns, grid.rows, place)
        return terms[place].start_utc_ms

    # One short term

    def _term(self, start: int, length_min: int | None) -> Explanation:
        one, length = self._figure, length_min or self.rules.settings.sta_min
        end = start + length * MINUTE_MS
        strips = self._source.of_period(self.engine.devices(), start, end)
        if one.level == SHORT_TERM:
            self._stage(self._again(strips, start, end))
        found = explain(self.engine, self.rules, strips, one.measurand, start, length)
        begin = local_time(start, self.offset_min)
        stage = self._trace.add("term", f"{one.measurand}: the {length}-minute average from {begin}")
        stage.facts.append(("plant state", found.state))
        for own in found.figures[0].inputs:
            told = f"seq {own.first_seq} to {own.last_seq}, last record {own.head_hash.hex()}"
            stage.facts.append((f"rests on {own.device}", told))
        stage.steps += found.steps
        rows = [(local_time(at, self.offset_min), n, total) for at, n, total in found.minutes]
        stage.grids.append(Grid("minutes of calibrated values", ("begin", "valid slots", "sum"), rows))
        self._compare_term(stage, found)
        return found

    def _again(self, strips: dict[str, list[Strip]], start: int, end: int) -> list[Figure]:
        return self.engine.short_term_figures(strips, start, end)

    def _compare_term(self, stage: Stage, found: Explanation) -> None:
        own = self._figure
        stored = {
            one.layer: one
            for one in self._source.figures_at(own.plant, SHORT_TERM, found.start_utc_ms, found.end_utc_ms)
            if (one.measurand, one.rule_set, one.rule_hash, one.plant_hash)
            == (own.measurand, own.rule_set, own.rule_hash, own.plant_hash)
        }
        for one in found.figures:
            value = "none" if one.value is None else f"{one.value!r} {one.unit}"
            told = ", ".join(("valid" if one.is_valid else "not valid", *one.flags))
            stage.facts.append((one.layer, f"{value} ({told})"))
            if one.layer in stored:
                same = content_of(one) == content_of(stored[one.layer])
                name = id_of_figure(stored[one.layer])
                stage.check(same, f"{name} as stored is equal, bit for bit", f"{name} as stored is another")


def _roles(maker: FigureMaker, builder: SeriesBuilder, one: Figure) -> tuple[list[str], list[float | None], str]:
    """Of every short term of the period what it is to the figure, and the number that went into it; its unit."""
    series = builder.series()
    if one.layer in (SUBSTITUTED, CO2E):
        settings = maker.rules.settings
        offset = settings.utc_offset_min(maker.plant.utc_offset_min)
        measurand = next(own for own in maker.plant.measurands if own.id == one.measurand)
        hours = annual.fill(maker.plant, measurand, series, settings, offset)
        if hours is not None:
            words = [NO_RECORD, "stopped", "without figure", "substituted", "measured"]
            has_record = series[one.measurand, MASS].has_figure
            code = np.where(hours.has_run, 2 + hours.has * (1 + ~hours.is_substituted), has_record)
            numbers = [float(own) if ok else None for own, ok in zip(hours.mass_kg_h, hours.has, strict=True)]
            return [words[number] for number in code.tolist()], numbers, "kg/h"
    own = series.get((one.measurand, one.layer))
    if own is None:
        return [], [], one.unit
    own = own if one.layer == MASS else own.only_compared()
    return (
        [_role(own, place) for place in range(own.count)],
        [float(value) if ok else None for value, ok in zip(own.values, own.is_valid, strict=True)],
        own.unit,
    )


def _role(own: TermSeries, place: int) -> str:
    if not own.has_figure[place]:
        return NO_RECORD
    if not own.has_run[place]:
        return "stopped"
    if own.is_valid[place]:
        return "counts"
    return "lost" if own.is_discarded[place] else "does not count"


def _shown(figures: Sequence[Figure]) -> Figure | None:
    by_layer = {one.layer: one for one in figures}
    return next((by_layer[layer] for layer in (*SHOWN, *by_layer) if layer in by_layer), None)


def _counts(counts: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in counts) or "none left out"


def clock_of(source: Source) -> Callable[[Figure], int]:
    """Minutes east of UTC of the clock on which a figure's periods lie, by its own documents; 0 where they are gone."""
    known: dict[tuple[bytes, bytes], int] = {}

    def offset_of(one: Figure) -> int:
        key = (one.plant_hash, one.rule_hash)
        if key not in known:
            plant, rules = source.document(one.plant_hash), source.document(one.rule_hash)
            known[key] = 0
            if plant is not None and rules is not None:
                found = parse_plant(json.loads(plant), Path(f"{one.plant}.json"))
                settings = open_resolved(rules, f"rule set {one.rule_set}").settings
                known[key] = settings.utc_offset_min(found.utc_offset_min)
        return known[key]

    return offset_of


def channel_name(engine: Engine, measurand: str, asked: str | None) -> str:
    """Name of the quantity (first_level.quantities_of) whose channel is gone down to. Raises ConfigError."""
    name = asked or measurand
    known = [one.id for one in engine.plant.measurands] + [one.kind for one in engine.plant.peripherals]
    known += [FLOW_ID] if engine.plant.flow is not None else []
    if name not in known:
        raise ConfigError(f"--input {name[:40]}", f"is none of {', '.join(known)}")
    return name if name in [one.id for one in engine.plant.measurands] else f"/{name}"
