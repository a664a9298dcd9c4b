"""Figures of one plant that begin on one UTC day, as columns (bridge/BUNDLE.md section 3).

Texts, hashes, flags, counts and the records that figures rest on stand once, in tables that ascend by the CBOR bytes of
their entries. A row here is one of the ledger's table of figures: flags, counts and inputs are JSON in it.

    raw = build_figures(rows); rows = parse_figures(raw, plant).rows()
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt
from acqwire import limits

from plumeproof.bundle.arrays import (
    TABLE_MAX,
    TEXT_MAX,
    Array,
    Truths,
    check_ascending,
    check_floats,
    check_use,
    dump,
    fault,
    load,
    numbered,
    refuse,
)
from plumeproof.rules.figure import Figure

NAMES = Figure._fields
PLACE = ("level", "start_utc_ms", "end_utc_ms", "rule_set", "measurand", "layer")  # and revision: the order of rows
TEXTS = ("rule_set", "rule_version", "engine", "measurand", "layer", "level", "unit", "state", "reason")
HASHES = ("plant_hash", "rule_hash")
FLOATS = (
    "value", "minimum", "maximum", "deviation", "uncertainty", "uncertainty_common", "substituted_share",
)  # fmt: skip
JSON = {"flags": "flag_sets", "n_invalid": "counts", "inputs": "records"}  # column to table
WHOLE = {
    "start_utc_ms": "<i8", "end_utc_ms": "<i8", "n_expected": "<u4", "n_valid": "<u4", "decimals": "<i8",
    "revision": "<u4", "is_valid": "|u1",
}  # fmt: skip
ARRAYS = {
    **dict.fromkeys((*TEXTS, *HASHES), "<u2"), **dict.fromkeys(JSON, "<u4"), **dict.fromkeys(FLOATS, "<f8"), **WHOLE,
}  # fmt: skip
TABLES = ("texts", "hashes", *JSON.values())
COUNT_END = 1 << 62
_ORDER = tuple(NAMES.index(name) for name in (*PLACE, "revision"))

Row = tuple[Any, ...]


def build_figures(rows: Sequence[Row]) -> bytes:
    """The bytes of a member, from rows in the order of NAMES. Raises ValueError, TypeError, KeyError, OverflowError for
    what no bridge writes."""
    ordered = sorted(rows, key=lambda row: [row[at] for at in _ORDER])
    own = dict(zip(NAMES, zip(*ordered, strict=True), strict=True))
    tables: dict[str, tuple[Any, ...]] = {}
    arrays: dict[str, Array] = {name: np.array(own[name], dtype) for name, dtype in WHOLE.items()}
    arrays |= {name: np.array(own[name], "<f8") for name in FLOATS}  # None becomes the NaN
    for table, names in (("texts", TEXTS), ("hashes", HASHES)):
        tables[table], numbers = numbered([entry for name in names for entry in own[name]], cbor2.dumps)
        if len(tables[table]) > TABLE_MAX:
            raise ValueError(f"more than {TABLE_MAX} names in a day")
        arrays |= dict(zip(names, np.split(numbers, len(names)), strict=True))
    for name, table in JSON.items():
        packed = {text: cbor2.dumps(_from_text[name](text), canonical=True) for text in set(own[name])}
        entries, arrays[name] = numbered([packed[text] for text in own[name]])
        tables[table] = tuple(map(cbor2.loads, entries))
    typed = {name: arrays[name].astype(dtype) for name, dtype in ARRAYS.items()}
    return dump({name: list(table) for name, table in tables.items()}, typed)


@dataclass(frozen=True, slots=True)
class FigureColumns:
    """A member as it was read: `arrays` by ARRAYS, `tables` by TABLES."""

    plant: str
    arrays: dict[str, Array]
    tables: dict[str, tuple[Any, ...]]
    _json: dict[str, list[str]]  # entries of the tables of JSON as a ledger has them, by column

    @property
    def row_count(self) -> int:
        """Figures in it, of all revisions."""
        return len(self.arrays["level"])

    def text(self, entry: str) -> int:
        """The number of a text, -1 where there is none."""
        return self.tables["texts"].index(entry) if entry in self.tables["texts"] else -1

    def hash(self, entry: bytes) -> int:
        """The number of a hash, -1 where there is none."""
        return self.tables["hashes"].index(entry) if entry in self.tables["hashes"] else -1

    def begins(self) -> Truths:
        """Of each row whether its place is another than that of the row before."""
        found = np.ones(self.row_count, np.bool_)
        found[1:] = np.logical_or.reduce([np.diff(self.arrays[name].astype(np.int64)) != 0 for name in PLACE])
        return found

    def counts_by_cause(self) -> dict[str, npt.NDArray[np.int64]]:
        """Of each cause how often it stands in each entry of `counts`; -1 for a number that no figure has."""
        found: dict[str, npt.NDArray[np.int64]] = {}
        for number, entry in enumerate(self.tables["counts"]):
            for cause, count in entry:
                of = found.setdefault(cause, np.zeros(len(self.tables["counts"]), np.int64))
                of[number] = count if 0 < count < COUNT_END else -1
        return found

    def rows(self, chosen: npt.NDArray[Any] | None = None) -> list[Row]:
        """Some rows, or all, in the order of NAMES."""
        own = self.arrays if chosen is None else {name: one[chosen] for name, one in self.arrays.items()}
        columns: dict[str, list[Any]] = {name: own[name].tolist() for name in WHOLE}
        for name in FLOATS:
            columns[name] = [value if value == value else None for value in own[name].tolist()]
        for names, entries in ((TEXTS, self.tables["texts"]), (HASHES, self.tables["hashes"])):
            columns |= {name: [entries[at] for at in own[name].tolist()] for name in names}
        for name, texts in self._json.items():
            columns[name] = [texts[at] for at in own[name].tolist()]
        columns["plant"] = [self.plant] * len(own["level"])
        return list(zip(*(columns[name] for name in NAMES), strict=True))


def parse_figures(raw: bytes, plant: str, is_checked: bool = False) -> FigureColumns:
    """Read strictly; `is_checked`: just these bytes were before. Raises EvidenceError (form), which names the field."""
    tree = load(raw, TABLES, ARRAYS)
    arrays = {name: tree[name] for name in ARRAYS}
    if is_checked:
        tables = {name: tuple(tree[name]) for name in TABLES}
    else:
        tables = _checked(tree, arrays)
        if dump({name: tree[name] for name in TABLES}, arrays) != raw:
            raise fault("map", "other bytes than its deterministic encoding")
    texts = {name: _texts(name, of, tables[of], is_checked) for name, of in JSON.items()}
    found = FigureColumns(plant, arrays, tables, texts)
    if not is_checked:
        _check_order(found)
    return found


def _checked(tree: dict[str, Any], arrays: dict[str, Array]) -> dict[str, tuple[Any, ...]]:
    count = len(arrays["level"])
    for name, one in arrays.items():
        if len(one) != count or not count:
            raise fault(name, f"has {len(one)} entries, {count} are due, and one at least")
    tables = {name: _read_table(tree[name], name) for name in TABLES}
    for table, names in (("texts", TEXTS), ("hashes", HASHES), *((table, (name,)) for name, table in JSON.items())):
        check_use({name: arrays[name] for name in names}, len(tables[table]), table)
    check_floats(arrays, FLOATS)
    refuse(arrays["is_valid"] > 1, "is_valid", "is neither 0 nor 1")
    return tables


def _check_order(columns: FigureColumns) -> None:
    """Rows ascend, texts by their characters."""
    texts = columns.tables["texts"]
    rank = np.empty(len(texts), np.int64)
    rank[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    less, same = np.zeros(columns.row_count - 1, np.bool_), np.ones(columns.row_count - 1, np.bool_)
    for name in (*PLACE, "revision"):
        own = columns.arrays[name]
        step = np.diff(rank[own] if name in TEXTS else own.astype(np.int64))
        less |= same & (step > 0)
        same &= step == 0
    if not less.all():
        raise fault("level", f"entry {int(np.argmin(less)) + 1} is not behind the one before it")


def _read_table(value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise fault(name, "is no table")
    for number, entry in enumerate(value):
        if name == "texts" and not (isinstance(entry, str) and len(entry) <= TEXT_MAX):
            raise fault(name, f"entry {number} is no text")
        if name == "hashes" and not (isinstance(entry, bytes) and len(entry) == limits.HASH_BYTES):
            raise fault(name, f"entry {number} is no hash")
    check_ascending([cbor2.dumps(entry, canonical=True) for entry in value], name)
    return tuple(value)


def _texts(name: str, table: str, entries: Sequence[Any], is_checked: bool) -> list[str]:
    """As a ledger has them. Raises EvidenceError for what is no such entry."""
    if is_checked:
        return [_to_text[name](entry) for entry in entries]
    found = []
    for number, entry in enumerate(entries):
        try:
            text = _to_text[name](entry)
            is_same = cbor2.dumps(_from_text[name](text), canonical=True) == cbor2.dumps(entry, canonical=True)
        except (ValueError, TypeError, AttributeError) as error:
            raise fault(table, f"entry {number} is no entry") from error
        if not is_same:
            raise fault(table, f"entry {number} is in another form")
        found.append(text)
    return found


def _flags_of(text: str) -> list[str]:
    return [str(one) for one in json.loads(text)]


def _counts_of(text: str) -> list[list[Any]]:
    return [[str(cause), int(count)] for cause, count in sorted(json.loads(text).items())]


def _inputs_of(text: str) -> list[list[Any]]:
    return [
        [str(device), int(first), int(last), bytes.fromhex(head), bytes.fromhex(parameters)]
        for device, first, last, head, parameters in json.loads(text)
    ]


def _counts_text(entry: Any) -> str:
    return json.dumps(dict(entry), sort_keys=True)


def _inputs_text(entry: Any) -> str:
    return json.dumps([[device, first, last, head.hex(), own.hex()] for device, first, last, head, own in entry])


_from_text: dict[str, Callable[[str], Any]] = {"flags": _flags_of, "n_invalid": _counts_of, "inputs": _inputs_of}
_to_text: dict[str, Callable[[Any], str]] = {
    "flags": lambda entry: json.dumps(list(entry)),
    "n_invalid": _counts_text,
    "inputs": _inputs_text,
}
