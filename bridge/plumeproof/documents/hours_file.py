"""Hours of the declared sources as CSV: the annex that the statement's rows are compared with, hour by hour.

`mass_kg` is exact: the shortest decimal of the float64; `mass_t` the same in the statement's unit with
hours.TONNES_DECIMALS decimals, half away from zero. Empty where the hour is missing. `figure` opens with
`plumeproof trace`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from typing import BinaryIO

from plumeproof.documents.declared import Period, text_of
from plumeproof.documents.hours import Hour, HourSource, tonnes_text
from plumeproof.documents.site import Site
from plumeproof.documents.site_time import time_text
from plumeproof.figure_desk import FigureDesk
from plumeproof.ledger_strips import LedgerStrips

COLUMNS = ("source", "measurand", "start_utc", "start_local", "status", "mass_kg", "mass_t", "closed", "figure")


def write_hours(
    file: BinaryIO,
    site: Site,
    names: Collection[str],
    desks: Mapping[str, tuple[FigureDesk, LedgerStrips]],
    period: Period,
    offset_min: int,
) -> int:
    """By source and hour; returns how many. `names`: of the sources; `desks`: by plant."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows, count = csv.writer(text, lineterminator="\n"), 0
    rows.writerow(COLUMNS)
    for source in (one for one in site.sources if one.id in names):
        hours = HourSource(*desks[site.outlet(source.outlet)[1].plant])
        for one in hours.of_period(source.measurand, source.rule_set, period):
            rows.writerow(row_of(source.id, source.measurand, one, offset_min))
            count += 1
    text.flush()
    text.detach()
    return count


def row_of(source: str, measurand: str, one: Hour, offset_min: int) -> tuple[str, ...]:
    """One hour, in the order of COLUMNS."""
    masses = ("", "") if one.kg is None else (text_of(one.kg), tonnes_text(one.kg))
    start = time_text(one.start_utc_ms, 0).replace("+00:00", "Z")
    local = time_text(one.start_utc_ms, offset_min)
    closed = "yes" if one.is_closed else "no"
    return (source, measurand, start, local, one.status, *masses, closed, one.figure_id)
