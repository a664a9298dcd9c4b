"""Who may ask: clients with hashed secrets, and short-lived bearer tokens (RFC 6749 section 4.4, RFC 6750).

A secret is kept as its SHA-256 (secrets are made by `plumeproof pact secret`: 256 random bits, so one hash hides them)
or in a file of its owner. Tokens are 256 random bits, live in memory only and as hashes; a restart ends them, and a
client asks for a new one. A token that has ended is remembered for a while, so that its client is told so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from plumeproof.pact.faults import BAD_REQUEST, TOKEN_EXPIRED, Fault, TokenFault
from plumeproof.ports import Clock

TOKEN_BYTES = 32  # random
TOKENS_MAX = 100  # of one client at once; the oldest goes
REMEMBERED_S = 86_400.0  # how long a token that has ended is told from one that never was
CREDENTIALS_MAX = 2_048  # characters of an Authorization header
FIELDS_MAX = 16
GRANT = "client_credentials"
BEARER = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class Client:
    """One customer. `products`: ids of site.toml that it may see; None: all. `can_be_told`: it has an events endpoint
    of its own that we know."""

    id: str
    secret_hash: bytes
    products: frozenset[str] | None
    can_be_told: bool


@dataclass(slots=True)
class _Token:
    client: Client
    until_s: float


class TokenDesk:
    """Gives tokens and knows them again. One thread."""

    def __init__(self, clients: Sequence[Client], token_s: int, clock: Clock) -> None:
        self._clients: Mapping[str, Client] = {client.id: client for client in clients}
        self._token_s, self._clock = token_s, clock
        self._tokens: dict[bytes, _Token] = {}

    def issue(self, authorization: Sequence[str], body: bytes) -> dict[str, str | int]:
        """The answer to a token request. Raises TokenFault."""
        client = self._identify(authorization)
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
        except ValueError as error:
            raise TokenFault("invalid_request", "the body is no form") from error
        kinds = [value for name, value in pairs if name == "grant_type"]
        if len(kinds) != 1:
            raise TokenFault("invalid_request", "grant_type is missing, or stands twice")
        if kinds[0] != GRANT:
            raise TokenFault("unsupported_grant_type", f"grant_type is {GRANT} here")
        now = self._clock.monotonic_s()
        self._forget(now, client)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._tokens[hash_of(token)] = _Token(client, now + self._token_s)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self._token_s}

    def recognise(self, authorization: Sequence[str]) -> Client:
        """The client behind a bearer token. Raises Fault."""
        kind, _, token = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
        if kind.lower() != "bearer" or len(token) > CREDENTIALS_MAX:
            raise Fault(BAD_REQUEST, "no bearer token; get one at /auth/token", headers={"WWW-Authenticate": "Bearer"})
        # Found by the hash of what was sent: how long that takes says nothing about tokens that are there.
        found = self._tokens.get(hash_of(token.strip()))
        if found is None:
            raise Fault(BAD_REQUEST, "the access token is invalid", headers=BEARER)
        if self._clock.monotonic_s() >= found.until_s:
            raise Fault(TOKEN_EXPIRED, "the access token has expired; get a new one at /auth/token", headers=BEARER)
        return found.client

    def _identify(self, authorization: Sequence[str]) -> Client:
        name, _, secret = _basic(authorization).partition(":")
        # RFC 6749 section 2.3.1 wants both form-encoded; most programs do not, so that either form is right.
        for client_id, word in ((name, secret), (unquote_plus(name), unquote_plus(secret))):
            client = self._clients.get(client_id)
            # An unknown client is compared too, so that it fails as slowly as a wrong secret.
            is_right = hmac.compare_digest(hash_of(word), client.secret_hash if client is not None else bytes(32))
            if client is not None and is_right:
                return client
        raise TokenFault("invalid_client", "client id or secret is wrong", 401)

    def _forget(self, now: float, client: Client) -> None:
        for digest in [key for key, one in self._tokens.items() if now > one.until_s + REMEMBERED_S]:
            del self._tokens[digest]
        own = [digest for digest, one in self._tokens.items() if one.client is client]
        for digest in own[: max(0, len(own) - TOKENS_MAX + 1)]:
            del self._tokens[digest]


def hash_of(secret: str) -> bytes:
    """SHA-256, all that is kept of secrets and tokens."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _basic(authorization: Sequence[str]) -> str:
    """ "id:secret", or empty for anything that is not one Basic header."""
    kind, _, encoded = authorization[0].partition(" ") if len(authorization) == 1 else ("", "", "")
    if kind.lower() != "basic" or len(encoded) > CREDENTIALS_MAX:
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


class RateLimit:
    """So many requests a minute for each name: a bucket that fills evenly. One thread."""

    NAMES_MAX = 10_000  # addresses that are remembered; full ones go first

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._size, self._clock = float(per_minute), clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> None:
        """One request. Raises Fault with Retry-After where the bucket is empty."""
        now = self._clock.monotonic_s()
        level, since = self._buckets.pop(name, (self._size, now))
        level = min(self._size, level + (now - since) * self._size / 60.0)
        if len(self._buckets) >= self.NAMES_MAX:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[name] = (level - 1.0 if level >= 1.0 else level, now)
        if level < 1.0:
            wait_s = int((1.0 - level) * 60.0 / self._size) + 1
            raise Fault(BAD_REQUEST, "too many requests; slow down", 429, {"Retry-After": str(wait_s)})
