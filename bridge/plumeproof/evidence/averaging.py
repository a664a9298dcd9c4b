"""Slots to averages: rule "plain_utc" 1, order of summation "lanes20-v1" (bridge/EVIDENCE.md; averaging-rules 3.4, 12).

A mean of all valid slots of an interval on the UTC grid, without coverage limits, weights or plant states. Intervals
are summed from slots (60 s and those that are no multiple of it) or merged from the 60 s sums in time order; both ways
depend on the set of records alone, never on when or in which portions they came. Coverage is n_valid / n_expected.

    groups = sum_slots(strips, start_utc_ms, 60)
    averages = to_averages("plume-01", merge([groups, ...], start_utc_ms, 600), start_utc_ms, 600)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.evidence import _kernels
from plumeproof.evidence.decoding import is_valid
from plumeproof.evidence.intervals import (
    ABSENT,
    BASE_S,
    OVERLAP,
    PARAMETERS_CHANGED,
    View,
    column_of,
    expected_slots,
    is_same_measure,
    name_of,
    place,
)
from plumeproof.evidence.parameters import ChannelSpec, ParameterSet
from plumeproof.evidence.strips import Strip
from plumeproof.model import Average

RULE = "plain_utc"
RULE_VERSION = "1"
ORDER = _kernels.ORDER
_OVERLAP_NAME, _ABSENT_NAME = name_of(OVERLAP), name_of(ABSENT)

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of channels that came in the same records over one interval; every array has one entry per channel.

    `parameters`: the set of the newest record used; `columns`: which of its channels, None for all of them.
    `m2`: sum of squared deviations from the mean. `invalid`: (cause, counts) of slots that do not count, OVERLAP too,
    ABSENT not. `has_samples`: a samples record has a slot here; without one there is no average.
    """

    parameters: ParameterSet
    columns: tuple[int, ...] | None
    has_samples: bool
    first_seq: int
    last_seq: int
    head_hash: bytes
    n: Counts
    total: Numbers
    m2: Numbers
    low: Numbers
    high: Numbers
    invalid: tuple[tuple[int, Counts], ...]

    def channels(self) -> tuple[ChannelSpec, ...]:
        """The channels in the order of the arrays."""
        every = self.parameters.channels
        return every if self.columns is None else tuple(every[column] for column in self.columns)


def sum_slots(strips: Sequence[Strip], start_utc_ms: int, interval_s: int) -> tuple[Sums, ...]:
    """Sums of one interval from the strips of its records in seq order; strips beside it are left out.

    One group as long as all records have one parameter set, else one per channel: the set of the newest record that
    holds the channel says what is measured, slots that measured something else count as "parameters_changed".
    """
    end_utc_ms = start_utc_ms + interval_s * 1000
    inside = [strip for strip in strips if strip.touches(start_utc_ms, end_utc_ms)]
    if not inside:
        return ()
    if len({strip.parameters.parameters_hash for strip in inside}) == 1:
        return (_sum_views([View(strip) for strip in inside], None, start_utc_ms, interval_s),)
    groups = []
    for channel_id in _channel_ids(strip.parameters for strip in reversed(inside)):
        holding = [strip for strip in inside if column_of(strip.parameters, channel_id) is not None]
        column = column_of(holding[-1].parameters, channel_id)
        assert column is not None
        newest = (holding[-1].parameters.channels[column], holding[-1].slot_ms)
        views = []
        for strip in holding:
            row = column_of(strip.parameters, channel_id)
            assert row is not None
            views.append(View(strip, row, is_same_measure(newest, (strip.parameters.channels[row], strip.slot_ms))))
        groups.append(_sum_views(views, column, start_utc_ms, interval_s))
    return tuple(groups)


def merge(bases: Sequence[tuple[Sums, ...]], start_utc_ms: int, interval_s: int) -> tuple[Sums, ...]:
    """Sums of a longer interval from those of all its base intervals in time order, empty ones included.

    Groups as in `sum_slots`. Raises ValueError when `bases` do not fill the interval.
    """
    if len(bases) * BASE_S != interval_s or start_utc_ms % (interval_s * 1000):
        raise ValueError(f"{len(bases)} base intervals for {interval_s} s from {start_utc_ms}")
    placed = [(position, group) for position, groups in enumerate(bases) for group in groups]
    if not placed:
        return ()
    if len({(group.parameters.parameters_hash, group.columns) for _, group in placed}) == 1:
        return (_merge_groups(placed, len(bases)),)
    parts: dict[str, list[tuple[int, Sums]]] = {}
    newest_first = sorted(placed, key=lambda item: item[1].last_seq, reverse=True)
    for channel_id in _channel_ids(group.parameters for _, group in newest_first):
        parts[channel_id] = []
    for position, group in placed:
        for index, channel in enumerate(group.channels()):
            parts[channel.id].append((position, _only(group, index)))
    return tuple(_merge_groups(_comparable(part), len(bases)) for part in parts.values() if part)


def to_averages(
    device: str, groups: Sequence[Sums], start_utc_ms: int, interval_s: int, reason: str = ""
) -> list[Average]:
    """The averages of an interval. Revision 0: the store numbers them, and `reason` is for later ones."""
    found: list[Average] = []
    for group in groups:
        if group.has_samples:
            found += _averages(device, group, start_utc_ms, interval_s, reason)
    return found


def _sum_views(views: list[View], column: int | None, start_utc_ms: int, interval_s: int) -> Sums:
    newest = views[-1].strip
    count = len(newest.parameters.channels) if column is None else 1
    placed = place(views, count, newest.slot_ms, start_utc_ms, interval_s)
    counted = is_valid(placed.status)
    n, sums = np.zeros(count, np.int64), np.zeros((4, count))
    _kernels.sum_slots(placed.values, counted.view(np.uint8), n, *sums)
    invalid = []
    if not counted.all():
        for cause in np.unique(placed.status[~counted]).tolist():
            if cause != ABSENT:
                invalid.append((cause, np.count_nonzero(placed.status == cause, axis=1).astype(np.int64)))
    if placed.overlap_count:
        invalid.append((OVERLAP, np.full(count, placed.overlap_count, np.int64)))
    return Sums(
        parameters=newest.parameters,
        columns=None if column is None else (column,),
        has_samples=any(view.strip.values is not None for view in views),
        first_seq=views[0].strip.seq,
        last_seq=newest.seq,
        head_hash=newest.content_hash,
        n=n,
        total=sums[0],
        m2=sums[1],
        low=sums[2],
        high=sums[3],
        invalid=tuple(invalid),
    )


def _merge_groups(placed: list[tuple[int, Sums]], width: int) -> Sums:
    newest = max((group for _, group in placed), key=lambda group: group.last_seq)
    count = len(newest.n)
    n_of = np.zeros((count, width), np.int64)
    sums_of = np.zeros((4, count, width))
    invalid: dict[int, Counts] = {}
    for position, group in placed:
        n_of[:, position] = group.n
        sums_of[:, :, position] = (group.total, group.m2, group.low, group.high)
        for cause, counts in group.invalid:
            invalid[cause] = invalid.get(cause, np.zeros(count, np.int64)) + counts
    n, sums = np.zeros(count, np.int64), np.zeros((4, count))
    _kernels.merge_sums(n_of, *sums_of, n, *sums)
    return Sums(
        parameters=newest.parameters,
        columns=newest.columns,
        has_samples=any(group.has_samples for _, group in placed),
        first_seq=min(group.first_seq for _, group in placed),
        last_seq=newest.last_seq,
        head_hash=newest.head_hash,
        n=n,
        total=sums[0],
        m2=sums[1],
        low=sums[2],
        high=sums[3],
        invalid=tuple(sorted(invalid.items())),
    )


def _channel_ids(sets: Iterator[ParameterSet]) -> list[str]:
    """Ids of all channels: those of the newest set in its order, then what only older sets have."""
    found: dict[str, None] = {}
    for parameters in dict.fromkeys(sets):
        found |= dict.fromkeys(channel.id for channel in parameters.channels)
    return list(found)


def _only(group: Sums, index: int) -> Sums:
    """One channel of a group."""
    column = index if group.columns is None else group.columns[index]
    part = slice(index, index + 1)
    return Sums(
        parameters=group.parameters,
        columns=(column,),
        has_samples=group.has_samples,
        first_seq=group.first_seq,
        last_seq=group.last_seq,
        head_hash=group.head_hash,
        n=group.n[part],
        total=group.total[part],
        m2=group.m2[part],
        low=group.low[part],
        high=group.high[part],
        invalid=tuple((cause, counts[part]) for cause, counts in group.invalid if counts[index]),
    )


def _comparable(placed: list[tuple[int, Sums]]) -> list[tuple[int, Sums]]:
    """One channel over base intervals: those that measured something else than the newest lose what they counted."""
    newest = max((group for _, group in placed), key=lambda group: group.last_seq)
    wanted = (newest.channels()[0], newest.parameters.slot_ms)
    found = []
    for position, group in placed:
        if not is_same_measure(wanted, (group.channels()[0], group.parameters.slot_ms)):
            group = _without_values(group)
        found.append((position, group))
    return found


def _without_values(group: Sums) -> Sums:
    invalid = dict(group.invalid)
    invalid[PARAMETERS_CHANGED] = invalid.get(PARAMETERS_CHANGED, np.zeros(1, np.int64)) + group.n
    zero = np.zeros(1)
    return Sums(
        parameters=group.parameters,
        columns=group.columns,
        has_samples=group.has_samples,
        first_seq=group.first_seq,
        last_seq=group.last_seq,
        head_hash=group.head_hash,
        n=np.zeros(1, np.int64),
        total=zero,
        m2=zero,
        low=zero,
        high=zero,
        invalid=tuple(invalid.items()),
    )


def _finite(value: float) -> float | None:
    """A result that float64 can hold, with zero as +0.0; beyond it there is none."""
    return value + 0.0 if math.isfinite(value) else None


def _averages(device: str, group: Sums, start_utc_ms: int, interval_s: int, reason: str) -> Iterator[Average]:
    n_expected = expected_slots(interval_s, group.parameters.slot_ms)
    invalid = [(name_of(cause), counts.tolist()) for cause, counts in group.invalid]
    columns = (group.n.tolist(), group.total.tolist(), group.m2.tolist(), group.low.tolist(), group.high.tolist())
    for index, (channel, n, total, m2, low, high) in enumerate(zip(group.channels(), *columns, strict=True)):
        counts = {name: numbers[index] for name, numbers in invalid if numbers[index]}
        absent = n_expected - n - sum(count for name, count in counts.items() if name != _OVERLAP_NAME)
        if absent > 0:
            counts[_ABSENT_NAME] = absent
        yield Average(
            device=device,
            channel=channel.id,
            quantity=channel.quantity,
            unit=channel.unit,
            interval_s=interval_s,
            start_utc_ms=start_utc_ms,
            n_expected=n_expected,
            n_valid=n,
            n_invalid=tuple(sorted(counts.items())),
            mean=_finite(total / n) if n else None,
            minimum=_finite(low) if n else None,
            maximum=_finite(high) if n else None,
            deviation=_finite(math.sqrt(m2 / (n - 1))) if n > 1 else None,
            first_seq=group.first_seq,
            last_seq=group.last_seq,
            head_hash=group.head_hash,
            parameters_hash=group.parameters.parameters_hash,
            rule=RULE,
            rule_version=RULE_VERSION,
            order=ORDER,
            revision=0,
            reason=reason,
        )
