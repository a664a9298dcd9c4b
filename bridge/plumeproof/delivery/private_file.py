"""Secrets and keys in files: read anew when they change, refused where others may read them, never in an error's text.

Both are for their owner only (mode 0600 or 0400; reference: reliability sections 10 and 12); a key is PEM without a
pass phrase. On Windows the mode says nothing and is not asked; there the folder's rights must keep others out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from plumeproof.errors import BlockedDelivery

SECRET_MAX_BYTES = 4 * 1024
KEY_MAX_BYTES = 16 * 1024  # PEM of RSA 8192 is 6.4 KB
RSA_MIN_BITS = 2048  # reference: reliability section 10 refuses RSA-1024
OTHERS = stat.S_IRWXG | stat.S_IRWXO

SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
KINDS = {
    "ed25519": "an Ed25519 key", "EdDSA": "an Ed25519 key", "ecdsa-p256-sha256": "a P-256 key", "ES256": "a P-256 key",
    "PS256": f"an RSA key of {RSA_MIN_BITS} bits or more", "RS256": f"an RSA key of {RSA_MIN_BITS} bits or more",
}  # fmt: skip


class PrivateKeyFile:
    """The private key of one file for one algorithm; read again when the file has changed."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self.path, self._algorithm = path, algorithm
        self._mark: Mark | None = None
        self._key: SigningKey | None = None

    def load(self) -> SigningKey:
        """The key. Raises BlockedDelivery: cannot be read, for others to read, no key, or not of this algorithm."""
        mark = mark_of(self.path)
        if self._key is None or mark != self._mark:
            self._key = None
            check_private(self.path)
            self._key = self._parse(_read(self.path, KEY_MAX_BYTES))
            self._mark = mark
        return self._key

    def _parse(self, raw: bytes) -> SigningKey:
        try:
            key = load_pem_private_key(raw, password=None)
        except TypeError as error:
            raise BlockedDelivery(f"{self.path}: is locked with a pass phrase; a service needs it without") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BlockedDelivery(f"{self.path}: holds no private key in PEM") from error
        kind = KINDS[self._algorithm]
        is_right = (
            isinstance(key, ed25519.Ed25519PrivateKey)
            if "Ed25519" in kind
            else isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
            if "P-256" in kind
            else isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_MIN_BITS
        )
        if not is_right or not isinstance(key, SigningKey):
            raise BlockedDelivery(f"{self.path}: is not {kind}, which {self._algorithm} of the profile needs")
        return key


def read_secret(path: Path, encoding: str = "ascii") -> str:
    """The one line of a secret file. Raises BlockedDelivery, also for one that others may read; its text names the file
    only."""
    check_private(path)
    try:
        secret = _read(path, SECRET_MAX_BYTES).decode(encoding).strip()
    except UnicodeDecodeError as error:
        raise BlockedDelivery(f"{path}: holds other characters than {encoding.upper()}") from error
    if not secret:
        raise BlockedDelivery(f"{path}: is empty or larger than {SECRET_MAX_BYTES} bytes")
    return secret


def replace_secret(path: Path, secret: str) -> None:
    """Another line in a secret file, for its owner only. Raises OSError; then the older one stands."""
    partial = path.with_name(path.name + ".part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret.encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    # Power failing before this line leaves the older secret, behind it the newer one.
    os.replace(partial, path)


def check_private(path: Path) -> None:
    """Raises BlockedDelivery for a key or secret that others may read, or that is not there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BlockedDelivery(f"{path}: cannot be read: {error.strerror}") from error
    if os.name != "nt" and mode & OTHERS:
        raise BlockedDelivery(f"{path}: mode {stat.S_IMODE(mode):04o} lets others read it; chmod 600 {path.name}")


Mark = tuple[int, int, int, int]


def mark_of(path: Path) -> Mark | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None  # whoever reads it says so
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)


class FileWatch:
    """Whether one of some files has changed since it was last asked: then what was blocked is worth another try."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._marks = self._look()

    def has_changed(self) -> bool:
        """Since the last call."""
        marks = self._look()
        is_new, self._marks = marks != self._marks, marks
        return is_new

    def _look(self) -> tuple[Mark | None, ...]:
        return tuple(mark_of(path) for path in self._paths)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise BlockedDelivery(f"{path}: cannot be read: {error.strerror}") from error
    if not raw or len(raw) > limit:
        raise BlockedDelivery(f"{path}: is empty or larger than {limit} bytes")
    return raw
