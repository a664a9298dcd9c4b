"""One object of a profile being read: exactly the keys that are known, each checked, each refusal with path and mend.

Paths in refusals are RFC 6901 pointers into the file, so that an editor finds the place. What keys mean: profile.py.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from plumeproof.delivery.nesting import is_deeper
from plumeproof.errors import ConfigError

DEPTH_MAX = 16  # reference: reliability section 8, configuration
SHOWN_MAX = 60  # characters of a wrong value
MEND = "`plumeproof profile show generic-https` prints a whole profile"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # a key of the platform's JSON


def read_tree(raw: bytes, where: str) -> object:
    """The JSON of a profile. Raises ConfigError: no UTF-8, no JSON, a doubled key, NaN, too deep."""
    if is_deeper(raw, DEPTH_MAX):
        raise ConfigError(where, f"deeper than {DEPTH_MAX}; {MEND}")
    try:
        tree: object = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_refuse_double, parse_constant=_refuse_constant
        )  # editors on Windows put a mark before it
    except UnicodeDecodeError as error:
        raise ConfigError(where, f"no UTF-8 at byte {error.start}; save it as UTF-8") from error
    except ValueError as error:
        raise ConfigError(where, f"no JSON: {error}; {MEND}") from error
    return tree


class Table:
    """One object. `known`: keys that must be there; `may`: keys that may be."""

    def __init__(self, item: object, where: str, at: str, known: str, may: str = "") -> None:
        self._where, self._at = where, at
        must, free = known.split(), may.split()
        if not isinstance(item, dict):
            raise ConfigError(self._place(), f"is no object; {MEND}")
        for key in item:
            if key not in must and key not in free:
                self.refuse(key, f"is no known key; known are {', '.join([*must, *free])}")
        for key in must:
            if key not in item:
                self.refuse(key, f"is missing; {MEND}")
        self._item: dict[str, Any] = item

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Raise the refusal of one key."""
        raise ConfigError(self._place(key), reason)

    def has(self, key: str) -> bool:
        """Whether a key that may be there is."""
        return key in self._item

    def inner(self, key: str, known: str, may: str = "") -> Table:
        """The object below a key."""
        return Table(self._item[key], self._where, f"{self._at}/{_step(key)}", known, may)

    def text(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """Text of a pattern; `what` says it in words."""
        value = self._item[key]
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.refuse(key, f"{_shown(value)} is no {what}")
        return value

    def word(self, key: str, words: tuple[str, ...]) -> str:
        """One of these."""
        value = self._item[key]
        if not isinstance(value, str) or value not in words:
            self.refuse(key, f"{_shown(value)} is none of {', '.join(words)}")
        return value

    def date(self, key: str) -> dt.date:
        """A day, as 2026-11-25."""
        value = self._item[key]
        try:
            if not isinstance(value, str) or len(value) != 10:  # fromisoformat takes other forms too
                raise ValueError
            return dt.date.fromisoformat(value)
        except ValueError:
            self.refuse(key, f"{_shown(value)} is no date; write it as 2026-11-25")

    def truth(self, key: str) -> bool:
        """true or false."""
        value = self._item[key]
        if not isinstance(value, bool):
            self.refuse(key, f"{_shown(value)} is neither true nor false")
        return value

    def number(self, key: str, minimum: int, maximum: int) -> int:
        """An integer within limits."""
        value = self._item[key]
        if type(value) is not int or not minimum <= value <= maximum:
            self.refuse(key, f"{_shown(value)} is no integer of {minimum} to {maximum}")
        return value

    def codes(self, key: str, minimum: int, maximum: int) -> frozenset[int]:
        """A list of HTTP statuses."""
        value = self._item[key]
        if not isinstance(value, list) or not all(type(one) is int and minimum <= one <= maximum for one in value):
            self.refuse(key, f"{_shown(value)} is no list of statuses {minimum} to {maximum}")
        return frozenset(value)

    def words(self, key: str, pattern: re.Pattern[str], what: str, most: int) -> tuple[str, ...]:
        """A list of different texts of a pattern."""
        value = self._item[key]
        if not isinstance(value, list) or len(value) > most:
            self.refuse(key, f"is no list of at most {most}")
        for index, one in enumerate(value):
            if not isinstance(one, str) or pattern.fullmatch(one) is None:
                raise ConfigError(f"{self._place(key)}/{index}", f"{_shown(one)} is no {what}")
        if len(set(value)) != len(value):
            self.refuse(key, "names one thing twice")
        return tuple(value)

    def names(self, key: str, fields: tuple[str, ...]) -> Mapping[str, str]:
        """Our name of each field to the platform's."""
        table = self.inner(key, " ".join(fields))
        found = {field: table.text(field, NAME, "field name (A-Z a-z 0-9 _ . -, at most 64)") for field in fields}
        if len(set(found.values())) != len(found):
            self.refuse(key, "gives two fields the same name; each has its own")
        return found

    def _place(self, key: str | None = None) -> str:
        at = self._at if key is None else f"{self._at}/{_step(key)}"
        return f"{self._where}: {at}" if at else self._where


def _step(key: str) -> str:
    """A step of a pointer (RFC 6901), bounded and printable."""
    return "".join(c if c.isprintable() else "?" for c in key[:SHOWN_MAX]).replace("~", "~0").replace("/", "~1")


def _shown(value: object) -> str:
    return repr(value)[:SHOWN_MAX] if isinstance(value, str) else json.dumps(value)[:SHOWN_MAX]


def _refuse_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {_shown(next(name for name in names if names.count(name) > 1))} stands twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
