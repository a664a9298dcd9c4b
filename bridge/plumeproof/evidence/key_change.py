"""Whether a key change record is signed by both keys (SPEC.md section 10), and who signs behind it. Pure."""

from __future__ import annotations

import hashlib

import cbor2
from acqwire import key_change

from plumeproof.errors import EnvelopeError, RecordError
from plumeproof.evidence.envelope import kid_of, verify_signature
from plumeproof.model import KeyChange


def build_statement(device: str, old_kid: bytes, next_key: bytes) -> bytes:
    """What the next key must have signed: deterministic CBOR, array of five."""
    return cbor2.dumps([key_change.CONTEXT, key_change.VERSION, device, old_kid, next_key], canonical=True)


def check_key_change(device: str, old_kid: bytes, body: KeyChange) -> None:
    """`old_kid`: of the envelope, whose signature holds. Raises RecordError (key_change)."""
    if kid_of(body.next_key) == old_kid:
        raise RecordError("key_change", "names the key that signs it as the next one")
    digest = hashlib.sha256(build_statement(device, old_kid, body.next_key)).digest()
    try:
        is_high_s = verify_signature(body.next_key, digest, body.proof)
    except EnvelopeError as error:
        raise RecordError("key_change", f"its next key has not signed it ({error.code})") from error
    if is_high_s:
        raise RecordError("key_change", "its next key has signed with a high s, which no module makes")


class Succession:
    """Who may sign next, by the key change records of one module that have passed."""

    def __init__(self) -> None:
        self._ended: dict[bytes, int] = {}  # kid to the seq with which it handed over
        self._next: tuple[int, bytes] | None = None  # of the newest key change its seq, and the kid that follows

    def fault(self, seq: int, kid: bytes) -> str:
        """Why this kid may not sign this record; empty where it may. A third key behind the one that follows is the
        registry's business: a module whose key is lost has nothing to sign with."""
        ended = self._ended.get(kid)
        if ended is not None and seq > ended:
            return f"kid {kid.hex()} has handed over to another key with seq {ended}"
        if self._next is not None and seq == self._next[0] + 1 and kid != self._next[1]:
            return f"signed by kid {kid.hex()}, and seq {self._next[0]} has handed over to kid {self._next[1].hex()}"
        return ""

    def take(self, seq: int, kid: bytes, body: object) -> None:
        """A record that was accepted, and the kid that signed it."""
        if isinstance(body, KeyChange):
            self._ended[kid] = seq
            self._next = (seq, kid_of(body.next_key))
