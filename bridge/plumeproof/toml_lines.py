"""Where every table and key of a TOML text stands, so that a refusal can name the line. tomllib keeps no lines.

A key that stands twice in one table is refused here, with both lines. Keys inside inline tables have no line of their
own.
"""

from __future__ import annotations

import re
from pathlib import Path

from plumeproof.errors import ConfigError

At = tuple[str | int, ...]
Lines = dict[At, int]
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")


def find_lines(text: str, path: Path) -> Lines:
    """Line of every table and key, by path; a key that stands twice in one table is refused here, with both lines.

    tomllib refuses it too, without saying which. Keys inside inline tables have no line of their own.
    """
    found: Lines = {}
    counts: dict[At, int] = {}
    table: At = ()
    closing: str | None = None  # of the multi-line string that this line lies in
    for number, line in enumerate(text.splitlines(), 1):
        if closing is not None:
            closing = None if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _table_at([part.strip("\"'") for part in re.findall(_PART, header[2])], header[1] == "[[", counts)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            name = (*table, *(part.strip("\"'") for part in re.findall(_PART, key[1])))
            if name in found:
                where = f"{path}: line {number}: {'.'.join(str(part) for part in name if isinstance(part, str))}"
                raise ConfigError(where, f"stands twice, first in line {found[name]}; remove one of them")
            found[name] = number
        closing = next((quotes for quotes in ('"""', "'''") if line.count(quotes) % 2), None)
    return found


def _table_at(parts: list[str], is_array: bool, counts: dict[At, int], table: At = ()) -> At:
    for part in parts[:-1]:
        table = (*table, part)
        if table in counts:  # [a.b] behind [[a]] belongs to its newest entry
            table = (*table, counts[table] - 1)
    table = (*table, parts[-1])
    if is_array:
        counts[table] = counts.get(table, 0) + 1
        table = (*table, counts[table] - 1)
    return table
