"""Judgements of a plant's year as plain values and as CSV: one row a line (rules/judgement.py).

Numbers are the shortest decimals that give the same float64 again. Times stand on the site's offset.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from plumeproof.figure_files import local_time
from plumeproof.rules.judgement import Case, Judgement

CASES_SHOWN = 5
NOT_COLUMNS = ("at", "cases", "start_utc_ms", "end_utc_ms")


def row_of(plant: str, line: Judgement, offset_min: int) -> dict[str, Any]:
    """Plain values; `at` is the greatest average, `cases` what was above."""

    def case(one: Case) -> dict[str, Any]:
        begin, end = local_time(one.start_utc_ms, offset_min), local_time(one.end_utc_ms, offset_min)
        return {"start": begin, "end": end, "value": one.value}

    found: dict[str, Any] = {"plant": plant}
    found |= {"start": local_time(line.start_utc_ms, offset_min), "end": local_time(line.end_utc_ms, offset_min)}
    found |= {one.name: getattr(line, one.name) for one in fields(line) if one.name not in NOT_COLUMNS}
    found["kept_pct"] = line.kept_pct
    found["at"] = None if line.at is None else case(line.at)
    return found | {"cases": [case(one) for one in line.cases]}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """A row a line; of `at` its begin, of `cases` their begins, at most `CASES_SHOWN`."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        at, cases = row["at"], [one["start"] for one in row["cases"][:CASES_SHOWN]]
        plain = row | {"at": at["start"] if at else None, "cases": ";".join(cases)}
        writer.writerow([_cell(value) for value in plain.values()])
    return file.getvalue()


def _cell(value: Any) -> Any:
    """Nothing for None, true or false, anything else as it is: a float64 whole."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
