"""Operator emissions data as one JSON object; names after reference: reporting section 2.3. Numbers are text.

operator_document(data)["see"]
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from plumeproof import __version__
from plumeproof.cbam.attribution import Item, Pair
from plumeproof.cbam.measured import Measured, value_text
from plumeproof.cbam.operator_data import STANDING, OperatorData, acts
from plumeproof.documents.declared import Declared, text_of
from plumeproof.documents.site_time import time_text

FORMAT = "plumeproof.cbam-operator/1"
TONNES = "t CO2e"
REFERENCE_STATE = "273.15 K, 101.325 kPa, dry: concentration and flow alike"


def operator_document(data: OperatorData) -> dict[str, Any]:
    """For machines."""
    head, party, works = data.table.head, data.site.party, data.site.works
    verifier, found = data.table.verifier, data.attribution
    return {
        "format": FORMAT,
        "madeBy": f"PlumeProof {__version__}",
        "profile": {
            **STANDING.content,
            "acts": [
                {"act": one.act, "subject": one.subject, "confidence": one.confidence, "lastChecked": one.checked,
                 "how": one.how} for one in acts() if one.kind == "definitive"
            ],
            "codeRowsNotVerified": data.table.book.unverified(),
            "ownCodeFiles": list(data.table.book.own),
        },
        "operator": {
            "name": party.legal_name,
            "registrationNo": party.identifiers[0],
            "address": party.address,
            "country": party.country,
            "contact": f"{party.contact}, {party.email}",
            "cbamRegistryOperatorId": head.registry_operator_id or None,
        },
        "installation": {
            "name": works.name,
            "id": head.installation_id,
            "cbamRegistryInstallationId": head.registry_installation_id or None,
            "economicActivity": head.economic_activity,
            "address": works.address,
            "country": works.country,
            "unlocode": head.unlocode or None,
            "latitude": f"{works.latitude:.6f}",
            "longitude": f"{works.longitude:.6f}",
            "permits": [permit.number for permit in data.site.permits],
            "monitoringPlanId": head.monitoring_plan,
            "monitoringPlanVersion": head.monitoring_plan_version,
        },
        "reportingPeriod": {
            "start": time_text(data.start_utc_ms, data.offset_min),
            "end": time_text(data.end_utc_ms, data.offset_min),
            "kind": data.kind,
            "justification": data.justification or None,
            "preparedOn": data.periods[-1].prepared_on.isoformat(),
            "isClosed": all(one.is_closed for one in data.measured),
        },
        "verifier": None if verifier is None else {
            "name": verifier.name,
            "accreditationNo": verifier.accreditation_no,
            "accreditationBody": verifier.accreditation_body,
            "reportId": verifier.report_id,
            "opinion": verifier.opinion,
        },
        "productionProcesses": [
            {
                "id": one.process.id,
                "aggregatedGoodsCategory": one.process.category,
                "productionRoutes": list(one.process.routes),
                "systemBoundary": one.process.boundary,
                "jointProcess": one.process.is_joint,
                "activityLevel": text_of(one.level),
                "functionalUnit": one.unit,
                "indirectCounts": data.table.book.categories[one.process.category].counts_indirect,
            }
            for one in found.processes
        ],
        "goods": [
            {
                "cnCode": one.cn,
                "description": one.name,
                "processId": one.process,
                "functionalUnit": one.unit,
                "activityLevel": text_of(one.quantity),
                "attributed": _pair(one.attributed),
            }
            for one in found.goods
        ],
        "directEmissions": [_direct(one, data) for one in found.items if one.kind in ("measured", "calculated")],
        "heatAndWasteGases": [_flow(one) for one in found.items if one.kind in ("heat", "waste_gas")],
        "electricity": [_flow(one) for one in found.items if one.kind.startswith("electricity")],
        "precursors": [_precursor(one) for period in data.periods for one in period.precursors],
        "ownPrecursors": [
            {"cnCode": one.cn, "processId": one.process, "quantity": text_of(one.quantity)}
            for period in data.periods for one in period.own_precursors
        ],
        "attributedEmissions": [
            {"processId": one.process.id, **_pair(one.attributed), "unit": TONNES} for one in found.processes
        ],
        "conservation": {
            part: dict(zip(("emitted", "ofProcesses", "ofGoods"), map(text_of, found.totals(part)), strict=True))
            for part in ("direct", "indirect")
        },
        "see": [
            {
                "cnCode": good.cn,
                **_pair(one.see),
                "directOfPrecursors": text_of(one.see_precursors.direct),
                "indirectOfPrecursors": text_of(one.see_precursors.indirect),
                "unit": f"{TONNES}/{good.unit}",
            }
            for good in found.goods
            for one in found.processes
            if one.process.id == good.process
        ],
        "measurement": [_measured(one, data.offset_min) for one in data.measured],
        "sourcesOutside": list(data.outside),
        "qualifyingParameters": [
            {"parameter": one.name, "value": one.value, "unit": one.unit, "appliesTo": one.cn}
            for period in data.periods for one in period.parameters
        ],
        "carbonPrice": [
            {
                "instrument": one.instrument,
                "legalAct": one.legal_act,
                "amount": text_of(one.amount),
                "currency": one.currency,
                "coveredEmissions": text_of(one.covered_t),
                "rebate": text_of(one.rebate),
                "evidence": one.evidence,
            }
            for period in data.periods for one in period.carbon_prices
        ],
        "deviations": [text for period in data.periods for text in period.deviations],
        "plannedImprovements": [text for period in data.periods for text in period.improvements],
    }  # fmt: skip


def digest_of(document: dict[str, Any]) -> str:
    """SHA-256 of its RFC 8785 bytes."""
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def _pair(pair: Pair) -> dict[str, str]:
    return {"direct": text_of(pair.direct), "indirect": text_of(pair.indirect)}


def _direct(item: Item, data: OperatorData) -> dict[str, Any]:
    measured = next((one for one in data.measured if item.kind == "measured" and one.source.id == item.ref), None)
    gas = measured.measurand.greenhouse_gas if measured is not None else None
    return {
        "processId": item.process,
        "sourceStreamOrSourceId": item.ref,
        "method": item.method,
        "tCO2e": text_of(item.t),
        "gas": gas or item.gas,
        "dataQualityStatement": item.basis,
        "cemsRefs": [] if measured is None else [one.id for one in measured.co2e],
    }


def _flow(item: Item) -> dict[str, Any]:
    is_power = item.kind.startswith("electricity")
    return {
        "processId": item.process,
        "kind": item.kind,
        "source": item.ref,
        "amount": text_of(item.t if item.amount is None else item.amount),
        "unit": "MWh" if is_power else "TJ",
        "emissionFactor": text_of(item.factor) if item.factor is not None else None,
        "factorUnit": f"{TONNES}/{'MWh' if is_power else 'TJ'}",
        "tCO2e": text_of(item.t),
        "basis": item.basis,
    }


def _precursor(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "cnCode": one.cn,
        "originCountry": one.country,
        "installationId": one.installation,
        "quantity": text_of(one.quantity),
        "consumedPerProcess": [{"processId": use.process, "quantity": text_of(use.quantity)} for use in one.uses],
        "seeDirect": text_of(one.see_direct),
        "seeIndirect": text_of(one.see_indirect),
        "basis": one.basis,
        "verificationReportId": one.report or None,
    }


def _measured(one: Measured, offset_min: int) -> dict[str, Any]:
    tier, corroboration = one.tier, one.corroboration
    return {
        "sourceId": one.source.id,
        "outlet": one.source.outlet,
        "plant": one.plant.id,
        "gas": one.measurand.greenhouse_gas,
        "ruleSet": {
            "id": one.rules.id,
            "title": one.rules.title,
            "version": one.rules.version,
            "status": one.rules.status,
        },
        "tCO2e": text_of(one.t_co2e),
        "tGas": text_of(one.t_gas),
        "operatingHours": one.hours_op,
        "annualAverageHourlyEmissionKgH": None if one.mean_kg_h is None else text_of(one.mean_kg_h),
        "meanConcentrationGNm3": None if one.mean_g_m3 is None else text_of(one.mean_g_m3),
        "meanFlowNm3H": None if one.mean_m3_h is None else text_of(one.mean_m3_h),
        "referenceState": REFERENCE_STATE,
        "uncertaintyPct": None if one.uncertainty_pct is None else text_of(one.uncertainty_pct),
        "tier": None
        if tier is None
        else {
            "reached": tier.reached,
            "required": tier.required,
            "isMet": tier.is_met,
            "maxPct": f"{tier.required_pct:g}",
        },
        "biomassSharePct": f"{one.measurand.biomass_share_pct:g}",
        "biomassEvidence": one.biomass_evidence or None,
        "corroboratingCalculation": None
        if corroboration is None
        else {
            "tGas": text_of(corroboration.t_gas),
            "differencePct": None if one.difference_pct is None else text_of(one.difference_pct),
            "tolerancePct": None if corroboration.tolerance_pct is None else text_of(corroboration.tolerance_pct),
            "basis": corroboration.basis,
        },
        "qualityAssurance": [{"what": what, "reference": told} for what, told in one.quality_references()],
        "figures": [_figure(own) for own in (*one.co2e, *one.mass, *one.means)],
        "dataGaps": [
            {
                "from": time_text(gap.start_utc_ms, offset_min),
                "to": time_text(gap.end_utc_ms, offset_min),
                "reason": gap.status,
                "method": one.rules.settings.substitution if gap.kg is not None else "none: in no total",
                "kgGas": None if gap.kg is None else text_of(gap.kg),
            }
            for gap in one.gaps
        ],
    }


def _figure(one: Declared) -> dict[str, Any]:
    figure = one.figure
    return {
        "id": one.id,
        "layer": figure.layer,
        "level": figure.level,
        "value": value_text(one) or None,
        "unit": figure.unit,
        "isClosed": one.is_closed,
        "flags": list(figure.flags),
    }
