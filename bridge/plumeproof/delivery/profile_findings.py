"""What a check of a profile finds, and the three questions that every check asks of a description.

Is this operation there, which schema has this body, and does an answer have this member? Places are RFC 6901 pointers.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from plumeproof.delivery.openapi import METHODS, DescriptionFault, Node
from plumeproof.delivery.openapi_body import Schemas, allows_type, fields_of, says_fields
from plumeproof.delivery.profile import Profile

ERROR, WARNING = "error", "warning"
IN_PROFILE, IN_DESCRIPTION = "profile", "description"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line. `document`: profile or description."""

    level: str
    document: str
    pointer: str
    sentence: str

    def line(self) -> str:
        """As it is printed."""
        return f"{self.level:7} {self.document}:{self.pointer or '/'}: {self.sentence}"


class Findings:
    """The findings of one run. `lines`: so far."""

    def __init__(self, profile: Profile, root: Node) -> None:
        """Raises ConfigError where a library is missing."""
        self.profile, self.root = profile, root
        self.schemas = Schemas(root)
        self.lines: list[Finding] = []

    def guarded(self, check: Callable[[], None]) -> None:
        """Run a check; a place that cannot be used is a finding."""
        try:
            check()
        except DescriptionFault as fault:
            self.said(ERROR, fault.pointer, str(fault))

    def own(self, level: str, pointer: str, sentence: str) -> None:
        """Something about the profile itself."""
        self.lines.append(Finding(level, IN_PROFILE, pointer, sentence))

    def said(self, level: str, pointer: str, sentence: str) -> None:
        """Something about a place of the description."""
        self.lines.append(Finding(level, IN_DESCRIPTION, pointer, sentence))

    def operation(self, key: str, path: str, method: str) -> Node | None:
        """The operation behind a path of the profile, as far as it is there."""
        paths = self.root.get("paths")
        known = [name for name, _ in paths.items()] if paths is not None else []
        item = paths.get(path) if paths is not None else None
        if item is None:
            near = difflib.get_close_matches(path, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.said(ERROR, "/paths", f"no path {path}, which the profile names at {key}{hint}")
            return None
        operation = item.get(method)
        if operation is None:
            there = [name for name, _ in item.items() if name in METHODS]
            self.said(ERROR, item.pointer, f"no {method.upper()}, but {', '.join(there) or 'nothing'} ({key})")
        return operation

    def schema_of(self, holder: Node | None, media_type: str, what: str) -> Node | None:
        """The schema of a body with this media type; None where nothing is said of it."""
        content = holder.get("content") if holder is not None else None
        if holder is None or content is None:
            return None
        wanted = media_type.partition(";")[0].strip().lower()
        named = {name.partition(";")[0].strip().lower(): one for name, one in content.items()}
        ranges = (wanted, f"{wanted.partition('/')[0]}/*", "*/*")
        media = next((named[name] for name in ranges if name in named), None)
        if media is None:
            self.said(ERROR, content.pointer, f"{what} is {', '.join(named)}, not {wanted} as the profile has it")
            return None
        return media.get("schema")

    def member(self, schema: Node, name: str, kind: str, use: str) -> None:
        """Whether an answer has a member that is read."""
        found = fields_of(schema, name)
        if not found:
            level = ERROR if says_fields(schema) else WARNING
            self.said(level, schema.pointer, f"no member {name}, which is read ({use})")
            return
        if not any(allows_type(node, kind) for node, _ in found):
            self.said(ERROR, found[0][0].pointer, f"{name} is no {kind}, as which it is read ({use})")
        if not any(must for _, must in found):
            self.said(WARNING, found[0][0].pointer, f"{name} may be left out, and is read ({use})")
