"""Makes the figures of one plant by one rule set: what they have in common, and plain Python numbers from arrays."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from plumeproof.rules.figure import ENGINE_VERSION, Figure, FigureDocument, InputRange
from plumeproof.rules.plant import Plant
from plumeproof.rules.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class Spread:
    """Of what was averaged; None where there is none."""

    minimum: float | None = None
    maximum: float | None = None
    deviation: float | None = None


NO_SPREAD = Spread()


@dataclass(frozen=True, slots=True)
class Expanded:
    """Uncertainty with k = 2 in the unit of the value: all of it, and the part that all values share."""

    total: float
    common: float


class FigureMaker:
    """`plant` by `rules`."""

    def __init__(self, plant: Plant, rules: RuleSet) -> None:
        self.plant = plant
        self.rules = rules
        self._decimals = {one.id: one.decimals for one in plant.measurands}

    def documents(self) -> tuple[FigureDocument, FigureDocument]:
        """What the figures name by hash."""
        plant, rules = self.plant, self.rules
        return (
            FigureDocument(plant.digest, "plant", plant.id, plant.document),
            FigureDocument(rules.digest, "rule_set", rules.id, rules.document),
        )

    def decimals(self, measurand: str) -> int:
        """For display and comparison; of what is no measurand, one."""
        return self._decimals.get(measurand, 1)

    def make(
        self,
        place: tuple[str, str, str],
        period_utc_ms: tuple[int, int],
        unit: str,
        value: float | None,
        is_valid: bool,
        counts: tuple[int, int, Mapping[str, int]],
        inputs: Sequence[InputRange],
        *,
        flags: Collection[str] = (),
        state: str = "",
        spread: Spread = NO_SPREAD,
        uncertainty: Expanded | None = None,
        substituted_share: float = 0.0,
        reason: str = "",
    ) -> Figure:
        """`place`: measurand, layer, level. `counts`: expected, valid, invalid by cause. A value that float64 cannot
        hold is none."""
        measurand, layer, level = place
        expected, valid, invalid = counts
        number = None if value is None or not math.isfinite(value) else value + 0.0  # a zero has no sign
        return Figure(
            self.plant.id,  # plant
            self.plant.digest,  # plant_hash
            self.rules.id,  # rule_set
            self.rules.version,  # rule_version
            self.rules.digest,  # rule_hash
            ENGINE_VERSION,  # engine
            measurand,  # measurand
            layer,  # layer
            level,  # level
            period_utc_ms[0],  # start_utc_ms
            period_utc_ms[1],  # end_utc_ms
            unit,  # unit
            number,  # value
            is_valid and number is not None,  # is_valid
            tuple(sorted(flags)) if flags else (),  # flags
            state,  # state
            expected,  # n_expected
            valid,  # n_valid
            tuple(sorted((cause, count) for cause, count in invalid.items() if count)) if invalid else (),  # n_invalid
            spread.minimum,  # minimum
            spread.maximum,  # maximum
            spread.deviation,  # deviation
            None if uncertainty is None or number is None else uncertainty.total,  # uncertainty
            None if uncertainty is None or number is None else uncertainty.common,  # uncertainty_common
            substituted_share,  # substituted_share
            self.decimals(measurand),  # decimals
            tuple(inputs),  # inputs
            0,  # revision
            reason,  # reason
        )
