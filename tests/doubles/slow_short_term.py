"""Reference conditions and mass once more, slowly: exact fractions, from the reference's sections 4.4 and 4.5.

Written from the reference and not from the bridge; shares no code with it and uses no numpy. A missing result is None.
Settings are a plain dictionary with the names of the reference's section 2.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def number(value: float | str) -> Fraction:
    """A float exactly; a decimal text exactly."""
    return Fraction(value)


def slow_normalised(
    c: Fraction,
    t_c: Fraction,
    p_kpa: Fraction,
    h_pct: Fraction,
    o2_dry: Fraction,
    o2_ref: Fraction,
    settings: dict[str, Any],
) -> Fraction | None:
    """Section 4.4, all four factors in one expression."""
    air = number(str(settings["o2_air"]))
    if h_pct >= 100 or p_kpa <= 0 or t_c <= Fraction("-273.15") or o2_dry >= air:
        return None
    if settings["o2_invalid_above"] is not None and o2_dry >= number(str(settings["o2_invalid_above"])):
        return None
    oxygen = o2_dry
    if settings["o2_clamp"] is not None:
        oxygen = min(oxygen, number(str(settings["o2_clamp"])))
    factor = (air - o2_ref) / (air - oxygen)
    if settings["o2_no_conversion_below_ref"] and o2_dry < o2_ref:
        factor = Fraction(1)
    kelvin = Fraction("273.15")
    return c * (kelvin + t_c) / kelvin * Fraction("101.325") / p_kpa * 100 / (100 - h_pct) * factor


def slow_mass(c: Fraction, flow: Fraction, settings: dict[str, Any]) -> Fraction:
    """kg/h, section 4.5; 0 for a negative concentration or flow where the rule set says so."""
    if settings["mass_zero_when_negative"] and (c < 0 or flow < 0):
        return Fraction(0)
    return c * flow / 1_000_000
