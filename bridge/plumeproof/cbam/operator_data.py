"""Operator emissions data of a period: what the site says, what was measured, and how it is attributed to goods.

data = collect(site_file, table, readers, (start_utc_ms, end_utc_ms), offset_min)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from plumeproof.cbam.attribution import Attribution, attribute
from plumeproof.cbam.entries import Corroboration, Period
from plumeproof.cbam.measured import Measured, MeasuredReader
from plumeproof.cbam.site_table import CbamTable
from plumeproof.documents.declared import add
from plumeproof.documents.site import Site, SiteFile
from plumeproof.documents.site_time import days_of
from plumeproof.documents.standing import PROVISIONAL, Standing
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant
from plumeproof.rules.calendar import year_of

CALENDAR_YEAR, OTHER = "calendarYear", "other"
STANDING = Standing(
    PROVISIONAL,
    "own form after (EU) 2025/2547 annex IV and (EU) 2023/1773 annex IV",
    "2026-11-25",  # as in acts.csv
    "The Commission publishes no file format for operators: figures are typed or pasted into its template or the CBAM "
    "Registry.",
)


@dataclass(frozen=True, slots=True)
class Act:
    """One row of acts.csv."""

    act: str
    subject: str
    kind: str
    confidence: str
    checked: str
    how: str


@dataclass(frozen=True, slots=True)
class OperatorData:
    """`periods`: of the site's table that make up [start, end). `outside`: sources of the site in no process."""

    site: Site
    table: CbamTable
    periods: tuple[Period, ...]
    start_utc_ms: int
    end_utc_ms: int
    offset_min: int
    kind: str
    measured: tuple[Measured, ...]
    outside: tuple[str, ...]
    attribution: Attribution

    @property
    def days(self) -> str:
        """First to last day, for people."""
        first, last = days_of(self.start_utc_ms, self.end_utc_ms, self.offset_min)
        return f"{first} to {last}"

    @property
    def justification(self) -> str:
        """Why the period is no calendar year."""
        return "; ".join(dict.fromkeys(one.justification for one in self.periods if one.justification))


@cache
def acts() -> tuple[Act, ...]:
    """The acts that these documents rest on, and when and how each was last looked at."""
    text = (files("plumeproof.cbam") / "acts.csv").read_text(encoding="utf-8")
    return tuple(Act(**row) for row in csv.DictReader(io.StringIO(text), strict=True))


def collect(
    site_file: SiteFile,
    table: CbamTable,
    readers: Mapping[str, MeasuredReader],
    asked: tuple[int, int],
    offset_min: int,
) -> OperatorData:
    """`readers` by plant. Raises ConfigError, StoreError, RuleError."""
    where = str(site_file.path)
    periods = _periods_of(where, table.periods, asked, offset_min)
    kind = CALENDAR_YEAR if year_of(asked[0], offset_min) == asked else OTHER
    if kind == OTHER and not all(one.justification for one in periods):
        told = "is missing; a period that is no calendar year needs a reason"
        raise ConfigError(f"{where}: cbam.period.justification", told)
    site = site_file.site
    measured = []
    for source in site.sources:
        shares = [share for process in table.processes for share in process.sources if share.id == source.id]
        if shares:
            evidence = next((share.biomass_evidence for share in shares if share.biomass_evidence), "")
            _, outlet = site.outlet(source.outlet)
            measured.append(
                readers[outlet.plant].source(source, evidence, asked, _corroboration(where, source.id, periods))
            )
    return OperatorData(
        site=site,
        table=table,
        periods=periods,
        start_utc_ms=asked[0],
        end_utc_ms=asked[1],
        offset_min=offset_min,
        kind=kind,
        measured=tuple(measured),
        outside=tuple(one.id for one in site.sources if one.id not in {found.source.id for found in measured}),
        attribution=attribute(table, periods, {one.source.id: one.t_co2e for one in measured}),
    )


def _periods_of(where: str, periods: Sequence[Period], asked: tuple[int, int], offset_min: int) -> tuple[Period, ...]:
    """The periods of the table that make up the one that is asked for."""
    spans = []
    for one in periods:
        at = f"{where}: cbam.period {one.first} to {one.end}"
        first, end = read_instant(one.first, offset_min, at), read_instant(one.end, offset_min, at)
        if end <= first:
            raise ConfigError(at, "ends before it begins; `to` is the month after the last one")
        spans.append((first, end, one))
    spans.sort(key=lambda span: span[:2])
    for (_, end, one), (first, _, other) in zip(spans, spans[1:], strict=False):
        if first < end:
            told = (
                f"{one.first} to {one.end} and {other.first} to {other.end} overlap; each month belongs to one period"
            )
            raise ConfigError(f"{where}: cbam.period", told)
    found = [span for span in spans if asked[0] <= span[0] and span[1] <= asked[1]]
    edges = [asked[0], *(span[1] for span in found)]
    if [span[0] for span in found] != edges[:-1] or edges[-1] != asked[1]:
        there = "; ".join(f"{one.first} to {one.end}" for _, _, one in spans)
        told = f"no [[cbam.period]] entries make up the period that is asked for; there are {there}"
        raise ConfigError(f"{where}: cbam.period", told)
    return tuple(span[2] for span in found)


def _corroboration(where: str, source: str, periods: Sequence[Period]) -> Corroboration | None:
    """Of all periods together; one that has none would make the sum too small."""
    found = [one for period in periods for one in period.corroborations if one.source == source]
    if not found:
        return None
    if len(found) != len(periods):
        told = f"source {source} has none in some of the periods asked for; give it in each or in none"
        raise ConfigError(f"{where}: cbam.period.corroboration", told)
    return replace(found[0], t_gas=add([one.t_gas for one in found]))
