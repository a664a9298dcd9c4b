"""What the gateway's own key signs: COSE_Sign1 (RFC 9052) in the strict profile of records, with a content type.

The protected header is exactly {alg, content type, kid}. A record has none (SPEC.md section 3) and every kind of
statement its own, so that no verifier can take one for the other. Form: bridge/EVIDENCE.md section 5.

    raw = build_statement(ANCHOR_TYPE, kid, payload, sign)
    signed = verify_statement(raw, ANCHOR_TYPE, lambda kid: keys.public_key(kid, "anchor"))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cbor2
from acqwire import labels, limits

from plumeproof.errors import EnvelopeError
from plumeproof.evidence.envelope import (
    TAG_AND_ARRAY,
    build_sig_structure,
    check_deterministic,
    decode_deterministic,
    decode_untagged,
    verify_signature,
)
from plumeproof.model import Envelope

ANCHOR_TYPE = "application/vnd.plumeproof.anchor+cbor"
MANIFEST_TYPE = "application/vnd.plumeproof.manifest+cbor"
HEADER_CONTENT_TYPE = 3  # RFC 9052 section 3.1
STATEMENT_MAX_BYTES = 256 * 1024  # heads of some 2,500 modules


def build_statement(content_type: str, kid: bytes, payload: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The signed bytes. `sign` makes r || s, low s, of the bytes it is given."""
    headers = {labels.HEADER_ALG: labels.ALG_ES256, HEADER_CONTENT_TYPE: content_type, labels.HEADER_KID: kid}
    protected = cbor2.dumps(headers, canonical=True)
    signature = sign(build_sig_structure(protected, payload))
    return TAG_AND_ARRAY[:1] + cbor2.dumps([protected, {}, payload, signature], canonical=True)


def verify_statement(raw: bytes, content_type: str, public_key_of_kid: Callable[[bytes], bytes]) -> Envelope:
    """Check form, content type, kid and signature. Raises EnvelopeError: the codes of verify_envelope, content_type."""
    if len(raw) > STATEMENT_MAX_BYTES:
        raise EnvelopeError("too_large", f"{len(raw)} bytes, at most {STATEMENT_MAX_BYTES}")
    if raw[:1] != TAG_AND_ARRAY[:1]:
        raise EnvelopeError("tag", "not tagged as COSE_Sign1 (18)")
    parts = decode_untagged(raw[1:], EnvelopeError)
    if not isinstance(parts, (list, tuple)) or len(parts) != 4:
        raise EnvelopeError("array", "not an array of four")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not 1 <= len(protected) <= limits.PROTECTED_MAX_BYTES:
        raise EnvelopeError("protected", f"no byte string of 1..{limits.PROTECTED_MAX_BYTES} bytes")
    kid = _read_protected(protected, content_type)
    if not isinstance(unprotected, dict) or unprotected:
        raise EnvelopeError("unprotected", "unprotected header is not the empty map")
    if not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise EnvelopeError("payload", "payload or signature is no byte string")
    check_deterministic(parts, raw[1:], EnvelopeError, is_ordered=True)  # byte strings and an empty map: no order
    content_hash = hashlib.sha256(build_sig_structure(protected, payload)).digest()
    if verify_signature(public_key_of_kid(kid), content_hash, signature):
        raise EnvelopeError("high_s", "signature in the form that no gateway makes")
    return Envelope(raw=raw, kid=kid, payload=payload, content_hash=content_hash, is_high_s=False)


def _read_protected(protected: bytes, content_type: str) -> bytes:
    headers = decode_deterministic(protected, EnvelopeError)
    if not isinstance(headers, dict) or set(headers) != {
        labels.HEADER_ALG, HEADER_CONTENT_TYPE, labels.HEADER_KID
    }:  # fmt: skip
        raise EnvelopeError("protected", "headers are not exactly alg, content type and kid")
    algorithm, kid = headers[labels.HEADER_ALG], headers[labels.HEADER_KID]
    if type(algorithm) is not int or algorithm != labels.ALG_ES256:
        raise EnvelopeError("algorithm", "algorithm is not ES256")
    if headers[HEADER_CONTENT_TYPE] != content_type:
        raise EnvelopeError("content_type", f"is no {content_type}")
    if not isinstance(kid, bytes) or len(kid) != limits.KID_BYTES:
        raise EnvelopeError("kid", f"kid is not {limits.KID_BYTES} bytes")
    return kid
