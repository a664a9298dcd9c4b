"""The figures of a plant in a bundle, computed again from its records by the descriptions and rule sets in it.

Day by day of the plant's clock: short terms from the records, days and longer periods from the short terms, as the
bridge makes them; compared as columns, and one by one where those are not equal. Thirty days and years are made again
too: what stands in a bundle lies inside its period. Between the first and the last short term of a description and
rule set nothing may be left out: what the records make there stands there. Older revisions are there in their order;
figures of another version of the arithmetic are counted and not made again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.bundle.arrays import Truths
from plumeproof.bundle.figure_columns import NAMES, FigureColumns, Row
from plumeproof.bundle.terms import Terms, count_short, is_lacking, spans_of
from plumeproof.errors import EvidenceError
from plumeproof.evidence.strips import Strip
from plumeproof.rules import calendar, long_term, long_terms
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine, OpenPeriod
from plumeproof.rules.figure import DAY, ENGINE_VERSION, LEVELS, MONTH, ROLLING_30_DAYS, SHORT_TERM, YEAR, Figure
from plumeproof.rules.plant import Plant, parse_plant
from plumeproof.rules.rule_set import RuleSet, open_resolved
from plumeproof.rules.term_figures import TermFigures
from plumeproof.store.figures import CONTENT_NAMES, content_of, figure_of

Integers = npt.NDArray[np.int64]
Place = tuple[Any, ...]  # rule set, measurand, layer, level, start, end
Said = tuple[str, str, str]  # member, code, sentence
_CONTENT = len(CONTENT_NAMES)
_PLACE = ("rule_set", "measurand", "layer", "level", "start_utc_ms", "end_utc_ms")
_AT = tuple(NAMES.index(name) for name in _PLACE)
_PLANT_HASH, _RULE_HASH = NAMES.index("plant_hash"), NAMES.index("rule_hash")
SEQ_DIGITS = 19


@dataclass(slots=True)
class _Unit:
    """One description and the rule sets of one clock. `spans`: [start, end) of the short terms by rule set."""

    engine: Engine
    offset_min: int
    days: set[int] = field(default_factory=set)  # that are to be made
    short_days: set[int] = field(default_factory=set)  # of these, with short terms
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    longer: dict[Place, Row] = field(default_factory=dict)
    batches: list[tuple[str, list[int], OpenPeriod]] = field(default_factory=list)

    def widen(self, rule_set: str, begins: Integers, ends: Integers) -> None:
        """By short terms that stand in the bundle."""
        first, end = self.spans.get(rule_set, (2**63, 0))
        self.spans[rule_set] = min(first, int(begins.min())), max(end, int(ends.max()))
        self.short_days |= {calendar.day_of(one, self.offset_min)[0] for one in begins.tolist()}

    def is_due(self, place: Place, period_utc_ms: tuple[int, int]) -> bool:
        """Whether the bridge had made this when it made the last short term."""
        level, start, end = place[3:]
        first, until = self.spans.get(place[0], (0, 0))
        if level == SHORT_TERM:
            return bool(first <= start and end <= until)
        return bool(period_utc_ms[0] <= start and end <= period_utc_ms[1] and first < end < until)


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
        self._loaded: list[tuple[int, FigureColumns]] = []  # by day, those that a day to be made may touch
        self._longer: set[Place] = set()  # that stand in the bundle, whoever made them
        self.reach: tuple[int, int] | None = None  # of the short terms
        self.equal = 0
        self.superseded = 0
        self.not_recomputed: dict[str, int] = {}

    def run(
        self,
        members: Sequence[tuple[int, str]],
        columns_of: Callable[[str], FigureColumns],
        tick: Callable[[int], object] = lambda count: None,
    ) -> Iterator[Said]:
        """Every fault. `members`: day and name, ascending; `tick` is told of members. Raises ConfigError, RuleError,
        EvidenceError for what cannot be read."""
        pairs: set[tuple[bytes, bytes]] = set()
        longer: list[Row] = []
        short: list[tuple[bytes, bytes, str, Integers, Integers]] = []
        for day, name in members:
            columns = columns_of(name)
            yield from self._check_places(day, columns)
            newest = _newest(columns)
            is_ours = columns.arrays["engine"] == columns.text(ENGINE_VERSION)
            self._count_others(columns, newest & ~is_ours)
            hashes = np.stack([columns.arrays[one][newest & is_ours] for one in ("plant_hash", "rule_hash")])
            table = columns.tables["hashes"]
            pairs |= {(table[plant], table[rules]) for plant, rules in np.unique(hashes, axis=1).T.tolist()}
            levels = columns.arrays["level"]
            is_longer = (levels != columns.text(SHORT_TERM)) & (levels != columns.text(DAY))
            longer += columns.rows(np.flatnonzero(newest & is_ours & is_longer))
            short += spans_of(columns, newest & is_ours)
        units = self._make_units(pairs)
        for row in longer:
            self._units[row[_PLANT_HASH], row[_RULE_HASH]].longer[_place_of(row)] = row
            self._longer.add(_place_of(row))
        for plant, rules, rule_set, begins, ends in short:
            self._units[plant, rules].widen(rule_set, begins, ends)
        spans = [span for unit in units for span in unit.spans.values()]
        self.reach = (min(first for first, _ in spans), max(end for _, end in spans)) if spans else None
        for unit in units:
            _open_longer(unit, self._period)
            around = {day + step for day, _ in members for step in (0, DAY_MS - 1)}
            unit.days = {calendar.day_of(one, unit.offset_min)[0] for one in around}
            if unit.short_days:
                unit.days |= set(range(min(unit.short_days), max(unit.short_days) + 1, DAY_MS))
        waiting = list(members)
        for start in sorted(set().union(*(unit.days for unit in units))):
            while waiting and waiting[0][0] < start + DAY_MS:
                day, name = waiting.pop(0)
                self._loaded.append((day, columns_of(name)))
                tick(1)
            for unit in units:
                if start in unit.days:
                    yield from self._day(unit, start)
            self._loaded = [(day, columns) for day, columns in self._loaded if day + DAY_MS > start]
        for unit in units:
            yield from self._close_longer(unit, self._period[1])
            yield from (self._say(place, "figure_unfounded", "no signed record makes it") for place in unit.longer)

    def _check_places(self, day: int, columns: FigureColumns) -> Iterator[Said]:
        """What is wrong with places and revisions of a member."""
        arrays = columns.arrays
        start, end = arrays["start_utc_ms"], arrays["end_utc_ms"]
        is_here = (day <= start) & (start < day + DAY_MS) & (self._period[0] <= start) & (start < end)
        is_here &= (end <= self._period[1]) & np.isin(arrays["level"], [columns.text(level) for level in LEVELS])
        if not is_here.all():
            place = _place_of(columns.rows(np.flatnonzero(~is_here)[:1])[0])
            raise EvidenceError("form", f"{_told(place)}: is none of this day and of the bundle's period")
        begins = np.flatnonzero(columns.begins())
        sizes = np.diff(begins, append=columns.row_count)
        self.superseded += columns.row_count - len(begins)
        due = np.arange(columns.row_count) - np.repeat(begins, sizes)
        wrong = np.unique(np.repeat(np.arange(len(begins)), sizes)[arrays["revision"] != due])
        for number in wrong.tolist():
            place = _place_of(columns.rows(begins[number : number + 1])[0])
            yield self._say(place, "figure_revisions", f"revisions are not 0 to {int(sizes[number]) - 1}")

    def _count_others(self, columns: FigureColumns, chosen: Truths) -> None:
        """Figures of another version of the arithmetic."""
        numbers, counts = np.unique(columns.arrays["engine"][chosen], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            told = f"engine {columns.tables['texts'][number]}"[:40]
            self.not_recomputed[told] = self.not_recomputed.get(told, 0) + count

    def _day(self, unit: _Unit, start: int) -> Iterator[Said]:
        """Short terms and the day itself, and what longer periods take of it."""
        end = start + DAY_MS
        yield from self._close_longer(unit, start)
        stored = [columns for day, columns in self._loaded if day < end and day + DAY_MS > start]
        own = {_place_of(row): row for row in self._rows(unit, stored, start, end, DAY)}
        is_short = any(_own_rows(unit, columns, start, end, SHORT_TERM).any() for columns in stored)
        periods = [one for _, _, one in unit.batches if one.period and one.period[0] < end and one.period[1] > start]
        is_due = any(first < end and until > start for first, until in unit.spans.values())
        if not own and not is_due and not periods:
            return
        made: list[TermFigures] = []
        if is_short or is_due:
            strips = {device: self._strips_of(device, start, end) for device in unit.engine.devices()}
            made = unit.engine.short_term_columns(strips, start, end)
        day = unit.engine.open_period(DAY, start)
        equal = self._equal_part(unit, stored, made, start, end)
        if equal is not None:
            for found in equal:
                self.equal += len(found)
                for period in (day, *periods):
                    period.take(found)
        else:
            yield from self._compare_terms(unit, stored, made, (start, end), (day, *periods))
        left = dict(own)
        yield from self._compare(unit if is_short else None, left, own, day.figures(), own.keys())
        for place in left:
            yield self._say(place, "figure_unfounded", "no signed record makes it")
        yield from self._close_longer(unit, end)

    def _equal_part(
        self, unit: _Unit, stored: Sequence[FigureColumns], made: Sequence[TermFigures], start: int, end: int
    ) -> list[TermFigures] | None:
        """The short terms of a day that stand in the bundle; None where not all of them are equal."""
        if any(columns.row_count != int(np.count_nonzero(columns.begins())) for columns in stored):
            return None  # of older revisions each place is asked by itself
        found: list[TermFigures] = []
        for rules in unit.engine.rule_sets:
            whole = [one for one in made if one.maker.rules.id == rules.id]
            equal = [part for one in whole if (part := Terms(one).part_in(stored)) is not None]
            span = unit.spans.get(rules.id, (0, 0))
            if len(equal) < len(whole) or any(map(partial(is_lacking, span), whole, equal)):
                return None
            if count_short(stored, rules.id, start, end) != sum(map(len, equal)):
                return None
            found += equal
        return found

    def _compare_terms(
        self,
        unit: _Unit,
        stored: Sequence[FigureColumns],
        made: Sequence[TermFigures],
        day_utc_ms: tuple[int, int],
        periods: Sequence[OpenPeriod],
    ) -> Iterator[Said]:
        """The short terms of a day one by one. Longer periods rest on what stands in the bundle."""
        own = {_place_of(row): row for row in self._rows(unit, stored, *day_utc_ms, SHORT_TERM)}
        every: dict[Place, Row] = {}
        for columns in stored:
            rows = columns.rows(np.flatnonzero(_newest(columns) & _is_within(columns, *day_utc_ms, SHORT_TERM)))
            every |= {_place_of(row): row for row in rows}
        left = dict(own)
        for found in made:
            yield from self._compare(unit, left, own, found, every.keys())
        for row in every.values():
            for period in periods:
                period.add(figure_of(row))
        for place in left:
            yield self._say(place, "figure_unfounded", "no signed record makes it")

    def _rows(
        self, unit: _Unit, stored: Sequence[FigureColumns], start: int, end: int, level: str
    ) -> Iterator[Row]:  # fmt: skip
        """The newest revisions of a level that begin in [start, end) and are the unit's."""
        for columns in stored:
            yield from columns.rows(np.flatnonzero(_own_rows(unit, columns, start, end, level)))

    def _close_longer(self, unit: _Unit, until: int) -> Iterator[Said]:
        """Compare the longer periods that end here at last."""
        left = []
        for level, starts, periods in unit.batches:
            ended = [start for start in starts if _end_of(level, start, unit.offset_min) <= until]
            for start in ended:
                found = periods.figures_of(level, start)
                yield from self._compare(unit, unit.longer, dict(unit.longer), found, self._longer)
            starts = [start for start in starts if start not in ended]
            left += [(level, starts, periods)] if starts else []
        unit.batches = left

    def _compare(
        self,
        unit: _Unit | None,
        left: dict[Place, Row],
        own: Mapping[Place, Row],
        found: Iterable[Figure],
        known: Collection[Place],
    ) -> Iterator[Said]:
        """`own`: rows that are due; of the periods that they have, and of those that are due of `unit`, none may lack,
        unless `known` says that another description made it. What is compared leaves `left`."""
        periods = {(place[0], *place[3:]) for place in own}
        taken = {(place[0], *place[3:]) for place in known}
        for figure in found:
            place = figure.place[1:]
            row = left.pop(place, None)
            if row is None:
                period = (place[0], *place[3:])
                is_due = unit is not None and unit.is_due(place, self._period) and period not in taken
                if (period in periods or is_due) and place not in known and place not in own:
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
            rules = open_resolved(self._document("rules", rule_hash), f"rules/{rule_hash.hex()}.json")
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


def _newest(columns: FigureColumns) -> Truths:
    """The last revision of every place."""
    found = np.ones(columns.row_count, np.bool_)
    found[:-1] = columns.begins()[1:]
    return found


def _is_within(columns: FigureColumns, start: int, end: int, level: str) -> Truths:
    begins = columns.arrays["start_utc_ms"]
    return np.asarray((begins >= start) & (begins < end) & (columns.arrays["level"] == columns.text(level)))


def _own_rows(unit: _Unit, columns: FigureColumns, start: int, end: int, level: str) -> Truths:
    """The newest revisions of a level that begin in [start, end), made by this version for the unit."""
    arrays = columns.arrays
    found = _newest(columns) & _is_within(columns, start, end, level)
    found &= arrays["engine"] == columns.text(ENGINE_VERSION)
    found &= arrays["plant_hash"] == columns.hash(unit.engine.plant.digest)
    rules = [columns.hash(one.digest) for one in unit.engine.rule_sets]
    return np.asarray(found & np.isin(arrays["rule_hash"], rules))


def _open_longer(unit: _Unit, period_utc_ms: tuple[int, int]) -> None:
    """Those that stand in the bundle, and those that lie in its period and ended while short terms went on. Windows
    share their days; months and years stand alone."""
    starts: dict[str, set[int]] = {}
    until = min(period_utc_ms[1], max((end for _, end in unit.spans.values()), default=0) - 1)
    for level, day in itertools.product((MONTH, YEAR, ROLLING_30_DAYS), unit.short_days):
        around = {MONTH: calendar.month_of, YEAR: calendar.year_of}.get(level)
        start = day if around is None else around(day, unit.offset_min)[0]
        own = long_terms.period_of(level, start, unit.offset_min)
        if own is not None and period_utc_ms[0] <= own[0] and own[1] <= until:
            starts.setdefault(level, set()).add(start)
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


def _told(place: Place) -> str:
    return " ".join(str(part)[:40] for part in place)
