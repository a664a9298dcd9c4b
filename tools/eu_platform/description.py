"""The OpenAPI description as the platform obeys and serves it: openapi.yaml, and validators made of its own schemas.

JSON Schema's patterns are ECMA-262: `$` is the end of the text. Python's `$` also matches before a last newline, so
the validators read it as `\\Z`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from tools.eu_platform.problems import MOST_ERRORS, Finding

FILE = Path(__file__).parent / "openapi.yaml"
LONGEST_SAID = 60  # characters of a limit that is repeated in an error


@cache
def ecma_pattern(pattern: str) -> re.Pattern[str]:
    """For the patterns of the description: anchored, no `$` but the last."""
    return re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern)


def _pattern(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and ecma_pattern(pattern).search(value) is None:
        yield ValidationError("does not match")


Validator = extend(Draft202012Validator, {"pattern": _pattern})


class Description:
    """openapi.yaml, read once."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
        self.json_bytes = json.dumps(self.document, ensure_ascii=False, separators=(",", ":")).encode()
        self.version: str = self.document["info"]["version"]
        schemas = self.document["components"]["schemas"]
        self._report = Validator(schemas["Report"])
        self._anchor = Validator(schemas["Anchor"])

    def find_faults(self, report: object) -> list[Finding]:
        """What the schema of a report objects to, at most MOST_ERRORS of it."""
        return [_to_finding(error) for error in islice(self._report.iter_errors(report), MOST_ERRORS)]

    def find_anchor_faults(self, anchor: object) -> list[Finding]:
        """The same of an anchor."""
        return [_to_finding(error) for error in islice(self._anchor.iter_errors(anchor), MOST_ERRORS)]


def _to_finding(error: ValidationError) -> Finding:
    """Without the offending value: it may be large, or nobody's business."""
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error.absolute_path)
    keyword = str(error.validator)
    if keyword == "required" and isinstance(error.instance, dict):
        missing = [name for name in error.validator_value if name not in error.instance]
        return Finding(pointer, keyword, f"missing: {', '.join(missing)}")
    limit = json.dumps(error.validator_value)
    said = limit if len(limit) <= LONGEST_SAID else limit[:LONGEST_SAID] + "..."
    return Finding(pointer, keyword, f"does not satisfy {keyword} {said}")
