"""Sums whose bits do not depend on the machine: order of summation "lanes20-v1" (bridge/EVIDENCE.md section 3).

A number's lane is its position modulo 20, so a series has one sum whatever is left out of it: what does not count is
0.0 at its place. numpy's own `sum` may add in another order on another processor; here row is added after row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

LANES = 20


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the numbers that count: how many, their sum, their mean, and the sum of squared deviations from it."""

    n: int
    total: float
    mean: float  # 0.0 where n = 0
    m2: float

    def sample_deviation(self) -> tuple[float, bool]:
        """sqrt(m2/(n-1)); whether it is defined (n > 1)."""
        return (math.sqrt(self.m2 / (self.n - 1)), True) if self.n > 1 else (0.0, False)

    def population_deviation(self) -> tuple[float, bool]:
        """sqrt(m2/n); whether it is defined (n > 0)."""
        return (math.sqrt(self.m2 / self.n), True) if self.n > 0 else (0.0, False)


def add_in_lanes_along(numbers: Numbers) -> Numbers:
    """Sums along the last axis in the order lanes20-v1; what does not count is 0.0 at its place."""
    series = np.asarray(numbers, np.float64)
    width = series.shape[-1]
    padded = np.zeros((*series.shape[:-1], -(-width // LANES) * LANES))
    padded[..., :width] = series
    rows = padded.reshape(*series.shape[:-1], -1, LANES)
    lanes = np.zeros((*series.shape[:-1], LANES))
    for row in range(rows.shape[-2]):
        lanes = lanes + rows[..., row, :]
    ten = lanes[..., :10] + lanes[..., 10:]
    five = ten[..., :5] + ten[..., 5:]
    return np.asarray(((five[..., 0] + five[..., 1]) + (five[..., 2] + five[..., 3])) + five[..., 4])


def add_in_lanes(numbers: npt.ArrayLike) -> float:
    """The sum of one series, 0.0 of an empty one."""
    return float(add_in_lanes_along(np.asarray(numbers, dtype=np.float64).ravel()))


def find_moments(numbers: npt.ArrayLike, counts: npt.ArrayLike) -> Moments:
    """Moments of the numbers where `counts` is true; what stands elsewhere is never touched, NaN or not."""
    series, mask = np.asarray(numbers, dtype=np.float64), np.asarray(counts, dtype=np.bool_)
    n = int(np.count_nonzero(mask))
    total = add_in_lanes(np.where(mask, series, 0.0))
    if n == 0:
        return Moments(0, 0.0, 0.0, 0.0)
    mean = total / n
    deviation = np.where(mask, series, mean) - mean
    return Moments(n, total, mean, add_in_lanes(deviation * deviation))
