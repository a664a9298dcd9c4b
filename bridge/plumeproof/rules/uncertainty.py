"""Uncertainty of averages and sums from stated components (JCGM 100:2008, the GUM; clauses 4.3, 5.1, 5.2, 6.2).

    u(x)        half width / sqrt(3) of a rectangular component, value / k of a normal one; absolute or in % of |x|
    u(sum)^2  = sum over components of   (sum_i s_i u_i)^2   where all values share the error (is_common)
                                         sum_i (s_i u_i)^2   where each has its own
    U         = k u

s_i is the sensitivity of the result to value i: 1 for a sum, 1/n for a mean, the other factor for a product. Nothing
lies between full correlation and none. Components of one quantity, and quantities, are independent of each other. A
component that is not stated is not in the result: an uncertainty is never better than its list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Number, as_numbers, give
from plumeproof.rules.plant import Component
from plumeproof.rules.series import as_mask, as_series, refuse_not_finite, refuse_other_lengths
from plumeproof.rules.summation import add_in_lanes
from plumeproof.rules.tiers import TierJudgement, judge_tier

COVERAGE_FACTOR = 2.0  # about 95 % for a normal distribution (clause 6.3.3)
COVERAGE_FACTOR_MAX = 10.0
ROOT_3 = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One input series: its values, what the result changes with each of them, its components, and which count."""

    name: str
    values: npt.ArrayLike
    sensitivities: npt.ArrayLike | float
    components: tuple[Component, ...]
    counts: npt.ArrayLike | None = None  # None: all


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What one component adds: standard uncertainty in the unit of the result, and its share of the variance, 0..1."""

    quantity: str
    component: str
    standard: float
    share: float


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Of one result. `exists` is false where no component was stated: then nothing is known, not nothing uncertain."""

    standard: float
    k: float
    expanded: float
    exists: bool
    budget: tuple[BudgetLine, ...]

    def relative_pct(self, result: float) -> tuple[float, bool]:
        """Expanded, in per cent of |result|; does not exist for a result of 0."""
        exists = self.exists and result != 0.0
        return (100.0 * self.expanded / abs(result) if exists else 0.0), exists


def standard_of(component: Component, value: Number) -> Any:
    """Standard uncertainty of each value, never negative. Raises RuleError (not one of both ways to state it)."""
    if (component.value is None) == (component.value_pct is None):
        raise RuleError(f"component {component.name}", "needs either value or value_pct, not both and not none")
    numbers = as_numbers(value)
    if component.value_pct is None:
        stated = np.full(numbers.shape, component.value, np.float64)
    else:
        stated = component.value_pct * np.abs(numbers) / 100.0
    if component.distribution == "rectangular":
        return give(stated / ROOT_3)
    if component.distribution != "normal" or not component.k > 0.0:
        raise RuleError(f"component {component.name}", "is neither rectangular nor normal with k above 0")
    return give(stated / component.k)


def combined_of(components: Sequence[Component], value: Number) -> Any:
    """Standard uncertainty of single values from all their components, in their order: sqrt(u1^2 + u2^2 + ...)."""
    total = np.zeros(as_numbers(value).shape)
    for component in components:
        part = as_numbers(standard_of(component, value))
        total = total + part * part
    return give(np.asarray(np.sqrt(total)))


def of_sum(quantities: Sequence[Quantity], k: float = COVERAGE_FACTOR) -> Uncertainty:
    """Of sum_i f(...)_i, whose sensitivities the quantities carry. Raises RuleError."""
    if not 0.0 < k <= COVERAGE_FACTOR_MAX:
        raise RuleError("k", f"{k} is no coverage factor; 2 is about 95 %")
    parts: list[tuple[str, str, float]] = []
    for quantity in quantities:
        where = f"quantity {quantity.name[:40]}"
        values = as_series(quantity.values, where)
        factors = np.asarray(quantity.sensitivities, np.float64)
        weights = np.full(values.shape, float(factors)) if factors.ndim == 0 else as_series(factors, where)
        everything = np.ones(values.shape, np.bool_)
        counts = everything if quantity.counts is None else as_mask(quantity.counts, where)
        refuse_other_lengths(values, sensitivities=weights, counts=counts)
        refuse_not_finite(values, counts, where)
        refuse_not_finite(weights, counts, where)
        values, weights = np.where(counts, values, 0.0), np.where(counts, weights, 0.0)
        for component in quantity.components:
            errors = weights * as_numbers(standard_of(component, values))
            refuse_not_finite(errors, counts, f"{where}, component {component.name[:40]}")
            own = abs(add_in_lanes(errors)) if component.is_common else math.sqrt(add_in_lanes(errors * errors))
            parts.append((quantity.name, component.name, own))
    variance = 0.0
    for _, _, own in parts:
        variance += own * own
    standard = math.sqrt(variance)
    budget = tuple(
        BudgetLine(name, component, own, own * own / variance if variance > 0.0 else 0.0)
        for name, component, own in parts
    )
    return Uncertainty(standard, k, k * standard, bool(parts), budget)


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


def of_mean(
    name: str,
    values: npt.ArrayLike,
    components: tuple[Component, ...],
    counts: npt.ArrayLike | None = None,
    k: float = COVERAGE_FACTOR,
) -> Uncertainty:
    """Of the mean of the values that count. Raises RuleError (none counts)."""
    series = as_series(values, name)
    n = series.size if counts is None else int(np.count_nonzero(as_mask(counts, name)))
    if n == 0:
        raise RuleError(name, "no value counts; a mean that does not exist has no uncertainty")
    return of_sum([Quantity(name, series, 1.0 / n, components, counts)], k)


def of_product_sum(first: Quantity, second: Quantity, k: float = COVERAGE_FACTOR, scale: float = 1.0) -> Uncertainty:
    """Of scale * sum_i first_i second_i, such as tonnes from concentration and flow; own sensitivities are not used.

    What counts in one must count in the other. Raises RuleError.
    """
    x, y = as_series(first.values, first.name), as_series(second.values, second.name)
    refuse_other_lengths(x, second=y)
    mask = np.ones(x.shape, np.bool_)
    for quantity in (first, second):
        if quantity.counts is not None:
            mask = mask & as_mask(quantity.counts, quantity.name)
    x_safe, y_safe = np.where(mask, x, 0.0), np.where(mask, y, 0.0)
    refuse_not_finite(x, mask, first.name)
    refuse_not_finite(y, mask, second.name)
    return of_sum(
        [
            Quantity(first.name, x, y_safe * scale, first.components, mask),
            Quantity(second.name, y, x_safe * scale, second.components, mask),
        ],
        k,
    )


def judge_annual(stream: str, annual: Uncertainty, total: float, required: int | None = None) -> TierJudgement:
    """The tier that the year's emission reaches (tiers.py). Raises RuleError where nothing is stated or emitted."""
    pct, exists = annual.relative_pct(total)
    if not exists:
        raise RuleError("annual uncertainty", "cannot be judged: no components are stated, or the total is 0")
    return judge_tier(stream, pct, required)
