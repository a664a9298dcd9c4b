"""Names of HJ 212: systems (ST), commands (CN), QnRtn, ExeRtn, data flags, factors. From codes.csv and factors.csv.

The tables are data: each row names its source, and `verified` holds the day on which somebody compared it with the text
of the standard (empty: nobody yet). A row of edition 2025 is a preview with confidence `medium`.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from plumeproof.errors import ConfigError

KINDS = ("system", "command", "QnRtn", "ExeRtn", "flag")
CODE_COLUMNS = ("kind", "code", "name", "edition", "direction", "confidence", "source", "verified")
FACTOR_COLUMNS = (
    *("code", "name_zh", "name_en", "legacy_2005", "unit", "mass_unit"),
    *("value_format", "local", "source", "verified"),
)
TABLE_MAX = 1 << 20  # bytes of one table


@dataclass(frozen=True, slots=True)
class Code:
    """One row of codes.csv."""

    kind: str
    code: str
    name: str
    edition: str
    direction: str
    confidence: str
    source: str
    verified: str


@dataclass(frozen=True, slots=True)
class Factor:
    """One row of factors.csv. `unit` is that of the concentration; `local`: a site's own code, in no standard."""

    code: str
    name_zh: str
    name_en: str
    legacy_2005: str
    unit: str
    mass_unit: str
    value_format: str
    local: str
    source: str
    verified: str

    @property
    def name(self) -> str:
        """English where there is a name, else Chinese."""
        return self.name_en or self.name_zh


def read_codes(text: str, where: str) -> dict[tuple[str, str], Code]:
    """Codes by (kind, code). Raises ConfigError."""
    found: dict[tuple[str, str], Code] = {}
    for line, row in read_rows(text, CODE_COLUMNS, where):
        code = Code(**row)
        if code.kind not in KINDS:
            raise ConfigError(f"{where} line {line}", f"kind {code.kind[:20]!r} is none of {', '.join(KINDS)}")
        if (code.kind, code.code) in found:
            raise ConfigError(f"{where} line {line}", f"{code.kind} {code.code[:20]} stands twice; delete one")
        found[code.kind, code.code] = code
    return found


def read_factors(text: str, where: str) -> dict[str, tuple[Factor, ...]]:
    """Factors by code and by the code of 2005, which can name more than one (23). Raises ConfigError."""
    found: dict[str, tuple[Factor, ...]] = {}
    for line, row in read_rows(text, FACTOR_COLUMNS, where):
        factor = Factor(**row)
        if any(other.code == factor.code for other in found.get(factor.code, ())):
            raise ConfigError(f"{where} line {line}", f"factor {factor.code[:20]} stands twice; delete one")
        for code in {factor.code, factor.legacy_2005} - {""}:
            found[code] = (*found.get(code, ()), factor)
    return found


def read_local(text: str, where: str) -> dict[str, tuple[Factor, ...]]:
    """The package's factors and a site's own, each marked local; a code of the standard cannot be changed. Raises
    ConfigError."""
    found = dict(factors())
    for code, rows in read_factors(text, where).items():
        for factor in rows:
            if factor.local != "true":
                raise ConfigError(where, f"factor {factor.code[:20]}: write true in the column local")
            if code in factors():
                raise ConfigError(where, f"factor {code[:20]} is a code of the standard; take another")
        found[code] = rows
    return found


@functools.cache
def codes() -> Mapping[tuple[str, str], Code]:
    """The package's codes."""
    return read_codes(_text("codes.csv"), "codes.csv")


@functools.cache
def factors() -> Mapping[str, tuple[Factor, ...]]:
    """The package's factors."""
    return read_factors(_text("factors.csv"), "factors.csv")


def name_of(kind: str, code: str) -> str:
    """The name of a code; empty where no table knows it."""
    row = codes().get((kind, code))
    return row.name if row else ""


def factor_of(field: str) -> Factor | None:
    """The factor of a CP field (a21026-Rtd); None where it is unknown or the code of 2005 names two."""
    code, sign, _ = field.partition("-")
    found = factors().get(code, ()) if sign else ()
    return found[0] if len(found) == 1 else None


def _text(name: str) -> str:
    return (files("plumeproof.hj212") / name).read_text(encoding="utf-8")


def read_rows(text: str, columns: tuple[str, ...], where: str) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of a table of exactly these columns. Raises ConfigError."""
    if len(text) > TABLE_MAX:
        raise ConfigError(where, f"more than {TABLE_MAX} characters; no table of codes is so large")
    reader = csv.reader(io.StringIO(text), strict=True)
    rows = []
    try:
        if tuple(next(reader, ())) != columns:
            raise ConfigError(f"{where} line 1", f"the columns must be {','.join(columns)}")
        for row in reader:
            if len(row) != len(columns):
                raise ConfigError(f"{where} line {reader.line_num}", f"{len(row)} values, {len(columns)} columns")
            rows.append((reader.line_num, dict(zip(columns, row, strict=True))))
    except csv.Error as error:
        raise ConfigError(f"{where} line {reader.line_num}", f"no readable CSV: {error}") from None
    return rows
