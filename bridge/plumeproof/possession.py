"""Proof of possession as the registrar checks it (SPEC.md section 9): the statement is built here, from what was told
and with the registrar's own nonce; the module's bytes are never taken for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import cbor2
from acqwire import limits, possession

from plumeproof.errors import ConfigError, EnvelopeError
from plumeproof.evidence.envelope import load_public_key, verify_signature

ANSWER_MAX_BYTES = 4096
_SIZES = {
    "nonce": (possession.NONCE_BYTES, possession.NONCE_BYTES),
    "public_key": (limits.PUBLIC_KEY_BYTES, limits.PUBLIC_KEY_BYTES),
    "serial": (0, possession.SERIAL_MAX_BYTES),
    "firmware_hash": (limits.HASH_BYTES, limits.HASH_BYTES),
    "signature": (limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified answer: whoever gave it held the private key when it knew the nonce."""

    nonce: bytes
    device: str
    public_key: bytes
    serial: bytes
    firmware_hash: bytes


def build_statement(proof: Proof) -> bytes:
    """What the module must have signed: deterministic CBOR, array of seven."""
    return cbor2.dumps(
        [
            possession.CONTEXT,
            possession.VERSION,
            proof.nonce,
            proof.device,
            proof.public_key,
            proof.serial,
            proof.firmware_hash,
        ],
        canonical=True,
    )


def parse_proof(raw: bytes, where: str, nonce: bytes | None = None) -> Proof:
    """A module's answer {nonce, device, public_key, serial, firmware_hash, signature}, hex but the device, verified.

    `nonce`: the one that was chosen for it; None where the answer was brought as a file: it then shows that somebody
    held the key, not when. Raises ConfigError."""
    try:
        answer = json.loads(raw[:ANSWER_MAX_BYTES])
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, "is no answer of a module: no JSON") from error
    if not isinstance(answer, dict) or set(answer) != {*_SIZES, "device"} or not isinstance(answer["device"], str):
        raise ConfigError(where, f"is no answer of a module: not exactly device, {', '.join(_SIZES)}")
    if not 1 <= len(answer["device"]) <= limits.DEVICE_MAX_BYTES:
        raise ConfigError(where, "device has not 1..32 characters")
    parts: dict[str, bytes] = {}
    for name, (low, high) in _SIZES.items():
        try:
            parts[name] = bytes.fromhex(answer[name])
        except (ValueError, TypeError) as error:
            raise ConfigError(where, f"{name} is no hex") from error
        if not low <= len(parts[name]) <= high:
            raise ConfigError(where, f"{name} has {len(parts[name])} bytes")
    if nonce is not None and parts["nonce"] != nonce:
        raise ConfigError(where, "answers another nonce than the one that was asked: an old answer, or a foreign one")
    signature = parts.pop("signature")
    proof = Proof(device=answer["device"], **parts)
    try:
        load_public_key(proof.public_key)
        is_high_s = verify_signature(proof.public_key, hashlib.sha256(build_statement(proof)).digest(), signature)
    except EnvelopeError as error:
        raise ConfigError(
            where, f"does not prove that the module holds its key ({error.code}); do not enrol it"
        ) from error
    if is_high_s:
        raise ConfigError(where, "is signed with a high s, which no module makes; do not enrol it")
    return proof
