"""Makes the figures of one plant by one rule set: what they have in common, and plain Python numbers from arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plumeproof.rules.figure import ENGINE_VERSION, Figure, FigureDocument, InputRange
from plumeproof.rules.plant import Plant
from plumeproof.rules.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class Span:
    """A record with slots in [first_utc_ms, end_utc_ms), as far as a figure must name it."""

    device: str
    seq: int
    content_hash: bytes
    parameters_hash: bytes
    first_utc_ms: int
    end_utc_ms: int


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
        flags: Iterable[str] = (),
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
            plant=self.plant.id,
            plant_hash=self.plant.digest,
            rule_set=self.rules.id,
            rule_version=self.rules.version,
            rule_hash=self.rules.digest,
            engine=ENGINE_VERSION,
            measurand=measurand,
            layer=layer,
            level=level,
            start_utc_ms=period_utc_ms[0],
            end_utc_ms=period_utc_ms[1],
            unit=unit,
            value=number,
            is_valid=is_valid and number is not None,
            flags=tuple(sorted(flags)),
            state=state,
            n_expected=expected,
            n_valid=valid,
            n_invalid=tuple(sorted((cause, count) for cause, count in invalid.items() if count)),
            minimum=spread.minimum,
            maximum=spread.maximum,
            deviation=spread.deviation,
            uncertainty=None if uncertainty is None or number is None else uncertainty.total,
            uncertainty_common=None if uncertainty is None or number is None else uncertainty.common,
            substituted_share=substituted_share,
            decimals=self._decimals.get(measurand, 1),
            inputs=tuple(inputs),
            revision=0,
            reason=reason,
        )


def input_ranges(spans: Iterable[Span]) -> tuple[InputRange, ...]:
    """Of each device the first and the last record, by device."""
    first: dict[str, int] = {}
    last: dict[str, Span] = {}
    for span in spans:
        first[span.device] = min(span.seq, first.get(span.device, span.seq))
        if span.device not in last or span.seq > last[span.device].seq:
            last[span.device] = span
    return tuple(
        InputRange(device, first[device], last[device].seq, last[device].content_hash, last[device].parameters_hash)
        for device in sorted(first)
    )
