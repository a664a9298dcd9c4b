"""What site.toml says of a GHG statement, [statement] and [[evidence]]: everything that no measurement can tell.

`plumeproof report --sample-site` shows every key. Elements and their names: reference: reporting section 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from plumeproof.documents.edition import OWN, fault_of
from plumeproof.documents.site import SiteFile, day_text, decimal_text
from plumeproof.errors import ConfigError
from plumeproof.section import Section, list_of, number_in, one_of, setting, text_like, typed

GASES = ("CO2", "CH4", "N2O", "NF3", "SF6", "HFCs", "PFCs")  # ISO 14064-1:2018 clause 5.2.2: each by itself
APPROACHES = ("operationalControl", "financialControl", "equityShare")
KINDS = ("rawSeries", "calibration", "invoice", "labReport", "photo", "log", "document")
AMOUNT = decimal_text("0", "1000000000000")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNIT = re.compile(r"[A-Za-z0-9%./_-]{1,24}")
_FACTOR_UNIT = re.compile(r"(tCO2e|t)/[A-Za-z0-9%._-]{1,20}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[A-Za-z0-9.+-]{1,80}")
_TEXTS = list_of(text_like())
_NAMES = list_of(text_like(_NAME, "id"))


def instant_text(value: Any, _folder: Path) -> str:
    """RFC 3339 with its offset, to the second, kept as it is written."""
    text = typed(value, str)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'{text[:40]!r} is no time; write "2026-11-30T14:00:00+08:00"') from error
    if found.tzinfo is None or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", text):
        raise ValueError(f'{text[:40]!r} has no offset or no seconds; write "2026-11-30T14:00:00+08:00"')
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalculation:
    """Of the base year's inventory."""

    on: date = setting(day_text)
    reason: str = setting(text_like())


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseYear:
    """`first`, `last`: days of its period, "" where this is the first year; then there is no inventory to refer to."""

    first: str = setting(text_like(re.compile(r"\d{4}-\d\d-\d\d"), "day"), "")
    last: str = setting(text_like(re.compile(r"\d{4}-\d\d-\d\d"), "day"), "")
    inventory_ref: str = setting(text_like(), "")
    recalculation_policy: str = setting(text_like())
    recalculations: tuple[Recalculation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """What is left out of the reporting boundary. `estimate_t`: tonnes of CO2e, "" where nobody has estimated it."""

    item: str = setting(text_like())
    reason: str = setting(text_like())
    estimate_t: Decimal | None = setting(AMOUNT, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GasWord:
    """What is said of a gas that nothing here measures."""

    gas: str = setting(one_of(*GASES))
    status: str = setting(one_of("notOccurring", "excluded", "notQuantified"))
    reason: str = setting(text_like())


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """An emission factor. `unit`: t of the gas, or tCO2e, per unit of the activity."""

    id: str = setting(text_like(_NAME, "id"))
    value: Decimal = setting(AMOUNT)
    unit: str = setting(text_like(_FACTOR_UNIT, "unit of a factor, such as tCO2e/MWh"))
    source: str = setting(text_like())
    publication: str = setting(text_like())
    valid_from: date = setting(day_text)
    valid_to: date = setting(day_text)
    region: str = setting(text_like())
    gwp_included: str = setting(text_like(), "none")  # set that its CO2e was made with


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """An emission that is calculated: amount times factor, between two days, both included."""

    id: str = setting(text_like(_NAME, "id"))
    source: str = setting(text_like(_NAME, "id"))
    category: int = setting(number_in(int, 1, 6))
    process: str = setting(text_like())
    gas: str = setting(one_of("CO2e", *GASES[:5]))
    amount: Decimal = setting(AMOUNT)
    unit: str = setting(text_like(_UNIT, "unit"))
    factor: str = setting(text_like(_NAME, "id"))
    first: date = setting(day_text)
    last: date = setting(day_text)
    uncertainty_pct: Decimal | None = setting(decimal_text("0", "1000"), None)  # expanded, k = 2
    evidence: tuple[str, ...] = setting(_NAMES, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A statement that was handed out before: two of them may not tell of one time, unless one supersedes the other."""

    id: str = setting(text_like())
    first: date = setting(day_text)
    last: date = setting(day_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Of a verification that this version of the statement may name; the opinion itself refers to a version before."""

    type: str = setting(text_like())
    level_of_assurance: str = setting(one_of("reasonable", "limited"))
    opinion_ref: str = setting(text_like())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A file. `sha256`: as the papers have it, compared with the file's own; `sources`: what it is evidence of, all
    where none is named."""

    id: str = setting(text_like(_NAME, "id"))
    kind: str = setting(one_of(*KINDS))
    file: str = setting(text_like())
    media_type: str = setting(text_like(_TYPE, "media type, such as application/pdf"))
    created: str = setting(instant_text)
    custodian: str = setting(text_like())
    title: str = setting(text_like(), "")
    sha256: str = setting(text_like(_SHA256, "SHA-256 (64 hex digits, small)"), "")
    signature: str = setting(text_like(), "")
    sources: tuple[str, ...] = setting(_NAMES, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPlan:
    """Table [statement]."""

    base_year: BaseYear
    disclosure: Disclosure | None
    version: int = setting(number_in(int, 1, 9999), 1)
    status: str = setting(one_of("draft", "final"), "draft")
    supersedes: str = setting(text_like(), "")
    standard_edition: str = setting(text_like(), OWN[1])
    edition_basis: str = setting(text_like(), "")
    sources: tuple[str, ...] = setting(_NAMES, ())  # of [[source]]; all where none is named
    type: str = setting(one_of("organization", "project", "product"), "organization")
    intended_users: tuple[str, ...] = setting(list_of(text_like(), 1))
    purpose: str = setting(text_like())
    dissemination: str = setting(text_like())
    approach: str = setting(one_of(*APPROACHES))
    share_pct: Decimal = setting(decimal_text("0", "100"), Decimal(100))
    entities: tuple[str, ...] = setting(list_of(text_like(), 1))
    significance_criteria: str = setting(text_like())
    gwp: str = setting(text_like(), "ar6")
    gwp_justification: str = setting(text_like(), "")
    methane: str = setting(one_of("CH4", "CH4_fossil"), "CH4")  # which value counts for CH4 that is measured
    system_description: str = setting(text_like())
    controls: tuple[str, ...] = setting(list_of(text_like(), 1))
    qaqc_procedures: tuple[str, ...] = setting(list_of(text_like(), 1))
    retention_years: int = setting(number_in(int, 1, 100))
    uncertainty_statement: str = setting(text_like())
    method_change: str = setting(text_like())  # against the statement before
    exclusions: tuple[Exclusion, ...] = ()
    gases: tuple[GasWord, ...] = ()
    factors: tuple[Factor, ...] = ()
    activities: tuple[Activity, ...] = ()
    issued: tuple[Issued, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def read_statement_plan(site_file: SiteFile) -> StatementPlan:
    """Tables [statement] and [[evidence]]. Raises ConfigError: one line with file, line, key and mend."""
    own = site_file.section("statement", is_needed=True)
    year = own.inner("base_year", is_needed=True)
    tables: dict[str, Any] = {
        "base_year": year.build(BaseYear, recalculations=year.each("recalculation", Recalculation)),
        "disclosure": own.inner("disclosure").build(Disclosure) if own.has("disclosure") else None,
        "exclusions": own.each("exclusion", Exclusion),
        "gases": own.each("gas", GasWord),
        "issued": own.each("issued", Issued),
    }
    factors, activities = own.sections("factor"), own.sections("activity")
    tables["factors"] = tuple(one.build(Factor) for one in factors)
    tables["activities"] = tuple(one.build(Activity) for one in activities)
    evidence = site_file.sections("evidence")
    tables["evidence"] = tuple(one.build(Evidence) for one in evidence)
    plan = own.build(StatementPlan, **tables)
    if (fault := fault_of(plan.standard_edition, plan.edition_basis or None, 1)) is not None:
        raise own.refuse("standard_edition", fault)
    for key, sections, ids in (
        ("factor", factors, [one.id for one in plan.factors]),
        ("activity", activities, [one.id for one in plan.activities]),
        ("evidence", evidence, [one.id for one in plan.evidence]),
    ):
        _refuse_doubles(key, sections, ids)
    _check_names(site_file, plan, activities, evidence)
    for section, one in zip(activities, plan.activities, strict=True):
        _check_activity(section, one, plan)
    return plan


def _refuse_doubles(key: str, sections: Sequence[Section], ids: list[str]) -> None:
    for section, name in zip(sections, ids, strict=True):
        if ids.count(name) > 1:
            raise section.refuse("id", f"{key} {name} is there twice; each stands once")


def _check_names(
    site_file: SiteFile, plan: StatementPlan, activities: Sequence[Section], evidence: Sequence[Section]
) -> None:
    """Sources and evidence that are named are there; a calculated source is not a measured one."""
    measured = [one.id for one in site_file.site.sources]
    for name in plan.sources:
        if name not in measured:
            there = ", ".join(measured) or "none"
            raise ConfigError(f"{site_file.path}: statement.sources", f"{name} is no [[source]]; there are {there}")
    known = [*measured, *dict.fromkeys(one.source for one in plan.activities)]
    for section, one in zip(activities, plan.activities, strict=True):
        if one.source in measured:
            raise section.refuse("source", f"{one.source} is measured ([[source]]); what is counted twice is too much")
        for name in one.evidence:
            if name not in [own.id for own in plan.evidence]:
                raise section.refuse("evidence", f"{name} is no [[evidence]] here")
    for section, own in zip(evidence, plan.evidence, strict=True):
        for name in own.sources:
            if name not in known:
                raise section.refuse("sources", f"{name} is no source here; there are {', '.join(known)}")


def _check_activity(section: Section, one: Activity, plan: StatementPlan) -> None:
    """Its factor is there, fits the unit and is valid throughout; no other of its source tells of the same days."""
    factor = next((own for own in plan.factors if own.id == one.factor), None)
    if factor is None:
        there = ", ".join(own.id for own in plan.factors) or "none"
        raise section.refuse("factor", f"{one.factor} is no [[statement.factor]] here; there are {there}")
    of, per = factor.unit.split("/", 1)
    if per != one.unit or (of == "tCO2e") != (one.gas == "CO2e"):
        raise section.refuse("unit", f"{one.unit} of {one.gas} does not go with factor {factor.id} in {factor.unit}")
    if one.last < one.first:
        raise section.refuse("last", f"{one.last} lies before first {one.first}")
    if one.first < factor.valid_from or factor.valid_to < one.last:
        told = f"factor {factor.id} is valid from {factor.valid_from} to {factor.valid_to}"
        raise section.refuse("factor", f"{told}, not from {one.first} to {one.last}")
    for own in plan.activities:
        if own is not one and (own.source, own.gas) == (one.source, one.gas):
            if own.first <= one.last and one.first <= own.last:
                told = f"{own.id} from {own.first} to {own.last} and {one.id} from {one.first} to {one.last}"
                raise section.refuse("first", f"periods of source {one.source} overlap: {told}")


def refuse_overlap(site_file: SiteFile, plan: StatementPlan, first: date, last: date) -> None:
    """Against what was handed out before."""
    for one in plan.issued:
        if one.first <= last and first <= one.last and one.id != plan.supersedes:
            told = f"{one.id} tells of {one.first} to {one.last}, this one of {first} to {last}"
            mend = f'write supersedes = "{one.id}", or another period'
            raise ConfigError(f"{site_file.path}: statement.issued", f"periods overlap: {told}; {mend}")
