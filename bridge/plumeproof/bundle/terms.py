"""Short-term figures as the records make them beside those that stand in a bundle, both as columns; equal or not.

A day of a stack has thousands of them, and in a good bundle every one is equal: numpy says so without one tuple. What
is not found equal is not judged here: figures.py goes through it one by one and names the place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from plumeproof.bundle.arrays import NO_FLOAT
from plumeproof.bundle.figure_columns import FigureColumns
from plumeproof.rules.figure import ENGINE_VERSION, MEASURED, SHORT_TERM
from plumeproof.rules.plant_state import NAMES
from plumeproof.rules.term_figures import PERIPHERAL, LayerColumns, RowColumns, TermFigures

Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_NONE = np.array(NO_FLOAT, np.uint64).view(np.float64)


def count_short(stored: Sequence[FigureColumns], rule_set: str, start_utc_ms: int, end_utc_ms: int) -> int:
    """Short-term figures of a rule set that begin in [start, end), whoever made them."""
    return sum(int(np.count_nonzero(_short(one, rule_set, start_utc_ms, end_utc_ms))) for one in stored)


def _short(columns: FigureColumns, rule_set: str, start_utc_ms: int, end_utc_ms: int) -> Truths:
    arrays = columns.arrays
    found = (arrays["level"] == columns.text(SHORT_TERM)) & (arrays["rule_set"] == columns.text(rule_set))
    return np.asarray(found & (arrays["start_utc_ms"] >= start_utc_ms) & (arrays["start_utc_ms"] < end_utc_ms))


def spans_of(columns: FigureColumns, chosen: Truths) -> Iterator[tuple[bytes, bytes, str, Integers, Integers]]:
    """Of each description, rule set and its name where the short terms among the chosen rows begin and end."""
    arrays = columns.arrays
    at = np.flatnonzero(chosen & (arrays["level"] == columns.text(SHORT_TERM)))
    owners = np.stack([arrays[name][at] for name in ("plant_hash", "rule_hash", "rule_set")], axis=1)
    for plant, rules, rule_set in np.unique(owners, axis=0).tolist():
        own = at[(owners == (plant, rules, rule_set)).all(axis=1)]
        begins, first = np.unique(arrays["start_utc_ms"][own], return_index=True)
        hashes, ends = columns.tables["hashes"], arrays["end_utc_ms"][own[first]]
        yield hashes[plant], hashes[rules], columns.tables["texts"][rule_set], begins, ends


def is_lacking(span_utc_ms: tuple[int, int], made: TermFigures, part: TermFigures) -> bool:
    """Whether a term inside [start, end) is not in the part that stands in the bundle."""
    begins = made.start_utc_ms + np.arange(len(made.inputs), dtype=np.int64) * made.length_ms
    is_due = (begins >= span_utc_ms[0]) & (begins + made.length_ms <= span_utc_ms[1])
    return bool((is_due & made.is_there & ~part.is_there).any())


@dataclass(frozen=True, slots=True)
class _Made:
    """What the figures of a term say, by figure and term. `invalid` by cause; `flags`: of which each is a bit."""

    floats: dict[str, Floats]
    wholes: dict[str, Integers]
    invalid: dict[str, Integers]
    flags: tuple[str, ...]
    flag_bits: Integers


class Terms:
    """`found` in a form that is compared with any number of members."""

    def __init__(self, found: TermFigures) -> None:
        self._found = found
        self._own = [(row, one) for row in found.rows for one in row.layers]
        self._made = _made(self._own)

    def part_in(self, stored: Sequence[FigureColumns]) -> TermFigures | None:
        """Those terms that stand in one of the members, each with all of its figures, equal in all but revision and
        reason; None where one is not so. A term that was still open when the bridge was asked has none there."""
        found = self._found
        end = found.start_utc_ms + len(found.inputs) * found.length_ms
        is_seen = np.zeros((len(self._own), len(found.inputs)), np.bool_)
        for columns in stored:
            chosen = np.flatnonzero(_short(columns, found.maker.rules.id, found.start_utc_ms, end))
            since = columns.arrays["start_utc_ms"][chosen] - found.start_utc_ms
            length = columns.arrays["end_utc_ms"][chosen] - columns.arrays["start_utc_ms"][chosen]
            fits = (length == found.length_ms) & (since % found.length_ms == 0)
            places = self._places(columns, chosen[fits])
            terms = since[fits] // found.length_ms
            if (places < 0).any() or not self._is_member_equal(columns, chosen[fits], places, terms):
                return None
            is_seen[places, terms] = True  # places of a member ascend: no figure stands twice there, nor in two days
        has: Truths = np.logical_or.reduce(is_seen)
        if not (is_seen == has).all():
            return None
        if (has == found.is_there).all():
            return found
        return replace(
            found, inputs=tuple(own if is_here else () for own, is_here in zip(found.inputs, has, strict=True))
        )

    def _places(self, columns: FigureColumns, chosen: Integers) -> Integers:
        """Of each row its number among the figures of a term; -1 where they have none such."""
        texts = len(columns.tables["texts"])
        numbers = np.full(texts * texts, -1, np.int64)
        for number, (row, one) in enumerate(self._own):
            measurand, layer = columns.text(row.name), columns.text(one.name)
            if measurand >= 0 and layer >= 0:
                numbers[measurand * texts + layer] = number
        arrays = columns.arrays
        found: Integers = numbers[arrays["measurand"][chosen].astype(np.int64) * texts + arrays["layer"][chosen]]
        return found

    def _is_member_equal(self, columns: FigureColumns, chosen: Integers, places: Integers, terms: Integers) -> bool:
        arrays, maker, made = columns.arrays, self._found.maker, self._made
        alike = {
            "plant_hash": columns.hash(maker.plant.digest),
            "rule_hash": columns.hash(maker.rules.digest),
            "rule_version": columns.text(maker.rules.version),
            "engine": columns.text(ENGINE_VERSION),
            "substituted_share": 0,
        }
        of_figure = {
            "unit": [columns.text(one.unit) for _, one in self._own],
            "decimals": [maker.decimals(row.name) for row, _ in self._own],
        }
        of_term = {"state": np.array([columns.text(name) for name in NAMES])[self._found.states]}
        of_term["inputs"] = self._inputs(columns)
        return (
            all((arrays[name][chosen] == number).all() for name, number in alike.items())
            and all((arrays[name][chosen] == np.array(own)[places]).all() for name, own in of_figure.items())
            and all((arrays[name][chosen] == own[terms]).all() for name, own in of_term.items())
            and all((arrays[name][chosen] == own[places, terms]).all() for name, own in made.wholes.items())
            and all(
                (arrays[name][chosen].view(np.uint64) == own[places, terms].view(np.uint64)).all()
                for name, own in made.floats.items()
            )
            and self._are_counts_equal(columns, chosen, places, terms)
            and bool((self._flag_bits(columns)[arrays["flags"][chosen]] == made.flag_bits[places, terms]).all())
        )

    def _inputs(self, columns: FigureColumns) -> Integers:
        """Of each term the number of its records in the table."""
        at = {tuple(map(tuple, entry)): number for number, entry in enumerate(columns.tables["records"])}
        told = [
            tuple((one.device, one.first_seq, one.last_seq, one.head_hash, one.parameters_hash) for one in own)
            for own in self._found.inputs
        ]
        return np.array([at.get(own, -1) if own else -1 for own in told], np.int64)

    def _are_counts_equal(self, columns: FigureColumns, chosen: Integers, places: Integers, terms: Integers) -> bool:
        entries, stored = columns.arrays["n_invalid"][chosen], columns.counts_by_cause()
        for cause in {*self._made.invalid, *stored}:
            own = stored[cause][entries] if cause in stored else np.zeros(len(entries), np.int64)
            again = self._made.invalid[cause][places, terms] if cause in self._made.invalid else 0
            if (own != again).any():
                return False
        return True

    def _flag_bits(self, columns: FigureColumns) -> Integers:
        """Of each set of the table; -1 for one that no figure here has."""
        bit = {flag: 1 << number for number, flag in enumerate(self._made.flags)}
        sets = [list(entry) for entry in columns.tables["flag_sets"]]
        is_known = [own == sorted(set(own)) and bit.keys() >= set(own) for own in sets]
        bits = [sum(map(bit.__getitem__, own)) if fine else -1 for own, fine in zip(sets, is_known, strict=True)]
        return np.array(bits, np.int64)


def _made(own: Sequence[tuple[RowColumns, LayerColumns]]) -> _Made:
    """As TermFigures makes a Figure of each."""
    n = np.stack([row.n for row, _ in own])
    own_n = np.stack([one.n for _, one in own])
    exists = np.stack([one.exists for _, one in own])
    is_uncertain = np.stack([one.is_uncertain for _, one in own]) & exists
    is_spread = np.array([one.name == MEASURED for _, one in own])[:, np.newaxis]
    floats = {
        "value": (exists, [one.values for _, one in own]),
        "minimum": (is_spread & (n > 0), [row.low for row, _ in own]),
        "maximum": (is_spread & (n > 0), [row.high for row, _ in own]),
        "deviation": (is_spread & (n > 1), [row.deviation for row, _ in own]),
        "uncertainty": (is_uncertain, [one.uncertainty for _, one in own]),
        "uncertainty_common": (is_uncertain, [one.uncertainty_common for _, one in own]),
    }
    none = np.zeros(n.shape[1], np.int64)
    causes = {PERIPHERAL, *(cause for row, _ in own for cause in row.invalid)}
    invalid = {cause: np.stack([row.invalid.get(cause, none) for row, _ in own]) for cause in causes}
    invalid[PERIPHERAL] = np.where(own_n < n, n - own_n, invalid[PERIPHERAL])
    flags = tuple(sorted({flag for row, _ in own for flag in row.flags}))
    bits = {
        row.name: sum(
            (row.flags[flag].astype(np.int64) << number for number, flag in enumerate(flags) if flag in row.flags), none
        )
        for row, _ in own
    }
    return _Made(
        floats={name: np.where(is_there, np.stack(values), _NONE) for name, (is_there, values) in floats.items()},
        wholes={
            "is_valid": np.stack([one.is_valid for _, one in own]).astype(np.int64),
            "n_expected": np.stack([row.expected for row, _ in own]),
            "n_valid": own_n,
        },
        invalid=invalid,
        flags=flags,
        flag_bits=np.stack([bits[row.name] for row, _ in own]),
    )
