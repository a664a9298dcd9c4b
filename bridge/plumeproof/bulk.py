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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from plumeproof.archive import Archive, Index
from plumeproof.errors import ConfigError
from plumeproof.keys import load_keys
from plumeproof.plant_file import open_engine
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, ENGINE_VERSION, MONTH, SHORT_TERM, Figure
from plumeproof.store.figures import CONTENT_NAMES, StoredFigures, content_of

EXAMPLES_MAX = 20
# What is hashed of a figure, beside its inputs; the rest follows from the part's digests, which are hashed once
_SAID = attrgetter(
    "rule_set", *(name for name in CONTENT_NAMES[CONTENT_NAMES.index("engine") + 1 :] if name != "inputs")
)
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
    """One month of a job. `index`: where its records stand. `digests`: of plant and rule sets, so that a worker with
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
    (stored, not recomputed) count figures; `examples` name some. `findings`: records that were refused."""

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
    examples: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Nothing was refused and nothing differs."""
        return not (self.findings or self.differing or self.missing or self.extra)


def split(job: Job, progress: Callable[[int], Any] | None = None) -> list[Part]:
    """The months of a job in order. Raises ConfigError, RuleError, StoreError."""
    engine = _engine(job)
    index = Archive(Path(job.archive)).index(engine.devices(), progress)
    digests = _digests(engine)
    offset = engine.offset_min(engine.rule_sets[0])
    found = []
    start = job.start_utc_ms
    while start < job.end_utc_ms:
        end = min(calendar.month_of(start, offset)[1], job.end_utc_ms)
        # A term lies whole inside its day, so no record outside the month is needed for its figures
        own = {device: one.within(start, end) for device, one in index.items()}
        if any(len(one.seq) for one in own.values()):
            found.append(Part(job, start, end, own, digests))
        start = end
    return found


def span_of(job: Job) -> tuple[int, int]:
    """[start, end) of the whole local days that the archive has slots in. Raises StoreError, ConfigError where none."""
    engine = _engine(job)
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
    engine = _engine(part.job)
    if _digests(engine) != part.digests:
        raise ConfigError(part.job.plant, "is not what the job was started with; give every worker the same files")
    archive, keys = Archive(Path(part.job.archive)), load_keys(Path(part.job.keys))
    stored = StoredFigures(Path(part.job.ledger)) if part.job.ledger is not None else None
    tally = _Tally()
    tally.digest.update(repr((ENGINE_VERSION, part.digests)).encode())
    gc.freeze()  # what is loaded stays: without it every full collection would go through all of numba
    try:
        days = range(part.start_utc_ms, part.end_utc_ms - DAY_MS + 1, DAY_MS)
        longer = engine.open_periods(DAY, days) if days else None
        for day in range(part.start_utc_ms, part.end_utc_ms, DAY_MS):
            end = min(day + DAY_MS, part.end_utc_ms)
            checked = archive.read(part.index, keys, day, end)
            tally.record_count += checked.record_count
            tally.findings += checked.findings
            if progress is not None:
                progress(checked.record_count)
            found = engine.short_term_columns(checked.strips, day, end)
            for terms in found:
                for content in terms.content():
                    tally.digest.update(content)
            tally.compare(chain.from_iterable(found), stored, engine, SHORT_TERM, day, end)
            tally.figure_count += sum(len(terms) for terms in found)
            if longer is not None and end == day + DAY_MS:
                for terms in found:
                    longer.take(terms)
                tally.take(longer.figures_of(DAY, day), stored, engine, DAY, day, end)
        offset = engine.offset_min(engine.rule_sets[0])
        is_whole = calendar.month_of(part.start_utc_ms, offset) == (part.start_utc_ms, part.end_utc_ms)
        if longer is not None and is_whole:
            month = longer.figures_of(MONTH, part.start_utc_ms)
            tally.take(month, stored, engine, MONTH, part.start_utc_ms, part.end_utc_ms)
    finally:
        gc.unfreeze()
        if stored is not None:
            stored.close()
    return PartResult(
        name=part.name,
        start_utc_ms=part.start_utc_ms,
        end_utc_ms=part.end_utc_ms,
        record_count=tally.record_count,
        figure_count=tally.figure_count,
        digest=tally.digest.hexdigest(),
        equal=tally.equal,
        differing=tally.differing,
        missing=tally.missing,
        extra=tally.extra,
        examples=tuple(tally.examples[:EXAMPLES_MAX]),
        findings=tuple(dict.fromkeys(tally.findings))[:FINDINGS_MAX],
    )


@dataclass(slots=True)
class _Tally:
    record_count: int = 0
    figure_count: int = 0
    equal: int = 0
    differing: int = 0
    missing: int = 0
    extra: int = 0
    examples: list[str] = field(default_factory=list)
    findings: tuple[str, ...] = ()
    digest: Any = field(default_factory=hashlib.sha256)

    def take(
        self, found: Sequence[Figure], stored: StoredFigures | None, engine: Engine, level: str, start: int, end: int
    ) -> None:
        """Figures of a level in a period, in any order."""
        self.digest.update("".join(sorted(_texts(found))).encode())
        self.figure_count += len(found)
        self.compare(found, stored, engine, level, start, end)

    def compare(
        self, found: Iterable[Figure], stored: StoredFigures | None, engine: Engine, level: str, start: int, end: int
    ) -> None:
        """All of a level in a period with what is stored there, where that is asked for."""
        if stored is None:
            return
        contents = {figure.place: content_of(figure) for figure in found}
        rule_sets = {rules.id for rules in engine.rule_sets}
        known = stored.contents(engine.plant.id, level, start, end)
        known = {place: content for place, content in known.items() if place[1] in rule_sets}
        for place, content in contents.items():
            if place not in known:
                self.missing += 1
                self.examples.append(f"not stored: {told(place)}")
            elif known[place] != content:
                self.differing += 1
                self.examples.append(f"differs: {told(place)}: {_first_difference(known[place], content)}")
            else:
                self.equal += 1
        for place in known.keys() - contents.keys():
            self.extra += 1
            self.examples.append(f"stored, not recomputed: {told(place)}")


def _texts(found: Sequence[Figure]) -> Iterator[str]:
    inputs, said = None, ""
    for figure in found:
        if figure.inputs is not inputs:  # those of a term share theirs
            inputs = figure.inputs
            said = repr([astuple(one) for one in inputs])
        yield f"{_SAID(figure)!r} {said}"


def told(place: tuple[Any, ...]) -> str:
    """Where a figure stands, for people."""
    plant, rule_set, measurand, layer, level, start, end = place
    minutes = (end - start) // MINUTE_MS
    at = np.datetime64(start, "ms").astype("datetime64[s]")
    return f"{plant} {rule_set} {measurand} {layer} {level} {at}Z {minutes} min"


def _first_difference(stored: tuple[Any, ...], content: tuple[Any, ...]) -> str:
    for name, old, new in zip(CONTENT_NAMES, stored, content, strict=True):
        if old != new:
            return f"{name} stored {str(old)[:60]}, recomputed {str(new)[:60]}"
    return "nothing"


def _engine(job: Job) -> Engine:
    return open_engine(Path(job.plant), [Path(one) for one in job.rule_files], job.rule_sets)


def _digests(engine: Engine) -> tuple[str, ...]:
    return (engine.plant.digest.hex(), *(rules.digest.hex() for rules in engine.rule_sets))
