"""An anchor's bytes become what the platform keeps, or a problem: JSON, schema, and the signed statement inside.

Form of the statement: bridge/EVIDENCE.md section 5. Written from that page; nothing of the bridge is imported.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tools.eu_platform.description import Description
from tools.eu_platform.problems import Finding, Problem
from tools.eu_platform.receipts import ORDER
from tools.eu_platform.report_body import parse_json

CONTENT_TYPE = "application/vnd.plumeproof.anchor+cbor"
KID_BYTES = 16
SIGNATURE_BYTES = 64

Heads = dict[str, tuple[int, bytes, int]]  # device: seq, content hash, count


@dataclass(frozen=True, slots=True)
class AnchorBody:
    """A statement whose signature holds under the key that came with it."""

    gateway: str
    number: int
    prev: bytes
    heads: Heads
    kid: bytes
    content_hash: bytes
    statement: bytes
    next_kid: bytes | None  # of the key that goes on behind this anchor


def parse_anchor_body(body: bytes, description: Description) -> AnchorBody:
    """Raises Problem: malformed-body, anchor-refused."""
    document = parse_json(body)
    faults = description.find_anchor_faults(document)
    if faults:
        raise Problem("anchor-refused", f"{faults[0].pointer or 'the body'}: {faults[0].detail}", faults)
    try:
        statement = base64.b64decode(document["statement"], validate=True)
        point = base64.b64decode(document["publicKey"], validate=True)
        found = _open(statement, point)
        if (found.gateway, found.number) != (document["gateway"], document["number"]):
            raise ValueError("names another gateway or number than the body")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, cbor2.CBORError) as error:
        said = str(error) if type(error) is ValueError else "is not of the form that is described"
        fault = Finding("/statement", "statement", said[:200])
        raise Problem("anchor-refused", f"/statement: {fault.detail}", [fault]) from error
    return found


def _open(statement: bytes, point: bytes) -> AnchorBody:
    decoder: Any = cbor2.loads(statement)
    protected, unprotected, payload, signature = decoder.value
    whole = cbor2.CBORTag(18, [protected, unprotected, payload, signature])
    kid = hashlib.sha256(point).digest()[:KID_BYTES]
    headers = cbor2.dumps({1: -7, 3: CONTENT_TYPE, 4: kid}, canonical=True)
    if decoder.tag != 18 or unprotected != {} or cbor2.dumps(whole, canonical=True) != statement:
        raise ValueError("is no COSE_Sign1 in its one form")
    if protected != headers:
        raise ValueError("its headers are not ES256, the content type of anchors, and the kid of publicKey")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != SIGNATURE_BYTES or not 1 <= s <= ORDER // 2:
        raise ValueError("its signature is not r and a low s")
    signed = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("its signature does not hold") from error
    content = cbor2.loads(payload)
    if cbor2.dumps(content, canonical=True) != payload or set(content) - {7} != {1, 2, 3, 4, 5, 6} or content[1] != 1:
        raise ValueError("its payload is none of version 1")
    rows = [tuple(row) for row in content[6]]
    heads: Heads = {}
    for device, seq, content_hash, count in rows:
        if not isinstance(device, str) or type(seq) is not int or type(count) is not int or not 1 <= count <= seq:
            raise ValueError("a head is none")
        if not isinstance(content_hash, bytes) or len(content_hash) != 32:
            raise ValueError("a head has no hash")
        heads[device] = (seq, content_hash, count)
    if [row[0] for row in rows] != sorted(heads) or type(content[5]) is not int or len(content[4]) != 32:
        raise ValueError("heads do not ascend by device, or time or prev is none")
    if 7 in content and (not isinstance(content[7], bytes) or len(content[7]) != KID_BYTES):
        raise ValueError("the next key has no kid")
    digest = hashlib.sha256(signed).digest()
    return AnchorBody(content[2], content[3], bytes(content[4]), heads, kid, digest, statement, content.get(7))


def find_shrinking(old: Heads, new: Heads) -> str | None:
    """Why `new` does not extend `old`: the witness rule."""
    for device, (seq, content_hash, count) in sorted(old.items()):
        later = new.get(device)
        if later is None:
            return f"{device} is missing"
        if later[0] < seq or later[2] < count or later[2] - count > later[0] - seq:
            return f"{device} goes from seq {seq} ({count} records) to {later[0]} ({later[2]})"
        if later[0] == seq and later != (seq, content_hash, count):
            return f"{device} seq {seq} is another record than before"
    return None
