"""The witness of this gateway: signs the heads of all modules, daily, and never a smaller or different history.

What the key has signed last is known twice, in the ledger and beside the key (gateway_key.py). Where the two, or the
records below them, do not fit together, the ledger was put back or changed: nothing is signed any more, everything else
goes on, and a person must look (reference: reliability section 6, anchors).

    stage = AnchorStage("gateway-01", key, store, keys, clock, every_ms=86_400_000, every_records=10_000)
    while stage.step() is not None: pass
"""

from __future__ import annotations

import logging
import threading
from typing import NoReturn

from plumeproof.errors import AnchorRefused, EvidenceError
from plumeproof.evidence.anchor import NO_PREV, build_anchor, find_shrinking, parse_anchor
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.statement import ANCHOR_TYPE
from plumeproof.gateway_key import GatewayKey
from plumeproof.keys import KeyFile
from plumeproof.model import Anchor, AnchorStatement, StoredAnchor
from plumeproof.ports import AnchorStore, Clock

REFUSED_REST_S = 60.0  # nothing mends itself here; a look costs little
AUDIT_CODE = "anchor_refused"
ANCHOR = "anchor"  # purpose of the key
_log = logging.getLogger(__name__)


class AnchorStage:
    """Statements of one gateway. Raises AnchorRefused, ConfigError (the key's folder), StoreError."""

    def __init__(
        self,
        gateway: str,
        key: GatewayKey,
        store: AnchorStore,
        keys: KeyFile,
        clock: Clock,
        every_ms: int,
        every_records: int = 0,
    ) -> None:
        """`every_records` 0: by time alone."""
        self._gateway, self._key, self._store = gateway, key, store
        self._keys, self._clock = keys, clock
        self._every_ms, self._every_records = every_ms, every_records
        self._lock = threading.Lock()  # the service signs once more when it stops
        self._is_counted = False
        self._parsed: dict[bytes, AnchorStatement] = {}  # the newest; ledger and key have the same bytes
        self._position = 0  # of the ledger at the newest statement, as far as this run knows
        self._counters = {"signed_total": 0, "refused_total": 0, "number": 0}

    def step(self) -> float | None:
        """Sign when it is time; 0.0 when a statement was made, None when nothing is due."""
        with self._lock:
            newest = self._newest()
            if newest is not None and not self._is_due(newest):
                return None
            return 0.0 if self._sign(newest) else None

    def sign_last(self) -> bool:
        """At an orderly stop: sign if anything came since the newest statement. Raises as `step`."""
        with self._lock:
            newest = self._newest()
            is_old = newest is None or any(head not in newest.heads for head, _ in self._store.heads(newest.heads))
            return is_old and self._sign(newest)

    def hand_over(self, next_kid: bytes) -> int:
        """Name the key that goes on, in the last statement of this one; its number. Raises as `step`."""
        with self._lock:
            newest = self._newest()
            if newest is None or newest.next_kid != next_kid:
                if not self._sign(newest, next_kid):
                    self._refuse("there is no record yet that a statement could be about")
            return self._counters["number"]

    def recover(self, error: Exception) -> float | None:
        """A refusal stays until a person acts, and is looked at again rarely."""
        return REFUSED_REST_S if isinstance(error, AnchorRefused) else None

    def counters(self) -> dict[str, int]:
        """Since the start; `number`: of the newest statement."""
        return dict(self._counters)

    def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, newest: AnchorStatement) -> bool:
        age_ms = self._clock.utc_ms() - newest.utc_ms
        if not 0 <= age_ms < self._every_ms:  # below 0: the clock was set back, and "daily" would wait for it
            return True
        position = self._store.newest_position()
        self._position = self._position or position
        return 0 < self._every_records <= position - self._position

    def _sign(self, newest: AnchorStatement | None, next_kid: bytes | None = None) -> bool:
        position = self._store.newest_position()
        heads = self._extend(newest)
        if not heads:
            return False  # no record yet
        if newest is not None and newest.next_kid not in (None, self._key.kid):
            self._refuse(f"statement {newest.number} hands over to kid {newest.next_kid.hex()}, which is another")
        number, prev = (1, NO_PREV) if newest is None else (newest.number + 1, newest.content_hash)
        try:
            self._keys.find(self._key.kid, self._gateway, number, ANCHOR)
        except EvidenceError as error:
            self._refuse(f"{error.detail}; keys.json must have it for {ANCHOR}s of {self._gateway}")
        payload = build_anchor(self._gateway, number, prev, self._clock.utc_ms(), heads, next_kid)
        statement = self._parse(self._key.sign(ANCHOR_TYPE, payload), "own statement")
        # Power failing between these two: the statement beside the key is one ahead, and `_newest` takes it over.
        self._key.remember(statement.raw)
        self._store.add(statement)
        self._position = position
        self._counters["signed_total"] += 1
        self._counters["number"] = number
        _log.info("anchor_signed number=%d modules=%d", number, len(heads))
        return True

    def _extend(self, newest: AnchorStatement | None) -> tuple[Anchor, ...]:
        """Heads that extend `newest`, each of them a record whose signature holds."""
        known = () if newest is None else newest.heads
        found = self._store.heads(known)
        heads = tuple(head for head, _ in found)
        reason = find_shrinking(known, heads)
        if reason is not None:
            self._refuse(f"the ledger has a smaller or another history than the key has signed: {reason}")
        for head, raw in found:
            try:
                content_hash = verify_envelope(raw, self._keys.public_key).content_hash
            except EvidenceError as error:
                self._refuse(f"{head.device} seq {head.seq} does not verify any more: {error}")
            if content_hash != head.content_hash:
                self._refuse(f"{head.device} seq {head.seq} is another record than its row says")
        return heads

    def _newest(self) -> AnchorStatement | None:
        """The newest statement, when ledger and key agree on it. One that the ledger has not got yet is stored now."""
        stored, raw = self._store.newest(), self._key.newest()
        last = None if stored is None else self._parse(stored.statement, f"statement {stored.number} of the ledger")
        beside = None if raw is None else self._parse(raw, "statement beside the key")
        if beside is None:
            if last is not None and last.kid == self._key.kid:
                self._refuse("the file beside the key with its newest statement is gone")
            newest = last  # none yet, or another key signed before this one
        elif last is not None and beside.content_hash == last.content_hash:
            newest = last
        elif _is_next(beside, stored):
            self._check_records(beside)
            self._store.add(beside)
            newest = beside
        else:
            numbers = f"{0 if last is None else last.number} in the ledger, {beside.number} beside the key"
            self._refuse(f"one of the two was put back, or another bridge uses the key: {numbers}")
        if newest is not None:
            self._counters["number"] = newest.number
            self._check_records(newest)
        return newest

    def _check_records(self, newest: AnchorStatement) -> None:
        """What was signed is still there. Counting one by one takes its time, and is done once a run."""
        for head in newest.heads:
            stored = self._store.hash_at(head.device, head.seq)
            count = head.count if self._is_counted else self._store.count(head.device, head.seq)
            if stored != head.content_hash or count != head.count:
                said = "another record" if stored else "no record"
                said = f"{head.device} has {count} of {head.count} records up to seq {head.seq}, and {said} there"
                self._refuse(f"the ledger has a smaller or another history than the key has signed: {said}")
        self._is_counted = True

    def _parse(self, raw: bytes, what: str) -> AnchorStatement:
        if raw in self._parsed:  # a look every few seconds verifies no signature twice
            return self._parsed[raw]
        try:
            statement = parse_anchor(raw, lambda kid: self._keys.public_key(kid, ANCHOR))
        except EvidenceError as error:
            self._refuse(f"{what} is none of ours: {error}")
        if statement.gateway != self._gateway:
            self._refuse(f"{what} is of gateway {statement.gateway}, not {self._gateway}")
        self._parsed = {raw: statement}
        return statement

    def _refuse(self, reason: str) -> NoReturn:
        mend = "find out why; then put the newer ledger back, or begin with a new key (EVIDENCE.md section 5)"
        refusal = AnchorRefused(f"no anchor is signed: {reason}; {mend}")
        self._counters["refused_total"] += 1
        self._store.note(AUDIT_CODE, str(refusal))
        raise refusal


def _is_next(beside: AnchorStatement, stored: StoredAnchor | None) -> bool:
    if stored is None:
        return beside.number == 1 and beside.prev == NO_PREV
    return beside.number == stored.number + 1 and beside.prev == stored.content_hash
