"""Averages of one module and UTC day as columns (bridge/BUNDLE.md section 3).

What the rows of an interval share stands once, in a table of intervals; texts and parameter sets stand in tables of
their own. So a set of rows has exactly one form, and a day is compared by numpy.

    raw = build_columns(columns_of(rows)); columns = parse_columns(raw); next(rows_of(columns, [0]))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from acqwire import limits

from plumeproof.bundle.arrays import (
    TABLE_MAX,
    TEXT_MAX,
    Array,
    check_ascending,
    check_floats,
    check_use,
    dump,
    fault,
    load,
    numbered,
    refuse,
)

ROW_NAMES = (
    "channel", "quantity", "unit", "interval_s", "start_utc_ms", "n_expected", "n_valid", "n_invalid", "mean",
    "minimum", "maximum", "deviation", "first_seq", "last_seq", "head_hash", "parameters_hash", "rule", "rule_version",
    "summation", "revision", "reason",
)  # fmt: skip
INTERVALS = {
    "interval_s": "<u4", "start_utc_ms": "<i8", "revision": "<u4", "last_seq": "<i8", "first_seq": "<i8",
    "set": "<u2", "n_expected": "<u4", "rule": "<u2", "reason": "<u2", "row_count": "<u4",
}  # fmt: skip
WHOLE = ("interval_s", "start_utc_ms", "revision", "last_seq", "first_seq", "n_expected")
FLOATS = ("mean", "minimum", "maximum", "deviation")
ROWS = {"channel": "<u2", "n_valid": "<u4", **dict.fromkeys(FLOATS, "<f8")}
COUNTS = {"invalid_row": "<u4", "invalid_cause": "<u2", "invalid_count": "<u4"}
ARRAYS = {**INTERVALS, **ROWS, **COUNTS}
TABLES = {"channels": 3, "rules": 3, "reasons": 1, "causes": 1}  # texts of an entry
USES = {"channel": "channels", "rule": "rules", "reason": "reasons", "invalid_cause": "causes", "set": "sets"}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """`tables`: channels (channel, quantity, unit), rules (rule, rule_version, summation), reasons, causes, each entry
    a tuple of texts. `sets`: parameter hashes. `heads` (intervals, 32): content hash of the last record of each."""

    tables: dict[str, tuple[tuple[str, ...], ...]]
    sets: tuple[bytes, ...]
    heads: npt.NDArray[np.uint8]
    arrays: dict[str, Array]

    @property
    def row_count(self) -> int:
        """Averages in it."""
        return len(self.arrays["channel"])

    def first_rows(self) -> npt.NDArray[np.int64]:
        """Of each interval the place of its first row, and behind them the number of rows."""
        counts = self.arrays["row_count"].astype(np.int64)
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def columns_of(rows: Sequence[Row]) -> Columns:
    """From rows of a ledger in the order of ROW_NAMES, no row twice. Raises ValueError, TypeError, OverflowError for
    what no bridge writes."""
    own = dict(zip(ROW_NAMES, zip(*rows, strict=True), strict=True))
    read = {text: sorted(json.loads(text).items()) for text in set(own["n_invalid"])}
    counts = list(map(read.__getitem__, own["n_invalid"]))
    tables: dict[str, tuple[tuple[str, ...], ...]] = {}
    tables["channels"], channel = numbered(list(zip(own["channel"], own["quantity"], own["unit"], strict=True)))
    tables["rules"], rule = numbered(list(zip(own["rule"], own["rule_version"], own["summation"], strict=True)))
    tables["reasons"], reason = numbered([(one,) for one in own["reason"]])
    tables["causes"], cause = numbered([(name,) for one in counts if one for name, _ in one])
    sets, set_at = numbered(own["parameters_hash"])
    heads, head_at = numbered(own["head_hash"])
    shared: dict[str, Array] = {name: np.array(own[name], INTERVALS[name]) for name in WHOLE}
    shared |= {"head": head_at, "set": set_at, "rule": rule, "reason": reason}
    names = ("interval_s", "start_utc_ms", "revision", "last_seq", "first_seq", "head", "set", "n_expected", "rule")
    keys = [shared[name] for name in (*names, "reason")]
    order = np.lexsort([channel, *reversed(keys)])
    begins = np.zeros(len(rows), np.bool_)
    begins[0] = True
    for key in keys:
        ordered = key[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    first = np.flatnonzero(begins)
    arrays = {name: shared[name][order][first] for name in INTERVALS if name in shared}
    arrays["row_count"] = np.diff(first, append=len(rows))
    arrays |= {"channel": channel[order], "n_valid": np.array(own["n_valid"], "<u4")[order]}
    arrays |= {name: np.array(own[name], "<f8")[order] for name in FLOATS}  # None becomes the NaN
    triples = [(row, number) for row, one in enumerate(counts) if one for _, number in one]
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    at = place[[row for row, _ in triples]] if triples else np.zeros(0, np.int64)
    turned = np.lexsort([cause, at])
    arrays["invalid_row"], arrays["invalid_cause"] = at[turned], cause[turned]
    arrays["invalid_count"] = np.array([number for _, number in triples], "<u4")[turned]
    found = {name: arrays[name].astype(dtype) for name, dtype in ARRAYS.items()}
    joined = b"".join(heads[number] for number in head_at[order][first].tolist())
    return Columns(tables, sets, np.frombuffer(joined, np.uint8).reshape(len(first), limits.HASH_BYTES), found)


def build_columns(columns: Columns) -> bytes:
    """The bytes of a member."""
    tables: dict[str, Any] = {
        name: [list(entry) if width > 1 else entry[0] for entry in columns.tables[name]]
        for name, width in TABLES.items()
    }
    tables |= {"sets": list(columns.sets), "head_hash": columns.heads.tobytes()}
    return dump(tables, columns.arrays)


def parse_columns(raw: bytes) -> Columns:
    """Read strictly: what was read must give these bytes again. Raises EvidenceError (form), which names the field."""
    tree = load(raw, (*TABLES, "sets", "head_hash"), ARRAYS)
    tables = {name: _read_table(tree[name], name, width) for name, width in TABLES.items()}
    sets, heads = tree["sets"], tree["head_hash"]
    if not isinstance(sets, (list, tuple)) or not all(isinstance(one, bytes) and len(one) == 32 for one in sets):
        raise fault("sets", "is no list of hashes")
    check_ascending(sets, "sets")
    count = len(tree["interval_s"])
    if not isinstance(heads, bytes) or len(heads) != limits.HASH_BYTES * count:
        raise fault("head_hash", f"is not one hash for each of {count} intervals")
    arrays = {name: tree[name] for name in ARRAYS}
    shape = np.frombuffer(heads, np.uint8).reshape(count, limits.HASH_BYTES)
    found = Columns(tables, tuple(sets), shape, arrays)
    _check_lengths(found)
    sizes = {name: len(table) for name, table in tables.items()} | {"sets": len(sets)}
    for name, table in USES.items():
        check_use({name: arrays[name]}, sizes[table], table)
    refuse(arrays["invalid_row"] >= found.row_count, "invalid_row", "is no row")
    _check_order(found)
    check_floats(arrays, FLOATS)
    if build_columns(found) != raw:
        raise fault("map", "other bytes than its deterministic encoding")
    return found


def _read_table(value: Any, name: str, width: int) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, (list, tuple)) or len(value) > TABLE_MAX:
        raise fault(name, "is no table")
    found = tuple(tuple(entry) if isinstance(entry, (list, tuple)) and width > 1 else (entry,) for entry in value)
    for number, entry in enumerate(found):
        if len(entry) != width or not all(isinstance(one, str) and len(one) <= TEXT_MAX for one in entry):
            raise fault(name, f"entry {number} is no entry")
    check_ascending(found, name)
    return found


def _check_lengths(columns: Columns) -> None:
    arrays = columns.arrays
    row_count = int(arrays["row_count"].sum(dtype=np.int64))
    for names, count in ((INTERVALS, len(columns.heads)), (ROWS, row_count), (COUNTS, len(arrays["invalid_row"]))):
        for name in names:
            if len(arrays[name]) != count:
                raise fault(name, f"has {len(arrays[name])} entries, {count} are due")
    for name in ("row_count", "invalid_count"):
        refuse(arrays[name] == 0, name, "is 0")
    if not row_count:
        raise fault("channel", "there is no row")


def _check_order(columns: Columns) -> None:
    """Intervals, the rows of each and the counts of each row ascend; none stands twice."""
    arrays = columns.arrays
    length, start = arrays["interval_s"].astype(np.int64), arrays["start_utc_ms"]
    known = np.diff(length) > 0
    known |= (np.diff(length) == 0) & (np.diff(start) > 0)
    names = ("interval_s", "start_utc_ms", "revision", "last_seq", "first_seq")
    for at in np.flatnonzero(~known).tolist():  # few: more than one entry for an interval
        one, other = (
            (*(int(arrays[name][here]) for name in names), columns.heads[here].tobytes(),
             *(int(arrays[name][here]) for name in ("set", "n_expected", "rule", "reason")))
            for here in (at, at + 1)
        )  # fmt: skip
        if not one < other:
            raise fault("interval_s", f"entry {at + 1} is not behind the one before it")
    begins = np.zeros(columns.row_count + 1, np.bool_)
    begins[columns.first_rows()] = True
    is_next = np.diff(arrays["channel"].astype(np.int64)) > 0
    refuse(~(is_next | begins[1:-1]), "channel", "is not below that of the next row")
    row, cause = np.diff(arrays["invalid_row"].astype(np.int64)), np.diff(arrays["invalid_cause"].astype(np.int64))
    refuse(~((row > 0) | ((row == 0) & (cause > 0))), "invalid_row", "is not below the next")


def rows_of(columns: Columns, intervals: Sequence[int]) -> Iterator[list[dict[str, Any]]]:
    """The rows of some intervals as objects with ROW_NAMES, hashes in hex, counts as an object."""
    arrays, first = columns.arrays, columns.first_rows()
    for at in intervals:
        shared: dict[str, Any] = {name: int(arrays[name][at]) for name in WHOLE}
        rule, version, summation = columns.tables["rules"][arrays["rule"][at]]
        shared |= {"rule": rule, "rule_version": version, "summation": summation}
        shared |= {"reason": columns.tables["reasons"][arrays["reason"][at]][0]}
        shared["head_hash"] = columns.heads[at].tobytes().hex()
        shared["parameters_hash"] = columns.sets[arrays["set"][at]].hex()
        found = []
        for row in range(int(first[at]), int(first[at + 1])):
            channel, quantity, unit = columns.tables["channels"][arrays["channel"][row]]
            own: dict[str, Any] = {"channel": channel, "quantity": quantity, "unit": unit}
            own["n_valid"] = int(arrays["n_valid"][row])
            for name in FLOATS:
                value = float(arrays[name][row])
                own[name] = value if value == value else None
            begin, end = np.searchsorted(arrays["invalid_row"], (row, row + 1))
            own["n_invalid"] = {
                columns.tables["causes"][arrays["invalid_cause"][one]][0]: int(arrays["invalid_count"][one])
                for one in range(begin, end)
            }
            found.append(shared | own)
        yield found
