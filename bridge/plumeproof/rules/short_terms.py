"""Short-term averages of a plant by one rule set, every layer kept (averaging-rules 3.5, order of operations).

mean of valid first level data > mg/m3 > reference conditions > mass > less the confidence interval > not below zero.
Peripherals are averaged and judged by themselves; where one is missing and the permit has no substitute, the measurand
that needs it is invalid (P). Arrays are (terms,); beside every value stands whether it exists, beside every average
whether the rule set lets it count.

    terms = short_terms(plant, rule_set, term_sums.merge(minutes, 30, settings.state_rule))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules import conditions, each_slot, figure, flow, our_units, term_sums, validated
from plumeproof.rules.figure import FLOW, MASS, MEASURED, STANDARDISED, VALIDATED
from plumeproof.rules.first_level import FLOW_ROW, name_of_peripheral
from plumeproof.rules.plant import Measurand, Plant
from plumeproof.rules.plant_state import is_compared
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.settings import Settings
from plumeproof.rules.term_sums import TermSums

Values = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]

# Flags of a figure
COVERAGE = "coverage"  # too few valid first level data
PERIPHERAL_MISSING = "peripheral_missing"
PERIPHERAL_SUBSTITUTE = "peripheral_substitute"
NO_REFERENCE = "no_reference_conditions"  # a factor does not exist: O2 at that of air, 100 % moisture, no pressure
DISCARDED = "discarded"  # lost by malfunction or maintenance
OUTSIDE_CALIBRATION = "outside_calibrated_range"  # valid all the same (EN 14181:2014 clause 6.5)
FLOW_MISSING = "flow_missing"
RANGE_END = "range_end"  # some values lay above the range and count as its end, as the rule set says (S)


@dataclass(frozen=True, slots=True)
class Layer:
    """One value of every term. `exists`: it can be computed; `is_valid`: the rule set lets it count."""

    values: Values
    exists: Truths
    is_valid: Truths
    unit: str


@dataclass(frozen=True, slots=True)
class Peripheral:
    """What the formulas take of one, (terms,), in vol-%, degC or kPa; `is_substitute`: it is the permit's."""

    values: Values
    exists: Truths
    is_substitute: Truths


@dataclass(frozen=True, slots=True)
class MeasurandTerms:
    """A measurand, or with None the flow. `used`: compared and averaged further, by the plant's state too.

    `layers` by name (figure.py); `plain`: standardised without the exception for oxygen below the reference, where the
    rule set wants the year from it. `flags` by name, where they apply. `row`: of the sums. `workings`: what stands
    between the layers, by name, for whoever is to follow the arithmetic (explain.py); 0.0 where it does not exist.
    `rows`: of the sums by layer, where it was converted slot by slot (each_slot.py); workings are of the means even so.
    """

    measurand: Measurand | None
    row: int
    layers: dict[str, Layer]
    discarded: Truths
    is_compared: Truths
    flags: dict[str, Truths] = field(default_factory=dict)
    plain: Layer | None = None
    workings: dict[str, Values] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShortTerms:
    """All measurands of a plant, and its flow where it has one. `around`: its peripherals by kind, O2 in dry gas."""

    sums: TermSums
    measurands: tuple[MeasurandTerms, ...]
    flow: MeasurandTerms | None
    around: dict[str, Peripheral] = field(default_factory=dict)


def short_terms(plant: Plant, rules: RuleSet, sums: TermSums) -> ShortTerms:
    """Every layer of every measurand whose averages have this length. Raises RuleError where a setting lacks."""
    around = {one.kind: _peripheral(plant, one.kind, rules.settings, sums) for one in plant.peripherals}
    dry = {}
    oxygen = plant.peripheral("O2")
    if oxygen is not None:
        dry = {"O2": _dry_oxygen(oxygen.basis, around)}
    gas_flow = None if plant.flow is None else _flow(plant, rules.settings, sums, around)
    wanted = [one for one in plant.measurands if sums.length_min in rules.settings.sta_min_of(one.id)]
    found = tuple(_measurand(plant, one, rules.settings, sums, around | dry, gas_flow) for one in wanted)
    return ShortTerms(sums, found, gas_flow, around | dry)


def _row(sums: TermSums, name: str) -> int:
    row = sums.row(name)
    if row is None:
        raise RuleError(
            name, "has no first level data laid out; lay out the plant with the description it is averaged by"
        )
    return row


def _peripheral(plant: Plant, kind: str, settings: Settings, sums: TermSums) -> Peripheral:
    """In vol-%, degC or kPa."""
    one = plant.peripheral(kind)
    assert one is not None
    row = _row(sums, name_of_peripheral(kind))
    mean, has = term_sums.mean_of(sums, row)
    has = has & term_sums.is_covered(sums, row, settings)
    values = our_units.peripheral(mean, one.channel_unit)
    is_substitute = ~has & (one.substitute is not None)
    if one.substitute is not None:
        values = np.where(has, values, one.substitute)
    return Peripheral(values, has | is_substitute, is_substitute)


def _dry_oxygen(basis: str, around: dict[str, Peripheral]) -> Peripheral:
    """Oxygen in dry gas; from a wet cell it needs the moisture."""
    oxygen = around["O2"]
    if basis == "dry":
        return oxygen
    if "H2O" not in around:
        raise RuleError("peripheral O2", 'lies in wet gas and needs a peripheral H2O, or basis = "dry"')
    moisture = around["H2O"]
    values, exists = conditions.dry_o2_pct(oxygen.values, moisture.values)
    return Peripheral(
        values, exists & oxygen.exists & moisture.exists, oxygen.is_substitute | moisture.is_substitute
    )  # fmt: skip


def _flow(plant: Plant, settings: Settings, sums: TermSums, around: dict[str, Peripheral]) -> MeasurandTerms:
    """m3/h at normal conditions, dry, at the oxygen as measured."""
    assert plant.flow is not None
    row = _row(sums, FLOW_ROW)
    mean, has = term_sums.mean_of(sums, row)
    covered = term_sums.is_covered(sums, row, settings)
    values = our_units.to_m3_h(mean, plant.flow)
    workings = {"m3_h": values}
    exists, missing, instead = has, np.zeros(sums.count, np.bool_), np.zeros(sums.count, np.bool_)
    for kinds in {"actual_wet": (("T", "p"), ("H2O",)), "normal_wet": (("H2O",),)}.get(plant.flow.conditions, ()):
        for kind in kinds:
            if kind not in around:
                raise RuleError("flow", f"as {plant.flow.conditions} needs a peripheral {kind}")
            missing = missing | ~around[kind].exists
            instead = instead | around[kind].is_substitute
            workings[kind] = around[kind].values
        if kinds == ("T", "p"):
            found = flow.normal_wet_m3_h(values, around["T"].values, around["p"].values, settings.zero_celsius_k)
        else:
            found = flow.dry_m3_h(values, around["H2O"].values)
        values, exists = np.asarray(found[0]), np.asarray(found[1]) & exists
        workings["normal_wet_m3_h" if kinds == ("T", "p") else "normal_dry_m3_h"] = values
    exists = exists & ~missing
    rows: dict[str, int] = {}
    discarded = term_sums.is_discarded(sums, row, settings, covered)
    is_measured = covered
    if settings.standardise_at == "FLD":
        rows[FLOW] = _row(sums, each_slot.FLOW_NAME)
        values, exists, covered = _of_slots(sums, rows[FLOW], settings)
        missing = sums.n[rows[FLOW]] < sums.n[row]
        instead = _has_substitute(each_slot.NEEDS_OF_FLOW[plant.flow.conditions], plant, sums)
    if "P" in settings.lost_letters:
        discarded = discarded | (sums.has_run & is_measured & ~(exists & covered))
    layer = Layer(np.where(exists, values, 0.0), exists, exists & covered & sums.has_run, "m3/h")
    flags = {COVERAGE: ~covered, PERIPHERAL_MISSING: missing, PERIPHERAL_SUBSTITUTE: instead, DISCARDED: discarded}
    compared = np.asarray(is_compared(sums.state, settings.start_up_compared)) & sums.has_run
    return MeasurandTerms(None, row, {FLOW: layer}, discarded, compared, flags, workings=workings, rows=rows)


def _factors(one: Measurand, settings: Settings, around: dict[str, Peripheral], with_exception: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for kind in ("T", "p", "H2O", "O2"):
        if kind not in one.needs:
            continue
        values = around[kind].values
        if kind == "T":
            made[kind] = conditions.temperature_factor(values)
        elif kind == "p":
            made[kind] = conditions.pressure_factor(values)
        elif kind == "H2O":
            made[kind] = conditions.moisture_factor(values)
        else:
            assert one.o2_reference_pct is not None
            made[kind] = conditions.oxygen_factor(
                values,
                one.o2_reference_pct,
                settings.o2_air,
                settings.o2_no_conversion_below_ref and with_exception,
                settings.o2_invalid_above,
                settings.o2_clamp,
            )
    return made


def _measurand(
    plant: Plant,
    one: Measurand,
    settings: Settings,
    sums: TermSums,
    around: dict[str, Peripheral],
    gas_flow: MeasurandTerms | None,
) -> MeasurandTerms:
    row = _row(sums, one.id)
    mean, has = term_sums.mean_of(sums, row)
    covered = term_sums.is_covered(sums, row, settings)
    missing, instead = np.zeros(sums.count, np.bool_), np.zeros(sums.count, np.bool_)
    for kind in one.needs:
        missing = missing | ~around[kind].exists
        instead = instead | around[kind].is_substitute
    measured = our_units.to_mg_m3(mean, one, settings)
    factors = _factors(one, settings, around, with_exception=True)
    workings = {"mg_m3": measured}
    for kind, factor in factors.items():
        workings |= {kind: around[kind].values, f"factor_{kind}": np.asarray(factor[0])}
    standardised, exists = conditions.standardise(np.where(has, measured, 0.0), *factors.values())
    exists = np.asarray(exists) & has & ~missing
    standardised, enough, rows = np.where(exists, standardised, 0.0), covered, {}
    no_reference = has & ~missing & ~exists
    if is_by_slot := settings.standardise_at == "FLD":
        rows = {STANDARDISED: _row(sums, each_slot.name_of(one.id, each_slot.STANDARDISED))}
        rows[VALIDATED] = rows[STANDARDISED]
        standardised, exists, enough = _of_slots(sums, rows[STANDARDISED], settings)
        missing = sums.n[rows[STANDARDISED]] < sums.n[row]
        instead = _has_substitute(one.needs, plant, sums)
        no_reference = has & ~exists
    counts = enough & exists & sums.has_run
    layers = {
        MEASURED: Layer(mean, has, covered & has & sums.has_run, one.unit),
        STANDARDISED: Layer(standardised, exists, counts, "mg/m3"),
    }
    discarded = term_sums.is_discarded(sums, row, settings, covered)
    if "P" in settings.lost_letters:
        discarded = discarded | (sums.has_run & covered & ~(exists & enough))
    flags = {
        COVERAGE: ~covered,
        PERIPHERAL_MISSING: missing,
        PERIPHERAL_SUBSTITUTE: instead,
        NO_REFERENCE: no_reference,
        DISCARDED: discarded,
        OUTSIDE_CALIBRATION: exists & _is_outside(one, standardised, sums),
        RANGE_END: sums.range_end[row] > 0,
    }
    compared = np.asarray(is_compared(sums.state, settings.start_up_compared)) & sums.has_run
    if (interval := _interval(one, settings, standardised)) is not None:
        value, there = validated.validate(standardised, interval, settings.clip_negative, exists)
        there = np.asarray(there)
        workings["interval_mg_m3"] = np.broadcast_to(interval, standardised.shape)
        layers[VALIDATED] = Layer(np.asarray(value), there, counts & there & compared, "mg/m3")
    if gas_flow is not None:
        # At one state: normal, dry, oxygen as measured; so the factor for oxygen is left out of both
        at_flow = our_units.mass_state_factor(one, settings)
        dry, has_dry = conditions.standardise(
            np.where(has, measured, 0.0), *(factor for kind, factor in factors.items() if kind != "O2")
        )
        q = gas_flow.layers[FLOW]
        workings |= {"dry_mg_m3": np.asarray(dry), "flow_m3_h": q.values}
        rate, has_rate = flow.mass_kg_h(np.asarray(dry) * at_flow, q.values, settings.mass_zero_when_negative)
        if is_by_slot:
            rows[MASS] = _row(sums, each_slot.name_of(one.id, each_slot.LOAD))
            load, known, enough_load = _of_slots(sums, rows[MASS], settings)
            rate, may_count = load / flow.MG_PER_KG, enough_load
        else:
            known = np.asarray(has_rate) & np.asarray(has_dry) & has & q.exists & ~_missing_but(one, around)
            may_count = covered & q.is_valid
        layers[MASS] = Layer(np.where(known, rate, 0.0), known, known & may_count & sums.has_run, "kg/h")
        flags[FLOW_MISSING] = ~(may_count if is_by_slot else q.is_valid) & sums.has_run
    plain = None
    if settings.year_without_o2_exception and settings.o2_no_conversion_below_ref:
        bare = _factors(one, settings, around, with_exception=False)
        value, there = conditions.standardise(np.where(has, measured, 0.0), *bare.values())
        there = np.asarray(there) & has & ~missing
        if is_by_slot:
            rows[figure.PLAIN] = _row(sums, each_slot.name_of(one.id, each_slot.PLAIN))
            value, there, enough = _of_slots(sums, rows[figure.PLAIN], settings)
        interval = _interval(one, settings, np.asarray(value))
        if interval is not None:
            value, there = validated.validate(value, interval, settings.clip_negative, there)
        there = np.asarray(there)
        plain = Layer(np.where(there, value, 0.0), there, there & enough & compared, "mg/m3")
    return MeasurandTerms(one, row, layers, discarded & compared, compared, flags, plain, workings, rows)


def _of_slots(sums: TermSums, row: int, settings: Settings) -> tuple[Values, Truths, Truths]:
    """Mean of what was converted slot by slot, where there is one, and where enough of it is there."""
    mean, has = term_sums.mean_of(sums, row)
    exists = has & np.isfinite(mean)
    return np.where(exists, mean, 0.0), exists, term_sums.is_covered(sums, row, settings)


def _has_substitute(kinds: Sequence[str], plant: Plant, sums: TermSums) -> Truths:
    """A slot in operation took the permit's substitute of a peripheral."""
    found = np.zeros(sums.count, np.bool_)
    oxygen = plant.peripheral("O2")
    is_wet = "O2" in kinds and oxygen is not None and oxygen.basis == "wet"  # such a cell needs the moisture too
    for kind in (*kinds, *(("H2O",) if is_wet and "H2O" not in kinds else ())):
        one, row = plant.peripheral(kind), _row(sums, name_of_peripheral(kind))
        if one is not None and one.substitute is not None:
            found = found | (sums.n[row] < sums.expected[row])
    return found


def _missing_but(one: Measurand, around: dict[str, Peripheral]) -> Truths:
    """A peripheral other than oxygen is missing."""
    gone = [~around[kind].exists for kind in one.needs if kind != "O2"]
    return np.asarray(np.logical_or.reduce(gone)) if gone else np.asarray(False)


def _interval(one: Measurand, settings: Settings, standardised: Values) -> Any:
    """What is subtracted; None where this rule set or this measurand has no comparison with a limit."""
    limits = {limit.kind: limit.value for limit in one.limits}
    daily = limits.get("day", limits.get("month"))
    if settings.ci_mode == "none" or daily is None:
        return None
    half_hour = limits.get("half_hour_a", limits.get("half_hour"))
    of_limit = validated.limit_for_interval_mg_m3(one.id, daily, half_hour, settings)
    pct = one.ci_pct if one.ci_pct is not None else settings.ci_pct.get(one.id)
    try:
        return validated.interval_mg_m3(standardised, settings.ci_mode, pct, of_limit, one.ci_qal2)
    except RuleError as error:
        raise RuleError(f"measurand {one.id}: {error.where}", error.reason) from error


def _is_outside(one: Measurand, standardised: Values, sums: TermSums) -> Truths:
    """Above the valid calibration range in force (QAL2), which is compared with the normalised value."""
    outside = np.zeros(sums.count, np.bool_)
    starts = np.array([sums.start_of(term) for term in range(sums.count)], np.int64)
    for calibration, following in zip(one.calibrations, (*one.calibrations[1:], None), strict=False):
        in_force = starts >= calibration.begins
        if following is not None:
            in_force &= starts < following.begins
        if calibration.valid_to is not None:
            outside |= in_force & (standardised > calibration.valid_to)
    return outside
