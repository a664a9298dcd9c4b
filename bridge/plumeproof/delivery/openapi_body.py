"""What a platform's schema objects to in a body, and what a schema says about a field: the JSON Schema side of OpenAPI.

3.1 is JSON Schema 2020-12; 3.0 is draft 4 (Wright 00) with `nullable`. Validation is jsonschema's, of the extra
`profiles`; formats are not asserted, as both versions leave it open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from plumeproof.delivery.openapi import EXTRA, DescriptionFault, Node, to_step
from plumeproof.errors import ConfigError

HOME = "urn:plumeproof:description"
SHOWN_MAX = 60  # characters of a value or limit
ERRORS_MAX = 200  # looked at; equal ones of other averages are one finding
DEPTH_MAX = 16  # of allOf, oneOf, anyOf below each other


class Schemas:
    """Validators for the schemas of one description."""

    def __init__(self, root: Node) -> None:
        """Raises ConfigError where the library is missing."""
        try:
            import jsonschema
            import referencing
            import referencing.exceptions
            import referencing.jsonschema
        except ImportError as error:
            raise ConfigError("profile check", f"needs a library that is not installed: {EXTRA}") from error
        self._broken: tuple[type[Exception], ...] = (
            jsonschema.SchemaError,
            referencing.exceptions.Unresolvable,
            TypeError,  # a rule of another type than it must be, met behind a reference
            ValueError,
            RecursionError,
        )
        is_new = root.text("openapi").startswith("3.1.")
        rules = referencing.jsonschema.DRAFT202012 if is_new else referencing.jsonschema.DRAFT4
        resource = rules.create_resource(root.value)
        self._registry = referencing.Registry().with_resource(HOME, resource)
        self._kind: Any = jsonschema.Draft202012Validator
        if not is_new:
            draft4 = jsonschema.Draft4Validator
            by_type = draft4.VALIDATORS["type"]

            def nullable(validator: Any, types: Any, value: Any, schema: Any) -> Iterator[Any]:
                if value is not None or schema.get("nullable") is not True:
                    yield from by_type(validator, types, value, schema)

            self._kind = jsonschema.validators.extend(draft4, {"type": nullable})

    def find_faults(self, schema: Node, body: Any, what: str = "the body") -> list[tuple[str, str]]:
        """(pointer of the broken rule, sentence), each once however many averages break it."""
        validator = self._kind({"$ref": f"{HOME}#{_quoted(schema.pointer)}"}, registry=self._registry)
        found: dict[tuple[str, str], None] = {}
        try:
            self._kind.check_schema(schema.value)
            for count, error in enumerate(validator.iter_errors(body)):
                if count >= ERRORS_MAX:
                    break
                found[self._place(schema, list(error.absolute_schema_path)), _sentence(error, what)] = None
        except re.error as error:
            found[schema.pointer, f"holds a pattern that cannot be tried here: {error}"] = None
        except self._broken as error:
            reason = " ".join(str(getattr(error, "message", error)).split())[:100]
            found[schema.pointer, f"cannot be used as a schema: {reason}"] = None
        return list(found)

    def _place(self, schema: Node, steps: list[Any]) -> str:
        """The pointer of a rule. The library leaves references out of its path, and `items` follows them."""
        node = schema
        for index, step in enumerate(steps):
            try:
                below = dict(node.items()).get(str(step))
            except DescriptionFault:
                below = None
            if below is None:
                return node.pointer + "".join(f"/{to_step(str(one))}" for one in steps[index:])
            node = below
        return node.pointer


def fields_of(schema: Node, name: str, depth: int = 0) -> list[tuple[Node, bool]]:
    """Where a schema speaks of the member `name`, and whether it must be there; alternatives count as possible."""
    found: list[tuple[Node, bool]] = []
    if depth > DEPTH_MAX:
        return found
    member = schema.get("properties", name)
    if member is not None:
        required = schema.value.get("required")
        found.append((member, isinstance(required, list) and name in required))
    for word in ("allOf", "oneOf", "anyOf"):
        group = schema.get(word)
        for _, inner in group.items() if group is not None else ():
            found += [(node, must and word == "allOf") for node, must in fields_of(inner, name, depth + 1)]
    return found


def says_fields(schema: Node, depth: int = 0) -> bool:
    """Whether a schema names any member at all."""
    if depth > DEPTH_MAX:
        return False
    if schema.get("properties") is not None:
        return True
    groups = [schema.get(word) for word in ("allOf", "oneOf", "anyOf")]
    return any(says_fields(inner, depth + 1) for group in groups if group is not None for _, inner in group.items())


def allows_type(schema: Node, kind: str) -> bool:
    """Whether a member may be of this JSON type; without a word about types, it may."""
    said = schema.value.get("type") if isinstance(schema.value, dict) else None
    types = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return not types or kind in types or (kind == "integer" and "number" in types)


def _sentence(error: Any, what: str) -> str:
    """Without what stands in the body beyond one value."""
    place = "/".join("*" if isinstance(step, int) else str(step) for step in error.absolute_path)
    at = f"member {place}" if place else what
    rule, limit, value = str(error.validator), error.validator_value, error.instance
    if rule == "required" and isinstance(value, dict):
        return f"{at} needs {', '.join(name for name in limit if name not in value)}, which the profile does not send"
    if rule == "additionalProperties" and isinstance(value, dict):
        known = error.schema.get("properties", {})
        return f"{at} takes no {', '.join(name for name in value if name not in known)}, which the profile sends"
    shown = json.dumps(value)[:SHOWN_MAX] if not isinstance(value, (dict, list)) else f"with {len(value)} entries"
    return f"{at}: {shown} does not satisfy {rule} {json.dumps(limit, default=str)[:SHOWN_MAX]}"


def _quoted(pointer: str) -> str:
    """A pointer as a fragment of a URI (RFC 6901 section 6)."""
    return quote(pointer, safe="/~!$&'()*+,;=:@?-._")
