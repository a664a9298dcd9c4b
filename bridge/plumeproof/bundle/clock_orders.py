"""Clock orders of platforms in a bundle (EVIDENCE.md section 5.5): those of its period, judged one after another.

orders = read_orders(zip_file, members, keys)
findings = list(orders.findings()); orders.heads
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import rfc8785

from plumeproof.bundle.zip import Member, read_whole
from plumeproof.errors import EvidenceError
from plumeproof.evidence.clock_order import ClockOrderEvent, find_break, parse_clock_order
from plumeproof.inspection import Finding
from plumeproof.keys import KeyFile
from plumeproof.model import Anchor

ORDERS = "data/clock_orders.jsonl"
ORDERS_MAX_BYTES = 16 * 1024 * 1024  # an order of fifty modules is some 4 kB
CODE = "clock_order"


def order_lines(statements: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of data/clock_orders.jsonl."""
    for statement in statements:
        yield {"statement": base64.b64encode(statement).decode()}


class BundleOrders:
    """The orders of one bundle; `heads`: records that they state, for who looks at the records."""

    def __init__(self, raw: bytes, keys: KeyFile) -> None:
        self._faults: list[str] = []
        self._events: list[tuple[ClockOrderEvent, bytes]] = []
        for number, line in enumerate(raw.splitlines(keepends=True), 1):
            try:
                statement = _statement(line)
                event, content_hash = parse_clock_order(statement, lambda kid: keys.public_key(kid, "anchor"))
            except (EvidenceError, ValueError) as error:
                self._faults.append(f"line {number}: {error}")
                continue
            self._events.append((event, content_hash))

    @property
    def heads(self) -> list[Anchor]:
        """As an anchor states them; their counts are not known."""
        return [Anchor(device, seq, found, 0) for event, _ in self._events for device, seq, found in event.heads]

    def findings(self) -> Iterator[Finding]:
        """What does not hold; the hashes of records are compared by who looks at them."""
        for told in self._faults:
            yield Finding(CODE, None, None, ORDERS, told)
        broken = None if self._faults else find_break(self._events, is_from_first=False)
        if broken is not None:
            yield Finding(CODE, None, None, ORDERS, broken)


def read_orders(file: BinaryIO, members: dict[str, Member], keys: KeyFile) -> BundleOrders:
    """Those of a bundle, none where it has none. Raises EvidenceError."""
    return BundleOrders(read_whole(file, members[ORDERS], ORDERS_MAX_BYTES) if ORDERS in members else b"", keys)


def _statement(line: bytes) -> bytes:
    """Raises ValueError for a line of another form."""
    try:
        content = json.loads(line)
        statement = base64.b64decode(content["statement"], validate=True)
    except (ValueError, LookupError, TypeError, RecursionError, binascii.Error) as error:
        raise ValueError("is no line of a clock order") from error
    if rfc8785.dumps({"statement": base64.b64encode(statement).decode()}) + b"\n" != line:
        raise ValueError("is in another form than bridges write")
    return statement
