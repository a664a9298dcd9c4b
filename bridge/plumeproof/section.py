"""One table of settings being read, from TOML or JSON: every key checked, unknown ones refused, each with its place.

A dataclass names its keys as fields made with `setting`: the check (ValueError: reason and mend) and the default.
Defaults live there and nowhere else. Lines of a file are known for TOML only (toml_lines.py).

    @dataclass(frozen=True, slots=True)
    class Fan:
        speed_rpm: int = setting(number_in(int, 1, 3_000), 1_500)

    fan = Section({"speed_rpm": 900}, (), {}, Path("fan.json")).build(Fan)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any, TypeVar

from plumeproof.errors import ConfigError
from plumeproof.toml_lines import At, Lines

_T = TypeVar("_T")
Check = Callable[[Any, Path], Any]  # value and folder of the file -> value of the field; ValueError: reason and mend


def setting(check: Check, default: Any = MISSING) -> Any:
    """A field with its check; without a default the key must be there."""
    return field(default=default, metadata={"check": check})


def typed(value: Any, kind: type[_T]) -> _T:
    """The value, an integer where a number is wanted as a float; ValueError for another type."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        words = {str: "text in quotes", int: "an integer", float: "a number", bool: "true or false", list: "an array"}
        raise ValueError(f"must be {words[kind]}")
    return value


def number_in(kind: type[int] | type[float], minimum: float, maximum: float) -> Check:
    """A number of this type within limits."""

    def check(value: Any, _folder: Path) -> Any:
        number = typed(value, kind)
        if not minimum <= number <= maximum:
            raise ValueError(f"{number} is outside {minimum} to {maximum}")
        return number

    return check


def text_like(pattern: re.Pattern[str] | None = None, what: str = "") -> Check:
    """Printable text, of this pattern where there is one; `what` names it in a refusal."""

    def check(value: Any, _folder: Path) -> str:
        text = typed(value, str)
        if not text or not text.isprintable():
            raise ValueError("is empty or holds characters that cannot be printed")
        if pattern is not None and pattern.fullmatch(text) is None:
            raise ValueError(f"{text[:60]!r} is no {what}")
        return text

    return check


def one_of(*words: Any) -> Check:
    """One of these values, of their type."""

    def check(value: Any, _folder: Path) -> Any:
        if type(value) is not type(words[0]) or value not in words:
            raise ValueError(f"{str(value)[:60]!r} is none of {', '.join(str(word).lower() for word in words)}")
        return value

    return check


def list_of(check_one: Check, minimum: int = 0) -> Check:
    """An array of at least so many items, none of them twice."""

    def check(value: Any, folder: Path) -> tuple[Any, ...]:
        items = tuple(check_one(item, folder) for item in typed(value, list))
        if len(items) < minimum or len(set(items)) != len(items):
            raise ValueError("is empty or names something twice")
        return items

    return check


class Section:
    """One table being read. `sample`: the command that prints a commented sample of such a file."""

    def __init__(
        self, item: object, at: At, lines: Lines, path: Path, sample: str = "plumeproof config sample"
    ) -> None:  # fmt: skip
        self._at, self._lines, self._path, self._sample = at, lines, path, sample
        if not isinstance(item, dict):
            raise self.refuse(None, "is no table")
        self._item: dict[str, Any] = dict(item)

    def refuse(self, key: str | None, reason: str) -> ConfigError:
        """The error for a key of this table (None: the table itself)."""
        at = self._at if key is None else (*self._at, key)
        name = ".".join(part if part.isprintable() else ascii(part) for part in at if isinstance(part, str))
        while at and at not in self._lines:
            at = at[:-1]
        return ConfigError(f"{self._path}: line {self._lines[at]}: {name}" if at else f"{self._path}: {name}", reason)

    def only(self, *known: str) -> Section:
        """Refuse other keys; asked first, because a misspelt key is also a missing one."""
        for key in self._item:
            if key not in known:
                raise self.refuse(key, f"is no known key; `{self._sample}` lists them")
        return self

    def build(self, kind: type[_T], **given: Any) -> _T:
        """The dataclass of this table, every key checked. `given`: fields that were read from tables below it."""
        values, wanted = dict(given), [entry for entry in fields(kind) if entry.name not in given]  # type: ignore[arg-type] # every kind is a dataclass
        self.only(*(entry.name for entry in wanted))
        for entry in wanted:
            if entry.name in self._item:
                try:
                    values[entry.name] = entry.metadata["check"](self._item.pop(entry.name), self._path.parent)
                except ValueError as error:
                    raise self.refuse(entry.name, str(error)) from error
            elif entry.default is MISSING:
                raise self.refuse(entry.name, f"is missing; `{self._sample}` shows it")
        return kind(**values)

    def value(self, key: str, check: Check, default: Any) -> Any:
        """One key, checked; the others are left to whoever builds the table."""
        if key not in self._item:
            return default
        try:
            return check(self._item[key], self._path.parent)
        except ValueError as error:
            raise self.refuse(key, str(error)) from error

    def take(self, key: str, check: Check) -> Any:
        """One key by itself, checked; for tables whose keys are not those of a dataclass."""
        if key not in self._item:
            raise self.refuse(key, f"is missing; `{self._sample}` shows it")
        try:
            return check(self._item.pop(key), self._path.parent)
        except ValueError as error:
            raise self.refuse(key, str(error)) from error

    def has(self, key: str) -> bool:
        """Whether the key is there, and was not read yet."""
        return key in self._item

    def inner(self, key: str, is_needed: bool = False) -> Section:
        """The table below a key; empty where it is absent."""
        if is_needed and key not in self._item:
            raise self.refuse(key, f"section [{key}] is missing; `{self._sample}` shows it")
        return Section(self._item.pop(key, {}), (*self._at, key), self._lines, self._path, self._sample)

    def sections(self, key: str, is_needed: bool = False) -> tuple[Section, ...]:
        """The tables of an array of tables."""
        items = self._item.pop(key, [])
        if not isinstance(items, list) or (is_needed and not items):
            name = ".".join(part for part in (*self._at, key) if isinstance(part, str))
            raise self.refuse(key, f"write [[{name}]], once for each; `{self._sample}` shows it")
        return tuple(
            Section(item, (*self._at, key, i), self._lines, self._path, self._sample) for i, item in enumerate(items)
        )

    def each(self, key: str, kind: type[_T], is_needed: bool = False) -> tuple[_T, ...]:
        """The tables of an array of tables, built."""
        return tuple(section.build(kind) for section in self.sections(key, is_needed))
