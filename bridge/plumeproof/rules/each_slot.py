"""First level data converted one by one: `standardise_at = "FLD"` (averaging-rules 3.5: steps 4 and 5 exchanged).

Every slot of a measurand is converted with the peripherals of its own instant, and only then averaged, by the chain of
chain.py: rows beside those of minutes.py, under names of their own. Where a peripheral has no value at a slot, the
permit's substitute stands there; without one the slot of the measurand does not count (P). Bits follow from the slots
of a minute alone, as those of minutes.py do.

    minutes = each_slot.add(sum_minutes(rows, start), rows, plant, settings)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding
from plumeproof.rules import conditions, our_units
from plumeproof.rules.first_level import FLOW_ROW, Row, name_of_peripheral, spread
from plumeproof.rules.minutes import Minutes
from plumeproof.rules.plant import Flow, Measurand, Plant
from plumeproof.rules.plant_state import STOPPED
from plumeproof.rules.settings import Settings
from plumeproof.rules.status import RANGE_END

Values = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]
KINDS = ("T", "p", "H2O", "O2")  # as the chain has them, and the bits of what a channel needs
STANDARDISED, PLAIN, LOAD = "standardised", "plain", "load"
NEEDS_OF_FLOW = {"actual_wet": ("T", "p", "H2O"), "normal_wet": ("H2O",), "normal_dry": ()}
_HARMLESS = (0.0, conditions.NORMAL_KPA, 0.0, 0.0, 0.0)  # of what the plant has no channel for, and nothing needs


def name_of(measurand: str, what: str) -> str:
    """Name of a row made here; no measurand's name has a slash."""
    return f"{measurand}/{what}"


FLOW_NAME = name_of(FLOW_ROW, STANDARDISED)


def has_plain(settings: Settings) -> bool:
    """Whether the year is made without the exception for oxygen below the reference."""
    return settings.year_without_o2_exception and settings.o2_no_conversion_below_ref


def add(minutes: Minutes, rows: Sequence[Row], plant: Plant, settings: Settings) -> Minutes:
    """The same minutes with rows of what was converted slot by slot: of every measurand the standardised value, its
    load in mg/h where the plant has a flow, and the flow itself. Raises RuleError where a peripheral lacks."""
    by_name = {row.quantity.name: row for row in rows}
    made: list[_Made] = []
    groups: dict[tuple[int, float | None], list[Measurand]] = {}
    for one in plant.measurands:
        groups.setdefault((by_name[one.id].quantity.slots, one.o2_reference_pct), []).append(one)
    for (slots, reference), group in groups.items():
        made += _convert(plant, settings, by_name, group, slots, reference, STANDARDISED)
        if has_plain(settings):
            made += _convert(plant, settings, by_name, group, slots, reference, PLAIN)
        if plant.flow is not None:
            made += _convert(plant, settings, by_name, group, slots, None, LOAD)
    if plant.flow is not None:
        made += _convert(plant, settings, by_name, (), by_name[FLOW_ROW].quantity.slots, None, STANDARDISED)
    return _join(minutes, made)


_Made = tuple[str, str, Values, Values]  # row it is made from, its name, n, sums (4, minutes)


def _convert(
    plant: Plant,
    settings: Settings,
    rows: dict[str, Row],
    group: Sequence[Measurand],
    slots: int,
    reference: float | None,
    what: str,
) -> list[_Made]:
    """Measurands of one distance of slots and one reference, None where oxygen stays as measured, which is the state of
    flow and load; without any measurand: the flow."""
    from plumeproof.rules import chain  # compiled at import, which costs seconds without a cache: only where it is used

    top = reference if reference is not None else 0.0
    if reference is not None:  # refuses settings at or above the oxygen of air
        conditions.oxygen_factor(
            0.0, reference, settings.o2_air, False, settings.o2_invalid_above, settings.o2_clamp
        )  # fmt: skip
    values: list[Values] = []
    marks: list[Marks] = []
    roles = [-1] * 5

    def take(found: tuple[Values, Marks]) -> int:
        values.append(spread(found[0], slots).reshape(-1))
        marks.append(spread(found[1], slots).reshape(-1))
        return len(values) - 1

    for kind in KINDS:
        if plant.peripheral(kind) is not None:
            roles[KINDS.index(kind)] = take(_peripheral(plant, kind, rows))
    needs = [0] * len(values)
    if plant.flow is not None:
        kinds = NEEDS_OF_FLOW[plant.flow.conditions]
        for kind in kinds:
            if plant.peripheral(kind) is None:
                raise RuleError("flow", f"as {plant.flow.conditions} needs a peripheral {kind}")
        roles[4] = take(_flow(plant.flow, rows[FLOW_ROW]))
        needs.append(_bits(kinds))
    first = len(values)
    for one in group:
        found_mg_m3 = our_units.to_mg_m3(rows[one.id].values, one, settings)
        if what == LOAD:  # at the state of the flow
            found_mg_m3 = found_mg_m3 * our_units.mass_state_factor(one, settings)
        take((found_mg_m3, _marks(rows[one.id])))
        needs.append(_bits([kind for kind in one.needs if kind != "O2" or reference is not None]))
    oxygen = plant.peripheral("O2")
    is_wet = oxygen is not None and oxygen.basis == "wet"
    if is_wet and plant.peripheral("H2O") is None:
        raise RuleError("peripheral O2", 'lies in wet gas and needs a peripheral H2O, or basis = "dry"')
    has_load = what == LOAD
    plan = chain.ChainPlan(
        lines=np.tile(np.array((1.0, 0.0, 0.0, 1.0)), (len(values), 1)),
        needs=np.array(needs, np.uint8),
        roles=tuple(roles),
        o2_reference_pct=top,
        fixed=_HARMLESS,
        load_of=tuple(range(first, len(values))) if has_load else (),
        o2_air=settings.o2_air,
        o2_clamp=np.inf if settings.o2_clamp is None else settings.o2_clamp,
        o2_invalid_above=np.inf if settings.o2_invalid_above is None else settings.o2_invalid_above,
        is_o2_wet=is_wet,
        is_low_spared=settings.o2_no_conversion_below_ref and what != PLAIN,
        is_zeroed=settings.mass_zero_when_negative,
        flow_zero_k=settings.zero_celsius_k,
    )
    state = rows[group[0].id if group else FLOW_ROW].state
    stopped = np.ascontiguousarray(state == STOPPED).view(np.uint8).reshape(-1)
    found = chain.run(plan, np.array(values), np.array(marks), stopped, slots, ())[1]
    if not group:
        return [(FLOW_ROW, FLOW_NAME, found.n[roles[4]], found.sums[:, roles[4]])]
    made: list[_Made] = []
    for to, one in enumerate(group):
        n, sums = found.n[first + to], found.sums[:, first + to]
        if has_load:
            n, sums = found.load_n[to], np.zeros_like(sums)
            sums[0] = found.load[to]
        made.append((one.id, name_of(one.id, what), n, sums))
    return made


def _bits(kinds: Sequence[str]) -> int:
    return sum(1 << KINDS.index(kind) for kind in kinds)


def _marks(row: Row) -> Marks:
    """0 where a slot counts by itself; the chain knows of stopped ones."""
    return np.asarray(~(decoding.is_valid(row.status) | (row.status == RANGE_END)), np.uint8)


def _peripheral(plant: Plant, kind: str, rows: dict[str, Row]) -> tuple[Values, Marks]:
    """In vol-%, degC or kPa; with the permit's substitute where there is no value."""
    one, row = plant.peripheral(kind), rows[name_of_peripheral(kind)]
    assert one is not None
    values, marks = our_units.peripheral(row.values, one.channel_unit), _marks(row)
    if one.substitute is None:
        return values, marks
    return np.where(marks == 0, values, one.substitute), np.zeros_like(marks)


def _flow(one: Flow, row: Row) -> tuple[Values, Marks]:
    """In m3/h as the channel's conditions are."""
    return our_units.to_m3_h(row.values, one), _marks(row)


def _join(minutes: Minutes, made: Sequence[_Made]) -> Minutes:
    names = [one.name for one in minutes.quantities]
    origin = [names.index(own) for own, _, _, _ in made]

    def more(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.concatenate([rows, rows[origin]])

    def all_of(rows: Values, index: int) -> Values:
        return np.concatenate([rows, np.array([entry[3][index] for entry in made])])

    quantities = tuple(
        replace(minutes.quantities[own], name=entry[1]) for own, entry in zip(origin, made, strict=True)
    )  # fmt: skip
    return replace(
        minutes,
        quantities=(*minutes.quantities, *quantities),
        expected=more(minutes.expected),
        n=np.concatenate([minutes.n, np.array([entry[2] for entry in made], np.int64)]),
        range_end=more(minutes.range_end),
        invalid={status: more(counts) for status, counts in minutes.invalid.items()},
        total=all_of(minutes.total, 0),
        m2=all_of(minutes.m2, 1),
        low=all_of(minutes.low, 2),
        high=all_of(minutes.high, 3),
    )
