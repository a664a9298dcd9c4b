"""Anchor statements on their way to the keepers: brokers and folders get the bytes, platforms a JSON body with them.

A new broker begins with the newest statement, which it retains; every other keeper gets all there are, in order.
Another host is a keeper by any of these: its broker, its share mounted as a folder, its HTTPS service.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import rfc8785

from plumeproof.model import NewRow, StoredAnchor
from plumeproof.ports import AnchorStore, Outbox

STAGE = "relay_anchors"  # in the cursor table; counts numbers of statements
WINDOW = 64
SCHEMA = "plumeproof-anchor/1"
ANCHOR_FIELDS = ("schema", "gateway", "number", "publicKey", "statement")
RECEIPT_FIELDS = ("gateway", "number")


@dataclass(frozen=True, slots=True)
class AnchorShape:
    """A platform's place for anchors, and our name of each field to the platform's, of the body and of its receipt."""

    path: str
    body: Mapping[str, str]
    receipt: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent for a statement, under which key."""

    key: str
    body: bytes


class AnchorFeed:
    """Every statement for one keeper; implements relay.Feed."""

    def __init__(
        self,
        sink: str,
        gateway: str,
        store: AnchorStore,
        outbox: Outbox,
        body_of: Callable[[StoredAnchor], Body],
        is_newest_enough: bool = False,
    ) -> None:
        self._sink, self._gateway, self._store, self._outbox = sink, gateway, store, outbox
        self._body_of, self._is_newest_enough = body_of, is_newest_enough

    def begin(self) -> None:
        """From the first statement on, or from the newest."""
        if self._outbox.cursor(STAGE, self._sink) is None:
            newest = self._store.newest() if self._is_newest_enough else None
            self._outbox.enqueue((), STAGE, self._sink, 0 if newest is None else newest.number - 1)

    def advance(self) -> int:
        """As relay.Feed.advance."""
        stored = self._store.after(self._outbox.cursor(STAGE, self._sink) or 0, WINDOW)
        if not stored:
            return 0
        rows = []
        for one in stored:
            made = self._body_of(one)
            attributes = {"number": str(one.number), "hash": one.content_hash.hex(), "kid": one.kid.hex()}
            rows.append(NewRow(self._sink, self._gateway, "anchor", made.key, made.body, attributes=attributes))
        self._outbox.enqueue(rows, STAGE, self._sink, stored[-1].number)
        return len(stored)


def plain_body(one: StoredAnchor) -> Body:
    """The statement itself."""
    return Body(f"anchor/{one.number}/{one.content_hash.hex()}", one.statement)


def platform_body(
    one: StoredAnchor, gateway: str, shape: AnchorShape, public_key_of_kid: Callable[[bytes], bytes]
) -> Body:
    """RFC 8785 JSON; its key names gateway, number and bytes, so that a repeat has the same one."""
    fields: dict[str, str | int] = {
        "schema": SCHEMA,
        "gateway": gateway,
        "number": one.number,
        "publicKey": base64.b64encode(public_key_of_kid(one.kid)).decode(),
        "statement": base64.b64encode(one.statement).decode(),
    }
    body = rfc8785.dumps({shape.body[name]: value for name, value in fields.items()})
    parts = (gateway, str(one.number), hashlib.sha256(body).hexdigest())
    return Body(hashlib.sha256("\n".join(("anchor", *parts)).encode()).hexdigest(), body)
