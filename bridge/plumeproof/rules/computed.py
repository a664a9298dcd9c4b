"""What a computed channel has at every slot: the formula of computed_plan.py over the slots of its inputs.

values, status = compute(plan, [(values, status), ...])     # inputs in the plan's order, on the slots of the result
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.evidence import decoding
from plumeproof.rules import conditions, flow, greenhouse
from plumeproof.rules.computed_plan import Computed

Values = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Inputs = dict[str, Values]
HECTOPASCAL = 100.0  # Pa


def compute(plan: Computed, inputs: Sequence[tuple[Values, Bytes]]) -> tuple[Values, Bytes]:
    """Values and statuses of one shape. Where an input has no valid value the result has the first such status; where
    the formula has no result (a negative difference of pressure has no velocity) it is not_finite. A warning stays."""
    named = {one.name: own for one, own in zip(plan.inputs, inputs, strict=True)}
    statuses = [status for _, status in inputs]
    if plan.formula == "ducts":
        statuses = _of_running_ducts(named)
    status = np.zeros(inputs[0][1].shape, np.uint8)
    warned = np.zeros(status.shape, np.bool_)
    for own in reversed(statuses):
        status = np.where(decoding.is_valid(own), status, own)
        warned |= own == decoding.WARNING
    is_there = status == decoding.VALID
    units = {one.name: one.unit for one in plan.inputs}
    safe = {name: np.where(is_there, _in_unit(name, values, units[name]), 1.0) for name, (values, _) in named.items()}
    value, exists = _FORMULAS[plan.formula](safe)
    value, exists = np.asarray(value, np.float64), np.asarray(exists, np.bool_) & np.isfinite(value)
    status = np.where(is_there & ~exists, np.uint8(decoding.NOT_FINITE), status)
    status = np.where(is_there & exists & warned, np.uint8(decoding.WARNING), status)
    return np.where(is_there & exists, value, 0.0), status


def _in_unit(name: str, values: Values, unit: str) -> Values:
    """degC, kPa, Pa of a difference, m3/h; everything else as it is."""
    if name == "dp":
        return values if unit == "Pa" else values * HECTOPASCAL
    if unit == "K":
        return values - conditions.ZERO_CELSIUS_K
    if unit == "m3/s":
        return values * flow.S_PER_H
    factors = {"hPa": 0.1, "mbar": 0.1, "Pa": 0.001, "bar": 100.0}
    return values * factors[unit] if unit in factors else values


def _of_running_ducts(named: dict[str, tuple[Values, Bytes]]) -> list[Bytes]:
    """A duct that stands still needs no concentration."""
    found = []
    for name, (_, status) in named.items():
        q, q_status = named["q" + name[1:]]
        stands = decoding.is_valid(q_status) & (q == 0.0)
        found.append(np.where(stands, np.uint8(decoding.VALID), status) if name[0] == "c" else status)
    return found


def _pitot(own: Inputs) -> tuple[Any, Any]:
    wet = flow.wet_molar_mass_g_mol(flow.dry_molar_mass_g_mol(own["O2"], own["CO2"]), own["H2O"])
    density, has_density = flow.density_kg_m3(own["p"], wet, own["T"])
    velocity, exists = flow.pitot_velocity_m_s(own["dp"], density, own["K"])
    return velocity, np.asarray(exists) & np.asarray(has_density)


def _ducts(own: Inputs) -> tuple[Any, Any]:
    numbers = sorted(name[1:] for name in own if name[0] == "c")
    c, q = (np.array([own[kind + number] for number in numbers]) for kind in "cq")
    return flow.flow_weighted_mg_m3(c, q, np.ones(c.shape, np.bool_))


def _rest(own: Inputs) -> tuple[Any, Any]:
    return greenhouse.co2_vol_pct_from_rest(*own.values()), True


_FORMULAS: dict[str, Callable[[Inputs], tuple[Any, Any]]] = {
    "pitot_velocity": _pitot,
    "nox_as_no2": lambda own: (conditions.nox_as_no2_mg_m3(own["NO"], own["NO2"]), True),
    "nox_ppm": lambda own: (own["NO"] + own["NO2"], True),
    "moisture_from_o2": lambda own: conditions.moisture_from_o2_pct(own["wet"], own["dry"]),
    "flow_by_o2_balance": lambda own: greenhouse.flow_by_o2_balance(own["air"], own["O2_air"], own["O2"]),
    "co2_with_co": lambda own: (own["CO2"] + greenhouse.co_as_co2_g_nm3(own["CO"]), True),
    "co2_from_rest": _rest,
    "co2_from_o2": lambda own: greenhouse.co2_vol_pct_from_o2(own["O2"], own["F"], own["Fc"]),
    "ducts": _ducts,
}
