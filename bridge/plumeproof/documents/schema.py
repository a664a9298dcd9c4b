"""A published schema (JSON Schema draft 2020-12, package data) and the canonical form of what it describes.

faults = faults_of(load_schema("ghg_data_set"), document)      (path, sentence), [] where it holds
digest_of(document["ghgStatement"])                            SHA-256 of the RFC 8785 (June 2020) bytes, hex
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import rfc8785

from plumeproof.documents.site_time import instant_of
from plumeproof.errors import ConfigError

FAULTS_MAX = 200  # named; a document with more is no document of this kind
SHOWN_MAX = 60  # characters of a value
Fault = tuple[str, str]  # JSON pointer (RFC 6901), sentence
_FORMATS = jsonschema.FormatChecker(formats=())  # the library's own ones need further libraries


@cache
def load_schema(name: str) -> dict[str, Any]:
    """One of this release."""
    raw = files("plumeproof.documents").joinpath("schemas", f"{name}.json").read_bytes()
    found: dict[str, Any] = json.loads(raw)
    return found


def canonical(value: Any) -> bytes:
    """RFC 8785. Raises ConfigError for what has no such form: a number beyond 2^53, a lone surrogate."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise ConfigError("document", f"has no canonical form: {str(error)[:100]}") from error


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical form, lowercase hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def faults_of(schema: dict[str, Any], document: Any) -> list[Fault]:
    """What a document does not have as its schema wants it, in the document's order."""
    found: dict[Fault, None] = {}
    for error in jsonschema.Draft202012Validator(schema, format_checker=_FORMATS).iter_errors(document):
        for fault in _sentences(error):
            found[fault] = None
        if len(found) >= FAULTS_MAX:
            break
    return sorted(found)


def pointer_of(steps: Any) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _sentences(error: Any) -> list[Fault]:
    rule, value, at = str(error.validator), error.instance, list(error.absolute_path)
    if rule == "required":
        return [(pointer_of([*at, name]), "is missing") for name in error.validator_value if name not in value]
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        return [(pointer_of([*at, name]), "is no element of this schema") for name in value if name not in known]
    if rule == "anyOf" and error.context:
        # Of null or an object, or a word or an object, the one that the value is meant to be
        meant = [one for one in error.context if not _is_other_kind(one, at)]
        return [fault for one in meant for fault in _sentences(one)] or _sentences(error.context[-1])
    return [(pointer_of(at), _told(error))]


def _is_other_kind(error: Any, at: list[Any]) -> bool:
    return error.validator in ("type", "const") and list(error.absolute_path) == at


def _told(error: Any) -> str:
    value, rule, limit = error.instance, str(error.validator), error.validator_value
    shown = json.dumps(value, ensure_ascii=True)[:SHOWN_MAX] if not isinstance(value, (dict, list)) else "what is there"
    if rule in ("pattern", "format"):
        kind = error.schema.get("title", "of the wanted form")
        return f"{shown} is no {kind}"
    if rule == "const":
        return f"{shown} is not {json.dumps(limit)}"
    if rule == "enum":
        return f"{shown} is none of {', '.join(json.dumps(one) for one in limit)}"
    if rule == "type":
        return f"{shown} is no {' or '.join(limit) if isinstance(limit, list) else limit}"
    if rule in ("minItems", "minProperties", "minLength"):
        return f"holds less than {limit}"
    return re.sub(r"\s+", " ", f"{shown} does not satisfy {rule}")[:200]


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or instant_of(value) is not None


def _is_day(value: object) -> bool:
    return not isinstance(value, str) or date.fromisoformat(value) is not None


_FORMATS.checks("date-time", raises=ValueError)(_is_time)
_FORMATS.checks("date", raises=ValueError)(_is_day)
