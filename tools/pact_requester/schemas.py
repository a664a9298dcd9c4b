"""The OpenAPI description as a judge of answers: JSON Schema 2020-12 by jsonschema, formats asserted."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import referencing
import referencing.jsonschema
import yaml

HOME = "urn:pact:description"
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_URN = re.compile(r"urn:[a-z0-9][a-z0-9-]{0,31}:\S+", re.IGNORECASE)
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("uuid", ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(uuid.UUID(value))


@FORMATS.checks("date-time", ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("decimal")
def _is_decimal(value: object) -> bool:
    return not isinstance(value, str) or _DECIMAL.fullmatch(value) is not None


@FORMATS.checks("urn")
def _is_urn(value: object) -> bool:
    return not isinstance(value, str) or _URN.fullmatch(value) is not None


class Description:
    """One OpenAPI file of PACT 3."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for another document, OSError."""
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not str(document.get("openapi")).startswith("3.1."):
            raise ValueError(f"{path}: no OpenAPI 3.1 description; the one of PACT 3 is meant")
        self.version = str(document["info"]["version"])
        resource = referencing.jsonschema.DRAFT202012.create_resource(document)
        self._registry = referencing.Registry().with_resource(HOME, resource)
        self._judged: dict[tuple[str, str], list[str]] = {}  # the same footprint comes in many answers

    def faults(self, name: str, value: Any) -> list[str]:
        """What schema `name` (of components/schemas) objects to, a sentence each."""
        key = (name, json.dumps(value, sort_keys=True))
        if key not in self._judged:
            validator = jsonschema.Draft202012Validator(
                {"$ref": f"{HOME}#/components/schemas/{name}"}, registry=self._registry, format_checker=FORMATS
            )
            self._judged[key] = [f"{one.json_path}: {one.message[:200]}" for one in validator.iter_errors(value)]
        return self._judged[key]
