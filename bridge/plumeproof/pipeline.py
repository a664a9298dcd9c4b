"""From the line of one module to the ledger: fetch, verify, chain, commit, acknowledge. Read this first.

Nothing is acknowledged before the ledger's synced commit, and nothing that is acknowledged was not stored: verified
records in the ledger, unreadable ones in quarantine (reference: reliability section 3, H3). Any instant may be the
last: after a restart the module is told the ledger's head again and sends what lies behind it. Averages, reports and
deliveries start from the ledger and are not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from acqwire import fields, frames

from plumeproof.errors import ChainError, EvidenceError, LinkError
from plumeproof.evidence import chain
from plumeproof.evidence.envelope import kid_in, verify_envelope
from plumeproof.evidence.key_change import Succession
from plumeproof.evidence.record import parse_record
from plumeproof.evidence.strips import open_stored
from plumeproof.model import Envelope, Head, Record
from plumeproof.ports import Ledger

# What an entry in keys.json mends: such records stay in the module until then, they are evidence that waits.
KEY_LACKING = frozenset(("key_unknown", "key_not_valid", "key_other_device"))
# A backlog over a fast line is committed in groups, because a synced commit costs as much as verifying up to hundreds
# of records. A serial line is slower than any disk: there every FETCH is a group of its own.
GROUP_RECORDS = 64
GROUP_S = 0.1  # nothing is fetched into a group after that: its acknowledgement should not wait longer


class Welcomed(Protocol):
    """link.session.Welcome."""

    device: str
    newest_seq: int


class Fetched(Protocol):
    """link.session.RecordFrame: seq and hash are the journal's word, `raw` is not verified."""

    seq: int
    content_hash: bytes
    raw: bytes


class Lost(Protocol):
    """link.session.Missing."""

    first_seq: int
    last_seq: int


class ModuleLine(Protocol):
    """link.line.Line, as far as the pipeline needs it."""

    def hello(self) -> Welcomed: ...
    def fetch(self, from_seq: int, window: int) -> tuple[Sequence[Fetched | Lost], object | None]: ...
    def acknowledge(self, seq: int, content_hash: bytes) -> object: ...


class Keys(Protocol):
    """keys.KeyFile."""

    def public_key(self, kid: bytes) -> bytes: ...
    def find(self, kid: bytes, device: str, seq: int) -> bytes: ...


@dataclass(slots=True)
class IngestCounters:
    """For the graph; the evidence is in the ledger."""

    records_total: int = 0
    duplicates_total: int = 0
    quarantined_total: int = 0
    holes_total: int = 0
    equivocations_total: int = 0
    rollbacks_total: int = 0


@dataclass(slots=True)
class _Group:
    """What has been accepted and not committed yet; `head` as it will be then."""

    head: Head | None
    accepted: list[tuple[Record, Envelope]] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)


class Ingest:
    """The stream of one module. Raises LinkError (start again with `greet`) and StoreError (acknowledge nothing)."""

    def __init__(
        self,
        device: str,
        line: ModuleLine,
        keys: Keys,
        ledger: Ledger,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._monotonic_s = monotonic_s
        self._line = line
        self._keys = keys
        self._ledger = ledger
        self._head = ledger.head(device)
        self._succession: Succession | None = None  # read from the ledger at the first record
        self._suspect: tuple[int, bytes, bytes] | None = None  # seq, hash, bytes that were no evidence at the last look
        self.counters = IngestCounters()

    def greet(self) -> None:
        """After any restart of either side: who is there, and what have we on disk?

        Raises ChainError (rollback) when the module holds less than it has sent: nothing is taken from it then.
        """
        welcome = self._line.hello()
        if welcome.device != self._device:
            raise LinkError(
                f"module {welcome.device} answers on the line of {self._device}: exchange the cables or ports"
            )
        self._head = self._ledger.head(self._device)
        if self._head is None:
            return
        if welcome.newest_seq < self._head.seq:
            self.counters.rollbacks_total += 1
            raise ChainError(
                "rollback",
                f"{self._device} holds records up to seq {welcome.newest_seq}, the ledger up to {self._head.seq}: its"
                " flash was exchanged or restored and would fork the chain; enrol it anew under another device id",
            )
        self._line.acknowledge(self._head.seq, self._head.content_hash)

    def poll(self, window: int = frames.WINDOW_MAX) -> int:
        """Fetch, store, acknowledge; how many records came, 0 when there is nothing.

        While whole windows come, fast, more is fetched before the commit: GROUP_RECORDS, GROUP_S. Raises ChainError
        (frozen), and EvidenceError (KEY_LACKING) for a record whose key is not enrolled: it is not acknowledged.
        """
        if self._head is not None and self._head.is_frozen:
            raise ChainError(
                "frozen",
                f"two histories of {self._device} have come under its key, behind seq {self._head.seq}; nothing is"
                " taken or acknowledged any more: look for a clone or a restored flash, and enrol the module anew under"
                " another device id",
            )
        group = _Group(self._head)
        until_s = self._monotonic_s() + GROUP_S
        count = 0
        has_more = True
        while has_more:
            fetched = self._fetch(group, window)
            count += len(fetched)
            is_whole = self._take(group, fetched) == window
            has_more = is_whole and len(group.accepted) + window <= GROUP_RECORDS and self._monotonic_s() < until_s
        self._commit(group)
        return count

    def _fetch(self, group: _Group, window: int) -> list[tuple[Fetched, int | None]]:
        """Each record with the last seq that the module has declared missing before it."""
        next_seq = 1 if group.head is None else group.head.seq + 1
        try:
            fetched, _ = self._line.fetch(next_seq, window)
        except LinkError:
            self._commit(group)  # what came before is good
            raise
        records: list[tuple[Fetched, int | None]] = []
        missing_until: int | None = None
        for item in fetched:
            # Not isinstance: asked of a Protocol it takes several microseconds, for every record.
            if hasattr(item, "raw"):
                records.append((cast(Fetched, item), missing_until))
                missing_until = None
            else:
                missing_until = item.last_seq
        return records

    def _take(self, group: _Group, fetched: Sequence[tuple[Fetched, int | None]]) -> int:
        """How many were accepted; 0 when one was not: those before it are committed and it is settled."""
        taken = 0
        for item, missing_until in fetched:
            try:
                record, envelope = self._verify(item)
                wrong = self._succeeding(group.head).fault(record.seq, envelope.kid)
                if wrong:
                    raise EvidenceError("key_change", wrong)
                decision = chain.accept(group.head, record, envelope.is_high_s, None, missing_until)
            except EvidenceError as error:
                self._commit(group)
                self._pass_over(item, None, error.code, error.detail)
                return 0
            if decision.verdict != chain.ACCEPT:
                self._commit(group)
                self._settle(item, record, decision)
                return 0
            self._succeeding(group.head).take(record.seq, envelope.kid, record.body)
            group.accepted.append((record, envelope))
            group.holes.extend(decision.holes)
            group.head = decision.head
            taken += 1
        return taken

    def _succeeding(self, head: Head | None) -> Succession:
        """Who may sign next. After a start the ledger is asked whether its newest record is a key change: older ones
        are closed in keys.json, or the key that followed could not have signed."""
        if self._succession is None:
            self._succession = Succession()
            stored = None if head is None else self._ledger.record(self._device, head.seq)
            if stored is not None and stored.kind == fields.KIND_KEY_CHANGE:
                body = open_stored(stored).body
                self._succession.take(stored.seq, kid_in(stored.envelope), body)
        return self._succession

    def _verify(self, item: Fetched) -> tuple[Record, Envelope]:
        envelope = verify_envelope(item.raw, self._keys.public_key)
        record = parse_record(envelope)
        self._keys.find(envelope.kid, record.device, record.seq)
        if record.device != self._device:
            # Its signature holds: it is another module's good record, and must stay in that module.
            raise LinkError(
                f"a record of module {record.device} on the line of {self._device}: exchange the cables or ports"
            )
        if record.seq != item.seq:
            raise EvidenceError("frame_mismatch", f"record {record.device} {record.seq} in the frame of seq {item.seq}")
        return record, envelope

    def _commit(self, group: _Group) -> None:
        """Power failing before append returns: nothing stored, nothing acknowledged, all of it comes again."""
        if not group.accepted or group.head is None:
            return
        accepted, holes = group.accepted, group.holes
        group.accepted, group.holes = [], []
        self._ledger.append(accepted, group.head, holes)
        self._head = group.head
        self.counters.records_total += len(accepted)
        self.counters.holes_total += len(holes)
        self._line.acknowledge(group.head.seq, group.head.content_hash)

    def _pass_over(self, item: Fetched, record: Record | None, code: str, detail: str) -> None:
        """No evidence: keep the bytes, and go on only when they came twice and the module confirms them as its own."""
        if not self._came_twice(item):
            return
        if code in KEY_LACKING:
            mend = "enrol it in keys.json and start the bridge again; the module keeps its records until then"
            raise EvidenceError(code, f"{self._device} seq {item.seq}: {detail}; {mend}")
        self._ledger.quarantine(self._device, item.seq, item.content_hash, code, detail, item.raw, None)
        released = self._line.acknowledge(item.seq, item.content_hash)
        if getattr(released, "result", None) != frames.RELEASE_DONE:
            raise LinkError(f"{self._device} does not confirm the bytes that came as its seq {item.seq} ({code})")
        self.counters.quarantined_total += 1
        first = 1 if self._head is None else self._head.seq + 1
        holes = [(first, item.seq - 1)] if item.seq > first else []  # only MISSING lets a seq be skipped
        head = chain.head_behind(self._head, self._device, item.seq, item.content_hash, record)
        self._ledger.append([], head, holes)
        self._head = head
        self.counters.holes_total += len(holes)

    def _came_twice(self, item: Fetched) -> bool:
        """Whether the last bytes that were no evidence were these: the line spoils no record twice in the same way.

        The module names its own hash whatever became of the envelope on the way, so that says nothing.
        """
        before, self._suspect = self._suspect, (item.seq, item.content_hash, item.raw)
        return before == self._suspect

    def _settle(self, item: Fetched, record: Record, decision: chain.Decision) -> None:
        """A signed record that the chain does not take."""
        if decision.verdict == chain.DUPLICATE:
            self.counters.duplicates_total += 1
        elif decision.verdict == chain.EQUIVOCATION or decision.code == "prev":
            # Two histories under one key. Both stay, nothing more is taken or acknowledged until a person decides.
            self.counters.equivocations_total += 1
            empty = Head(self._device, 0, chain.NO_PREV, 0, 0, chain.SLOT_UNKNOWN, True)
            frozen = empty if decision.head is None else replace(decision.head, is_frozen=True)
            self._ledger.quarantine(
                self._device, record.seq, record.content_hash, decision.code, decision.detail, item.raw, frozen
            )
            self._head = frozen
        elif decision.verdict == chain.REFUSE:
            self._pass_over(item, record, decision.code, decision.detail)
