"""Computed channels of a plant description: a formula of the trade over other channels, slot by slot.

    [[computed]]
    id = "velocity"                 # a source anywhere in the description: "computed/velocity"
    formula = "pitot_velocity"
    [[computed.input]]
    name = "dp"
    source = "plume-01/dp"
    unit = "hPa"
    [[computed.input]]
    name = "H2O"
    fixed = 12.0                    # a figure of the permit or of a QAL2 report

What is computed has a value where every input has one and the formula gives one; otherwise the status of the first
input that lacks, so that a cause stays named. The arithmetic is computed.py's; descriptions need no numpy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plumeproof.errors import ConfigError
from plumeproof.rules.channel_source import Source, slot_distance, source_text
from plumeproof.section import Section, number_in, one_of, setting, text_like

COMPUTED = "computed"  # as which it stands in front of the slash; no module can be named so in such a description
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
COMPUTED_MAX, INPUTS_MAX = 32, 16
PERCENT, MASSES, FLOWS = ("%",), ("mg/m3", "ug/m3", "g/m3"), ("m3/h", "m3/s")
DUCT = re.compile(r"[cq][1-8]")
OTHER = re.compile(r"other[1-8]")


@dataclass(frozen=True, slots=True)
class Formula:
    """`inputs`: name to its possible units, the default first; `unit` None: that of the first input. `text`: for
    people; `source`: the rule."""

    inputs: dict[str, tuple[str, ...]]
    unit: str | None
    text: str
    source: str


FORMULAS = {
    "pitot_velocity": Formula(
        {
            "dp": ("Pa", "hPa", "mbar"), "T": ("degC", "K"), "p": ("hPa", "kPa", "Pa", "mbar", "bar"), "H2O": PERCENT,
            "O2": PERCENT, "CO2": PERCENT, "K": ("1",),
        },
        "m/s",
        "M = ((O2*31.998 + CO2*44.009 + N2*28.0134)/100*(100 - H2O) + 18.015*H2O)/100; rho = p*M/(8.314462618*T);"
        " K*sqrt(2*dp/rho)",
        "EN ISO 16911-1, ISO 10780",
    ),
    "nox_as_no2": Formula(
        {"NO": ("mg/m3",), "NO2": ("mg/m3",)}, "mg/m3", "NO*(46.005/30.006) + NO2", "NOx as NO2, in mg/m3"
    ),
    "nox_ppm": Formula({"NO": ("ppm",), "NO2": ("ppm",)}, "ppm", "NO + NO2", 'NOx by volume: gas = "NO2" makes mg/m3'),
    "moisture_from_o2": Formula(
        {"wet": PERCENT, "dry": PERCENT}, "%", "100*(1 - wet/dry)", "moisture from a wet and a dry O2 cell"
    ),
    "flow_by_o2_balance": Formula(
        {"air": ("m3/h",), "O2_air": PERCENT, "O2": PERCENT},
        "m3/h",
        "air*(100 - O2_air)/(100 - O2), dry",
        "(EU) 2018/2066 Annex IV section 16, DK 0.85",
    ),
    "co2_with_co": Formula(
        {"CO2": ("g/m3",), "CO": ("mg/m3",)},
        "g/m3",
        "CO2 + CO*44.009/28.01/1000",
        "(EU) 2018/2066 Art. 43: CO counts as the molar equivalent of CO2",
    ),
    "co2_from_rest": Formula(
        {}, "%", "100 - other1 - other2 ...", "(EU) 2018/2066 Annex VIII equation 3, for very high CO2"
    ),
    "co2_from_o2": Formula(
        {"O2": PERCENT, "F": ("1",), "Fc": ("1",)},
        "%",
        "100*Fc/F*(20.9 - O2)/20.9, both dry; F and Fc of the same heat",
        "40 CFR 75 Appendix F, Eq. F-14a",
    ),
    "ducts": Formula(
        {}, None, "(c1*q1 + c2*q2 ...)/(q1 + q2 ...); a duct whose q is 0 needs no c", "flow-weighted mean of ducts"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComputedInput:
    """One operand: a channel in `unit`, or a `fixed` number in the default unit of its place."""

    name: str
    source: Source | None
    unit: str
    fixed: float | None
    slot_ms: int

    def __str__(self) -> str:
        return f"{self.name} = {self.fixed!r}" if self.source is None else f"{self.name} = {self.source} [{self.unit}]"


@dataclass(frozen=True, slots=True)
class Computed:
    """One computed channel, with its inputs in the order of the formula."""

    id: str
    formula: str
    unit: str
    slot_ms: int
    inputs: tuple[ComputedInput, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    id: str = setting(text_like(ID, "name of a computed channel"))
    formula: str = setting(one_of(*FORMULAS))
    slot_ms: int = setting(slot_distance, 1_000)


@dataclass(frozen=True, slots=True)
class _Input:
    name: str = setting(text_like(ID, "name of an input"))
    source: Source | None = setting(source_text, None)
    unit: str | None = setting(text_like(), None)
    fixed: float | None = setting(number_in(float, -1e9, 1e9), None)
    slot_ms: int = setting(slot_distance, 1_000)


def read_computed(section: Section) -> Computed:
    """[[computed]] with its inputs. Raises ConfigError."""
    given = section.each("input", _Input, is_needed=True)
    head = section.build(_Head)
    formula = FORMULAS[head.formula]
    names = [one.name for one in given]
    wanted = _wanted(head.formula, names)
    if sorted(names) != sorted(wanted) or len(names) > INPUTS_MAX:
        raise section.refuse("input", f"of {head.formula} are {', '.join(wanted)}, each once; {formula.text}")
    by_name = {one.name: one for one in given}
    inputs = []
    for name, units in wanted.items():
        one = by_name[name]
        if (one.source is None) == (one.fixed is None) or (one.fixed is not None and one.unit is not None):
            raise section.refuse("input", f"{name} needs a source, or a number `fixed` in {units[0]} without unit")
        if one.source is not None and one.source.device == COMPUTED:
            raise section.refuse("input", f"{name} is a computed channel; inputs are channels of modules")
        unit = one.unit or units[0]
        if unit not in units:
            raise section.refuse("input", f"{name} in {unit}; it is taken in {', '.join(units)}")
        inputs.append(ComputedInput(name, one.source, unit, one.fixed, one.slot_ms))
    if all(one.source is None for one in inputs):
        raise section.refuse("input", "has no source at all; a fixed figure needs no computed channel")
    unit = formula.unit or inputs[0].unit
    if head.formula == "ducts" and len({one.unit for one in inputs if one.name[0] == "c"}) > 1:
        raise section.refuse("input", "of the ducts have concentrations in different units; one for all")
    return Computed(head.id, head.formula, unit, head.slot_ms, tuple(inputs))


def _wanted(formula: str, names: list[str]) -> dict[str, tuple[str, ...]]:
    """Inputs that a formula has, by name; those of any number by the names given."""
    if formula == "ducts":
        numbers = sorted({name[1:] for name in names if DUCT.fullmatch(name)}) or ["1", "2"]
        return {f"{kind}{number}": MASSES if kind == "c" else FLOWS for number in numbers for kind in "cq"}
    if formula == "co2_from_rest":
        return {name: PERCENT for name in sorted(names) if OTHER.fullmatch(name)} or {"other1": PERCENT}
    return FORMULAS[formula].inputs


def check_computed(found: tuple[Computed, ...], users: list[tuple[str, Source, str, int]], path: Path) -> None:
    """Every use of a computed channel: (where, source, unit or "", slot_ms). Raises ConfigError."""
    by_id = {one.id: one for one in found}
    if len(by_id) != len(found) or len(found) > COMPUTED_MAX:
        raise ConfigError(f"{path}: computed", f"two have one id, or there are more than {COMPUTED_MAX}")
    for where, source, unit, slot_ms in users:
        if source.device != COMPUTED:
            continue
        one = by_id.get(source.channel)
        if one is None:
            raise ConfigError(f"{path}: {where}", f"no [[computed]] is named {source.channel}")
        if unit and unit != one.unit:
            raise ConfigError(f"{path}: {where}", f"is in {unit}, and computed/{one.id} in {one.unit}")
        if slot_ms != one.slot_ms:
            raise ConfigError(f"{path}: {where}", f"has slot_ms {slot_ms}, and computed/{one.id} {one.slot_ms}")
