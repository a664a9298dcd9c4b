"""Strict verifier of envelopes: COSE_Sign1 (RFC 9052, August 2022) with ES256 in the profile of SPEC.md section 3.

The received byte strings are verified as they are; deterministic form (RFC 8949 section 4.2.1) is checked by
encoding again and comparing, which also catches every byte behind the item. Identity of a record is the SHA-256 of
its Sig_structure, never signature or envelope. What the payload says is left to record.py, who may sign to keys.py.

    envelope = verify_envelope(raw, keys.public_key)
    record = parse_record(envelope)
    keys.find(envelope.kid, record.device, record.seq)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import cbor2
from acqwire import labels, limits
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from plumeproof.errors import EnvelopeError, EvidenceError
from plumeproof.model import Envelope

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n, SEC 2 section 2.4.2
TAG_AND_ARRAY = bytes((0xC0 | labels.TAG_COSE_SIGN1, 0x84))  # tag 18, array of four, shortest heads
# Tags that cbor2 6 turns into objects by itself: dates, bignums, references, regular expressions, addresses, ...
BUILT_IN_TAGS = (
    0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip
KEYS_CACHED = 1024  # public key objects; a gateway has tens of modules

_ALGORITHM = ec.ECDSA(Prehashed(hashes.SHA256()))


class _TagRefused(ValueError):
    """A tag where none may be."""


def _refuse_tag(*_arguments: object) -> NoReturn:
    raise _TagRefused("tag")


_REFUSED_TAGS: dict[int, Any] = dict.fromkeys(BUILT_IN_TAGS, _refuse_tag)


def decode_deterministic(raw: bytes, error: type[EvidenceError]) -> Any:
    """The one CBOR item that `raw` is, without any tag, if it is in deterministic encoding.

    Raises `error` (cbor, not_deterministic). Size must have been checked before.
    """
    item = decode_untagged(raw, error)
    check_deterministic(item, raw, error)
    return item


def decode_untagged(raw: bytes, error: type[EvidenceError]) -> Any:
    """The CBOR item that `raw` begins with; to be compared with `raw` by check_deterministic before it is believed.

    Raises `error` (cbor), also for a tag, an indefinite length or a key that is there twice.
    """
    try:
        return cbor2.loads(
            raw,
            tag_hook=_refuse_tag,
            semantic_decoders=_REFUSED_TAGS,
            max_depth=limits.DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as fault:
        raise error("cbor", f"not readable as CBOR: {type(fault).__name__}") from fault


def check_deterministic(item: Any, raw: bytes, error: type[EvidenceError], is_ordered: bool = False) -> None:
    """Whether `raw`, all of it, is the deterministic encoding of the `item` read from it.

    `is_ordered`: the caller vouches that there is no float inside and that the keys of every map stand in their
    order; then each part has one shortest form, in the order received, and nothing must be sorted (half the time).
    Raises `error` (cbor, not_deterministic).
    """
    try:
        again = cbor2.dumps(item, canonical=not is_ordered)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as fault:
        raise error("cbor", f"not readable as CBOR: {type(fault).__name__}") from fault
    if again != raw:
        raise error("not_deterministic", "other bytes than its deterministic encoding")


def verify_envelope(
    raw: bytes, public_key_of_kid: Callable[[bytes], bytes], kid_bytes: int = limits.KID_BYTES
) -> Envelope:
    """Check form, kid and signature of `raw` and return its parts.

    `public_key_of_kid` gives the SEC1 uncompressed point (65 bytes) of a kid or raises EnvelopeError; whether that
    key may sign for the device and seq inside is the caller's next question. `kid_bytes`: length of a kid.
    Raises EnvelopeError: too_large, tag, cbor, not_deterministic, array, protected, algorithm, kid, unprotected,
    payload, signature_form, signature_range, signature, key_form, and what `public_key_of_kid` raises.
    """
    if not isinstance(raw, bytes):
        raise EnvelopeError("cbor", "not bytes")
    if len(raw) > limits.ENVELOPE_MAX_BYTES:
        raise EnvelopeError("too_large", f"{len(raw)} bytes, at most {limits.ENVELOPE_MAX_BYTES}")
    if raw[:1] != TAG_AND_ARRAY[:1]:
        raise EnvelopeError("tag", "not tagged as COSE_Sign1 (18)")
    untagged = raw[1:]  # the tag is checked; behind it no tag may stand
    parts = decode_untagged(untagged, EnvelopeError)
    if not isinstance(parts, (list, tuple)) or len(parts) != 4:
        raise EnvelopeError("array", "not an array of four")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes):
        raise EnvelopeError("protected", "protected header is no byte string")
    kid = _read_protected(protected, kid_bytes)
    if not isinstance(unprotected, dict) or unprotected:
        raise EnvelopeError("unprotected", "unprotected header is not the empty map")
    if not isinstance(payload, bytes) or not 1 <= len(payload) <= limits.RECORD_MAX_BYTES:
        raise EnvelopeError("payload", f"no byte string of 1..{limits.RECORD_MAX_BYTES} bytes")
    if not isinstance(signature, bytes) or len(signature) != limits.SIGNATURE_BYTES:
        raise EnvelopeError("signature_form", f"not {limits.SIGNATURE_BYTES} bytes r || s")
    check_deterministic(parts, untagged, EnvelopeError, is_ordered=True)  # byte strings and an empty map: no order
    content_hash = hashlib.sha256(build_sig_structure(protected, payload)).digest()
    is_high_s = verify_signature(public_key_of_kid(kid), content_hash, signature)
    return Envelope(raw=raw, kid=kid, payload=payload, content_hash=content_hash, is_high_s=is_high_s)


def kid_in(raw: bytes) -> bytes:
    """The kid of an envelope that was verified before. Raises EnvelopeError for anything else than an envelope."""
    parts = decode_deterministic(raw[1:], EnvelopeError)
    if not isinstance(parts, (list, tuple)) or len(parts) != 4 or not isinstance(parts[0], bytes):
        raise EnvelopeError("array", "not an array of four")
    return _read_protected(parts[0], limits.KID_BYTES)


def claimed_payload(raw: bytes) -> dict[Any, Any]:
    """The payload map of an envelope that nobody has verified, {} for none: to find a record, never to use it."""
    try:
        parts = cbor2.loads(raw[1:])
        payload = cbor2.loads(parts[2])
    except (cbor2.CBORDecodeError, TypeError, IndexError, KeyError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def build_sig_structure(protected: bytes, payload: bytes) -> bytes:
    """What is signed and hashed: RFC 9052 section 4.4, without external data."""
    return cbor2.dumps([labels.SIGNATURE_CONTEXT, protected, b"", payload], canonical=True)


def verify_signature(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Verify ES256 r || s over a SHA-256 digest; True when s is the high twin.

    Raises EnvelopeError (signature_form, signature_range, key_form, signature).
    """
    if len(signature) != limits.SIGNATURE_BYTES:
        raise EnvelopeError("signature_form", f"not {limits.SIGNATURE_BYTES} bytes r || s")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (1 <= r < P256_ORDER and 1 <= s < P256_ORDER):
        raise EnvelopeError("signature_range", "r or s outside 1..n-1")
    try:
        load_public_key(public_key).verify(encode_dss_signature(r, s), digest, _ALGORITHM)
    except InvalidSignature as fault:
        raise EnvelopeError("signature", "signature does not hold") from fault
    return s > P256_ORDER // 2


@lru_cache(maxsize=KEYS_CACHED)
def load_public_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    """The key object of a SEC1 uncompressed point on P-256. Raises EnvelopeError (key_form)."""
    if len(public_key) != limits.PUBLIC_KEY_BYTES:
        raise EnvelopeError("key_form", "public key is not a SEC1 uncompressed point")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError as fault:
        raise EnvelopeError("key_form", "public key is no point of P-256") from fault


def kid_of(public_key: bytes) -> bytes:
    """First bytes of SHA-256 over the SEC1 uncompressed point (SPEC.md section 1)."""
    return hashlib.sha256(public_key).digest()[: limits.KID_BYTES]


@lru_cache(maxsize=KEYS_CACHED)  # pure, and a module sends the same bytes in every envelope
def _read_protected(protected: bytes, kid_bytes: int) -> bytes:
    if not 1 <= len(protected) <= limits.PROTECTED_MAX_BYTES:
        raise EnvelopeError("protected", f"no byte string of 1..{limits.PROTECTED_MAX_BYTES} bytes")
    headers = decode_deterministic(protected, EnvelopeError)
    if not isinstance(headers, dict) or set(headers) != {labels.HEADER_ALG, labels.HEADER_KID}:
        raise EnvelopeError("protected", "headers are not exactly alg and kid")
    algorithm, kid = headers[labels.HEADER_ALG], headers[labels.HEADER_KID]
    if type(algorithm) is not int or algorithm != labels.ALG_ES256:
        raise EnvelopeError("algorithm", "algorithm is not ES256")
    if not isinstance(kid, bytes) or len(kid) != kid_bytes:
        raise EnvelopeError("kid", f"kid is not {kid_bytes} bytes")
    return kid
