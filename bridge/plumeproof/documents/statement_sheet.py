"""A data set as people read it: what is declared, how sure it is, what it rests on, and what the checks say.

Made from the document alone, so that a copy which the verifier has filled in is shown the same way. Numbers are rounded
to TONNES_DECIMALS here; the data set has them whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from plumeproof.documents.finding import Finding
from plumeproof.documents.schema import digest_of
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Bar, Block, Facts, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.site_time import instant_of
from plumeproof.documents.standing import Standing
from plumeproof.documents.verification_sheet import verification_blocks, words_of
from plumeproof.rules.annual import PROVISIONAL

TONNES_DECIMALS = 3
FINDINGS_SHOWN = 50
_STEP = Decimal(1).scaleb(-TONNES_DECIMALS)


def statement_sheet(document: dict[str, Any], findings: Sequence[Finding]) -> Sheet:
    """The document holds its schema; `findings` are those of the other checks."""
    statement = document["ghgStatement"]
    profile = document["profile"]
    facility, period = statement["facilities"][0], statement["reportingPeriod"]
    blocks: list[Block] = [*_verdicts(statement, document["verification"], findings)]
    blocks += [*_parties(statement), *_results(statement), *_boundaries(statement)]
    blocks += [*_quantification(statement), *_trail(statement)]
    blocks += verification_blocks(document["verification"])
    return Sheet(
        "GHG statement",
        f"{facility['name']}, {_span(period)} by the clock of UTC{period['start'][19:]}",
        tuple(blocks),
        Standing(profile["status"], profile["basis"], profile["checked"]).text,
        f"SHA-256 of the statement {digest_of(statement)}",
    )


def shown(quantity: dict[str, Any] | None, with_unit: bool = False) -> str:
    """With its uncertainty where there is one."""
    if quantity is None:
        return "not known"
    text = _round(quantity["value"])
    if quantity["uncertainty"] is not None:
        text += f" \u00b1 {_round(quantity['uncertainty']['expanded'])}"
    return f"{text} {quantity['unit']}" if with_unit else text


def _round(text: str) -> str:
    return f"{Decimal(text).quantize(_STEP, ROUND_HALF_UP):,f}"


def _span(period: dict[str, str]) -> str:
    """Whole days of one clock as days, both included; anything else as it stands."""
    start, end = instant_of(period["start"]), instant_of(period["end"])
    if start.time() == end.time() == time() and start.utcoffset() == end.utcoffset():
        return f"{start.date()} to {(end - timedelta(days=1)).date()}"
    return f"{period['start']} to {period['end']}"


def _verdicts(statement: dict[str, Any], verification: dict[str, Any], findings: Sequence[Finding]) -> Iterator[Block]:
    total = shown(statement["results"]["total"])
    yield Verdict(f"Total {total} tCO2e, without biogenic CO2", GOOD if not findings else BAD)
    whole = statement["completeness"]
    if statement["status"] == "draft":
        yield Verdict("Draft: no figure here is final", OPEN)
    if whole["openInputIds"]:
        inputs = sum(len(own["dataInputs"]) for own in statement["quantification"])
        told = f"{len(whole['openInputIds'])} of {inputs} inputs can change with later records"
        yield Verdict(f"The period still runs: {told}", OPEN)
    flags = [
        one["figure"]["flags"] for own in statement["quantification"] for one in own["dataInputs"] if one["figure"]
    ]
    if count := sum(PROVISIONAL in one for one in flags):
        told = f"the whole year's mean and deviation will replace substitutes in {count} of {len(flags)} figures"
        yield Verdict(f"Provisional by the rule set: {told}", OPEN)
    for gap in whole["gaps"]:
        yield Verdict(
            f"Nothing is known of {_last(gap['sourceId'])} from {_span(gap['period'])}; it is in no sum", OPEN
        )
    for own in whole["sources"]:
        if own["hoursWithoutRecord"]:
            told = f"of {own['hoursWithoutRecord']} of {own['hours']} hours of source {_last(own['sourceId'])}"
            yield Verdict(f"There is no record {told}: they are in no sum", OPEN)
    if whole["hoursWithoutFigure"]:
        told = (
            f"Of days with records {whole['hoursWithoutFigure']} hours have neither a measured nor a substituted value"
        )
        yield Verdict(f"{told}; they are in no sum", OPEN)
    if not statement["evidence"]:
        yield Verdict("No evidence is named: [[evidence]] of site.toml", OPEN)
    if verification["opinion"] is None:
        yield Verdict("Not verified yet: there is no opinion", OPEN)
    if findings:
        yield Verdict(f"Findings of the checks, each to be mended: {len(findings)}", BAD)
        yield Table(
            ("Place", "Finding"), tuple((one.path, one.told) for one in findings[:FINDINGS_SHOWN]), widths=(2, 3)
        )
    else:
        yield Verdict("Schema, sums, trail, hash and rules of the opinion hold", GOOD)


def _parties(statement: dict[str, Any]) -> Iterator[Block]:
    party = statement["responsibleParty"]
    basis = statement["standardEditionBasis"]
    yield Facts(
        (
            ("Responsible party", party["legalName"]),
            ("Identifiers", ", ".join(f"{one['scheme']}:{one['value']}" for one in party["ids"])),
            ("Address", party["address"]),
            ("Contact", party["contact"]),
            ("Prepared by", statement["preparedBy"]),
            ("Responsible person", statement["responsiblePerson"]),
            ("Standard", statement["standardEdition"] + (f" (basis: {basis})" if basis else "")),
            ("Statement", f"{statement['id']}, version {statement['version']}, {statement['status']}"),
            ("Supersedes", statement["supersedes"] or "none"),
            ("Intended users", ", ".join(statement["intendedUsers"])),
            ("Purpose", statement["purpose"]),
            ("Dissemination", statement["dissemination"]),
        )
    )


def _results(statement: dict[str, Any]) -> Iterator[Block]:
    results = statement["results"]
    yield Heading("Results, tCO2e")
    rows = [("Total", shown(results["total"]))]
    rows += [(f"Gas {name}", shown(one)) for name, one in results["byGas"].items()]
    rows += [(f"Category {name}", shown(one)) for name, one in results["byCategory"].items()]
    rows += [(f"Facility {_name_of(statement, name)}", shown(one)) for name, one in results["byFacility"].items()]
    rows += [("Removals", shown(results["removals"]))]
    yield Table(("What", "tCO2e"), tuple(rows), frozenset({1}), widths=(3, 2))
    yield Facts((("Biogenic CO2, apart and in no sum above", shown(results["biogenicCO2"], True)),))
    yield Text(
        f"Rounded to {TONNES_DECIMALS} decimals; the data set has every digit. \u00b1 is the expanded uncertainty, "
        f"coverage factor {statement['uncertainty']['coverageFactor']}: {statement['uncertainty']['method']}. "
        f"{statement['uncertainty']['qualitativeStatement']}"
    )
    yield Heading("Gases, direct emissions")
    yield Table(
        ("Gas", "Mass, t", "tCO2e", "Status"),
        tuple(
            (
                one["gas"],
                shown(one["mass"]) if one["mass"] else "",
                shown(one["co2e"]) if one["co2e"] else "",
                words_of(one["status"]) + (f": {one['reason']}" if one["reason"] else ""),
            )
            for one in statement["gases"]
        ),
        frozenset({1, 2}),
        widths=(1, 2.4, 3.4, 5),
    )


def _boundaries(statement: dict[str, Any]) -> Iterator[Block]:
    organization, reporting, year = (
        statement[key] for key in ("organizationalBoundary", "reportingBoundary", "baseYear")
    )
    period, gwp = year["period"], statement["gwp"]
    yield Heading("Boundaries and basis")
    yield Facts(
        (
            ("Organizational boundary", f"{words_of(organization['approach'])}, {organization['sharePercent']} %"),
            ("Entities", ", ".join(organization["entities"])),
            ("Categories", ", ".join(map(str, reporting["categories"]))),
            ("Significance", reporting["significanceCriteria"]),
            ("Base year", period if isinstance(period, str) else f"{period['first']} to {period['last']}"),
            ("Recalculation", year["recalculationPolicy"]),
            (
                "Global warming potentials",
                f"{gwp['source']}, {gwp['horizonYears']} years, {gwp['publication']}; looked up {gwp['verified']}, "
                f"{gwp['verifiedHow']}",
            ),
            ("Why not the latest", statement["justificationIfNotLatest"] or "they are the latest"),
            ("Permits", statement["facilities"][0]["permitNo"]),
            ("Data management", statement["dataManagement"]["systemDescription"]),
            ("Controls", ", ".join(statement["dataManagement"]["controls"])),
            ("Conformity", statement["conformityStatement"]),
        )
    )
    rows = tuple((one["item"], one["reason"], shown(one["estimate"])) for one in reporting["exclusions"])
    if rows:
        yield Table(("Excluded", "Why", "Estimate, tCO2e"), rows, frozenset({2}))


def _quantification(statement: dict[str, Any]) -> Iterator[Block]:
    sources = {one["id"]: one for one in statement["sourcesSinks"]}
    yield Heading("Sources and what their emission is added from")
    for own in statement["quantification"]:
        source = sources[own["sourceId"]]
        share = source["biogenicShare"]
        yield Facts(
            (
                (f"Source {_last(own['sourceId'])}", source["processDescription"]),
                ("Category, gases", f"{source['category']}, {', '.join(source['gases'])}"),
                ("Fuel or material", source["fuelOrMaterial"]),
                ("Biogenic share of CO2", "none stated" if share is None else share),
                ("Rule set", next((one["figure"]["ruleSet"] for one in own["dataInputs"] if one["figure"]), "none")),
                ("Approach", f"{own['approach']}: {own['reasonForSelection']}"),
                ("Change of method", own["changeFromPrevious"]),
            )
        )
        yield Table(
            ("Period", "Figure for `plumeproof trace`", "tCO2e", "Biogenic CO2, t", "Hours"),
            tuple(_input(one) for one in own["dataInputs"]),
            frozenset({2, 3}),
            widths=(2.3, 3.4, 2.3, 1.9, 2.2),
        )
        hours = [one["figure"]["hours"] for one in own["dataInputs"] if one["figure"] is not None]
        running, replaced = sum(one["inOperation"] for one in hours), sum(one["substituted"] for one in hours)
        if running:
            share_told = f"{replaced} of {running}"
            yield Bar("Hours in operation that rest on substitutes", replaced / running, None, share_told)
    if statement["emissionFactors"]:
        yield Table(
            ("Factor", "Value", "Unit", "Source", "Valid"),
            tuple(
                (
                    _last(one["id"]),
                    one["value"],
                    one["unit"],
                    f"{one['source']}, {one['publication']}, {one['region']}",
                    f"{one['validFrom']} to {one['validTo']}",
                )
                for one in statement["emissionFactors"]
            ),
            frozenset({1}),
            widths=(1.6, 1.2, 1.6, 4, 1.9),
        )


def _input(one: dict[str, Any]) -> tuple[str, str, str, str, str]:
    figure, activity = one["figure"], one["activity"]
    if figure is None:
        amount = activity["amount"]
        what = f"{amount['value']} {amount['unit']} by factor {_last(activity['factorId'])}"
        return (_span(one["period"]), what, shown(one["co2e"]), _round(one["biogenicCO2"]["value"]), "")
    hours = figure["hours"]
    told = f"{hours['measured']} measured, {hours['substituted']} substituted"
    told += f", {hours['withoutFigure']} without" if hours["withoutFigure"] else ""
    told += "" if one["isClosed"] else "; still runs"
    biogenic = _round(one["biogenicCO2"]["value"])
    return (_span(one["period"]), ", ".join(figure["ids"]), shown(one["co2e"]), biogenic, told)


def _trail(statement: dict[str, Any]) -> Iterator[Block]:
    yield Heading("Trail and evidence")
    if statement["evidence"]:
        yield Table(
            ("Evidence", "Kind", "File", "SHA-256", "Custodian"),
            tuple(
                (
                    _last(one["id"]) + (f": {one['title']}" if one["title"] else ""),
                    one["kind"],
                    f"{one['uri']}, {one['bytes']:,} bytes",
                    one["sha256"],
                    one["custodian"],
                )
                for one in statement["evidence"]
            ),
            widths=(2, 1.4, 2.2, 4.2, 1.8),
        )
    yield Table(
        ("Number", "Function, engine", "Hash of its inputs", "Evidence"),
        tuple(
            (
                row["resultPath"],
                f"{row['derivation']['functionId'].rsplit(':', 1)[-1]}, {row['derivation']['version']}",
                row["derivation"]["inputsHash"],
                ", ".join(_last(name) for name in row["evidenceIds"]) or "none",
            )
            for row in statement["dataTrail"]
        ),
        widths=(2.8, 1.9, 4.1, 2),
    )


def _name_of(statement: dict[str, Any], identifier: str) -> str:
    return next((str(one["name"]) for one in statement["facilities"] if one["id"] == identifier), identifier)


def _last(identifier: str) -> str:
    return identifier.rsplit(":", 1)[-1]
