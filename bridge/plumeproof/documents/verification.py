"""The verification data of a statement: engagement, materiality, team and plan as site.toml has them.

What the verifier adds stands in the same document: findings, aggregate misstatement, opinion and independent review.
Until then they are empty or null, and nothing is claimed. Elements: reference: reporting section 1; ISO 14064-3 says
what is done and documented, and defines no file.
"""

from __future__ import annotations

from typing import Any

from plumeproof.documents.declared import text_of
from plumeproof.documents.schema import digest_of
from plumeproof.documents.site_time import days_of
from plumeproof.documents.standing import OWN_FORM, Standing
from plumeproof.documents.statement import build_statement
from plumeproof.documents.statement_parts import StatementParts
from plumeproof.documents.verification_plan import VerificationPlan

FORMAT = "plumeproof.ghg-data-set/1"
SCHEMA_NAME = "ghg_data_set"
SCHEMA_ID = "urn:plumeproof:schema:ghg-data-set:1.0.0"
STANDING = Standing(
    OWN_FORM,
    "contents of ISO 14064-1:2018 and ISO 14064-3:2019, which define no file format",
    "2026-11-25",  # when the standards' editions were last looked up
)
PROFILE = {"status": STANDING.status, "basis": STANDING.act, "checked": STANDING.checked}


def build_data_set(parts: StatementParts, plan: VerificationPlan) -> dict[str, Any]:
    """Statement, its hash and the verification."""
    statement = build_statement(parts)
    return {
        "format": FORMAT,
        "schema": SCHEMA_ID,
        "profile": dict(PROFILE),
        "ghgStatement": statement,
        "ghgStatementSha256": digest_of(statement),
        "verification": _verification(parts, plan, statement),
    }


def _verification(parts: StatementParts, plan: VerificationPlan, statement: dict[str, Any]) -> dict[str, Any]:
    first, last = days_of(*parts.period_utc_ms, parts.offset_min)
    return {
        "id": parts.urn("verification", first.isoformat(), last.isoformat()),
        "engagementType": plan.engagement,
        "standardEdition": plan.standard_edition,
        "standardEditionBasis": plan.edition_basis or None,
        "objectives": plan.objectives,
        "criteria": list(plan.criteria),
        "scope": {
            "boundary": f"{parts.plan.approach} of {', '.join(parts.plan.entities)}",
            "sources": [one["id"] for one in statement["sourcesSinks"]],
            "period": statement["reportingPeriod"],
            "gases": [one["gas"] for one in statement["gases"] if one["status"] == "quantified"],
        },
        "levelOfAssurance": plan.level_of_assurance,
        "materiality": {
            "quantitativeThresholdPct": text_of(plan.quantitative_threshold_pct),
            "performanceMaterialityPct": text_of(plan.performance_materiality_pct),
            "qualitativeFactors": list(plan.qualitative_factors),
        },
        "verificationBody": {
            "name": plan.body.name,
            "accreditation": {
                "body": plan.body.accreditation_body,
                "number": plan.body.accreditation_number,
                "scope": plan.body.scope,
                "validUntil": plan.body.valid_until.isoformat(),
                "basis": plan.body.basis,
            },
        },
        "team": [{"name": one.name, "role": one.role, "competenceRef": one.competence_ref} for one in plan.team],
        "impartialityDeclaration": plan.impartiality,
        "conflictMitigations": list(plan.conflict_mitigations),
        "strategicAnalysis": {
            "sectorInfo": plan.sector,
            "operations": plan.operations,
            "informationSystems": plan.information_systems,
            "changesSinceLast": plan.changes,
            "intendedUse": parts.plan.purpose,
        },
        "riskAssessment": [
            {
                "area": one.area,
                "inherent": one.inherent,
                "control": one.control,
                "detection": one.detection,
                "assertion": one.assertion,
                "response": one.response,
            }
            for one in plan.risks
        ],
        "evidenceGatheringPlan": [
            {
                "id": parts.urn("gathering", one.id),
                "assertion": one.assertion,
                "sourceId": parts.urn("source", one.source),
                "technique": one.technique,
                "population": one.population,
                "sampleSize": one.sample_size,
                "samplingMethod": one.sampling_method,
                "plannedDate": one.planned.isoformat(),
                "siteVisit": one.site_visit,
            }
            for one in plan.gathering
        ],
        "verificationPlan": {
            "scope": plan.objectives,
            "dates": {"first": plan.plan_first.isoformat(), "last": plan.plan_last.isoformat()},
            "team": [one.name for one in plan.team],
            "approvals": [{"by": one.by, "at": one.at} for one in plan.approvals],
        },
        "siteVisits": [
            {
                "facilityId": parts.urn("facility"),
                "date": one.day.isoformat(),
                "kind": one.kind,
                "reasonIfWaived": one.reason_if_waived or None,
                "findingsIds": [],
            }
            for one in plan.visits
        ],
        "findings": [],
        "aggregateMisstatement": None,
        "opinion": None,
        "independentReview": None,
        "postOpinionFacts": [],
    }
