"""Bearer tokens: who gets one (RFC 6749 section 4.4, RFC 7523, RFC 8705), whom it stands for (RFC 6750 section 2.1).

Tokens are 256 random bits and are kept as hashes only. One that was given over a connection with a client certificate
is bound to that certificate: over another connection it is refused (RFC 8705 section 3).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from cryptography import x509

from tools.eu_platform.assertions import KIND, AssertionFault, check_assertion
from tools.eu_platform.clients import Client, Clients, hash_of
from tools.eu_platform.demands import Demands
from tools.eu_platform.problems import Problem
from tools.eu_platform.store import Grant, Store, utc_ms

TOKEN_BYTES = 32  # random; 16 is the least allowed
MOST_FIELDS = 16  # of a token request
LONGEST_CREDENTIALS = 1024  # characters of an Authorization header


@dataclass(frozen=True, slots=True)
class Asking:
    """Where a question came from. `certificate`: DER of the client's, empty without one; `url`: as it was asked."""

    url: str
    certificate: bytes = b""

    @property
    def thumbprint(self) -> bytes:
        """x5t#S256 of RFC 8705; empty without a certificate."""
        return hashlib.sha256(self.certificate).digest() if self.certificate else b""


class TokenDesk:
    """Issues tokens and recognises them."""

    def __init__(self, clients: Clients, store: Store, token_s: int, demands: Demands) -> None:
        self._clients = clients
        self._store = store
        self._token_s = token_s
        self._demands = demands

    def issue(self, authorization: list[str], body: bytes, asking: Asking) -> dict[str, str | int]:
        """The answer to a token request. Raises Problem with the members of RFC 6749 section 5.2."""
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FIELDS
            )
        except ValueError as error:
            self._identify(authorization, {}, asking)
            raise _refusal("invalid_request", "the body is no form") from error
        form = {name: value for name, value in pairs if value}  # without a value: as if omitted (section 3.2)
        client = self._identify(authorization, form, asking)
        if len({name for name, _ in pairs}) != len(pairs):
            raise _refusal("invalid_request", "a parameter stands twice")
        if "grant_type" not in form:
            raise _refusal("invalid_request", "grant_type is missing")
        if form["grant_type"] != "client_credentials":
            raise _refusal("unsupported_grant_type", "another grant_type is asked for")
        scopes = frozenset(form["scope"].split(" ")) if "scope" in form else client.scopes
        if not scopes <= client.scopes or not scopes:
            raise _refusal("invalid_scope", "scope goes beyond what this client may have")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        grant = Grant(client.id, scopes, asking.thumbprint)
        self._store.add_token(hash_of(token), grant, utc_ms() + self._token_s * 1000)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._token_s,
            "scope": " ".join(sorted(scopes)),
        }

    def _identify(self, authorization: list[str], form: dict[str, str], asking: Asking) -> Client:
        """The client that asks, by the one way that it has chosen and the platform takes."""
        ways = [
            way
            for way, is_there in (
                ("secret", bool(authorization) or "client_secret" in form),
                ("assertion", "client_assertion" in form),
            )
            if is_there
        ] or (["certificate"] if asking.certificate else [])
        if not ways:
            raise self._stranger("nothing says who asks")
        if len(ways) > 1 or (authorization and "client_secret" in form):
            raise self._stranger("one way of saying who asks, not two")
        if ways[0] not in self._demands.logins:
            raise self._stranger(f"{ways[0]} is not taken, but {', '.join(sorted(self._demands.logins))}")
        if ways[0] == "assertion":
            return self._by_assertion(form, asking)
        return self._by_secret(authorization, form) if ways[0] == "secret" else self._by_certificate(form, asking)

    def _by_secret(self, authorization: list[str], form: dict[str, str]) -> Client:
        client_id, _, secret = _basic(authorization).partition(":")
        candidates = [(form.get("client_id", ""), form.get("client_secret", ""))]
        if authorization:
            # RFC 6749 section 2.3.1 wants both form-encoded; most programs do not, so that either form is right.
            candidates = [(client_id, secret), (unquote_plus(client_id), unquote_plus(secret))]
        for name, word in candidates:
            client = self._clients.find(name)
            if client.has_secret(word):
                return client
        raise self._stranger("client id and secret are wrong")

    def _by_assertion(self, form: dict[str, str], asking: Asking) -> Client:
        if form.get("client_assertion_type") != KIND:
            raise self._stranger(f"client_assertion_type is not {KIND}")
        try:
            client = check_assertion(
                form["client_assertion"], self._clients, asking.url, utc_ms() // 1000, self._store.take_assertion
            )
        except AssertionFault as fault:
            raise self._stranger(f"client_assertion: {fault}") from fault
        if form.get("client_id", client.id) != client.id:
            raise self._stranger("client_id is not who has signed the assertion")
        return client

    def _by_certificate(self, form: dict[str, str], asking: Asking) -> Client:
        """TLS has checked chain and time (RFC 8705 section 2.1)."""
        subject = x509.load_der_x509_certificate(asking.certificate).subject.rfc4514_string()
        client = self._clients.find(form.get("client_id", ""))
        if not client.certificate_subject or client.certificate_subject != subject:
            raise self._stranger("the certificate is not the one of client_id")
        return client

    @staticmethod
    def _stranger(detail: str) -> Problem:
        return _refusal("invalid_client", detail, "invalid-client", {"WWW-Authenticate": 'Basic realm="platform"'})

    def recognise(self, authorization: list[str], scope: str, asking: Asking) -> Grant:
        """The client behind a bearer token that allows `scope`. Raises Problem."""
        if not authorization:
            raise Problem("no-token", "Authorization is missing", headers={"WWW-Authenticate": "Bearer"})
        kind, _, token = authorization[0].partition(" ")
        grant = None
        if len(authorization) == 1 and kind.lower() == "bearer" and len(token) <= LONGEST_CREDENTIALS:
            grant = self._store.find_token(hash_of(token.strip()))
        if grant is None or (grant.thumbprint and grant.thumbprint != asking.thumbprint):
            raise Problem(
                "token-refused",
                "the bearer token is not valid",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        if scope not in grant.scopes:
            raise Problem("scope-missing", f"scope {scope} is needed")
        return grant


def _basic(authorization: list[str]) -> str:
    """ "id:secret", or empty for anything that is not one Basic header."""
    kind, _, encoded = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
    if kind.lower() != "basic" or len(encoded) > LONGEST_CREDENTIALS:
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _refusal(error: str, detail: str, kind: str = "token-request", headers: dict[str, str] | None = None) -> Problem:
    return Problem(kind, detail, headers=headers, members={"error": error, "error_description": detail})
