"""What is different from platform to platform, as a data file: login, paths, headers, signature, field names, statuses.

A profile is JSON with a version, a source and a status (official, community, provisional; DESIGN.md decision 14). Every
key must be there and no other may: a misspelt one would silently mean something else. How to write one: PROFILES.md;
the same rules as a JSON Schema for editors: profiles/profile.schema.json.

    profile = load_profile("eu-carbon-cloud")   # shipped; a path names your own
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from plumeproof.delivery.anchor_feed import ANCHOR_FIELDS, AnchorShape
from plumeproof.delivery.anchor_feed import RECEIPT_FIELDS as ANCHOR_RECEIPT_FIELDS
from plumeproof.delivery.profile_table import NAME, Table, read_tree
from plumeproof.delivery.report import AVERAGE_FIELDS, AVERAGES_MAX, REPORT_FIELDS, ReportShape
from plumeproof.errors import ConfigError

FORMAT = "plumeproof-profile/1"
FILE_MAX_BYTES = 256 * 1024  # reference: reliability section 8, configuration
STATUSES = ("official", "community", "provisional")
BASIC, BODY, ASSERTION, CERTIFICATE, NO_LOGIN = AUTH_KINDS = (
    "client_credentials_basic",  # RFC 6749 section 2.3.1: secret in the header
    "client_credentials_body",  # the same section: secret in the form
    "private_key_jwt",  # RFC 7523: an assertion signed by our key
    "tls_client_auth",  # RFC 8705: the client certificate says who we are
    "none",  # no token; a client certificate alone, or a network that is trusted
)
ASSERTION_ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256")  # RFC 7518, RFC 8037
SIGNATURE_ALGORITHMS = ("ed25519", "ecdsa-p256-sha256")  # RFC 9421 section 6.2
DERIVED = ("@method", "@target-uri", "@authority", "@scheme", "@path")  # components that are no headers, section 2.2
RECEIPT_FIELDS = (
    "receipt_id", "received_at", "idempotency_key", "content_digest", "module", "first_id", "last_id", "average_count",
    "signature",
)  # fmt: skip
CLOSE_AFTER_MAX_S = 3600
LIFETIME_MAX_S = 600  # of an assertion; it is used at once
COMPONENTS_MAX = 16
_SHIPPED = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # anything else is a path
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")  # a field name of RFC 9110, without the odd characters
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # key of a dictionary, RFC 9651
_COMPONENT = re.compile(r"@?[a-z][a-z0-9-]{0,63}")
_TEXT = re.compile(r"[ -~]{0,1000}")
_PLAIN = "printable ASCII text of at most 1000 characters"
_HEADER = "header name (A-Z a-z 0-9 -, at most 64)"
_WAY = "path (begins with /, then A-Z a-z 0-9 . _ ~ / -)"


@dataclass(frozen=True, slots=True)
class MessageSignature:
    """How each report is signed (RFC 9421). `is_algorithm_named`: whether the parameter `alg` is sent."""

    label: str
    algorithm: str
    components: tuple[str, ...]
    is_algorithm_named: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """One platform's way of taking reports. Statuses that no set names: 5xx is retried, anything else blocks.

    `base_url` empty: the configuration names it. `checked`: when somebody last held it against the platform.
    `assertion_audience` empty: the address of the token endpoint. `signature` None: reports are not signed.
    """

    name: str
    version: str
    status: str
    checked: dt.date
    source: str
    base_url: str
    token_path: str
    reports_path: str
    keys_path: str
    auth_kind: str
    scope: str
    assertion_algorithm: str
    assertion_audience: str
    assertion_lifetime_s: int
    key_header: str
    is_key_quoted: bool
    digest_header: str
    content_type: str
    signature: MessageSignature | None
    averages_max: int
    close_after_s: float
    shape: ReportShape
    receipt: Mapping[str, str]
    is_signature_required: bool
    accepted: frozenset[int]
    divided: frozenset[int]
    blocked: frozenset[int]
    retried: frozenset[int]
    anchors: AnchorShape | None = None  # None: it keeps none


def shipped() -> list[str]:
    """Names of the profiles of this release."""
    folder = resources.files("plumeproof.delivery") / "profiles"
    names = [entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")]
    return sorted(name for name in names if _SHIPPED.fullmatch(name))  # profile.schema.json is none


def load_profile(name_or_path: str) -> Profile:
    """A shipped profile by name, or a file. Raises ConfigError: one line with file, pointer, reason and mend."""
    return parse_profile(*read_profile(name_or_path))


def read_profile(name_or_path: str) -> tuple[bytes, str]:
    """The bytes of a profile as they are, and how errors name it. Raises ConfigError."""
    if _SHIPPED.fullmatch(name_or_path):
        if name_or_path not in shipped():
            mend = f"shipped are {', '.join(shipped())}; your own file is named by a path that ends in .json"
            raise ConfigError(f"profile {name_or_path}", f"is not one of this release; {mend}")
        entry = resources.files("plumeproof.delivery") / "profiles" / f"{name_or_path}.json"
        return entry.read_bytes(), f"profile {name_or_path}"
    try:
        with Path(name_or_path).open("rb") as file:
            return file.read(FILE_MAX_BYTES + 1), name_or_path
    except OSError as error:
        mend = f"shipped profiles are {', '.join(shipped())}"
        raise ConfigError(name_or_path, f"cannot be read: {error.strerror}; {mend}") from error


def parse_profile(raw: bytes, where: str) -> Profile:
    """Check the bytes of a profile; `where` is named in errors. Raises ConfigError."""
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(where, f"larger than {FILE_MAX_BYTES} bytes; this is no profile")
    known = "format profile version status checked source base_url paths auth headers signature report receipt statuses"
    top = Table(read_tree(raw, where), where, "", known, may="$schema anchors")
    if top.has("$schema"):
        top.text("$schema", _TEXT, _PLAIN)  # for editors; nothing follows from it
    top.word("format", (FORMAT,))
    paths = top.inner("paths", "token reports keys")
    auth = top.inner("auth", "kind scope assertion_algorithm assertion_audience assertion_lifetime_s")
    headers = top.inner("headers", "idempotency_key is_key_quoted content_digest content_type")
    report = top.inner("report", "averages_max close_after_s fields average_fields")
    receipt = top.inner("receipt", "fields is_signature_required")
    statuses = top.inner("statuses", "accepted divided blocked retried")
    kind = auth.word("kind", AUTH_KINDS)
    key_header = headers.text("idempotency_key", _TOKEN, _HEADER)
    digest_header = headers.text("content_digest", _TOKEN, _HEADER)
    sent = {"content-type", "accept", "user-agent", key_header.lower(), digest_header.lower()}
    if kind != NO_LOGIN:
        sent.add("authorization")
    profile = Profile(
        name=top.text("profile", NAME, "name (A-Z a-z 0-9 _ . -, at most 64)"),
        version=top.text("version", NAME, "version (A-Z a-z 0-9 _ . -, at most 64)"),
        status=top.word("status", STATUSES),
        checked=top.date("checked"),
        source=top.text("source", _TEXT, _PLAIN),
        base_url=_base_url(top),
        token_path=paths.text("token", _PATH, _WAY),
        reports_path=paths.text("reports", _PATH, _WAY),
        keys_path=paths.text("keys", _PATH, _WAY),
        auth_kind=kind,
        scope=auth.text("scope", _TEXT, _PLAIN),
        assertion_algorithm=auth.word("assertion_algorithm", ASSERTION_ALGORITHMS),
        assertion_audience=auth.text("assertion_audience", _TEXT, _PLAIN),
        assertion_lifetime_s=auth.number("assertion_lifetime_s", 10, LIFETIME_MAX_S),
        key_header=key_header,
        is_key_quoted=headers.truth("is_key_quoted"),
        digest_header=digest_header,
        content_type=headers.text("content_type", _TEXT, _PLAIN),
        signature=_signature(top, sent, digest_header.lower()),
        averages_max=report.number("averages_max", 1, AVERAGES_MAX),
        close_after_s=report.number("close_after_s", 0, CLOSE_AFTER_MAX_S),
        shape=ReportShape(report.names("fields", REPORT_FIELDS), report.names("average_fields", AVERAGE_FIELDS)),
        receipt=receipt.names("fields", RECEIPT_FIELDS),
        is_signature_required=receipt.truth("is_signature_required"),
        accepted=statuses.codes("accepted", 200, 299),
        divided=statuses.codes("divided", 400, 499),
        blocked=statuses.codes("blocked", 400, 499),
        retried=statuses.codes("retried", 400, 499),
        anchors=_anchors(top),
    )
    if not profile.accepted:
        statuses.refuse("accepted", "is empty; then no report would ever be delivered")
    seen: dict[int, str] = {}
    for key, codes in (("divided", profile.divided), ("blocked", profile.blocked), ("retried", profile.retried)):
        for code in sorted(codes):
            if seen.setdefault(code, key) != key:
                statuses.refuse(key, f"{code} stands in {seen[code]} too; one status means one thing")
    return profile


def _anchors(top: Table) -> AnchorShape | None:
    if not top.has("anchors"):
        return None
    table = top.inner("anchors", "path fields receipt_fields")
    return AnchorShape(
        table.text("path", _PATH, _WAY),
        table.names("fields", ANCHOR_FIELDS),
        table.names("receipt_fields", ANCHOR_RECEIPT_FIELDS),
    )


def _base_url(top: Table) -> str:
    text = top.text("base_url", _TEXT, _PLAIN)
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        top.refuse("base_url", "is no https:// address; leave it empty where the configuration names it")
    if parts.username or parts.password or parts.query or parts.fragment:
        top.refuse("base_url", "holds a user, a password, a query or a fragment; a profile holds no secret")
    return text.rstrip("/")


def _signature(top: Table, sent: set[str], digest: str) -> MessageSignature | None:
    table = top.inner("signature", "is_on label algorithm is_algorithm_named components")
    found = MessageSignature(
        table.text("label", _LABEL, "label (a-z first, then a-z 0-9 _ -, at most 32)"),
        table.word("algorithm", SIGNATURE_ALGORITHMS),
        table.words("components", _COMPONENT, "component (RFC 9421 section 2, in lower case)", COMPONENTS_MAX),
        table.truth("is_algorithm_named"),
    )
    for component in found.components:
        if component not in DERIVED and component not in sent:
            can = ", ".join([*DERIVED, *sorted(sent)])
            table.refuse("components", f"{component} is nothing that is sent; there are {can}")
    if digest not in found.components:
        table.refuse("components", f"{digest} is missing; without it the signature says nothing about the body")
    return found if table.truth("is_on") else None
