"""Anchors: the heads of all modules in one signed statement, and what one may say after another (EVIDENCE.md 5).

A keeper who remembers the newest statement sees records vanish, without trusting the gateway (reference: reliability
section 6; C2SP tlog-witness, for the rule that a later statement only extends an earlier one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cbor2
from acqwire import limits

from plumeproof.errors import EnvelopeError, EvidenceError
from plumeproof.evidence.envelope import decode_deterministic, decode_untagged
from plumeproof.evidence.statement import ANCHOR_TYPE, MANIFEST_TYPE, verify_statement
from plumeproof.model import Anchor, AnchorStatement, Envelope

VERSION = 1
NO_PREV = bytes(limits.HASH_BYTES)  # of the first statement
UINT_MAX = 2**63 - 1
NUMBER_MAX = 2**53 - 1  # of a statement: it stands in JSON too (RFC 8785 section 3.2.2.3)
_VERSION, _GATEWAY, _NUMBER, _PREV, _UTC_MS, _HEADS = range(1, 7)  # keys of an anchor's payload
_NEXT_KID = 7  # only in the last statement of a key that is handed over
_MANIFEST_HASH = 4  # with the first three, the keys of a manifest's


def build_anchor(
    gateway: str, number: int, prev: bytes, utc_ms: int, heads: Sequence[Anchor], next_kid: bytes | None = None
) -> bytes:
    """The payload; `heads` ascending by device; `next_kid`: of the key that goes on, where it is another."""
    rows = [[head.device, head.seq, head.content_hash, head.count] for head in heads]
    values = (VERSION, gateway, number, prev, utc_ms, rows)
    last = {} if next_kid is None else {_NEXT_KID: next_kid}
    return cbor2.dumps(dict(enumerate(values, 1)) | last, canonical=True)


def parse_anchor(raw: bytes, public_key_of_kid: Callable[[bytes], bytes]) -> AnchorStatement:
    """A statement whose form and signature hold. Whether its key may sign it is keys.py's. Raises EvidenceError."""
    signed = verify_statement(raw, ANCHOR_TYPE, public_key_of_kid)
    payload = decode_deterministic(signed.payload, EnvelopeError)
    if not isinstance(payload, dict) or set(payload) - {_NEXT_KID} != set(range(1, 7)) or payload[_VERSION] != VERSION:
        raise EvidenceError("anchor_form", f"is no anchor statement of version {VERSION}")
    gateway, number, prev, utc_ms = (payload[key] for key in (_GATEWAY, _NUMBER, _PREV, _UTC_MS))
    if not _is_name(gateway) or not _is_uint(number, 1, NUMBER_MAX) or not _is_uint(utc_ms, 0) or not _is_hash(prev):
        raise EvidenceError("anchor_form", "gateway, number, prev or time is none")
    heads: list[Anchor] = []
    for row in payload[_HEADS] if isinstance(payload[_HEADS], (list, tuple)) else [None]:
        heads.append(_head(row))
    if any(one.device >= other.device for one, other in zip(heads, heads[1:], strict=False)):
        raise EvidenceError("anchor_form", "heads do not ascend by device")
    next_kid = payload.get(_NEXT_KID)
    if _NEXT_KID in payload and (not isinstance(next_kid, bytes) or len(next_kid) != limits.KID_BYTES):
        raise EvidenceError("anchor_form", "the next key has no kid")
    return AnchorStatement(gateway, number, prev, utc_ms, tuple(heads), signed.kid, signed.content_hash, raw, next_kid)


def claimed_heads(raw: bytes) -> tuple[Anchor, ...]:
    """Heads of a statement that nobody has verified, none where they cannot be read: to gather, never to judge."""
    try:
        parts = decode_untagged(raw[1:], EnvelopeError)
        return tuple(_head(row) for row in decode_deterministic(parts[2], EnvelopeError)[_HEADS])
    except (EvidenceError, TypeError, LookupError):
        return ()


def build_manifest(gateway: str, number: int, digest: bytes) -> bytes:
    """The payload of a bundle's signature: number of the newest statement in it (0: none), hash of its manifest."""
    return cbor2.dumps(dict(enumerate((VERSION, gateway, number, digest), 1)), canonical=True)


def parse_manifest(raw: bytes, public_key_of_kid: Callable[[bytes], bytes]) -> tuple[Envelope, str, int, bytes]:
    """Signed statement, gateway, number and digest. Raises EvidenceError."""
    signed = verify_statement(raw, MANIFEST_TYPE, public_key_of_kid)
    payload = decode_deterministic(signed.payload, EnvelopeError)
    if not isinstance(payload, dict) or set(payload) != set(range(1, 5)) or payload[_VERSION] != VERSION:
        raise EvidenceError("manifest_signature", f"is no manifest statement of version {VERSION}")
    gateway, number, digest = payload[_GATEWAY], payload[_NUMBER], payload[_MANIFEST_HASH]
    if not _is_name(gateway) or not _is_uint(number, 0, NUMBER_MAX) or not _is_hash(digest):
        raise EvidenceError("manifest_signature", "gateway, number or hash is none")
    return signed, gateway, number, digest


def find_shrinking(old: Sequence[Anchor], new: Sequence[Anchor]) -> str | None:
    """The witness rule: why `new` does not extend `old`, in one sentence; None where it does."""
    later = {head.device: head for head in new}
    for head in old:
        other = later.get(head.device)
        if other is None:
            return f"{head.device} is missing, which stood at seq {head.seq}"
        if other.seq < head.seq or other.count < head.count:
            return f"{head.device} stands at seq {other.seq} ({other.count} records), below {head.seq} ({head.count})"
        if other.seq == head.seq and other != head:
            return f"{head.device} seq {head.seq} is another record, or another count, than was signed"
        if other.count - head.count > other.seq - head.seq:
            return f"{head.device} has more records between seq {head.seq} and {other.seq} than there are numbers"
    return None


def _head(row: Any) -> Anchor:
    if not isinstance(row, (list, tuple)) or len(row) != 4:
        raise EvidenceError("anchor_form", "a head is no array of four")
    device, seq, content_hash, count = row
    if not _is_name(device) or not _is_uint(seq, 1) or not _is_hash(content_hash) or not _is_uint(count, 1):
        raise EvidenceError("anchor_form", "a head has no device, seq, hash or count")
    if count > seq:
        raise EvidenceError("anchor_form", f"{device}: {count} records up to seq {seq}")
    return Anchor(device, seq, content_hash, count)


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= limits.DEVICE_MAX_BYTES
        and set(value) <= set(limits.DEVICE_CHARACTERS)
    )


def _is_uint(value: object, minimum: int, maximum: int = UINT_MAX) -> bool:
    return type(value) is int and minimum <= value <= maximum


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == limits.HASH_BYTES
