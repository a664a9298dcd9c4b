"""Checks the signature of a request: RFC 9421 with one signature, over at least what COVERED names, made just now.

Signature-Input and Signature are dictionaries of RFC 9651, read by http_sf; the signature base (section 2.5) is built
here. The key decides the algorithm (ed25519, ecdsa-p256-sha256); the parameter `alg` may only repeat it. That the body
is the one of Content-Digest is asked elsewhere (intake.py): a signature says nothing about the body itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import http_sf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

COVERED = ("@method", "@target-uri", "content-digest", "content-type", "idempotency-key")
OLDEST_S = 300  # of `created`
AHEAD_S = 60  # clocks differ
SIGNATURE_BYTES = 64  # of both algorithms
LONGEST_FIELD = 4096  # characters of either header

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
Member = tuple[list[tuple[Any, dict[str, Any]]], dict[str, Any]]


class SignatureFault(Exception):
    """Why it is refused; one sentence. `is_missing`: there is none."""

    def __init__(self, sentence: str, is_missing: bool = False) -> None:
        super().__init__(sentence)
        self.is_missing = is_missing


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What components are taken from. `fields`: header lines in their order, names in lower case."""

    method: str
    target_uri: str
    fields: Sequence[tuple[str, str]]

    def lines(self, name: str) -> list[str]:
        """Values of one header."""
        return [value for field, value in self.fields if field == name]


def check_signature(request: SignedRequest, keys: Mapping[str, PublicKey], now_s: int) -> None:
    """Return where the one signature holds. `keys`: by keyid. Raises SignatureFault."""
    inputs, values = (request.lines(name) for name in ("signature-input", "signature"))
    if not inputs or not values:
        raise SignatureFault("Signature-Input and Signature are missing", is_missing=True)
    members, signatures = (_dictionary(lines) for lines in (inputs, values))
    if len(members) != 1 or members.keys() != signatures.keys():
        raise SignatureFault("not one signature with one label")
    label, member = next(iter(members.items()))
    signature = signatures[label][0]
    if not isinstance(member[0], list) or not isinstance(signature, bytes):
        raise SignatureFault("not an inner list of components, or not a byte sequence")
    components, parameters = member
    names = [name for name, _ in components]
    if any(not isinstance(name, str) or options for name, options in components) or len(set(names)) != len(names):
        raise SignatureFault("components are strings without parameters, each once")
    missing = [name for name in COVERED if name not in names]
    if missing:
        raise SignatureFault(f"does not cover {', '.join(missing)}")
    _check_time(parameters, now_s)
    key = keys.get(parameters.get("keyid", ""))
    if key is None:
        raise SignatureFault("keyid is none of this client's")
    algorithm = "ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "ecdsa-p256-sha256"
    if parameters.get("alg", algorithm) != algorithm:
        raise SignatureFault("alg is not the one of the registered key")
    if not is_signed_by(key, signature, build_base(request, label, member)):
        raise SignatureFault("does not hold over these components")


def build_base(request: SignedRequest, label: str, member: Member) -> bytes:
    """The signature base of section 2.5. Raises SignatureFault for a component that is not in the request."""
    components, _ = member
    lines = [f'"{name}": {_value(request, str(name))}' for name, _ in components]
    parameters = http_sf.ser({label: member}).removeprefix(f"{label}=")
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("ascii", "strict")


def is_signed_by(key: PublicKey, signature: bytes, base: bytes) -> bool:
    """Sections 3.3.4 and 3.3.6."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, base)
        else:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), base, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _check_time(parameters: Mapping[str, Any], now_s: int) -> None:
    created, expires = parameters.get("created"), parameters.get("expires")
    if type(created) is not int:
        raise SignatureFault("created is missing")
    if not now_s - OLDEST_S <= created <= now_s + AHEAD_S:
        raise SignatureFault(f"created is not within {OLDEST_S} s; set the clock")
    if expires is not None and (type(expires) is not int or expires < now_s):
        raise SignatureFault("expires is past")


def _value(request: SignedRequest, name: str) -> str:
    parts = urlsplit(request.target_uri)
    derived = {
        "@method": request.method,
        "@target-uri": request.target_uri,
        "@authority": parts.netloc.lower().removesuffix(":443"),
        "@scheme": parts.scheme,
        "@path": parts.path or "/",
    }
    if name in derived:
        return derived[name]
    lines = request.lines(name)
    if not lines or name.startswith("@"):
        raise SignatureFault("covers a component that the request does not have")
    return ", ".join(line.strip() for line in lines)


def _dictionary(lines: Iterable[str]) -> dict[str, Any]:
    text = ", ".join(lines)
    if len(text) > LONGEST_FIELD:
        raise SignatureFault(f"a header of more than {LONGEST_FIELD} characters")
    try:
        return dict(http_sf.parse(text.encode("ascii"), tltype="dictionary"))
    except (ValueError, UnicodeEncodeError) as error:
        raise SignatureFault("no dictionary of RFC 9651") from error
