"""A data set as a file that somebody else may have edited: read with limits, nothing taken for granted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plumeproof.delivery.nesting import is_deeper
from plumeproof.errors import ConfigError

FILE_MAX_BYTES = 64 * 1024 * 1024  # a thousand sources of twelve months each take a third of it
DEPTH_MAX = 32  # the schema has 12


def read_data_set(path: Path) -> Any:
    """Raises ConfigError: file, what is wrong with it."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}; name a data set (JSON)") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(str(path), f"larger than {FILE_MAX_BYTES} bytes; this is no data set")
    if is_deeper(raw, DEPTH_MAX):
        raise ConfigError(str(path), f"nests deeper than {DEPTH_MAX}; this is no data set")
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_number)
    except ValueError as error:  # JSON and UTF-8 both
        raise ConfigError(str(path), f"is no JSON: {str(error)[:120]}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{ascii(twice)[:60]} is there twice in one object")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
