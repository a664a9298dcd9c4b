"""Bulk recomputation: the figures of stack-months again from signed records, compared with what the bridge wrote.

A part is one plant over one local month. Whoever works on it, a process of this machine or a Dask worker, is told where
the archive, the keys, the description and the rule sets lie and reads them itself; nothing but a small result comes
back. Every envelope is verified on the way. A part has no state outside its result, so it can be lost and made again,
and its digest is the same wherever it was made.

    for part in split(job): result = recompute_part(part)
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumeproof.archive import Archive, Index
from plumeproof.errors import ConfigError
from plumeproof.evidence.strips import Strip
from plumeproof.figure_tally import Tally
from plumeproof.keys import load_keys
from plumeproof.plant_file import open_engine
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, ENGINE_VERSION, MONTH
from plumeproof.rules.rule_set import RuleSet
from plumeproof.store.figures import StoredFigures

FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be recomputed: paths that every worker can open, and the period, UTC ms, whole local days."""

    archive: str
    keys: str
    plant: str
    rule_files: tuple[str, ...]
    rule_sets: tuple[str, ...]
    ledger: str | None  # whose stored figures are compared; None: only recomputed
    start_utc_ms: int
    end_utc_ms: int


@dataclass(frozen=True, slots=True)
class Part:
    """One month of a job, by the clock of the plant's first rule set; those on other clocks have their own month, which
    lies mostly in it. `index`: where its records stand. `digests`: of plant and rule sets, so that a worker with
    other files is noticed."""

    job: Job
    start_utc_ms: int
    end_utc_ms: int
    index: Index
    digests: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people and for the file of its result; says all that the result depends on."""
        told = hashlib.sha256(json.dumps([asdict(self.job), self.digests], sort_keys=True).encode())
        for device in sorted(self.index):
            own = self.index[device]
            told.update(device.encode() + own.seq.tobytes() + own.offset.tobytes() + own.length.tobytes())
        return f"{self.start_utc_ms}-{self.end_utc_ms}-{told.hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class PartResult:
    """`digest`: SHA-256 over all figures; equal digests are equal bits. `differing`, `missing` (not stored), `extra`
    (stored, not recomputed) and `not_yet` (the bridge has not come to them) count figures; `examples` name some.
    `findings`: records that were refused."""

    name: str
    start_utc_ms: int
    end_utc_ms: int
    record_count: int
    figure_count: int
    digest: str
    equal: int = 0
    differing: int = 0
    missing: int = 0
    extra: int = 0
    not_yet: int = 0
    examples: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Nothing was refused and nothing differs."""
        return not (self.findings or self.differing or self.missing or self.extra)


def split(job: Job, progress: Callable[[int], Any] | None = None, archive: Archive | None = None) -> list[Part]:
    """The months of a job in order. `archive`: the job's, for a caller who asks it what was unreadable. Raises
    ConfigError, RuleError, StoreError."""
    engine = open_job(job)
    index = (archive or Archive(Path(job.archive))).index(engine.devices(), progress)
    digests = _digests(engine)
    offset = engine.offset_min(engine.rule_sets[0])
    found = []
    start = job.start_utc_ms
    while start < job.end_utc_ms:
        end = min(calendar.month_of(start, offset)[1], job.end_utc_ms)
        # A term lies whole inside its day, so no record outside the months is needed for their figures
        clocks = _clocks(engine, job, start, end)
        first, last = min(first for _, first, _ in clocks), max(last for _, _, last in clocks)
        own = {device: one.within(first, last) for device, one in index.items()}
        if any(len(one.seq) for one in own.values()):
            found.append(Part(job, start, end, own, digests))
        start = end
    return found


def span_of(job: Job) -> tuple[int, int]:
    """[start, end) of the whole local days that the archive has slots in. Raises StoreError, ConfigError where none."""
    engine = open_job(job)
    index = Archive(Path(job.archive)).index(engine.devices())
    filled = [one for one in index.values() if len(one.seq)]
    if not filled:
        devices = ", ".join(engine.devices())
        raise ConfigError(job.archive, f"holds no record with slots of {devices}; is this the plant's archive?")
    offset = engine.offset_min(engine.rule_sets[0])
    first = min(int(one.first_utc_ms.min()) for one in filled)
    last = max(int(one.end_utc_ms.max()) for one in filled)
    return calendar.day_of(first, offset)[0], calendar.day_of(last - 1, offset)[1]


def recompute_part(part: Part, progress: Callable[[int], Any] | None = None) -> PartResult:
    """Verify, decode, average and compare one part; `progress` is told of the records of every day.

    Raises ConfigError, RuleError, StoreError."""
    engine = open_job(part.job)
    if _digests(engine) != part.digests:
        raise ConfigError(part.job.plant, "is not what the job was started with; give every worker the same files")
    archive, keys = Archive(Path(part.job.archive)), load_keys(Path(part.job.keys))
    stored = StoredFigures(Path(part.job.ledger)) if part.job.ledger is not None else None
    tally = Tally(engine.plant.id, stored)
    tally.digest.update(repr((ENGINE_VERSION, part.digests)).encode())
    clocks = [_Clock(engine, *own) for own in _clocks(engine, part.job, part.start_utc_ms, part.end_utc_ms)]
    held: dict[str, dict[int, Strip]] = {device: {} for device in engine.devices()}
    findings: list[str] = []
    record_count = 0
    gc.freeze()  # what is loaded stays: without it every full collection would go through all of numba
    try:
        end = max(clock.end_utc_ms for clock in clocks)
        for start in range(min(clock.start_utc_ms for clock in clocks), end, DAY_MS):
            until = min(start + DAY_MS, end)
            checked = archive.read(part.index, keys, start, until)
            record_count += checked.record_count
            findings += checked.findings
            if progress is not None:
                progress(checked.record_count)
            for device, own in checked.strips.items():
                held[device].update((strip.seq, strip) for strip in own)
            strips = {device: [own[seq] for seq in sorted(own)] for device, own in held.items()}
            for clock in clocks:
                clock.make(strips, until, tally)
            done = min(clock.done_utc_ms for clock in clocks)
            for device, kept in held.items():
                held[device] = {seq: strip for seq, strip in kept.items() if strip.end_utc_ms > done}
        for clock in clocks:
            clock.finish(tally)
    finally:
        gc.unfreeze()
        if stored is not None:
            stored.close()
    return result_of(part.name, part.start_utc_ms, part.end_utc_ms, tally, record_count, findings)


def result_of(
    name: str, start_utc_ms: int, end_utc_ms: int, tally: Tally, record_count: int, findings: Sequence[str]
) -> PartResult:
    """What a tally says."""
    return PartResult(
        name=name,
        start_utc_ms=start_utc_ms,
        end_utc_ms=end_utc_ms,
        record_count=record_count,
        figure_count=tally.figure_count,
        digest=tally.digest.hexdigest(),
        equal=tally.equal,
        differing=tally.differing,
        missing=tally.missing,
        extra=tally.extra,
        not_yet=tally.not_yet,
        examples=tuple(tally.examples),
        findings=tuple(dict.fromkeys(findings))[:FINDINGS_MAX],
    )


class _Clock:
    """The rule sets of a plant whose days begin together, over their own month of a part; days as their records come.
    `done_utc_ms`: everything before is made."""

    def __init__(self, engine: Engine, rule_sets: tuple[RuleSet, ...], start_utc_ms: int, end_utc_ms: int) -> None:
        self._engine = Engine(engine.plant, rule_sets)
        self._names = tuple(rules.id for rules in rule_sets)
        self._offset_min = engine.offset_min(rule_sets[0])
        self.start_utc_ms, self.end_utc_ms = start_utc_ms, end_utc_ms
        self.done_utc_ms = start_utc_ms
        first = calendar.day_of(start_utc_ms + DAY_MS - 1, self._offset_min)[0]
        days = range(first, end_utc_ms - DAY_MS + 1, DAY_MS)  # whole ones
        self._longer = self._engine.open_periods(DAY, days) if days else None

    def make(self, strips: Mapping[str, Sequence[Strip]], until_utc_ms: int, tally: Tally) -> None:
        """All days, and the pieces of days at the ends of the period, that end up to here."""
        while self.done_utc_ms < self.end_utc_ms:
            start, day_end = calendar.day_of(self.done_utc_ms, self._offset_min)
            end = min(day_end, self.end_utc_ms)
            if end > until_utc_ms:
                return
            found = self._engine.short_term_columns(strips, self.done_utc_ms, end)
            tally.take_columns(found, self._names, self.done_utc_ms, end)
            if self._longer is not None and (self.done_utc_ms, end) == (start, day_end):
                for terms in found:
                    self._longer.take(terms)
                tally.take(self._longer.figures_of(DAY, start), self._names, DAY, start, end)
            self.done_utc_ms = end

    def finish(self, tally: Tally) -> None:
        """The month, where all of it is here."""
        month = calendar.month_of(self.start_utc_ms, self._offset_min)
        if self._longer is not None and month == (self.start_utc_ms, self.end_utc_ms):
            tally.take(self._longer.figures_of(MONTH, month[0]), self._names, MONTH, *month)


def rule_sets_by_clock(engine: Engine) -> dict[int, tuple[RuleSet, ...]]:
    """By minutes east of UTC, in the plant's order."""
    found: dict[int, tuple[RuleSet, ...]] = {}
    for rules in engine.rule_sets:
        offset_min = engine.offset_min(rules)
        found[offset_min] = (*found.get(offset_min, ()), rules)
    return found


def _clocks(engine: Engine, job: Job, start: int, end: int) -> list[tuple[tuple[RuleSet, ...], int, int]]:
    """Of each clock of a plant its rule sets and [start, end) of its month that belongs to a part of the first one's:
    the one that holds the middle of the part, as far as the job reaches."""
    found = []
    for offset_min, rule_sets in rule_sets_by_clock(engine).items():
        first, last = calendar.month_of((start + end) // 2, offset_min)
        found.append((rule_sets, max(first, job.start_utc_ms), min(last, job.end_utc_ms)))
    return found


def open_job(job: Job) -> Engine:
    """The plant by the rule sets of a job. Raises ConfigError, RuleError."""
    return open_engine(Path(job.plant), [Path(one) for one in job.rule_files], job.rule_sets)


def _digests(engine: Engine) -> tuple[str, ...]:
    return (engine.plant.digest.hex(), *(rules.digest.hex() for rules in engine.rule_sets))
