"""Sums of longer intervals from those of their minutes, compiled by numba (EVIDENCE.md section 3).

As evidence/_kernels.merge_sums does, in the order lanes20-v1 and with its bits, for intervals that lie in one array. A
caller says which intervals: other threads may make the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.rules._kernels import compiled, in_place, inner, merge, tree_of
from plumeproof.rules._vectors import GROUP, LANES

# numba's cache asks for the age of this file only: a test sees to it that another _kernels.py comes with another line.
KERNELS_SHA256 = "132f1f1c7cf0f6d1"
_WIDE = 8  # least and greatest are sought in so many places at once


@in_place
def _sum_of(terms: Any, lanes: Any) -> Any:
    """Sum of numbers by position, in the order lanes20-v1."""
    whole = terms.shape[0] - terms.shape[0] % LANES
    lanes[:] = 0.0
    for first in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += terms[first + lane]
    for lane in range(terms.shape[0] - whole):
        lanes[lane] += terms[whole + lane]
    return tree_of(lanes)


@inner
def _least(numbers: Any, best: Any) -> Any:
    whole = numbers.shape[0] - numbers.shape[0] % _WIDE
    best[:] = np.inf
    for first in range(0, whole, _WIDE):
        for i in range(_WIDE):
            best[i] = numbers[first + i] if numbers[first + i] < best[i] else best[i]
    for i in range(numbers.shape[0] - whole):
        best[i] = numbers[whole + i] if numbers[whole + i] < best[i] else best[i]
    found = best[0]
    for i in range(1, _WIDE):
        found = best[i] if best[i] < found else found
    return found


@inner
def _greatest(numbers: Any, best: Any) -> Any:
    whole = numbers.shape[0] - numbers.shape[0] % _WIDE
    best[:] = -np.inf
    for first in range(0, whole, _WIDE):
        for i in range(_WIDE):
            best[i] = numbers[first + i] if numbers[first + i] > best[i] else best[i]
    for i in range(numbers.shape[0] - whole):
        best[i] = numbers[whole + i] if numbers[whole + i] > best[i] else best[i]
    found = best[0]
    for i in range(1, _WIDE):
        found = best[i] if best[i] > found else found
    return found


@in_place
def _merge(count: Any, total: Any, m2: Any, low: Any, high: Any, rows: Any, lanes: Any, best: Any) -> Any:
    """One interval: how many count, (sum, m2, least, greatest). `rows`: two of scratch, as long as the interval."""
    seen, fewest = 0, count[0]
    for i in range(count.shape[0]):
        seen += count[i]
        fewest = min(fewest, count[i])
    if seen == 0:
        return 0, (0.0, 0.0, 0.0, 0.0)
    terms, spare = rows[0], rows[1]
    if fewest > 0:
        whole = _sum_of(total, lanes)
        mean = whole / seen
        for i in range(count.shape[0]):
            away = total[i] / count[i] - mean
            terms[i] = m2[i] + (away * away) * count[i]
        return seen, (whole, _sum_of(terms, lanes), _least(low, best), _greatest(high, best))
    for i in range(count.shape[0]):
        terms[i] = total[i] if count[i] > 0 else 0.0
    whole = _sum_of(terms, lanes)
    mean = whole / seen
    for i in range(count.shape[0]):
        away = total[i] / count[i] - mean
        terms[i] = m2[i] + (away * away) * count[i] if count[i] > 0 else 0.0
    squares = _sum_of(terms, lanes)
    for i in range(count.shape[0]):
        terms[i] = low[i] if count[i] > 0 else np.inf
        spare[i] = high[i] if count[i] > 0 else -np.inf
    return seen, (whole, squares, _least(terms, best), _greatest(spare, best))


@in_place
def _merge_fours(n_of: Any, sums_of: Any, length: Any, begin: Any, end: Any, n: Any, sums: Any) -> Any:
    """Of a row, four intervals at a time, where there are kernels for their length; the first that is left."""
    last = end - (end - begin) % GROUP
    if length == 10:
        for at in range(begin, last, GROUP):
            merge(n_of, sums_of, at * length, n, sums, at, 10)
    elif length == 30:
        for at in range(begin, last, GROUP):
            merge(n_of, sums_of, at * length, n, sums, at, 30)
    elif length == 60:
        for at in range(begin, last, GROUP):
            merge(n_of, sums_of, at * length, n, sums, at, 60)
    else:
        return begin
    return last


@compiled(
    "void(int32[:, ::1], float64[:, :, ::1], int64, int64, int64, float64[:, ::1], float64[::1], float64[::1],"
    " int32[:, ::1], float64[:, :, ::1])"
)
def _merge_rows(
    n_of: Any, sums_of: Any, length: Any, begin: Any, end: Any, rows: Any, lanes: Any, best: Any, n: Any, sums: Any
) -> None:
    for row in range(n.shape[0]):
        minutes, found = (
            (sums_of[0, row], sums_of[1, row], sums_of[2, row], sums_of[3, row]),
            (sums[0, row], sums[1, row], sums[2, row], sums[3, row]),
        )
        first = _merge_fours(n_of[row], minutes, length, begin, end, n[row], found)
        for at in range(first, end):
            here = slice(at * length, at * length + length)
            count, total, m2 = n_of[row, here], sums_of[0, row, here], sums_of[1, row, here]
            low, high = sums_of[2, row, here], sums_of[3, row, here]
            n[row, at], one = _merge(count, total, m2, low, high, rows, lanes, best)
            sums[0, row, at], sums[1, row, at], sums[2, row, at], sums[3, row, at] = one


def merge_minutes(n_of: Any, sums_of: Any, length: int, begin: int, end: int, n: Any, sums: Any) -> None:
    """The sums of the intervals `begin` to `end`, of `length` minutes each, from those of their minutes.

    `n_of` (rows, minutes), `sums_of` (4, rows, minutes); `n` (rows, intervals), `sums` (4, rows, intervals).
    """
    _merge_rows(n_of, sums_of, length, begin, end, np.empty((2, length)), np.empty(LANES), np.empty(_WIDE), n, sums)


@compiled("void(int32[:, ::1], float64[:, ::1], int64, int64, int64, float64[::1], int32[:, ::1], float64[:, ::1])")
def _merge_load_rows(n_of: Any, load_of: Any, length: Any, begin: Any, end: Any, lanes: Any, n: Any, load: Any) -> None:
    for row in range(n.shape[0]):
        first = _merge_fours(n_of[row], (load_of[row],), length, begin, end, n[row], (load[row],))
        for at in range(first, end):
            here = slice(at * length, at * length + length)
            count = n_of[row, here]
            seen = 0
            for i in range(length):
                seen += count[i]
            n[row, at] = seen
            load[row, at] = _sum_of(load_of[row, here], lanes)


def merge_loads(n_of: Any, load_of: Any, length: int, begin: int, end: int, n: Any, load: Any) -> None:
    """The same for rows that have only a sum; of a minute in which nothing counts it is 0."""
    _merge_load_rows(n_of, load_of, length, begin, end, np.empty(LANES), n, load)
