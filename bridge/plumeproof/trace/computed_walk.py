"""One slot of a computed channel: its inputs at that instant, and what the formula makes of them, compared with what
averaging took. The inputs themselves are gone down to by record_walk.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from acqwire import causes

from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.strips import Strip
from plumeproof.figure_files import local_time
from plumeproof.rules.computed import compute
from plumeproof.rules.computed_plan import FORMULAS, Computed, ComputedInput
from plumeproof.rules.engine import Engine
from plumeproof.rules.first_level import Quantity, RangeRule, lay_out
from plumeproof.rules.status import RANGE_END
from plumeproof.rules.step import Step
from plumeproof.trace.record_walk import RecordWalk, SlotAt
from plumeproof.trace.stage import Trace

Found = tuple[ComputedInput, SlotAt | None]


class ComputedWalk:
    """`quantity`: whose source is `made`; `strips` of a minute by module, on which averaging rests."""

    def __init__(self, engine: Engine, quantity: Quantity, made: Computed, records: RecordWalk) -> None:
        self._engine, self._quantity, self._made, self._records = engine, quantity, made, records

    def walk(self, trace: Trace, strips: Mapping[str, Sequence[Strip]], minute: int, at_utc_ms: int | None) -> None:
        """Stage computed of the slot at an instant, or of the first valid one of the minute; then each input's way down
        from its average to its parameter row."""
        made, quantity = self._made, self._quantity
        range_rule = RangeRule.of(self._engine.rule_sets[0].settings)
        row = next(
            own for own in lay_out(self._engine.plant, strips, minute, 1, range_rule) if own.quantity == quantity
        )
        good = np.flatnonzero(decoding.is_valid(row.status[0]))
        place = int(good[0]) if good.size else 0
        if at_utc_ms is not None:
            place = (at_utc_ms - minute) // made.slot_ms
        instant = minute + place * made.slot_ms
        found = [(one, self._slot(one, instant)) for one in made.inputs]
        taken = (float(row.values[0, place]), int(row.status[0, place]))
        self._stage(trace, found, instant, taken)
        for one, slot in found:
            if one.source is not None and slot is not None:
                average = self._records.newest_average(one.source.device, one.source.channel, slot.utc_ms)
                if average is not None:
                    self._records.average(average)
                self._records.down(one.source.device, slot, one.source.channel)

    def _slot(self, one: ComputedInput, instant: int) -> SlotAt | None:
        """What stands at an instant on the input's own grid (first_level.spread)."""
        if one.source is None:
            return None
        begin = instant // one.slot_ms * one.slot_ms
        return self._records.find_slot(one.source.device, one.source.channel, (begin, begin + one.slot_ms), None)

    def _stage(self, trace: Trace, found: Sequence[Found], instant: int, taken: tuple[float, int]) -> None:
        made, formula = self._made, FORMULAS[self._made.formula]
        stage = trace.add("computed", f"Computed channel {made.id}: its slot at {local_time(instant, 0)}")
        inputs = []
        for one, slot in found:
            value, status = (one.fixed or 0.0, int(decoding.VALID)) if one.source is None else _reading(slot)
            inputs.append((np.array([value]), np.array([status], np.uint8)))
            told = intervals.name_of(status) if not _is_good(status) else f"{value!r} {one.unit}"
            stage.facts.append((str(one), told))
        values, statuses = compute(made, inputs)
        value, status, counts = float(values[0]), int(statuses[0]), _is_good(int(statuses[0]))
        why = "" if counts else f": {intervals.name_of(status)}"
        result = value if counts else None
        stage.steps.append(
            Step(f"computed by {made.formula}", "", result, made.unit, formula.source, formula.text + why)
        )
        function = next((own for own in reversed(self._quantity.calibrations) if own.begins <= instant), None)
        if function is not None and counts:
            text, source = f"{function.a!r} + {function.b!r} * {value!r}", f"calibration {function.id}; EN 14181:2014"
            value = function.a + function.b * value
            stage.steps.append(Step("calibrated, as it goes into the mean", text, value, made.unit, source))
        if _is_good(taken[1]):
            same = counts and value == taken[0]
            stage.check(
                same, "averaging took the same slot with the same value, bit for bit", f"averaging took {taken[0]!r}"
            )
            return
        # The range of the plant description, or a channel that no longer fits it
        why = "the end of its range is taken" if taken[1] == RANGE_END else f"{intervals.name_of(taken[1])}: left out"
        stage.facts.append(("in the mean", why))
        if not counts:
            stage.check(True, "averaging left out the same slot, too")


def _is_good(status: int) -> bool:
    return bool(decoding.is_valid(np.array([status], np.uint8))[0])


def _reading(slot: SlotAt | None) -> tuple[float, int]:
    if slot is None:
        return 0.0, intervals.ABSENT
    if slot.strip.values is None or slot.strip.status is None:
        return 0.0, causes.GAP_OVERFLOW
    place = (slot.column, slot.number)
    return float(slot.strip.values[place]), int(slot.strip.status[place])
