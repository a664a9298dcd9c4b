"""Factors of the tests of EN 14181:2014 by the number of pairs: k_v (clause 6.6) and t (clause 8; DK 0.9).

A table (tables/qal2_factors.json), because no library here has the distributions; it holds every N from 3 to 60, and
nothing is interpolated between numbers of pairs or beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.table_file import load_table, read_rows

PAIRS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Factors:
    """For `n` pairs: `k_v` of the variability test, `t_095` one-sided with n - 1 degrees of freedom."""

    n: int
    k_v: float
    t_095: float


def factors_of(n: int) -> Factors:
    """Raises RuleError where the table has no such number of pairs."""
    rows = _rows()
    if n not in rows:
        raise RuleError("pairs", f"no factors for {n} pairs; the table has {min(rows)} to {max(rows)}, and no guesses")
    return rows[n]


@cache
def _rows() -> dict[int, Factors]:
    _, rows = load_table("qal2_factors", lambda reader: read_rows(reader, "factors", _read))
    found = {row.n: row for row in rows}
    if len(found) != len(rows):
        raise RuleError("rules/tables/qal2_factors.json", "a number of pairs is there twice")
    return found


def _read(reader: Reader) -> Factors:
    row = Factors(reader.integer("n", 2, PAIRS_MAX), reader.decimal("k_v"), reader.decimal("t_095"))
    if not (0.0 < row.k_v < 1.0 and 1.6 < row.t_095 < 13.0):
        raise ParametersError("range", f"{reader.where}: k_v or t_095 is no such factor")
    return row
