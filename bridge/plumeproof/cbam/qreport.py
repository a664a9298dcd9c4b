"""The quarterly report of the transitional period (QReport XML 23.00), for archives and corrections.

Its input is TOML or JSON with the schema's own element names, in any order; the builder puts them into the schema's
(qreport_layout.py). A number is text in quotes, so that its digits stay; `SpecificEmbeddedEmissions = "operator"` takes
the figure of the CN code from operator emissions data.

    report = build_report(load_input(Path("q4.toml")), book, figures); report.root
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

from plumeproof.cbam.codes import CodeBook
from plumeproof.cbam.qreport_layout import NAMESPACE, ROOT, ROOT_TYPE, Layout, Member, load_layout
from plumeproof.cbam.xml_file import Element, Fault, Schema, new_child, new_root
from plumeproof.errors import ConfigError
from plumeproof.section import Section
from plumeproof.toml_file import parse_toml, read_text

SAMPLE = "plumeproof report qreport --sample"
FILE_MAX_BYTES = 32 << 20
FROM_OPERATOR = "operator"
SEE_DECIMALS = 7  # that the schema carries (dec16-7)
SEE = "SpecificEmbeddedEmissions"
FIRST_QUARTER, LAST_QUARTER = "2023 Q4", "2025 Q4"  # (EU) 2023/1773: 2023-10-01 to 2025-12-31
Figures = Mapping[tuple[str, str], Decimal]  # (CN code, direct or indirect) to t CO2e per functional unit


@dataclass(frozen=True, slots=True)
class QReport:
    """A report that was built. `places`: of each element its table and key in the input."""

    root: Element
    places: dict[Element, tuple[Section, str]]
    layout: Layout

    def require_valid(self, book: CodeBook, schema: Schema) -> None:
        """That rules, code lists and schema accept it. Raises ConfigError: place in the input, element, mend."""
        self.layout.require_version(schema)
        for fault in faults_of(self.root, self.layout, book, schema):
            section, key = self.places[fault.at]
            if fault.name != key:  # something is missing below this element
                raise section.refuse(key, fault.sentence)
            raise section.refuse(key, fault.sentence.removeprefix(f"{key}: "))


def faults_of(root: Element, layout: Layout, book: CodeBook, schema: Schema) -> Iterator[Fault]:
    """By the layout first, which names what is missing; then by the schema, which has the last word on its form; then
    by what the elements say together."""
    found = sorted(layout.faults(root, book), key=lambda fault: fault.line)
    found = found or list(schema.faults(root))
    yield from found or _together(root)


def _together(root: Element) -> Iterator[Fault]:
    """Of a report that is whole and well formed."""
    period = root.find(f"{{{NAMESPACE}}}ReportingPeriod")
    when = f"{root.findtext(f'{{{NAMESPACE}}}Year')} {period.text}"
    if not FIRST_QUARTER <= when <= LAST_QUARTER:
        told = f"{when} is no quarter of the transitional period ({FIRST_QUARTER} to {LAST_QUARTER})"
        yield Fault(period, "ReportingPeriod", period.sourceline or 0, told)
    for hs in root.iter(f"{{{NAMESPACE}}}HsCode"):
        cn = hs.getnext()
        if not cn.text.startswith(hs.text):
            yield Fault(hs, "HsCode", hs.sourceline or 0, f"HsCode {hs.text} does not begin CnCode {cn.text}")


def load_input(path: Path) -> Section:
    """TOML, or JSON where the name ends so. Raises ConfigError."""
    text = read_text(path, FILE_MAX_BYTES, f"`{SAMPLE}` prints one", "this is no quarterly report")
    if path.suffix.lower() == ".json":
        try:
            return Section(json.loads(text, object_pairs_hook=_once), (), {}, path, SAMPLE)
        except (ValueError, RecursionError) as error:
            raise ConfigError(str(path), f"no JSON: {error}") from error
    tree, lines = parse_toml(text, path)
    return Section(tree, (), lines, path, SAMPLE)


def build_report(top: Section, figures: Figures | None = None) -> QReport:
    """Elements in the schema's order. Raises ConfigError for unknown, missing and mistyped keys."""
    builder = _Builder(load_layout(), figures)
    root = new_root(NAMESPACE, ROOT)
    builder.places[root] = (top, ROOT)
    builder.fill(root, ROOT_TYPE, top, "")
    return QReport(root, builder.places, builder.layout)


class _Builder:
    def __init__(self, layout: Layout, figures: Figures | None) -> None:
        self.layout, self._figures = layout, figures
        self.places: dict[Element, tuple[Section, str]] = {}

    def fill(self, element: Element, kind: str, section: Section, cn: str) -> None:
        members = self.layout.types[kind]
        section.only(*(member.name for member in members))
        for member in members:
            if not section.has(member.name):
                if member.minimum:
                    raise section.refuse(member.name, f"is missing; `{SAMPLE}` shows it")
            elif member.of not in self.layout.types:
                child = self._add(element, member, section)
                text = section.take(member.name, _text)
                child.text = self._figure(text, kind, section, cn) if member.name == SEE else text
            elif member.maximum == 1:
                below = section.inner(member.name)
                child = self._add(element, member, section)
                self.fill(child, member.of, below, cn)
                cn = _cn_of(child) or cn
            else:
                for below in section.sections(member.name, is_needed=True):
                    self.fill(self._add(element, member, below), member.of, below, cn)

    def _add(self, element: Element, member: Member, section: Section) -> Element:
        child = new_child(element, member.name)
        self.places[child] = (section, member.name)
        return child

    def _figure(self, text: str, kind: str, section: Section, cn: str) -> str:
        if text != FROM_OPERATOR:
            return text
        part = "direct" if kind == "DirectEmissionsType" else "indirect"
        if self._figures is None:
            raise section.refuse(SEE, "stands for a figure of operator data; name them with --operator-data FILE")
        if (cn, part) not in self._figures:
            told = ", ".join(sorted({code for code, _ in self._figures})) or "none"
            raise section.refuse(SEE, f"the operator data have no {part} figure of CN code {cn or '?'}: {told}")
        found = self._figures[cn, part].quantize(Decimal(1).scaleb(-SEE_DECIMALS), ROUND_HALF_EVEN)
        return format(found, "f")


def figures_of(path: Path) -> dict[tuple[str, str], Decimal]:
    """Specific embedded emissions by CN code, from `plumeproof report cbam --json`. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            tree = json.loads(file.read(FILE_MAX_BYTES + 1).decode())
        found: dict[tuple[str, str], Decimal] = {}
        for one in tree["see"]:
            for part in ("direct", "indirect"):
                found[str(one["cnCode"]), part] = Decimal(one[part])
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, ArithmeticError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(str(path), "holds no operator data; `plumeproof report cbam --json` writes them") from error
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose keys stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{ascii(twice)[:60]} stands twice in one object; delete one")
    return found


def _cn_of(element: Element) -> str:
    return element.findtext(f"{{{NAMESPACE}}}CnCode") or ""


def _text(value: Any, _folder: Path) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("must be text in quotes; a number too, so that its digits stay")
    if not value or not value.isprintable():
        raise ValueError("is empty or holds characters that cannot be printed")
    return value
