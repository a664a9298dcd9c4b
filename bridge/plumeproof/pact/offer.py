"""Table [pact] of site.toml: products, and what a stack cannot know of their footprints. No default stands for a fact.

Decimals are texts, as PACT has them; signs and ranges as the data model says (PACT 3.0.4, schema CarbonFootprint).
`x-rule: SHALL` of the specification must be there, the rest as far as it is known; what is not written is not sent.

    offer = read_offer(load_site(path)); offer.footprints[0].product.ids
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from plumeproof.documents.site import EmissionSource, SiteFile, decimal_text
from plumeproof.section import Section, list_of, number_in, one_of, setting, text_like, typed

UNITS = (
    "liter", "kilogram", "cubic meter", "kilowatt hour", "megajoule", "ton kilometer", "square meter", "piece", "hour",
    "megabit second",
)  # fmt: skip
REGIONS = (
    "Africa", "Americas", "Asia", "Europe", "Oceania", "Australia and New Zealand", "Central Asia", "Eastern Asia",
    "Eastern Europe", "Latin America and the Caribbean", "Melanesia", "Micronesia", "Northern Africa",
    "Northern America", "Northern Europe", "Polynesia", "South-eastern Asia", "Southern Asia", "Southern Europe",
    "Sub-Saharan Africa", "Western Asia", "Western Europe",
)  # fmt: skip
GLOBAL = "global"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URN = re.compile(r"[uU][rR][nN]:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[!-~]{1,200}")  # RFC 8141
_CPC = re.compile(r"\d{2,5}")
_CN = re.compile(r"\d{8}")
_MONTH = re.compile(r"\d{4}(-\d\d)?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_FACTORS = re.compile(r"AR\d{1,2}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANY = decimal_text("-1e15", "1e15")
_NOT_NEGATIVE = decimal_text("0", "1e15")
_NOT_POSITIVE = decimal_text("-1e15", "0")
_PERCENT = decimal_text("0", "100")
_RATING = decimal_text("1", "5")


def _instant(value: Any, _folder: Path) -> datetime:
    """With its zone, so that it means the same everywhere."""
    text = typed(value, str)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'{text[:40]!r} is no instant; write "2027-01-15T08:00:00Z"') from error
    if found.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone; add Z or +08:00")
    return found.astimezone(UTC)


def _geography(value: Any, _folder: Path) -> str:
    text = typed(value, str)
    if text in REGIONS or text == GLOBAL or _COUNTRY.fullmatch(text) or _SUBDIVISION.fullmatch(text):
        return text
    raise ValueError(f'{text[:40]!r} is no country ("CN"), subdivision ("CN-SH"), UN region or "{GLOBAL}"')


@dataclass(frozen=True, slots=True)
class Product:
    """`ids`: how customers know it; `cpc`: UN CPC; `cn`: Combined Nomenclature; `decimals`: to which kg CO2e per
    declared unit are rounded, once, at the end; `mass_kg`: of a declared unit without packaging, 0 for energy."""

    id: str = setting(text_like(_ID, "product id (letters, digits, . _ -)"))
    ids: tuple[str, ...] = setting(list_of(text_like(_URN, 'URN, such as "urn:gtin:4012345678901"'), 1))
    name: str = setting(text_like())
    description: str = setting(text_like())
    declared_unit: str = setting(one_of(*UNITS))
    declared_amount: Decimal = setting(decimal_text("1e-12", "1e12"))
    mass_kg: Decimal = setting(_NOT_NEGATIVE)
    decimals: int = setting(number_in(int, 0, 15))
    cpc: str = setting(text_like(_CPC, "UN CPC code (2 to 5 digits)"), "")
    cn: str = setting(text_like(_CN, "CN code (8 digits)"), "")
    classifications: tuple[str, ...] = setting(list_of(text_like(_URN, "URN")), ())


@dataclass(frozen=True, slots=True)
class Amounts:
    """kg CO2e per declared unit (`_carbon`: kg C) beside what is measured; None: not known, and not sent."""

    land_use_change: Decimal | None = setting(_NOT_NEGATIVE, None)
    land_management_fossil: Decimal | None = setting(_NOT_NEGATIVE, None)
    land_management_biogenic: Decimal | None = setting(_NOT_NEGATIVE, None)
    land_management_removals: Decimal | None = setting(_NOT_POSITIVE, None)
    biogenic_uptake: Decimal | None = setting(_NOT_POSITIVE, None)
    biogenic_non_co2: Decimal | None = setting(_NOT_NEGATIVE, None)
    aircraft: Decimal | None = setting(_NOT_NEGATIVE, None)
    packaging: Decimal | None = setting(_NOT_NEGATIVE, None)
    outbound_logistics: Decimal | None = setting(_NOT_NEGATIVE, None)
    capture: Decimal | None = setting(_NOT_POSITIVE, None)
    technological_removals: Decimal | None = setting(_NOT_POSITIVE, None)
    biogenic_carbon: Decimal | None = setting(_NOT_NEGATIVE, None)
    recycled_carbon: Decimal | None = setting(_NOT_NEGATIVE, None)
    packaging_biogenic_carbon: Decimal | None = setting(_NOT_NEGATIVE, None)
    ccu_carbon: Decimal | None = setting(_NOT_NEGATIVE, None)
    land_area_occupation: Decimal | None = setting(_NOT_NEGATIVE, None)  # m2 and year

    def known(self) -> Mapping[str, Decimal]:
        """Those that are there."""
        found = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Ratings:
    """Data quality, 1 (best) to 5, by the matrix of the PACT Methodology."""

    technological: Decimal = setting(_RATING)
    geographical: Decimal = setting(_RATING)
    temporal: Decimal = setting(_RATING)


@dataclass(frozen=True, slots=True)
class Database:
    """Where secondary emission factors come from."""

    name: str = setting(text_like())
    version: str = setting(text_like())


@dataclass(frozen=True, slots=True)
class ProductRule:
    """Product or sector specific rules that were followed."""

    operator: str = setting(one_of("PEF", "EPD International", "Other"))
    names: tuple[str, ...] = setting(list_of(text_like(), 1))
    other_operator: str = setting(text_like(), "")


@dataclass(frozen=True, slots=True)
class Verified:
    """What somebody independent has verified."""

    coverage: str = setting(one_of("PCF calculation model", "PCF program", "product level"))
    provider: str = setting(text_like())
    completed: datetime = setting(_instant)
    standard: str = setting(text_like())
    comments: str = setting(text_like(), "")


@dataclass(frozen=True, slots=True)
class Said:
    """One footprint as the file states it. `production`: of the period, in the declared unit; `allocated_pct`: share of
    the sources' emissions that this product bears; `other_fossil`: kg CO2e per declared unit from fossil sources that
    are not measured here (upstream, other stacks); `preceding`: ids of footprints that this one replaces because
    something of this file has changed (revisions of figures are followed by themselves)."""

    product: str = setting(text_like())
    first: str = setting(text_like(_MONTH, "month or year (2026-12, 2026)"))
    end: str = setting(text_like(_MONTH, "month or year (2027-01, 2027)"))
    issued: datetime = setting(_instant)
    sources: tuple[str, ...] = setting(list_of(text_like(), 1))
    production: Decimal = setting(decimal_text("1e-9", "1e18"))
    allocated_pct: Decimal = setting(_PERCENT)
    other_fossil: Decimal = setting(_NOT_NEGATIVE)
    other_ipcc_factors: tuple[str, ...] = setting(list_of(text_like(_FACTORS, "IPCC report (AR5, AR6)")))
    fossil_carbon: Decimal = setting(_NOT_NEGATIVE)
    cross_sectoral_standards: tuple[str, ...] = setting(list_of(text_like(), 1))
    exempted_pct: Decimal = setting(_PERCENT)
    primary_data_share_pct: Decimal = setting(_PERCENT)
    packaging_included: bool = setting(one_of(True, False))
    capture_included: bool = setting(one_of(True, False))
    geography: str = setting(_geography)
    boundary: str = setting(text_like(), "")
    allocation_rules: str = setting(text_like(), "")
    exempted_reason: str = setting(text_like(), "")
    capture_origin: str = setting(text_like(), "")
    comment: str = setting(text_like(), "")
    valid_from: datetime | None = setting(_instant, None)
    valid_to: datetime | None = setting(_instant, None)
    preceding: tuple[str, ...] = setting(list_of(text_like(_UUID, "footprint id (a UUID)")), ())
    amounts: Amounts = Amounts()
    ratings: Ratings | None = None
    databases: tuple[Database, ...] = ()
    rules: tuple[ProductRule, ...] = ()
    verified: Verified | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """A footprint with what it names. `at`: of errors, for people."""

    at: str
    said: Said
    product: Product
    sources: tuple[EmissionSource, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """All that [pact] says."""

    company_ids: tuple[str, ...]
    products: tuple[Product, ...]
    footprints: tuple[Offered, ...]


@dataclass(frozen=True, slots=True)
class _Company:
    company_ids: tuple[str, ...] = setting(list_of(text_like(_URN, "URN"), 1))


def read_offer(site_file: SiteFile) -> Offer:
    """Raises ConfigError: one line with file, line, key and mend."""
    top = site_file.section("pact", is_needed=True)
    products: dict[str, Product] = {}
    for section in top.sections("product", is_needed=True):
        product = section.build(Product)
        if product.id in products:
            raise section.refuse("id", f"product {product.id} is there twice; each stands once")
        products[product.id] = product
    sources = {source.id: source for source in site_file.site.sources}
    found = [_offered(section, products, sources) for section in top.sections("footprint", is_needed=True)]
    _refuse_overlaps(top, found)
    return Offer(top.build(_Company).company_ids, tuple(products.values()), tuple(found))


def _refuse_overlaps(top: Section, found: Sequence[Offered]) -> None:
    """Two footprints of one product for one month would both be active; one emission is borne once."""
    for index, one in enumerate(found):
        for other in found[:index]:
            (first, end), (begin, stop) = _months(one.said), _months(other.said)
            if one.said.product == other.said.product and first < stop and begin < end:
                raise top.refuse("footprint", f"{one.at} and {other.at} overlap; a month of a product stands once")
    for period, source in {(_months(one.said), source.id) for one in found for source in one.sources}:
        shares = [one.said.allocated_pct for one in found if _months(one.said) == period and source in one.said.sources]
        if sum(shares) > 100:
            told = f"source {source} bears {sum(shares)} % in {period[0]} to {period[1]}"
            raise top.refuse("footprint", f"{told}: allocated_pct of all products together is at most 100")


def _months(said: Said) -> tuple[str, str]:
    """Year and month, which compare as texts do."""
    first, end = (text if "-" in text else f"{text}-01" for text in (said.first, said.end))
    return first, end


def _offered(section: Section, products: Mapping[str, Product], sources: Mapping[str, EmissionSource]) -> Offered:
    said = section.build(
        Said,
        amounts=section.inner("amounts").build(Amounts),
        ratings=section.inner("ratings").build(Ratings) if section.has("ratings") else None,
        databases=section.each("database", Database),
        rules=section.each("rule", ProductRule),
        verified=section.inner("verified").build(Verified) if section.has("verified") else None,
    )
    if said.product not in products:
        raise section.refuse("product", f"{said.product[:40]!r} is no [[pact.product]] here")
    unknown = next((name for name in said.sources if name not in sources), None)
    if unknown is not None or len(set(said.sources)) < len(said.sources):
        raise section.refuse("sources", f"{(unknown or 'one')[:40]!r} is no [[source]] here, or stands twice")
    _refuse_contradictions(section, said, products[said.product])
    at = f"footprint of {said.product}, {said.first} to {said.end}"
    return Offered(at, said, products[said.product], tuple(sources[name] for name in said.sources))


def _refuse_contradictions(section: Section, said: Said, product: Product) -> None:
    """What the data model forbids together."""
    amounts = said.amounts
    if not said.packaging_included and amounts.packaging is not None:
        raise section.refuse(
            "packaging_included", "is false, and amounts.packaging is there; PACT wants one or the other"
        )
    if not said.capture_included and (
        amounts.capture is not None or amounts.technological_removals is not None or said.capture_origin
    ):
        raise section.refuse("capture_included", "is false, and something captured is there; take one of them out")
    if said.primary_data_share_pct < 100 and not said.databases:
        raise section.refuse("database", "is missing: below 100 % primary data the sources of factors must be named")
    if said.primary_data_share_pct == 100 and said.databases:
        raise section.refuse("database", "is there, and primary_data_share_pct is 100: then there is no secondary data")
    if said.other_fossil > 0 and not said.other_ipcc_factors:
        raise section.refuse("other_ipcc_factors", "is empty, and there is other_fossil; name the reports behind it")
    if said.exempted_pct > 0 and not said.exempted_reason:
        raise section.refuse("exempted_reason", "is missing: something is exempted")
    if (said.valid_from is None) != (said.valid_to is None):
        raise section.refuse("valid_from", "and valid_to stand together or not at all")
    if said.valid_from is not None and said.valid_to is not None and said.valid_to <= said.valid_from:
        raise section.refuse("valid_to", "is not behind valid_from")
    for rule in said.rules:
        if (rule.operator == "Other") != bool(rule.other_operator):
            raise section.refuse("rule", 'other_operator goes with operator = "Other", and with no other')
    energy = product.declared_unit in ("kilowatt hour", "megajoule", "ton kilometer")
    if energy and product.mass_kg != 0:
        raise section.refuse("product", f'{product.id}: a {product.declared_unit} has no mass; write mass_kg = "0"')
