"""Footprints that are handed out: filters and pages of ListFootprints (PACT 3.0.4). Pure; nothing here is changed.

Within a criterion any value may fit, all criteria must. Names of parameters are read whatever their case, as the
specification's own example writes them, and with the `$` that some programs put before them. A page link names the
generation (a hash of what is on the shelf): it gives the same page as long as that generation is kept, which is longer
than the 180 s that the specification wants, and after a restart too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from plumeproof.pact.faults import BAD_REQUEST, Fault
from plumeproof.pact.footprint import ACTIVE, DEPRECATED, Issued

PAGE_MAX = 100  # footprints of a page where no smaller limit is asked for
VALUES_MAX = 100  # of one criterion
VALUE_MAX = 512  # characters
GENERATIONS_MAX = 8
PAGE = "x-plumeproof-page"  # extra parameters begin with x-<identifier>-
LISTS = ("productId", "companyId", "geography", "classification")
INSTANTS = ("validOn", "validAfter", "validBefore")
VALID_YEARS = 3  # behind referencePeriodEnd, where no validity is stated
_LIMIT = re.compile(r"\d{1,9}")
_PAGE = re.compile(r"([0-9a-f]{16})\.(\d{1,9})")
_BARE_ZONE = re.compile(r"(.*T[\d:.]+) (\d\d:\d\d)")  # a plus sign that was not escaped in the query


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is asked for; empty: everything. Texts are casefolded."""

    lists: Mapping[str, frozenset[str]]
    instants: Mapping[str, datetime]
    statuses: frozenset[str]

    def fit(self, content: Mapping[str, Any]) -> bool:
        """Whether a footprint is meant."""
        pcf = content["pcf"]
        own = {
            "productId": content["productIds"],
            "companyId": content["companyIds"],
            "classification": content.get("productClassifications", []),
            "geography": [pcf[name] for name in _GEOGRAPHY if name in pcf],
        }
        for name, wanted in self.lists.items():
            if not wanted & {value.casefold() for value in own[name]}:
                return False
        begin, end = validity_of(content)
        on, after, before = (self.instants.get(name) for name in INSTANTS)
        if (on and not begin <= on <= end) or (after and not begin > after) or (before and not end < before):
            return False
        return not self.statuses or content["status"].casefold() in self.statuses


_GEOGRAPHY = ("geographyRegionOrSubregion", "geographyCountry", "geographyCountrySubdivision")


@dataclass(frozen=True, slots=True)
class Question:
    """A ListFootprints request. `generation`, `offset`: of a page link."""

    criteria: Criteria
    limit: int | None
    generation: str
    offset: int


@dataclass(frozen=True, slots=True)
class Page:
    """`next_query`: of the link to the following page, empty where there is none."""

    footprints: Sequence[Mapping[str, Any]]
    next_query: str


class Shelf:
    """All footprints of now, and those of a few generations before."""

    def __init__(self) -> None:
        self._generations: dict[str, tuple[Issued, ...]] = {}
        self._newest = ""
        self.put(())

    def put(self, issued: Sequence[Issued]) -> None:
        """What is handed out from now on. Threads: one reference is exchanged."""
        kept = tuple(issued)
        named = "\n".join(f"{one.id} {one.content['status']}" for one in kept)
        generation = hashlib.sha256(named.encode()).hexdigest()[:16]
        older = {name: value for name, value in self._generations.items() if name != generation}
        self._generations = dict([*list(older.items())[-(GENERATIONS_MAX - 1) :], (generation, kept)])
        self._newest = generation

    def all(self) -> Sequence[Issued]:
        """Of now."""
        return self._generations[self._newest]

    def find(self, footprint_id: str) -> Issued | None:
        """By id, of now."""
        return next((one for one in self.all() if one.id == footprint_id.lower()), None)

    def fitting(self, criteria: Criteria, products: frozenset[str] | None) -> list[Issued]:
        """`products`: that the client may see, by their id in site.toml; None: all."""
        return [one for one in self.all() if _may(one, products) and criteria.fit(one.content)]

    def page(self, question: Question, pairs: Sequence[tuple[str, str]], products: frozenset[str] | None) -> Page:
        """`pairs`: the query as it was asked, repeated in the link. Raises Fault for a link that is no longer known."""
        generation = question.generation or self._newest
        kept = self._generations.get(generation)
        if kept is None:
            raise Fault(BAD_REQUEST, f"{PAGE}: this page link has ended; ask for the list again")
        found = [one.content for one in kept if _may(one, products) and question.criteria.fit(one.content)]
        size = PAGE_MAX if question.limit is None else min(question.limit, PAGE_MAX)
        end = question.offset + size
        # limit=0 asks for nothing: a link to the same place would lead round in a circle.
        has_more = size > 0 and end < len(found)
        rest = [(name, value) for name, value in pairs if name.lower() != PAGE]
        link = urlencode([*rest, (PAGE, f"{generation}.{end}")], quote_via=quote, safe=":") if has_more else ""
        return Page(found[question.offset : end], link)


def _may(one: Issued, products: frozenset[str] | None) -> bool:
    return products is None or one.offered.product.id in products


def validity_of(content: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """As stated, else three years from the end of the reference period (PACT 3, validity period)."""
    if "validityPeriodStart" in content:
        return _utc(content["validityPeriodStart"]), _utc(content["validityPeriodEnd"])
    begin = _utc(content["pcf"]["referencePeriodEnd"])
    year, is_leap_day = begin.year + VALID_YEARS, (begin.month, begin.day) == (2, 29)
    return begin, begin.replace(year=year, day=28 if is_leap_day else begin.day)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def read_question(pairs: Sequence[tuple[str, str]]) -> Question:
    """From a query. Raises Fault: a parameter that nobody knows must not be ignored, the list would hold too much."""
    values: dict[str, list[str]] = {}
    known = {name.lower(): name for name in (*LISTS, *INSTANTS, "status", "limit", PAGE)}
    for name, value in pairs:
        bare = known.get(name.lower().removeprefix("$"))
        if bare is None:
            raise Fault(BAD_REQUEST, f"parameter {ascii(name[:40])} is none of {', '.join(known.values())}")
        values.setdefault(bare, []).append(value)
    limit = _only(values.pop("limit", []), "limit", _LIMIT, "a whole number, 0 or more")
    place = _only(values.pop(PAGE, []), PAGE, _PAGE, "a place from a page link")
    found = _PAGE.fullmatch(place) if place is not None else None
    return Question(
        read_criteria(values),
        None if limit is None else int(limit),
        "" if found is None else found[1],
        0 if found is None else int(found[2]),
    )


def _only(values: Sequence[str], name: str, pattern: re.Pattern[str], what: str) -> str | None:
    if not values:
        return None
    if len(values) > 1 or pattern.fullmatch(values[0]) is None:
        raise Fault(BAD_REQUEST, f"{name} is not {what}, once")
    return values[0]


def read_criteria(values: Mapping[str, Sequence[str]]) -> Criteria:
    """By the exact names of the specification, of a query or of a RequestCreatedEvent. Raises Fault."""
    for name, texts in values.items():
        if len(texts) > VALUES_MAX or any(len(text) > VALUE_MAX for text in texts):
            raise Fault(
                BAD_REQUEST, f"{name}: more than {VALUES_MAX} values, or one of more than {VALUE_MAX} characters"
            )
    statuses = frozenset(text.casefold() for text in values.get("status", ()))
    if not statuses <= {ACTIVE.casefold(), DEPRECATED.casefold()}:
        raise Fault(BAD_REQUEST, f"status is {ACTIVE} or {DEPRECATED}")
    instants = {}
    for name in INSTANTS:
        if len(values.get(name, ())) > 1:
            raise Fault(BAD_REQUEST, f"{name} stands more than once")
        for text in values.get(name, ()):
            instants[name] = _instant(name, text)
    lists = {name: frozenset(text.casefold() for text in values[name]) for name in LISTS if values.get(name)}
    return Criteria(lists, instants, statuses)


def _instant(name: str, text: str) -> datetime:
    bare = _BARE_ZONE.fullmatch(text)
    try:
        found = datetime.fromisoformat(f"{bare[1]}+{bare[2]}" if bare is not None else text)
        if found.tzinfo is None:
            raise ValueError("no zone")
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Fault(BAD_REQUEST, f"{name} is no date-time with a zone (2026-12-31T00:00:00Z)") from error
