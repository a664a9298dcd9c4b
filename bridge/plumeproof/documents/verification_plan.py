"""What site.toml says of the verification, [verification]: engagement, materiality, body, team and plan.

What only the verifier can say (findings, opinion, independent review) stands in no site.toml: it is written into the
data set, and `plumeproof report statement --check` looks at it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from plumeproof.documents.edition import OWN, fault_of
from plumeproof.documents.site import SiteFile, day_text, decimal_text
from plumeproof.documents.statement_plan import instant_text
from plumeproof.section import list_of, number_in, one_of, setting, text_like

ENGAGEMENTS = ("verification", "validation", "agreedUponProcedures", "mixed")
LEVELS = ("reasonable", "limited", "none")
ROLES = ("leader", "verifier", "technicalExpert", "independentReviewer")
ASSERTIONS = ("occurrence", "completeness", "accuracy", "cutOff", "classification")
RISKS = ("low", "medium", "high")
TECHNIQUES = (
    "observation", "inquiry", "confirmation", "recalculation", "examination", "analyticalTest", "tracing", "retracing",
    "controlTest", "sampling", "estimateTest", "crossCheck", "reconciliation",
)  # fmt: skip
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PERCENT = decimal_text("0", "100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The verification body and its accreditation."""

    name: str = setting(text_like())
    accreditation_body: str = setting(text_like())
    accreditation_number: str = setting(text_like())
    scope: str = setting(text_like())
    valid_until: date = setting(day_text)
    basis: str = setting(text_like(), "ISO/IEC 17029 + ISO 14065")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Of the team."""

    name: str = setting(text_like())
    role: str = setting(one_of(*ROLES))
    competence_ref: str = setting(text_like())


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A line of the risk assessment."""

    area: str = setting(text_like())
    inherent: str = setting(one_of(*RISKS))
    control: str = setting(one_of(*RISKS))
    detection: str = setting(one_of(*RISKS))
    assertion: str = setting(one_of(*ASSERTIONS))
    response: str = setting(text_like())


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """A line of the evidence-gathering plan."""

    id: str = setting(text_like(_ID, "id"))
    assertion: str = setting(one_of(*ASSERTIONS))
    source: str = setting(text_like(_ID, "id"))
    technique: str = setting(one_of(*TECHNIQUES))
    population: str = setting(text_like())
    sample_size: int = setting(number_in(int, 0, 10_000_000))
    sampling_method: str = setting(text_like())
    planned: date = setting(day_text)
    site_visit: bool = setting(one_of(True, False), False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """To the works."""

    day: date = setting(day_text)
    kind: str = setting(one_of("physical", "virtual"))
    reason_if_waived: str = setting(text_like(), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Of the plan."""

    by: str = setting(text_like())
    at: str = setting(instant_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPlan:
    """Table [verification]."""

    body: Body
    engagement: str = setting(one_of(*ENGAGEMENTS), "verification")
    standard_edition: str = setting(text_like(), OWN[3])
    edition_basis: str = setting(text_like(), "")
    objectives: str = setting(text_like())
    criteria: tuple[str, ...] = setting(list_of(text_like(), 1))
    level_of_assurance: str = setting(one_of(*LEVELS))
    quantitative_threshold_pct: Decimal = setting(_PERCENT, Decimal(5))
    performance_materiality_pct: Decimal = setting(_PERCENT, Decimal(4))
    qualitative_factors: tuple[str, ...] = setting(list_of(text_like()), ())
    impartiality: str = setting(text_like())
    conflict_mitigations: tuple[str, ...] = setting(list_of(text_like()), ())
    sector: str = setting(text_like())
    operations: str = setting(text_like())
    information_systems: str = setting(text_like())
    changes: str = setting(text_like())
    plan_first: date = setting(day_text)
    plan_last: date = setting(day_text)
    team: tuple[Member, ...] = ()
    risks: tuple[Risk, ...] = ()
    gathering: tuple[Gathering, ...] = ()
    visits: tuple[Visit, ...] = ()
    approvals: tuple[Approval, ...] = ()


def read_verification_plan(site_file: SiteFile, sources: tuple[str, ...]) -> VerificationPlan:
    """Table [verification]; `sources`: ids that its plan may name. Raises ConfigError."""
    own = site_file.section("verification", is_needed=True)
    body = own.inner("body", is_needed=True).build(Body)
    gathering = own.sections("gathering")
    plan = own.build(
        VerificationPlan,
        body=body,
        team=own.each("member", Member, is_needed=True),
        risks=own.each("risk", Risk),
        gathering=tuple(one.build(Gathering) for one in gathering),
        visits=own.each("visit", Visit),
        approvals=own.each("approval", Approval),
    )
    if (fault := fault_of(plan.standard_edition, plan.edition_basis or None, 3)) is not None:
        raise own.refuse("standard_edition", fault)
    if plan.plan_last < plan.plan_first:
        raise own.refuse("plan_last", f"{plan.plan_last} lies before plan_first {plan.plan_first}")
    if plan.performance_materiality_pct > plan.quantitative_threshold_pct:
        told = f"{plan.performance_materiality_pct} is above quantitative_threshold_pct"
        raise own.refuse("performance_materiality_pct", f"{told} {plan.quantitative_threshold_pct}")
    if (plan.level_of_assurance == "none") != (plan.engagement == "agreedUponProcedures"):
        told = f"{plan.level_of_assurance} does not go with engagement {plan.engagement}"
        raise own.refuse("level_of_assurance", f"{told}; agreed-upon procedures give none, all others give some")
    if sum(one.role == "leader" for one in plan.team) != 1:
        raise own.refuse("member", "a team has one leader; write role once so")
    for section, one in zip(gathering, plan.gathering, strict=True):
        if one.source not in sources:
            raise section.refuse("source", f"{one.source} is no source here; there are {', '.join(sources)}")
    return plan
