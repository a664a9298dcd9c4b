"""What no generator of random requests can know about a delivery: its digest, and the rules beyond the schema.

A delivery that satisfies the schemas is made a consistent one: times, order, values and digest agree, and a key that
was used for other bytes becomes another key. Anything that violates a schema goes out as it was generated.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
from typing import Any

import cbor2
import requests
import schemathesis
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools.eu_platform.anchor_body import CONTENT_TYPE
from tools.eu_platform.description import Description
from tools.eu_platform.intake import DIGEST_HEADER, KEY_HEADER
from tools.eu_platform.receipts import ORDER

EMPTY_DIGEST = f"sha-256=:{'A' * 43}=:"  # well-formed; the right one takes its place
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_description = Description()
_bodies_of_keys: dict[str, bytes] = {}
_ANCHOR_KEY = ec.generate_private_key(ec.SECP256R1())
_anchor_numbers, _anchor_hashes = [1], [bytes(32)]


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Called by schemathesis before each request."""
    path = case.operation.path
    if case.method.upper() != "POST" or path not in ("/v1/reports", "/v1/anchors") or not case.headers:
        return
    if path == "/v1/anchors":
        if isinstance(case.body, dict) and not _description.find_anchor_faults(case.body):
            case.body = make_signed(case.body)
    elif isinstance(case.body, dict) and not _description.find_faults(case.body):
        case.body = make_consistent(case.body)
    names = {name.lower(): name for name in case.headers}
    body = sent_bytes(case)
    if is_about_body(case):
        # The coverage phase sends key and digest that match no pattern ("0") with every wrong body; these would be
        # refused first, and no wrong body would ever be looked at.
        case.headers[names.get("idempotency-key", "Idempotency-Key")] = f'"{hashlib.sha256(body).hexdigest()}"'
        case.headers[names.get("content-digest", "Content-Digest")] = EMPTY_DIGEST
        names = {name.lower(): name for name in case.headers}
    digest = case.headers.get(names.get("content-digest", ""))
    if isinstance(digest, str) and DIGEST_HEADER.search(digest):
        value = base64.b64encode(hashlib.sha256(body).digest()).decode()
        case.headers[names["content-digest"]] = f"sha-256=:{value}:"
    key = case.headers.get(names.get("idempotency-key", ""))
    if isinstance(key, str) and KEY_HEADER.search(key) and _bodies_of_keys.setdefault(key, body) != body:
        case.headers[names["idempotency-key"]] = f'"{hashlib.sha256(body).hexdigest()}"'


def is_about_body(case: Any) -> bool:
    """Whether a case of the coverage phase was made to violate the body's schema."""
    aim = getattr(case.meta.phase.data, "parameter_location", None) if case.meta is not None else None
    return aim is not None and aim.name == "BODY"


def sent_bytes(case: Any) -> bytes:
    """The body as it will be on the wire."""
    sent = case.as_transport_kwargs()
    fields = {name: sent[name] for name in ("data", "json", "files") if name in sent}
    body = requests.Request("POST", "https://localhost/", **fields).prepare().body or b""
    return body.encode() if isinstance(body, str) else body


def make_signed(anchor: dict[str, Any]) -> dict[str, Any]:
    """The same anchor with a statement that holds and extends the one before; every gateway is the same one."""
    number = _anchor_numbers.pop()
    _anchor_numbers.append(number + 1)
    prev = _anchor_hashes.pop()
    payload = {1: 1, 2: "gateway-01", 3: number, 4: prev, 5: 0, 6: [["plume-01", number, bytes(32), number]]}
    point = _ANCHOR_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    headers = {1: -7, 3: CONTENT_TYPE, 4: hashlib.sha256(point).digest()[:16]}
    protected, content = cbor2.dumps(headers, canonical=True), cbor2.dumps(payload, canonical=True)
    signed = cbor2.dumps(["Signature1", protected, b"", content], canonical=True)
    r, s = decode_dss_signature(_ANCHOR_KEY.sign(signed, ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
    statement = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, content, signature]), canonical=True)
    _anchor_hashes.append(hashlib.sha256(signed).digest())
    coded = {"publicKey": base64.b64encode(point).decode(), "statement": base64.b64encode(statement).decode()}
    return {**anchor, "gateway": "gateway-01", "number": number, **coded}


def make_consistent(report: dict[str, Any]) -> dict[str, Any]:
    """The same report, its averages obeying what openapi.yaml says in words under `deliverReport`."""
    report = copy.deepcopy(report)
    averages = report["averages"]
    interval = dt.timedelta(seconds=int(report["interval_s"]))
    first_id = min(int(averages[0]["id"]), 2**53 - 1 - len(averages))
    for index, average in enumerate(averages):
        average["id"] = first_id + index
        average["start"] = f"{EPOCH:%Y-%m-%dT%H:%M:%SZ}"
        average["end"] = f"{EPOCH + interval:%Y-%m-%dT%H:%M:%SZ}"
        average["firstSeq"], average["lastSeq"] = sorted((average["firstSeq"], average["lastSeq"]))
        values = [average["minimum"], average["mean"], average["maximum"]]
        if None in values:
            values = [None] * 3
            average["deviation"] = None
        average["minimum"], average["mean"], average["maximum"] = (
            values if None in values else sorted(values, key=float)
        )
    return report
