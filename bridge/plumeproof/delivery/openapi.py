"""A platform's OpenAPI description as a tree whose every node knows its place: YAML or JSON in, nodes out.

OpenAPI 3.0 and 3.1; references inside the document are followed, others are refused with their place, because nothing
is fetched that nobody named. PyYAML belongs to the extra `profiles` and is imported only where a description is YAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from plumeproof.errors import ConfigError

FILE_MAX_BYTES = 8 * 1024 * 1024  # the largest public ones have some 10 MB with every example; ours has 40 KB
DEPTH_MAX = 200  # of the document
HOPS_MAX = 16  # references in a row
VERSIONS = ("3.0.", "3.1.")
EXTRA = "pip install 'plumeproof[profiles]'"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class DescriptionFault(Exception):
    """A place of the description that cannot be used. `pointer`: RFC 6901."""

    def __init__(self, pointer: str, sentence: str) -> None:
        super().__init__(sentence)
        self.pointer = pointer


class Node:
    """A value and its pointer. `get` follows references: the pointer is the one of the thing itself."""

    def __init__(self, document: dict[str, Any], value: Any, pointer: str = "") -> None:
        self._document, self.value, self.pointer = document, value, pointer

    def get(self, *keys: str) -> Node | None:
        """The node below, None where there is none. Raises DescriptionFault for a reference that leads nowhere."""
        node = self
        for key in keys:
            inside = node.value.get(key) if isinstance(node.value, dict) else None
            if inside is None:
                return None
            node = Node(self._document, inside, f"{node.pointer}/{to_step(key)}")._followed()
        return node

    def text(self, key: str) -> str:
        """A text below, empty where there is none."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else ""

    def items(self) -> Iterator[tuple[str, Node]]:
        """Nodes of an object, by name, or of a list, by number."""
        if isinstance(self.value, dict):
            names = [str(name) for name in self.value]
            values = list(self.value.values())
        else:
            values = self.value if isinstance(self.value, list) else []
            names = [str(index) for index in range(len(values))]
        for name, value in zip(names, values, strict=True):
            yield name, Node(self._document, value, f"{self.pointer}/{to_step(name)}")._followed()

    def _followed(self) -> Node:
        node = self
        for _ in range(HOPS_MAX):
            reference = node.value.get("$ref") if isinstance(node.value, dict) else None
            if not isinstance(reference, str):
                return node
            if not reference.startswith("#/"):
                raise DescriptionFault(node.pointer, f"{reference[:100]!r} lies outside; bundle it into one file")
            node = self._at(reference.removeprefix("#"), node.pointer)
        raise DescriptionFault(self.pointer, "references go round in a circle")

    def _at(self, pointer: str, place: str) -> Node:
        value: Any = self._document
        for step in pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                raise DescriptionFault(place, f"refers to #{pointer[:100]}, which is not there")
        return Node(self._document, value, pointer)


def to_step(key: str) -> str:
    """A step of a pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def read_description(raw: bytes, where: str) -> Node:
    """The root. Raises ConfigError: too large, neither JSON nor YAML, no OpenAPI of a version we know."""
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(where, f"larger than {FILE_MAX_BYTES} bytes; give the part with the paths of the profile")
    document = _parse(raw, where)
    try:
        document = _plain(document, 0)
    except RecursionError as error:
        raise ConfigError(where, f"deeper than {DEPTH_MAX}, or an alias holds itself") from error
    version = document.get("openapi") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(version, str) or not version.startswith(VERSIONS):
        said = f"says openapi: {str(version)[:20]}" if version is not None else "has no `openapi` at its top"
        raise ConfigError(where, f"{said}; needed is a description of OpenAPI 3.0 or 3.1")
    return Node(document, document)


def _parse(raw: bytes, where: str) -> Any:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(where, f"no UTF-8 at byte {error.start}") from error
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(where, f"no JSON: {error}") from error
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(where, f"YAML cannot be read without its library: {EXTRA}") from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise ConfigError(where, f"no YAML: {line}") from error


def _plain(value: Any, depth: int) -> Any:
    """Keys are texts, as JSON has them: YAML makes numbers of statuses."""
    if depth > DEPTH_MAX:
        raise RecursionError
    if isinstance(value, dict):
        return {str(key): _plain(one, depth + 1) for key, one in value.items()}
    return [_plain(one, depth + 1) for one in value] if isinstance(value, list) else value
