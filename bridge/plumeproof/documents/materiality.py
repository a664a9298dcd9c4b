"""Materiality view: how much of a period's tonnes rests on what a verifier would not take as it is.

Four kinds of weakness: substituted hours, missing calibrations, expired cylinders, factors that nobody confirmed
(weaknesses.py). Each is told in hours and tonnes, of each source and of all; an hour with two of them counts once in
what they make together, and that is held against the threshold. Tonnes are sums of exact decimals; a share is judged
exactly and written with six decimals of a per cent, half to even.

    found = account([WeighedHour("S1", start_utc_ms, Decimal("1.5"), frozenset({SUBSTITUTED}))], Decimal("5"))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from plumeproof.documents.declared import Declared, add, text_of
from plumeproof.documents.standing import OWN_FORM, Standing
from plumeproof.documents.weaknesses import CALIBRATION, CYLINDER, FACTOR

FORMAT = "plumeproof.materiality/1"
STANDING = Standing(
    OWN_FORM,
    "(EU) 2018/2066 for substitutes, EN 14181 for calibrations, (EU) 2025/2546 by a public summary for the threshold",
    "2026-11-25",
    "A view for work and verification, prescribed by nobody.",
)
SUBSTITUTED = "substituted"
KINDS = (SUBSTITUTED, CALIBRATION, CYLINDER, FACTOR)
CALCULATED = "calculated"  # stands for the plant of an activity
WORDS = {
    SUBSTITUTED: "Substituted hours",
    CALIBRATION: "Missing calibrations",
    CYLINDER: "Expired cylinders",
    FACTOR: "Unverified factors",
}
DEFAULT_PCT = Decimal(5)  # a public summary of (EU) 2025/2546 reports it; reference: reporting section 2.1
SHARE_STEP = Decimal("0.000001")  # of a per cent
_EXACT = Context(prec=1200)
_EQUAL = Decimal("1e-9")  # of the total: float64 sums of a year differ in the sixteenth digit


@dataclass(frozen=True, slots=True)
class WeighedHour:
    """One hour of a source with a mass; `kinds`: what it rests on. A calculated activity stands as one with `hours` 0:
    its tonnes belong to no hour."""

    source: str
    start_utc_ms: int
    tonnes: Decimal
    kinds: frozenset[str]
    hours: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """Hours that have something in common."""

    hours: int
    tonnes: Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """`of_kind`: each by itself; `together`: every hour with any of them once."""

    whole: Part
    of_kind: dict[str, Part]
    together: Part
    threshold_pct: Decimal

    def share_pct(self, part: Part) -> Decimal | None:
        """Per cent of the tonnes; None where there are none to be a share of."""
        if self.whole.tonnes <= 0:
            return None
        share = _EXACT.divide(_EXACT.multiply(part.tonnes, Decimal(100)), self.whole.tonnes)
        return share.quantize(SHARE_STEP, ROUND_HALF_EVEN, _EXACT)

    @property
    def exceeds(self) -> bool:
        """What lies together is above the threshold; judged without division."""
        return _EXACT.multiply(self.together.tonnes, Decimal(100)) > _EXACT.multiply(
            self.threshold_pct, self.whole.tonnes
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why hours are weak; `first`, `last`: start of the first and last of them."""

    kind: str
    text: str
    hours: int
    tonnes: Decimal
    first_utc_ms: int
    last_utc_ms: int


@dataclass(frozen=True, slots=True)
class SourceView:
    """A declared source, or a calculated activity (its `measurand` is the gas, its `rule_set` the factor).
    `measured_hours` of operation; `missing_hours` have neither value nor
    substitute and are in no total; `not_judged`: what
    nothing is stated of; `rule_standing`: version and status of the rule set; `declared`: the figures whose tonnes
    the hours must add up to."""

    id: str
    plant: str
    measurand: str
    rule_set: str
    rule_standing: str
    account: Account
    reasons: tuple[Reason, ...]
    declared: tuple[Declared, ...]
    measured_hours: int
    missing_hours: int
    not_judged: tuple[str, ...]

    @property
    def is_measured(self) -> bool:
        """Otherwise it is a calculated activity."""
        return self.plant != CALCULATED

    @property
    def declared_t(self) -> Decimal:
        """Sum of the declared figures."""
        return add([one.value for one in self.declared if one.value is not None])

    @property
    def agrees(self) -> bool:
        """Hours and declared figures are the same tonnes, but for the last digits of float64. An activity has none."""
        return not self.is_measured or abs(self.declared_t - self.account.whole.tonnes) <= abs(self.declared_t) * _EQUAL


@dataclass(frozen=True, slots=True)
class Materiality:
    """The view of a site and period. `threshold_from`: where the threshold stands."""

    start_utc_ms: int
    end_utc_ms: int
    sources: tuple[SourceView, ...]
    account: Account
    threshold_from: str

    @property
    def is_fine(self) -> bool:
        """Within the threshold, and the hours are the declared tonnes."""
        return not self.account.exceeds and all(one.agrees for one in self.sources) and self.account.whole.tonnes > 0

    @property
    def open_points(self) -> tuple[str, ...]:
        """What keeps the view from being whole."""
        found = [f"{one.id}: {text}" for one in self.sources for text in one.not_judged]
        found += [
            f"{one.id}: {one.missing_hours} hours have neither value nor substitute and are in no total"
            for one in self.sources
            if one.missing_hours
        ]
        return tuple(found)


def account(hours: Iterable[WeighedHour], threshold_pct: Decimal) -> Account:
    """Of any hours; each place (source, hour) stands once."""
    all_hours = list(hours)
    of_kind = {kind: _part([one for one in all_hours if kind in one.kinds]) for kind in KINDS}
    return Account(_part(all_hours), of_kind, _part([one for one in all_hours if one.kinds]), threshold_pct)


def materiality_document(site: str, view: Materiality, utc_text: Any) -> dict[str, Any]:
    """For machines. `utc_text`: UTC ms to RFC 3339."""
    return {
        "format": FORMAT,
        "profile": STANDING.content,
        "site": site,
        "period": {"start": utc_text(view.start_utc_ms), "end": utc_text(view.end_utc_ms)},
        "threshold_pct": text_of(view.account.threshold_pct),
        "threshold_from": view.threshold_from,
        "within_threshold": not view.account.exceeds,
        **_told(view.account),
        "sources": [
            {
                "id": one.id,
                "plant": one.plant,
                "measurand": one.measurand,
                "rule_set": one.rule_set,
                "rule_set_standing": one.rule_standing,
                **_told(one.account),
                "missing_hours": one.missing_hours,
                "declared": {
                    "tonnes": text_of(one.declared_t),
                    "agrees": one.agrees,
                    "figures": [
                        {
                            "id": own.id,
                            "tonnes": None if own.value is None else text_of(own.value),
                            "is_closed": own.is_closed,
                        }
                        for own in one.declared
                    ],
                },
                "reasons": [
                    {
                        "kind": reason.kind,
                        "reason": reason.text,
                        "hours": reason.hours,
                        "tonnes": text_of(reason.tonnes),
                        "first": utc_text(reason.first_utc_ms),
                        "last": utc_text(reason.last_utc_ms),
                    }
                    for reason in one.reasons
                ],
                "not_judged": list(one.not_judged),
            }
            for one in view.sources
        ],
        "not_judged": list(view.open_points),
    }


def _part(hours: Sequence[WeighedHour]) -> Part:
    return Part(sum(one.hours for one in hours), add([one.tonnes for one in hours]))


def _told(one: Account) -> dict[str, Any]:
    def told(part: Part) -> dict[str, Any]:
        share = one.share_pct(part)
        return {
            "hours": part.hours,
            "tonnes": text_of(part.tonnes),
            "share_pct": None if share is None else text_of(share),
        }

    return {
        "tonnes": text_of(one.whole.tonnes),
        "unit": "t CO2e",
        "hours": one.whole.hours,
        "weaknesses": {kind: told(one.of_kind[kind]) for kind in KINDS},
        "together": told(one.together),
    }
