"""From what is offered and measured to ProductFootprints of PACT 3.0.4: immutable, the same input the same bytes.

kg CO2e per declared unit = t CO2e * 1000 * allocated share / production * declared amount, computed exactly and rounded
once, half to even, to the product's decimals. What is measured goes into `fossilGhgEmissions` (the figures hold the
fossil share only); the two sums are sums of what is written, so that a reader's addition gives the same digits.

An id is UUIDv5 of the content but its status (RFC 9562 section 5.5): other content, other id. Each revision of a figure
makes a new footprint; the one before is Deprecated and named in `precedingPfIds`.

    for one in issue(offer, offered, measured, party): one.content["id"]
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import rfc8785

from plumeproof.documents.declared import add, text_of
from plumeproof.documents.site import Party
from plumeproof.pact.measured import Measured, Revision, states_of, weak_of
from plumeproof.pact.offer import GLOBAL, REGIONS, Offer, Offered, Said

SPEC_VERSION = "3.0.4"  # info.version of the OpenAPI description that the tests hold answers against
ACTIVE, DEPRECATED = "Active", "Deprecated"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:plumeproof:pact:footprint")
KG_PER_T = 1000
SUMMED = {  # key of pact.footprint.amounts to attribute; addends of pcfExcludingBiogenicUptake beside fossil
    "land_use_change": "landUseChangeGhgEmissions",
    "land_management_biogenic": "landManagementBiogenicCO2Emissions",
    "land_management_removals": "landManagementBiogenicCO2Removals",
    "technological_removals": "technologicalCO2Removals",
    "capture": "ccsTechnologicalCO2Capture",
    "biogenic_non_co2": "biogenicNonCO2Emissions",
}
TOLD = {  # as SUMMED, part of no sum
    "land_management_fossil": "landManagementFossilGhgEmissions",
    "biogenic_uptake": "biogenicCO2Uptake",  # the difference of the two sums
    "land_area_occupation": "landAreaOccupation",
    "aircraft": "aircraftGhgEmissions",
    "packaging": "packagingGhgEmissions",
    "packaging_biogenic_carbon": "packagingBiogenicCarbonContent",
    "outbound_logistics": "outboundLogisticsGhgEmissions",
    "biogenic_carbon": "biogenicCarbonContent",
    "recycled_carbon": "recycledCarbonContent",
    "ccu_carbon": "ccuCarbonContent",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """A figure in a footprint."""

    revision: Revision
    tonnes: str


@dataclass(frozen=True, slots=True)
class Issued:
    """One footprint. `content`: the ProductFootprint; `weak`: figures that their rule set does not let count."""

    offered: Offered
    content: Mapping[str, Any]
    parts: tuple[Part, ...]
    total_t: str
    measured_kg: str
    weak: Mapping[str, tuple[str, ...]]

    @property
    def id(self) -> str:
        """UUID."""
        return str(self.content["id"])

    @property
    def is_active(self) -> bool:
        """Whether none has replaced it."""
        return bool(self.content["status"] == ACTIVE)


def issue(offer: Offer, offered: Offered, measured: Measured, party: Party) -> Sequence[Issued]:
    """All versions, oldest first; the last one is Active."""
    states = states_of(measured, _ms(offered.said.issued))
    found: list[Issued] = []
    preceding = list(offered.said.preceding)
    for number, (since_utc_ms, revisions) in enumerate(states, 1):
        one = _version(offer, offered, measured, party, since_utc_ms, revisions)
        head: dict[str, Any] = {"specVersion": SPEC_VERSION} | (
            {"precedingPfIds": list(preceding)} if preceding else {}
        )
        own = head | dict(one.content)
        identity = str(uuid.uuid5(NAMESPACE, rfc8785.dumps(own).decode()))
        own["status"] = ACTIVE if number == len(states) else DEPRECATED  # the one thing that changes
        found.append(replace(one, content={"id": identity} | own))
        preceding.append(identity)
    return found


def _version(
    offer: Offer, offered: Offered, measured: Measured, party: Party, since_utc_ms: int, revisions: Sequence[Revision]
) -> Issued:
    said, product = offered.said, offered.product
    total = add([one.tonnes for one in revisions])
    share = Fraction(said.allocated_pct) / 100
    exact = Fraction(total) * KG_PER_T * share / Fraction(said.production) * Fraction(product.declared_amount)
    measured_kg = _rounded(exact, product.decimals)
    fossil = _rounded(exact + Fraction(said.other_fossil), product.decimals)
    known = said.amounts.known()
    without_uptake = add([fossil, *(known[key] for key in SUMMED if key in known)])
    with_uptake = add([without_uptake, known.get("biogenic_uptake", Decimal(0))])
    weak = weak_of(revisions)
    content: dict[str, Any] = {
        "created": text_of_instant(since_utc_ms),
        "companyName": party.legal_name,
        "companyIds": list(offer.company_ids),
        "productDescription": product.description,
        "productIds": list(product.ids),
        "productNameCompany": product.name,
        "comment": _comment(offered, revisions, total, measured_kg, weak),
        "pcf": {
            "declaredUnitOfMeasurement": product.declared_unit,
            "declaredUnitAmount": text_of(product.declared_amount),
            "productMassPerDeclaredUnit": text_of(product.mass_kg),
            "referencePeriodStart": text_of_instant(measured.period[0]),
            "referencePeriodEnd": text_of_instant(measured.period[1]),
            **_geography(said.geography),
            "pcfExcludingBiogenicUptake": text_of(without_uptake),
            "pcfIncludingBiogenicUptake": text_of(with_uptake),
            "fossilCarbonContent": text_of(said.fossil_carbon),
            "fossilGhgEmissions": text_of(fossil),
            **{name: text_of(known[key]) for key, name in (SUMMED | TOLD).items() if key in known},
            "packagingEmissionsIncluded": said.packaging_included,
            "ccsTechnologicalCO2CaptureIncluded": said.capture_included,
            "ipccCharacterizationFactors": sorted({*measured.factors, *said.other_ipcc_factors}),
            "crossSectoralStandards": list(dict.fromkeys(said.cross_sectoral_standards)),
            "exemptedEmissionsPercent": text_of(said.exempted_pct),
            "primaryDataShare": text_of(said.primary_data_share_pct),
            **_stated(said),
        },
    }
    codes = [
        *([f"urn:pact:productclassification:un-cpc:{product.cpc}"] if product.cpc else []),
        *product.classifications,
    ]
    if codes:
        content["productClassifications"] = list(dict.fromkeys(codes))
    if said.valid_from is not None and said.valid_to is not None:
        content["validityPeriodStart"] = text_of_instant(_ms(said.valid_from))
        content["validityPeriodEnd"] = text_of_instant(_ms(said.valid_to))
    parts = tuple(Part(one, text_of(one.tonnes)) for one in revisions)
    return Issued(offered, content, parts, text_of(total), text_of(measured_kg), weak)


def _stated(said: Said) -> dict[str, Any]:
    """What the site file adds in words, as far as it does."""
    found: dict[str, Any] = {
        "boundaryProcessesDescription": said.boundary,
        "allocationRulesDescription": said.allocation_rules,
        "exemptedEmissionsDescription": said.exempted_reason,
        "technologicalCO2CaptureOrigin": said.capture_origin,
        "secondaryEmissionFactorSources": [{"name": one.name, "version": one.version} for one in said.databases],
        "productOrSectorSpecificRules": [
            {"operator": one.operator, "ruleNames": list(dict.fromkeys(one.names))}
            | ({"otherOperatorName": one.other_operator} if one.other_operator else {})
            for one in said.rules
        ],
    }
    if said.ratings is not None:
        found["dqi"] = {
            "technologicalDQR": text_of(said.ratings.technological),
            "geographicalDQR": text_of(said.ratings.geographical),
            "temporalDQR": text_of(said.ratings.temporal),
        }
    if said.verified is not None:
        found["verification"] = {
            "coverage": said.verified.coverage,
            "providerName": said.verified.provider,
            "completedAt": text_of_instant(_ms(said.verified.completed)),
            "standardName": said.verified.standard,
        } | ({"comments": said.verified.comments} if said.verified.comments else {})
    return {name: value for name, value in found.items() if value}


def _geography(text: str) -> dict[str, str]:
    """At most one of the three; a global footprint has none."""
    if text == GLOBAL:
        return {}
    if text in REGIONS:
        return {"geographyRegionOrSubregion": text}
    return {"geographyCountrySubdivision" if "-" in text else "geographyCountry": text}


def _comment(
    offered: Offered,
    revisions: Sequence[Revision],
    total: Decimal,
    measured_kg: Decimal,
    weak: Mapping[str, tuple[str, ...]],
) -> str:
    """How the measured part came about, with the ids that `plumeproof trace` opens. No line ends: ids stay readable
    inside JSON."""
    said, product = offered.said, offered.product
    figures = ", ".join(f"{one.id} = {text_of(one.tonnes)} t CO2e" for one in revisions)
    unit = f"{text_of(product.declared_amount)} {product.declared_unit}"
    sentences = [
        said.comment,
        f"Measured by CEMS, fossil share: {figures}; sum {text_of(total)} t CO2e.",
        f"Allocated {text_of(said.allocated_pct)} % to a production of {text_of(said.production)}"
        f" {product.declared_unit}: {text_of(measured_kg)} kg CO2e per {unit}, rounded half to even to"
        f" {product.decimals} decimals; from other fossil sources {text_of(said.other_fossil)} kg CO2e per {unit}.",
        f"CN code {product.cn}." if product.cn else "",
        *(
            f"The rule set does not let {name} count as valid ({', '.join(flags) or 'no flag'})."
            for name, flags in weak.items()
        ),
        *(
            f"{one.id} is flagged: {', '.join(one.figure.flags)}."
            for one in revisions
            if one.figure.flags and one.id not in weak
        ),
        "Each id can be opened down to signed register bytes with `plumeproof trace`.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _rounded(number: Fraction, decimals: int) -> Decimal:
    """Half to even; by its digits, because arithmetic of Decimal would round a second time, to 28 of them."""
    return Decimal(f"{round(number * 10**decimals)}E-{decimals}")


def _ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def text_of_instant(utc_ms: int) -> str:
    """RFC 3339 in UTC; milliseconds only where there are some."""
    instant = _EPOCH + timedelta(milliseconds=utc_ms)
    return instant.isoformat(timespec="milliseconds" if utc_ms % 1000 else "seconds").replace("+00:00", "Z")
