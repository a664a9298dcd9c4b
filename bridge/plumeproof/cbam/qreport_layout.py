"""The elements of QReport 23.00 in their order (qreport_elements.csv), and what an archive needs beyond the schema
(qreport_rules.csv). Another version has another order: this layout builds and checks 23.00 and nothing else.

    layout = load_layout(); list(layout.faults(root, book))
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from plumeproof.cbam.codes import CodeBook
from plumeproof.cbam.xml_file import XS, Element, Fault, Schema, local_name
from plumeproof.errors import ConfigError

VERSION = "23.00"
NAMESPACE = "http://xmlns.ec.eu/BusinessObjects/CBAM/Types/V1"
ROOT = "QReport"
ROOT_TYPE = "QReportType"
NO_BOUND = "unbounded"


@dataclass(frozen=True, slots=True)
class Member:
    """One element of a type. `of`: its type; `maximum`: how often; `list`: of codes, "" for none."""

    name: str
    of: str
    minimum: int
    maximum: int
    list: str


@dataclass(frozen=True, slots=True)
class Need:
    """One of `names` must be there, though the schema leaves each open."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Complex types by name."""

    types: Mapping[str, tuple[Member, ...]]
    needs: Mapping[str, tuple[Need, ...]]

    def faults(self, root: Element, book: CodeBook) -> Iterator[Fault]:
        """What is missing, out of its place, unknown, or has an unknown code; in the document's order."""
        if root.tag != f"{{{NAMESPACE}}}{ROOT}":
            told = f"the root must be {ROOT} of namespace {NAMESPACE}"
            yield Fault(root, local_name(root), root.sourceline or 0, told)
            return
        yield from self._faults(root, ROOT_TYPE, book)

    def _faults(self, element: Element, kind: str, book: CodeBook) -> Iterator[Fault]:
        members, line = self.types[kind], element.sourceline or 0
        names = [member.name for member in members]
        count: dict[str, int] = {}
        last = 0
        for child in element.iterchildren("*"):
            name, at = local_name(child), child.sourceline or 0
            if child.tag != f"{{{NAMESPACE}}}{name}" or name not in names:
                yield Fault(child, name, at, f"{name[:60]} does not belong into {local_name(element)}")
                continue
            member, place = members[names.index(name)], names.index(name)
            count[name] = count.get(name, 0) + 1
            if count[name] == member.maximum + 1:
                told = f"{name} stands more than {member.maximum} times in {local_name(element)}"
                yield Fault(child, name, at, told)
            if place < last:
                told = f"{name} stands behind {names[last]}; in {local_name(element)} it belongs before it"
                yield Fault(child, name, at, told)
            last = max(last, place)
            if member.of in self.types:
                yield from self._faults(child, member.of, book)
            elif member.list:
                yield from _code_fault(child, member, book)
        for member in members:
            if member.minimum and not count.get(member.name):
                yield Fault(element, member.name, line, f"{member.name} is missing in {local_name(element)}")
        for need in self.needs.get(kind, ()):
            if not any(count.get(name) for name in need.names):
                told = f"{' or '.join(need.names)} is missing in {local_name(element)}: {need.reason}"
                yield Fault(element, need.names[0], line, told)

    def require_version(self, schema: Schema) -> None:
        """That the user's schema declares what this layout writes. Raises ConfigError with the first difference."""
        there = {one.get("name"): one for one in schema.tree.iterfind(f"{XS}complexType")}
        for kind, members in self.types.items():
            found = there.get(kind)
            sequence = None if found is None else found.find(f"{XS}sequence")
            theirs = () if sequence is None else tuple(_declared(one) for one in sequence.iterfind(f"{XS}element"))
            ours = tuple((one.name, one.of, one.minimum, one.maximum) for one in members)
            if ours != theirs:
                name = next((a[0] for a, b in zip(ours, theirs, strict=False) if a != b), kind)
                told = f"is not QReport {VERSION}: {kind}.{name} differs; point --xsd at QReport_ver{VERSION}.xsd"
                raise ConfigError(str(schema.path), told)


def _code_fault(element: Element, member: Member, book: CodeBook) -> Iterator[Fault]:
    try:
        book.require(member.list, (element.text or "").strip())
    except ValueError as error:
        yield Fault(element, member.name, element.sourceline or 0, f"{member.name}: {error}")


def _declared(element: Element) -> tuple[str, str, int, int]:
    most = element.get("maxOccurs", "1")
    kind = element.get("type", "")
    return (element.get("name", ""), kind, int(element.get("minOccurs", "1")), 10**9 if most == NO_BOUND else int(most))


@cache
def load_layout() -> Layout:
    """The package's."""
    types: dict[str, list[Member]] = {}
    for row in _table("qreport_elements.csv"):
        member = Member(row["element"], row["of"], int(row["min"]), int(row["max"]), row["list"])
        types.setdefault(row["type"], []).append(member)
    needs: dict[str, list[Need]] = {}
    for row in _table("qreport_rules.csv"):
        needs.setdefault(row["type"], []).append(Need(tuple(row["element"].split("|")), row["reason"]))
    return Layout(
        {name: tuple(members) for name, members in types.items()}, {name: tuple(one) for name, one in needs.items()}
    )


def _table(name: str) -> list[dict[str, str]]:
    text = (files("plumeproof.cbam") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text), strict=True))
