"""What may be stated in a contract or technical file: sentences with the lines they rest on, never one without.

presets/statements.toml is the list. What papers promise ([[readiness.paper]] states) is held against it.

    found = find_statable(lines); paper_promises(own.papers, found, lines, "site.toml")
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from plumeproof.documents.readiness import DISAGREES, NOT_ASKED, READY, STATEMENTS, Line, Statable
from plumeproof.documents.readiness_file import Paper
from plumeproof.errors import ConfigError
from plumeproof.section import Section, list_of, setting, text_like

NAMED_MAX = 5  # lines; behind them only the count
_KEY = re.compile(r"[a-z0-9_]{1,40}")
_BEGIN = re.compile(r"[a-z0-9_.]{1,40}")


@dataclass(frozen=True, slots=True)
class _Sentence:
    key: str = setting(text_like(_KEY, "key"))
    sentence: str = setting(text_like())
    rests_on: tuple[str, ...] = setting(list_of(text_like(_BEGIN, "beginning of a line's key"), 1))
    where_asked: tuple[str, ...] = setting(list_of(text_like(_BEGIN, "beginning of a line's key")), ())


@cache
def _sentences() -> tuple[_Sentence, ...]:
    path = Path("statements.toml")
    text = files("plumeproof.documents").joinpath("presets", path.name).read_text(encoding="utf-8")
    return Section(tomllib.loads(text), (), {}, path).each("statement", _Sentence, is_needed=True)


def find_statable(lines: Sequence[Line]) -> tuple[Statable, ...]:
    """Of every sentence what it rests on, and what of it is not ready. One that nothing was asked for is left out."""
    found = []
    for one in _sentences():
        own = [
            line for line in lines if line.verdict != NOT_ASKED and line.key.startswith(one.rests_on + one.where_asked)
        ]
        if own:
            lacks = tuple(line.key for line in own if line.verdict != READY)
            lacks += tuple(begin for begin in one.rests_on if not _is_asked(begin, lines))
            found.append(Statable(one.key, one.sentence, tuple(line.key for line in own), lacks))
    return tuple(found)


def paper_promises(
    papers: Sequence[Paper], found: Sequence[Statable], lines: Sequence[Line], where: str
) -> Iterator[Line]:
    """A line for each sentence that a paper promises. Raises ConfigError for a key that is none."""
    known, by_key = [one.key for one in _sentences()], {one.key: one for one in found}
    for paper in papers:
        for key in paper.states:
            if key not in known:
                raise ConfigError(
                    f"{where}: readiness.paper {paper.name}", f"states {key}; keys are {', '.join(known)}"
                )
            sentence = next(one.sentence for one in _sentences() if one.key == key)
            asked = f"{paper.name} ({paper.reference}) promises: {sentence}"
            name = f"paper.{paper.name}.{key}"
            own = by_key.get(key)
            if own is not None and not own.lacks:
                yield Line(name, STATEMENTS, asked, READY, f"rests on: {asked_of(own.rests_on, lines)}")
            else:
                lacks = asked_of(own.lacks, lines) if own is not None else "every line that it would rest on"
                mend = "mend these lines, or take the promise out of the paper"
                yield Line(name, STATEMENTS, asked, DISAGREES, f"cannot be shown: {lacks}", mend)
    if not papers:
        told = f"{where} names no [[readiness.paper]]"
        yield Line("paper.none", STATEMENTS, "Promises in contracts and technical files", NOT_ASKED, told)


def _is_asked(begin: str, lines: Sequence[Line]) -> bool:
    return any(line.key.startswith(begin) for line in lines)


def asked_of(keys: Sequence[str], lines: Sequence[Line]) -> str:
    """What the lines of some keys ask, for people; a key that no line has stands as it is."""
    words = {line.key: line.asked for line in lines}
    found = list(dict.fromkeys(words.get(key, key) for key in keys))
    shown = "; ".join(found[:NAMED_MAX])
    return shown if len(found) <= NAMED_MAX else f"{shown}; and {len(found) - NAMED_MAX} more"
