"""Ids in a document, whoever wrote it: the figures, averages and records that it names, and where it does.

Any text can be read: JSON, XML, CSV, a page. An id counts where it stands whole; what follows a place is a line of the
file. Whether the document says the right number is its own check's task; here its ids lead down to the records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from plumeproof.errors import ConfigError
from plumeproof.rules.figure import LEVELS

BYTES_MAX = 64 << 20
IDS_MAX = 20_000
PLACES_MAX = 8  # of one id that are kept
_WORD = r"[A-Za-z0-9._~%+-]{1,96}"
_PERIOD = "|".join([*LEVELS[1:], r"[1-9]\d{0,3}min"])
_WHOLE = re.compile(
    rf"(?<![\w/.%~+-])(?:{_WORD}/{_WORD}/{_WORD}/(?:{_PERIOD})/\d{{8}}T\d{{4}}Z/{_WORD}(?:/r\d{{1,9}})?"
    rf"|{_WORD}/{_WORD}/[1-9]\d{{0,6}}s/\d{{8}}T\d{{6}}Z/{_WORD}(?:/r\d{{1,9}})?"
    rf"|{_WORD}/seq[1-9]\d{{0,18}})(?![\w/.%~+-])"
)


@dataclass(slots=True)
class Named:
    """An id that a document names `count` times; `lines`: numbers of the first places."""

    id: str
    count: int = 0
    lines: list[int] = field(default_factory=list)


def ids_of(path: Path) -> list[Named]:
    """In the order in which they first stand. Raises ConfigError: not to be read, no text, too large, no id."""
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    if len(raw) > BYTES_MAX:
        raise ConfigError(str(path), f"is larger than {BYTES_MAX >> 20} MiB; no document of ours is")
    if raw.startswith(b"%PDF"):
        raise ConfigError(str(path), "is a PDF, whose text is packed; name the JSON, CSV, XML or page of the document")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"is no text: byte {error.start} is not UTF-8; name a document") from error
    found: dict[str, Named] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for match in _WHOLE.finditer(line):
            one = found.setdefault(match[0], Named(match[0]))
            one.count += 1
            if len(one.lines) < PLACES_MAX:
                one.lines.append(number)
        if len(found) > IDS_MAX:
            raise ConfigError(str(path), f"names more than {IDS_MAX:,} ids; trace a part of it")
    if not found:
        raise ConfigError(str(path), "names no figure, average or record; documents of `plumeproof report` do")
    return list(found.values())
