"""Rules 1 and 7 on a statement: results are exactly the sums of what they are added from; biogenic CO2 is outside.

The document holds its schema already. All arithmetic is on exact decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any

from plumeproof.documents.declared import add, text_of
from plumeproof.documents.finding import Finding
from plumeproof.documents.schema import pointer_of
from plumeproof.documents.site_time import instant_of
from plumeproof.documents.statement_parts import TONNES, gas_group

SUMS, BIOGENIC, PERIODS = "1 sums", "7 biogenic", "periods"
EXACT = Context(prec=1200)  # of products: two numbers of the schema have 240 digits
Entry = tuple[str, dict[str, Any], dict[str, Any]]  # path, dataInput, its quantification


def findings_of(statement: dict[str, Any]) -> Iterator[Finding]:
    """In the order of the statement."""
    entries: list[Entry] = [
        (f"/ghgStatement/quantification/{at}/dataInputs/{number}", one, own)
        for at, own in enumerate(statement["quantification"])
        for number, one in enumerate(own["dataInputs"])
    ]
    yield from _sums(statement, entries)
    yield from _gases(statement, entries)
    yield from _biogenic(statement, entries)
    yield from _periods(statement, entries)


def _sums(statement: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    results = statement["results"]
    sources = {one["id"]: one for one in statement["sourcesSinks"]}
    total = results["total"]["value"]
    at = "/ghgStatement/results/total/value"
    for key in ("byGas", "byCategory", "byFacility"):
        yield from _differ(at, total, [one["value"] for one in results[key].values()], f"results.{key}")
    yield from _differ(at, total, [one["co2e"]["value"] for _, one, _ in entries], "quantification's dataInputs")
    of: dict[str, dict[str, list[str]]] = {"byGas": {}, "byCategory": {}, "byFacility": {}}
    for path, one, own in entries:
        source = sources.get(own["sourceId"])
        if source is None:
            yield Finding(SUMS, path, f"belongs to {own['sourceId']}, which is none of sourcesSinks")
            continue
        for key, name in (
            ("byGas", gas_group(one["gas"])),
            ("byCategory", str(source["category"])),
            ("byFacility", source["facilityId"]),
        ):
            of[key].setdefault(name, []).append(one["co2e"]["value"])
    for key, names in of.items():
        for name in sorted({*names, *results[key]}):
            path = pointer_of(("ghgStatement", "results", key, name))
            if name not in results[key]:
                yield Finding(SUMS, path, f"is missing; its dataInputs add up to {text_of(_sum(names[name]))}")
            else:
                yield from _differ(f"{path}/value", results[key][name]["value"], names.get(name, []), "its dataInputs")


def _gases(statement: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    """Direct emissions, gas by gas."""
    direct = {one["id"] for one in statement["sourcesSinks"] if one["category"] == 1}
    for at, gas in enumerate(statement["gases"]):
        own = [one for _, one, of in entries if of["sourceId"] in direct and gas_group(one["gas"]) == gas["gas"]]
        path = f"/ghgStatement/gases/{at}"
        if (gas["status"] == "quantified") != bool(own) or (gas["co2e"] is None) == bool(own):
            yield Finding(SUMS, path, f"{gas['gas']} is {gas['status']} with {len(own)} direct dataInputs")
        elif own:
            yield from _differ(
                f"{path}/co2e/value", gas["co2e"]["value"], [one["co2e"]["value"] for one in own], "its dataInputs"
            )
            masses = [one["mass"]["value"] for one in own if one["mass"] is not None]
            mass = "0" if gas["mass"] is None else gas["mass"]["value"]
            yield from _differ(f"{path}/mass/value", mass, masses, "its dataInputs")


def _biogenic(statement: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    """Shown by itself, in t, and in no CO2e."""
    own = statement["results"]["biogenicCO2"]
    at = "/ghgStatement/results/biogenicCO2"
    if own["unit"] != TONNES:
        yield Finding(BIOGENIC, f"{at}/unit", f"is {own['unit']}, not {TONNES}: it stands outside of the tCO2e total")
    apart = [one["biogenicCO2"]["value"] for _, one, _ in entries]
    yield from _differ(f"{at}/value", own["value"], apart, "the dataInputs' biogenicCO2", BIOGENIC)
    for path, one, _ in entries:
        if one["gas"] != "CO2" or one["mass"] is None:
            if Decimal(one["biogenicCO2"]["value"]):
                told = f"is {one['biogenicCO2']['value']} of {one['gas']}, not 0: only CO2 has biogenic CO2"
                yield Finding(BIOGENIC, f"{path}/biogenicCO2/value", told)
    yield from _potentials(statement, entries)


def _potentials(statement: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    """Each input's CO2e is its mass, less what of it is biogenic CO2, times a potential that the statement names."""
    values = statement["gwp"]["values"]
    for path, one, _ in entries:
        if one["mass"] is None:
            continue
        own = [text for gas, text in values.items() if gas == one["gas"] or gas.startswith(f"{one['gas']}_")]
        if one["potential"] is None or Decimal(one["potential"]) not in [Decimal(text) for text in own]:
            told = f"is {one['potential']}, gwp.values has {', '.join(own) or 'none'} for {one['gas']}"
            yield Finding(SUMS, f"{path}/potential", told)
            continue
        mass, co2e, biogenic = (Decimal(one[key]["value"]) for key in ("mass", "co2e", "biogenicCO2"))
        made = EXACT.multiply(add([mass, biogenic.copy_negate()]), Decimal(one["potential"]))
        if co2e != made:
            rule = BIOGENIC if one["gas"] == "CO2" else SUMS
            told = f"is {text_of(co2e)}, mass {text_of(mass)} less biogenic {text_of(biogenic)}"
            yield Finding(rule, f"{path}/co2e/value", f"{told} times {one['potential']} is {text_of(made)}")


def _periods(statement: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    """Inputs lie in the statement's period, and of one source and gas none over another."""
    whole = statement["reportingPeriod"]
    if instant_of(whole["end"]) <= instant_of(whole["start"]):
        yield Finding(PERIODS, "/ghgStatement/reportingPeriod/end", f"{whole['end']} is not behind {whole['start']}")
    of_source: dict[tuple[str, str], list[tuple[datetime, datetime, str]]] = {}
    for path, one, own in entries:
        span = one["period"]
        start, end = instant_of(span["start"]), instant_of(span["end"])
        if start < instant_of(whole["start"]) or instant_of(whole["end"]) < end or end <= start:
            told = f"{span['start']} to {span['end']} is no part of {whole['start']} to {whole['end']}"
            yield Finding(PERIODS, f"{path}/period", told)
        of_source.setdefault((own["sourceId"], one["gas"]), []).append((start, end, path))
    for spans in of_source.values():
        spans.sort()
        for (_, end, other), (start, _, path) in pairwise(spans):
            if start < end:
                told = f"begins at {start.isoformat()}, before {other} has ended at {end.isoformat()}: counted twice"
                yield Finding(PERIODS, f"{path}/period/start", told)


def _differ(path: str, value: str, parts: list[str], of: str, rule: str = SUMS) -> Iterator[Finding]:
    total = _sum(parts)
    if Decimal(value) != total:
        yield Finding(rule, path, f"is {value}, the sum of {of} is {text_of(total)}")


def _sum(parts: list[str]) -> Decimal:
    return add([Decimal(one) for one in parts])
