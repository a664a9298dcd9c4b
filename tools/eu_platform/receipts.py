"""Receipts: what is promised about a stored report, signed ES256 (RFC 7518 section 3.4) over RFC 8785 bytes.

The key is made at the first start and stays in DIR/receipt.key, mode 0600. Its id is the RFC 7638 thumbprint.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ALGORITHM = "ES256"
COORDINATE_BYTES = 32  # of P-256
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2 section 2.4.2


class ReceiptKey:
    """The platform's signing key."""

    def __init__(self, path: Path) -> None:
        """Read the key, or make it. Raises OSError, or ValueError for a file that is no P-256 key."""
        if not path.exists():
            write_private(path, _new_key())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"{path}: not a P-256 key; remove it and a new one is made")
        self._key = key
        numbers = key.public_key().public_numbers()
        point = {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}
        self.key_id = _base64url(hashlib.sha256(rfc8785.dumps(point)).digest())  # RFC 7638: these members, sorted
        self.jwk: dict[str, str] = {**point, "kid": self.key_id, "alg": ALGORITHM, "use": "sig"}

    def seal(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """The receipt with its signature."""
        r, s = decode_dss_signature(self._key.sign(rfc8785.dumps(receipt), ec.ECDSA(hashes.SHA256())))
        s = min(s, ORDER - s)  # low s: one signature has one form
        value = r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")
        signature = {"alg": ALGORITHM, "keyId": self.key_id, "value": base64.b64encode(value).decode()}
        return {**receipt, "signature": signature}

    def is_ours(self, receipt: dict[str, Any]) -> bool:
        """Whether a receipt carries this key's signature over just these members."""
        members = dict(receipt)
        value = base64.b64decode(members.pop("signature")["value"])
        half = len(value) // 2
        signature = encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
        try:
            self._key.public_key().verify(signature, rfc8785.dumps(members), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def write_private(path: Path, content: bytes) -> None:
    """A file for the owner only, whole or not there: written beside, synced, renamed, and the folder synced."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    # Power fails here: the next start finds no `path` and makes it anew; nobody has been told of this one.
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _coordinate(number: int) -> str:
    return _base64url(number.to_bytes(COORDINATE_BYTES, "big"))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
