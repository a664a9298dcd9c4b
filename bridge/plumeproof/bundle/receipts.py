"""The receipts of a bundle: their form, and a platform's signature where you have its keys (JWK set, RFC 7517).

A receipt is what the other side answered. One that bears an ES256 signature over its RFC 8785 form is judged with the
keys that you name; what a broker has acknowledged bears none and is only carried. That a receipt is about just these
averages was checked when it came (delivery/answers.py), and is not again: a bundle does not hold what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import rfc8785

from plumeproof.errors import EvidenceError

if TYPE_CHECKING:  # loads a client for HTTPS, which a check without the platform's keys does without
    from plumeproof.delivery.answers import PublicKeys

LINE_MAX_BYTES = 64 * 1024
NAMES = {"sink", "kind", "key", "module", "seq", "received_utc_ms", "proof"}
SIGNATURE = {"signature": "signature"}  # name of the member, as every shipped profile has it


class ReceiptCheck:
    """Of one bundle. `keys`: of the platform by their id; None: nothing is judged but the form."""

    def __init__(self, keys: PublicKeys | None) -> None:
        self._keys = keys
        self.signed = 0  # whose signature holds
        self.carried = 0  # that nobody here can judge

    def run(self, pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        """(code, sentence) of every fault. Raises EvidenceError (form): rows in another form."""
        if self._keys is not None:
            from plumeproof.delivery.answers import check_signature, plain
        for number, row in enumerate(lines_of(pieces), 1):
            if set(row) != NAMES or not isinstance(row["proof"], str):
                raise EvidenceError("form", f"line {number} is no receipt")
            receipt = _object(row["proof"])
            if receipt is None or not isinstance(receipt.get("signature"), dict) or self._keys is None:
                self.carried += 1
                continue
            told = f"line {number}, {plain(row['sink'])} {plain(row['key'])}"
            said = receipt.get("idempotencyKey", row["key"])
            if said != row["key"]:
                yield "receipt", f"{told}: is about {plain(said)}"
                continue
            try:
                check_signature(receipt, SIGNATURE, self._keys)
            except (ValueError, TypeError, rfc8785.CanonicalizationError) as error:
                yield "receipt", f"{told}: {plain(error)}"
                continue
            self.signed += 1


def lines_of(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a member, each exactly its RFC 8785 line. Raises EvidenceError (form)."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for raw in whole:
            yield _line(raw)
        if len(held) > LINE_MAX_BYTES:
            raise EvidenceError("form", f"a line longer than {LINE_MAX_BYTES} bytes")
    if held:
        raise EvidenceError("form", "its last line does not end")


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= LINE_MAX_BYTES else None
        if isinstance(found, dict) and rfc8785.dumps(found) == raw:
            return found
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass  # said below, as for what is no object
    raise EvidenceError("form", f"{ascii(raw[:60])} is no line of a bundle")


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
