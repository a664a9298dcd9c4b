"""Where the arithmetic of the chain ends: its operations counted, at the rate that this machine has for them.

Counted for the month's plant, for each second, as EVIDENCE.md orders the steps. Simple operations: what is read becomes
float64 and goes through scale, offset and calibration (12 channels * 5); sum, deviations, least and greatest (12 * 6);
loads and their sums (7 * 2); factors (4), guards and clamp (6), flow (3), conversions (5 * 3 + 7). Divisions: three
factors, oxygen, three of the flow. The rates are those of loops over 8 KiB, which stay in the first cache: nothing
waits for memory there. Marks, and loads and stores between the kernel's steps, are not in the count.
"""

from __future__ import annotations

import time

import numba
import numpy as np
from numpy.typing import NDArray

OPERATIONS, DIVISIONS = 12 * 5 + 12 * 6 + 7 * 2 + 4 + 6 + 3 + 5 * 3 + 7, 7
_WIDTH, _TIMES, _ROUNDS = 1024, 1000, 15
_OPERATIONS_OF_LOOP = 9


@numba.njit(error_model="numpy")
def _operate(values: NDArray[np.float64], found: NDArray[np.float64], a: float, b: float) -> None:
    for _ in range(_TIMES):
        for i in range(values.shape[0]):
            found[i] = ((((values[i] * a + b) * b + a) * a - b) * b - a) * a


@numba.njit(error_model="numpy")
def _divide(values: NDArray[np.float64], found: NDArray[np.float64], a: float, b: float) -> None:
    for _ in range(_TIMES):
        for i in range(values.shape[0]):
            found[i] = a / values[i]


def limit_s(seconds: int) -> float:
    """The least time for so many seconds of a stack, one thread, vectors full."""
    values, found = np.linspace(1.0, 2.0, _WIDTH), np.empty(_WIDTH)
    best = []
    for work in (_operate, _divide):
        work(values, found, 1.1, 0.3)  # compiles
        spent = []
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            work(values, found, 1.1, 0.3)
            spent.append(time.perf_counter() - begin)
        best.append(min(spent) / (_WIDTH * _TIMES))
    return seconds * (OPERATIONS * best[0] / _OPERATIONS_OF_LOOP + DIVISIONS * best[1])
