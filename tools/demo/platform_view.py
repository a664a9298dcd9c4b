"""What the platform says it has received, asked as any client would: token, listing by pages, signatures checked."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
import urllib3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tools.demo.part import PartError

RECEIPT_MEMBERS = (
    "receiptId", "receivedAt", "idempotencyKey", "contentDigest", "module", "firstAverageId", "lastAverageId",
    "averageCount",
)  # fmt: skip
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class StoredReport:
    """One stored report: what names it, what was in it (SHA-256 of the body), how often it was handed in."""

    key: str
    body_hash: bytes
    deliveries: int
    is_signed: bool


def read_platform(url: str, ca_file: Path, client: str, secret_file: Path, keys_file: Path) -> tuple[StoredReport, ...]:
    """All of its listing; its keys go to `keys_file`. Raises PartError when it cannot be asked."""
    pool = urllib3.PoolManager(ca_certs=str(ca_file), timeout=TIMEOUT_S, retries=False)
    try:
        basic = urllib3.make_headers(basic_auth=f"{client}:{secret_file.read_text().strip()}")
        basic["content-type"] = "application/x-www-form-urlencoded"
        form = "grant_type=client_credentials&scope=reports%3Aread"
        token = _ask(pool, "POST", f"{url}/oauth/token", basic, form)["access_token"]
        key_set = _ask(pool, "GET", f"{url}/v1/keys", {})
        keys_file.write_text(json.dumps(key_set) + "\n")
        keys = {key["kid"]: _point(key) for key in key_set["keys"]}
        found: list[StoredReport] = []
        cursor: str | None = ""
        while cursor is not None:
            page = _ask(pool, "GET", f"{url}/v1/reports{cursor}", {"authorization": f"Bearer {token}"})
            found += [_stored(entry, keys) for entry in page["reports"]]
            cursor = None if page["next"] is None else f"?cursor={page['next']}"
        return tuple(found)
    except urllib3.exceptions.HTTPError as error:
        raise PartError(f"platform: {url} cannot be asked: {error}") from error
    finally:
        pool.clear()


def _ask(pool: urllib3.PoolManager, method: str, url: str, headers: dict[str, str], body: str | None = None) -> Any:
    answer = pool.request(method, url, headers=headers, body=body)
    if answer.status != 200:
        raise PartError(f"platform: {method} {url} gave {answer.status}: {answer.data[:200]!r}")
    return json.loads(answer.data)


def _stored(entry: dict[str, Any], keys: dict[str, ec.EllipticCurvePublicKey]) -> StoredReport:
    digest = base64.b64decode(entry["contentDigest"].removeprefix("sha-256=:").removesuffix(":"))
    return StoredReport(entry["idempotencyKey"], digest, entry["deliveries"], _is_signed(entry, keys))


def _is_signed(entry: dict[str, Any], keys: dict[str, ec.EllipticCurvePublicKey]) -> bool:
    signature = entry["signature"]
    raw = base64.b64decode(signature["value"])
    signed = rfc8785.dumps({name: entry[name] for name in RECEIPT_MEMBERS})
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        keys[signature["keyId"]].verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, KeyError):
        return False
    return True


def _point(key: dict[str, str]) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=="), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
