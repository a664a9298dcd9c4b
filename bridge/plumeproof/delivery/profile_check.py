"""A profile against a platform's OpenAPI description: what would be refused, misread or misjudged, named by place.

An error would stop deliveries or hide a refusal; a warning is a difference that may be meant. Each finding has the RFC
6901 pointer of its place in the description, or in the profile. Nothing is sent; what a description does not say (its
checks beyond schemas, its keys) only the platform itself can tell: `doctor` asks it.

    findings = check_profile(load_profile("own.json"), read_description(raw, "openapi.yaml"), today)
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import replace

from plumeproof.delivery.anchor_feed import platform_body
from plumeproof.delivery.login_check import LoginCheck
from plumeproof.delivery.openapi import Node
from plumeproof.delivery.openapi_body import fields_of
from plumeproof.delivery.profile import NO_LOGIN, Profile
from plumeproof.delivery.profile_findings import ERROR, WARNING, Finding, Findings
from plumeproof.delivery.report import build_report
from plumeproof.model import Average, StoredAnchor

OLD_DAYS = 365  # since the profile was last held against the platform
BUILT_IN = frozenset({401})  # one new token, one more try, whatever the profile says
RECEIPT_TYPES = {
    "receipt_id": "string", "received_at": "string", "idempotency_key": "string", "content_digest": "string",
    "module": "string", "gateway": "string", "number": "integer", "first_id": "integer", "last_id": "integer",
    "average_count": "integer", "signature": "object",
}  # fmt: skip
ALWAYS_READ = ("receipt_id", "received_at", "idempotency_key", "content_digest", "signature")
SIGNATURE_MEMBERS = ("alg", "keyId", "value")
KEY_MEMBERS = ("kty", "crv", "x", "y", "kid")
_EXAMPLE = Average(
    device="plume-01", channel="gas.co2", quantity="CO2", unit="vol-%", interval_s=3600,
    start_utc_ms=1_795_000_000_000 // 3_600_000 * 3_600_000, n_expected=3600, n_valid=3598,
    n_invalid=(("failure", 1), ("timeout", 1)), mean=11.84, minimum=11.5, maximum=12.25, deviation=0.021,
    first_seq=1201, last_seq=1260, head_hash=bytes(32), parameters_hash=bytes(32), rule="plain_utc", rule_version="1",
    order="lanes20-v1", revision=0, reason="",
)  # fmt: skip
_EMPTY = replace(
    _EXAMPLE, n_valid=0, n_invalid=(("timeout", 3600),), mean=None, minimum=None, maximum=None, deviation=None,
    revision=1, reason="late_record",
)  # fmt: skip
_STATEMENT = StoredAnchor(number=1, content_hash=bytes(32), kid=bytes(8), statement=bytes(300), stamp=None)


def check_profile(profile: Profile, root: Node, today: dt.date) -> list[Finding]:
    """Errors first. Raises ConfigError where a library is missing."""
    check = _Check(Findings(profile, root))
    check.run(today)
    return sorted(set(check.lines))


class _Check:
    """One run."""

    def __init__(self, found: Findings) -> None:
        self._found, self._login = found, LoginCheck(found)
        self.lines = found.lines

    def run(self, today: dt.date) -> None:
        """Every check; a place that cannot be used is a finding, and the next check goes on."""
        checked = self._found.profile.checked
        if (today - checked).days > OLD_DAYS:
            self._found.own(WARNING, "/checked", f"{checked} is long ago; hold it against the platform again")
        for check in (self._reports, self._anchors, self._login.token, self._keys):
            self._found.guarded(check)

    def _reports(self) -> None:
        operation = self._found.operation("/paths/reports", self._found.profile.reports_path, "post")
        if operation is None:
            return
        for check in (self._login.security, self._parameters, self._reports_bodies, self._statuses, self._receipts):
            self._found.guarded(lambda check=check: check(operation))  # type: ignore[misc] # of a default mypy infers no type

    def _anchors(self) -> None:
        shape = self._found.profile.anchors
        operation = None if shape is None else self._found.operation("/anchors/path", shape.path, "post")
        if shape is None or operation is None:
            return
        self._found.guarded(lambda: self._login.security(operation))
        made = platform_body(_STATEMENT, "gateway-01", shape, lambda kid: bytes(65))
        self._bodies(operation, [made.body], "/anchors")
        own = {field: self._found.profile.receipt[field] for field in ALWAYS_READ}
        self._members(operation, {**own, **shape.receipt}, "/anchors/receipt_fields")

    def _parameters(self, operation: Node) -> None:
        profile = self._found.profile
        body = build_report("gateway-01", [(41, _EXAMPLE)], profile.shape)
        key = f'"{body.key}"' if profile.is_key_quoted else body.key
        sent: dict[str, str | None] = {
            profile.key_header.lower(): key,
            profile.digest_header.lower(): "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        } | dict.fromkeys(("content-type", "accept", "user-agent", "host", "content-length", "authorization"))
        if profile.signature is not None:
            sent |= {"signature": None, "signature-input": None}
        declared: set[str] = set()
        item = self._found.root.get("paths", profile.reports_path)
        groups = [one for one in (item.get("parameters") if item else None, operation.get("parameters")) if one]
        for parameter in [one for group in groups for _, one in group.items()]:
            name, place = parameter.text("name"), parameter.text("in")
            if place == "header":
                declared.add(name.lower())
            is_sent = place == "header" and name.lower() in sent
            if parameter.value.get("required") is True and not is_sent:
                self._found.said(ERROR, parameter.pointer, f"{place} {name} is needed, which the profile does not send")
            schema = parameter.get("schema")
            value = sent.get(name.lower()) if is_sent else None
            if schema is not None and value is not None:
                for pointer, sentence in self._found.schemas.find_faults(schema, value, f"header {name}"):
                    self._found.said(ERROR, pointer, sentence)
        for header, at in ((profile.key_header, "idempotency_key"), (profile.digest_header, "content_digest")):
            if header.lower() not in declared:
                text = f"header {header} is not declared (profile /headers/{at}); a misspelt one means nothing there"
                self._found.said(WARNING, operation.pointer, text)
        if profile.signature is not None and not {"signature", "signature-input"} <= declared:
            self._found.said(
                WARNING, operation.pointer, "Signature and Signature-Input are not declared; the profile signs"
            )

    def _reports_bodies(self, operation: Node) -> None:
        profile = self._found.profile
        many = [(41 + index, _EMPTY if index % 2 else _EXAMPLE) for index in range(profile.averages_max)]
        made = [build_report("gateway-01", one, profile.shape).body for one in (many[:1], [(41, _EMPTY)], many)]
        self._bodies(operation, made, "/report")

    def _bodies(self, operation: Node, bodies: list[bytes], at: str) -> None:
        """What the platform would object to. `at`: the place of the profile that shapes them."""
        content_type = self._found.profile.content_type
        schema = self._found.schema_of(operation.get("requestBody"), content_type, "the body")
        if schema is None:
            return
        for body in bodies:
            for pointer, sentence in self._found.schemas.find_faults(schema, json.loads(body)):
                self._found.said(ERROR, pointer, f"{sentence} (profile {at})")

    def _statuses(self, operation: Node) -> None:
        profile, responses = self._found.profile, operation.get("responses")
        if responses is None:
            self._found.said(ERROR, operation.pointer, "no responses are declared")
            return
        declared = {name.upper() for name, _ in responses.items()}
        lists = {"accepted": profile.accepted, "divided": profile.divided, "blocked": profile.blocked}
        lists["retried"] = profile.retried
        for key, codes in lists.items():
            for code in sorted(codes):
                if not {str(code), f"{code // 100}XX", "DEFAULT"} & declared:
                    self._found.said(WARNING, responses.pointer, f"{code} is not declared (profile /statuses/{key})")
        if not any({str(code), f"{code // 100}XX"} & declared for code in profile.accepted):
            self._found.said(ERROR, responses.pointer, "none of the profile's accepted statuses is declared")
        known = frozenset().union(*lists.values()) | BUILT_IN
        for name in sorted(declared):
            if name.isdigit() and int(name) not in known and 200 <= int(name) < 300:
                text = "is no receipt for the profile (/statuses/accepted): such reports are sent again and again"
                self._found.said(WARNING, f"{responses.pointer}/{name}", text)
            elif name.isdigit() and int(name) not in known and 400 <= int(name) < 500:
                text = "stands in no list of the profile (/statuses): it blocks until a person looks"
                self._found.said(WARNING, f"{responses.pointer}/{name}", text)

    def _receipts(self, operation: Node) -> None:
        self._members(operation, self._found.profile.receipt, "/receipt/fields")

    def _members(self, operation: Node, names: Mapping[str, str], at: str) -> None:
        """The members of a receipt that are read, in each answer that counts as one."""
        is_signed = self._found.profile.is_signature_required
        for code in sorted(self._found.profile.accepted):
            response = operation.get("responses", str(code)) or operation.get("responses", f"{code // 100}XX")
            if response is None:
                continue
            schema = self._found.schema_of(response, "application/json", "the receipt")
            if schema is None:
                self._found.said(
                    ERROR, response.pointer, "no schema of a JSON receipt; without one nothing is delivered"
                )
                continue
            for field, name in names.items():
                if field != "signature" or is_signed:
                    self._found.member(schema, name, RECEIPT_TYPES[field], f"profile {at}/{field}")
            for node, _ in fields_of(schema, names["signature"]) if is_signed else ():
                for member in SIGNATURE_MEMBERS:
                    self._found.member(node, member, "string", "signature of the receipt")

    def _keys(self) -> None:
        if not self._found.profile.is_signature_required and self._found.profile.auth_kind != NO_LOGIN:
            return
        operation = self._found.operation("/paths/keys", self._found.profile.keys_path, "get")
        if operation is None or not self._found.profile.is_signature_required:
            return
        answer = operation.get("responses", "200")
        schema = self._found.schema_of(answer, "application/json", "the key set") if answer is not None else None
        if schema is None:
            self._found.said(
                ERROR, operation.pointer, "no JSON answer with status 200; keys of receipts are read from it"
            )
            return
        self._found.member(schema, "keys", "array", "keys of receipts")
        for node, _ in fields_of(schema, "keys"):
            entry = node.get("items")
            for member in KEY_MEMBERS if entry is not None else ():
                self._found.member(entry, member, "string", "a key of receipts")  # type: ignore[arg-type] # it is there
