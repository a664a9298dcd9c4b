"""What is different from platform to platform, as a data file: paths, headers, field names, status handling.

A profile is JSON with a version, a source and a status (official, community, provisional; DESIGN.md decision 14). Every
key must be there and no other may: a misspelt one would silently mean something else.

    profile = load_profile("eu-carbon-cloud")   # shipped; a path names your own
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from plumeproof.delivery.report import AVERAGE_FIELDS, AVERAGES_MAX, REPORT_FIELDS, ReportShape
from plumeproof.errors import ConfigError

FILE_MAX_BYTES = 256 * 1024  # reference: reliability section 8, configuration
STATUSES = ("official", "community", "provisional")
AUTH_KINDS = ("client_credentials_basic", "client_credentials_body", "none")
RECEIPT_FIELDS = (
    "receipt_id", "received_at", "idempotency_key", "content_digest", "module", "first_id", "last_id", "average_count",
    "signature",
)  # fmt: skip
CLOSE_AFTER_MAX_S = 3600
_SHIPPED = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # anything else is a path
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")  # a field name of RFC 9110, without the odd characters
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # a key of the platform's JSON
_TEXT = re.compile(r"[ -~]{0,1000}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One platform's way of taking reports. Statuses that no set names: 5xx is retried, anything else blocks."""

    name: str
    version: str
    status: str
    source: str
    token_path: str
    reports_path: str
    keys_path: str
    auth_kind: str
    scope: str
    key_header: str
    is_key_quoted: bool
    digest_header: str
    content_type: str
    averages_max: int
    close_after_s: float
    shape: ReportShape
    receipt: Mapping[str, str]
    is_signature_required: bool
    accepted: frozenset[int]
    divided: frozenset[int]
    blocked: frozenset[int]
    retried: frozenset[int]


def shipped() -> list[str]:
    """Names of the profiles of this release."""
    folder = resources.files("plumeproof.delivery") / "profiles"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def load_profile(name_or_path: str) -> Profile:
    """A shipped profile by name, or a file. Raises ConfigError: one line with file, key, reason and mend."""
    if _SHIPPED.fullmatch(name_or_path):
        if name_or_path not in shipped():
            mend = f"shipped are {', '.join(shipped())}; your own file is named by a path that ends in .json"
            raise ConfigError(f"profile {name_or_path}", f"is not one of this release; {mend}")
        entry = resources.files("plumeproof.delivery") / "profiles" / f"{name_or_path}.json"
        return parse_profile(entry.read_bytes(), f"profile {name_or_path}")
    try:
        with Path(name_or_path).open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        mend = f"shipped profiles are {', '.join(shipped())}"
        raise ConfigError(name_or_path, f"cannot be read: {error.strerror}; {mend}") from error
    return parse_profile(raw, name_or_path)


def parse_profile(raw: bytes, where: str) -> Profile:
    """Check the bytes of a profile; `where` is named in errors. Raises ConfigError."""
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(where, f"larger than {FILE_MAX_BYTES} bytes; this is no profile")
    try:
        tree = json.loads(raw, object_pairs_hook=_refuse_double, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, f"no JSON: {error}") from error
    top = _Table(tree, where, "", "profile version status source paths auth headers report receipt statuses".split())
    paths, auth = top.inner("paths", "token reports keys"), top.inner("auth", "kind scope")
    headers = top.inner("headers", "idempotency_key is_key_quoted content_digest content_type")
    report = top.inner("report", "averages_max close_after_s fields average_fields")
    receipt = top.inner("receipt", "fields is_signature_required")
    statuses = top.inner("statuses", "accepted divided blocked retried")
    profile = Profile(
        name=top.text("profile", _NAME),
        version=top.text("version", _NAME),
        status=top.word("status", STATUSES),
        source=top.text("source", _TEXT),
        token_path=paths.text("token", _PATH),
        reports_path=paths.text("reports", _PATH),
        keys_path=paths.text("keys", _PATH),
        auth_kind=auth.word("kind", AUTH_KINDS),
        scope=auth.text("scope", _TEXT),
        key_header=headers.text("idempotency_key", _TOKEN),
        is_key_quoted=headers.truth("is_key_quoted"),
        digest_header=headers.text("content_digest", _TOKEN),
        content_type=headers.text("content_type", _TEXT),
        averages_max=report.number("averages_max", 1, AVERAGES_MAX),
        close_after_s=report.number("close_after_s", 0, CLOSE_AFTER_MAX_S),
        shape=ReportShape(report.names("fields", REPORT_FIELDS), report.names("average_fields", AVERAGE_FIELDS)),
        receipt=receipt.names("fields", RECEIPT_FIELDS),
        is_signature_required=receipt.truth("is_signature_required"),
        accepted=statuses.codes("accepted", 200, 299),
        divided=statuses.codes("divided", 400, 499),
        blocked=statuses.codes("blocked", 400, 499),
        retried=statuses.codes("retried", 400, 499),
    )
    if len(profile.divided | profile.blocked | profile.retried) != sum(
        map(len, (profile.divided, profile.blocked, profile.retried))
    ):
        raise ConfigError(f"{where}: statuses", "one status stands in two lists; it can mean one thing only")
    return profile


class _Table:
    """One object being read: exactly the keys that are known."""

    def __init__(self, item: object, where: str, name: str, known: list[str]) -> None:
        self._where, self._name = where, name
        if not isinstance(item, dict):
            raise ConfigError(f"{where}: {name}" if name else where, "is no object; see profiles/eu-carbon-cloud.json")
        for key in item:
            if key not in known:
                self._refuse(str(key)[:60], f"is no known key; known are {', '.join(known)}")
        for key in known:
            if key not in item:
                self._refuse(key, "is missing; see profiles/eu-carbon-cloud.json")
        self._item = item

    def _refuse(self, key: str, reason: str) -> NoReturn:
        raise ConfigError(f"{self._where}: {f'{self._name}.{key}' if self._name else key}", reason)

    def inner(self, key: str, known: str) -> _Table:
        return _Table(self._item[key], self._where, f"{self._name}.{key}" if self._name else key, known.split())

    def text(self, key: str, pattern: re.Pattern[str]) -> str:
        value = self._item[key]
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self._refuse(key, f"{str(value)[:60]!r} is not of the form {pattern.pattern}")
        return value

    def word(self, key: str, words: tuple[str, ...]) -> str:
        value = self._item[key]
        if value not in words:
            self._refuse(key, f"{str(value)[:60]!r} is none of {', '.join(words)}")
        return str(value)

    def truth(self, key: str) -> bool:
        value = self._item[key]
        if not isinstance(value, bool):
            self._refuse(key, "is neither true nor false")
        return value

    def number(self, key: str, minimum: int, maximum: int) -> int:
        value = self._item[key]
        if type(value) is not int or not minimum <= value <= maximum:
            self._refuse(key, f"is no integer of {minimum} to {maximum}")
        return value

    def codes(self, key: str, minimum: int, maximum: int) -> frozenset[int]:
        value = self._item[key]
        if not isinstance(value, list) or not all(type(one) is int and minimum <= one <= maximum for one in value):
            self._refuse(key, f"is no list of statuses {minimum} to {maximum}")
        return frozenset(value)

    def names(self, key: str, fields: tuple[str, ...]) -> Mapping[str, str]:
        table = _Table(self._item[key], self._where, f"{self._name}.{key}", list(fields))
        names = {field: table.text(field, _NAME) for field in fields}
        if len(set(names.values())) != len(names):
            self._refuse(key, "gives two fields the same name")
        return names


def _refuse_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object stands twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
