"""Short-term figures as the records make them beside those that stand in a bundle, both as columns; equal or not.

A day of a stack has thousands of them, and in a good bundle every one is equal: numpy says so without one tuple. What
is not found equal is not judged here: bundle_figures.py goes through it one by one and names the place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from plumeproof.bundle_arrays import NO_FLOAT
from plumeproof.bundle_figure_columns import FigureColumns
from plumeproof.rules.figure import ENGINE_VERSION, MEASURED, SHORT_TERM
from plumeproof.rules.plant_state import NAMES
from plumeproof.rules.term_figures import PERIPHERAL, LayerColumns, RowColumns, TermFigures

Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_NONE = np.array(NO_FLOAT, np.uint64).view(np.float64)
_NO_TERM = -2  # no number of a table, and not -1, which is no entry of it


def count_short(stored: Sequence[FigureColumns], rule_set: str, start_utc_ms: int, end_utc_ms: int) -> int:
    """Short-term figures of a rule set that begin in [start, end), whoever made them."""
    return sum(int(np.count_nonzero(_short(one, rule_set, start_utc_ms, end_utc_ms))) for one in stored)


def are_equal(found: TermFigures, stored: Sequence[FigureColumns]) -> bool:
    """Whether each of these figures stands in one of the members, once and equal in all but revision and reason."""
    end = found.start_utc_ms + len(found.inputs) * found.length_ms
    is_seen = np.zeros((len(found.inputs), sum(len(row.layers) for row in found.rows)), np.bool_)
    for columns in stored:
        chosen = np.flatnonzero(_short(columns, found.maker.rules.id, found.start_utc_ms, end))
        arrays = columns.arrays
        starts = arrays["start_utc_ms"][chosen]
        fits = (arrays["end_utc_ms"][chosen] - starts == found.length_ms) & (
            (starts - found.start_utc_ms) % found.length_ms == 0
        )
        chosen = chosen[fits]
        if not len(chosen):
            continue
        terms = (arrays["start_utc_ms"][chosen] - found.start_utc_ms) // found.length_ms
        if not _Member(found, columns).agrees(chosen, terms, is_seen):
            return False
    return bool((is_seen == found.is_there[:, np.newaxis]).all())


def _short(columns: FigureColumns, rule_set: str, start_utc_ms: int, end_utc_ms: int) -> Truths:
    arrays = columns.arrays
    found = (arrays["level"] == columns.text(SHORT_TERM)) & (arrays["rule_set"] == columns.text(rule_set))
    return np.asarray(found & (arrays["start_utc_ms"] >= start_utc_ms) & (arrays["start_utc_ms"] < end_utc_ms))


class _Member:
    """The rows of one member that are these terms'."""

    def __init__(self, found: TermFigures, columns: FigureColumns) -> None:
        self._found, self._columns, self._arrays = found, columns, columns.arrays
        self._counts = columns.counts_by_cause()
        inputs = {_entry(one): number for number, one in enumerate(columns.tables["records"])}
        told = [[(one.device, one.first_seq, one.last_seq, one.head_hash, one.parameters_hash) for one in own]
                for own in found.inputs]  # fmt: skip
        self._inputs = np.array([inputs.get(tuple(own), -1) if own else _NO_TERM for own in told], np.int64)
        self._states = np.array([columns.text(name) for name in NAMES], np.int64)[found.states]

    def agrees(self, chosen: Integers, terms: Integers, is_seen: Truths) -> bool:
        """Notes in `is_seen` (terms, figures of a term) what stands there; False at the first that is not equal."""
        arrays, columns, rules = self._arrays, self._columns, self._found.maker.rules
        alike = {
            "plant_hash": columns.hash(self._found.maker.plant.digest),
            "rule_hash": columns.hash(rules.digest),
            "rule_version": columns.text(rules.version),
            "engine": columns.text(ENGINE_VERSION),
        }
        if any((arrays[name][chosen] != number).any() for name, number in alike.items()):
            return False
        if arrays["substituted_share"][chosen].any():
            return False
        if (arrays["inputs"][chosen] != self._inputs[terms]).any() or (
            arrays["state"][chosen] != self._states[terms]
        ).any():
            return False
        measurand, layer = arrays["measurand"][chosen], arrays["layer"][chosen]
        known = 0
        for number, (row, one) in enumerate(self._everything()):
            own = (measurand == columns.text(row.name)) & (layer == columns.text(one.name))
            at, where = terms[own], chosen[own]
            if is_seen[at, number].any() or not self._is_equal(row, one, where, at):
                return False
            is_seen[at, number] = True
            known += len(at)
        return known == len(chosen)

    def _everything(self) -> Iterator[tuple[RowColumns, LayerColumns]]:
        return ((row, one) for row in self._found.rows for one in row.layers)

    def _is_equal(self, row: RowColumns, one: LayerColumns, where: Integers, at: Integers) -> bool:
        arrays, columns = self._arrays, self._columns
        n, own_n = row.n[at], one.n[at]
        exists, is_uncertain = one.exists[at], one.exists[at] & one.is_uncertain[at]
        decimals = self._found.maker.decimals(row.name)
        if (arrays["unit"][where] != columns.text(one.unit)).any() or (arrays["decimals"][where] != decimals).any():
            return False
        is_spread = one.name == MEASURED
        floats = {
            "value": (one.values, exists),
            "minimum": (row.low, is_spread & (n > 0)),
            "maximum": (row.high, is_spread & (n > 0)),
            "deviation": (row.deviation, is_spread & (n > 1)),
            "uncertainty": (one.uncertainty, is_uncertain),
            "uncertainty_common": (one.uncertainty_common, is_uncertain),
        }
        for name, (values, is_there) in floats.items():
            made = np.where(is_there, values[at], _NONE)
            if (made.view(np.uint64) != arrays[name][where].view(np.uint64)).any():
                return False
        wholes = {"is_valid": one.is_valid, "n_expected": row.expected, "n_valid": one.n}
        if any((arrays[name][where] != made[at]).any() for name, made in wholes.items()):
            return False
        return self._are_counts_equal(row, where, at, n, own_n) and self._are_flags_equal(row, where, at)

    def _are_counts_equal(self, row: RowColumns, where: Integers, at: Integers, n: Integers, own_n: Integers) -> bool:
        entries = self._arrays["n_invalid"][where]
        made = {cause: counts[at] for cause, counts in row.invalid.items()}
        before = made.get(PERIPHERAL, np.zeros(len(at), np.int64))
        made[PERIPHERAL] = np.where(own_n < n, n - own_n, before)
        for cause in {*made, *self._counts}:
            stored = self._counts[cause][entries] if cause in self._counts else 0
            if (np.asarray(stored) != made.get(cause, 0)).any():
                return False
        return True

    def _are_flags_equal(self, row: RowColumns, where: Integers, at: Integers) -> bool:
        entries = self._columns.tables["flag_sets"]
        stored = self._arrays["flags"][where]
        if any(list(entries[number]) != sorted(set(entries[number])) for number in np.unique(stored).tolist()):
            return False
        for flag in {*row.flags, *(flag for number in np.unique(stored).tolist() for flag in entries[number])}:
            has = np.array([flag in entry for entry in entries], np.bool_)[stored]
            made = row.flags[flag][at] if flag in row.flags else False
            if (has != made).any():
                return False
        return True


def _entry(one: Sequence[Sequence[object]]) -> tuple[tuple[object, ...], ...]:
    return tuple(tuple(own) for own in one)
