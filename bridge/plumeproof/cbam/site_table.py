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
from typing import Any

from plumeproof.cbam.codes import CodeBook, Good
from plumeproof.cbam.entries import (
    CarbonPrice,
    Corroboration,
    Electricity,
    Head,
    Heat,
    OwnPrecursor,
    Parameter,
    Period,
    Precursor,
    Process,
    Produced,
    Production,
    SourceShare,
    Stream,
    Use,
    Verifier,
)
from plumeproof.documents.site import SiteFile
from plumeproof.section import Check, Section, text_like

ENTRIES_MAX = 1_000  # of one kind
MONTH: Check = text_like(re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?"), "month or year, such as 2026-11 or 2026")


@dataclass(frozen=True, slots=True)
class CbamTable:
    """The whole of it. `goods`: the row of the code list behind each CN code."""

    head: Head
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
    return CbamTable(top.build(Head), verifier, processes, produced, periods, reader.goods, book)


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
        first, end = section.take("from", MONTH), section.take("to", MONTH)
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
            own_precursors=section.each("own_precursor", OwnPrecursor),
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
        named += [one.process for one in found.electricity] + [one.process for one in found.own_precursors]
        named += [use.process for one in precursors for use in one.uses]
        for name in named:
            self._known_process(section, name)
        for two in found.electricity:
            self._check(section, "electricity", lambda two=two: self._book.code("electricity_supply", two.source))
        codes = [("production", one.cn) for one in found.production]
        codes += [("parameter", one.cn) for one in found.parameters]
        codes += [("own_precursor", one.cn) for one in found.own_precursors]
        for key, cn in codes:
            if cn not in self.goods:
                raise section.refuse(key, f"{cn[:20]} is no [[cbam.good]]: {', '.join(self.goods)}")
        for three in found.corroborations:
            if three.source not in self._sources:
                raise section.refuse("corroboration", f"{three.source[:40]!r} is no [[source]] of this site")
        for cn in self.goods:
            made = sum(one.quantity for one in found.production if one.cn == cn)
            if made <= 0:
                told = f"good {cn} has no production in {first} to {end}"
                raise section.refuse("production", f"{told}; state it, or take the good away")
            used = sum(one.quantity for one in found.own_precursors if one.cn == cn)
            if used > made:
                raise section.refuse("own_precursor", f"{used} of {cn} is used, {made} was made; stocks are precursors")
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
