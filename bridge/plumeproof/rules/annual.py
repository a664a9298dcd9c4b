"""Tonnes of a month or year with missing hours substituted, by the rule set's method (averaging-rules 9.3, 10.2, 11.3).

EU MRR and CBAM: the concentration of a missing hour is mean + 2 sigma over the hours of the period seen, so until the
year has ended tonnes are provisional and are made again. Missing flow is not substituted so: it comes from a mass
balance that the plant states (balanced_flow.py), or such hours are counted (greenhouse.Emission) and in no total. HJ 75
replaces hourly masses by the largest of the look-back.
US part 75 replaces concentration and flow by availability and length of the gap (part75.py); its history begins with
the period and not with the unit's certification, which no record knows: a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.rules import calendar, flow, greenhouse, hj75, part75, substitution
from plumeproof.rules.balanced_flow import fill_flow
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.figure import CO2E, FLOW, FLOW_ID, MASS, STANDARDISED, SUBSTITUTED, YEAR, Figure
from plumeproof.rules.figure_maker import Expanded, FigureMaker
from plumeproof.rules.gwp import load_gwp
from plumeproof.rules.our_units import mass_state_factor
from plumeproof.rules.plant import Measurand, Plant
from plumeproof.rules.settings import Settings
from plumeproof.rules.term_series import TermSeries

G_PER_MG = 1000.0

# Flags of a figure
HAS_SUBSTITUTES = "substituted"
HOURS_WITHOUT_FIGURE = "hours_without_figure"  # flow missing, or nothing to substitute from: they are in no total
PROVISIONAL = "provisional"  # a longer period will change the substitute
MASS_BALANCE = "flow_by_mass_balance"  # hours without a measured flow have that of the plant's balance
SIGMA_UNDEFINED = "sigma_undefined"  # one valid hour only: its value is the substitute
CAPTURE_FAILED = "capture_rate_failed"  # HJ 75: below 75 %, no substitution is defined

Series = Mapping[tuple[str, str], TermSeries]


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of a period with substitutes: `mass_kg_h` where `has`, of the whole hour: a standstill in it emits nothing;
    `concentration` as filled, mg/m3, 0.0 elsewhere."""

    mass_kg_h: npt.NDArray[np.float64]
    has: npt.NDArray[np.bool_]
    has_run: npt.NDArray[np.bool_]
    is_substituted: npt.NDArray[np.bool_]
    concentration: npt.NDArray[np.float64]
    flags: tuple[str, ...]
    flow_m3_h: npt.NDArray[np.float64] | None = None  # as filled by a mass balance; None: the rule set fills no flow


def figures(
    maker: FigureMaker,
    measurand: Measurand,
    series: Series,
    level: str,
    period: tuple[int, int],
    inputs: Any,
    reason: str,
) -> Iterator[Figure]:
    """The substituted mass, t, and for a greenhouse gas its CO2e, t. Nothing where the rule set has no substitution
    and the measurand is no greenhouse gas, or where flow is not measured."""
    settings = maker.rules.settings
    is_greenhouse = measurand.greenhouse_gas is not None and settings.gwp is not None
    if not (is_greenhouse or settings.substitution in ("hj75_mass_only", "75.33")):
        return
    offset_min = settings.utc_offset_min(maker.plant.utc_offset_min)
    found = fill(maker.plant, measurand, series, settings, offset_min)
    if found is None:
        return
    mass_t = found.mass_kg_h * (settings.sta_min / 60.0) / 1000.0
    emission = greenhouse.sum_hours(mass_t, found.has, found.has_run, found.is_substituted)
    flags = list(found.flags)
    flags += [HAS_SUBSTITUTES] if emission.hours_substituted else []
    flags += [] if emission.is_complete else [HOURS_WITHOUT_FIGURE]
    flags += [PROVISIONAL] if level != YEAR and emission.hours_substituted else []
    n_run = int(np.count_nonzero(found.has_run))
    counts = (
        n_run,
        emission.hours_op - emission.hours_substituted,
        {"substituted": emission.hours_substituted, "without_figure": emission.hours_without_figure},
    )
    is_valid = emission.is_complete and emission.hours_op > 0
    mass = series[measurand.id, MASS]
    uncertain = _uncertainty(mass, found, mass.run_share * (settings.sta_min / 60.0) / 1000.0, emission)
    common: dict[str, Any] = {"flags": flags, "substituted_share": emission.substituted_share, "reason": reason}
    yield maker.make(
        (measurand.id, SUBSTITUTED, level), period, "t", emission.total_t if emission.hours_op else None, is_valid,
        counts, inputs, uncertainty=uncertain, **common,
    )  # fmt: skip
    if is_greenhouse:
        assert measurand.greenhouse_gas is not None and settings.gwp is not None
        factor = load_gwp().of_set(settings.gwp, measurand.greenhouse_gas)

        def to_co2e(mass_t: float) -> float:
            split = greenhouse.split_biomass(mass_t, measurand.biomass_share_pct / 100.0, has_evidence=True)
            return greenhouse.co2e_t(split.fossil_t, factor)

        co2e = to_co2e(emission.total_t)
        if uncertain is not None:  # potential and biomass share as exact
            uncertain = Expanded(to_co2e(uncertain.total), to_co2e(uncertain.common))
        yield maker.make(
            (measurand.id, CO2E, level), period, "t CO2e", co2e if emission.hours_op else None, is_valid, counts,
            inputs, uncertainty=uncertain, **common,
        )  # fmt: skip


def _uncertainty(mass: TermSeries, found: Hours, weight_t: Any, emission: greenhouse.Emission) -> Expanded | None:
    """Of the total, t: that of the measured hours, and substituted ones in the same proportion. A substitute is chosen
    not to be too low; how wrong it is nobody knows, and the rules do not say (assumed)."""
    measured = found.has & found.has_run & ~found.is_substituted
    own = mass.combined(weight_t, measured)
    measured_t = emission.total_t - emission.substituted_t
    if own is None or not emission.hours_substituted:
        return own
    if not measured_t > 0.0:
        return None
    scale = emission.total_t / measured_t
    return Expanded(own.total * scale, own.common * scale)


def fill(plant: Plant, measurand: Measurand, series: Series, settings: Settings, offset_min: int) -> Hours | None:
    """The hours of a period with substitutes by the rule set. None where flow or mass is not measured."""
    mass, method = series.get((measurand.id, MASS)), settings.substitution
    if mass is None:
        return None
    has_run = mass.has_run & seen(mass)
    if method == "mean_plus_2sigma":
        return _by_concentration(plant, measurand, series, mass, has_run, settings)
    if method == "hj75_mass_only":
        return _by_mass(mass, has_run, offset_min)
    if method == "75.33":
        return _by_availability(plant, measurand, series, settings)
    none = np.zeros(mass.count, np.bool_)
    rate = np.where(mass.is_valid, mass.values * mass.run_share, 0.0)
    return Hours(rate, mass.is_valid, has_run, none, np.zeros(mass.count), ())


def _by_concentration(
    plant: Plant,
    measurand: Measurand,
    series: Series,
    mass: TermSeries,
    has_run: npt.NDArray[np.bool_],
    settings: Settings,
) -> Hours | None:
    concentration, gas = series.get((measurand.id, STANDARDISED)), series.get((FLOW_ID, FLOW))
    if concentration is None or gas is None:
        return None
    valid = concentration.is_valid & has_run
    substitute = substitution.mean_plus_two_sigma(concentration.values, valid, settings.sigma)
    filled = substitution.fill(concentration.values, valid, has_run, substitute)
    # c [g/Nm3] V [Nm3/h] / 1000: kg/h (Annex VIII equation 1); both are means of the part in operation
    carbon = next((one for one in plant.measurands if one.greenhouse_gas == "CO2"), measurand)
    co2, has_co2 = filled.values, filled.has
    if carbon is not measurand and (other := series.get((carbon.id, STANDARDISED))) is not None:
        co2, has_co2 = other.values, other.is_valid
    gas_flow = fill_flow(plant, gas, has_run, co2 * mass_state_factor(carbon, settings), has_co2)
    rate = filled.values * mass_state_factor(measurand, settings) / G_PER_MG * gas_flow.values / 1000.0 * mass.run_share
    has = filled.has & gas_flow.exists
    flags: tuple[str, ...] = ()
    flags += (SIGMA_UNDEFINED,) if substitute.is_sigma_undefined and filled.is_substituted.any() else ()
    flags += (MASS_BALANCE,) if (gas_flow.is_balanced & has).any() else ()
    replaced = (filled.is_substituted | gas_flow.is_balanced) & has
    return Hours(np.where(has, rate, 0.0), has, has_run, replaced, filled.values, flags, gas_flow.values)


def _by_mass(mass: TermSeries, has_run: npt.NDArray[np.bool_], offset_min: int) -> Hours:
    """HJ 75-2017 tables 5 and 6, quarter by quarter; what is missing counts as other invalid time, because a record
    does not say that an analyzer was out of control."""
    valid = mass.is_valid & has_run
    values, has = np.where(valid, mass.values, 0.0), valid.copy()
    flags: tuple[str, ...] = ()
    for first, end, capture, filled in quarters(mass, has_run, offset_min):
        flags = flags if capture.is_met else (CAPTURE_FAILED,)
        values[first:end], has[first:end] = filled.values[first:end], filled.has[first:end]
    return Hours(np.where(has, values * mass.run_share, 0.0), has, has_run, has & ~valid, np.zeros(mass.count), flags)


def available(
    plant: Plant, measurand: Measurand, series: Series, settings: Settings
) -> tuple[part75.Filled, part75.Filled] | None:
    """Concentration, at the state of the flow, and flow of a period's hours after 40 CFR 75.33. None where one is not
    measured, or where the concentration is at reference oxygen: its flow is at the oxygen as measured."""
    concentration, gas = series.get((measurand.id, STANDARDISED)), series.get((FLOW_ID, FLOW))
    if concentration is None or gas is None or plant.flow is None or "O2" in measurand.needs:
        return None
    has_run = concentration.has_run & seen(concentration)
    family = "nox_flow" if "NOx" in (measurand.id, measurand.gas) or measurand.gas in ("NO", "NO2") else "concentration"

    def filled(one: TermSeries, family: str, max_potential: float | None, at_flow: float = 1.0) -> part75.Filled:
        valid = one.is_valid & has_run
        return part75.fill_hours(one.values * at_flow, valid, has_run, family, max_potential, None, settings.percentile)

    return (
        filled(concentration, family, measurand.max_potential, mass_state_factor(measurand, settings)),
        filled(gas, "nox_flow", plant.flow.max_potential),
    )


def _by_availability(plant: Plant, measurand: Measurand, series: Series, settings: Settings) -> Hours | None:
    found = available(plant, measurand, series, settings)
    if found is None:
        return None
    concentration, gas = found
    mass = series[measurand.id, MASS]
    rate, _ = flow.mass_kg_h(concentration.values, gas.values, settings.mass_zero_when_negative)
    has = concentration.has & gas.has
    replaced = has & (concentration.is_substituted | gas.is_substituted)
    methods = {name for one in found for name in one.methods if name}
    return Hours(
        mass_kg_h=np.where(has, np.asarray(rate) * mass.run_share, 0.0),
        has=has,
        has_run=mass.has_run & seen(mass),
        is_substituted=replaced,
        concentration=concentration.values,
        flags=tuple(sorted(f"by_{name}" for name in methods)),
    )


def quarters(
    mass: TermSeries, has_run: npt.NDArray[np.bool_], offset_min: int
) -> Iterator[tuple[int, int, hj75.Capture, hj75.Filled]]:
    """Each quarter's terms [first, end), its capture rate, and the masses up to its end after substitution."""
    valid, none = mass.is_valid & has_run, np.zeros(mass.count, np.bool_)
    for first, end in _quarters(mass, offset_min):
        stopped = int(np.count_nonzero(~has_run[first:end]))
        invalid = int(np.count_nonzero(has_run[first:end] & ~valid[first:end]))
        capture = hj75.judge_capture(end - first, stopped, invalid)
        past = slice(0, end)
        filled = hj75.fill_mass(mass.values[past], valid[past], has_run[past], none[past], none[past], capture, first)
        yield first, end, capture, filled


def _quarters(series: TermSeries, offset_min: int) -> Iterator[tuple[int, int]]:
    """[first, end) terms of each quarter of a year, by months: the period begins with one."""
    length_ms = series.length_min * MINUTE_MS
    middle = [series.start_utc_ms + place * length_ms + length_ms // 2 for place in range(series.count)]
    numbers = [(calendar.month_number(at, offset_min) - 1) // 3 for at in middle[:: DAY_MS // length_ms]]
    per_day = DAY_MS // length_ms
    first = 0
    for day in range(1, len(numbers) + 1):
        if day == len(numbers) or numbers[day] != numbers[day - 1]:
            yield first * per_day, day * per_day
            first = day


def seen(series: TermSeries) -> npt.NDArray[np.bool_]:
    """Terms from the first day with a record to the last one: a day without any in between is lost, not absent."""
    per_day = DAY_MS // (series.length_min * MINUTE_MS)
    days = np.flatnonzero(series.has_figure.reshape(-1, per_day).any(axis=-1))
    found = np.zeros(series.count, np.bool_)
    if days.size:
        found[days[0] * per_day : (days[-1] + 1) * per_day] = True
    return found
