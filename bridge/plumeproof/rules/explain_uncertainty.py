"""How uncertain one explained short term is, step by step, as explain.py writes its value (JCGM 100:2008).

Of every input the standard uncertainty of its mean, component by component; of every layer the sensitivities and the
expanded uncertainty. `numbers` needs sqrt and abs beside plain arithmetic; results are those of term_uncertainty.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumeproof.rules import term_sums
from plumeproof.rules.figure import FLOW
from plumeproof.rules.first_level import FLOW_ROW
from plumeproof.rules.plant import Component, Plant
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.short_terms import MeasurandTerms, ShortTerms
from plumeproof.rules.step import Step
from plumeproof.rules.term_uncertainty import DIVISORS, combine, divisor_of, inputs_of, sensitivities_of
from plumeproof.rules.uncertainty import COVERAGE_FACTOR

COMMON, OWN = "common to all values", "of each value"


def uncertainty_steps(plant: Plant, rules: RuleSet, terms: ShortTerms, own: MeasurandTerms) -> Iterator[Step]:
    """Of the first term of `terms`; nothing where the measurand, or the flow, states no component."""
    inputs = inputs_of(plant, terms)
    row = FLOW_ROW if own.measurand is None else own.measurand.id
    if row not in inputs:
        return
    layers = sensitivities_of(plant, rules.settings, terms, own)
    used = [name for name in inputs if any(name in found for found in layers.values())]
    squares: dict[str, tuple[float, float]] = {}
    for name in used:
        squares[name] = float(inputs[name].common2[0]), float(inputs[name].own2[0])
        yield from _of_input(plant, terms, name, squares[name])
    for layer, found in layers.items():
        if not _has_value(own, layer):
            continue
        parts = ["0.0"]
        for name in found:
            if name in inputs:
                s = float(found[name][0])
                told = f"derivative of the {layer} value by the mean of {name.lstrip('/')}"
                yield Step(f"{layer}: sensitivity to {name.lstrip('/')}", repr(s), s, "", "clause 5.1.3", told)
                parts.append(f"({s!r}) * ({s!r}) * ({squares[name][0]!r} + {squares[name][1]!r})")
        value = float(combine(inputs, found).total[0])
        unit = own.plain.unit if layer not in own.layers and own.plain is not None else own.layers[layer].unit
        text = f"{COVERAGE_FACTOR!r} * sqrt({' + '.join(parts)})"
        yield Step(f"{layer}: expanded uncertainty", text, value, unit, "clauses 5.1.2, 6.2.1; k = 2")


def _has_value(own: MeasurandTerms, layer: str) -> bool:
    """Whether the layer has a value in the first term."""
    found = own.layers.get(layer, own.plain)
    return found is not None and bool(found.exists[0])


def _of_input(plant: Plant, terms: ShortTerms, name: str, squares: tuple[float, float]) -> Iterator[Step]:
    """Its components, and their squares added, those that all values share and those of each apart."""
    components, divisor = _stated(plant, name)
    row = terms.sums.row(name)
    assert row is not None  # inputs_of has found it
    mean, n = float(term_sums.mean_of(terms.sums, row)[0][0]), float(max(1, int(terms.sums.n[row, 0])))
    told = FLOW if name == FLOW_ROW else name.lstrip("/")
    if squares == (0.0, 0.0):
        yield Step(f"{told}: uncertainty", "0.0", 0.0, "", "", "nothing measured, or the permit's substitute: exact")
        return
    texts: dict[bool, list[str]] = {True: ["0.0"], False: ["0.0"]}
    for one in components:
        text = _component(one, mean, n, float(terms.sums.m2[row, 0]), divisor)
        texts[one.is_common].append(f"({text}) * ({text})")
    for is_common, square in zip((True, False), squares, strict=True):
        if len(texts[is_common]) > 1:
            names = ", ".join(one.name for one in components if one.is_common is is_common)
            kind = COMMON if is_common else f"{OWN}, of {int(n)} values"
            yield Step(
                f"{told}: squared standard uncertainty of the mean, {kind}", " + ".join(texts[is_common]), square, "",
                "clauses 4.3.3, 4.3.7, 5.1.2" if is_common else "clauses 4.2.3, 4.3.3, 5.1.2", names,
            )  # fmt: skip


def _component(one: Component, mean: float, n: float, m2: float, divisor: float) -> str:
    width = divisor_of(one)
    if one.value is not None:
        text = f"{one.value!r} / {width!r}" if one.is_common else f"{one.value!r} / {width!r} / sqrt({n!r})"
    elif one.is_common:
        text = f"{one.value_pct!r} * abs({mean!r}) / 100.0 / {width!r}"
    else:
        text = f"{one.value_pct!r} * sqrt({m2!r} + {n!r} * {mean!r} * {mean!r}) / {n!r} / 100.0 / {width!r}"
    return f"{text} / {divisor!r}"


def _stated(plant: Plant, name: str) -> tuple[tuple[Component, ...], float]:
    if name == FLOW_ROW:
        assert plant.flow is not None
        return plant.flow.uncertainty, 1.0
    if name.startswith("/"):
        one = plant.peripheral(name[1:])
        assert one is not None
        return one.uncertainty, DIVISORS.get(one.channel_unit, 1.0)
    return next(one.uncertainty for one in plant.measurands if one.id == name), 1.0
