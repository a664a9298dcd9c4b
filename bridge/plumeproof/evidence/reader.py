"""Reads one JSON object after the other by their keys: what is missing, unknown or of another type is refused.

For parameters.py and the files that read a part of a parameter set. Raises ParametersError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from plumeproof.errors import ParametersError

TEXT_MAX = 64  # characters of an id, quantity, unit or profile name
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")  # ids and profile names; never a path, never a markup

_T = TypeVar("_T")


class Reader:
    """One JSON object being read: each key is taken once, what is left over is unknown."""

    def __init__(self, item: object, where: str) -> None:
        if not isinstance(item, dict):
            raise ParametersError("type", f"{where} is no object")
        self._item: dict[str, Any] = dict(item)
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._item

    def take(self, key: str) -> Any:
        if key not in self._item:
            raise ParametersError("key_missing", f"{self.where}: {key} is missing")
        return self._item.pop(key)

    def done(self) -> None:
        if self._item:
            raise ParametersError("key_unknown", f"{self.where}: unknown key {min(self._item)[:40]!r}")

    def integer(self, key: str, minimum: int, maximum: int) -> int:
        value = self.take(key)
        if type(value) is not int:
            raise ParametersError("type", f"{self.where}: {key} is no integer")
        if not minimum <= value <= maximum:
            raise ParametersError("range", f"{self.where}: {key} is outside {minimum}..{maximum}")
        return value

    def index(self, key: str, count: int) -> int:
        value = self.integer(key, 0, 2**31)
        if value >= count:
            raise ParametersError("reference", f"{self.where}: {key} {value} does not exist")
        return value

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str):
            raise ParametersError("type", f"{self.where}: {key} is no text")
        if not 1 <= len(value) <= TEXT_MAX or not value.isprintable():
            raise ParametersError("range", f"{self.where}: {key} is empty, too long or not printable")
        return value

    def identifier(self, key: str) -> str:
        value = self.text(key)
        if IDENTIFIER.fullmatch(value) is None:
            raise ParametersError("range", f"{self.where}: {key} has a character outside A-Z a-z 0-9 . _ / -")
        return value

    def word(self, key: str, words: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in words:
            raise ParametersError("range", f"{self.where}: {key} is none of {' '.join(words)}")
        return value

    def decimal(self, key: str) -> float:
        text = self.text(key)
        if DECIMAL.fullmatch(text) is None:
            raise ParametersError("range", f"{self.where}: {key} is no decimal number")
        value = float(text)
        if not math.isfinite(value):
            raise ParametersError("range", f"{self.where}: {key} is beyond float64")
        return value

    def inner(self, key: str) -> Reader:
        return Reader(self.take(key), f"{self.where}: {key}")

    def each(self, key: str, minimum: int, maximum: int, read: Callable[[Reader], _T]) -> tuple[_T, ...]:
        items = self.take(key)
        if not isinstance(items, list):
            raise ParametersError("type", f"{self.where}: {key} is no array")
        if not minimum <= len(items) <= maximum:
            raise ParametersError("range", f"{self.where}: {key} has {len(items)} entries, not {minimum}..{maximum}")
        found = []
        for index, item in enumerate(items):
            reader = Reader(item, f"{key}[{index}]")
            found.append(read(reader))
            reader.done()
        return tuple(found)
