"""First level data: the slots of a plant's channels on the minutes of the UTC axis, calibrated, each with its status.

A slot is a first level value (EN 17255-1: 1 s to 1 min). Which slots stand where, and which of two at one place counts,
is evidence/intervals.py; here they get what only the plant knows: the calibration function in force (EN 14181:2014
clause 6.4), the measuring range, and the state of the plant. Every slot is judged by itself and by nothing before it,
so any minute can be made again without its past.

    grid = lay_out(plant, strips_by_device, start_utc_ms, minutes)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.evidence.strips import Strip
from plumeproof.rules.channel_source import MINUTE_MS, Source
from plumeproof.rules.computed import compute
from plumeproof.rules.computed_plan import Computed
from plumeproof.rules.plant import Calibration, Plant
from plumeproof.rules.plant_state import OPERATING, state_of
from plumeproof.rules.settings import Settings
from plumeproof.rules.status import RANGE_END

Values = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What one row measures: a measurand, a peripheral or the flow, with its channel and calibrations.

    `unit` and `slot_ms`: what the parameter set must say of the channel. `range_max`: end of the measuring range in
    that unit, None: only the parameter set's limits hold.
    """

    name: str
    source: Source
    unit: str
    slot_ms: int
    calibrations: tuple[Calibration, ...] = ()
    range_max: float | None = None

    @property
    def slots(self) -> int:
        """Of a minute."""
        return MINUTE_MS // self.slot_ms


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity over whole minutes: `values` float64, `status` uint8 (decoding.py, intervals.py, status.py), `state`
    uint8 (plant_state.py), all (minutes, slots of a minute)."""

    quantity: Quantity
    values: Values
    status: Bytes
    state: Bytes


def name_of_peripheral(kind: str) -> str:
    """Name of a peripheral's row; no measurand's name has a slash."""
    return "/" + kind


FLOW_ROW = name_of_peripheral("flow")


def quantities_of(plant: Plant) -> tuple[Quantity, ...]:
    """The rows that a plant needs: its measurands, its peripherals by kind, its flow."""
    found = [
        Quantity(one.id, one.source, one.unit, one.slot_ms, one.calibrations, one.range_max) for one in plant.measurands
    ]
    found += [
        Quantity(name_of_peripheral(one.kind), one.source, one.channel_unit, one.slot_ms) for one in plant.peripherals
    ]
    if plant.flow is not None:
        flow = plant.flow
        found.append(Quantity(FLOW_ROW, flow.source, flow.unit, flow.slot_ms, flow.calibrations))
    return tuple(found)


def channels_of(plant: Plant) -> tuple[Quantity, ...]:
    """What is read of modules: quantities and signals of states, and in the place of what is computed its inputs."""
    states = [Quantity(f"state {rule.state}", rule.source, "", rule.slot_ms) for rule in plant.states]
    found = [one for one in (*quantities_of(plant), *states) if plant.computed_of(one.source) is None]
    found += [
        Quantity(f"computed {made.id} {one.name}", one.source, one.unit, one.slot_ms)
        for made in plant.computed
        for one in made.inputs
        if one.source is not None
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RangeRule:
    """What a rule set says of values outside the measuring range (averaging-rules section 3.2)."""

    over_range: str = "invalid"  # or use_range_end: then the end is taken, as a substitute (S)
    under_range_pct: float = -2.0  # of the range; below it a value is far below zero

    @classmethod
    def of(cls, settings: Settings) -> RangeRule:
        """That of a rule set."""
        return cls(settings.over_range, settings.under_range_pct)


def lay_out(
    plant: Plant,
    strips: Mapping[str, Sequence[Strip]],
    start_utc_ms: int,
    minutes: int,
    range_rule: RangeRule = RangeRule(),
) -> tuple[Row, ...]:
    """The rows of all quantities over `minutes` minutes from `start_utc_ms`, a whole minute.

    `strips`: of each device, in seq order; those beside the minutes are left out. Where a channel or a device is not
    there, its slots are absent; where it measured in another unit or distance of slots, they are parameters_changed.
    """
    span = _Span(plant, strips, start_utc_ms, minutes)
    states = _states(plant, span)
    return tuple(_row(one, span, states, range_rule) for one in quantities_of(plant))


@dataclass(slots=True)
class _Span:
    """The minutes asked for, and the strips of each device on them."""

    plant: Plant
    strips: Mapping[str, Sequence[Strip]]
    start_utc_ms: int
    minutes: int
    inside: dict[str, list[Strip]] = field(default_factory=dict)
    sets: dict[str, dict[bytes, ParameterSet]] = field(default_factory=dict)  # of those inside, by hash
    whole: dict[tuple[str, int], intervals.Placed] = field(default_factory=dict)  # devices with one parameter set

    def readings(self, source: Source, unit: str | None, slot_ms: int) -> tuple[Values, Bytes]:
        """Values and statuses of one channel; `unit` None: whatever it has."""
        if (made := self.plant.computed_of(source)) is not None:
            return self._computed(made)
        inside = self._inside(source.device)
        shape = (self.minutes, MINUTE_MS // slot_ms)
        sets = self.sets[source.device]
        columns = {digest: intervals.column_of(own, source.channel) for digest, own in sets.items()}
        fits = {
            digest: column is not None
            and sets[digest].slot_ms == slot_ms
            and unit in (None, sets[digest].channels[column].unit)
            for digest, column in columns.items()
        }
        if len(sets) == 1 and all(fits.values()):
            (row,) = columns.values()
            placed = self._whole(source.device, slot_ms, inside)
        else:
            row = 0
            views = [
                intervals.View(strip, columns[digest], fits[digest])
                for strip in inside
                if columns[digest := strip.parameters.parameters_hash] is not None
            ]
            placed = intervals.place(views, 1, slot_ms, self.start_utc_ms, self.minutes * 60)
        return placed.values[row].reshape(shape), placed.status[row].reshape(shape)

    def _computed(self, made: Computed) -> tuple[Values, Bytes]:
        """On the slots of the computed channel; each takes of its inputs what stands at its instant."""
        shape, slots = (self.minutes, MINUTE_MS // made.slot_ms), MINUTE_MS // made.slot_ms
        inputs = []
        for one in made.inputs:
            if one.source is None:
                inputs.append((np.full(shape, one.fixed, np.float64), np.zeros(shape, np.uint8)))
            else:
                values, status = self.readings(one.source, one.unit, one.slot_ms)
                inputs.append((spread(values, slots), spread(status, slots)))
        return compute(made, inputs)

    def _inside(self, device: str) -> list[Strip]:
        if device not in self.inside:
            end_utc_ms = self.start_utc_ms + self.minutes * MINUTE_MS
            own = self.strips.get(device, ())
            inside = [strip for strip in own if strip.touches(self.start_utc_ms, end_utc_ms)]
            self.inside[device] = inside
            self.sets[device] = {strip.parameters.parameters_hash: strip.parameters for strip in inside}
        return self.inside[device]

    def _whole(self, device: str, slot_ms: int, inside: Sequence[Strip]) -> intervals.Placed:
        """All channels of a device at once, which is faster than one by one and gives the same."""
        if (device, slot_ms) not in self.whole:
            views = [intervals.View(strip) for strip in inside]
            count = len(inside[0].parameters.channels)
            placed = intervals.place(views, count, slot_ms, self.start_utc_ms, self.minutes * 60)
            self.whole[device, slot_ms] = placed
        return self.whole[device, slot_ms]


def _states(plant: Plant, span: _Span) -> Bytes:
    """The plant's state at the slots of its finest signal, (minutes, slots)."""
    slots = max((MINUTE_MS // rule.slot_ms for rule in plant.states), default=1)
    state = np.full((span.minutes, slots), OPERATING, np.uint8)
    is_open = np.ones((span.minutes, slots), np.bool_)  # no rule has applied yet
    for rule in plant.states:
        values, status = span.readings(rule.source, None, rule.slot_ms)
        assert rule.above is not None or rule.below is not None  # parse_plant
        is_beyond = values > rule.above if rule.above is not None else values < float(rule.below or 0.0)
        applies = spread(decoding.is_valid(status) & is_beyond, slots) & is_open
        state[applies] = state_of(rule.state)
        is_open &= ~applies
    return state


def spread(rows: npt.NDArray[Any], slots: int) -> npt.NDArray[Any]:
    """Rows of a minute's slots at another number of slots: each takes what stands at its instant."""
    if rows.shape[1] == slots:
        return rows
    return rows[:, np.arange(slots) * rows.shape[1] // slots]


def _row(quantity: Quantity, span: _Span, states: Bytes, range_rule: RangeRule) -> Row:
    values, status = span.readings(quantity.source, quantity.unit, quantity.slot_ms)
    if (end := quantity.range_max) is not None:
        counts = decoding.is_valid(status)
        is_over = counts & (values > end)
        status = status.copy()
        status[counts & (values < range_rule.under_range_pct * end / 100.0)] = decoding.UNDER_RANGE
        if range_rule.over_range == "use_range_end":
            is_over |= status == decoding.OVER_RANGE  # by the limit in the parameter set
            values = np.where(is_over, end, values)
            status[is_over] = RANGE_END
        else:
            status[is_over] = decoding.OVER_RANGE
    if quantity.calibrations:
        values = _calibrated(values, quantity.calibrations, span.start_utc_ms)
    return Row(quantity, values, status, spread(states, quantity.slots))


def _calibrated(values: Values, calibrations: Sequence[Calibration], start_utc_ms: int) -> Values:
    """y = a + b x by the function in force at each slot; before the first one the value as it came."""
    minutes, slots = values.shape
    begins = np.array([one.begins for one in calibrations], np.int64)
    first = int(np.searchsorted(begins, start_utc_ms, "right"))
    if first == int(np.searchsorted(begins, start_utc_ms + minutes * MINUTE_MS - 1, "right")):
        return values if first == 0 else calibrations[first - 1].a + calibrations[first - 1].b * values
    at = start_utc_ms + np.arange(minutes, dtype=np.int64)[:, None] * MINUTE_MS
    at = at + np.arange(slots, dtype=np.int64) * MINUTE_MS // slots
    which = np.searchsorted(begins, at, "right")
    a = np.array([0.0, *(one.a for one in calibrations)])[which]
    b = np.array([1.0, *(one.b for one in calibrations)])[which]
    return np.asarray(np.where(which == 0, values, a + b * values))
