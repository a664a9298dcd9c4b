"""Parallel measurements of a QAL2 or AST as a test team hands them over: CSV with one row a pair, checked completely.

    time,ams,srm,factor
    2026-05-11T08:30:00Z,18.2,18.9,1.0

`ams`: what the AMS showed, before any calibration function; `srm`: the standard reference method at the same
conditions, both in the unit of the calibrated value. `factor`: what brings this pair to the reference conditions of the
limit (temperature, pressure, moisture, oxygen), from the team's own peripherals; without the column both are there
already. `time`: RFC 3339, or a day of the site.

    pairs = read_pairs(Path("qal2-nox.csv"), offset_min=60)
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant

FILE_MAX_BYTES = 64 * 1024
PAIRS_MAX = 1_000
COLUMNS, MORE = ("time", "ams", "srm"), ("factor",)
NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?")


@dataclass(frozen=True, slots=True)
class Pairs:
    """In the order of the file. `days`: of the site, of each pair."""

    days: tuple[date, ...]
    ams: tuple[float, ...]
    srm: tuple[float, ...]
    factors: tuple[float, ...]


def read_pairs(path: Path, offset_min: int) -> Pairs:
    """Raises ConfigError: one line with file, row and mend."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}; check name and rights") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(str(path), f"larger than {FILE_MAX_BYTES} bytes; a row for each pair, no raw data")
    try:
        reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")), restkey="", strict=True)
        head, rows = set(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"no UTF-8 at byte {error.start}; save it as UTF-8") from error
    except csv.Error as error:
        raise ConfigError(str(path), f"no CSV: {error}") from error
    if not rows or not set(COLUMNS) <= head or not head <= {*COLUMNS, *MORE}:
        mend = f"the first line has {','.join(COLUMNS)} and perhaps {MORE[0]}, separated by commas"
        raise ConfigError(str(path), f"no row, or other columns; {mend}")
    if len(rows) > PAIRS_MAX:
        raise ConfigError(str(path), f"more than {PAIRS_MAX} pairs")
    found = [_pair(row, f"{path}: row {number}", offset_min) for number, row in enumerate(rows, 2)]
    days, ams, srm, factors = zip(*found, strict=True)
    return Pairs(days, ams, srm, factors)


def _pair(row: dict[str, str | None], where: str, offset_min: int) -> tuple[date, float, float, float]:
    if "" in row:
        raise ConfigError(where, "has more cells than the first line; decimals have a point")
    local_ms = read_instant((row["time"] or "").strip(), offset_min, where) + offset_min * 60_000
    factor = _number(row, "factor", where) if "factor" in row else 1.0
    if not factor > 0.0:
        raise ConfigError(where, f"factor {factor:g} is not above 0; 1 where both are at reference conditions")
    day = date(1970, 1, 1) + timedelta(milliseconds=local_ms)
    return day, _number(row, "ams", where), _number(row, "srm", where), factor


def _number(row: dict[str, str | None], name: str, where: str) -> float:
    text = (row[name] or "").strip()
    if NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise ConfigError(where, f"{name} {text[:20]!r} is no number; decimals have a point, gaps are left out whole")
    return float(text)
