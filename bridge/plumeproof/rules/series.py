"""One series of hours (or of any equal periods): numbers and a mask beside them, checked at the door.

Whether a number exists is said by the mask and never by the number: NaN and infinity that are marked valid are refused,
what stands beside a mask's false is not looked at (reference: averaging-rules section 12).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Numbers, Truths

MAGNITUDE_MAX = 1e100  # its square is still a float64, so that no sum below can overflow


def find_runs(mask: npt.ArrayLike) -> tuple[tuple[int, int], ...]:
    """[start, end) of each run of consecutive true hours, in order."""
    series = as_mask(mask, "mask")
    edges = np.flatnonzero(np.diff(np.concatenate(([False], series, [False])).astype(np.int8)))
    return tuple((int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True))


def last_counting(values: Numbers, counts: Truths, before: int, most: int) -> Numbers:
    """The newest values that count among the hours before `before`, at most `most` of them, oldest first."""
    found = np.flatnonzero(counts[:before])
    return np.asarray(values[found[-most:]] if most else values[:0], np.float64)


def as_series(values: npt.ArrayLike, where: str) -> Numbers:
    """One dimension of float64. Raises RuleError."""
    try:
        series = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RuleError(where, "are no numbers; text and gaps belong into the mask beside them") from error
    if series.ndim != 1:
        raise RuleError(where, f"have {series.ndim} dimensions; give one series")
    return series


def as_mask(values: npt.ArrayLike, where: str) -> Truths:
    """One dimension of true and false, and nothing that must be guessed to be one. Raises RuleError."""
    mask = np.asarray(values)
    if mask.size == 0:
        mask = mask.astype(np.bool_)
    if mask.dtype != np.bool_ or mask.ndim != 1:
        raise RuleError(where, f"is {mask.dtype} of {mask.ndim} dimensions; give one series of true and false")
    return mask


def refuse_other_lengths(series: Numbers, **others: npt.NDArray[np.generic]) -> None:
    for name, other in others.items():
        if other.shape != series.shape:
            raise RuleError(name, f"has {other.size} hours beside {series.size}; give one entry for every hour")


def refuse_not_finite(series: Numbers, counts: Truths, where: str) -> None:
    """NaN, infinity and what no emission is are invalid, never coerced (reference: averaging-rules section 12)."""
    bad = np.flatnonzero(counts & ~(np.abs(series) <= MAGNITUDE_MAX))
    if bad.size:
        raise RuleError(where, f"position {int(bad[0])} is {series[bad[0]]} and marked valid; mark it invalid")
