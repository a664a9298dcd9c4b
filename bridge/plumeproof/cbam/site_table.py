"""[cbam] of site.toml: production processes, goods by CN code, and for each period quantities, heat, electricity,
precursors and what the operator must explain.

Numbers are text in quotes and keep their digits. Periods are whole months of the site's clock, [from, to); none may
overlap another. Codes are checked against the code lists, references against each other.

    table = read_table(site_file, load_codes()); table.periods
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from plumeproof.cbam.codes import CodeBook, Good
from plumeproof.documents.site import SiteFile, day_text
from plumeproof.section import Check, Section, list_of, one_of, setting, text_like, typed

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")
CURRENCY = re.compile(r"[A-Z]{3}")
CALCULATED = ("calculationStandard", "massBalance")
HEAT_KINDS = ("heat", "waste_gas")
GASES = ("CO2", "N2O", "PFC")
OPINIONS = ("unmodified", "modified", "adverse", "disclaimer", "none yet")
ENTRIES_MAX = 1_000  # of one kind
NUMBER = re.compile(r"(-?)\d{1,12}(\.\d{1,12})?")  # so that sums and products stay exact
_ID: Check = text_like(ID, "id (letters, digits, . _ -)")
_TEXT: Check = text_like()
_MONTH: Check = text_like(MONTH, "month or year, such as 2026-11 or 2026")


def _amount(value: Any, _folder: Path) -> Decimal:
    """A number in quotes, 0 or more."""
    number = _signed(value, _folder)
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number


def _signed(value: Any, _folder: Path) -> Decimal:
    """A number in quotes."""
    text = typed(value, str)
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f'{text[:40]!r} is no number; write it in quotes, "10.5", with 12 digits on each side at most')
    return Decimal(text)


def _percent(value: Any, _folder: Path) -> Decimal:
    """As `_amount`, 100 at most."""
    number = _amount(value, _folder)
    if number > 100:
        raise ValueError(f"{number} is more than 100 %")
    return number


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who verified; absent until somebody has."""

    name: str = setting(_TEXT)
    accreditation_no: str = setting(_TEXT)
    accreditation_body: str = setting(_TEXT)
    report_id: str = setting(_TEXT)
    opinion: str = setting(one_of(*OPINIONS), "none yet")


@dataclass(frozen=True, slots=True)
class SourceShare:
    """An emission source of the site that a process stands for, whole or in part. `biomass_evidence`: what zero-rated
    biomass rests on (such as a C-14 report)."""

    id: str = setting(_TEXT)
    share_pct: Decimal = setting(_percent, Decimal(100))
    biomass_evidence: str = setting(_TEXT, "")


@dataclass(frozen=True, slots=True)
class Process:
    """A production process. `category`: of its goods."""

    id: str = setting(_ID)
    category: str = setting(_TEXT)
    boundary: str = setting(_TEXT)
    data_quality: str = setting(_TEXT)
    routes: tuple[str, ...] = setting(list_of(_TEXT), ())
    is_joint: bool = setting(one_of(True, False), False)
    sources: tuple[SourceShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Produced:
    """A CN code that a process makes."""

    cn: str = setting(_TEXT)
    process: str = setting(_TEXT)
    name: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class Production:
    """Activity level of a good in a period, in its functional unit."""

    cn: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)
    basis: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class Stream:
    """Emissions that are calculated, not measured."""

    id: str = setting(_ID)
    process: str = setting(_TEXT)
    method: str = setting(one_of(*CALCULATED))
    t_co2e: Decimal = setting(_signed)
    basis: str = setting(_TEXT)
    gas: str = setting(one_of(*GASES), "CO2")


@dataclass(frozen=True, slots=True)
class Heat:
    """Heat or waste gas that crosses the boundary of a process."""

    process: str = setting(_TEXT)
    kind: str = setting(one_of(*HEAT_KINDS))
    factor_t_tj: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    imported_tj: Decimal = setting(_amount, Decimal(0))
    exported_tj: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Electricity:
    """`factor_t_mwh`: of what is consumed; `export_factor_t_mwh`: of what the process made and gave away."""

    process: str = setting(_TEXT)
    source: str = setting(_TEXT)
    consumed_mwh: Decimal = setting(_amount)
    factor_t_mwh: Decimal = setting(_amount)
    factor_source: str = setting(_TEXT)
    exported_mwh: Decimal = setting(_amount, Decimal(0))
    export_factor_t_mwh: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a precursor a process consumed."""

    process: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)


@dataclass(frozen=True, slots=True)
class Precursor:
    """Bought goods that are CBAM goods themselves. `report`: of their verification, where the basis is actual."""

    id: str = setting(_ID)
    cn: str = setting(_TEXT)
    country: str = setting(_TEXT)
    installation: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)
    see_direct: Decimal = setting(_amount)
    see_indirect: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    report: str = setting(_TEXT, "")
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class Corroboration:
    """The calculation that is kept beside a measured source, t of its gas."""

    source: str = setting(_TEXT)
    t_gas: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    tolerance_pct: Decimal | None = setting(_percent, None)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A qualifying parameter of a good, such as its clinker share."""

    cn: str = setting(_TEXT)
    name: str = setting(_TEXT)
    value: str = setting(_TEXT)
    unit: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class CarbonPrice:
    """What was paid for carbon in the country of origin."""

    instrument: str = setting(_TEXT)
    legal_act: str = setting(_TEXT)
    amount: Decimal = setting(_amount)
    currency: str = setting(text_like(CURRENCY, "currency code (ISO 4217, such as CNY)"))
    covered_t: Decimal = setting(_amount)
    evidence: str = setting(_TEXT)
    rebate: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Period:
    """What was in one period. `prepared_on`: the day of its documents."""

    first: str
    end: str
    prepared_on: date = setting(day_text)
    justification: str = setting(_TEXT, "")
    deviations: tuple[str, ...] = setting(list_of(_TEXT), ())
    improvements: tuple[str, ...] = setting(list_of(_TEXT), ())
    production: tuple[Production, ...] = ()
    streams: tuple[Stream, ...] = ()
    heat: tuple[Heat, ...] = ()
    electricity: tuple[Electricity, ...] = ()
    precursors: tuple[Precursor, ...] = ()
    corroborations: tuple[Corroboration, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    carbon_prices: tuple[CarbonPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class _Head:
    installation_id: str = setting(text_like(ID, "installation id (letters, digits, . _ -)"))
    economic_activity: str = setting(_TEXT)
    monitoring_plan: str = setting(_TEXT)
    monitoring_plan_version: str = setting(_TEXT)
    registry_operator_id: str = setting(_TEXT, "")
    registry_installation_id: str = setting(_TEXT, "")
    unlocode: str = setting(_TEXT, "")


@dataclass(frozen=True, slots=True)
class CbamTable:
    """The whole of it. `goods`: the row of the code list behind each CN code."""

    head: _Head
    verifier: Verifier | None
    processes: tuple[Process, ...]
    produced: tuple[Produced, ...]
    periods: tuple[Period, ...]
    goods: dict[str, Good]
    book: CodeBook


def read_table(site_file: SiteFile, book: CodeBook) -> CbamTable:
    """Read and check it. Raises ConfigError: one line with file, line, key and mend."""
    top = site_file.section("cbam", is_needed=True)
    verifier = top.inner("verifier").build(Verifier) if top.has("verifier") else None
    reader = _Reader(book, {source.id for source in site_file.site.sources})
    processes = tuple(reader.process(one) for one in _few(top, "process"))
    reader.require_whole_sources(top, processes)
    produced = tuple(reader.produced(one) for one in _few(top, "good"))
    for process in processes:
        if all(one.process != process.id for one in produced):
            raise top.refuse("process", f"{process.id} makes no [[cbam.good]]; name its goods by CN code")
    periods = tuple(reader.period(one) for one in _few(top, "period"))
    return CbamTable(top.build(_Head), verifier, processes, produced, periods, reader.goods, book)


class _Reader:
    def __init__(self, book: CodeBook, sources: set[str]) -> None:
        self._book, self._sources = book, sources
        self._categories: dict[str, str] = {}  # by process
        self.goods: dict[str, Good] = {}

    def process(self, section: Section) -> Process:
        shares = section.each("source", SourceShare)
        for one in shares:
            if one.id not in self._sources:
                known = ", ".join(sorted(self._sources)) or "none"
                raise section.refuse("source", f"{one.id[:40]!r} is no [[source]] of this site: {known}")
        found: Process = section.build(Process, sources=shares)
        if found.id in self._categories:
            raise section.refuse("id", f"process {found.id} is there twice; each stands once")
        self._check(section, "category", lambda: self._book.category(found.category))
        for route in found.routes:
            self._check(section, "routes", lambda route=route: self._book.code("route", route))
        self._categories[found.id] = found.category
        return found

    def require_whole_sources(self, top: Section, processes: Sequence[Process]) -> None:
        """A source is shared out to the last part, or the goods would not carry what was emitted."""
        for name in sorted({one.id for process in processes for one in process.sources}):
            shares = [one.share_pct for process in processes for one in process.sources if one.id == name]
            if sum(shares) != 100:
                told = f"shares of source {name} are {sum(shares)} % together, not 100"
                raise top.refuse("process", f"{told}; put share_pct right")

    def produced(self, section: Section) -> Produced:
        found = section.build(Produced)
        self._known_process(section, found.process)
        if found.cn in self.goods:
            raise section.refuse("cn", f"{found.cn} is there twice; a good belongs to one process")
        good = self._check(section, "cn", lambda: self._book.good(found.cn))
        category = self._categories[found.process]
        if good.category != category:
            raise section.refuse("cn", f"{found.cn} is {good.category}, process {found.process} makes {category}")
        self.goods[found.cn] = good
        return found

    def period(self, section: Section) -> Period:
        first, end = section.take("from", _MONTH), section.take("to", _MONTH)
        precursors = tuple(self._precursor(one) for one in _few(section, "precursor", False))
        found = section.build(
            Period,
            first=first,
            end=end,
            production=section.each("production", Production, is_needed=True),
            streams=section.each("stream", Stream),
            heat=section.each("heat", Heat),
            electricity=section.each("electricity", Electricity),
            precursors=precursors,
            corroborations=section.each("corroboration", Corroboration),
            parameters=section.each("parameter", Parameter),
            carbon_prices=section.each("carbon_price", CarbonPrice),
        )
        for kind, names in (
            ("production", [one.cn for one in found.production]),
            ("stream", [one.id for one in found.streams]),
            ("precursor", [one.id for one in found.precursors]),
            ("corroboration", [one.source for one in found.corroborations]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise section.refuse(kind, f"{twice[:40]} is there twice in this period; each stands once")
        named = [one.process for one in found.streams] + [one.process for one in found.heat]
        named += [one.process for one in found.electricity] + [use.process for one in precursors for use in one.uses]
        for name in named:
            self._known_process(section, name)
        for two in found.electricity:
            self._check(section, "electricity", lambda two=two: self._book.code("electricity_supply", two.source))
        for cn in (*(one.cn for one in found.production), *(one.cn for one in found.parameters)):
            if cn not in self.goods:
                raise section.refuse("production", f"{cn[:20]} is no [[cbam.good]]: {', '.join(self.goods)}")
        for three in found.corroborations:
            if three.source not in self._sources:
                raise section.refuse("corroboration", f"{three.source[:40]!r} is no [[source]] of this site")
        for cn in self.goods:
            if sum(one.quantity for one in found.production if one.cn == cn) <= 0:
                told = f"good {cn} has no production in {first} to {end}"
                raise section.refuse("production", f"{told}; state it, or take the good away")
        return found

    def _precursor(self, section: Section) -> Precursor:
        found: Precursor = section.build(Precursor, uses=section.each("use", Use, is_needed=True))
        self._check(section, "cn", lambda: self._book.good(found.cn))
        self._check(section, "country", lambda: self._book.code("country", found.country))
        self._check(section, "basis", lambda: self._book.code("precursor_basis", found.basis))
        if found.basis == "actualVerified" and not found.report:
            raise section.refuse("report", "is missing; actual values need the report of their verification")
        used = sum(use.quantity for use in found.uses)
        if used > found.quantity:
            raise section.refuse("use", f"{used} is used of {found.quantity}; no process uses more than was bought")
        return found

    def _known_process(self, section: Section, name: str) -> None:
        if name not in self._categories:
            raise section.refuse("process", f"{name[:40]!r} is no [[cbam.process]]: {', '.join(self._categories)}")

    @staticmethod
    def _check(section: Section, key: str, look: Any) -> Any:
        try:
            return look()
        except ValueError as error:
            raise section.refuse(key, str(error)) from error


def _few(top: Section, key: str, is_needed: bool = True) -> tuple[Section, ...]:
    found = top.sections(key, is_needed)
    if len(found) > ENTRIES_MAX:
        raise top.refuse(key, f"more than {ENTRIES_MAX} entries")
    return found
