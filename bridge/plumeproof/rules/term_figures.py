"""The figures of one rule set's short terms, as columns; going through them makes them one by one.

A year of a stack has a million of them. Whoever only hashes them, or averages them further, takes the columns: the same
bits, without a million tuples. What a figure says is settled here, before either way is taken.

    for one in found: ...                         # Figure
    sha256(found.content()); series.take(found)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.evidence import intervals
from plumeproof.rules import figure, term_uncertainty
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import FLOW_ID, SHORT_TERM, Figure, InputRange
from plumeproof.rules.figure_maker import NO_SPREAD, Expanded, FigureMaker, Spread
from plumeproof.rules.plant_state import NAMES, STOPPED
from plumeproof.rules.short_terms import Layer, MeasurandTerms, ShortTerms
from plumeproof.rules.term_sums import TermSums
from plumeproof.rules.term_uncertainty import TermUncertainty

PERIPHERAL = "peripheral"  # cause: valid, but not convertible at its instant (each_slot.py)

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LayerColumns:
    """Of a layer what its figures say, (terms,). `n`: of how many first level data. Where `exists` is false there is no
    value (0.0 stands there); where `is_uncertain` is, expanded uncertainty and the part that all values share."""

    name: str
    unit: str
    values: Values
    exists: Truths
    is_valid: Truths
    n: Counts
    is_uncertain: Truths
    uncertainty: Values
    uncertainty_common: Values


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Of a measurand or the flow what its figures share, (terms,). `n` of `expected` first level data counted,
    `invalid` by cause did not; `low`, `high` where n > 0 and `deviation` where n > 1 are of those that counted."""

    name: str
    expected: Counts
    n: Counts
    invalid: dict[str, Counts]
    flags: dict[str, Truths]
    low: Values
    high: Values
    deviation: Values
    layers: tuple[LayerColumns, ...]


@dataclass(frozen=True, slots=True)
class TermFigures:
    """Figures of `maker`'s rule set and one length of terms. `inputs`: of each term; one without has no figures.
    `states`: code of each term, (terms,)."""

    maker: FigureMaker
    start_utc_ms: int
    length_ms: int
    inputs: tuple[tuple[InputRange, ...], ...]
    states: npt.NDArray[np.uint8]
    rows: tuple[RowColumns, ...]
    reason: str

    @property
    def is_there(self) -> Truths:
        """Which terms have figures."""
        return np.array([bool(inputs) for inputs in self.inputs], np.bool_)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.is_there)) * sum(len(row.layers) for row in self.rows)

    def __iter__(self) -> Iterator[Figure]:
        """By term, and in it by measurand and layer."""
        rows = [_Lists(row) for row in self.rows]
        states = self.states.tolist()
        for term, inputs in enumerate(self.inputs):
            if not inputs:
                continue
            begin = self.start_utc_ms + term * self.length_ms
            for row in rows:
                yield from row.figures(self, term, (begin, begin + self.length_ms), NAMES[states[term]], inputs)

    def content(self) -> Iterator[bytes]:
        """What the figures say beyond plant description and rule set, for a hash: equal bytes, equal figures. Numbers
        as this machine holds them: little-endian, except on s390x."""
        there = self.is_there
        told = [
            (one.device, one.first_seq, one.last_seq, one.head_hash, one.parameters_hash)
            for own in self.inputs
            for one in own
        ]
        yield repr((self.maker.rules.id, self.start_utc_ms, self.length_ms, self.reason, told)).encode()
        yield from _bytes(there, there, self.states)
        for row in self.rows:
            yield repr((row.name, list(row.invalid), list(row.flags))).encode()
            yield from _bytes(there, row.expected, row.n, *row.invalid.values(), *row.flags.values())
            yield from _bytes(there, row.low, row.high, row.deviation)
            for layer in row.layers:
                yield repr((layer.name, layer.unit)).encode()
                yield from _bytes(there, layer.values, layer.exists, layer.is_valid, layer.n)
                yield from _bytes(there, layer.is_uncertain, layer.uncertainty, layer.uncertainty_common)


def figures_of(
    maker: FigureMaker, terms: ShortTerms, inputs: Sequence[tuple[InputRange, ...]], reason: str
) -> TermFigures:
    """What `terms` say, with the records that each of them rests on."""
    sums = terms.sums
    uncertain = term_uncertainty.of_terms(maker.plant, maker.rules, terms)
    basis = maker.rules.settings.expected_basis()
    everything = (*terms.measurands, *((terms.flow,) if terms.flow is not None else ()))
    return TermFigures(
        maker=maker,
        start_utc_ms=sums.start_utc_ms,
        length_ms=sums.length_min * MINUTE_MS,
        inputs=tuple(inputs),
        states=np.where(sums.has_run, sums.state, STOPPED).astype(np.uint8),
        rows=tuple(_row(one, sums, basis, uncertain) for one in everything),
        reason=reason,
    )


def _row(
    one: MeasurandTerms, sums: TermSums, basis: str, uncertain: dict[tuple[str, str], TermUncertainty]
) -> RowColumns:
    name, row = FLOW_ID if one.measurand is None else one.measurand.id, one.row
    expected, n = sums.expected[row], sums.n[row]
    invalid = {intervals.name_of(number): counts[row] for number, counts in sums.invalid.items()}
    if basis == "period":
        whole = np.full(sums.count, sums.period[row])
        invalid["stopped"], expected = whole - expected, whole
    deviation = np.sqrt(np.where(n > 1, sums.m2[row], 0.0) / np.where(n > 1, n - 1, 1))
    layers = [*one.layers.items(), *(((figure.PLAIN, one.plain),) if one.plain is not None else ())]
    return RowColumns(
        name=name,
        expected=expected,
        n=n,
        invalid=dict(sorted(invalid.items())),
        flags={flag: np.broadcast_to(one.flags[flag], sums.count) for flag in sorted(one.flags)},
        low=np.where(n > 0, sums.low[row], 0.0),
        high=np.where(n > 0, sums.high[row], 0.0),
        deviation=deviation,
        layers=tuple(
            _layer(key, own, sums.n[one.rows.get(key, row)], uncertain.get((name, key))) for key, own in layers
        ),
    )


def _layer(name: str, own: Layer, n: Counts, uncertainty: TermUncertainty | None) -> LayerColumns:
    """A value that float64 cannot hold is none, and a zero has no sign."""
    exists = own.exists & np.isfinite(own.values)
    none = np.zeros(len(exists))
    is_uncertain, total, common = np.zeros(len(exists), np.bool_), none, none
    if uncertainty is not None:
        is_uncertain = exists & np.isfinite(uncertainty.total)
        total = np.where(is_uncertain, uncertainty.total, 0.0)
        common = np.where(is_uncertain, uncertainty.common, 0.0)
    values = np.where(exists, own.values, 0.0) + 0.0
    return LayerColumns(name, own.unit, values, exists, own.is_valid & exists, n, is_uncertain, total, common)


def _bytes(there: Truths, *columns: npt.NDArray[np.generic]) -> Iterator[bytes]:
    for column in columns:
        yield column[there].tobytes()


class _Lists:
    """A row as lists by term: numbers one by one are slow from arrays."""

    def __init__(self, row: RowColumns) -> None:
        self._name, self._has_invalid = row.name, bool(row.invalid)
        self._expected, self._n = row.expected.tolist(), row.n.tolist()
        self._invalid = {cause: counts.tolist() for cause, counts in row.invalid.items()}
        self._flags = {flag: applies.tolist() for flag, applies in row.flags.items()}
        self._spreads = [
            Spread(low, high, deviation if n > 1 else None) if n else NO_SPREAD
            for low, high, deviation, n in zip(
                row.low.tolist(), row.high.tolist(), row.deviation.tolist(), self._n, strict=True
            )
        ]
        self._layers = [
            (one.name, one.unit, one.n.tolist(), one.is_valid.tolist(), _some(one.values, one.exists), _expanded(one))
            for one in row.layers
        ]

    def figures(
        self, of: TermFigures, term: int, period: tuple[int, int], state: str, inputs: tuple[InputRange, ...]
    ) -> Iterator[Figure]:
        """Of one term."""
        n = self._n[term]
        invalid = {cause: counts[term] for cause, counts in self._invalid.items() if counts[term]}
        flags = [flag for flag, applies in self._flags.items() if applies[term]]
        for layer, unit, own_n, is_valid, values, uncertain in self._layers:
            short = {PERIPHERAL: n - own_n[term]} if own_n[term] < n else {}
            yield of.maker.make(
                (self._name, layer, SHORT_TERM),
                period,
                unit,
                values[term],
                is_valid[term],
                (self._expected[term], own_n[term], invalid | short),
                inputs,
                flags=flags,
                state=state,
                spread=self._spreads[term] if layer == figure.MEASURED else NO_SPREAD,
                uncertainty=uncertain[term],
                reason=of.reason,
            )


def _some(values: Values, exists: Truths) -> list[float | None]:
    return [own if there else None for own, there in zip(values.tolist(), exists.tolist(), strict=True)]


def _expanded(one: LayerColumns) -> list[Expanded | None]:
    if not one.is_uncertain.any():
        return [None] * len(one.is_uncertain)
    columns = (one.uncertainty.tolist(), one.uncertainty_common.tolist(), one.is_uncertain.tolist())
    return [Expanded(total, common) if known else None for total, common, known in zip(*columns, strict=True)]
