"""Uncertainty of weighted sums of uncertain values (JCGM 100:2008, the GUM; clauses 5.1, 5.2, 6.2).

Nothing lies between full correlation, of what all values share (a calibration gas), and none. What single averages are
uncertain by, from stated components: term_uncertainty.py.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from plumeproof.rules.summation import add_in_lanes

COVERAGE_FACTOR = 2.0  # about 95 % for a normal distribution (clause 6.3.3)
ROOT_3 = math.sqrt(3.0)


def of_weighted(
    weights: npt.ArrayLike, total: npt.ArrayLike, common: npt.ArrayLike, counts: npt.ArrayLike
) -> tuple[float, float]:
    """(U, C) of sum_i w_i x_i, where x_i is uncertain by U_i, of which C_i comes from components that all share:

        C = sum |w_i| C_i      U = sqrt(C^2 + sum w_i^2 (U_i^2 - C_i^2))

    Clauses 5.1.2 for what each has of its own, 5.2.2 with r = 1 for what they share. With one common component, or
    several in one proportion, this is exact; otherwise C is an upper bound, because which component made it is not
    known any more. Weights are exact.
    """
    mask = np.asarray(counts, np.bool_)
    weight = np.where(mask, np.abs(np.asarray(weights, np.float64)), 0.0)
    whole, shared = (np.where(mask, np.asarray(one, np.float64), 0.0) for one in (total, common))
    kept = add_in_lanes(weight * shared)
    own = add_in_lanes(weight * weight * ((whole - shared) * (whole + shared)))
    return math.sqrt(kept * kept + own), kept
