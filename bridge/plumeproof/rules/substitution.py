"""Missing hours of a greenhouse gas: mean + 2 sigma, (EU) 2018/2066 Art. 45 and Annex VIII eq. 4 (DK 0.95).

    C*_subst = mean(C) + 2 sigma(C)     over the valid hours of the whole reporting period, or of a representative one

Sigma is the sample standard deviation (n - 1; DK 0.6, a setting), summed in two passes in the order lanes20-v1. With
one valid hour sigma is undefined: the mean is taken and marked. Without any there is no substitute. The value is final
only when the period is over: until then every figure that rests on it is provisional. Missing flow is not for this rule
but for a mass or energy balance (DK 0.9). HJ 75 and Part 75 have rules of their own: hj75.py, part75.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Numbers, Truths
from plumeproof.rules.series import as_mask, as_series, refuse_not_finite, refuse_other_lengths
from plumeproof.rules.summation import find_moments

SIGMAS = ("sample", "population")
SIGMA_COUNT = 2.0


@dataclass(frozen=True, slots=True)
class Substitute:
    """The value for a missing hour. `exists`: there was a valid hour; `is_sigma_undefined`: one only, value = mean."""

    value: float
    exists: bool
    n: int
    mean: float
    sigma: float
    is_sigma_undefined: bool


def mean_plus_two_sigma(values: npt.ArrayLike, valid: npt.ArrayLike, sigma: str = "sample") -> Substitute:
    """The substitute from the hours where `valid` is true. Raises RuleError (unknown sigma, a valid NaN)."""
    if sigma not in SIGMAS:
        raise RuleError("sigma", f"{str(sigma)[:40]!r} is none of {', '.join(SIGMAS)}")
    series, mask = as_series(values, "values"), as_mask(valid, "valid")
    refuse_other_lengths(series, valid=mask)
    refuse_not_finite(series, mask, "values")
    moments = find_moments(series, mask)
    deviation, _ = moments.sample_deviation() if sigma == "sample" else moments.population_deviation()
    value = moments.mean + SIGMA_COUNT * deviation
    return Substitute(value, moments.n > 0, moments.n, moments.mean, deviation, moments.n == 1)


@dataclass(frozen=True, slots=True)
class Filled:
    """Hours after substitution; 0.0 where there is neither a value nor a substitute (`has` false)."""

    values: Numbers
    has: Truths
    is_substituted: Truths


def fill(values: npt.ArrayLike, valid: npt.ArrayLike, wanted: npt.ArrayLike, substitute: Substitute) -> Filled:
    """`values` where valid, the substitute where an hour is wanted (the plant ran) and not valid."""
    series, has, want = as_series(values, "values"), as_mask(valid, "valid"), as_mask(wanted, "wanted")
    refuse_other_lengths(series, valid=has, wanted=want)
    refuse_not_finite(series, has, "values")
    is_substituted = want & ~has & substitute.exists
    filled = np.where(has, series, np.where(is_substituted, substitute.value, 0.0))
    return Filled(filled, has | is_substituted, is_substituted)
