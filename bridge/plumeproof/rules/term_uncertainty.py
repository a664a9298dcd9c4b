"""Uncertainty of short-term averages from the components that a plant states (JCGM 100:2008 clauses 4.3, 5.1, 6.2).

    u(mean of x)^2 = sum of u_c^2 (is_common) + sum of u_c^2 / n (absolute) or p^2 (m2 + n mean^2) / n^2 (in per cent)
    u(figure)^2    = sum over inputs of (sensitivity u(mean of input))^2          U = 2 u

Inputs are the analyzer, the flow, and the peripherals T, p, H2O, O2; a sensitivity is the derivative of the figure by
the mean of the input, whatever ways it takes: moisture also through an O2 cell in wet gas, temperature and pressure
through concentration and flow, where they cancel in a mass. First order (5.1.2), at the means of the term. Assumed:
components are independent of each other; a component is common to all values or to none; those of a measurand are of
its calibrated value. As exact count what states nothing, a permit's substitute, constants of nature, and the confidence
interval that is subtracted, so that a validated value is as uncertain as its standardised one; what a rule sets to zero
keeps its uncertainty.

    found = of_terms(plant, rules, terms)["NOx", "standardised"]; found.total, found.common     # expanded, k = 2
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.rules import conditions, flow, term_sums
from plumeproof.rules.figure import FLOW, MASS, MEASURED, PLAIN, STANDARDISED, VALIDATED
from plumeproof.rules.figure_maker import Expanded
from plumeproof.rules.first_level import FLOW_ROW, name_of_peripheral
from plumeproof.rules.our_units import mass_state_factor, to_mg_m3
from plumeproof.rules.plant import Component, Measurand, Plant
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.settings import Settings
from plumeproof.rules.short_terms import MeasurandTerms, ShortTerms
from plumeproof.rules.term_sums import TermSums
from plumeproof.rules.uncertainty import COVERAGE_FACTOR, ROOT_3

Values = npt.NDArray[np.float64]
KINDS = ("T", "p", "H2O", "O2")
# Width of a peripheral's unit in ours (degC, kPa): u / divisor
DIVISORS = {"hPa": 10.0, "mbar": 10.0, "Pa": 1000.0, "bar": 0.01}
Sensitivities = dict[str, Values]  # by input: the row of the sums that it is the mean of


@dataclass(frozen=True, slots=True)
class InputUncertainty:
    """Squared standard uncertainty of the means of one input, (terms,): shared by all values, and of each its own."""

    common2: Values
    own2: Values


@dataclass(frozen=True, slots=True)
class TermUncertainty:
    """Expanded, in the layer's unit, (terms,): all of it, and the part that the terms of a plant share."""

    total: Values
    common: Values

    def at(self, term: int) -> Expanded | None:
        """Of one term; None where float64 cannot hold it."""
        total = float(self.total[term])
        return Expanded(total, float(self.common[term])) if math.isfinite(total) else None


def of_terms(plant: Plant, rules: RuleSet, terms: ShortTerms) -> dict[tuple[str, str], TermUncertainty]:
    """By (measurand, layer), the flow as ("flow", "flow"): where the measurand, or the flow, states components."""
    found: dict[tuple[str, str], TermUncertainty] = {}
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float64 there is none (`at`)
        inputs = inputs_of(plant, terms)
        for own in (*terms.measurands, *((terms.flow,) if terms.flow is not None else ())):
            row = FLOW_ROW if own.measurand is None else own.measurand.id
            if row not in inputs:
                continue
            for layer, sensitivities in sensitivities_of(plant, rules.settings, terms, own).items():
                found[FLOW if own.measurand is None else row, layer] = combine(inputs, sensitivities)
    return found


def combine(inputs: Mapping[str, InputUncertainty], sensitivities: Sensitivities) -> TermUncertainty:
    """2 sqrt(sum of s^2 (common2 + own2)), and 2 sqrt(sum of s^2 common2), in the order of the sensitivities."""
    total = common = np.zeros(next(iter(sensitivities.values())).shape)
    for name, own in sensitivities.items():
        if name in inputs:
            square = own * own
            common = common + square * inputs[name].common2
            total = total + square * (inputs[name].common2 + inputs[name].own2)
    return TermUncertainty(COVERAGE_FACTOR * np.sqrt(total), COVERAGE_FACTOR * np.sqrt(common))


def inputs_of(plant: Plant, terms: ShortTerms) -> dict[str, InputUncertainty]:
    """Of every input that states components, by its row; peripherals in degC, kPa or vol-%."""
    stated = {one.id: (one.uncertainty, 1.0) for one in plant.measurands}
    stated |= {
        name_of_peripheral(one.kind): (one.uncertainty, DIVISORS.get(one.channel_unit, 1.0))
        for one in plant.peripherals
    }
    if plant.flow is not None:
        stated[FLOW_ROW] = (plant.flow.uncertainty, 1.0)
    found = {}
    for name, (components, divisor) in stated.items():
        row = terms.sums.row(name)
        if components and row is not None:
            found[name] = _of_mean(terms.sums, row, components, divisor)
    for kind, around in terms.around.items():
        if (name := name_of_peripheral(kind)) in found:  # what the permit puts in its place is exact
            there = around.exists & ~around.is_substitute
            own = found[name]
            found[name] = InputUncertainty(np.where(there, own.common2, 0.0), np.where(there, own.own2, 0.0))
    return found


def divisor_of(component: Component) -> float:
    """Stated width to standard uncertainty (clauses 4.3.3, 4.3.7)."""
    return ROOT_3 if component.distribution == "rectangular" else component.k


def _of_mean(sums: TermSums, row: int, components: Sequence[Component], divisor: float) -> InputUncertainty:
    mean, _ = term_sums.mean_of(sums, row)
    n = np.where(sums.n[row] > 0, sums.n[row], 1).astype(np.float64)
    common2 = own2 = np.zeros(sums.count)
    for one in components:
        width = divisor_of(one)
        if one.value_pct is None:
            assert one.value is not None  # parse_plant
            stated = np.full(sums.count, one.value / width)
            part = stated if one.is_common else stated / np.sqrt(n)
        elif one.is_common:
            part = one.value_pct * np.abs(mean) / 100.0 / width
        else:  # sum of x^2 is m2 + n mean^2
            part = one.value_pct * np.sqrt(sums.m2[row] + n * mean * mean) / n / 100.0 / width
        part = part / divisor
        if one.is_common:
            common2 = common2 + part * part
        else:
            own2 = own2 + part * part
    return InputUncertainty(common2, own2)


def sensitivities_of(
    plant: Plant, settings: Settings, terms: ShortTerms, own: MeasurandTerms
) -> dict[str, Sensitivities]:
    """Of every layer that exists, by input; 0.0 where the layer has no value."""
    if own.measurand is None:
        return {FLOW: _flow(plant, settings, terms, np.asarray(own.layers[FLOW].values))}
    one = own.measurand
    unit = float(to_mg_m3(np.ones(1), one, settings)[0])
    found = {MEASURED: {one.id: np.ones(terms.sums.count)}}
    standardised = _concentration(plant, settings, terms, one, unit, True)
    found[STANDARDISED] = _masked(standardised, own.layers[STANDARDISED].exists)
    if VALIDATED in own.layers:
        found[VALIDATED] = _masked(standardised, own.layers[VALIDATED].exists)
    if own.plain is not None:
        bare = _concentration(plant, settings, terms, one, unit, False)
        found[PLAIN] = _masked(bare, own.plain.exists)
    if MASS in own.layers:
        assert terms.flow is not None  # or there is no mass
        gas = _flow(plant, settings, terms, np.asarray(terms.flow.layers[FLOW].values))
        found[MASS] = _masked(
            _mass(plant, settings, terms, own, unit * mass_state_factor(one, settings), gas), own.layers[MASS].exists
        )
    return found


def _masked(sensitivities: Sensitivities, exists: npt.NDArray[np.bool_]) -> Sensitivities:
    return {name: np.where(exists, own, 0.0) for name, own in sensitivities.items()}


def _concentration(
    plant: Plant, settings: Settings, terms: ShortTerms, one: Measurand, unit: float, with_exception: bool
) -> Sensitivities:
    """Of c f_T f_p f_H2O f_O2: dc f; T: S/(zero + T); p: -S/p; H: S/(100 - H); O2: S/(air - O2), 0 where O2 is not
    converted or clamped."""
    mean, _ = term_sums.mean_of(terms.sums, _row(terms, one.id))
    factor = np.full(terms.sums.count, unit)
    for kind in KINDS:
        if kind in one.needs:
            factor = factor * _factor(kind, settings, one, terms, with_exception)
    value = mean * factor
    found = {one.id: factor}
    for kind in KINDS:
        if kind not in one.needs:
            continue
        around = terms.around[kind].values
        if kind == "T":
            found["/T"] = value / (conditions.ZERO_CELSIUS_K + around)
        elif kind == "p":
            found["/p"] = -value / np.where(around > 0.0, around, 1.0)
        elif kind == "H2O":
            found["/H2O"] = value / np.where(around < 100.0, 100.0 - around, 1.0)
        else:
            _add_oxygen(found, plant, settings, terms, one, value, with_exception)
    return found


def _add_oxygen(
    found: Sensitivities,
    plant: Plant,
    settings: Settings,
    terms: ShortTerms,
    one: Measurand,
    value: Values,
    with_exception: bool,
) -> None:
    """Through a wet cell, O2_dry = O2_wet 100/(100 - H), moisture acts too."""
    oxygen, cell = terms.around["O2"].values, plant.peripheral("O2")
    assert one.o2_reference_pct is not None and cell is not None  # parse_plant
    acts = oxygen < settings.o2_air
    if settings.o2_no_conversion_below_ref and with_exception:
        acts = acts & (oxygen >= one.o2_reference_pct)
    if settings.o2_clamp is not None:
        acts = acts & (oxygen <= settings.o2_clamp)
    by_dry = np.where(acts, value / np.where(acts, settings.o2_air - oxygen, 1.0), 0.0)
    if cell.basis == "dry":
        found["/O2"] = by_dry
        return
    moisture = terms.around["H2O"].values
    rest = np.where(moisture < 100.0, 100.0 - moisture, 1.0)
    found["/O2"] = by_dry * 100.0 / rest
    through = by_dry * oxygen / rest
    found["/H2O"] = found["/H2O"] + through if "/H2O" in found else through


def _flow(plant: Plant, settings: Settings, terms: ShortTerms, value: Values) -> Sensitivities:
    """Of Q zero/(zero + T) p/101.325 (100 - H)/100, from what the channel says: T: -Q/(zero + T); p: Q/p;
    H: -Q/(100 - H)."""
    assert plant.flow is not None
    factor = np.full(terms.sums.count, plant.flow.wall_factor)
    if plant.flow.unit != "m3/h":
        factor = factor * (flow.S_PER_H * (plant.flow.area_m2 or 1.0))
    found = {FLOW_ROW: factor}
    if plant.flow.conditions == "actual_wet":
        kelvin = settings.zero_celsius_k + terms.around["T"].values
        pressure = terms.around["p"].values
        factor = factor * settings.zero_celsius_k / kelvin * pressure / conditions.NORMAL_KPA
        found |= {"/T": -value / kelvin, "/p": value / np.where(pressure > 0.0, pressure, 1.0)}
    if plant.flow.conditions != "normal_dry":
        rest = 100.0 - terms.around["H2O"].values
        factor = factor * rest / 100.0
        found["/H2O"] = -value / np.where(rest > 0.0, rest, 1.0)
    exists = terms.flow is not None and terms.flow.layers[FLOW].exists
    return {name: np.where(exists, own, 0.0) for name, own in (found | {FLOW_ROW: factor}).items()}


def _mass(
    plant: Plant, settings: Settings, terms: ShortTerms, own: MeasurandTerms, unit: float, gas: Sensitivities
) -> Sensitivities:
    """Of c f_T f_p f_H2O Q / 1e6, by the product rule; a peripheral in both counts once, with both its signs."""
    one = own.measurand
    assert one is not None and terms.flow is not None
    bare = Measurand(
        id=one.id, source=one.source, unit=one.unit, gas=one.gas, needs=tuple(k for k in one.needs if k != "O2")
    )
    dry = _concentration(plant, settings, terms, bare, unit, True)
    mean, _ = term_sums.mean_of(terms.sums, _row(terms, one.id))
    concentration, q = mean * dry[one.id], terms.flow.layers[FLOW].values
    found = {name: s * q / flow.MG_PER_KG for name, s in dry.items()}
    for name, s in gas.items():
        part = concentration * s / flow.MG_PER_KG
        found[name] = found[name] + part if name in found else part
    return found


def _factor(kind: str, settings: Settings, one: Measurand, terms: ShortTerms, with_exception: bool) -> Values:
    values = terms.around[kind].values
    if kind == "T":
        return np.asarray(conditions.temperature_factor(values)[0])
    if kind == "p":
        return np.asarray(conditions.pressure_factor(values)[0])
    if kind == "H2O":
        return np.asarray(conditions.moisture_factor(values)[0])
    assert one.o2_reference_pct is not None
    is_excepted = settings.o2_no_conversion_below_ref and with_exception
    factor, _ = conditions.oxygen_factor(
        values, one.o2_reference_pct, settings.o2_air, is_excepted, settings.o2_invalid_above, settings.o2_clamp
    )  # fmt: skip
    return np.asarray(factor)


def _row(terms: ShortTerms, name: str) -> int:
    row = terms.sums.row(name)
    assert row is not None  # short_terms has made it
    return row
