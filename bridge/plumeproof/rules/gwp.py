"""CO2 equivalents: which global warming potential a regime uses in a year (reference: averaging-rules section 9.6).

A table keyed by regime and year (tables/gwp.json), never one constant: the same N2O is 298, 265 or 273. A regime or
year that the table does not have is refused and never guessed; a plant may name a set instead ("AR5").

    factor = load_gwp().find("cbam_2026", 2026, "N2O")     # .value 265.0, .set_id "AR5", .confidence 0.9
    load_gwp().of_set("AR4", "N2O")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.table_file import TableHead, load_table, read_confidence, read_note, read_rows

YEARS = (1990, 2100)
GAS_MAX = 64


@dataclass(frozen=True, slots=True)
class GwpFactor:
    """t CO2e per t of `gas`, with where it comes from. `confidence` is that the regime uses this set."""

    gas: str
    value: float
    set_id: str
    source: str
    confidence: float


@dataclass(frozen=True, slots=True)
class GwpSet:
    """One assessment report."""

    id: str
    source: str
    gases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GwpUse:
    """`regime` uses `set_id` in the years from_year..to_year, both included."""

    regime: str
    from_year: int
    to_year: int
    set_id: str
    confidence: float
    source: str


@dataclass(frozen=True, slots=True)
class GwpTable:
    """The sets, and who uses which when."""

    head: TableHead
    sets: Mapping[str, GwpSet]
    uses: tuple[GwpUse, ...]

    def find(self, regime: str, year: int, gas: str) -> GwpFactor:
        """Raises RuleError where the table names no set for the regime and year, or the set no such gas."""
        for use in self.uses:
            if use.regime == regime and use.from_year <= year <= use.to_year:
                factor = self.of_set(use.set_id, gas)
                source = f"{factor.source}; {use.source}"
                return GwpFactor(gas, factor.value, use.set_id, source, use.confidence)
        known = ", ".join(f"{use.regime} {use.from_year}-{use.to_year}" for use in self.uses)
        raise RuleError("gwp", f"no set for {regime} in {year}; the table has {known}; name a set such as AR5 instead")

    def of_set(self, set_id: str, gas: str) -> GwpFactor:
        """A factor of a named set: chosen by the plant, so with confidence 1."""
        if set_id not in self.sets:
            raise RuleError("gwp", f"no set {set_id!r}; the table has {', '.join(self.sets)}")
        chosen = self.sets[set_id]
        if gas not in chosen.gases:
            raise RuleError("gwp", f"{set_id} has no {gas!r}; it has {', '.join(chosen.gases)}")
        return GwpFactor(gas, chosen.gases[gas], set_id, chosen.source, 1.0)


@cache
def load_gwp() -> GwpTable:
    """The table of this release."""
    return read_gwp("gwp")


def read_gwp(name_or_path: str | Path) -> GwpTable:
    """A table of your own, by its path. Raises RuleError."""
    head, (sets, uses) = load_table(name_or_path, _read)
    return GwpTable(head, MappingProxyType({one.id: one for one in sets}), uses)


def _read(reader: Reader) -> tuple[tuple[GwpSet, ...], tuple[GwpUse, ...]]:
    sets = read_rows(reader, "sets", _read_set)
    uses = read_rows(reader, "uses", _read_use)
    names = [one.id for one in sets]
    if len(set(names)) != len(names):
        raise ParametersError("range", "sets: an id is there twice")
    for index, use in enumerate(uses):
        if use.set_id not in names:
            raise ParametersError("reference", f"uses[{index}]: there is no set {use.set_id}")
        if use.from_year > use.to_year:
            raise ParametersError("range", f"uses[{index}]: from_year is after to_year")
        for other in uses[:index]:
            if other.regime == use.regime and other.from_year <= use.to_year and use.from_year <= other.to_year:
                raise ParametersError("range", f"uses[{index}]: a year of {use.regime} has two sets")
    return sets, uses


def _read_set(reader: Reader) -> GwpSet:
    set_id, source = reader.identifier("id"), read_note(reader, "source")
    inner = reader.take("gases")
    if not isinstance(inner, dict) or not 1 <= len(inner) <= GAS_MAX:
        raise ParametersError("type", f"{reader.where}: gases is no object of 1..{GAS_MAX} gases")
    gases = Reader(inner, f"{reader.where}: gases")
    found = {}
    for gas in inner:
        found[gas] = gases.decimal(gas)
        if found[gas] <= 0.0:
            raise ParametersError("range", f"{reader.where}: {gas} is not above 0")
    return GwpSet(set_id, source, MappingProxyType(found))


def _read_use(reader: Reader) -> GwpUse:
    return GwpUse(
        reader.identifier("regime"),
        reader.integer("from_year", *YEARS),
        reader.integer("to_year", *YEARS),
        reader.identifier("set"),
        read_confidence(reader),
        read_note(reader, "source"),
    )
