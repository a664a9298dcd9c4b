"""All intervals of one module and UTC day made at once and compared with columns; equal is all that it says.

Slots lie in one array for the day, minutes are summed and merged by the kernels of `rules/`, which have the order
lanes20-v1 and its bits. That holds where every record has one parameter set, no two slots come to one place and nothing
was lost; on other days, and for every interval that is not equal in all of its fields, nothing is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from plumeproof.bundle.arrays import NO_FLOAT
from plumeproof.bundle.columns import FLOATS, Columns
from plumeproof.evidence import intervals
from plumeproof.evidence.averaging import ORDER, RULE, RULE_VERSION
from plumeproof.evidence.decoding import is_valid
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.evidence.strips import Strip
from plumeproof.rules import _kernels, _merges

DAY_MS = 86_400_000
MINUTE_MS = 60_000
DAY_MINUTES = DAY_MS // MINUTE_MS
CELLS_MAX = 16_000_000  # slots of all channels that a day may have here: 128 MiB; beyond, intervals are made singly
BASE_S = intervals.BASE_S

Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_NEVER = 2**62  # above every seq
_Place = tuple[int, int, Strip]  # place of the first slot in the day, which may lie before it, and slots


@dataclass(frozen=True, slots=True)
class _Level:
    """Intervals of one length over a day. `n` (channels, intervals), `sums` (4, channels, intervals): total, m2, low,
    high. `first`, `last` seq of each (first > last: no record); `invalid`: counts by name of the cause."""

    n: npt.NDArray[np.int32]
    sums: Floats
    first: Integers
    last: Integers
    invalid: dict[str, Integers]


class DaySums:
    """`strips`: all that touch the day, in seq order."""

    def __init__(self, day_utc_ms: int, strips: Sequence[Strip]) -> None:
        self._day = day_utc_ms
        self._parameters = _one_set(strips)
        self._levels: dict[int, _Level | None] = {}
        self._is_plain = self._parameters is not None and self._place(self._parameters, strips)

    def are_equal(self, columns: Columns) -> Truths:
        """Of each entry of the intervals whether it is the only one of its interval, and all of it equal."""
        found = np.zeros(len(columns.heads), np.bool_)
        if not self._is_plain:
            return found
        arrays = columns.arrays
        length, start = arrays["interval_s"], arrays["start_utc_ms"]
        same = (np.diff(length) == 0) & (np.diff(start) == 0)
        is_single = np.ones(len(length), np.bool_)
        is_single[1:] &= ~same
        is_single[:-1] &= ~same
        is_single &= (arrays["revision"] == 0) & (arrays["row_count"] == len(self._channels))
        for interval_s in np.unique(length).tolist():
            is_own = (length == interval_s) & ((start - self._day) % (interval_s * 1000) == 0)
            chosen = np.flatnonzero(is_single & is_own)
            level = self._level(interval_s)
            if level is not None and len(chosen):
                found[chosen] = self._compare(columns, chosen, level, interval_s)
        return found

    def _place(self, parameters: ParameterSet, strips: Sequence[Strip]) -> bool:
        """Put the slots at their places; False where two come to one."""
        self._channels = parameters.channels
        self._slot_ms = parameters.slot_ms
        width = DAY_MS // self._slot_ms
        if DAY_MS % self._slot_ms or width * len(self._channels) > CELLS_MAX:
            return False
        by_time = sorted(strips, key=attrgetter("first_utc_ms"))
        placed = [((strip.first_utc_ms - self._day) // self._slot_ms, strip.slot_count, strip) for strip in by_time]
        if any(at + count > following for (at, count, _), (following, _, _) in pairwise(placed)):
            return False
        self._values = np.zeros((len(self._channels), width))
        self._status = np.full((len(self._channels), width), intervals.ABSENT, np.uint8)
        for run in _runs(placed):
            begin, end = max(0, run[0][0]), min(width, run[-1][0] + run[-1][1])
            cut = [slice(max(0, -at), width - at) for at, _, _ in run]  # the first and the last reach over a border
            values = [one.values[:, of] for of, (_, _, one) in zip(cut, run, strict=True) if one.values is not None]
            status = [one.status[:, of] for of, (_, _, one) in zip(cut, run, strict=True) if one.status is not None]
            np.concatenate(values, axis=1, out=self._values[:, begin:end])
            np.concatenate(status, axis=1, out=self._status[:, begin:end])
        self._is_out = (~is_valid(self._status)).view(np.uint8)
        self._bad = np.flatnonzero(self._is_out)
        spans = np.array([(at, at + count - 1, one.seq) for at, count, one in placed], np.int64)
        self._spans = np.column_stack((np.maximum(spans[:, 0], 0), np.minimum(spans[:, 1], width - 1), spans[:, 2]))
        self._hashes = {strip.seq: strip.content_hash for strip in strips}
        return True

    def _level(self, interval_s: int) -> _Level | None:
        """Intervals of a length; None where they are none of slots or minutes as they lie here."""
        if interval_s not in self._levels:
            is_merged = interval_s != BASE_S and interval_s % BASE_S == 0
            is_fitting = DAY_MS % (interval_s * 1000) == 0 and interval_s * 1000 % self._slot_ms == 0
            is_fitting &= not is_merged or MINUTE_MS % self._slot_ms == 0
            self._levels[interval_s] = None if not is_fitting else self._made(interval_s, is_merged)
        return self._levels[interval_s]

    def _made(self, interval_s: int, is_merged: bool) -> _Level | None:
        count, channels = DAY_MS // (interval_s * 1000), len(self._channels)
        n, sums = np.zeros((channels, count), np.int32), np.zeros((4, channels, count))
        width = interval_s * 1000 // self._slot_ms
        if is_merged:
            minutes = self._level(BASE_S)
            assert minutes is not None
            _merges.merge_minutes(minutes.n, minutes.sums, interval_s // BASE_S, 0, count, n, sums)
            shape = (channels, count, interval_s // BASE_S)
            invalid = {name: own.reshape(shape).sum(axis=2) for name, own in minutes.invalid.items()}
        else:
            _kernels.sum_minutes(self._values, self._is_out, 0, width, n, sums)
            invalid = self._invalid(channels, count, width)
        first, last = np.full(count, _NEVER, np.int64), np.zeros(count, np.int64)
        begin, end, seq = self._spans[:, 0] // width, self._spans[:, 1] // width, self._spans[:, 2]
        for step in range(int((end - begin).max(initial=-1)) + 1):  # of each record the intervals that it touches
            is_there = begin + step <= end
            np.minimum.at(first, (begin + step)[is_there], seq[is_there])
            np.maximum.at(last, (begin + step)[is_there], seq[is_there])
        return _Level(n, sums, first, last, invalid)

    def _invalid(self, channels: int, count: int, width: int) -> dict[str, Integers]:
        """By name of the cause how many slots of each interval it takes; most slots have none."""
        causes, cells = self._status.ravel()[self._bad], self._bad // width
        return {
            intervals.name_of(cause): np.bincount(cells[causes == cause], minlength=channels * count).reshape(
                channels, count
            )
            for cause in np.flatnonzero(np.bincount(causes, minlength=1)).tolist()
        }

    def _compare(self, columns: Columns, chosen: Integers, level: _Level, interval_s: int) -> Truths:
        arrays, parameters = columns.arrays, self._parameters
        assert parameters is not None
        at = (arrays["start_utc_ms"][chosen] - self._day) // (interval_s * 1000)
        equal = arrays["n_expected"][chosen] == intervals.expected_slots(interval_s, self._slot_ms)
        equal &= (arrays["first_seq"][chosen] == level.first[at]) & (arrays["last_seq"][chosen] == level.last[at])
        equal &= arrays["set"][chosen] == _place_in(columns.sets, parameters.parameters_hash)
        rule = _place_in(columns.tables["rules"], (RULE, RULE_VERSION, ORDER))
        equal &= arrays["rule"][chosen] == rule
        wanted = b"".join(self._hashes.get(seq, bytes(32)) for seq in level.last[at].tolist())
        equal &= (columns.heads[chosen] == np.frombuffer(wanted, np.uint8).reshape(-1, 32)).all(axis=1)
        named = [(one.id, one.quantity, one.unit) for one in self._channels]
        order = sorted(range(len(named)), key=named.__getitem__)
        here = [_place_in(columns.tables["channels"], named[channel]) for channel in order]
        rows = columns.first_rows()[:-1][chosen][:, np.newaxis] + np.arange(len(order))
        equal &= (arrays["channel"][rows] == np.array(here)).all(axis=1)
        n = level.n[order][:, at].T.astype(np.int64)
        equal &= (arrays["n_valid"][rows] == n).all(axis=1)
        for name, values in _numbers(n, level.sums[:, order][:, :, at].transpose(0, 2, 1)).items():
            stored = arrays[name][rows].view(np.uint64)
            equal &= (stored == values.view(np.uint64)).all(axis=1)
        equal &= self._are_counts_equal(columns, rows, level, np.array(order), at)
        return np.asarray(equal)

    def _are_counts_equal(
        self, columns: Columns, rows: Integers, level: _Level, order: Integers, at: Integers
    ) -> Truths:  # fmt: skip
        """Whether the causes of each interval are those that the slots make."""
        arrays, names = columns.arrays, [entry[0] for entry in columns.tables["causes"]]
        equal = np.ones(len(rows), np.bool_)
        known = np.zeros((len(names), columns.row_count), np.int64)
        known[arrays["invalid_cause"], arrays["invalid_row"]] = arrays["invalid_count"]
        for name in {*names, *level.invalid}:
            counts = known[names.index(name)][rows] if name in names else 0
            made = level.invalid[name][order][:, at].T if name in level.invalid else 0
            equal &= np.all(np.broadcast_to(counts == made, rows.shape), axis=1)
        return equal


def _runs(placed: Sequence[_Place]) -> list[list[_Place]]:
    """Parts in which each begins where the one before it ends."""
    found: list[list[_Place]] = []
    due = None
    for one in placed:
        if one[0] != due:
            found.append([])
        found[-1].append(one)
        due = one[0] + one[1]
    return found


def _one_set(strips: Sequence[Strip]) -> ParameterSet | None:
    """The parameter set of all; None where they have several, or slots that nobody read, or there are none."""
    hashes = {strip.parameters.parameters_hash for strip in strips}
    is_plain = len(hashes) == 1 and all(strip.values is not None for strip in strips)
    return strips[0].parameters if is_plain else None


def _place_in(table: Sequence[object], entry: object) -> int:
    return table.index(entry) if entry in table else -1


def _numbers(n: Integers, sums: Floats) -> dict[str, Floats]:
    """Mean, least, greatest and deviation as EVIDENCE.md section 3 writes them; the one NaN where there is none."""
    total, m2, low, high = sums
    with np.errstate(all="ignore"):  # what is no number is none
        found = dict(zip(FLOATS, (total / n, low, high, np.sqrt(m2 / (n - 1))), strict=True))
    none = np.array(NO_FLOAT, np.uint64).view(np.float64)
    return {
        name: np.where((n > (name == "deviation")) & np.isfinite(values), values + 0.0, none)
        for name, values in found.items()
    }
