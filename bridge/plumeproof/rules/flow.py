"""Flow of flue gas and mass emission (reference: averaging-rules section 4.5; EN ISO 16911-1, ISO 10780).

    rho = p*M_wet/1000/(R*T_K)   v = K*sqrt(2*dp/rho)   Q = v*A*3600*f_wall   m = c*Q/1e6

Concentration and flow must be at the same conditions: both normal dry at actual O2, or both at reference O2; each
function says in its name which it gives. Mass uses standardised, never validated values. (value, exists) as everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.conditions import NORMAL_KPA, ZERO_CELSIUS_K
from plumeproof.rules.elementwise import Number, Numbers, Truths, as_numbers, finite, give, give_existing, safe

GAS_CONSTANT = 8.314462618  # J/(mol K), CODATA 2018, exact
O2_G_MOL, CO2_G_MOL, N2_G_MOL, H2O_G_MOL = 31.998, 44.009, 28.0134, 18.015
S_PROBE_K = 0.84  # typical for an S-type probe (confidence 0.9); the probe's own calibration replaces it
S_PER_H = 3600.0
MG_PER_KG = 1e6


def dry_molar_mass_g_mol(o2_dry_pct: Number, co2_dry_pct: Number) -> Number:
    """((O2*31.998 + CO2*44.009) + N2*28.0134)/100 with N2 = (100 - O2) - CO2."""
    o2, co2 = as_numbers(o2_dry_pct), as_numbers(co2_dry_pct)
    n2 = (100.0 - o2) - co2
    return give(((o2 * O2_G_MOL + co2 * CO2_G_MOL) + n2 * N2_G_MOL) / 100.0)


def wet_molar_mass_g_mol(dry_g_mol: Number, h2o_pct: Number) -> Number:
    """(M_dry*(100 - H) + 18.015*H)/100."""
    h = as_numbers(h2o_pct)
    return give((as_numbers(dry_g_mol) * (100.0 - h) + H2O_G_MOL * h) / 100.0)


def density_kg_m3(p_kpa: Number, wet_g_mol: Number, t_c: Number) -> tuple[Any, Any]:
    """((p*1000)*M_wet/1000)/(R*T_K), p absolute in kPa; none without pressure, mass or temperature."""
    p, mass, t = as_numbers(p_kpa), as_numbers(wet_g_mol), as_numbers(t_c)
    exists = finite(p, mass, t)
    kelvin = ZERO_CELSIUS_K + safe(t, exists, 0.0)
    exists = exists & (kelvin > 0.0) & (safe(p, exists) > 0.0) & (safe(mass, exists) > 0.0)
    density = ((safe(p, exists) * 1000.0) * safe(mass, exists) / 1000.0) / (GAS_CONSTANT * safe(kelvin, exists))
    return give_existing(density, exists)


def pitot_velocity_m_s(dp_pa: Number, density_kg_m3_: Number, k_pitot: Number = S_PROBE_K) -> tuple[Any, Any]:
    """K*sqrt(2*dp/rho); none for a negative differential pressure, which a probe has no velocity for."""
    dp, density = as_numbers(dp_pa), as_numbers(density_kg_m3_)
    exists = finite(dp, density)
    exists = exists & (safe(dp, exists, 0.0) >= 0.0) & (safe(density, exists) > 0.0)
    with np.errstate(over="ignore"):
        root = np.sqrt(2.0 * safe(dp, exists, 0.0) / safe(density, exists))
        return give_existing(as_numbers(k_pitot) * root, exists)


def actual_flow_m3_h(velocity_m_s: Number, area_m2: float, wall_factor: float = 1.0) -> Number:
    """((v*A)*3600)*f_wall, actual and wet. `wall_factor`: profile factor of the QAL2. Raises RuleError."""
    if not area_m2 > 0.0 or not wall_factor > 0.0:
        raise RuleError("duct", "area and wall factor must be above zero; see the QAL2 report")
    return give(((as_numbers(velocity_m_s) * area_m2) * S_PER_H) * wall_factor)


def normal_wet_m3_h(
    actual_m3_h: Number, t_c: Number, p_kpa: Number, zero_celsius_k: float = ZERO_CELSIUS_K
) -> tuple[Any, Any]:
    """((Q*zero)/T_K)*p/101.325: at 273.15 K and 101.325 kPa, still wet. HJ 75 prints 273 for `zero_celsius_k`."""
    q, t, p = as_numbers(actual_m3_h), as_numbers(t_c), as_numbers(p_kpa)
    exists = finite(q, t, p)
    kelvin = zero_celsius_k + safe(t, exists, 0.0)
    exists = exists & (kelvin > 0.0) & (safe(p, exists) > 0.0)
    flow = (safe(q, exists, 0.0) * zero_celsius_k) / safe(kelvin, exists) * safe(p, exists) / NORMAL_KPA
    return give_existing(flow, exists)


def dry_m3_h(wet_m3_h: Number, h2o_pct: Number) -> tuple[Any, Any]:
    """(Q*(100 - H))/100; none for moisture of 100 % or more."""
    q, h = as_numbers(wet_m3_h), as_numbers(h2o_pct)
    exists = finite(q, h)
    exists = exists & (safe(h, exists, 0.0) < 100.0)
    return give_existing(safe(q, exists, 0.0) * (100.0 - safe(h, exists, 0.0)) / 100.0, exists)


def mass_kg_h(c_mg_m3: Number, flow_m3_h: Number, zero_when_negative: bool) -> tuple[Any, Any]:
    """c*Q/1e6, both at the same conditions. `zero_when_negative`: 0 where c or Q is (EN 17255-1, second-hand [S8])."""
    c, q = as_numbers(c_mg_m3), as_numbers(flow_m3_h)
    exists = finite(c, q)
    c, q = safe(c, exists, 0.0), safe(q, exists, 0.0)
    with np.errstate(over="ignore"):
        mass = c * q / MG_PER_KG
    if zero_when_negative:
        mass = np.where((c < 0.0) | (q < 0.0), 0.0, mass)
    return give_existing(np.asarray(mass), exists)


def flow_weighted_mg_m3(
    c_mg_m3: Numbers, flow_m3_h: Numbers, exists: Truths, runs: Truths | None = None
) -> tuple[Any, Any]:
    """Ducts into one stack: sum(c*Q)/sum(Q), added in the order of the ducts, which are the first axis.

    A duct that does not run (`runs` false; default: its flow is 0) needs no value and has no weight. None exists where
    a running duct has no value or a negative flow, or where no duct runs.
    """
    c, q, has = as_numbers(c_mg_m3), as_numbers(flow_m3_h), np.asarray(exists, np.bool_)
    if not 1 <= c.ndim <= 8 or c.shape != q.shape or c.shape != has.shape:
        raise RuleError("ducts", "values, flows and exists must have one shape, ducts first")
    does_run = (q != 0.0) if runs is None else np.asarray(runs, np.bool_) & (q != 0.0)
    usable = does_run & has & finite(c, q)
    usable = usable & (safe(q, usable) > 0.0)
    weighted, total = np.zeros(c.shape[1:]), np.zeros(c.shape[1:])
    for duct in range(c.shape[0]):
        weighted = weighted + safe(c[duct], usable[duct], 0.0) * safe(q[duct], usable[duct], 0.0)
        total = total + safe(q[duct], usable[duct], 0.0)
    result_exists = np.all(usable | ~does_run, axis=0) & (total > 0.0)
    return give_existing(np.asarray(weighted / safe(total, np.asarray(total > 0.0))), np.asarray(result_exists))
