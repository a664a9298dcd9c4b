"""Envelopes from a CBOR sequence (RFC 8742) by their outline: heads and lengths, nothing verified.

What lies between them is passed as rubbish, so that damage costs what it hit and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from acqwire import limits

from plumeproof.evidence.envelope import TAG_AND_ARRAY

READ_BYTES = 256 * 1024
SIGNATURE_HEAD = bytes((0x58, limits.SIGNATURE_BYTES))  # of a byte string of that length
NO_HEAD = b"\xff"  # no envelope begins so


class Item(NamedTuple):
    """Bytes to inspect. `rubbish_bytes`: that many that do not even have the outline of an envelope; `raw` is empty."""

    place: str
    raw: bytes
    rubbish_bytes: int = 0
    expected: tuple[str, int, int, int, bytes, int | None] | None = None  # device, seq, kind, boot, hash, utc of a row


def read_sequence(file: BinaryIO) -> Iterator[Item]:
    """The envelopes of a CBOR sequence; between them, as one item each time, what has not their outline."""
    window = b""
    base = 0  # of the window in the file
    at = 0
    is_end = False
    bad_from: int | None = None
    head, end_of_payload = NO_HEAD, 0  # of the envelope before: most are as long as that, and need no parsing
    while True:
        if not is_end and len(window) - at < 2 * limits.ENVELOPE_MAX_BYTES:
            more = file.read(READ_BYTES)
            is_end = not more
            window, base, at = window[at:] + more, base + at, 0
            continue
        if at >= len(window):
            break
        if bad_from is None and window.startswith(head, at):
            end = at + end_of_payload + len(SIGNATURE_HEAD) + limits.SIGNATURE_BYTES
            if end <= len(window) and window.startswith(SIGNATURE_HEAD, at + end_of_payload):
                yield Item(str(base + at), window[at:end])
                at = end
                continue
        outline = outline_of(window, at)
        if outline is None:
            bad_from = base + at if bad_from is None else bad_from
            next_at = window.find(TAG_AND_ARRAY, at + 1)
            at = next_at if next_at >= 0 else max(at + 1, len(window) - 1)
            continue
        if bad_from is not None:
            yield Item(str(bad_from), b"", base + at - bad_from)
            bad_from = None
        start, payload_end, end = outline
        head, end_of_payload = window[at:start], payload_end - at
        yield Item(str(base + at), window[at:end])
        at = end
    if bad_from is not None:
        yield Item(str(bad_from), b"", base + len(window) - bad_from)


def outline_of(window: bytes, at: int) -> tuple[int, int, int] | None:
    """Start and end of the payload and end of the envelope that begins at `at`, by its length heads alone."""
    if window[at : at + 2] != TAG_AND_ARRAY:
        return None
    protected = _string(window, at + 2, limits.PROTECTED_MAX_BYTES)
    if protected is None or window[protected[1] : protected[1] + 1] != b"\xa0":
        return None
    payload = _string(window, protected[1] + 1, limits.RECORD_MAX_BYTES)
    if payload is None:
        return None
    signature = _string(window, payload[1], limits.SIGNATURE_BYTES)
    if signature is None or signature[1] > len(window):
        return None
    return payload[0], payload[1], signature[1]


def _string(window: bytes, at: int, maximum: int) -> tuple[int, int] | None:
    """Start and end of the content of a CBOR byte string with a head of at most three bytes."""
    head = window[at] if at < len(window) else 0
    if 0x40 <= head < 0x58:
        start, length = at + 1, head - 0x40
    elif head in (0x58, 0x59):
        start = at + head - 0x56
        length = int.from_bytes(window[at + 1 : start], "big")
    else:
        return None
    return None if length > maximum else (start, start + length)
