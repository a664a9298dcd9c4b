"""XML in and out: parsers with limits, a schema from the user's folder, faults with element name and line.

No document type, no entity, no network, no file but the schema and what it includes by name from its own folder.

    schema = load_schema(Path("schemas"), "QReport*.xsd"); tree = read_xml(Path("report.xml"))
    schema.faults(tree)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lxml import etree

from plumeproof.errors import ConfigError

FILE_MAX_BYTES = 32 << 20  # of a document
SCHEMA_MAX_BYTES = 4 << 20
FAULTS_MAX = 1_000  # that a schema tells of one document
SCHEMAS_MAX = 16  # files that one schema may include
XS = "{http://www.w3.org/2001/XMLSchema}"
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMES = re.compile(r"\{[^}]*\}")
Element: TypeAlias = Any  # etree._Element; lxml ships no types


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: the element that is wrong, or the one in which something is missing; `name`: of what is wrong or missing;
    `line` of `at`, 0 where the tree was not read from a file."""

    at: Element
    name: str
    line: int
    sentence: str


def local_name(element: Element) -> str:
    """Without its namespace; "" for a comment."""
    return _NAMES.sub("", element.tag) if isinstance(element.tag, str) else ""


def parse_xml(raw: bytes, where: str) -> Element:
    """The root. Raises ConfigError: what it is no XML by, with its line."""
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(where, f"larger than {FILE_MAX_BYTES} bytes")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise ConfigError(
            f"{where}: line {error.lineno or 1}", f"no XML: {' '.join(str(error.msg).split())}"
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ConfigError(where, "has a document type declaration (DOCTYPE); nothing here needs one: delete it")
    return root


def read_xml(path: Path, limit_bytes: int = FILE_MAX_BYTES) -> Element:
    """As `parse_xml`, of a file."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit_bytes + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    if len(raw) > limit_bytes:
        raise ConfigError(str(path), f"larger than {limit_bytes} bytes")
    return parse_xml(raw, str(path))


def new_root(namespace: str, name: str) -> Element:
    """An element that begins a document; its namespace needs no prefix."""
    return etree.Element(f"{{{namespace}}}{name}", nsmap={None: namespace})


def new_child(parent: Element, name: str, text: str | None = None) -> Element:
    """The next element below another one, of its namespace."""
    child = etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}")
    child.text = text
    return child


def write_xml(root: Element) -> bytes:
    """UTF-8, two blanks a level, a line end at the end: the same bytes each time."""
    etree.indent(root, space="  ")
    body: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=False)
    return DECLARATION + body + b"\n"


class Schema:
    """A compiled schema. `tree`: its root, as it was read."""

    def __init__(self, path: Path, tree: Element, compiled: etree.XMLSchema) -> None:
        self.path, self.tree, self._compiled = path, tree, compiled

    def faults(self, root: Element) -> Iterator[Fault]:
        """What the schema refuses, in the document's order."""
        if self._compiled.validate(root.getroottree()):
            return
        for entry in itertools.islice(self._compiled.error_log, FAULTS_MAX):
            found = root.xpath(entry.path) if entry.path else [root]
            at = found[0] if isinstance(found, list) and found and isinstance(found[0], etree._Element) else root
            yield Fault(at, local_name(at), entry.line, " ".join(_NAMES.sub("", entry.message).split())[:300])


def load_schema(path: Path, pattern: str) -> Schema:
    """Of a file, or of the one file of a folder that has this name. Raises ConfigError."""
    if path.is_dir():
        found = sorted(path.glob(pattern))
        if len(found) != 1:
            raise ConfigError(str(path), f"holds {len(found)} files {pattern}; name the schema file itself")
        path = found[0]
    tree = read_xml(path, SCHEMA_MAX_BYTES)
    _require_own_includes(path, tree, {path.name})
    try:
        return Schema(path, tree, etree.XMLSchema(file=str(path)))
    except etree.XMLSchemaParseError as error:
        raise ConfigError(str(path), f"is no XML schema: {str(error)[:200]}") from error


def _require_own_includes(path: Path, tree: Element, seen: set[str]) -> None:
    """libxml2 opens what a schema includes: it may only be a file beside it."""
    if tree.tag != f"{XS}schema":
        raise ConfigError(str(path), f"is no XML schema; its root is {local_name(tree)[:40]}")
    for word in ("include", "import", "redefine", "override"):
        for one in tree.iterfind(f"{XS}{word}"):
            name = one.get("schemaLocation", "")
            if not name or name != Path(name).name or ":" in name or "\\" in name or not (path.parent / name).is_file():
                told = "put that file beside the schema, under this name" if name else "it names no file"
                raise ConfigError(f"{path}: line {one.sourceline}", f"includes {name[:80]!r}; {told}")
            if name not in seen:
                seen.add(name)
                if len(seen) > SCHEMAS_MAX:
                    raise ConfigError(str(path), f"includes more than {SCHEMAS_MAX} files")
                _require_own_includes(path.parent / name, read_xml(path.parent / name, SCHEMA_MAX_BYTES), seen)
