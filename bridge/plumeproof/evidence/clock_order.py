"""A platform's order to set the clock (HJ 212, CN 1012) as a signed event: who asked, both times, what came of it.

Signed by the gateway's key as anchors are, with a content type of its own. Each names the one before (`prev`) and the
newest record of every module, so that its place in the chains is known; no record is stamped anew by it
(EVIDENCE.md section 5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cbor2
from acqwire import limits

from plumeproof.errors import EnvelopeError, EvidenceError
from plumeproof.evidence.envelope import decode_deterministic
from plumeproof.evidence.statement import verify_statement

CLOCK_ORDER_TYPE = "application/vnd.plumeproof.clock-order+cbor"
VERSION = 1
NO_PREV = bytes(limits.HASH_BYTES)
OUTCOMES = ("within", "refused", "set", "failed")  # clock right already; not obeyed; obeyed; the system did not let us
WORD_MAX = 300  # characters of one text
HEADS_MAX = 10_000
FIELDS = (
    "version", "gateway", "number", "prev", "old_utc_ms", "new_utc_ms", "outcome", "link", "platform", "mn", "qn",
    "check", "policy", "heads",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClockOrderEvent:
    """`old_utc_ms`: the gateway's clock when the order came; `new_utc_ms`: what was ordered. `check`, `policy`: what
    the packet's checksum was worth. `heads`: (module, seq, content hash) of the newest stored records."""

    gateway: str
    number: int
    prev: bytes
    old_utc_ms: int
    new_utc_ms: int
    outcome: str
    link: str
    platform: str
    mn: str
    qn: str
    check: str
    policy: str
    heads: tuple[tuple[str, int, bytes], ...]


def build_clock_order(event: ClockOrderEvent) -> bytes:
    """The payload that is signed."""
    heads = [[device, seq, content_hash] for device, seq, content_hash in event.heads]
    middle = [getattr(event, name) for name in FIELDS[1:-1]]
    return cbor2.dumps(dict(enumerate([VERSION, *middle, heads], 1)), canonical=True)


def parse_clock_order(
    raw: bytes, public_key_of_kid: Callable[[bytes], bytes]
) -> tuple[ClockOrderEvent, bytes]:  # fmt: skip
    """An event whose form and signature hold, and its content hash. Raises EvidenceError."""
    signed = verify_statement(raw, CLOCK_ORDER_TYPE, public_key_of_kid)
    payload = decode_deterministic(signed.payload, EnvelopeError)
    if not isinstance(payload, dict) or set(payload) != set(range(1, len(FIELDS) + 1)) or payload[1] != VERSION:
        raise EvidenceError("clock_order_form", f"is no clock order of version {VERSION}")
    values = dict(zip(FIELDS, (payload[key] for key in range(1, len(FIELDS) + 1)), strict=True))
    texts = [values[name] for name in ("gateway", "outcome", "link", "platform", "mn", "qn", "check", "policy")]
    numbers = [values[name] for name in ("number", "old_utc_ms", "new_utc_ms")]
    if any(not isinstance(text, str) or len(text) > WORD_MAX for text in texts) or values["outcome"] not in OUTCOMES:
        raise EvidenceError("clock_order_form", "a text is none, or the outcome is unknown")
    if any(type(number) is not int or abs(number) >= 2**53 for number in numbers) or not _is_hash(values["prev"]):
        raise EvidenceError("clock_order_form", "number, times or prev are none")
    values["heads"] = _heads(values["heads"])
    del values["version"]
    return ClockOrderEvent(**values), signed.content_hash


def find_break(events: Sequence[tuple[ClockOrderEvent, bytes]], is_from_first: bool = True) -> str | None:
    """Why events, oldest first, are not the whole of their chain, or a piece of it, in one sentence; None where they
    are."""
    number, prev = 0, NO_PREV
    if events and not is_from_first:
        number, prev = events[0][0].number - 1, events[0][0].prev
    for event, content_hash in events:
        if event.number != number + 1 or event.prev != prev:
            return f"clock order {event.number} does not follow {number}: one between them is missing or another"
        number, prev = event.number, content_hash
    return None


def _heads(rows: object) -> tuple[tuple[str, int, bytes], ...]:
    if not isinstance(rows, (list, tuple)) or len(rows) > HEADS_MAX:
        raise EvidenceError("clock_order_form", "heads are no list")
    found = []
    for row in rows:
        if not isinstance(row, (list, tuple)) or len(row) != 3:
            raise EvidenceError("clock_order_form", "a head is no array of three")
        device, seq, content_hash = row
        if not isinstance(device, str) or len(device) > WORD_MAX or type(seq) is not int or not _is_hash(content_hash):
            raise EvidenceError("clock_order_form", "a head has no device, seq or hash")
        found.append((device, seq, content_hash))
    return tuple(found)


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == limits.HASH_BYTES
