"""Tiers of a measurement-based approach: how uncertain the annual average may be ((EU) 2018/2066 Annex VIII) [S14].

The uncertainty is the expanded one (95 %) in per cent of the annual average hourly emission, from rules/uncertainty.py.
Not above the tier's number means that the tier is met. The minimum for category A is DK 0.9; what a permit asks for
(usually the highest tier that is feasible) is told to `judge_tier` as `required`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.table_file import TableHead, load_table, read_confidence, read_rows


@dataclass(frozen=True, slots=True)
class StreamTiers:
    """`max_pct[t - 1]` belongs to tier t; each is smaller than the one before."""

    id: str
    max_pct: tuple[float, ...]
    minimum_category_a: int
    confidence: float


@dataclass(frozen=True, slots=True)
class TierJudgement:
    """`reached`: the highest tier whose number is kept, 0 for none. `required_pct`: what the required one allows."""

    stream: str
    uncertainty_pct: float
    reached: int
    required: int
    required_pct: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class TierTable:
    """CO2, N2O and CO2_transfer."""

    head: TableHead
    streams: Mapping[str, StreamTiers]


def judge_tier(stream: str, uncertainty_pct: float, required: int | None = None) -> TierJudgement:
    """`required`: None for the minimum of category A. Raises RuleError."""
    table = load_tiers()
    if stream not in table.streams:
        raise RuleError("stream", f"{str(stream)[:40]!r} is none of {', '.join(table.streams)}")
    if not uncertainty_pct >= 0.0:
        raise RuleError("uncertainty_pct", f"{uncertainty_pct} is not 0 or more; state the components of uncertainty")
    found = table.streams[stream]
    tier = found.minimum_category_a if required is None else required
    if not 1 <= tier <= len(found.max_pct):
        raise RuleError("required", f"{stream} has tiers 1..{len(found.max_pct)}, not {tier}")
    reached = sum(uncertainty_pct <= limit for limit in found.max_pct)
    return TierJudgement(stream, uncertainty_pct, reached, tier, found.max_pct[tier - 1], reached >= tier)


@cache
def load_tiers() -> TierTable:
    """The table of this release."""
    head, streams = load_table("mrr_tiers", lambda reader: read_rows(reader, "streams", _read_stream))
    return TierTable(head, MappingProxyType({stream.id: stream for stream in streams}))


def _read_stream(reader: Reader) -> StreamTiers:
    stream_id = reader.identifier("id")
    texts = reader.take("tiers")
    if not isinstance(texts, list) or not 1 <= len(texts) <= 9:
        raise ParametersError("type", f"{reader.where}: tiers is no array of 1..9 decimals")
    numbered = Reader({str(tier): text for tier, text in enumerate(texts, 1)}, f"{reader.where}: tiers")
    limits = tuple(numbered.decimal(str(tier)) for tier in range(1, len(texts) + 1))
    if any(later >= earlier for earlier, later in zip(limits, limits[1:], strict=False)) or limits[-1] <= 0.0:
        raise ParametersError("range", f"{reader.where}: tiers do not fall towards the highest")
    return StreamTiers(stream_id, limits, reader.integer("minimum_category_a", 1, len(limits)), read_confidence(reader))
