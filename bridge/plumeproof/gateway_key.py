"""The gateway's own key: signs anchors and manifests, never records (reference: reliability section 6, one purpose).

The file is a PKCS #8 PEM that nobody else may read; another is refused. Beside it lies the newest statement it has
signed (KEY.newest), written before the statement goes anywhere: with it a ledger that was put back is noticed.

    key = GatewayKey(Path("gateway.key"))
    raw = key.sign(ANCHOR_TYPE, payload)
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from pathlib import Path

from acqwire import limits, possession
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from plumeproof.enrolment import sync_folder
from plumeproof.errors import ConfigError
from plumeproof.evidence.envelope import P256_ORDER, kid_of, verify_signature
from plumeproof.evidence.statement import STATEMENT_MAX_BYTES, build_statement, verify_statement
from plumeproof.possession import Proof, parse_proof
from plumeproof.possession import build_statement as build_possession

KEY_MAX_BYTES = 4096
_SIGNING = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979: the same bundle has the same bytes
_COORDINATE_BYTES = 32


class GatewayKey:
    """A private key in this process; its bytes go nowhere. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError: not there, readable by others, no P-256 key."""
        self.path = path
        self._newest_path = path.with_name(path.name + ".newest")
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(KEY_MAX_BYTES + 1)
        except OSError as error:
            mend = "`plumeproof keys create-gateway` makes one"
            raise ConfigError(str(path), f"cannot be read: {error.strerror}; {mend}") from error
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(str(path), f"others may read or write it (mode {mode & 0o777:04o}); chmod 600 it")
        try:
            key = serialization.load_pem_private_key(raw[:KEY_MAX_BYTES], password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(str(path), "is no private key in PEM") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigError(str(path), "is no P-256 key; a gateway signs ES256 only")
        self._key = key
        self.public_key = key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.kid = kid_of(self.public_key)

    def sign(self, content_type: str, payload: bytes) -> bytes:
        """A statement, verified before it is given out (reference: reliability section 6, nonces)."""
        raw = build_statement(content_type, self.kid, payload, self._sign)
        verify_statement(raw, content_type, lambda _kid: self.public_key)
        return raw

    def prove(self, gateway: str, nonce: bytes) -> bytes:
        """The answer that `keys enroll` verifies (SPEC.md section 9): who gives it held the key at this nonce."""
        proof = Proof(nonce, gateway, self.public_key, b"", bytes(limits.HASH_BYTES))
        answer = {
            "nonce": nonce.hex(),
            "device": gateway,
            "public_key": self.public_key.hex(),
            "serial": "",
            "firmware_hash": proof.firmware_hash.hex(),
            "signature": self._sign(build_possession(proof)).hex(),
        }
        return json.dumps(answer).encode()

    def newest(self) -> bytes | None:
        """The newest statement this key has signed, as it lies beside it. Raises ConfigError."""
        try:
            with self._newest_path.open("rb") as file:
                return file.read(STATEMENT_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(str(self._newest_path), f"cannot be read: {error.strerror}") from error

    def remember(self, raw: bytes) -> None:
        """Keep a statement beside the key before it goes anywhere. Raises ConfigError: then it must not go."""
        partial = self._newest_path.with_name(self._newest_path.name + ".part")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            # Power failing before this line: the older statement stands, and this one was shown to nobody.
            os.replace(partial, self._newest_path)
            sync_folder(self._newest_path.parent)
        except OSError as error:
            raise ConfigError(str(self._newest_path), f"{error.strerror}; the key signs nothing without it") from error

    def _sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, _SIGNING))
        s = min(s, P256_ORDER - s)
        signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
        verify_signature(self.public_key, hashlib.sha256(message).digest(), signature)
        return signature


def create_gateway_key(path: Path, gateway: str) -> tuple[GatewayKey, bytes]:
    """Make a key where there is none, and its answer to a fresh nonce, verified as a registrar does it.

    Raises ConfigError: the file is there, cannot be written, or the gateway's id is none."""
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if not 1 <= len(gateway) <= limits.DEVICE_MAX_BYTES or not set(gateway) <= set(limits.DEVICE_CHARACTERS):
        raise ConfigError("--gateway", f"is not 1..{limits.DEVICE_MAX_BYTES} characters of a-z 0-9 . _ -")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.absolute().parent)
    except FileExistsError as error:
        raise ConfigError(str(path), "is there already; a key is never written over, name another file") from error
    except OSError as error:
        raise ConfigError(str(path), f"{error.strerror}; name a place to write to") from error
    key, nonce = GatewayKey(path), secrets.token_bytes(possession.NONCE_BYTES)
    answer = key.prove(gateway, nonce)
    parse_proof(answer, str(path), nonce)
    return key, answer
