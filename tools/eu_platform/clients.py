"""Who is known here: secrets as hashes, public keys, certificate subjects.

`clients.json`: {"clients": [{"id", "scopes": [...], "secretSha256" (hex), "assertionKey" (JWK), "signatureKeys"
({keyid: JWK}), "certificateSubject" (RFC 4514)}]}; the last four as far as the client has them. Secrets are random and
long, so that one SHA-256 hides them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jwk
from joserfc.errors import JoseError

from tools.eu_platform.receipts import write_private
from tools.eu_platform.signatures import PublicKey
from tools.eu_platform.store import StoreFault

DEFAULT_CLIENT = "gateway"
DEFAULT_SUBJECT = "CN=client"  # of tools.test_ca's client.pem
ASSERTION_KEY_ID = "assertion-1"
SIGNATURE_KEY_ID = "signature-1"
SCOPES = frozenset({"reports:read", "reports:write"})
SECRET_BYTES = 32  # random; 16 is the least allowed
SHORTEST_SECRET = 16  # characters; below that one SHA-256 hides nothing


@dataclass(frozen=True, slots=True)
class Client:
    """One program that may deliver. Keys are public ones."""

    id: str
    scopes: frozenset[str]
    secret_hash: bytes = b""
    assertion_key: jwk.Key | None = None
    signature_keys: dict[str, jwk.ECKey | jwk.OKPKey] = field(default_factory=dict)
    certificate_subject: str = ""

    def has_secret(self, secret: str) -> bool:
        """Whether it is this one; in constant time."""
        return hmac.compare_digest(hash_of(secret), self.secret_hash or b"\0" * 32) and bool(self.secret_hash)

    def public_keys(self) -> dict[str, PublicKey]:
        """Of its signatures, by keyid."""
        return {name: key.public_key for name, key in self.signature_keys.items()}


NOBODY = Client("", frozenset())


class Clients:
    """The clients of one platform."""

    def __init__(self, entries: Iterable[Client]) -> None:
        self._entries = {entry.id: entry for entry in entries}

    @classmethod
    def from_folder(cls, folder: Path) -> Clients:
        """Read clients.json; the first start makes it, with one client whose secret and keys lie beside it."""
        path = folder / "clients.json"
        if not path.exists():
            # Power fails before the last file: no clients.json, so that the next start makes all of them anew.
            secret = secrets.token_urlsafe(SECRET_BYTES)
            write_private(folder / "client.secret", secret.encode() + b"\n")
            entry = {
                "id": DEFAULT_CLIENT,
                "scopes": sorted(SCOPES),
                "secretSha256": hash_of(secret).hex(),
                "assertionKey": _make_key(folder / "client-assertion.key", ec.generate_private_key(ec.SECP256R1()))
                | {"kid": ASSERTION_KEY_ID},
                "signatureKeys": {
                    SIGNATURE_KEY_ID: _make_key(
                        folder / "client-signature.key", ed25519.Ed25519PrivateKey.generate()
                    )
                },
                "certificateSubject": DEFAULT_SUBJECT,
            }  # fmt: skip
            write_private(path, json.dumps({"clients": [entry]}, indent=2).encode() + b"\n")
        try:
            return cls(_parse(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["clients"])
        except (ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
            raise StoreFault(f"{path}: cannot be read ({error!r}); remove it and a new one is made") from error

    @classmethod
    def from_secret_file(cls, client: str, path: Path) -> Clients:
        """One client whose secret is the one line of a file."""
        secret = path.read_text(encoding="utf-8").strip()
        if len(secret) < SHORTEST_SECRET or not secret.isprintable():
            raise StoreFault(f"{path}: a secret is one line of {SHORTEST_SECRET} characters or more")
        return cls([Client(client, SCOPES, hash_of(secret))])

    def find(self, client_id: str) -> Client:
        """By id; NOBODY has no secret, key or subject, so that an unknown client fails as a wrong one does."""
        return self._entries.get(client_id, NOBODY)


def hash_of(secret: str) -> bytes:
    """SHA-256, all that is kept of secrets and tokens."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _parse(entry: dict[str, Any]) -> Client:
    return Client(
        str(entry["id"]),
        frozenset(entry["scopes"]) & SCOPES,
        bytes.fromhex(entry.get("secretSha256", "")),
        jwk.import_key(entry["assertionKey"]) if "assertionKey" in entry else None,
        {str(name): jwk.import_key(key) for name, key in entry.get("signatureKeys", {}).items()},
        str(entry.get("certificateSubject", "")),
    )


def _make_key(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> dict[str, Any]:
    """Write the private key for its client, and give back the public one as a JWK."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, private)
    kind = "EC" if isinstance(key, ec.EllipticCurvePrivateKey) else "OKP"
    return dict(jwk.import_key(private, kind).as_dict(private=False))
