"""From the unit of a plant's channel to the unit that the formulas take: vol-%, degC, kPa, mg/m3 and m3/h."""

from __future__ import annotations

import numpy as np

from plumeproof.rules import conditions, flow
from plumeproof.rules.elementwise import Numbers
from plumeproof.rules.plant import Flow, Measurand
from plumeproof.rules.settings import Settings

BY_VOLUME = ("ppm", "ppb", "%")  # units of a volume fraction, whose mg/m3 are at the state of the molar volume
ROUNDED = 0.005  # a molar volume so near is that of 0 degC as a national text rounds it: 22.4 in China
TOC = "TOC"  # an analyzer calibrated with propane: three carbon atoms a molecule, mg C/m3


def peripheral(values: Numbers, unit: str) -> Numbers:
    """vol-%, degC or kPa."""
    if unit == "K":
        return values - conditions.ZERO_CELSIUS_K
    if unit in ("hPa", "mbar"):
        return values / 10.0
    if unit == "Pa":
        return values / 1000.0
    return values * 100.0 if unit == "bar" else values


def to_mg_m3(values: Numbers, one: Measurand, settings: Settings) -> Numbers:
    """A concentration in mg/m3 at the state in which it was measured; NO as NO2 where the plant says so. Raises
    RuleError (gas without molar mass)."""
    found = _as_measured(values, one, settings)
    if one.no2_share_pct is None:
        return found
    return np.asarray(conditions.nox_from_no_only_mg_m3(found, one.no2_share_pct))


def mass_state_factor(one: Measurand, settings: Settings) -> float:
    """What makes mg per normal m3, which may be multiplied by a normal flow, of what `to_mg_m3` gives: a concentration
    and a flow must be at one state (averaging-rules 4.5). 1.0 of a channel in mg/m3, which is at 0 degC, and where the
    rule set's molar volume is that of 0 degC; 24.055/22.414 of ppm, ppb and % where it is that of 20 degC."""
    ratio = settings.molar_volume / conditions.MOLAR_VOLUME
    return ratio if one.unit in BY_VOLUME and abs(ratio - 1.0) > ROUNDED else 1.0


def _as_measured(values: Numbers, one: Measurand, settings: Settings) -> Numbers:
    if one.unit == "ug/m3":
        return values / 1000.0
    if one.unit == "g/m3":
        return values * 1000.0
    if one.unit == "mg/m3":
        return values
    molar_mass = conditions.molar_mass_g_mol("C" if one.gas == TOC else one.gas or one.id)
    atoms = conditions.PROPANE_C_ATOMS if one.gas == TOC else 1
    ppm = values * 10_000.0 if one.unit == "%" else values / 1000.0 if one.unit == "ppb" else values
    return np.asarray(conditions.ppm_to_mg_m3(ppm, molar_mass, settings.molar_volume, atoms))


def to_m3_h(values: Numbers, one: Flow) -> Numbers:
    """A flow in m3/h at the state in which it was measured, with the duct's area and wall factor."""
    if one.unit == "m/s":
        assert one.area_m2 is not None  # parse_plant
        return np.asarray(flow.actual_flow_m3_h(values, one.area_m2, one.wall_factor))
    return np.asarray(values * flow.S_PER_H if one.unit == "m3/s" else values) * one.wall_factor
