"""The loops of averaging, compiled by numba: arrays in, arrays out, nothing else (DESIGN.md decision 12).

Rows are channels, positions run along them. Both kernels add in the order "lanes20-v1" (bridge/EVIDENCE.md): position
i adds to lane i mod 20, lanes are added by a fixed tree. No fastmath and no contraction, so that every processor and
numpy alone get the same bits; only + - * / on float64. What counts is said by an array of 0 and 1, never by a NaN.
Everything is compiled at import for one signature each and kept in numba's cache; a cache folder that cannot be
written costs the compilation at every start (about 3 s), nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from plumeproof.evidence.compiled import compile_now

ORDER = "lanes20-v1"
LANES = 20  # three per 60 slots of a minute; enough independent additions for any vector unit of today

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": False, "boundscheck": False}


def _compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda function: compile_now(function, (signature,), _OPTIONS)


@_compiled("float64(float64[::1])")
def sum_lanes(lanes: Any) -> Any:
    """The tree: 20 lanes to 10, to 5, and these from the left but for the last."""
    ten = lanes[:10] + lanes[10:20]
    five = ten[:5] + ten[5:10]
    return ((five[0] + five[1]) + (five[2] + five[3])) + five[4]


@_compiled("void(float64[:, ::1], uint8[:, ::1], int64[::1], float64[::1], float64[::1], float64[::1], float64[::1])")
def sum_slots(values: Any, counts: Any, n: Any, total: Any, m2: Any, low: Any, high: Any) -> None:
    """Of every row the slots that count: how many, sum, sum of squared deviations from the mean, least, greatest.

    `values` (rows, positions), `counts` the same shape, 1 where a slot counts. A row without any keeps 0.
    """
    lanes = np.zeros(LANES)
    for row in range(values.shape[0]):
        value, count = values[row], counts[row]
        width = value.shape[0]
        whole = width - width % LANES
        seen = 0
        for i in range(width):
            seen += 1 if count[i] else 0
        n[row] = seen
        total[row] = m2[row] = low[row] = high[row] = 0.0
        if seen == 0:
            continue
        lanes[:] = 0.0
        for first in range(0, whole, LANES):
            for lane in range(LANES):
                lanes[lane] += value[first + lane] if count[first + lane] else 0.0
        for lane in range(width - whole):
            lanes[lane] += value[whole + lane] if count[whole + lane] else 0.0
        total[row] = sum_lanes(lanes)
        mean = total[row] / seen
        lanes[:] = 0.0
        for first in range(0, whole, LANES):
            for lane in range(LANES):
                deviation = value[first + lane] - mean if count[first + lane] else 0.0
                lanes[lane] += deviation * deviation
        for lane in range(width - whole):
            deviation = value[whole + lane] - mean if count[whole + lane] else 0.0
            lanes[lane] += deviation * deviation
        m2[row] = sum_lanes(lanes)
        least, greatest = np.inf, -np.inf
        for i in range(width):
            if count[i]:
                least = value[i] if value[i] < least else least
                greatest = value[i] if value[i] > greatest else greatest
        low[row], high[row] = least, greatest


@_compiled(
    "void(int64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1],"
    " int64[::1], float64[::1], float64[::1], float64[::1], float64[::1])"
)
def merge_sums(
    n_of: Any, total_of: Any, m2_of: Any, low_of: Any, high_of: Any, n: Any, total: Any, m2: Any, low: Any, high: Any
) -> None:
    """The sums of a longer interval from those of its base intervals, (rows, base intervals in time order).

    Squared deviations by the law of total variance: m2 + n * (own mean - whole mean)^2 of every base interval.
    """
    lanes = np.zeros(LANES)
    for row in range(n_of.shape[0]):
        width = n_of.shape[1]
        seen = 0
        lanes[:] = 0.0
        for i in range(width):
            if n_of[row, i] > 0:
                seen += n_of[row, i]
                lanes[i % LANES] += total_of[row, i]
        n[row] = seen
        total[row] = m2[row] = low[row] = high[row] = 0.0
        if seen == 0:
            continue
        total[row] = sum_lanes(lanes)
        mean = total[row] / seen
        lanes[:] = 0.0
        least, greatest = np.inf, -np.inf
        for i in range(width):
            if n_of[row, i] > 0:
                deviation = total_of[row, i] / n_of[row, i] - mean
                lanes[i % LANES] += m2_of[row, i] + (deviation * deviation) * n_of[row, i]
                least = low_of[row, i] if low_of[row, i] < least else least
                greatest = high_of[row, i] if high_of[row, i] > greatest else greatest
        m2[row] = sum_lanes(lanes)
        low[row], high[row] = least, greatest
