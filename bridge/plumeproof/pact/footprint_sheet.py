"""Footprints on paper and for machines: what the host serves, what it rests on, and what this profile is.

`plumeproof report footprint` writes it; the footprints in it are byte for byte those that the host hands out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import rfc8785

from plumeproof.documents.declared import text_of
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Block, Facts, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.site import Site
from plumeproof.pact.footprint import SPEC_VERSION, SUMMED, TOLD, Issued

FORMAT = "plumeproof.footprint/1"
STATUS = "community"
ACT = f"PACT Technical Specifications {SPEC_VERSION} (WBCSD), data model of ProductFootprint"
CHECKED = "2026-11-25"  # held against the published OpenAPI description
STANDING = f"{STATUS}: {ACT}; last checked {CHECKED}. No certification by WBCSD is claimed."
ENOUGH = Decimal("0.0005")  # below it three decimals would hide the figure


def footprint_document(issued: Sequence[Issued], site: Site) -> dict[str, Any]:
    """For machines. `basis`: by footprint id, what each number of the measured part rests on."""
    footprints = [dict(one.content) for one in issued]
    return {
        "format": FORMAT,
        "profile": {"status": STATUS, "act": ACT, "checked": CHECKED},
        "site": site.works.id,
        "footprints": footprints,
        "basis": {
            one.id: {
                "figures": [{"id": part.revision.id, "tCO2e": part.tonnes} for part in one.parts],
                "sumTCO2e": one.total_t,
                "production": text_of(one.offered.said.production),
                "allocatedPercent": text_of(one.offered.said.allocated_pct),
                "measuredKgCO2ePerDeclaredUnit": one.measured_kg,
                "otherFossilKgCO2ePerDeclaredUnit": text_of(one.offered.said.other_fossil),
                "roundedToDecimals": one.offered.product.decimals,
                "notValid": sorted(one.weak),
            }
            for one in issued
        },
        "sha256": hash_of(issued),
    }


def hash_of(issued: Sequence[Issued]) -> str:
    """SHA-256 of the footprints' canonical form (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps([dict(one.content) for one in issued])).hexdigest()


def footprint_sheet(issued: Sequence[Issued], site: Site) -> Sheet:
    """For people."""
    blocks: list[Block] = []
    for one in issued:
        blocks += _blocks(one)
    title = "Product carbon footprint" if len(issued) == 1 else "Product carbon footprints"
    foot = f"SHA-256 of the footprints (RFC 8785): {hash_of(issued)}"
    return Sheet(title, f"{site.party.legal_name}, {site.works.name}", tuple(blocks), STANDING, foot)


def _blocks(one: Issued) -> list[Block]:
    content, product, said = one.content, one.offered.product, one.offered.said
    pcf = content["pcf"]
    unit = f"{pcf['declaredUnitAmount']} {product.declared_unit}"
    period = f"{pcf['referencePeriodStart']} to {pcf['referencePeriodEnd']} (end excluded)"
    numbers = SUMMED | TOLD
    rows = [
        ("Measured at the stack, fossil", one.measured_kg, "figures below"),
        ("Other fossil sources", text_of(said.other_fossil), "site file"),
        *((_plain(key), pcf[name], "site file") for key, name in numbers.items() if name in pcf),
        ("Footprint without biogenic uptake", pcf["pcfExcludingBiogenicUptake"], "sum"),
        ("Footprint with biogenic uptake", pcf["pcfIncludingBiogenicUptake"], "sum"),
    ]
    found: list[Block] = [
        Heading(f"{product.name}: {said.first} to {said.end} (excluded)"),
        _verdict(one),
        Facts(
            (
                ("Footprint id", one.id),
                ("Created", content["created"]),
                ("Replaces", ", ".join(content.get("precedingPfIds", [])) or "none"),
                ("Company", f"{content['companyName']} ({', '.join(content['companyIds'])})"),
                ("Product ids", ", ".join(content["productIds"])),
                ("Classification", ", ".join([*content.get("productClassifications", []), *_cn(one)]) or "none stated"),
                ("Declared unit", f"{unit} ({pcf['productMassPerDeclaredUnit']} kg)"),
                ("Reference period", period),
                ("Geography", said.geography),
                ("Boundary", said.boundary or "not stated"),
                ("Allocation", f"{text_of(said.allocated_pct)} %: {said.allocation_rules or 'rules not stated'}"),
                ("Production of the period", f"{text_of(said.production)} {product.declared_unit}"),
                ("Standards", ", ".join(pcf["crossSectoralStandards"])),
                ("IPCC factors", ", ".join(pcf["ipccCharacterizationFactors"])),
                ("Primary data share", f"{pcf['primaryDataShare']} %"),
                ("Exempted", f"{pcf['exemptedEmissionsPercent']} % {said.exempted_reason}".strip()),
                ("Data quality (1 best, 5 worst)", _ratings(one)),
                ("Secondary data", ", ".join(f"{base.name} {base.version}" for base in said.databases) or "none"),
                ("Verified by", said.verified.provider if said.verified is not None else "nobody yet"),
            )
        ),
        Table((f"kg per {unit}", "Value", "From"), tuple(rows), frozenset({1}), widths=(3.0, 2.0, 2.0)),
        Table(
            ("Figure (opens with `plumeproof trace`)", "t CO2e", "Flags"),
            tuple(
                (part.revision.id, part.tonnes, ", ".join(part.revision.figure.flags) or "none") for part in one.parts
            ),
            frozenset({1}),
            widths=(4.0, 2.0, 2.0),
        ),
        Text(
            f"Sum {one.total_t} t CO2e x 1000 x {text_of(said.allocated_pct)} % / {text_of(said.production)} x"
            f" {pcf['declaredUnitAmount']} = {one.measured_kg} kg CO2e, rounded half to even to {product.decimals}"
            " decimals. A number that is not stated is not known and is in no sum."
        ),
    ]
    return found


def _verdict(one: Issued) -> Verdict:
    pcf, product = one.content["pcf"], one.offered.product
    unit = f"{pcf['declaredUnitAmount']} {product.declared_unit}"
    told = (
        f"{_short(pcf['pcfExcludingBiogenicUptake'])} kg CO2e per {unit} without biogenic uptake,"
        f" {_short(pcf['pcfIncludingBiogenicUptake'])} with it"
    )
    if one.weak:
        return Verdict(
            f"{told}. {len(one.weak)} of {len(one.parts)} figures do not count by their rule set: not handed out", BAD
        )
    if not one.is_active:
        return Verdict(f"{told}. Deprecated: a figure was revised, a newer footprint replaces this one", OPEN)
    return Verdict(f"{told}. Active", GOOD)


def _short(number: str) -> str:
    """Three decimals for the eye, where they show it; the table has all."""
    value = Decimal(number)
    if value and abs(value) < ENOUGH:
        return number
    return f"{value:.3f}" if len(number.partition(".")[2]) > 3 else number


def _plain(key: str) -> str:
    words = key.replace("_", " ").replace("co2", "CO2")
    return words[0].upper() + words[1:]


def _cn(one: Issued) -> list[str]:
    return [f"CN {one.offered.product.cn}"] if one.offered.product.cn else []


def _ratings(one: Issued) -> str:
    ratings = one.offered.said.ratings
    if ratings is None:
        return "not rated"
    return f"technological {ratings.technological}, geographical {ratings.geographical}, temporal {ratings.temporal}"
