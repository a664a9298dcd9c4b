"""Emission of greenhouse gases and substitution once more, slowly: fractions and lists, from the reference alone.

Written from averaging-rules sections 9 to 11 and the GUM (JCGM 100:2008), without a look at plumeproof.rules; exact up
to the last square root. `None` is a missing hour.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

Hour = tuple[float | None, float]  # concentration g/Nm3, flow Nm3/h


def moments(numbers: Sequence[float]) -> tuple[int, float, float]:
    """n, mean, sum of squared deviations."""
    if not numbers:
        return 0, 0.0, 0.0
    exact = [Fraction(number) for number in numbers]
    mean = sum(exact) / len(exact)
    return len(exact), float(mean), float(sum((one - mean) ** 2 for one in exact))


def substitute(valid: Sequence[float], kind: str) -> float | None:
    """Mean + 2 sigma; the mean alone where one value is all there is; None where there is none (9.3, 12)."""
    if not valid:
        return None
    exact = [Fraction(number) for number in valid]
    mean = statistics.mean(exact)
    if len(exact) == 1:
        return float(mean)
    variance = statistics.variance(exact) if kind == "sample" else statistics.pvariance(exact)
    return float(mean) + 2.0 * math.sqrt(variance)


def year_t(hours: Sequence[Hour], replacement: float | None) -> tuple[float, int, int, int]:
    """Tonnes of CO2 over operating hours, how many count, how many of them are replaced, how many have no figure."""
    total, counted, replaced, missing = Fraction(0), 0, 0, 0
    for concentration, flow in hours:
        if concentration is None:
            if replacement is None:
                missing += 1
                continue
            concentration = replacement
            replaced += 1
        counted += 1
        total += Fraction(concentration) * Fraction(flow) / 1_000_000
    return float(total), counted, replaced, missing


def combined_variance(
    values: Sequence[float], weights: Sequence[float], stated: float, is_relative: bool, divisor_squared: Fraction,
    is_common: bool,
) -> Fraction:  # fmt: skip
    """Variance that one component adds to sum w_i x_i (GUM 5.1.2 uncorrelated, 5.2.2 note 1 fully correlated)."""
    amount = Fraction(stated)
    errors = [
        Fraction(w) * (amount * abs(Fraction(x)) / 100 if is_relative else amount)
        for x, w in zip(values, weights, strict=True)
    ]
    square = sum(errors) ** 2 if is_common else sum(error**2 for error in errors)
    return Fraction(square) / divisor_squared
