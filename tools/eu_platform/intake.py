"""What happens to a delivery: key, digest, body, receipt, disk; and how what is stored looks from outside.

Plain calls that may wait for the disk; app.py runs them in threads. The order of checks is that of openapi.yaml.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import rfc8785

from tools.eu_platform.description import Description, ecma_pattern
from tools.eu_platform.problems import Problem
from tools.eu_platform.receipts import ReceiptKey
from tools.eu_platform.report_body import parse_report
from tools.eu_platform.store import Entry, Grant, Store, utc_ms

KEY_HEADER = ecma_pattern('^"[A-Za-z0-9._:-]{1,128}"$')
DIGEST_HEADER = ecma_pattern("^sha-256=:[A-Za-z0-9+/]{43}=:$")
RETRY_S = 1  # when the first request with a key should be finished


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is on the disk. `is_new`: for the first time."""

    is_new: bool
    receipt_id: str
    receipt: bytes


class Intake:
    """Takes reports and shows them to the client that delivered them."""

    def __init__(self, description: Description, store: Store, key: ReceiptKey) -> None:
        self._description = description
        self._store = store
        self._key = key
        self._lock = threading.Lock()
        self._in_flight: set[tuple[str, str]] = set()

    def take(self, grant: Grant, keys: list[str], digests: list[str], body: bytes, hold_s: float = 0.0) -> Taken:
        """Store a delivery and return its receipt. Raises Problem, StoreFault.

        `keys`, `digests`: values of the two headers. `hold_s`: how long the work is made to take (fault `hold`).
        """
        key = parse_key(keys)
        has_counted = False
        try:
            digest = self.check_digest(digests, body)
            with self.claim(grant.client, key):
                time.sleep(hold_s)
                known = self._store.find_key(grant.client, key)
                if known is not None:
                    if known.digest != digest:
                        raise Problem("idempotency-key-reused", f"stored with receipt {known.receipt_id}")
                    return Taken(False, known.receipt_id, known.receipt)
                taken = self._store_new(grant.client, key, digest, body)
                has_counted = True
                return taken
        finally:
            if not has_counted:
                self._store.count_arrival(grant.client, key)

    def count_arrival(self, grant: Grant, key: str) -> None:
        """One more request with this key that is not served."""
        self._store.count_arrival(grant.client, key)

    def _store_new(self, client: str, key: str, digest: bytes, body: bytes) -> Taken:
        report = parse_report(body, self._description)
        now = utc_ms()
        receipt_id = secrets.token_hex(16)
        receipt = rfc8785.dumps(
            self._key.seal(
                {
                    "receiptId": receipt_id,
                    "receivedAt": to_rfc3339(now),
                    "idempotencyKey": key,
                    "contentDigest": to_content_digest(digest),
                    "module": report.module,
                    "firstAverageId": report.first_id,
                    "lastAverageId": report.last_id,
                    "averageCount": report.count,
                }
            )
        )
        # Power fails before the next line returns: nothing is stored, nobody has a receipt. After it: both are there,
        # and the same key and body fetch the receipt again.
        self._store.add_report(client, key, digest, report, receipt_id, receipt, body, now)
        return Taken(True, receipt_id, receipt)

    @staticmethod
    def check_digest(digests: list[str], body: bytes) -> bytes:
        """The body's SHA-256, if the header names it. Raises Problem."""
        if not digests:
            raise Problem("content-digest-missing", "no Content-Digest came with the body")
        if len(digests) > 1 or DIGEST_HEADER.search(digests[0]) is None:
            raise Problem("content-digest-malformed", "Content-Digest is not one sha-256 member")
        digest = hashlib.sha256(body).digest()
        # Compared as bytes: the last character of the base64 has bits that mean nothing.
        if base64.b64decode(digests[0][len("sha-256=:") : -1]) != digest:
            raise Problem("content-digest-mismatch", f"{len(body)} bytes came and have another SHA-256")
        return digest

    @contextmanager
    def claim(self, client: str, key: str) -> Iterator[None]:
        """One request at a time for each key; a second one is refused, not queued."""
        with self._lock:
            if (client, key) in self._in_flight:
                raise Problem("request-in-flight", "this key is being worked on", headers={"Retry-After": str(RETRY_S)})
            self._in_flight.add((client, key))
        try:
            yield
        finally:
            with self._lock:
                self._in_flight.discard((client, key))

    def list_page(self, grant: Grant, after_id: int, limit: int) -> dict[str, Any]:
        """A page of a client's own reports."""
        entries = self._store.list_of(grant.client, after_id, limit + 1)
        has_more = len(entries) > limit
        entries = entries[:limit]
        return {"reports": [to_view(entry) for entry in entries], "next": f"c{entries[-1].id}" if has_more else None}

    def read(self, grant: Grant, receipt_id: str) -> dict[str, Any]:
        """One of a client's own reports. Raises Problem: another client's is not found, as if it did not exist."""
        entry = self._store.find_receipt(receipt_id)
        if entry is None or entry.client != grant.client:
            raise Problem("not-found", "no such report of this client")
        return {**to_view(entry), "report": json.loads(self._store.read_body(entry))}


def parse_key(values: list[str]) -> str:
    """The key of an Idempotency-Key header, without its quotes. Raises Problem."""
    if not values:
        raise Problem("idempotency-key-missing", "no Idempotency-Key came with the report")
    if len(values) > 1 or KEY_HEADER.search(values[0]) is None:
        raise Problem("idempotency-key-malformed", "Idempotency-Key is not one structured-field string as described")
    return values[0][1:-1]


def to_content_digest(digest: bytes) -> str:
    """A SHA-256 as RFC 9530 writes it."""
    return f"sha-256=:{base64.b64encode(digest).decode()}:"


def to_view(entry: Entry) -> dict[str, Any]:
    """ReportEntry of openapi.yaml."""
    return {
        **json.loads(entry.receipt),
        "gateway": entry.gateway,
        "interval_s": entry.interval_s,
        "periodStart": entry.period_start,
        "periodEnd": entry.period_end,
        "deliveries": entry.deliveries,
        "lastDeliveryAt": to_rfc3339(entry.last_utc_ms),
    }


def to_rfc3339(utc_milliseconds: int) -> str:
    """2026-11-25T01:02:03.004Z"""
    moment = dt.datetime.fromtimestamp(utc_milliseconds // 1000, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_milliseconds % 1000:03d}Z"
