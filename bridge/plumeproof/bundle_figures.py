"""The figures of a plant in a bundle, computed again from its records by the descriptions and rule sets in it.

Short terms, days and months are computed again where their description and rule set stand in the bundle; rolling and
yearly ones reach out of it and are counted as not recomputed. Older revisions: as bundle_averages.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import rfc8785

from plumeproof.errors import EvidenceError, RuleError
from plumeproof.evidence.strips import Strip
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, ENGINE_VERSION, MONTH, SHORT_TERM, Figure
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import Confidence, RuleSet
from plumeproof.rules.settings import build_settings
from plumeproof.store.bundle_rows import FIGURE_NAMES, figure_line
from plumeproof.store.figures import CONTENT_NAMES, content_of

Place = tuple[Any, ...]
LINES_MAX = 2_000_000
LINE_MAX_BYTES = 16 * 1024
_PLACE = ("rule_set", "measurand", "layer", "level", "start_utc_ms", "end_utc_ms")


def lines_of(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a member, each exactly its RFC 8785 line. Raises EvidenceError (form)."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for raw in whole:
            yield _line(raw)
        if len(held) > LINE_MAX_BYTES:
            raise EvidenceError("form", f"a line longer than {LINE_MAX_BYTES} bytes")
    if held:
        raise EvidenceError("form", "its last line does not end")


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= LINE_MAX_BYTES else None
        if isinstance(found, dict) and rfc8785.dumps(found) == raw:
            return found
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass  # said below, as for what is no object
    raise EvidenceError("form", f"{ascii(raw[:60])} is no line of a bundle")


class FigureCheck:
    """One plant. `documents`: bytes by member name; `strips_of(device, start, end)`: verified slots."""

    def __init__(
        self, documents: dict[str, bytes], strips_of: Callable[[str, int, int], list[Strip]]
    ) -> None:  # fmt: skip
        self._documents = documents
        self._strips_of = strips_of
        self.equal = 0
        self.superseded = 0
        self.not_recomputed: dict[str, int] = {}

    def run(self, lines: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """(code, sentence) of every fault. Raises ConfigError, RuleError, EvidenceError for what cannot be read."""
        newest: dict[tuple[str, str], dict[Place, dict[str, Any]]] = {}
        last: dict[Place, dict[str, Any]] = {}
        for count, line in enumerate(lines):
            if count >= LINES_MAX or set(line) != set(FIGURE_NAMES):
                raise EvidenceError("form", f"a line is no figure, or there are more than {LINES_MAX}")
            place = tuple(line[name] for name in _PLACE)
            if type(place[-1]) is not int or type(place[-2]) is not int or type(line["revision"]) is not int:
                raise EvidenceError("form", "a figure without a period or revision")
            expected = last[place]["revision"] + 1 if place in last else 0
            if line["revision"] != expected:
                yield "figure_revisions", f"{_told(place)}: revision {line['revision']} where {expected} is due"
            self.superseded += place in last
            last[place] = line
        for place, line in last.items():
            if line["level"] not in (SHORT_TERM, DAY, MONTH) or line["engine"] != ENGINE_VERSION:
                level = str(line["level"]) if line["engine"] == ENGINE_VERSION else f"engine {line['engine']}"
                self.not_recomputed[level[:40]] = self.not_recomputed.get(level[:40], 0) + 1
                continue
            newest.setdefault((str(line["plant_hash"]), str(line["rule_hash"])), {})[place] = line
        for (plant_hash, rule_hash), wanted in sorted(newest.items()):
            yield from self._compare(self._engine(plant_hash, rule_hash), wanted)

    def _compare(self, engine: Engine, wanted: dict[Place, dict[str, Any]]) -> Iterator[tuple[str, str]]:
        """Month by month, and day by day within it."""
        offset = engine.offset_min(engine.rule_sets[0])
        starts = sorted({calendar.month_of(place[-2], offset) for place in wanted})
        left = dict(wanted)
        for start, end in starts:
            days = {calendar.day_of(place[-2], offset)[0] for place in left if start <= place[-2] < end}
            is_month = any(place[3] == MONTH and place[-2] == start for place in left)
            short: list[Figure] = []
            for day in range(start, end, DAY_MS) if is_month else sorted(days):
                strips = {device: self._strips_of(device, day, day + DAY_MS) for device in engine.devices()}
                found = engine.short_term_figures(strips, day, day + DAY_MS)
                short += found
                yield from self._equal(left, found)
                yield from self._equal(left, engine.long_term_figures(DAY, day, found))
            if is_month:
                yield from self._equal(left, engine.long_term_figures(MONTH, start, short))
        for place in left:
            yield "figure_unfounded", f"{_told(place)}: no signed record makes it"

    def _equal(self, left: dict[Place, dict[str, Any]], found: Iterable[Figure]) -> Iterator[tuple[str, str]]:
        for figure in found:
            line = left.pop(figure.place[1:], None)
            if line is None:
                continue  # its period reaches out of the bundle's, or a later description made it
            again = figure_line((*content_of(figure), 0, ""))
            wrong = [name for name in CONTENT_NAMES if rfc8785.dumps(again[name]) != rfc8785.dumps(line[name])]
            if not wrong:
                self.equal += 1
                continue
            name = wrong[0]
            told = f"{name} is {str(line[name])[:40]}, the records make {str(again[name])[:40]}"
            yield "figure", f"{_told(figure.place[1:])}: {told}"

    def _engine(self, plant_hash: str, rule_hash: str) -> Engine:
        plant = parse_plant(json.loads(self._document("plants", plant_hash)), Path(f"plants/{plant_hash}.json"))
        return Engine(plant, [_resolved(self._document("rules", rule_hash), f"rules/{rule_hash}.json")])

    def _document(self, folder: str, digest: str) -> bytes:
        raw = self._documents.get(f"data/{folder}/{digest}.json")
        if raw is None:
            raise EvidenceError("form", f"{folder}/{digest[:64]}.json, which a figure names, is not there")
        if hashlib.sha256(raw).hexdigest() != digest:
            raise EvidenceError("form", f"{folder}/{digest}.json has another hash than its name says")
        return raw


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
