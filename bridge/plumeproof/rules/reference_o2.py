"""Reference oxygen by regime and kind of plant (reference: averaging-rules sections 4.4, 10.3), to look it up.

For filling in a plant description (`plumeproof average --reference-o2`); what counts is the permit, whose figure stands
in the description.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.table_file import load_table, read_confidence, read_note, read_rows


@dataclass(frozen=True, slots=True)
class ReferenceO2:
    """vol-% of the dry gas."""

    regime: str
    plant: str
    o2_pct: float
    confidence: float
    source: str


@cache
def reference_o2_rows() -> tuple[ReferenceO2, ...]:
    """The whole table."""
    _, rows = load_table("reference_o2", lambda reader: read_rows(reader, "rows", _read_row))
    if len({(row.regime, row.plant) for row in rows}) != len(rows):
        raise RuleError("rules/tables/reference_o2.json", "a kind of plant is there twice")
    return rows


def _read_row(reader: Reader) -> ReferenceO2:
    row = ReferenceO2(
        reader.identifier("regime"),
        reader.identifier("plant"),
        reader.decimal("o2_pct"),
        read_confidence(reader),
        read_note(reader, "source"),
    )
    if not 0.0 <= row.o2_pct < 20.0:
        raise ParametersError("range", f"{reader.where}: o2_pct is outside 0..20")
    return row
