"""Greenhouse gases by measurement: hourly and annual emission, (EU) 2018/2066 Art. 43, 44, Annex VIII [S13][S14].

    E_total [t]   = sum c_i [g/Nm3] V_i [Nm3/h] / 1e6         over the operating hours
    E_mean [kg/h] = E_total 1000 / hours                      basis of the tier's uncertainty

No confidence interval is subtracted and nothing is clipped; start-up and shut-down count. CBAM's definitive period
((EU) 2025/2547 Annex II) is taken to be the same method (0.7: its exact text was not seen). Substitutes come from
substitution.py, potentials from gwp.py; tonnes of an hour are flow.mass_kg_h / 1000. Functions of numbers take floats
and, element by element, arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules.conditions import MOLAR_MASSES
from plumeproof.rules.elementwise import Number, Numbers, as_numbers, finite, give_existing, safe
from plumeproof.rules.gwp import GwpFactor
from plumeproof.rules.series import as_mask, as_series, refuse_not_finite, refuse_other_lengths
from plumeproof.rules.summation import add_in_lanes

AIR_O2_VOL_PCT = 20.9  # as the equations of 40 CFR 75 Appendix F have it
OUTAGE_NOTICE_H = 120  # Art. 45(1): out of service for more than 5 consecutive days (DK 0.9)

Value = TypeVar("Value", float, Numbers)


def co_as_co2_g_nm3(co_mg_nm3: Value) -> Value:
    """CO counts as the molar equivalent of CO2 (Art. 43): g CO2/Nm3 to add."""
    return co_mg_nm3 * MOLAR_MASSES["CO2"] / MOLAR_MASSES["CO"] / 1000.0


def co2_vol_pct_from_rest(*others_vol_pct: Value) -> Value:
    """Concentration determined indirectly, where CO2 is very high (Annex VIII eq. 3): 100 less all others, in order."""
    if not others_vol_pct:
        raise RuleError("others_vol_pct", "no other component is given; measure all of them, or CO2 itself")
    rest = 100.0 - others_vol_pct[0]
    for other in others_vol_pct[1:]:
        rest = rest - other
    return rest


def co2_vol_pct_from_o2(o2_vol_pct: Number, f_factor: Number, fc_factor: Number) -> tuple[Any, Any]:
    """CO2 in vol-% of dry flue gas from its O2 and the fuel's factors, and whether it exists: 100 Fc/F (20.9 - O2)/20.9
    (40 CFR 75 Appendix F, Eq. F-14a, as of 2024). F: dry flue gas, Fc: CO2, both of the same heat, such as 9,570 and
    1,820 scf/10^6 Btu of municipal waste (40 CFR 60 Appendix A-7 Method 19, Table 19-2)."""
    o2, dry, carbon = as_numbers(o2_vol_pct), as_numbers(f_factor), as_numbers(fc_factor)
    exists = finite(o2) & finite(carbon) & (dry > 0.0)
    return 100.0 * carbon / safe(dry, exists) * (AIR_O2_VOL_PCT - o2) / AIR_O2_VOL_PCT, exists


def flow_by_o2_balance(air_nm3_h: Number, o2_air_pct: Number, o2_flue_pct: Number) -> tuple[Any, Any]:
    """Dry flue gas in Nm3/h: (air (100 - O2 air)) / (100 - O2 flue), and whether it exists (N2O section, DK 0.85)."""
    air, o2_air, o2_flue = as_numbers(air_nm3_h), as_numbers(o2_air_pct), as_numbers(o2_flue_pct)
    exists = finite(air) & (o2_air >= 0.0) & (o2_air < 100.0) & (o2_flue >= 0.0) & (o2_flue < 100.0)
    oxygen, rest = safe(100.0 - o2_air, exists), safe(100.0 - o2_flue, exists)
    return give_existing(safe(air, exists) * oxygen / rest, exists)


def flow_by_carbon_balance(co2_kg_h: Number, c_g_nm3: Number) -> tuple[Any, Any]:
    """(m 1000) / c: flow in Nm3/h that carries the fuel's CO2 (mass balance, Art. 45; DK 0.9); whether it exists."""
    mass, c = as_numbers(co2_kg_h), as_numbers(c_g_nm3)
    exists = finite(mass, c) & (c > 0.0)
    return give_existing(safe(mass, exists) * 1000.0 / safe(c, exists), exists)


@dataclass(frozen=True, slots=True)
class Emission:
    """Of a year or a month. Hours without a figure are counted, never taken as zero: then `is_complete` is false.

    `hours_substituted`: with a substitute for concentration or a model for flow; `substituted_t`: their tonnes.
    """

    total_t: float
    hours_op: int  # operating hours in the total; those with a substitute count
    mean_kg_h: float
    has_mean: bool  # false when no hour counts
    hours_substituted: int
    substituted_t: float
    hours_without_figure: int

    @property
    def is_complete(self) -> bool:
        return self.hours_without_figure == 0

    @property
    def substituted_share(self) -> float:
        """Of the hours, 0 to 1: what CBAM's side wants to know."""
        return self.hours_substituted / self.hours_op if self.hours_op else 0.0


def sum_hours(
    mass_t: npt.ArrayLike, has: npt.ArrayLike, operating: npt.ArrayLike, is_substituted: npt.ArrayLike
) -> Emission:
    """Eq. 1 and 2 over one series of hours. Raises RuleError (other lengths, NaN marked as a figure)."""
    mass, mask, ran = as_series(mass_t, "mass_t"), as_mask(has, "has"), as_mask(operating, "operating")
    replaced = as_mask(is_substituted, "is_substituted")
    refuse_other_lengths(mass, has=mask, operating=ran, is_substituted=replaced)
    refuse_not_finite(mass, mask & ran, "mass_t")
    counts = mask & ran
    total = add_in_lanes(np.where(counts, mass, 0.0))
    hours = int(np.count_nonzero(counts))
    return Emission(
        total_t=total,
        hours_op=hours,
        mean_kg_h=total * 1000.0 / hours if hours else 0.0,
        has_mean=hours > 0,
        hours_substituted=int(np.count_nonzero(counts & replaced)),
        substituted_t=add_in_lanes(np.where(counts & replaced, mass, 0.0)),
        hours_without_figure=int(np.count_nonzero(ran & ~mask)),
    )


@dataclass(frozen=True, slots=True)
class BiomassSplit:
    """`zero_rated_t` is deducted; it is 0 without evidence of sustainability, whatever `biomass_t` is."""

    biomass_t: float
    zero_rated_t: float
    fossil_t: float


def split_biomass(total_t: float, biomass_fraction: float, has_evidence: bool) -> BiomassSplit:
    """Biomass CO2, determined apart (14C, EN ISO 13833; DK 0.85), is deducted [S13], else it is fossil [S16*]."""
    if not 0.0 <= biomass_fraction <= 1.0:
        raise RuleError("biomass_fraction", f"{biomass_fraction} is outside 0..1; give a fraction, not per cent")
    biomass = total_t * biomass_fraction
    zero_rated = biomass if has_evidence else 0.0
    return BiomassSplit(biomass, zero_rated, total_t - zero_rated)


def co2e_t(mass_t: Value, factor: GwpFactor) -> Value:
    """Tonnes of CO2 equivalent."""
    return mass_t * factor.value


def is_outage_notifiable(longest_outage_h: float) -> bool:
    """Out of service for more than 5 consecutive days in a calendar year: inform the authority (outages.py)."""
    return longest_outage_h > OUTAGE_NOTICE_H
