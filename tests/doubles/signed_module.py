"""A timed module whose records carry real signatures, chained; made by cryptography. Imitates no more than its base."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.doubles.timed_module import TimedModule

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SignedModule(TimedModule):
    """`public_key`: SEC1 point; `kid` as enrolment makes it."""

    def __init__(self, device: str = "plume-01", raw_set: bytes | None = None, secret: int = 1000) -> None:
        super().__init__(device, raw_set)
        self._key = ec.derive_private_key(secret, ec.SECP256R1())
        self.public_key = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.kid = hashlib.sha256(self.public_key).digest()[:16]

    def sign(self, structure: bytes) -> bytes:
        """Low s, as modules make it."""
        r, s = decode_dss_signature(self._key.sign(structure, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")

    def entry(self) -> dict[str, Any]:
        """For keys.json."""
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"device": self.device, "kid": self.kid.hex(), "public_key": pem.decode(), "purpose": "record",
                "valid_from_seq": 1, "valid_until_seq": None, "revoked": False}  # fmt: skip


def write_keys(path: Path, *modules: SignedModule) -> Path:
    """keys.json with these modules."""
    path.write_text(json.dumps([module.entry() for module in modules]))
    return path
