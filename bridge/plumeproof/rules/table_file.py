"""A table of the trade as a data file (rules/tables/*.json): numbers with their source and how sure they are.

A table holds text, whole numbers, true/false and nothing else; a decimal is text ("0.85"), so that what was printed is
what is kept. Every key must be there and no other may. The SHA-256 of its RFC 8785 bytes goes into the lineage of a
figure. A path names a table of your own in the same form.

    head, rows = load_table("gwp", read_sets)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import rfc8785

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader

FILE_MAX_BYTES = 256 * 1024  # reference: reliability section 8, configuration
NOTE_MAX = 500  # characters of a source or remark
_SHIPPED = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")  # anything else is a path
_ROWS_MAX = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TableHead:
    """What a figure says of the table it used."""

    id: str
    version: str
    title: str
    source: str
    sha256: str  # hex, of the RFC 8785 bytes


def load_table(name_or_path: str | Path, read: Callable[[Reader], T]) -> tuple[TableHead, T]:
    """The head and what `read` makes of the key "table". Raises RuleError: file, place, reason."""
    where, text = _text(name_or_path)
    try:
        content = json.loads(
            text, object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float, parse_int=_whole
        )
        reader = Reader(content, "the file")
        head = TableHead(
            reader.identifier("id"),
            reader.text("version"),
            read_note(reader, "title"),
            read_note(reader, "source"),
            hashlib.sha256(rfc8785.dumps(content)).hexdigest(),
        )
        rows = read(reader)
        reader.done()
    except ParametersError as error:
        raise RuleError(where, f"{error.detail}; compare with the table that comes with the bridge") from error
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise RuleError(where, f"no table: {str(error)[:200]}; compare with the one of the bridge") from error
    return head, rows


def read_note(reader: Reader, key: str) -> str:
    """A source or remark: one line of at most 500 characters."""
    text = reader.take(key)
    if not isinstance(text, str) or not 1 <= len(text) <= NOTE_MAX or not text.isprintable():
        raise ParametersError("range", f"{reader.where}: {key} is no line of 1..{NOTE_MAX} characters")
    return text


def read_confidence(reader: Reader, key: str = "confidence") -> float:
    """0 (a guess) to 1 (read in the source)."""
    value = reader.decimal(key)
    if not 0.0 <= value <= 1.0:
        raise ParametersError("range", f"{reader.where}: {key} is outside 0..1")
    return value


def read_rows(reader: Reader, key: str, read: Callable[[Reader], T]) -> tuple[T, ...]:
    """At least one row, at most a thousand."""
    return reader.each(key, 1, _ROWS_MAX, read)


def _text(name_or_path: str | Path) -> tuple[str, str]:
    if isinstance(name_or_path, str) and _SHIPPED.fullmatch(name_or_path):
        entry = resources.files("plumeproof.rules") / "tables" / f"{name_or_path}.json"
        where = f"rules/tables/{name_or_path}.json"
        if not entry.is_file():
            raise RuleError(where, "there is no such table; name a shipped one or a path")
        return where, entry.read_text(encoding="utf-8")
    path = Path(name_or_path)
    where = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise RuleError(where, f"cannot be read ({error.strerror}); check name and rights") from error
    if len(raw) > FILE_MAX_BYTES:
        raise RuleError(where, f"longer than {FILE_MAX_BYTES} bytes; a table is short")
    try:
        return where, raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RuleError(where, "is not UTF-8; save it as UTF-8") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"number {text[:20]}: write decimals as text")


def _whole(text: str) -> int:
    if len(text) > 15:  # what RFC 8785 keeps exactly
        raise ValueError(f"number {text[:20]}... is too long")
    return int(text)
