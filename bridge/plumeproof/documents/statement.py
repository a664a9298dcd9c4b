"""The GHG statement: every element of reference: reporting section 1, from site.toml, plants and declared figures.

Own form: ISO 14064-1 says what a statement contains and defines no file. Decimals are strings and sums exact; the same
input gives the same bytes, for no clock of today is read. bridge/STATEMENT.md says how to read and check it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from plumeproof.documents.declared import add, text_of
from plumeproof.documents.schema import digest_of, pointer_of
from plumeproof.documents.site_time import days_of
from plumeproof.documents.statement_evidence import Resolved
from plumeproof.documents.statement_inputs import COVERAGE_FACTOR, StatementInput, combined
from plumeproof.documents.statement_parts import (
    TONNES,
    TONNES_CO2E,
    StatementParts,
    gas_group,
    period_of,
    quantity_of,
)  # fmt: skip
from plumeproof.documents.statement_plan import GASES, StatementPlan
from plumeproof.documents.statement_sources import facility_of, factor_of, quantification_of, sources_of
from plumeproof.rules.figure import ENGINE_VERSION

SUM = "plumeproof.documents.statement:sum_of_inputs"


def build_statement(parts: StatementParts) -> dict[str, Any]:
    """`ghgStatement`."""
    site, plan, disclosure = parts.site, parts.plan, parts.plan.disclosure
    basis = f" ({plan.edition_basis})" if plan.edition_basis else ""
    first, last = days_of(*parts.period_utc_ms, parts.offset_min)
    trail: list[dict[str, Any]] = []
    entries = {one.name: _input(parts, one) for one in parts.found.inputs}
    results = _results(parts, entries, trail)
    return {
        "id": parts.urn("statement", first.isoformat(), last.isoformat()),
        "version": plan.version,
        "status": plan.status,
        "supersedes": plan.supersedes or None,
        "standardEdition": plan.standard_edition,
        "standardEditionBasis": plan.edition_basis or None,
        "statementType": plan.type,
        "responsibleParty": {
            "legalName": site.party.legal_name,
            "ids": [_scheme(one) for one in site.party.identifiers],
            "address": f"{site.party.address}, {site.party.country}",
            "contact": f"{site.party.contact}, {site.party.email}",
        },
        "preparedBy": site.party.prepared_by,
        "responsiblePerson": site.party.responsible_person,
        "intendedUsers": list(plan.intended_users),
        "purpose": plan.purpose,
        "dissemination": plan.dissemination,
        "reportingPeriod": period_of(parts, parts.period_utc_ms),
        "baseYear": _base_year(plan),
        "organizationalBoundary": {
            "approach": plan.approach,
            "entities": list(plan.entities),
            "sharePercent": text_of(plan.share_pct),
        },
        "reportingBoundary": {
            "categories": sorted({one.category for one in parts.found.inputs}),
            "significanceCriteria": plan.significance_criteria,
            "exclusions": [
                {
                    "item": one.item,
                    "reason": one.reason,
                    "estimate": None if one.estimate_t is None else quantity_of(one.estimate_t, TONNES_CO2E),
                }
                for one in plan.exclusions
            ],
        },
        "facilities": [facility_of(parts)],
        "sourcesSinks": sources_of(parts),
        "gases": _gases(parts, trail, entries),
        "gwp": {
            "source": parts.values.source,
            "horizonYears": parts.values.horizon_years,
            "values": {gas: text_of(value) for gas, value in parts.values.values.items()},
            "publication": parts.values.publication,
            "tableVersion": parts.values.version,
            "isLatest": parts.values.is_latest,
            "verified": parts.values.verified.isoformat(),
            "verifiedHow": parts.values.verified_how,
        },
        "justificationIfNotLatest": plan.gwp_justification or None,
        "quantification": quantification_of(parts, entries),
        "emissionFactors": [factor_of(parts, one) for one in plan.factors],
        "results": results,
        "uncertainty": _uncertainty(parts),
        "dataManagement": {
            "systemDescription": plan.system_description,
            "controls": list(plan.controls),
            "qaqcProcedures": list(plan.qaqc_procedures),
            "retentionYears": plan.retention_years,
        },
        "completeness": _completeness(parts),
        "conformityStatement": f"Prepared in line with {plan.standard_edition}{basis}.",
        "verificationDisclosure": {
            "verified": disclosure is not None,
            "type": None if disclosure is None else disclosure.type,
            "levelOfAssurance": None if disclosure is None else disclosure.level_of_assurance,
            "opinionRef": None if disclosure is None else disclosure.opinion_ref,
        },
        "dataTrail": trail,
        "evidence": [_evidence(parts, one) for one in parts.evidence],
    }


def _results(
    parts: StatementParts, entries: Mapping[str, dict[str, Any]], trail: list[dict[str, Any]]
) -> dict[str, Any]:
    """Exact sums, each with a row of the trail."""
    inputs = parts.found.inputs
    facility = parts.urn("facility")

    def added(names: tuple[str, ...], own: Sequence[StatementInput]) -> dict[str, Any]:
        path = pointer_of(("results", *names))
        trail.append(_trail(parts, path, own, entries))
        return quantity_of(add([one.co2e_t for one in own]), TONNES_CO2E, combined(own))

    def split(kind: str, name_of: Callable[[StatementInput], str]) -> dict[str, Any]:
        names = sorted({name_of(one) for one in inputs})
        return {name: added((kind, name), [one for one in inputs if name_of(one) == name]) for name in names}

    found: dict[str, Any] = {
        "byGas": split("byGas", lambda one: gas_group(one.gas)),
        "byCategory": split("byCategory", lambda one: str(one.category)),
        "byFacility": split("byFacility", lambda one: facility),
        "total": added(("total",), inputs),
    }
    carbon = [one for one in inputs if one.gas == "CO2"]
    trail.append(_trail(parts, "/results/biogenicCO2", carbon, entries))
    trail.append(_trail(parts, "/results/removals", (), entries))
    return found | {
        "biogenicCO2": quantity_of(add([one.biogenic_t for one in carbon]), TONNES),
        "removals": quantity_of(Decimal(0), TONNES_CO2E),
        "unit": TONNES_CO2E,
    }


def _trail(
    parts: StatementParts, path: str, own: Sequence[StatementInput], entries: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    names = {one.source for one in own}
    named = {name for one in own if one.activity is not None for name in one.activity.evidence}
    used = [entries[one.name] for one in own]
    return {
        "resultPath": path,
        "evidenceIds": [
            parts.urn("evidence", one.plan.id)
            for one in parts.evidence
            if one.plan.id in named or (names and (not one.plan.sources or names & set(one.plan.sources)))
        ],
        "derivation": {
            "functionId": SUM,
            "version": ENGINE_VERSION,
            "inputsHash": digest_of(used),
            "inputIds": [one["id"] for one in used],
            "figureIds": [name for one in own for name in one.figures],
        },
    }


def _input(parts: StatementParts, one: StatementInput) -> dict[str, Any]:
    figure = one.figure
    return {
        "id": parts.urn("input", *one.name.split(":")),
        "gas": one.gas,
        "period": period_of(parts, (one.start_utc_ms, one.end_utc_ms)),
        "mass": None if one.mass_t is None else quantity_of(one.mass_t, TONNES),
        "potential": None if one.potential is None else text_of(one.potential),
        "co2e": quantity_of(one.co2e_t, TONNES_CO2E, one.uncertainty_t),
        "biogenicCO2": quantity_of(one.biogenic_t, TONNES),
        "isClosed": one.is_closed,
        "activity": None
        if one.activity is None
        else {
            "amount": quantity_of(one.activity.amount, one.activity.unit),
            "factorId": parts.urn("factor", one.activity.factor),
            "evidenceIds": [parts.urn("evidence", name) for name in one.activity.evidence],
        },
        "figure": None
        if figure is None
        else {
            "ids": list(one.figures),
            "ruleSet": one.rule_set,
            "ruleSetSha256": figure.rule_hash.hex(),
            "plant": figure.plant,
            "plantSha256": figure.plant_hash.hex(),
            "engineVersion": figure.engine,
            "flags": list(figure.flags),
            "hours": {
                "inOperation": figure.n_expected,
                "measured": figure.n_valid,
                "substituted": dict(figure.n_invalid).get("substituted", 0),
                "withoutFigure": dict(figure.n_invalid).get("without_figure", 0),
            },
            "records": [
                {
                    "module": own.device,
                    "firstSeq": own.first_seq,
                    "lastSeq": own.last_seq,
                    "headSha256": own.head_hash.hex(),
                    "parametersSha256": own.parameters_hash.hex(),
                }
                for own in figure.inputs
            ],
        },
    }


def _gases(
    parts: StatementParts, trail: list[dict[str, Any]], entries: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each by itself, for direct emissions (category 1)."""
    found: list[dict[str, Any]] = []
    for gas in GASES:
        own = [one for one in parts.found.inputs if gas_group(one.gas) == gas and one.category == 1]
        said = next((one for one in parts.plan.gases if one.gas == gas), None)
        mass = co2e = None
        if own:
            status, reason = "quantified", None
            trail.append(_trail(parts, f"/gases/{len(found)}/co2e", own, entries))
            trail.append(_trail(parts, f"/gases/{len(found)}/mass", own, entries))
            mass = quantity_of(add([one.mass_t for one in own if one.mass_t is not None]), TONNES)
            co2e = quantity_of(add([one.co2e_t for one in own]), TONNES_CO2E, combined(own))
        elif said is not None:
            status, reason = said.status, said.reason
        else:
            status, reason = "notQuantified", "not measured or calculated here, and nothing is stated of it"
        found.append({"gas": gas, "status": status, "reason": reason, "mass": mass, "co2e": co2e})
    return found


def _uncertainty(parts: StatementParts) -> dict[str, Any]:
    inputs, total = parts.found.inputs, combined(parts.found.inputs)
    without = dict.fromkeys(one.source for one in inputs if one.uncertainty_t is None)
    told = f"{parts.plan.uncertainty_statement}"
    if without:
        told += f" Not computed: of source {', '.join(without)} no components are stated."
    return {
        "method": "JCGM 100 (GUM); components of the plant descriptions through the averaging; activities as stated",
        "coverageFactor": str(COVERAGE_FACTOR),
        "perCategory": [
            {"category": category, "expanded": None if found is None else quantity_of(found, TONNES_CO2E)}
            for category in sorted({one.category for one in inputs})
            for found in [combined([one for one in inputs if one.category == category])]
        ],
        "total": None if total is None else quantity_of(total, TONNES_CO2E),
        "qualitativeStatement": told,
    }


def _completeness(parts: StatementParts) -> dict[str, Any]:
    """What a reader must know before the sum: what still runs, what is not there."""
    found = parts.found
    return {
        "isClosed": not found.open_inputs and not found.gaps,
        "openInputIds": [parts.urn("input", *one.name.split(":")) for one in found.open_inputs],
        "gaps": [
            {
                "sourceId": parts.urn("source", one.source),
                "period": period_of(parts, (one.start_utc_ms, one.end_utc_ms)),
            }
            for one in found.gaps
        ],
        "sources": [
            {
                "sourceId": parts.urn("source", one.source),
                "hours": one.hours,
                "hoursWithoutRecord": one.without_record,
            }
            for one in found.coverage
        ],
        "hoursWithoutFigure": sum(
            dict(one.figure.n_invalid).get("without_figure", 0) for one in found.inputs if one.figure is not None
        ),
    }


def _base_year(plan: StatementPlan) -> dict[str, Any]:
    own = plan.base_year
    return {
        "period": {"first": own.first, "last": own.last} if own.first else "first year",
        "inventoryRef": own.inventory_ref or None,
        "recalculationPolicy": own.recalculation_policy,
        "recalculations": [{"on": one.on.isoformat(), "reason": one.reason} for one in own.recalculations],
    }


def _evidence(parts: StatementParts, one: Resolved) -> dict[str, Any]:
    span = one.bundle_utc_ms
    return {
        "id": parts.urn("evidence", one.plan.id),
        "kind": one.plan.kind,
        "uri": quote(one.plan.file.replace("\\", "/")),
        "mediaType": one.plan.media_type,
        "sha256": one.sha256,
        "bytes": one.size,
        "createdAt": one.plan.created,
        "custodian": one.plan.custodian,
        "title": one.plan.title or None,
        "signature": one.plan.signature or None,
        "bundlePeriod": None if span is None else period_of(parts, span),
    }


def _scheme(identifier: str) -> dict[str, str]:
    scheme, value = identifier.split(":", 1)
    return {"scheme": scheme, "value": value}
