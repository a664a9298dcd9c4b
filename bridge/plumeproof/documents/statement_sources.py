"""Facility, sources and how each was quantified: the elements of a statement that say where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from plumeproof.documents.declared import text_of
from plumeproof.documents.site import EmissionSource
from plumeproof.documents.statement_parts import StatementParts
from plumeproof.documents.statement_plan import Factor

EQUATIONS = (
    "E = sum over the hours in operation of c V, (EU) 2018/2066 Annex VIII equation 1",
    "c of an hour without a valid value: mean + 2 sigma of the period, equation 4 (rule set's setting `substitution`)",
    "tCO2e = (E - biogenic CO2) GWP; biogenic CO2 by the plant's biomass share, outside of the total",
)


def facility_of(parts: StatementParts) -> dict[str, Any]:
    works = parts.site.works
    return {
        "id": parts.urn("facility"),
        "name": works.name,
        "address": f"{works.address}, {works.country}",
        "lat": f"{works.latitude:.6f}",
        "lon": f"{works.longitude:.6f}",
        "permitNo": ", ".join(permit.number for permit in parts.site.permits),
        "registryIds": list(works.registry_ids),
    }


def sources_of(parts: StatementParts) -> list[dict[str, Any]]:
    used = {one.source for one in parts.found.inputs}
    found = [_measured_source(parts, one) for one in parts.site.sources if one.id in used]
    for name in dict.fromkeys(one.source for one in parts.plan.activities):
        own = [one for one in parts.plan.activities if one.source == name]
        gases, process = sorted({one.gas for one in own}), own[0].process
        found.append(_source(parts, name, own[0].category, process, gases, process, None, []))
    return found


def _measured_source(parts: StatementParts, source: EmissionSource) -> dict[str, Any]:
    _, outlet = parts.site.outlet(source.outlet)
    one = next(own for own in parts.plants[outlet.plant].measurands if own.id == source.measurand)
    share = text_of(Decimal(repr(one.biomass_share_pct)) / 100)
    points = [f"{parts.urn('outlet', outlet.id)}/{one.source.device}/{one.source.channel}"]
    gases = [str(one.greenhouse_gas)]
    return _source(parts, source.id, source.category, source.process, gases, source.fuel or "none", share, points)


def _source(
    parts: StatementParts,
    name: str,
    category: int,
    process: str,
    gases: list[str],
    fuel: str,
    share: str | None,
    points: list[str],
) -> dict[str, Any]:
    return {
        "id": parts.urn("source", name),
        "facilityId": parts.urn("facility"),
        "kind": "source",
        "category": category,
        "processDescription": process,
        "gases": gases,
        "fuelOrMaterial": fuel,
        "biogenicShare": share,
        "monitoringPointIds": points,
    }


def quantification_of(parts: StatementParts, entries: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    reasons = {one.id: one.approach_reason for one in parts.site.sources}
    found = []
    for name in dict.fromkeys(one.source for one in parts.found.inputs):
        own = [one for one in parts.found.inputs if one.source == name]
        factors = dict.fromkeys(one.activity.factor for one in own if one.activity is not None)
        found.append(
            {
                "sourceId": parts.urn("source", name),
                "approach": "measurement" if name in reasons else "calculation",
                "reasonForSelection": reasons.get(name, "no measurement: activity data times an emission factor"),
                "changeFromPrevious": parts.plan.method_change,
                "equations": list(EQUATIONS) if name in reasons else ["E = activity data * emission factor (* GWP)"],
                "dataInputs": [entries[one.name] for one in own],
                "factors": [parts.urn("factor", one) for one in factors],
            }
        )
    return found


def factor_of(parts: StatementParts, one: Factor) -> dict[str, Any]:
    return {
        "id": parts.urn("factor", one.id),
        "value": text_of(one.value),
        "unit": one.unit,
        "source": one.source,
        "publication": one.publication,
        "validFrom": one.valid_from.isoformat(),
        "validTo": one.valid_to.isoformat(),
        "region": one.region,
        "gwpIncluded": one.gwp_included,
    }
