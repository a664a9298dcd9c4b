"""From a loop's current to a value, and the calibration function (reference: averaging-rules section 4.1).

    x = lo + (I - 4 mA)/16 mA * (hi - lo);  y = a + b*x

The function of the QAL2 (EN 14181:2014 clause 6.4, confidence 0.85) is applied to every first level value. Its valid
range (clauses 6.5, 8.3) is compared with the normalised value, never with x or y before it. Small negatives stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules import status
from plumeproof.rules.elementwise import Codes, Number, Truth, as_numbers, finite, give

LOOP_ZERO_MA, LOOP_SPAN_MA = 4.0, 16.0
FAILURE_LOW_MA, FAILURE_HIGH_MA = 3.6, 21.0  # NAMUR NE 43: at and beyond, the transmitter has failed (confidence 0.95)
OVER_RANGE_MA = 20.0  # above: the measuring range is left (confidence 0.95)


def scale_loop(current_ma: Number, range_low: float, range_high: float) -> Number:
    """x in the unit of the range: lo + ((I - 4) / 16) * (hi - lo). Raises RuleError (empty range)."""
    _refuse_empty(range_low, range_high)
    fraction = (as_numbers(current_ma) - LOOP_ZERO_MA) / LOOP_SPAN_MA
    return give(range_low + fraction * (range_high - range_low))


def judge_loop(current_ma: Number, range_low: float, range_high: float, under_range_pct: float = -2.0) -> Any:
    """Status codes from the current alone: F in the failure bands, O above 20 mA, U below `under_range_pct` of the
    range (default confidence 0.5), else V, small negatives included. NaN and infinity are F."""
    _refuse_empty(range_low, range_high)
    current = as_numbers(current_ma)
    is_number = finite(current)
    current = np.where(is_number, current, 0.0)
    codes: Codes = np.full(current.shape, status.VALID, np.uint8)
    share_pct = (current - LOOP_ZERO_MA) / LOOP_SPAN_MA * 100.0
    codes[share_pct < under_range_pct] = status.FAR_BELOW
    codes[current > OVER_RANGE_MA] = status.OVER
    codes[~is_number | (current <= FAILURE_LOW_MA) | (current >= FAILURE_HIGH_MA)] = status.FAULT
    return give(codes)


def judge_range(x: Number, range_low: float, range_high: float, under_range_pct: float = -2.0) -> Any:
    """Status codes of a digital value against its measuring range: O above, U far below, F for what is no number."""
    _refuse_empty(range_low, range_high)
    value = as_numbers(x)
    is_number = finite(value)
    value = np.where(is_number, value, range_low)
    codes: Codes = np.full(value.shape, status.VALID, np.uint8)
    codes[value - range_low < (range_high - range_low) * under_range_pct / 100.0] = status.FAR_BELOW
    codes[value > range_high] = status.OVER
    codes[~is_number] = status.FAULT
    return give(codes)


def use_range_end(x: Number, codes: Any, range_high: float) -> tuple[Any, Any]:
    """Setting over_range = use_range_end (confidence 0.5): O becomes the range end, marked S. (value, codes)."""
    is_over = np.asarray(codes) == status.OVER
    value = np.where(is_over, range_high, as_numbers(x))
    return give(value), give(np.where(is_over, np.uint8(status.SUBSTITUTE), np.asarray(codes, np.uint8)))


def calibrate(x: Number, a: Number, b: Number) -> Number:
    """y = a + b*x, the product rounded first. `a`, `b` may be arrays: the function in force at each value's time."""
    return give(as_numbers(a) + as_numbers(b) * as_numbers(x))


def is_in_valid_range(normalised_mg_m3: Number, valid_to_mg_m3: Number) -> Truth:
    """Whether a normalised value lies in 0..`valid_to`; what lies outside stays valid and is counted (section 8.3)."""
    value = as_numbers(normalised_mg_m3)
    return give(np.asarray((value >= 0.0) & (value <= as_numbers(valid_to_mg_m3))))


def _refuse_empty(range_low: float, range_high: float) -> None:
    if not range_low < range_high:
        raise RuleError("measuring range", f"{range_low:g}..{range_high:g} is empty; give the lower end first")
