"""A profile against a platform's OpenAPI description: what would be refused, misread or misjudged, named by place.

An error would stop deliveries or hide a refusal; a warning is a difference that may be meant. Each finding has the RFC
6901 pointer of its place in the description, or in the profile. Nothing is sent; what a description does not say (its
checks beyond schemas, its keys) only the platform itself can tell: `doctor` asks it.

    findings = check_profile(load_profile("own.json"), read_description(raw, "openapi.yaml"), today)
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from plumeproof.delivery.openapi import METHODS, DescriptionFault, Node
from plumeproof.delivery.openapi_body import Schemas, allows_type, fields_of, says_fields
from plumeproof.delivery.profile import ASSERTION, BASIC, BODY, CERTIFICATE, NO_LOGIN, Profile
from plumeproof.delivery.report import build_report
from plumeproof.model import Average

ERROR, WARNING = "error", "warning"
IN_PROFILE, IN_DESCRIPTION = "profile", "description"
OLD_DAYS = 365  # since the profile was last held against the platform
BUILT_IN = frozenset({401})  # one new token, one more try, whatever the profile says
FORM = "application/x-www-form-urlencoded"
RECEIPT_TYPES = {
    "receipt_id": "string", "received_at": "string", "idempotency_key": "string", "content_digest": "string",
    "module": "string", "first_id": "integer", "last_id": "integer", "average_count": "integer", "signature": "object",
}  # fmt: skip
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


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line. `document`: profile or description."""

    level: str
    document: str
    pointer: str
    sentence: str

    def line(self) -> str:
        """As it is printed."""
        return f"{self.level:7} {self.document}:{self.pointer or '/'}: {self.sentence}"


def check_profile(profile: Profile, root: Node, today: dt.date) -> list[Finding]:
    """Errors first. Raises ConfigError where a library is missing."""
    check = _Check(profile, root)
    check.run(today)
    return sorted(set(check.findings))


class _Check:
    """The findings of one run."""

    def __init__(self, profile: Profile, root: Node) -> None:
        self._profile, self._root = profile, root
        self._schemas = Schemas(root)
        self.findings: list[Finding] = []

    def run(self, today: dt.date) -> None:
        """Every check; a place that cannot be used is a finding, and the next check goes on."""
        if (today - self._profile.checked).days > OLD_DAYS:
            self._own(WARNING, "/checked", f"{self._profile.checked} is long ago; hold it against the platform again")
        for check in (self._reports, self._token, self._keys):
            self._guarded(check)

    def _guarded(self, check: Callable[[], None]) -> None:
        try:
            check()
        except DescriptionFault as fault:
            self._said(ERROR, fault.pointer, str(fault))

    def _own(self, level: str, pointer: str, sentence: str) -> None:
        self.findings.append(Finding(level, IN_PROFILE, pointer, sentence))

    def _said(self, level: str, pointer: str, sentence: str) -> None:
        self.findings.append(Finding(level, IN_DESCRIPTION, pointer, sentence))

    def _operation(self, key: str, path: str, method: str) -> Node | None:
        """The operation behind a path of the profile, as far as it is there."""
        paths = self._root.get("paths")
        known = [name for name, _ in paths.items()] if paths is not None else []
        item = paths.get(path) if paths is not None else None
        if item is None:
            near = difflib.get_close_matches(path, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._said(ERROR, "/paths", f"no path {path}, which the profile names at /paths/{key}{hint}")
            return None
        operation = item.get(method)
        if operation is None:
            there = [name for name, _ in item.items() if name in METHODS]
            self._said(ERROR, item.pointer, f"no {method.upper()}, but {', '.join(there) or 'nothing'} ({key})")
        return operation

    # -- reports

    def _reports(self) -> None:
        operation = self._operation("reports", self._profile.reports_path, "post")
        if operation is None:
            return
        for check in (self._security_of_reports, self._parameters, self._body, self._statuses, self._receipts):
            self._guarded(lambda check=check: check(operation))  # type: ignore[misc]

    def _security_of_reports(self, operation: Node) -> None:
        profile = self._profile

        def fault(scheme: Node, scopes: list[str]) -> str:
            kind = scheme.text("type")
            if profile.auth_kind == NO_LOGIN:
                return "" if kind == "mutualTLS" else f"{kind} is demanded and the profile has no login"
            if kind == "oauth2":
                return self._flow_fault(scheme, scopes)
            is_bearer = kind == "http" and scheme.text("scheme").lower() == "bearer"
            return "" if is_bearer or kind in ("openIdConnect", "mutualTLS") else f"{kind} is not what the profile does"

        taken = self._security(operation, fault)
        if taken is not None and not taken and profile.auth_kind != NO_LOGIN:
            self._said(WARNING, operation.pointer, f"no login is declared; the profile sends one ({profile.auth_kind})")

    def _flow_fault(self, scheme: Node, scopes: list[str]) -> str:
        flow = scheme.get("flows", "clientCredentials")
        if flow is None:
            return "oauth2 without the flow clientCredentials"
        wanted = self._profile.scope.split()
        offered = flow.value.get("scopes")
        strange = [name for name in wanted if isinstance(offered, dict) and name not in offered]
        if strange:
            return f"scope {' '.join(strange)} of the profile is not declared"
        if wanted and not set(scopes) <= set(wanted):
            missing = " ".join(sorted(set(scopes) - set(wanted)))
            return f"scope {missing} is needed; the profile asks for {self._profile.scope}"
        address = flow.text("tokenUrl")
        if not urlsplit(address).path.endswith(self._profile.token_path):
            return f"tokenUrl is {address[:100]}, the profile asks {self._profile.token_path} (/paths/token)"
        return ""

    def _security(self, operation: Node, fault: Callable[[Node, list[str]], str]) -> list[str] | None:
        """Kinds of the schemes of the first alternative that the profile satisfies; None where it satisfies none."""
        needs = operation.get("security") or self._root.get("security")
        alternatives = [one for _, one in needs.items()] if needs is not None else []
        if not alternatives:
            return []
        faults: list[tuple[str, str]] = []
        for alternative in alternatives:
            kinds, wrong = [], []
            for name, scopes in alternative.value.items() if isinstance(alternative.value, dict) else ():
                scheme = self._root.get("components", "securitySchemes", str(name))
                if scheme is None:
                    wrong.append((alternative.pointer, f"security scheme {name} is not declared"))
                    continue
                kinds.append(f"{scheme.text('type')} {scheme.text('scheme').lower()}".strip())
                reason = fault(scheme, [str(one) for one in scopes] if isinstance(scopes, list) else [])
                if reason:
                    wrong.append((scheme.pointer, reason))
            if not wrong:
                if "mutualTLS" in kinds and self._profile.auth_kind not in (CERTIFICATE, NO_LOGIN):
                    self._said(WARNING, alternative.pointer, "a client certificate is wanted; name cert_file, key_file")
                return kinds
            faults += wrong
        for pointer, reason in dict.fromkeys(faults):
            self._said(ERROR, pointer, f"login: {reason}")
        return None

    def _parameters(self, operation: Node) -> None:
        profile = self._profile
        body = build_report("gateway-01", [(41, _EXAMPLE)], profile.shape)
        key = f'"{body.key}"' if profile.is_key_quoted else body.key
        sent: dict[str, str | None] = {
            profile.key_header.lower(): key,
            profile.digest_header.lower(): "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        } | dict.fromkeys(("content-type", "accept", "user-agent", "host", "content-length", "authorization"))
        if profile.signature is not None:
            sent |= {"signature": None, "signature-input": None}
        declared: set[str] = set()
        item = self._root.get("paths", profile.reports_path)
        groups = [one for one in (item.get("parameters") if item else None, operation.get("parameters")) if one]
        for parameter in [one for group in groups for _, one in group.items()]:
            name, place = parameter.text("name"), parameter.text("in")
            if place == "header":
                declared.add(name.lower())
            is_sent = place == "header" and name.lower() in sent
            if parameter.value.get("required") is True and not is_sent:
                self._said(ERROR, parameter.pointer, f"{place} {name} is needed, which the profile does not send")
            schema = parameter.get("schema")
            value = sent.get(name.lower()) if is_sent else None
            if schema is not None and value is not None:
                for pointer, sentence in self._schemas.find_faults(schema, value):
                    self._said(ERROR, pointer, f"header {name}: {sentence}")
        for header, at in ((profile.key_header, "idempotency_key"), (profile.digest_header, "content_digest")):
            if header.lower() not in declared:
                text = f"header {header} is not declared (profile /headers/{at}); a misspelt one means nothing there"
                self._said(WARNING, operation.pointer, text)
        if profile.signature is not None and not {"signature", "signature-input"} <= declared:
            self._said(WARNING, operation.pointer, "Signature and Signature-Input are not declared; the profile signs")

    def _body(self, operation: Node) -> None:
        profile = self._profile
        schema = self._schema_of(operation.get("requestBody"), profile.content_type, "the report")
        if schema is None:
            return
        many = [(41 + index, _EMPTY if index % 2 else _EXAMPLE) for index in range(profile.averages_max)]
        for numbered in (many[:1], [(41, _EMPTY)], many):
            body = json.loads(build_report("gateway-01", numbered, profile.shape).body)
            for pointer, sentence in self._schemas.find_faults(schema, body):
                self._said(ERROR, pointer, f"{sentence} (profile /report)")

    def _schema_of(self, holder: Node | None, media_type: str, what: str) -> Node | None:
        content = holder.get("content") if holder is not None else None
        if holder is None or content is None:
            return None
        wanted = media_type.partition(";")[0].strip().lower()
        named = {name.partition(";")[0].strip().lower(): one for name, one in content.items()}
        ranges = (wanted, f"{wanted.partition('/')[0]}/*", "*/*")
        media = next((named[name] for name in ranges if name in named), None)
        if media is None:
            self._said(ERROR, content.pointer, f"{what} is {', '.join(named)}, not {wanted} as the profile has it")
            return None
        return media.get("schema")

    # -- answers

    def _statuses(self, operation: Node) -> None:
        profile, responses = self._profile, operation.get("responses")
        if responses is None:
            self._said(ERROR, operation.pointer, "no responses are declared")
            return
        declared = {name.upper() for name, _ in responses.items()}
        lists = {"accepted": profile.accepted, "divided": profile.divided, "blocked": profile.blocked}
        lists["retried"] = profile.retried
        for key, codes in lists.items():
            for code in sorted(codes):
                if not {str(code), f"{code // 100}XX", "DEFAULT"} & declared:
                    self._said(WARNING, responses.pointer, f"{code} is not declared (profile /statuses/{key})")
        if not any({str(code), f"{code // 100}XX"} & declared for code in profile.accepted):
            self._said(ERROR, responses.pointer, "none of the profile's accepted statuses is declared")
        known = frozenset().union(*lists.values()) | BUILT_IN
        for name in sorted(declared):
            if name.isdigit() and int(name) not in known and 200 <= int(name) < 300:
                text = "is no receipt for the profile (/statuses/accepted): such reports are sent again and again"
                self._said(WARNING, f"{responses.pointer}/{name}", text)
            elif name.isdigit() and int(name) not in known and 400 <= int(name) < 500:
                text = "stands in no list of the profile (/statuses): it blocks until a person looks"
                self._said(WARNING, f"{responses.pointer}/{name}", text)

    def _receipts(self, operation: Node) -> None:
        for code in sorted(self._profile.accepted):
            response = operation.get("responses", str(code)) or operation.get("responses", f"{code // 100}XX")
            if response is None:
                continue
            schema = self._schema_of(response, "application/json", "the receipt")
            if schema is None:
                self._said(ERROR, response.pointer, "no schema of a JSON receipt; without one nothing is delivered")
                continue
            for field, name in self._profile.receipt.items():
                if field == "signature" and not self._profile.is_signature_required:
                    continue
                self._member(schema, name, RECEIPT_TYPES[field], f"profile /receipt/fields/{field}")
            for node, _ in fields_of(schema, self._profile.receipt["signature"]):
                for member in SIGNATURE_MEMBERS if self._profile.is_signature_required else ():
                    self._member(node, member, "string", "signature of the receipt")

    def _member(self, schema: Node, name: str, kind: str, use: str) -> None:
        """Whether an answer has a member that is read."""
        found = fields_of(schema, name)
        if not found:
            level = ERROR if says_fields(schema) else WARNING
            self._said(level, schema.pointer, f"no member {name}, which is read ({use})")
            return
        if not any(allows_type(node, kind) for node, _ in found):
            self._said(ERROR, found[0][0].pointer, f"{name} is no {kind}, as which it is read ({use})")
        if not any(must for _, must in found):
            self._said(WARNING, found[0][0].pointer, f"{name} may be left out, and is read ({use})")

    # -- token and keys

    def _token(self) -> None:
        profile = self._profile
        if profile.auth_kind == NO_LOGIN:
            return
        paths = self._root.get("paths")
        if (paths is None or paths.get(profile.token_path) is None) and self._is_token_url():
            self._said(WARNING, "/paths", f"{profile.token_path} is known as tokenUrl only; its form cannot be checked")
            return
        operation = self._operation("token", profile.token_path, "post")
        if operation is None:
            return
        self._security_of_token(operation)
        schema = self._schema_of(operation.get("requestBody"), FORM, "the token request")
        form = self._form()
        if schema is not None:
            for pointer, sentence in self._schemas.find_faults(schema, form):
                self._said(ERROR, pointer, f"token request: {sentence}")
            for name in form:
                if says_fields(schema) and not fields_of(schema, name):
                    text = f"no member {name}, which the profile sends (/auth/kind {profile.auth_kind})"
                    self._said(ERROR, schema.pointer, text)
        answer = operation.get("responses", "200")
        said = self._schema_of(answer, "application/json", "the token") if answer is not None else None
        if said is None:
            self._said(ERROR, operation.pointer, "no JSON answer with status 200; a token is read from it")
            return
        self._member(said, "access_token", "string", "the token")
        self._member(said, "token_type", "string", "the token")

    def _is_token_url(self) -> bool:
        schemes = self._root.get("components", "securitySchemes")
        flows = [one.get("flows", "clientCredentials") for _, one in schemes.items()] if schemes is not None else []
        return any(
            urlsplit(flow.text("tokenUrl")).path.endswith(self._profile.token_path)
            for flow in flows
            if flow is not None
        )

    def _security_of_token(self, operation: Node) -> None:
        kind = self._profile.auth_kind

        def fault(scheme: Node, _scopes: list[str]) -> str:
            word = f"{scheme.text('type')} {scheme.text('scheme').lower()}".strip()
            can = {BASIC: ("http basic", "mutualTLS"), CERTIFICATE: ("mutualTLS",)}.get(kind, ("mutualTLS",))
            return "" if word in can else f"{word} is demanded at the token endpoint; the profile does {kind}"

        needs = operation.get("security") or self._root.get("security")
        words = [
            self._root.get("components", "securitySchemes", name)
            for _, alternative in (needs.items() if needs is not None else ())
            for name, _ in alternative.items()
        ]
        basics = [one for one in words if one is not None and one.text("scheme").lower() == "basic"]
        if kind == BASIC and not basics:
            self._said(ERROR, operation.pointer, f"HTTP Basic is not declared; the profile does {kind} (/auth/kind)")
            return
        self._security(operation, fault)

    def _form(self) -> dict[str, str]:
        profile = self._profile
        form = {"grant_type": "client_credentials"} | ({"scope": profile.scope} if profile.scope else {})
        if profile.auth_kind == BODY:
            form |= {"client_id": "gateway-01", "client_secret": "x" * 43}
        elif profile.auth_kind == ASSERTION:
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            form |= {"client_id": "gateway-01", "client_assertion_type": kind, "client_assertion": "a.b.c"}
        elif profile.auth_kind == CERTIFICATE:
            form |= {"client_id": "gateway-01"}
        return form

    def _keys(self) -> None:
        if not self._profile.is_signature_required and self._profile.auth_kind != NO_LOGIN:
            return
        operation = self._operation("keys", self._profile.keys_path, "get")
        if operation is None or not self._profile.is_signature_required:
            return
        answer = operation.get("responses", "200")
        schema = self._schema_of(answer, "application/json", "the key set") if answer is not None else None
        if schema is None:
            self._said(ERROR, operation.pointer, "no JSON answer with status 200; keys of receipts are read from it")
            return
        self._member(schema, "keys", "array", "keys of receipts")
        for node, _ in fields_of(schema, "keys"):
            entry = node.get("items")
            for member in KEY_MEMBERS if entry is not None else ():
                self._member(entry, member, "string", "a key of receipts")  # type: ignore[arg-type] # it is there
