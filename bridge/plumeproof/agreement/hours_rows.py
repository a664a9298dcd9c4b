"""Hours as the statement and the CBAM documents list them (CSV, RFC 4180): rows back into values. Pure but for `read`.

The columns are those of bridge/STATEMENT.md and bridge/CBAM.md; nothing of the code that wrote them is used.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plumeproof.agreement.said import CBAM, FIGURE, STATEMENT, STATUS, Said, Spoken, read_bytes
from plumeproof.errors import ConfigError

# column: unit; the ones that hold numbers
NUMBERS = {
    STATEMENT: {"mass_kg": "kg", "mass_t": "t"},
    CBAM: {"mass_t": "t", "concentration_g_per_Nm3": "g/m3", "flow_Nm3_per_h": "m3/h"},
}
START = {STATEMENT: "start_utc", CBAM: "hour_start_utc"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_hours(path: Path, tongue: str) -> Spoken:
    """`tongue`: STATEMENT or CBAM. Raises ConfigError: file, row, what is wrong."""
    document = "statement" if tongue == STATEMENT else "cbam"
    what = f"a file that `plumeproof report {document} --hours` wrote"
    raw = read_bytes(path, what)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"no UTF-8 at byte {error.start}; this is not {what}") from error
    return Spoken(tongue, list(_said(path, text, tongue, what)))


def _said(path: Path, text: str, tongue: str, what: str) -> Iterator[Said]:
    needed = {"source", START[tongue], STATUS, FIGURE, *NUMBERS[tongue]}
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = sorted(needed - set(rows.fieldnames or ()))
        if missing:
            raise ConfigError(str(path), f"has no column {missing[0]}; this is not {what}")
        for row in rows:
            place = f"{path.name} line {rows.line_num}"
            if None in row or None in row.values():
                raise ConfigError(place, "has not as many fields as the head; take the file as it was written")
            yield from _of_row(row, place, tongue)
    except csv.Error as error:
        raise ConfigError(f"{path} line {rows.line_num}", f"is no CSV: {error}") from error


def _of_row(row: dict[str, str], place: str, tongue: str) -> Iterator[Said]:
    try:
        start = datetime.fromisoformat(row[START[tongue]])
        utc_ms = (start - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError) as error:  # TypeError: no zone
        told = f"{START[tongue]} {row[START[tongue]][:40]!r} is no UTC time such as 2026-12-01T00:00:00Z"
        raise ConfigError(place, told) from error
    subject, trace = (row["source"],), row[FIGURE]
    traces = (trace,) if trace else ()
    for name, unit in NUMBERS[tongue].items():
        yield Said(tongue, place, subject, utc_ms, name, row[name] or None, unit, traces)
    yield Said(tongue, place, subject, utc_ms, STATUS, row[STATUS], "", traces)
    yield Said(tongue, place, subject, utc_ms, FIGURE, trace or None, "", traces)
