"""Records on the UTC grid: which slots lie in [start, end), and which of two at one place counts.

An interval begins at a multiple of its length since 1970-01-01T00:00Z and excludes its end (averaging-rules 12). It has
ceil(length / slot_ms) positions; a slot stands at floor((slot UTC - start) / slot_ms), by the mapping of its own record
(SPEC.md section 4.1). Where two slots come to one position, after a clock was set back, the first in seq order stays
and the other counts as "overlap". Times are whole milliseconds; nothing here is rounded or summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from acqwire import causes

from plumeproof.evidence.decoding import STATUS_NAMES
from plumeproof.evidence.parameters import ChannelSpec, ParameterSet
from plumeproof.evidence.strips import Strip

BASE_S = 60  # longer intervals that are a multiple of it are merged from its sums, all others are summed from slots

# What only the grid can find out; beside the statuses of decoding.py
ABSENT = 240  # no record has a slot at this position
PARAMETERS_CHANGED = 241  # slot of another unit, quantity or slot distance than the newest record of the interval
OVERLAP = 242  # a second slot at a position that is taken
_NAMES: dict[int, str] = dict(
    (*STATUS_NAMES, (ABSENT, "absent"), (PARAMETERS_CHANGED, "parameters_changed"), (OVERLAP, "overlap"))
)


def name_of(cause: int) -> str:
    """The word under which a cause is counted."""
    return _NAMES.get(cause) or f"exception_{cause - causes.GAP_EXCEPTION}"


def start_of(utc_ms: int, interval_s: int) -> int:
    """Start of the interval that holds an instant, UTC ms."""
    return utc_ms - utc_ms % (interval_s * 1000)


def base_of(interval_s: int) -> int:
    """Length of the intervals from whose sums this one is made; its own where it is summed from slots."""
    return BASE_S if interval_s % BASE_S == 0 else interval_s


def expected_slots(interval_s: int, slot_ms: int) -> int:
    """Positions of an interval: the most slots of this distance that it can hold."""
    return -(-interval_s * 1000 // slot_ms)


@dataclass(frozen=True, slots=True)
class View:
    """What an interval takes from a strip: all channels (`row` None) or one; nothing but its slots where the
    channel is not comparable (PARAMETERS_CHANGED)."""

    strip: Strip
    row: int | None = None
    is_comparable: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """An interval filled: `values`, `status` (channels, positions), status ABSENT where no slot stands."""

    values: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint8]
    overlap_count: int


def place(views: Sequence[View], channel_count: int, slot_ms: int, start_utc_ms: int, interval_s: int) -> Placed:
    """Put the slots of `views`, which are in seq order, at their positions."""
    end_utc_ms = start_utc_ms + interval_s * 1000
    width = expected_slots(interval_s, slot_ms)
    values = np.zeros((channel_count, width))
    status = np.full((channel_count, width), ABSENT, np.uint8)
    is_taken = np.zeros(width, np.bool_)
    overlap_count = 0
    if _place_rows(views, slot_ms, (start_utc_ms, end_utc_ms), values, status):
        return Placed(values, status, 0)
    for view in views:
        strip = view.strip
        begin, end = strip.clip(start_utc_ms, end_utc_ms)
        if end <= begin:
            continue
        first = (strip.first_utc_ms + begin * strip.slot_ms - start_utc_ms) // slot_ms
        where: slice | npt.NDArray[np.int64] = slice(first, first + end - begin)
        what: slice | npt.NDArray[np.int64] = slice(begin, end)
        if strip.slot_ms != slot_ms or is_taken[where].any():
            slots = np.arange(begin, end, dtype=np.int64)
            positions = (strip.first_utc_ms + slots * strip.slot_ms - start_utc_ms) // slot_ms
            is_free = np.zeros(len(slots), np.bool_)
            is_free[np.unique(positions, return_index=True)[1]] = True
            is_free &= ~is_taken[positions]
            overlap_count += len(slots) - int(np.count_nonzero(is_free))
            where, what = positions[is_free], slots[is_free]
        is_taken[where] = True
        if not view.is_comparable:
            status[:, where] = PARAMETERS_CHANGED
        elif strip.values is None or strip.status is None:
            status[:, where] = causes.GAP_OVERFLOW
        else:
            rows = slice(None) if view.row is None else slice(view.row, view.row + 1)
            values[:, where] = strip.values[rows, what]
            status[:, where] = strip.status[rows, what]
    return Placed(values, status, overlap_count)


def _place_rows(
    views: Sequence[View],
    slot_ms: int,
    period_utc_ms: tuple[int, int],
    values: npt.NDArray[np.float64],
    status: npt.NDArray[np.uint8],
) -> bool:
    """The plain case in one go: whole strips with all channels, one behind the other without a gap. If it is that."""
    if not views:
        return False
    start_utc_ms, end_utc_ms = period_utc_ms
    first = at = (views[0].strip.first_utc_ms - start_utc_ms) // slot_ms
    shown, marks = [], []
    for view in views:
        strip = view.strip
        if strip.values is None or strip.status is None or view.row is not None or not view.is_comparable:
            return False
        if strip.slot_ms != slot_ms or (strip.first_utc_ms - start_utc_ms) // slot_ms != at:
            return False
        at += strip.slot_count
        shown.append(strip.values)
        marks.append(strip.status)
    if first < 0 or views[-1].strip.end_utc_ms - slot_ms >= end_utc_ms:
        return False  # some of them lie outside
    np.concatenate(shown, axis=1, out=values[:, first:at])
    np.concatenate(marks, axis=1, out=status[:, first:at])
    return True


def column_of(parameters: ParameterSet, channel_id: str) -> int | None:
    """Which column of a parameter set's readings is this channel."""
    return next((index for index, channel in enumerate(parameters.channels) if channel.id == channel_id), None)


def is_same_measure(one: tuple[ChannelSpec, int], other: tuple[ChannelSpec, int]) -> bool:
    """Whether two (channel, slot_ms) may be averaged together: quantity, unit and slot distance are the same.

    Scale, offset, limits and analyzer may differ: each slot is read by the set of its own record.
    """
    return (one[0].quantity, one[0].unit, one[1]) == (other[0].quantity, other[0].unit, other[1])
