"""The figures of a plant in a bundle, computed again from its records by the descriptions and rule sets in it.

Day by day of the plant's clock: short terms from the records, days and longer periods from the short terms, as the
bridge makes them. Thirty days and years are made again too: what stands in a bundle lies inside its period. Older
revisions are there in their order; figures of another version of the arithmetic are counted and not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plumeproof.bundle_figure_columns import NAMES, Row
from plumeproof.errors import EvidenceError, RuleError
from plumeproof.evidence.strips import Strip
from plumeproof.rules import calendar, long_term, long_terms
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine, OpenPeriod
from plumeproof.rules.figure import DAY, ENGINE_VERSION, LEVELS, ROLLING_30_DAYS, SHORT_TERM, Figure
from plumeproof.rules.plant import Plant, parse_plant
from plumeproof.rules.rule_set import Confidence, RuleSet
from plumeproof.rules.settings import build_settings
from plumeproof.rules.term_figures import TermFigures
from plumeproof.store.figures import CONTENT_NAMES, content_of, figure_of

Place = tuple[Any, ...]  # rule set, measurand, layer, level, start, end
Said = tuple[str, str, str]  # member, code, sentence
_CONTENT = len(CONTENT_NAMES)
_PLACE = ("rule_set", "measurand", "layer", "level", "start_utc_ms", "end_utc_ms")
_AT = tuple(NAMES.index(name) for name in _PLACE)
_RULE_SET, _LEVEL, _START = NAMES.index("rule_set"), NAMES.index("level"), NAMES.index("start_utc_ms")
_PLANT_HASH, _RULE_HASH, _ENGINE = (NAMES.index(name) for name in ("plant_hash", "rule_hash", "engine"))
_REVISION = NAMES.index("revision")
SEQ_DIGITS = 19


@dataclass(slots=True)
class _Unit:
    """One description and the rule sets of one clock. `own`: its newest rows of the days that are loaded."""

    engine: Engine
    offset_min: int
    rows: dict[Place, Row] = field(default_factory=dict)
    days: set[int] = field(default_factory=set)  # that are to be made
    longer: dict[Place, Row] = field(default_factory=dict)
    batches: list[tuple[str, list[int], OpenPeriod]] = field(default_factory=list)


class FigureCheck:
    """One plant. `documents`: bytes by member name; `strips_of(device, start, end)`: verified slots; `period`: of the
    bundle."""

    def __init__(
        self,
        plant: str,
        documents: Mapping[str, bytes],
        strips_of: Callable[[str, int, int], list[Strip]],
        period_utc_ms: tuple[int, int],
    ) -> None:
        self._plant = plant
        self._documents = documents
        self._strips_of = strips_of
        self._period = period_utc_ms
        self._units: dict[tuple[bytes, bytes], _Unit] = {}  # by hashes of description and rule set
        self._short: dict[Place, Row] = {}  # newest short terms of the days that are loaded
        self.equal = 0
        self.superseded = 0
        self.not_recomputed: dict[str, int] = {}

    def run(
        self,
        members: Sequence[tuple[int, str]],
        rows_of: Callable[[str], list[Row]],
        tick: Callable[[int], object] = lambda count: None,
    ) -> Iterator[Said]:
        """Every fault. `members`: day and name, ascending; `tick` is told of members. Raises ConfigError, RuleError,
        EvidenceError for what cannot be read."""
        pairs: set[tuple[bytes, bytes]] = set()
        longer: list[Row] = []
        for day, name in members:
            newest, faults = self._newest(day, rows_of(name))
            yield from faults
            for row in newest:
                if row[_ENGINE] == ENGINE_VERSION:
                    pairs.add((row[_PLANT_HASH], row[_RULE_HASH]))
                    longer += [row] if row[_LEVEL] not in (SHORT_TERM, DAY) else []
        units = self._make_units(pairs)
        for row in longer:
            self._units[row[_PLANT_HASH], row[_RULE_HASH]].longer[_place_of(row)] = row
        for unit in units:
            _open_longer(unit)
            around = {day + step for day, _ in members for step in (0, DAY_MS - 1)}
            unit.days = {calendar.day_of(one, unit.offset_min)[0] for one in around}
        waiting = list(members)
        for start in sorted(set().union(*(unit.days for unit in units))):
            while waiting and waiting[0][0] < start + DAY_MS:
                self._load(rows_of(waiting.pop(0)[1]))
                tick(1)
            for unit in units:
                if start in unit.days:
                    yield from self._day(unit, start)
            self._short = {place: row for place, row in self._short.items() if row[_START] >= start}
        for unit in units:
            yield from self._close_longer(unit, self._period[1])
            yield from (self._say(place, "figure_unfounded", "no signed record makes it") for place in unit.longer)

    def _newest(self, day: int, rows: Iterable[Row]) -> tuple[list[Row], list[Said]]:
        """The last revision of every place of a member, and what is wrong with revisions."""
        found: list[Row] = []
        faults: list[Said] = []
        for place, revisions in groupby(rows, key=_place_of):
            own = list(revisions)
            level, start, end = place[3:]
            is_here = day <= start < day + DAY_MS and self._period[0] <= start < end <= self._period[1]
            if not is_here or level not in LEVELS:
                raise EvidenceError("form", f"{_told(place)}: is none of this day and of the bundle's period")
            if [row[_REVISION] for row in own] != list(range(len(own))):
                faults.append(self._say(place, "figure_revisions", f"revisions are not 0 to {len(own) - 1}"))
            self.superseded += len(own) - 1
            found.append(own[-1])
            if own[-1][_ENGINE] != ENGINE_VERSION:
                told = f"engine {own[-1][_ENGINE]}"[:40]
                self.not_recomputed[told] = self.not_recomputed.get(told, 0) + 1
        return found, faults

    def _load(self, rows: Iterable[Row]) -> None:
        for place, revisions in groupby(rows, key=_place_of):
            *_, row = revisions
            if row[_LEVEL] == SHORT_TERM:
                self._short[place] = row
            if row[_LEVEL] in (SHORT_TERM, DAY) and row[_ENGINE] == ENGINE_VERSION:
                self._units[row[_PLANT_HASH], row[_RULE_HASH]].rows[place] = row

    def _day(self, unit: _Unit, start: int) -> Iterator[Said]:
        """Short terms and the day itself, and what longer periods take of it."""
        end = start + DAY_MS
        yield from self._close_longer(unit, start)
        own = {place: row for place, row in unit.rows.items() if start <= row[_START] < end}
        periods = [one for _, _, one in unit.batches if one.period and one.period[0] < end and one.period[1] > start]
        if not own and not periods:
            return
        columns: list[TermFigures] = []
        if any(row[_LEVEL] == SHORT_TERM for row in own.values()):
            strips = {device: self._strips_of(device, start, end) for device in unit.engine.devices()}
            columns = unit.engine.short_term_columns(strips, start, end)
        day = unit.engine.open_period(DAY, start)
        stored: dict[str, list[Row]] = {}
        for row in self._short.values():
            if start <= row[_START] < end:
                stored.setdefault(row[_RULE_SET], []).append(row)
        for rules in unit.engine.rule_sets:
            made = [one for one in columns if one.maker.rules.id == rules.id]
            known = self.equal
            for found in made:
                yield from self._compare(unit.rows, own, found)
            # Longer periods rest on what stands in the bundle; where all of it is equal, on the columns it came from
            is_all = self.equal - known == sum(map(len, made)) == len(stored.get(rules.id, ()))
            for period in (day, *periods):
                if is_all:
                    for found in made:
                        period.take(found)
                else:
                    for row in stored.get(rules.id, ()):
                        period.add(figure_of(row))
        yield from self._compare(unit.rows, own, day.figures())
        for place in own:
            if unit.rows.pop(place, None) is not None:
                yield self._say(place, "figure_unfounded", "no signed record makes it")
        yield from self._close_longer(unit, end)

    def _close_longer(self, unit: _Unit, until: int) -> Iterator[Said]:
        """Compare the longer periods that end here at last."""
        left = []
        for level, starts, periods in unit.batches:
            ended = [start for start in starts if _end_of(level, start, unit.offset_min) <= until]
            for start in ended:
                found = periods.figures_of(level, start)
                yield from self._compare(unit.longer, dict(unit.longer), found)
            starts = [start for start in starts if start not in ended]
            left += [(level, starts, periods)] if starts else []
        unit.batches = left

    def _compare(self, left: dict[Place, Row], own: Mapping[Place, Row], found: Iterable[Figure]) -> Iterator[Said]:
        """`own`: rows that are due; of the periods that they have, none may lack. What is compared leaves `left`."""
        periods = {(place[0], *place[3:]) for place in own}
        for figure in found:
            place = figure.place[1:]
            row = left.pop(place, None)
            if row is None:
                is_stored = place in self._short or place in own  # a later description may have made it
                if (place[0], *place[3:]) in periods and not is_stored:
                    yield self._say(place, "figure_missing", "the records make it and it is not there")
                continue
            content = content_of(figure)
            if content == row[:_CONTENT]:
                self.equal += 1
                continue
            name, said, again = next(
                (name, said, again)
                for name, said, again in zip(CONTENT_NAMES, row, content, strict=False)
                if said != again
            )
            yield self._say(place, "figure", f"{name} is {_shown(said)}, the records make {_shown(again)}")

    def _say(self, place: Place, code: str, told: str) -> Said:
        day = place[4] - place[4] % DAY_MS
        return f"data/figures/{self._plant}/{day:0{SEQ_DIGITS}}.cbor", code, f"{_told(place)}: {told}"

    def _make_units(self, pairs: Iterable[tuple[bytes, bytes]]) -> list[_Unit]:
        """Rule sets of one description and clock are made together, unless two are versions of one."""
        found: dict[tuple[bytes, int, int], list[tuple[bytes, RuleSet]]] = {}
        plants: dict[bytes, Plant] = {}
        for plant_hash, rule_hash in sorted(pairs):
            if plant_hash not in plants:
                where = Path(f"plants/{plant_hash.hex()}.json")
                plants[plant_hash] = parse_plant(json.loads(self._document("plants", plant_hash)), where)
            if plants[plant_hash].id != self._plant:
                raise EvidenceError("form", f"plants/{plant_hash.hex()}.json describes another plant")
            rules = _resolved(self._document("rules", rule_hash), f"rules/{rule_hash.hex()}.json")
            offset = rules.settings.utc_offset_min(plants[plant_hash].utc_offset_min)
            number = 0
            while any(rules.id == other.id for _, other in found.get((plant_hash, offset, number), ())):
                number += 1
            found.setdefault((plant_hash, offset, number), []).append((rule_hash, rules))
        units = []
        for (plant_hash, offset, _), own in found.items():
            unit = _Unit(Engine(plants[plant_hash], [rules for _, rules in own]), offset)
            units.append(unit)
            self._units |= {(plant_hash, rule_hash): unit for rule_hash, _ in own}
        return units

    def _document(self, folder: str, digest: bytes) -> bytes:
        raw = self._documents.get(f"data/{folder}/{digest.hex()}.json")
        if raw is None:
            raise EvidenceError("form", f"{folder}/{digest.hex()}.json, which a figure names, is not there")
        if hashlib.sha256(raw).digest() != digest:
            raise EvidenceError("form", f"{folder}/{digest.hex()}.json has another hash than its name says")
        return raw


def _place_of(row: Row) -> Place:
    return tuple(row[at] for at in _AT)


def _open_longer(unit: _Unit) -> None:
    """Windows share their days; months and years stand alone."""
    starts: dict[str, set[int]] = {}
    for place in unit.longer:
        level, start, end = place[3:]
        starts.setdefault(level, set()).add(end - DAY_MS if level == ROLLING_30_DAYS else start)
    for level, found in starts.items():
        size = long_term.ROLLING_DAYS if level == ROLLING_30_DAYS else 1
        ordered = sorted(found)
        for at in range(0, len(ordered), size):
            part = ordered[at : at + size]
            periods = unit.engine.open_periods(level, part)
            if periods.period is not None:  # else no rule set has such a level, or none begins there
                unit.batches.append((level, part, periods))


def _end_of(level: str, start: int, offset_min: int) -> int:
    """Of the period that open_periods names so; where there is none, at once."""
    found = long_terms.period_of(level, start, offset_min)
    return start if found is None else found[1]


def _shown(value: Any) -> str:
    return (value.hex() if isinstance(value, bytes) else str(value))[:40]


def _resolved(raw: bytes, where: str) -> RuleSet:
    """A rule set from its resolved document, which no file of a release is needed for. Raises RuleError."""
    try:
        tree = json.loads(raw)
        return RuleSet(
            id=tree["id"],
            version=tree["version"],
            title=tree["title"],
            source=tree["source"],
            status=tree["status"],
            lineage=tuple(one for one, _ in tree["lineage"]),
            settings=build_settings(tree["settings"], where),
            confidence=MappingProxyType({name: Confidence(*sure) for name, sure in tree["confidence"].items()}),
            given_by=MappingProxyType({}),
            document=raw,
            digest=hashlib.sha256(raw).digest(),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RuleError(where, f"is no resolved rule set: {type(error).__name__}") from error


def _told(place: Place) -> str:
    return " ".join(str(part)[:40] for part in place)
