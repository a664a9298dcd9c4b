"""To reference conditions: ppm, NO as NO2, temperature, pressure, moisture, oxygen (reference: sections 4.2-4.4).

    c_norm = c * (273.15 + T)/273.15 * 101.325/p * 100/(100 - H) * (21 - O2_ref)/(21 - O2_dry)

T in degC, p absolute in kPa, H in vol-% of the wet gas, O2 in vol-% of the dry gas; IED Annex VI Part 7 and 17. BImSchV
Annex 5 print the factor for oxygen with 21. Factors are (factor, exists): none at or beyond 21 % O2, at 100 % moisture,
without pressure, at or below absolute zero, or where an input is no number. 101.325 kPa everywhere, also where a text
prints 101.3.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Number, as_numbers, finite, give, give_existing, safe

MOLAR_VOLUME = 22.414  # L/mol at 273.15 K and 101.325 kPa; 22.4 in China, 24.055 at 20 degC in the US: a setting
ZERO_CELSIUS_K = 273.15
NORMAL_KPA = 101.325
O2_AIR_PCT = 21.0
NO2_PER_NO = 46.005 / 30.006  # NO as NO2; the double nearest to the quotient

# g/mol (reference: section 4.2, E05)
MOLAR_MASSES = MappingProxyType(
    {
        "CO": 28.01,
        "NO": 30.006,
        "NO2": 46.005,
        "SO2": 64.064,
        "HCl": 36.461,
        "HF": 20.006,
        "NH3": 17.031,
        "N2O": 44.013,
        "CH4": 16.043,
        "CO2": 44.009,
        "C": 12.011,
    }
)
PROPANE_C_ATOMS = 3  # TOC analyzers are calibrated with propane; the result is mg C/m3


def molar_mass_g_mol(gas: str) -> float:
    """Of a gas of the table. NOx is measured as NO2. Raises RuleError."""
    found = MOLAR_MASSES.get("NO2" if gas == "NOx" else gas)
    if found is None:
        raise RuleError(f"gas {gas[:40]!r}", f"has no molar mass here; known are {', '.join(MOLAR_MASSES)} and NOx")
    return found


def ppm_to_mg_m3(ppm: Number, molar_mass: Number, molar_volume: Number = MOLAR_VOLUME, c_atoms: int = 1) -> Number:
    """ppm * M / Vm, the product first; with `c_atoms`, for TOC as propane: ppm * atoms * M / Vm."""
    product = as_numbers(ppm) * float(c_atoms) * as_numbers(molar_mass)
    return give(product / as_numbers(molar_volume))


def nox_as_no2_mg_m3(no_mg_m3: Number, no2_mg_m3: Number) -> Number:
    """NO * (46.005/30.006) + NO2 (section 4.3)."""
    return give(as_numbers(no_mg_m3) * NO2_PER_NO + as_numbers(no2_mg_m3))


def nox_from_no_only_mg_m3(no_mg_m3: Number, no2_share_pct: float) -> Number:
    """NO as NO2, with a fixed share of NO2 in NOx added: NO * f / ((100 - share)/100). 5 % is typical, permit-specific
    (confidence 0.8); China does not allow it. Raises RuleError."""
    if not 0.0 <= no2_share_pct < 100.0:
        raise RuleError("NO2 share", f"{no2_share_pct:g} % is outside 0..100; it is the permit's share of NO2 in NOx")
    return give(as_numbers(no_mg_m3) * NO2_PER_NO / ((100.0 - no2_share_pct) / 100.0))


def temperature_factor(t_c: Number, zero_celsius_k: float = ZERO_CELSIUS_K) -> tuple[Any, Any]:
    """(zero + T)/zero."""
    t = as_numbers(t_c)
    exists = finite(t)
    kelvin = zero_celsius_k + safe(t, exists, 0.0)
    return give_existing(kelvin / zero_celsius_k, exists & (kelvin > 0.0))


def pressure_factor(p_kpa: Number) -> tuple[Any, Any]:
    """101.325/p, p absolute."""
    p = as_numbers(p_kpa)
    exists = finite(p) & (safe(p, finite(p)) > 0.0)
    with np.errstate(over="ignore"):
        return give_existing(NORMAL_KPA / safe(p, exists), exists)


def moisture_factor(h2o_pct: Number) -> tuple[Any, Any]:
    """100/(100 - H); a slightly negative H is a slightly negative reading, and taken as it is."""
    h = as_numbers(h2o_pct)
    exists = finite(h) & (safe(h, finite(h), 0.0) < 100.0)
    return give_existing(100.0 / (100.0 - safe(h, exists, 0.0)), exists)


def oxygen_factor(
    o2_dry_pct: Number,
    o2_ref_pct: Number,
    o2_air_pct: float = O2_AIR_PCT,
    no_conversion_below_ref: bool = False,
    invalid_above_pct: float | None = None,
    clamp_pct: float | None = None,
) -> tuple[Any, Any]:
    """(air - ref)/(air - O2); none where O2 as measured is at or above `o2_air_pct`, whatever the settings.

    `no_conversion_below_ref`: 1 where O2 is below the reference (17. BImSchV section 17(1), 13. BImSchV section 19(1)).
    `invalid_above_pct`: none from there on; `clamp_pct`: O2 is taken as at most this (vendor practice, confidence 0.6).
    Raises RuleError where the reference or a setting is not below `o2_air_pct`.
    """
    reference = as_numbers(o2_ref_pct)
    if not finite(reference).all() or (reference >= o2_air_pct).any():
        raise RuleError("O2 reference", f"is not below {o2_air_pct:g} vol-%, the oxygen of air; see the permit")
    for name, limit in (("o2_invalid_above", invalid_above_pct), ("o2_clamp", clamp_pct)):
        if limit is not None and limit >= o2_air_pct:
            raise RuleError(name, f"{limit:g} is not below {o2_air_pct:g} vol-%; give a lower one or none")
    o2 = as_numbers(o2_dry_pct)
    is_number = finite(o2)
    o2 = safe(o2, is_number, 0.0)
    exists = is_number & (o2 < o2_air_pct)
    if invalid_above_pct is not None:
        exists = exists & (o2 < invalid_above_pct)
    taken = o2 if clamp_pct is None else np.minimum(o2, clamp_pct)
    factor = (o2_air_pct - reference) / (o2_air_pct - safe(taken, exists, 0.0))
    if no_conversion_below_ref:
        factor = np.where(o2 < reference, 1.0, factor)
    return give_existing(np.asarray(factor), exists)


def dry_o2_pct(o2_wet_pct: Number, h2o_pct: Number) -> tuple[Any, Any]:
    """O2_wet * 100/(100 - H), from a cell in wet gas."""
    factor, exists = moisture_factor(h2o_pct)
    wet = as_numbers(o2_wet_pct)
    known = finite(wet) & exists
    return give_existing(safe(wet, known, 0.0) * factor, known)


def moisture_from_o2_pct(o2_wet_pct: Number, o2_dry_pct: Number) -> tuple[Any, Any]:
    """100 * (1 - O2_wet/O2_dry), from a wet and a dry cell; none where the dry cell reads nothing above zero."""
    wet, dry = as_numbers(o2_wet_pct), as_numbers(o2_dry_pct)
    exists = finite(wet) & finite(dry) & (safe(dry, finite(dry)) > 0.0)
    with np.errstate(over="ignore"):
        return give_existing(100.0 * (1.0 - safe(wet, exists, 0.0) / safe(dry, exists)), exists)


def standardise(c: Number, *factors: tuple[Any, Any]) -> tuple[Any, Any]:
    """c times each factor, from the left: give them in the order T, p, H2O, O2, those that the analyzer needs.

    None exists where one factor does not, or c is no number. Negative values stay negative.
    """
    value = as_numbers(c)
    exists = finite(value)
    value = safe(value, exists, 0.0)
    with np.errstate(over="ignore"):
        for factor, has_factor in factors:
            value = np.asarray(value * as_numbers(factor))
            exists = np.asarray(exists & np.asarray(has_factor, np.bool_))
    return give_existing(value, exists)
