"""Validated values: standardised less the confidence interval, for comparison with a limit only (reference: 5.1).

    validated = max(0, standardised - CI)     IED Annex VI Part 8 point 1.2, Annex V Part 3 point 10 (confidence 0.95)

Once, on the half-hourly or hourly value; never on masses. How much is subtracted differs by country (setting ci_mode),
and the rule is moving (Directive (EU) 2024/1785, Art. 15a): a new mode is one entry here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Number, as_numbers, give, give_existing
from plumeproof.rules.settings import CI_MODES, Settings


def limit_for_interval_mg_m3(
    quantity: str, daily_mg_m3: float, half_hour_mg_m3: float | None, settings: Settings
) -> float:
    """Whose per cent the interval is: the daily limit's, or the half-hour limit's where the daily one is below the
    setting ci_half_hour_below (17. BImSchV: dust below 10 mg/m3 [S3]). Raises RuleError."""
    below = settings.ci_half_hour_below.get(quantity)
    if below is None or daily_mg_m3 >= below:
        return daily_mg_m3
    if half_hour_mg_m3 is None:
        raise RuleError(f"{quantity}: half-hour limit", f"is needed where the daily one is below {below:g}; add it")
    return half_hour_mg_m3


def interval_mg_m3(
    standardised_mg_m3: Number,
    mode: str,
    pct: float | None = None,
    limit_mg_m3: float | None = None,
    qal2_mg_m3: float | None = None,
) -> Number:
    """What is subtracted. `pct`: of `limit_mg_m3` (`limit_for_interval_mg_m3`); `qal2_mg_m3`: found in the QAL2.

    none 0 | pct_of_elv limit*pct/100 | pct_of_value max(0, value)*pct/100 | min_of_both | qal2_capped min(qal2,
    limit*pct/100). Raises RuleError where a mode lacks what it needs.
    """
    if mode not in CI_MODES:
        raise RuleError("ci_mode", f"{mode[:40]!r} is none of {', '.join(CI_MODES)}")
    value = as_numbers(standardised_mg_m3)
    if mode == "none":
        return give(np.zeros(value.shape))
    share = _needed("ci_pct", pct, mode)
    own = np.where(value > 0.0, value, 0.0) * share / 100.0
    if mode == "pct_of_value":
        return give(own)
    cap = _needed("limit", limit_mg_m3, mode) * share / 100.0
    if mode == "min_of_both":
        return give(np.minimum(own, cap))
    if mode == "qal2_capped":
        cap = min(_needed("ci_qal2", qal2_mg_m3, mode), cap)
    return give(np.full(value.shape, cap))


def validate(standardised_mg_m3: Number, interval: Number, clip_negative: bool, exists: Any = True) -> tuple[Any, Any]:
    """(validated, exists). Below zero it is 0 with `clip_negative`; the standardised value keeps its sign."""
    value = as_numbers(standardised_mg_m3)
    has = np.asarray(exists, np.bool_) & np.isfinite(value)
    difference = np.where(has, value, 0.0) - as_numbers(interval)
    if clip_negative:
        difference = np.where(difference > 0.0, difference, 0.0)
    return give_existing(np.asarray(difference), np.asarray(has))


def _needed(name: str, value: float | None, mode: str) -> float:
    if value is None or not 0.0 <= value < float("inf"):
        raise RuleError(name, f"is needed, not negative, for ci_mode {mode}; see the permit and the QAL2 report")
    return float(value)
