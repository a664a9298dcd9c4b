"""Decimal rounding, once: when a value is compared with a limit or printed (reference: averaging-rules section 5.2).

To the decimals of the limit (confidence 0.75), half away from zero (DIN 1333, confidence 0.9), by decimal arithmetic
from the shortest decimal text of the number, because binary fractions break ties. Zero has no sign. What is stored and
averaged is never rounded.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Number, Truth, as_numbers, give

MODES = {"half_away": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}  # decimal calls "half away from zero" HALF_UP
DECIMALS_MAX = 15
_EXACT = Context(prec=400)  # digits enough for the whole part of any float64


def to_decimal(value: float | str | Decimal) -> Decimal:
    """The decimal that is written: of a float its shortest text that reads back. Raises RuleError (no number)."""
    try:
        found = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, ValueError, TypeError) as error:
        raise RuleError(f"value {str(value)[:40]!r}", "is no decimal number") from error
    if not found.is_finite():
        raise RuleError(f"value {str(value)[:40]!r}", "is no number; what does not exist is not rounded")
    return found


def decimals_of(limit: str) -> int:
    """Decimals of a limit as the permit prints it: "10" 0, "0.05" 2, "10.0" 1."""
    exponent = to_decimal(limit).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def round_decimal(value: float | str | Decimal, decimals: int, mode: str = "half_away") -> Decimal:
    """Rounded, with exactly `decimals` places, zero without a sign. Raises RuleError."""
    if mode not in MODES:
        raise RuleError(f"rounding {mode[:40]!r}", f"is none of {', '.join(MODES)}")
    if not 0 <= decimals <= DECIMALS_MAX:
        raise RuleError("decimals", f"{decimals} is outside 0..{DECIMALS_MAX}")
    rounded = to_decimal(value).quantize(Decimal(1).scaleb(-decimals), rounding=MODES[mode], context=_EXACT)
    return abs(rounded) if rounded.is_zero() else rounded


def round_text(value: float | str | Decimal, decimals: int, mode: str = "half_away") -> str:
    """As printed."""
    return format(round_decimal(value, decimals, mode), "f")


def exceeds(
    values: Number, limit: str | Decimal, decimals: int, mode: str = "half_away", compare: str = "rounded"
) -> Truth:
    """Where a value is above the limit: rounded to `decimals` first (10.49 complies with 10, 10.50 does not), or as it
    is with compare = unrounded. The limit itself is taken exactly. NaN and infinity are refused, not compared."""
    if compare not in ("rounded", "unrounded"):
        raise RuleError("compare", f"{compare[:40]!r} is none of rounded, unrounded")
    numbers = as_numbers(values)
    if not np.isfinite(numbers).all():
        raise RuleError("values", "hold NaN or infinity; leave out what does not exist")
    exact = to_decimal(limit)
    bound = float(exact)
    step = 10.0**-decimals
    if compare == "rounded":
        round_decimal(0.0, decimals, mode)  # refuses a wrong setting also where nothing is near the limit
    found = np.asarray(numbers > bound)
    # Only a value within one step of the limit can change sides by rounding, or by the limit's own binary form.
    near = np.abs(numbers - bound) <= step + abs(bound) * 1e-12
    if near.any():
        judged = [_is_above(number, exact, decimals, mode, compare) for number in numbers[near].tolist()]
        found[near] = judged
    return give(found)


def _is_above(number: float, limit: Decimal, decimals: int, mode: str, compare: str) -> bool:
    value: Any = to_decimal(number)
    return bool((round_decimal(value, decimals, mode) if compare == "rounded" else value) > limit)
