"""What site.toml says of readiness: cylinders, factors that somebody confirmed, papers, parameters measured elsewhere.

own = read_readiness(site_file); own.cylinders, own.factors, own.papers, own.elsewhere
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from plumeproof.documents.site import SiteFile, day_text, decimal_text
from plumeproof.section import list_of, number_in, one_of, setting, text_like, typed

FACTORS = ("gwp", "biomass_share_pct", "emission_factor")
PAPERS = ("contract", "technical_file", "certificate", "accreditation", "monitoring_plan", "other")
DEADLINE = date(2026, 12, 1)  # reference: the requirement of the rule change
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _file(value: Any, folder: Path) -> Path:
    return (folder / typed(value, str)).absolute()


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A bottle of test gas; `id` as [[measurand.qal3.gas]] names it."""

    id: str = setting(text_like())
    expires: date = setting(day_text)
    certificate: str = setting(text_like(), "")


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a source, or of an activity of [statement], that a person has confirmed for a span of days, and by
    what."""

    source: str = setting(text_like())
    what: str = setting(one_of(*FACTORS))
    value: Decimal = setting(decimal_text("0", "1000000"))
    evidence: str = setting(text_like())
    valid_from: date = setting(day_text)
    valid_to: date = setting(day_text)


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper with an end: contract, technical file, certificate, accreditation, monitoring plan. `states`: what it
    promises, by the keys of READINESS.md, which the review holds against what can be shown."""

    name: str = setting(text_like())
    kind: str = setting(one_of(*PAPERS))
    reference: str = setting(text_like())
    valid_to: date | None = setting(day_text, None)
    states: tuple[str, ...] = setting(list_of(text_like(_CODE, "key of a statement")), ())


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A parameter of the category's preset that another system measures (`where`), or that this works does not have
    (`not_here`: why)."""

    parameter: str = setting(text_like(_CODE, "parameter of a preset"))
    where: str = setting(text_like(), "")
    not_here: str = setting(text_like(), "")


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the platform of a [[sink.https]] describes its interface (OpenAPI): a file, or an https:// address."""

    sink: str = setting(text_like())
    openapi: str = setting(text_like())


@dataclass(frozen=True, slots=True)
class _Head:
    deadline: date = setting(day_text, DEADLINE)
    soon_days: int = setting(number_in(int, 1, 366), 60)
    anchor_hours_max: int = setting(number_in(int, 1, 8_760), 48)
    coverage_min_pct: float = setting(number_in(float, 0.0, 100.0), 80.0)  # own limit: of the hours in operation
    preset_file: Path | None = setting(_file, None)


@dataclass(frozen=True, slots=True)
class ReadinessFile:
    """`deadline`: the day by which all must stand; `soon_days`: how long before its end a date is named."""

    deadline: date
    soon_days: int
    anchor_hours_max: int
    coverage_min_pct: float
    cylinders: tuple[Cylinder, ...]
    factors: tuple[Factor, ...]
    papers: tuple[Paper, ...]
    elsewhere: tuple[Elsewhere, ...]
    platforms: tuple[Platform, ...]
    preset_file: Path | None


def read_readiness(site_file: SiteFile) -> ReadinessFile:
    """[readiness] with its tables, and [[cylinder]]. Raises ConfigError: one line."""
    cylinders = tuple(section.build(Cylinder) for section in site_file.sections("cylinder"))
    own = site_file.section("readiness")
    factors = own.sections("factor")
    papers, platforms = own.each("paper", Paper), own.each("platform", Platform)
    elsewhere = own.sections("parameter")
    found_factors = tuple(section.build(Factor) for section in factors)
    text = text_like()
    activities = site_file.section("statement").sections("activity")
    known = {one.id for one in site_file.site.sources} | {one.value("id", text, "") for one in activities}
    for section, factor in zip(factors, found_factors, strict=True):
        if factor.source not in known:
            raise section.refuse("source", f"{factor.source[:40]!r} is no [[source]] and no activity here")
        if factor.valid_to < factor.valid_from:
            raise section.refuse("valid_to", f"{factor.valid_to} lies before valid_from {factor.valid_from}")
    found = tuple(section.build(Elsewhere) for section in elsewhere)
    for section, one in zip(elsewhere, found, strict=True):
        if bool(one.where) == bool(one.not_here):
            raise section.refuse("where", "write where it is measured, or not_here and why; one of both")
        if [other.parameter for other in found].count(one.parameter) > 1:
            raise section.refuse("parameter", f"{one.parameter[:40]} is there twice; each stands once")
    ids = [one.id for one in cylinders]
    for section, cylinder in zip(site_file.sections("cylinder"), cylinders, strict=True):
        if ids.count(cylinder.id) > 1:
            raise section.refuse("id", f"{cylinder.id[:40]} is there twice; each stands once")
    head = own.build(_Head)
    return ReadinessFile(
        head.deadline,
        head.soon_days,
        head.anchor_hours_max,
        head.coverage_min_pct,
        cylinders,
        found_factors,
        papers,
        found,
        platforms,
        head.preset_file,
    )
