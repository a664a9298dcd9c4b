"""Whether a short-term average is covered, by whole numbers (reference: averaging-rules section 3.4).

    n_expected = first level data while the plant is in a reportable state (basis "operating"), or all (basis "period")
    STA        = (1/n_valid) * sum(valid), if n_valid * den >= num * n_expected, else none

Two thirds and the basis are settings (confidence 0.85 and 0.65). Sums and means: term_sums.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Count, Integers, Truth, Truths, give

QUADRANT_MIN = 15  # 40 CFR 75.10(d)


def count_expected(n_period: Count, n_reportable: Count, basis: str) -> Any:
    """n_expected by the setting coverage_basis. Raises RuleError."""
    if basis not in ("operating", "period"):
        raise RuleError("coverage_basis", f"{basis[:40]!r} is none of operating, period")
    return n_reportable if basis == "operating" else n_period


def covers(n_valid: Count, n_expected: Count, coverage: tuple[int, int]) -> Truth:
    """n_valid * den >= num * n_expected, by whole numbers: exactly two thirds are enough. Nothing valid, or nothing
    expected, is no coverage. Raises RuleError (impossible setting)."""
    num, den = coverage
    if not 0 < num <= den:
        raise RuleError("coverage", f"{num}/{den} is no share above 0 and at most 1; write it as [2, 3]")
    valid, expected = _counts(n_valid, "n_valid"), _counts(n_expected, "n_expected")
    return give(np.asarray((valid * den >= num * expected) & (valid > 0) & (expected > 0)))


def is_discarded(n_valid: Count, n_excused: Count, n_expected: Count, coverage: tuple[int, int]) -> Truth:
    """Whether a short-term average is lost by malfunction or maintenance, for the count of section 6.

    `n_excused`: invalid first level data whose letter the rule set does not count as lost (lost_letters; Austria: C).
    An average that would be valid with them is not lost by malfunction or maintenance. Nothing expected is no loss.
    """
    valid, excused = _counts(n_valid, "n_valid"), _counts(n_excused, "n_excused")
    expected = _counts(n_expected, "n_expected")
    is_short = ~np.asarray(covers(valid, expected, coverage)) & ~np.asarray(covers(valid + excused, expected, coverage))
    return give(np.asarray(is_short & (expected > 0)))


def quadrants(minutes: Truths) -> Truths:
    """Which of the four quarters of an hour hold anything: (..., 60) to (..., 4); minutes 0-14, 15-29, 30-44, 45-59."""
    marks = np.asarray(minutes, np.bool_)
    if marks.shape[-1:] != (4 * QUADRANT_MIN,):
        raise RuleError("quadrants", "are those of an hour of 60 minutes; give (..., 60)")
    return np.asarray(marks.reshape(*marks.shape[:-1], 4, QUADRANT_MIN).any(axis=-1))


def covers_quadrants(is_valid_min: Truths, runs_in: Truths, has_check: Any) -> Truth:
    """40 CFR 75.10(d): whether an hour is valid (confidence 0.95). `is_valid_min` (..., 60), `runs_in` (..., 4).

    A valid minute in each quadrant in which the unit ran; with calibration, checks or maintenance in the hour
    (`has_check`) two valid minutes at least 15 minutes apart suffice, one if the unit ran in one quadrant only.
    """
    valid, runs = np.asarray(is_valid_min, np.bool_), np.asarray(runs_in, np.bool_)
    filled = quadrants(valid)
    ran = runs.sum(axis=-1)
    is_full = (filled | ~runs).all(axis=-1)
    minute = np.arange(valid.shape[-1])
    first = np.where(valid, minute, valid.shape[-1]).min(axis=-1)
    last = np.where(valid, minute, -1).max(axis=-1)
    is_checked = np.asarray(has_check, np.bool_) & np.where(ran > 1, last - first >= QUADRANT_MIN, last >= 0)
    return give(np.asarray((is_full | is_checked) & (ran > 0) & (last >= 0)))


def _counts(value: Count, name: str) -> Integers:
    """Whole numbers, not negative: a share of floats would miss exactly two thirds."""
    found = np.asarray(value)
    if found.dtype.kind not in "iu":
        raise RuleError(name, "must be whole numbers; coverage is never compared as a float")
    if found.size and int(found.min()) < 0:
        raise RuleError(name, "is negative; counts are not")
    return found.astype(np.int64)
