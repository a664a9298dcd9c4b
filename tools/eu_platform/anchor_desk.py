"""Keeps anchors under the witness rule: the newest of a gateway is remembered, and only what extends it is taken.

The receipt is the countersignature; it leaves after the anchor is on the disk. A gateway's first key is taken as it
comes; another one goes on where the newest anchor names it. Order of checks as for reports.
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import rfc8785

from tools.eu_platform.anchor_body import AnchorBody, find_shrinking, parse_anchor_body
from tools.eu_platform.description import Description
from tools.eu_platform.intake import Intake, Taken, parse_key, to_content_digest, to_rfc3339
from tools.eu_platform.problems import Problem
from tools.eu_platform.receipts import ReceiptKey
from tools.eu_platform.store import Grant, Store, StoredAnchor, utc_ms


class AnchorDesk:
    """Takes anchors and gives them back to the client that delivered them."""

    def __init__(self, description: Description, store: Store, key: ReceiptKey, intake: Intake) -> None:
        self._description, self._store, self._key, self._intake = description, store, key, intake
        self._lock = threading.Lock()  # between the look at the newest and its successor nobody else is let in

    def take(self, grant: Grant, keys: list[str], digests: list[str], body: bytes) -> Taken:
        """Store an anchor and return its receipt. Raises Problem, StoreFault."""
        key = parse_key(keys)
        digest = self._intake.check_digest(digests, body)
        with self._intake.claim(grant.client, f"anchor {key}"):
            known = self._store.find_anchor(grant.client, key)
            if known is not None:
                if known.digest != digest:
                    raise Problem("idempotency-key-reused", "stored for another anchor")
                return Taken(False, "", known.receipt)
            with self._lock:
                return self._store_new(grant.client, key, digest, body)

    def list_page(self, grant: Grant, after_id: int, limit: int) -> dict[str, Any]:
        """A page of a client's own anchors."""
        entries = self._store.anchors_of(grant.client, after_id, limit + 1)
        has_more = len(entries) > limit
        entries = entries[:limit]
        return {"anchors": [_to_view(entry) for entry in entries], "next": f"c{entries[-1].id}" if has_more else None}

    def _store_new(self, client: str, key: str, digest: bytes, body: bytes) -> Taken:
        anchor = parse_anchor_body(body, self._description)
        newest = self._store.newest_anchor(client, anchor.gateway)
        if newest is not None:
            self._check_rule(newest, anchor)
        now = utc_ms()
        content = {
            "receiptId": secrets.token_hex(16),
            "receivedAt": to_rfc3339(now),
            "idempotencyKey": key,
            "contentDigest": to_content_digest(digest),
            "gateway": anchor.gateway,
            "number": anchor.number,
            "contentHash": anchor.content_hash.hex(),
        }
        receipt = rfc8785.dumps(self._key.seal(content))
        # Power fails before the next line returns: nobody has a receipt, and the same anchor may come again.
        self._store.add_anchor(client, key, digest, anchor.gateway, anchor.number, body, receipt)
        return Taken(True, str(content["receiptId"]), receipt)

    def _check_rule(self, newest: StoredAnchor, anchor: AnchorBody) -> None:
        before = parse_anchor_body(newest.body, self._description)
        if anchor.number <= newest.number:
            raise Problem("anchor-refused", f"number {anchor.number} came after {newest.number}")
        if anchor.number == newest.number + 1 and anchor.prev != before.content_hash:
            raise Problem("anchor-refused", f"does not name the kept number {newest.number} as the one before it")
        if anchor.kid != (before.next_kid or before.kid):
            raise Problem("anchor-refused", "signed by another key than the newest anchor, which has not named it")
        reason = find_shrinking(before.heads, anchor.heads)
        if reason is not None:
            raise Problem("anchor-refused", f"a smaller or another history: {reason}")


def _to_view(entry: StoredAnchor) -> dict[str, Any]:
    """AnchorEntry of openapi.yaml."""
    return {**json.loads(entry.receipt), "statement": json.loads(entry.body)["statement"]}
