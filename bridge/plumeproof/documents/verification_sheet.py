"""The verification part of a data set as people read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plumeproof.documents.sheet import BAD, GOOD, OPEN, Block, Facts, Heading, Table, Verdict


def verification_blocks(verification: dict[str, Any]) -> Iterator[Block]:
    """What is planned, and what the verifier has written into it."""
    body, materiality, scope = (verification[key] for key in ("verificationBody", "materiality", "scope"))
    accreditation, analysis = body["accreditation"], verification["strategicAnalysis"]
    basis = verification["standardEditionBasis"]
    plan = verification["verificationPlan"]
    yield Heading("Verification")
    yield Facts(
        (
            (
                "Engagement",
                f"{words_of(verification['engagementType'])}, level of assurance {verification['levelOfAssurance']}",
            ),
            ("Standard", verification["standardEdition"] + (f" (basis: {basis})" if basis else "")),
            ("Objectives", verification["objectives"]),
            ("Criteria", ", ".join(verification["criteria"])),
            ("Scope", f"{scope['boundary']}; gases {', '.join(scope['gases']) or 'none'}"),
            (
                "Materiality",
                f"{materiality['quantitativeThresholdPct']} %, "
                f"of single items {materiality['performanceMaterialityPct']} %",
            ),
            (
                "Body",
                f"{body['name']}; {accreditation['body']} {accreditation['number']}, valid until "
                f"{accreditation['validUntil']}, {accreditation['basis']}",
            ),
            ("Team", "; ".join(f"{one['name']}, {words_of(one['role'])}" for one in verification["team"])),
            ("Impartiality", verification["impartialityDeclaration"]),
            ("Sector and operations", f"{analysis['sectorInfo']}; {analysis['operations']}"),
            ("Information systems", analysis["informationSystems"]),
            ("Plan", f"{plan['dates']['first']} to {plan['dates']['last']}; approvals: {len(plan['approvals'])}"),
        )
    )
    if verification["riskAssessment"]:
        yield Table(
            ("Risk", "Inherent / control / detection", "Assertion", "Response"),
            tuple(
                (
                    one["area"],
                    f"{one['inherent']} / {one['control']} / {one['detection']}",
                    one["assertion"],
                    one["response"],
                )
                for one in verification["riskAssessment"]
            ),
        )
    if verification["evidenceGatheringPlan"]:
        yield Table(
            ("Evidence is gathered by", "Assertion", "Population", "Sample", "Planned"),
            tuple(
                (
                    words_of(one["technique"]),
                    one["assertion"],
                    one["population"],
                    f"{one['sampleSize']}, {one['samplingMethod']}",
                    one["plannedDate"] + (", on site" if one["siteVisit"] else ""),
                )
                for one in verification["evidenceGatheringPlan"]
            ),
        )
    if verification["siteVisits"]:
        rows = tuple((one["date"], one["kind"], one["reasonIfWaived"] or "") for one in verification["siteVisits"])
        yield Table(("Site visit", "Kind", "Why not physical"), rows)
    yield from _outcome(verification)


def words_of(name: str) -> str:
    """`operationalControl` as people write it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _outcome(verification: dict[str, Any]) -> Iterator[Block]:
    if verification["findings"]:
        yield Table(
            ("Finding", "Severity", "Concerns", "tCO2e", "State"),
            tuple(
                (
                    f"{one['id'].rsplit(':', 1)[-1]}: {one['type']}",
                    one["severity"],
                    one["affectedPath"],
                    f"{one['sign'] or ''}{one['quantityTCO2e'] or ''}",
                    "open" if one["closedAt"] is None else f"closed {one['closedAt']}: {one['closure'] or ''}",
                )
                for one in verification["findings"]
            ),
            frozenset({3}),
            tuple(_mood(one) for one in verification["findings"]),
        )
    whole, opinion = verification["aggregateMisstatement"], verification["opinion"]
    if whole is not None:
        told = "within" if whole["withinMateriality"] else "above"
        text = f"Misstatements {whole['absTCO2e']} tCO2e, {whole['pctOfTotal']} % of the total: {told} materiality"
        yield Verdict(text, GOOD if whole["withinMateriality"] else BAD)
    if opinion is not None:
        ref, review = opinion["statementRef"], verification["independentReview"]
        yield Facts(
            (
                ("Opinion", f"{opinion['type']}, {opinion['place']}, {opinion['date']}"),
                ("Text", opinion["text"]),
                ("Qualifications", "; ".join(opinion["qualifications"]) or "none"),
                ("Signed by", ", ".join(opinion["signatories"])),
                ("Of the statement", f"{ref['id']}, version {ref['version']}, SHA-256 {ref['sha256']}"),
                ("Independent review", f"{review['reviewer']}, {review['date']}: {review['outcome']}"),
            )
        )
    rows = tuple(
        (one["discoveredAt"], one["description"], one["actionTaken"]) for one in verification["postOpinionFacts"]
    )
    if rows:
        yield Table(("Known since", "Fact after the opinion", "What was done"), rows)


def _mood(finding: dict[str, Any]) -> str:
    if finding["closedAt"] is not None:
        return GOOD
    return BAD if finding["severity"] == "material" else OPEN
