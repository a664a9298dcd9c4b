"""The corroborating calculation: annual CO2 once more from fuels and carbon, (EU) 2018/2066 Art. 46 (DK 0.95).

Once a year beside the measured tonnes of CO2; not for N2O. Two ways, which may be mixed: the standard method for fuels
(Art. 24) and the mass balance of carbon (Art. 25), both DK 0.9. The regulation names no permissible difference: what a
plant has agreed with its authority is given as a tolerance, without one the difference is only stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plumeproof.errors import RuleError
from plumeproof.rules.summation import add_in_lanes

CO2_PER_C = 3.664  # t CO2 per t C, as the regulation prints it (DK 0.9); 44.009/12.011 = 3.66406
DIRECTIONS = {"in": 1.0, "out": -1.0, "stock_increase": -1.0}


@dataclass(frozen=True, slots=True)
class Fuel:
    """One fuel of a year. `oxidation`: 1 unless determined; `biomass_fraction`: the zero-rated share."""

    id: str
    amount_t: float
    net_calorific_value_gj_t: float
    emission_factor_t_tj: float
    oxidation: float = 1.0
    biomass_fraction: float = 0.0


@dataclass(frozen=True, slots=True)
class CarbonStream:
    """Carbon that enters, leaves or stays: `direction` in, out or stock_increase."""

    id: str
    direction: str
    amount_t: float
    carbon_fraction: float


@dataclass(frozen=True, slots=True)
class Corroboration:
    """`difference_pct` of the measured tonnes; `is_within`: None where no tolerance is agreed or nothing measured."""

    measured_t: float
    calculated_t: float
    difference_t: float
    difference_pct: float
    has_difference_pct: bool
    is_within: bool | None


def fuel_co2_t(fuel: Fuel) -> float:
    """((amount NCV) EF) / 1000 times oxidation times the share that is not zero-rated. Raises RuleError."""
    numbers = (fuel.amount_t, fuel.net_calorific_value_gj_t, fuel.emission_factor_t_tj)
    if not all(0.0 <= number < float("inf") for number in numbers):
        raise RuleError(f"fuel {fuel.id[:40]}", "amount, calorific value or factor is below 0 or infinite")
    if not (0.0 <= fuel.oxidation <= 1.0 and 0.0 <= fuel.biomass_fraction <= 1.0):
        raise RuleError(f"fuel {fuel.id[:40]}", "oxidation and biomass fraction are fractions, 0 to 1")
    heat = fuel.amount_t * fuel.net_calorific_value_gj_t
    return heat * fuel.emission_factor_t_tj / 1000.0 * fuel.oxidation * (1.0 - fuel.biomass_fraction)


def balance_co2_t(streams: Sequence[CarbonStream], co2_per_c: float = CO2_PER_C) -> float:
    """(carbon in - carbon out - carbon kept) times t CO2 per t C. Raises RuleError."""
    carbon = []
    for stream in streams:
        if stream.direction not in DIRECTIONS:
            raise RuleError(f"stream {stream.id[:40]}", f"direction is none of {', '.join(DIRECTIONS)}")
        is_amount = abs(stream.amount_t) < float("inf") and (stream.amount_t >= 0.0 or stream.direction[0] == "s")
        if not (is_amount and 0.0 <= stream.carbon_fraction <= 1.0):
            raise RuleError(f"stream {stream.id[:40]}", "amount is below 0 or infinite, or carbon is no fraction 0..1")
        carbon.append(DIRECTIONS[stream.direction] * (stream.amount_t * stream.carbon_fraction))
    return add_in_lanes(carbon) * co2_per_c


def calculate_co2_t(fuels: Sequence[Fuel], streams: Sequence[CarbonStream] = ()) -> float:
    """All fuels in their order, then the mass balance. Raises RuleError (nothing to calculate from)."""
    if not fuels and not streams:
        raise RuleError("fuels", "neither fuels nor carbon streams are given; a calculation of nothing proves nothing")
    return add_in_lanes([fuel_co2_t(fuel) for fuel in fuels]) + balance_co2_t(streams)


def corroborate(measured_t: float, calculated_t: float, tolerance_pct: float | None = None) -> Corroboration:
    """Measured less calculated, in tonnes and in per cent of measured. Raises RuleError."""
    if not (abs(measured_t) < float("inf") and abs(calculated_t) < float("inf")):
        raise RuleError("measured_t, calculated_t", "are no finite numbers")
    if tolerance_pct is not None and not tolerance_pct >= 0.0:
        raise RuleError("tolerance_pct", f"{tolerance_pct} is not 0 or more")
    difference = measured_t - calculated_t
    has_pct = measured_t > 0.0
    pct = 100.0 * difference / measured_t if has_pct else 0.0
    is_within = None if tolerance_pct is None or not has_pct else abs(pct) <= tolerance_pct
    return Corroboration(measured_t, calculated_t, difference, pct, has_pct, is_within)
