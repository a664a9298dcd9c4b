"""numpy as a peer of the averaging bench, in two forms, each as fast as we could make it.

*reduceat*: whole arrays, what does not count is replaced by `where`, and the sums are `reduceat`'s. *near*: a piece
after the other, so that all arrays of one stay in the processor's cache, what does not count is replaced by its index,
and sums are products with ones. Constants are folded, factors multiplied once for all concentrations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.bench.month import (
    AIR_PCT,
    ATMOSPHERE_KPA,
    CHANNELS,
    CONVERTED,
    DAY_SLOTS,
    FIRST_LOAD,
    FLOW,
    KELVIN,
    LEVELS_MIN,
    NEEDS,
    REFERENCE_PCT,
    WORST,
    A,
    B,
    Found,
    Level,
    Month,
)

_ONES = np.ones(60)
Sums = tuple[Any, Any, Any, Any, Any]  # n, total, m2, low, high of the intervals of a channel
Piece = tuple[Any, dict[int, tuple[list[Sums], list[Any]]]]


class NumpyPeer:
    """`is_near`: the second form."""

    def __init__(self, month: Month, is_near: bool) -> None:
        self._month = month
        slots = month.values.shape[1]
        step = DAY_SLOTS if is_near else slots
        self._pieces = [slice(first, first + step) for first in range(0, slots, step)]
        self._sums = _sums_near if is_near else _sums_reduceat

    def one_level(self) -> list[Piece]:
        """Minutes and hours."""
        values, status = self._month.values, self._month.status
        found: list[Piece] = []
        for here in self._pieces:
            minutes = [self._sums(values[row, here], status[row, here] > WORST) for row in range(CHANNELS)]
            found.append((None, {1: (minutes, []), 60: ([_merge(sums, 60) for sums in minutes], [])}))
        return found

    def chain(self) -> list[Piece]:
        """All five levels; a day is whole in its piece."""
        found: list[Piece] = []
        for here in self._pieces:
            expected, sums, loads = self._minutes(here)
            levels = {1: (sums, loads)}
            shorter = 1
            for length in LEVELS_MIN[1:]:
                step, shorter = length // shorter, length
                sums, loads = [_merge(one, step) for one in sums], [_add(load, step) for load in loads]
                levels[length] = (sums, loads)
            valid = {
                length: [3 * one[0] >= 2 * np.maximum(_add(expected, length), 1) for one in rows]
                for length, (rows, _) in levels.items()
            }
            found.append((valid, levels))
        return found

    def _minutes(self, here: slice) -> tuple[Any, list[Sums], list[Any]]:
        month = self._month
        stopped = month.stopped[here] != 0
        bad = [(status[here] > WORST) | stopped for status in month.status]
        raw = [values[here].astype(np.float64) for values in month.values[: FLOW + 1]]
        kelvin, dry = raw[0] + KELVIN, 100.0 - raw[2]
        to_dry = 100.0 / dry
        o2 = raw[3] * to_dry
        bad_state = bad[0] | bad[1] | bad[2] | (kelvin <= 0.0) | (raw[1] <= 0.0) | (dry <= 0.0)
        bad_o2 = bad[3] | bad[2] | (dry <= 0.0) | (o2 >= AIR_PCT)
        to_normal = kelvin * (ATMOSPHERE_KPA / KELVIN) / raw[1] * to_dry
        to_reference = (AIR_PCT - REFERENCE_PCT) / (AIR_PCT - o2)
        flow, bad_flow = raw[FLOW] / to_normal, bad[FLOW] | bad_state
        sums = [self._sums(raw[row], bad[row]) for row in range(FLOW)] + [self._sums(flow, bad_flow)]
        bad_both, loads = bad_o2 | bad_state, []
        for row in range(FIRST_LOAD, CHANNELS):
            value = month.values[row, here].astype(np.float64)
            value *= B
            value += A
            if NEEDS[row] == CONVERTED:
                value *= to_normal
            has_not = bad[row] | (bad_both if NEEDS[row] == CONVERTED else bad_o2)
            load = value * flow
            load[np.flatnonzero(has_not | bad_flow)] = 0.0
            loads.append(load.reshape(-1, 60) @ _ONES)
            value *= to_reference
            sums.append(self._sums(value, has_not))
        return _count(~stopped), sums, loads

    def found(self, pieces: list[Piece]) -> Found:
        """Of one_level or chain."""
        return {length: _level(pieces, length) for length in pieces[0][1]}


def _level(pieces: list[Piece], length: int) -> Level:
    n, total, m2, low, high = (
        np.concatenate([np.array([sums[at] for sums in levels[length][0]]) for _, levels in pieces], axis=1)
        for at in range(5)
    )
    of_chain = ()
    if pieces[0][0] is not None:
        load = np.concatenate([np.array(levels[length][1]) for _, levels in pieces], axis=1)
        of_chain = (load, np.concatenate([np.array(valid[length]) for valid, _ in pieces], axis=1))
    return Level(n, total / np.maximum(n, 1), np.sqrt(m2 / np.maximum(n - 1, 1)), low, high, *of_chain)


def _count(has: Any) -> Any:
    """Slots of every minute."""
    return np.einsum("ij->i", has.view(np.uint8).reshape(-1, 60)).astype(np.int64)


def _add(row: Any, step: int) -> Any:
    return row.reshape(-1, step).sum(axis=1)


def _merge(sums: Sums, step: int) -> Sums:
    """The sums of a longer level."""
    n, total, m2, low, high = sums
    mean = total / np.maximum(n, 1)
    whole_n, whole = _add(n, step), _add(total, step)
    between = mean.reshape(-1, step) - (whole / np.maximum(whole_n, 1))[:, None]
    whole_m2 = _add(m2, step) + (n.reshape(-1, step) * between**2).sum(axis=1)
    return whole_n, whole, whole_m2, low.reshape(-1, step).min(axis=1), high.reshape(-1, step).max(axis=1)


def _sums_reduceat(values: Any, bad: Any) -> Sums:
    starts, has, kind = np.arange(0, len(values), 60), ~bad, values.dtype.type
    n = np.add.reduceat(has, starts, dtype=np.int64)
    total = np.add.reduceat(np.where(has, values, kind(0)), starts, dtype=np.float64)
    mean = total / np.maximum(n, 1)
    away = np.where(has.reshape(-1, 60), values.reshape(-1, 60) - mean[:, None], 0.0)
    m2 = np.einsum("ij,ij->i", away, away)
    low = np.minimum.reduceat(np.where(has, values, kind(np.inf)), starts)
    high = np.maximum.reduceat(np.where(has, values, kind(-np.inf)), starts)
    return n, total, m2, low, high


def _sums_near(values: Any, bad: Any) -> Sums:
    starts, gaps = np.arange(0, len(values), 60), np.flatnonzero(bad)
    n = _count(~bad)
    away = values.astype(np.float64)
    away[gaps] = 0.0
    minutes = away.reshape(-1, 60)
    total = minutes @ _ONES
    minutes -= (total / np.maximum(n, 1))[:, None]
    away[gaps] = 0.0
    m2 = np.einsum("ij,ij->i", minutes, minutes)
    own = values.copy()
    own[gaps] = np.inf
    low = np.minimum.reduceat(own, starts)
    own[gaps] = -np.inf
    return n, total, m2, low, np.maximum.reduceat(own, starts)
