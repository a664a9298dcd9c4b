"""Who may ask: clients with secrets, and bearer tokens (RFC 6749 section 4.4, RFC 6750 section 2.1).

`clients.json`: {"clients": [{"id", "secretSha256" (hex), "scopes": [...]}]}. Secrets are random and long, so that one
SHA-256 hides them; tokens are 256 random bits and are kept as hashes only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

from tools.eu_platform.problems import Problem
from tools.eu_platform.receipts import write_private
from tools.eu_platform.store import Grant, Store, StoreFault, utc_ms

DEFAULT_CLIENT = "gateway"
SCOPES = frozenset({"reports:read", "reports:write"})
TOKEN_BYTES = 32  # random; 16 is the least allowed
SHORTEST_SECRET = 16  # characters; below that one SHA-256 hides nothing
MOST_FIELDS = 16  # of a token request
LONGEST_CREDENTIALS = 1024  # characters of an Authorization header


class Clients:
    """The clients of one platform."""

    def __init__(self, entries: Iterable[tuple[str, bytes, frozenset[str]]]) -> None:
        self._entries = {name: (secret_hash, scopes) for name, secret_hash, scopes in entries}

    @classmethod
    def from_folder(cls, folder: Path) -> Clients:
        """Read clients.json; the first start makes it, with one client whose secret goes to client.secret."""
        path = folder / "clients.json"
        if not path.exists():
            secret = secrets.token_urlsafe(TOKEN_BYTES)
            entry = {"id": DEFAULT_CLIENT, "secretSha256": _hash(secret).hex(), "scopes": sorted(SCOPES)}
            # Power fails between the two: no clients.json, so that the next start makes both anew.
            write_private(folder / "client.secret", secret.encode() + b"\n")
            write_private(path, json.dumps({"clients": [entry]}, indent=2).encode() + b"\n")
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["clients"]
            return cls(
                (str(entry["id"]), bytes.fromhex(entry["secretSha256"]), frozenset(entry["scopes"]) & SCOPES)
                for entry in entries
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StoreFault(f"{path}: cannot be read ({error!r}); remove it and a new one is made") from error

    @classmethod
    def from_secret_file(cls, client: str, path: Path) -> Clients:
        """One client whose secret is the one line of a file."""
        secret = path.read_text(encoding="utf-8").strip()
        if len(secret) < SHORTEST_SECRET or not secret.isprintable():
            raise StoreFault(f"{path}: a secret is one line of {SHORTEST_SECRET} characters or more")
        return cls([(client, _hash(secret), SCOPES)])

    def scopes_of(self, client: str, secret: str) -> frozenset[str] | None:
        """What the client may have; None for another secret or an unknown client."""
        secret_hash, scopes = self._entries.get(client, (b"\0" * 32, frozenset()))
        is_right = hmac.compare_digest(_hash(secret), secret_hash)
        return scopes if is_right and client in self._entries else None


class TokenDesk:
    """Issues tokens and recognises them."""

    def __init__(self, clients: Clients, store: Store, token_s: int) -> None:
        self._clients = clients
        self._store = store
        self._token_s = token_s

    def issue(self, authorization: list[str], body: bytes) -> dict[str, str | int]:
        """The answer to a token request. Raises Problem with the members of RFC 6749 section 5.2."""
        client, allowed = self._identify(authorization)
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_FIELDS
            )
        except ValueError as error:
            raise _refusal("invalid_request", "the body is no form") from error
        form = {name: value for name, value in pairs if value}  # without a value: as if omitted (section 3.2)
        if len({name for name, _ in pairs}) != len(pairs):
            raise _refusal("invalid_request", "a parameter stands twice")
        if "grant_type" not in form:
            raise _refusal("invalid_request", "grant_type is missing")
        if form["grant_type"] != "client_credentials":
            raise _refusal("unsupported_grant_type", "another grant_type is asked for")
        scopes = frozenset(form["scope"].split(" ")) if "scope" in form else allowed
        if not scopes <= allowed or not scopes:
            raise _refusal("invalid_scope", "scope goes beyond what this client may have")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._store.add_token(_hash(token), Grant(client, scopes), utc_ms() + self._token_s * 1000)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._token_s,
            "scope": " ".join(sorted(scopes)),
        }

    def _identify(self, authorization: list[str]) -> tuple[str, frozenset[str]]:
        client, separator, secret = _basic(authorization).partition(":")
        if separator:
            # RFC 6749 section 2.3.1 wants both form-encoded; most programs do not, so that either form is right.
            for candidate in ((client, secret), (unquote_plus(client), unquote_plus(secret))):
                scopes = self._clients.scopes_of(*candidate)
                if scopes is not None:
                    return candidate[0], scopes
        raise _refusal(
            "invalid_client",
            "client id and secret are wrong" if authorization else "no client id and secret",
            "invalid-client",
            {"WWW-Authenticate": 'Basic realm="platform"'},
        )

    def recognise(self, authorization: list[str], scope: str) -> Grant:
        """The client behind a bearer token that allows `scope`. Raises Problem."""
        if not authorization:
            raise Problem("no-token", "Authorization is missing", headers={"WWW-Authenticate": "Bearer"})
        kind, _, token = authorization[0].partition(" ")
        grant = None
        if len(authorization) == 1 and kind.lower() == "bearer" and len(token) <= LONGEST_CREDENTIALS:
            grant = self._store.find_token(_hash(token.strip()))
        if grant is None:
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


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
