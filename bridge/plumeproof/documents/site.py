"""site.toml: who is responsible for a works, its permits with their outlets, and what of it is declared.

The permit is the one table from which statement, limits and HJ 212 take numbers, outlets, codes and limits; what it
says of limits must be what the plant descriptions say, or documents are refused. Each document has a table of its own
below (`section`); `plumeproof report --sample-site` prints a file to begin with.

    site_file = load_site(Path("site.toml")); site_file.site.permits
    own = site_file.section("cbam")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from plumeproof.rules.limits import KINDS
from plumeproof.section import Section, list_of, number_in, one_of, setting, text_like, typed
from plumeproof.toml_file import parse_toml, read_text
from plumeproof.toml_lines import Lines

SAMPLE = "plumeproof report --sample-site"
FILE_MAX_BYTES = 1024 * 1024
DECIMALS_MAX = 40  # of a number; nothing is known so well, and documents write every digit out
CATEGORIES = ("zld", "wte", "swro", "cbam")  # reference: reporting section 6
DUTIES = ("real_time", "minute", "half_hour", "hour", "day", "month", "quarter", "year")
DOCUMENT_TABLES = ("statement", "verification", "evidence", "cbam", "pact", "hj212", "readiness", "cylinder")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,32}:.{1,128}")
_CODE = re.compile(r"[A-Za-z0-9]{1,12}")
_MN = re.compile(r"[0-9A-Za-z]{14,24}")  # HJ 212-2017: 24 characters; 2005: 14
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


def day_text(value: Any, _folder: Path) -> date:
    """A calendar day, `2026-12-31` in quotes."""
    text = typed(value, str)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'{text[:40]!r} is no day; write "2026-12-31"') from error


def decimal_text(minimum: str, maximum: str) -> Any:
    """A number in quotes, kept with the digits that it was given."""
    low, high = Decimal(minimum), Decimal(maximum)

    def check(value: Any, _folder: Path) -> Decimal:
        text = typed(value, str)
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise ValueError(f'{text[:40]!r} is no number; write it in quotes, "10.5"') from error
        if not number.is_finite() or not low <= number <= high:
            raise ValueError(f"{text[:40]} is outside {minimum} to {maximum}")
        if int(number.as_tuple().exponent) < -DECIMALS_MAX:
            raise ValueError(f"{text[:40]} has more than {DECIMALS_MAX} decimals")
        return number

    return check


@dataclass(frozen=True, slots=True)
class Works:
    """The site as a whole. `utc_offset_min` follows from its plants and is not written here."""

    id: str = setting(text_like(_ID, "site id (letters, digits, . _ -)"))
    name: str = setting(text_like())
    category: str = setting(one_of(*CATEGORIES))
    address: str = setting(text_like())
    country: str = setting(text_like(_COUNTRY, "country code (ISO 3166-1 alpha-2, such as CN)"))
    latitude: float = setting(number_in(float, -90.0, 90.0))
    longitude: float = setting(number_in(float, -180.0, 180.0))
    registry_ids: tuple[str, ...] = setting(list_of(text_like(_IDENTIFIER, "identifier (scheme:value)")), ())


@dataclass(frozen=True, slots=True)
class Party:
    """Who answers for the figures."""

    legal_name: str = setting(text_like())
    identifiers: tuple[str, ...] = setting(list_of(text_like(_IDENTIFIER, "identifier (scheme:value)"), 1))
    address: str = setting(text_like())
    country: str = setting(text_like(_COUNTRY, "country code (ISO 3166-1 alpha-2, such as CN)"))
    contact: str = setting(text_like())
    email: str = setting(text_like(_MAIL, "e-mail address"))
    responsible_person: str = setting(text_like())
    prepared_by: str = setting(text_like())


@dataclass(frozen=True, slots=True)
class PermitLimit:
    """A limit as the permit says it, mg/m3 at reference conditions."""

    kind: str = setting(one_of(*KINDS))
    value: float = setting(number_in(float, 0.0, 1e9))


@dataclass(frozen=True, slots=True)
class Pollutant:
    """`hj212`: factor code on HJ 212 links (reference: reporting section 4.6), "" for none. `duties`: what must be
    reported of it."""

    measurand: str = setting(text_like())
    hj212: str = setting(text_like(_CODE, "HJ 212 code, such as a21002"), "")
    duties: tuple[str, ...] = setting(list_of(one_of(*DUTIES)), ())
    limits: tuple[PermitLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlet:
    """An outlet of the permit; `plant`: the description that measures it; `mn`: the station number on HJ 212 links."""

    id: str = setting(text_like(_ID, "outlet id"))
    name: str = setting(text_like())
    plant: str = setting(text_like())
    mn: str = setting(text_like(_MN, "station number MN"), "")
    pollutants: tuple[Pollutant, ...] = ()


@dataclass(frozen=True, slots=True)
class Permit:
    """A discharge permit, or the copy of one."""

    number: str = setting(text_like())
    authority: str = setting(text_like())
    valid_from: date = setting(day_text)
    valid_to: date = setting(day_text)
    outlets: tuple[Outlet, ...] = ()


@dataclass(frozen=True, slots=True)
class EmissionSource:
    """What is declared of an outlet: one gas by one rule set. `category`: 1 to 6 of ISO 14064-1:2018 clause 5.2.4.
    `biogenic_pct`: stated here only where the plant description does not split it."""

    id: str = setting(text_like(_ID, "source id"))
    outlet: str = setting(text_like())
    measurand: str = setting(text_like())
    rule_set: str = setting(text_like())
    process: str = setting(text_like())
    category: int = setting(number_in(int, 1, 6), 1)
    fuel: str = setting(text_like(), "")
    approach_reason: str = setting(text_like(), "continuous measurement of concentration and flow")


@dataclass(frozen=True, slots=True)
class Site:
    """All that documents share."""

    works: Works
    party: Party
    permits: tuple[Permit, ...]
    sources: tuple[EmissionSource, ...]

    def outlets(self) -> Iterator[tuple[Permit, Outlet]]:
        """In the file's order."""
        for permit in self.permits:
            for outlet in permit.outlets:
                yield permit, outlet

    def outlet(self, name: str) -> tuple[Permit, Outlet]:
        """The one of this id; `load_site` has seen that it is there."""
        return next((permit, outlet) for permit, outlet in self.outlets() if outlet.id == name)


class SiteFile:
    """A file that was read: what documents share, and the tables that belong to one of them."""

    def __init__(self, path: Path, site: Site, tree: dict[str, Any], lines: Lines) -> None:
        self.path, self.site, self._tree, self._lines = path, site, tree, lines

    def section(self, name: str, is_needed: bool = False) -> Section:
        """The table of a document, whole each time; whoever reads it refuses what is not known there. Raises
        ConfigError."""
        return self._top().inner(name, is_needed)

    def sections(self, name: str, is_needed: bool = False) -> tuple[Section, ...]:
        """The tables of an array of tables, as `section`."""
        return self._top().sections(name, is_needed)

    def has_table(self, name: str) -> bool:
        """Whether a table is there, such as cbam.period.stream; of an array in any of its entries."""
        found: list[Any] = [self._tree]
        for part in name.split("."):
            inner = [one[part] for one in found if isinstance(one, dict) and part in one]
            found = [each for one in inner for each in (one if isinstance(one, list) else [one])]
        return bool(found)

    def _top(self) -> Section:
        return Section(self._tree, (), self._lines, self.path, SAMPLE)


def load_site(path: Path) -> SiteFile:
    """Read and check what documents share. Raises ConfigError: one line with file, line, key and mend."""
    text = read_text(path, FILE_MAX_BYTES, f"`{SAMPLE}` prints one", "this is no description of a site")
    tree, lines = parse_toml(text, path)
    top = Section(tree, (), lines, path, SAMPLE)
    top.only("site", "party", "permit", "source", *DOCUMENT_TABLES)
    works = top.inner("site", is_needed=True).build(Works)
    party = top.inner("party", is_needed=True).build(Party)
    permits = tuple(_permit(section) for section in top.sections("permit", is_needed=True))
    sources = top.sections("source")
    site = Site(works, party, permits, tuple(section.build(EmissionSource) for section in sources))
    _refuse_doubles(top, site)
    for section, one in zip(sources, site.sources, strict=True):
        if one.outlet not in {outlet.id for _, outlet in site.outlets()}:
            raise section.refuse("outlet", f"{one.outlet[:40]!r} is no outlet of a permit here")
    return SiteFile(path, site, tree, lines)


def _permit(section: Section) -> Permit:
    found = section.build(Permit, outlets=tuple(_outlet(one) for one in section.sections("outlet", is_needed=True)))
    if found.valid_to < found.valid_from:
        raise section.refuse("valid_to", f"{found.valid_to} lies before valid_from {found.valid_from}")
    return found


def _outlet(section: Section) -> Outlet:
    pollutants = tuple(
        one.build(Pollutant, limits=one.each("limit", PermitLimit)) for one in section.sections("pollutant")
    )
    for measurand in {one.measurand for one in pollutants}:
        if [one.measurand for one in pollutants].count(measurand) > 1:
            raise section.refuse("pollutant", f"{measurand[:40]} is there twice; write its limits into one")
    return section.build(Outlet, pollutants=pollutants)


def _refuse_doubles(top: Section, site: Site) -> None:
    for kind, names in (
        ("permit", [permit.number for permit in site.permits]),
        ("permit.outlet", [outlet.id for _, outlet in site.outlets()]),
        ("source", [source.id for source in site.sources]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise top.refuse(kind.split(".")[0], f"{kind} {twice[:40]} is there twice; each stands once")
