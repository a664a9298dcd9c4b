"""Flow of hours in which it was not measured, from a mass balance that the plant states ((EU) 2018/2066 Art. 45; 9.3).

Missing flow is filled by a model, never by mean + 2 sigma. The plant says for a span of time how much CO2 its fuel
makes, kg/h; flow is what carries it, V = m 1000 / c, with the hour's concentration of CO2. For CO2 itself that may be a
substituted one (c V is then the stated mass); for another gas it must be measured, because a substitute, which is high,
would make its flow too low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.rules import greenhouse
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.plant import Plant
from plumeproof.rules.term_series import TermSeries

Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
MG_PER_G = 1000.0


@dataclass(frozen=True, slots=True)
class BalancedFlow:
    """m3/h, normal and dry; measured ones as they were. `is_balanced`: from a mass balance."""

    values: Values
    exists: Truths
    is_balanced: Truths


def fill_flow(plant: Plant, gas: TermSeries, has_run: Truths, co2_mg_m3: Values, has_co2: Truths) -> BalancedFlow:
    """`co2_mg_m3`: of the hours, where `has_co2`. An hour is filled that lies whole inside a stated span."""
    values, exists, balanced = gas.values.copy(), gas.is_valid.copy(), np.zeros(gas.count, np.bool_)
    starts = gas.start_utc_ms + np.arange(gas.count, dtype=np.int64) * gas.length_min * MINUTE_MS
    for one in plant.flow.mass_balances if plant.flow is not None else ():
        inside = (starts >= one.begins) & (starts + gas.length_min * MINUTE_MS <= one.ends)
        wanted = inside & has_run & ~gas.is_valid & has_co2
        found, is_there = greenhouse.flow_by_carbon_balance(
            np.full(gas.count, one.co2_kg_h), np.where(wanted, co2_mg_m3 / MG_PER_G, 0.0)
        )
        wanted = wanted & np.asarray(is_there)
        values[wanted], exists[wanted], balanced[wanted] = np.asarray(found)[wanted], True, True
    return BalancedFlow(values, exists, balanced)
