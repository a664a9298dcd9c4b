"""Figures that were made again, counted, hashed and compared with what the bridge wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import SHORT_TERM, Figure
from plumeproof.rules.term_figures import TermFigures
from plumeproof.store.figures import CONTENT_NAMES, StoredFigures, content_of

EXAMPLES_MAX = 20
_RULE_SET = 1  # in a place
# What is hashed of a figure, beside its inputs; the rest follows from plant description and rule set, whose hashes the
# part's digest begins with
_SAID = attrgetter(
    "rule_set", *(name for name in CONTENT_NAMES[CONTENT_NAMES.index("engine") + 1 :] if name != "inputs")
)


@dataclass(slots=True)
class Tally:
    """What was found of a plant. `stored`: None where nothing is compared. `equal`, `differing`,
    `missing` (not stored), `extra` (stored, not made again) and `not_yet` (ends behind what the bridge has come to)
    count figures; `examples` name some."""

    plant: str
    stored: StoredFigures | None
    figure_count: int = 0
    equal: int = 0
    differing: int = 0
    missing: int = 0
    extra: int = 0
    not_yet: int = 0
    examples: list[str] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)

    def take_columns(
        self, found: Sequence[TermFigures], rule_sets: Iterable[str], start_utc_ms: int, end_utc_ms: int
    ) -> None:
        """All short-term figures of these rule sets inside [start, end)."""
        for terms in found:
            self.figure_count += len(terms)
            for content in terms.content():
                self.digest.update(content)
        if self.stored is not None:
            every = (one for terms in found for one in terms)
            self._compare(every, set(rule_sets), SHORT_TERM, start_utc_ms, end_utc_ms)

    def take(
        self, found: Sequence[Figure], rule_sets: Iterable[str], level: str, start_utc_ms: int, end_utc_ms: int
    ) -> None:
        """All figures of a level and of these rule sets inside [start, end), in any order."""
        self.digest.update("".join(sorted(_texts(found))).encode())
        self.figure_count += len(found)
        if self.stored is not None:
            self._compare(found, set(rule_sets), level, start_utc_ms, end_utc_ms)

    def _compare(self, found: Iterable[Figure], rule_sets: set[str], level: str, start: int, end: int) -> None:
        assert self.stored is not None
        contents: dict[tuple[Any, ...], tuple[Any, ...]] = {figure.place: content_of(figure) for figure in found}
        known = self.stored.contents(self.plant, level, start, end)
        known = {place: content for place, content in known.items() if place[_RULE_SET] in rule_sets}
        until = self.stored.newest_end(self.plant)
        for place, content in contents.items():
            if place not in known:
                if until is not None and place[-1] > until:
                    self.not_yet += 1
                    continue
                self.missing += 1
                self._name(f"not stored: {told(place)}")
            elif known[place] != content:
                self.differing += 1
                self._name(f"differs: {told(place)}: {_first_difference(known[place], content)}")
            else:
                self.equal += 1
        for place in known.keys() - contents.keys():
            self.extra += 1
            self._name(f"stored, not recomputed: {told(place)}")

    def _name(self, example: str) -> None:
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)


def _texts(found: Sequence[Figure]) -> Iterator[str]:
    for figure in found:
        yield f"{_SAID(figure)!r} {[astuple(one) for one in figure.inputs]!r}"


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
