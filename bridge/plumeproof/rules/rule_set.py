"""Rule sets: the numbers and choices of a regime as data files (DESIGN.md decision 14; reference: averaging-rules 2).

A file has id, version, title, source, status, what it inherits, its settings, and for every setting that it gives how
sure that is and why: nobody has to trust a number silently. "official" is only what the authority or the publisher of
the rule has confirmed; what we transcribed is "community", what rests on a text that nobody here has seen, or that is
still moving, is "provisional". Inheritance is resolved once, and the SHA-256 of the RFC 8785 (June 2020) bytes of the
resolved set stands in every figure.

    rules = load_rule_set("eu_ied_waste")
    rules.settings.coverage, rules.confidence["coverage"].value, rules.digest.hex()
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import rfc8785

from plumeproof.errors import RuleError
from plumeproof.rules.settings import NAMES, Settings, build_settings, check_setting

FILE_MAX_BYTES = 256 * 1024  # reference: reliability section 8, configuration
STATUSES = ("official", "community", "provisional")
KEYS = ("id", "version", "title", "source", "status", "inherits", "settings", "confidence")
BASE = "base"  # the defaults; no rule set by itself
DEPTH_MAX = 8  # of inheritance
ID = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_VERSION = re.compile(r"[0-9][0-9.]{0,15}")
TEXT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Confidence:
    """`value` 0 to 1: read in the source is 0.95 and more; below 0.8 a person with the standard should confirm it."""

    value: float
    note: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A rule set, resolved. `lineage`: itself, then what it inherits; `given_by`: which of them gave a setting.

    `document`: RFC 8785 bytes, `digest`: their SHA-256. Two sets with one digest do the same under the same name.
    """

    id: str
    version: str
    title: str
    source: str
    status: str
    lineage: tuple[str, ...]
    settings: Settings
    confidence: Mapping[str, Confidence]
    given_by: Mapping[str, str]
    document: bytes
    digest: bytes

    def doubtful(self, below: float = 0.8) -> tuple[str, ...]:
        """Settings that a person with the standard should confirm before a customer relies on them."""
        return tuple(name for name in NAMES if self.confidence[name].value < below)


@dataclass(frozen=True, slots=True)
class _File:
    """One file, checked by itself. `settings` are JSON values, as they were written."""

    id: str
    version: str
    title: str
    source: str
    status: str
    inherits: str | None
    settings: dict[str, Any]
    confidence: dict[str, Confidence]


def rule_set_ids() -> tuple[str, ...]:
    """The rule sets of this release, sorted."""
    return tuple(sorted(_shipped_names() - {BASE}))


def load_rule_set(id: str) -> RuleSet:
    """A rule set of this release. Raises RuleError."""
    if id not in rule_set_ids():
        mend = f"this release has {', '.join(rule_set_ids())}; a file of your own is named by its path"
        raise RuleError(f"rule set {id[:40]!r}", f"does not exist; {mend}")
    return _resolve(_shipped(id), _shipped)


def read_rule_set(path: Path) -> RuleSet:
    """A rule set of your own; it may inherit one of this release, and cannot have its id. Raises RuleError."""
    where = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise RuleError(where, f"cannot be read: {error.strerror}; check name and rights") from error
    found = _parse(raw, where)
    if found.id in _shipped_names():
        raise RuleError(f"{where}: id", f"{found.id} is a set of this release; give yours another id and inherit it")
    return _resolve(found, _shipped)


def open_resolved(raw: bytes, where: str) -> RuleSet:
    """A rule set from the resolved document that a figure names by its hash: no file of a release is needed. Which of
    its lineage gave a setting it does not say: `given_by` is the set itself. Raises RuleError."""
    try:
        tree = json.loads(raw)
        return RuleSet(
            id=tree["id"],
            version=tree["version"],
            title=tree["title"],
            source=tree["source"],
            status=tree["status"],
            lineage=tuple(one for one, _ in tree["lineage"]),
            settings=build_settings(tree["settings"], where),
            confidence=MappingProxyType({name: Confidence(*sure) for name, sure in tree["confidence"].items()}),
            given_by=MappingProxyType(dict.fromkeys(NAMES, tree["id"])),
            document=raw,
            digest=hashlib.sha256(raw).digest(),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RuleError(where, f"is no resolved rule set: {type(error).__name__}") from error


def _shipped_names() -> set[str]:
    folder = resources.files("plumeproof.rules") / "sets"
    return {entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")}


def _shipped(id: str) -> _File:
    if id not in _shipped_names():
        raise RuleError(f"rule set {id[:40]!r}", f"does not exist; this release has {', '.join(rule_set_ids())}")
    entry = resources.files("plumeproof.rules") / "sets" / f"{id}.json"
    found = _parse(entry.read_bytes(), f"rule set {id}")
    if found.id != id:
        raise RuleError(f"rule set {id}", f"calls itself {found.id}; id and file name are the same")
    return found


def _resolve(file: _File, find: Callable[[str], _File]) -> RuleSet:
    chain = [file]
    while (parent := chain[-1].inherits) is not None:
        if parent in [entry.id for entry in chain] or len(chain) == DEPTH_MAX:
            raise RuleError(f"rule set {file.id}: inherits", f"runs in a circle or deeper than {DEPTH_MAX}; cut it")
        chain.append(find(parent))
    values: dict[str, Any] = {}
    confidence: dict[str, Confidence] = {}
    given_by: dict[str, str] = {}
    for entry in reversed(chain):  # a setting is replaced as a whole, never merged
        values |= entry.settings
        confidence |= entry.confidence
        given_by |= dict.fromkeys(entry.settings, entry.id)
    settings = build_settings(values, f"rule set {file.id}")
    document = rfc8785.dumps(
        {
            "id": file.id,
            "version": file.version,
            "title": file.title,
            "source": file.source,
            "status": file.status,
            "lineage": [[entry.id, entry.version] for entry in chain],
            "settings": values,
            "confidence": {name: [found.value, found.note] for name, found in confidence.items()},
        }
    )
    return RuleSet(
        id=file.id,
        version=file.version,
        title=file.title,
        source=file.source,
        status=file.status,
        lineage=tuple(entry.id for entry in chain),
        settings=settings,
        confidence=MappingProxyType({name: confidence[name] for name in NAMES}),
        given_by=MappingProxyType({name: given_by[name] for name in NAMES}),
        document=document,
        digest=hashlib.sha256(document).digest(),
    )


def _parse(raw: bytes, where: str) -> _File:
    if len(raw) > FILE_MAX_BYTES:
        raise RuleError(where, f"larger than {FILE_MAX_BYTES} bytes; this is no rule set")
    try:
        tree = json.loads(raw, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise RuleError(where, f"no JSON: {str(error)[:100]}; compare with a set of this release") from error
    _only(tree, KEYS, where)
    inherits = tree["inherits"]
    if inherits is not None:
        inherits = _text(tree, "inherits", where, ID)
    elif tree["id"] != BASE:
        raise RuleError(f"{where}: inherits", f'must name a rule set; "{BASE}" has the defaults')
    status = _text(tree, "status", where)
    if status not in STATUSES:
        raise RuleError(f"{where}: status", f"must be one of {', '.join(STATUSES)}")
    settings, sure = tree["settings"], tree["confidence"]
    for name, value in (("settings", settings), ("confidence", sure)):
        if not isinstance(value, dict):
            raise RuleError(f"{where}: {name}", "is no object")
    for name, value in settings.items():
        check_setting(name, value, where)
        if name not in sure:
            raise RuleError(f"{where}: confidence.{name}", "is missing; say how sure the setting is, and why")
    for name in sure:
        if name not in settings:
            raise RuleError(f"{where}: confidence.{name[:40]}", "is for a setting that is not given here")
    return _File(
        id=_text(tree, "id", where, ID),
        version=_text(tree, "version", where, _VERSION),
        title=_text(tree, "title", where),
        source=_text(tree, "source", where),
        status=status,
        inherits=inherits,
        settings=settings,
        confidence={name: _confidence(value, f"{where}: confidence.{name}") for name, value in sure.items()},
    )


def _only(tree: object, keys: tuple[str, ...], where: str) -> None:
    """Exactly these keys."""
    if not isinstance(tree, dict):
        raise RuleError(where, "is no object; compare with a set of this release")
    for key in tree:
        if key not in keys:
            raise RuleError(f"{where}: {key[:40]}", f"is no known key; known are {', '.join(keys)}")
    for key in keys:
        if key not in tree:
            raise RuleError(f"{where}: {key}", "is missing")


def _text(tree: dict[str, Any], key: str, where: str, form: re.Pattern[str] | None = None) -> str:
    value = tree[key]
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX or not value.isprintable():
        raise RuleError(f"{where}: {key}", f"must be one line of 1..{TEXT_MAX} characters")
    if form is not None and form.fullmatch(value) is None:
        raise RuleError(f"{where}: {key}", f"{value[:40]!r} does not have the form {form.pattern}")
    return value


def _confidence(item: object, where: str) -> Confidence:
    _only(item, ("value", "note"), where)
    assert isinstance(item, dict)
    value = item["value"]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise RuleError(where, "value must be a number 0..1")
    return Confidence(float(value), _text(item, "note", where))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > 15:  # what RFC 8785 keeps exactly
        raise ValueError(f"number {text[:20]} is too long")
    return int(text)
