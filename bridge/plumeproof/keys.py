"""The key registry keys.json: who may sign what (SPEC.md section 1; reference: reliability section 6).

A list of {device, kid (hex), public_key (PEM), purpose, valid_from_seq, valid_until_seq or null, revoked}. `revoked` is
false, or true: then records of that key count as untrusted from `valid_until_seq` on (all, where that is null).
Purposes: record (a module's measurement key), anchor (a gateway's key for anchors and manifests). Only public keys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqwire import limits
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plumeproof.errors import ConfigError, EnvelopeError
from plumeproof.evidence.envelope import kid_of

FILE_MAX_BYTES = 4 * 1024 * 1024  # some thousand modules
PURPOSES = ("record", "anchor")
FIELDS = ("device", "kid", "public_key", "purpose", "valid_from_seq", "valid_until_seq", "revoked")
SEQ_MAX = 2**63 - 1
# Keys whose private halves are printed in standards or lie in this repository: whoever can read, can sign with them.
TEST_KIDS = {
    "b18b86ce1389e46de87aa4a5131ce83c": "RFC 6979 A.2.5, tests/vectors",
    "698bea63dc44a344663ff1429aea1084": "private key 1, the base point itself",
    "914ff1e93e3fd96dd86e5c21d2a34929": "tests/contract/test_ports_signer.py",
}


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """One entry; `valid_until_seq` None: no end. `public_key`: SEC1 uncompressed point."""

    device: str
    kid: bytes
    public_key: bytes
    purpose: str
    valid_from_seq: int
    valid_until_seq: int | None
    is_revoked: bool


class KeyFile:
    """The entries of one keys.json; implements ports.KeyRegistry."""

    def __init__(self, entries: tuple[RegisteredKey, ...], where: str = "keys") -> None:
        """Raises ConfigError when one key is there twice: a key belongs to one device and one purpose."""
        self.entries = entries
        self._by_kid: dict[bytes, RegisteredKey] = {}
        for entry in entries:
            other = self._by_kid.setdefault(entry.kid, entry)
            if other is not entry:
                raise ConfigError(
                    f"{where}: kid {entry.kid.hex()}",
                    f"same key for {other.device} and {entry.device}; every module has its own, entered once",
                )

    def public_key(self, kid: bytes, purpose: str = "record") -> bytes:
        """The point of a key of this purpose, for verify_envelope. Raises EnvelopeError (key_unknown)."""
        entry = self._by_kid.get(kid)
        if entry is None or entry.purpose != purpose:
            raise EnvelopeError("key_unknown", f"kid {kid.hex()} is not enrolled for {purpose}s")
        return entry.public_key

    def find(self, kid: bytes, device: str, seq: int, purpose: str = "record") -> bytes:
        """As ports.KeyRegistry.find; for an anchor `device` is the gateway, `seq` the number of its statement."""
        public_key = self.public_key(kid, purpose)
        entry = self._by_kid[kid]
        if entry.device != device:
            raise EnvelopeError("key_other_device", f"kid {kid.hex()} is enrolled for {entry.device}, not {device}")
        if entry.is_revoked and (entry.valid_until_seq is None or seq > entry.valid_until_seq):
            raise EnvelopeError("key_revoked", f"kid {kid.hex()} is revoked for seq {seq}")
        if seq < entry.valid_from_seq or (entry.valid_until_seq is not None and seq > entry.valid_until_seq):
            raise EnvelopeError("key_not_valid", f"kid {kid.hex()} is not valid for seq {seq}")
        return public_key


def load_keys(path: Path, allow_test_keys: bool = False) -> KeyFile:
    """Read keys.json. Raises ConfigError with one line that names file, entry and mend; also for a published test key
    that could sign anything, unless whoever asks says that this is a test."""
    found = parse_keys(read_keys(path), str(path))
    if not allow_test_keys:
        refuse_test_keys(found, str(path))
    return found


def refuse_test_keys(keys: KeyFile, where: str) -> None:
    """Raises ConfigError. A key that is revoked for all its records counts for nothing and may stay."""
    for entry in keys.entries:
        is_dead = entry.is_revoked and not entry.valid_until_seq
        if entry.kid.hex() in TEST_KIDS and not is_dead:
            told = f"is a published test key ({TEST_KIDS[entry.kid.hex()]}): everybody can sign with it"
            mend = "revoke it with --last-seq 0 and enrol the module's own; for tests there is --allow-test-keys"
            raise ConfigError(f"{where}: {entry.device}, kid {entry.kid.hex()}", f"{told}; {mend}")


def read_keys(path: Path) -> bytes:
    """The bytes of keys.json. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}; name a keys.json with --keys") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(str(path), f"larger than {FILE_MAX_BYTES} bytes")
    return raw


def parse_keys(raw: bytes, where: str) -> KeyFile:
    """Read the bytes of a registry; `where` is named in errors. Raises ConfigError."""
    try:
        items = json.loads(raw, object_pairs_hook=_refuse_double)
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, f"no JSON: {error}") from error
    if not isinstance(items, list):
        raise ConfigError(where, "not a list of keys")
    return KeyFile(tuple(_entry(item, f"{where}: entry {index + 1}") for index, item in enumerate(items)), where)


def build_entry(
    device: str, public_key: bytes, purpose: str = "record", valid_from_seq: int = 1, valid_until_seq: int | None = None
) -> dict[str, Any]:
    """The JSON object of one entry, for enrolment. Raises ValueError when the point is not on P-256."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "device": device,
        "kid": kid_of(public_key).hex(),
        "public_key": pem.decode("ascii"),
        "purpose": purpose,
        "valid_from_seq": valid_from_seq,
        "valid_until_seq": valid_until_seq,
        "revoked": False,
    }


def _refuse_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object is there twice")
    return found


def _entry(item: object, where: str) -> RegisteredKey:
    if not isinstance(item, dict):
        raise ConfigError(where, "is no object")
    for name in FIELDS:
        if name not in item:
            raise ConfigError(where, f"{name} is missing")
    for name in item:
        if name not in FIELDS:
            raise ConfigError(where, f"unknown field {name[:40]!r}")
    device, purpose, revoked = item["device"], item["purpose"], item["revoked"]
    if not isinstance(device, str) or not 1 <= len(device) <= limits.DEVICE_MAX_BYTES:
        raise ConfigError(where, f"device is no text of 1..{limits.DEVICE_MAX_BYTES} characters")
    if not set(device) <= set(limits.DEVICE_CHARACTERS):
        raise ConfigError(where, "device has a character outside a-z 0-9 . _ -")
    if purpose not in PURPOSES:
        raise ConfigError(where, f"purpose is none of {', '.join(PURPOSES)}")
    if not isinstance(revoked, bool):
        raise ConfigError(where, "revoked is neither true nor false")
    until = item["valid_until_seq"]
    first = _seq(item["valid_from_seq"], f"{where}: valid_from_seq")
    last = None if until is None else _seq(until, f"{where}: valid_until_seq")
    public_key = _public_key(item["public_key"], where)
    kid = kid_of(public_key)
    if item["kid"] != kid.hex():
        raise ConfigError(where, f"kid is not that of the public key; it must be {kid.hex()}")
    return RegisteredKey(device, kid, public_key, purpose, first, last, revoked)


def _seq(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= SEQ_MAX:
        raise ConfigError(where, "is no seq")
    return value


def _public_key(pem: object, where: str) -> bytes:
    if not isinstance(pem, str) or "PRIVATE" in pem:
        raise ConfigError(where, "public_key is no PEM of a public key")
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(where, "public_key is no PEM of a public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(where, "public_key is no P-256 key")
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
