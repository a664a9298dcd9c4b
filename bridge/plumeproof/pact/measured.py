"""What a stack has emitted for a footprint: closed figures only, with all their revisions and when each was made.

A figure that is still running would change under the customer's eyes, so it is refused; a period that is not wholly
there is refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from plumeproof.documents.declared import Period, decimal_of, pieces_of
from plumeproof.documents.site import EmissionSource, Site
from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.figure_ids import id_of_figure, utc_text
from plumeproof.instants import read_instant
from plumeproof.ledger_strips import LedgerStrips
from plumeproof.pact.offer import Offered
from plumeproof.rules.figure import CO2E, Figure

UNIT = "t CO2e"
_FACTORS = re.compile(r"AR\d+")  # as ipccCharacterizationFactors has them


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a figure. `tonnes`: the shortest decimal of it; `made_utc_ms`: when the bridge wrote it."""

    id: str
    figure: Figure
    tonnes: Decimal
    made_utc_ms: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured for one footprint. `pieces`: of every source and month or year, oldest revision
    first; `factors`: the IPCC reports whose potentials made t CO2e of t."""

    period: Period
    pieces: tuple[tuple[Revision, ...], ...]
    factors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """A plant with its figures."""

    desk: FigureDesk
    ledger: LedgerStrips


def measure(offered: Offered, site: Site, stack_of: Callable[[str], Stack]) -> Measured:
    """`stack_of`: by plant id. Raises ConfigError: which footprint, which figure, what is missing."""
    pieces: list[tuple[Revision, ...]] = []
    factors: set[str] = set()
    periods: set[Period] = set()
    for emission in offered.sources:
        _, outlet = site.outlet(emission.outlet)
        stack = stack_of(outlet.plant)
        engine = stack.desk.engine
        rules = next((one for one in engine.rule_sets if one.id == emission.rule_set), None)
        if rules is None:
            there = ", ".join(one.id for one in engine.rule_sets)
            raise ConfigError(offered.at, f"rule set {emission.rule_set[:40]} is none of {engine.plant.id}: {there}")
        offset = engine.offset_min(rules)
        period = (read_instant(offered.said.first, offset, "first"), read_instant(offered.said.end, offset, "end"))
        if period[1] <= period[0]:
            raise ConfigError(offered.at, f"end {offered.said.end} is not behind first {offered.said.first}")
        if offered.said.issued.timestamp() * 1000 < period[1]:
            raise ConfigError(offered.at, "is issued before its period has ended; put the day into `issued`")
        periods.add(period)
        for level, start, end in pieces_of(period, offset):
            found = _revisions(stack, emission, (level, start, end), offered.at)
            if not found:
                what = f"{emission.measurand} in {UNIT} by {rules.id} at {outlet.id} has no closed {level}"
                begin = utc_text(start)
                raise ConfigError(offered.at, f"{what} that begins {begin}; it waits until the bridge has stored one")
            pieces.append(found)
        factors.add(_factors(rules.settings.gwp, offered.at, rules.id))
    if len(periods) > 1:
        raise ConfigError(offered.at, "its sources lie on different clocks; make a footprint for each")
    return Measured(periods.pop(), tuple(pieces), tuple(sorted(factors)))


def _revisions(stack: Stack, emission: EmissionSource, piece: tuple[str, int, int], at: str) -> tuple[Revision, ...]:
    """What the bridge has stored; nothing is made anew: of a month that runs that would read all its records."""
    level, start, end = piece
    found, is_newest_empty = [], False
    for one in stack.ledger.stored(stack.desk.engine.plant.id, level, start, end):
        named = (one.measurand, one.layer, one.rule_set, one.start_utc_ms, one.end_utc_ms)
        if named != (emission.measurand, CO2E, emission.rule_set, start, end):
            continue
        is_newest_empty = one.value is None
        if one.unit != UNIT:
            raise ConfigError(at, f"{id_of_figure(one)} is in {one.unit}, not in {UNIT}")
        if one.value is not None:  # a revision without a value said nothing that a footprint could have said
            found.append(Revision(id_of_figure(one), one, decimal_of(one.value), stack.ledger.made_utc_ms(one)))
    if found and is_newest_empty:
        raise ConfigError(at, f"the revision behind {found[-1].id} has no value; `plumeproof trace` shows why")
    return tuple(found)


def _factors(gwp: str | None, at: str, what: str) -> str:
    if gwp is None or _FACTORS.fullmatch(gwp) is None:
        raise ConfigError(at, f"{what}: the rule set's potentials ({gwp}) are no IPCC report; PACT takes AR4, AR5, AR6")
    return gwp


def states_of(measured: Measured, issued_utc_ms: int) -> Sequence[tuple[int, tuple[Revision, ...]]]:
    """(since when, UTC ms; the revisions that counted then), oldest first: what was known when the footprint was
    issued, and one more each time the bridge has revised a figure since."""
    begins = max([issued_utc_ms, *(piece[0].made_utc_ms for piece in measured.pieces)])
    later = {one.made_utc_ms for piece in measured.pieces for one in piece if one.made_utc_ms > begins}
    return [(since, tuple(_known(piece, since) for piece in measured.pieces)) for since in sorted({begins, *later})]


def _known(piece: Sequence[Revision], since_utc_ms: int) -> Revision:
    return [one for one in piece if one.made_utc_ms <= since_utc_ms][-1]


def weak_of(revisions: Sequence[Revision]) -> Mapping[str, tuple[str, ...]]:
    """Figures that their rule set does not let count, with the flags that say why."""
    return {one.id: one.figure.flags for one in revisions if not one.figure.is_valid}
