"""The seams of the bridge (architecture B7). Every implementation passes the same contract test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from plumeproof.model import (
    Anchor,
    AnchorStatement,
    Average,
    AveragingState,
    AveragingStep,
    Envelope,
    Head,
    NewRow,
    OutboxRow,
    Receipt,
    Record,
    SkippedRecord,
    SlotSpan,
    StoredAnchor,
    StoredRecord,
)
from plumeproof.rules.figure import Figure, FigureDocument


class ByteStream(Protocol):
    """Serial line to a module."""

    def read(self, limit: int, timeout_s: float) -> bytes:
        """Up to `limit` bytes; waits at most `timeout_s` for the first one. b"" when nothing came.
        Raises LinkError when the line is gone."""

    def write(self, data: bytes) -> None:
        """Send all of it; blocks at most for its transmission time. Raises LinkError."""

    def close(self) -> None:
        """Give the line back. Never raises."""


class Clock(Protocol):
    """Time of the gateway."""

    def utc_ms(self) -> int:
        """Unix/UTC milliseconds; may step."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""


class KeyRegistry(Protocol):
    """Who may sign what (keys.json)."""

    def find(self, kid: bytes, device: str, seq: int) -> bytes:
        """The SEC1 uncompressed public key of a record key valid for this device and seq.
        Raises EnvelopeError (key_unknown, key_other_device, key_not_valid, key_revoked)."""


class Ledger(Protocol):
    """Append-only store of verified records. Every method that writes returns after a synced commit."""

    def head(self, device: str) -> Head | None:
        """Newest accepted record of a module, None before the first."""

    def append(self, accepted: Sequence[tuple[Record, Envelope]], head: Head, holes: Sequence[tuple[int, int]]) -> None:
        """Store records that the chain has accepted (consecutive but for `holes`), the new head and the holes in
        one transaction. Raises StoreError; then nothing was stored."""

    def quarantine(
        self,
        device: str,
        seq: int | None,
        content_hash: bytes | None,
        code: str,
        detail: str,
        raw: bytes,
        head: Head | None,
    ) -> None:
        """Keep bytes that are no evidence with the reason; `head` moves on where the chain must pass them."""

    def record(self, device: str, seq: int) -> StoredRecord | None:
        """One record."""

    def newest_position(self) -> int:
        """Position of the newest record, 0 before the first."""

    def after(self, position: int, limit: int) -> Sequence[StoredRecord]:
        """Records behind a cursor, in commit order."""

    def of_device(self, device: str, first_seq: int, last_seq: int) -> Iterator[StoredRecord]:
        """Records of a module in seq order, both ends included."""

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """The complete parameter set with this SHA-256, if all its parts are here."""


class AverageStore(Protocol):
    """Averages with all their revisions, and how far averaging has come. One stage writes it."""

    def position(self) -> int:
        """Cursor in the ledger: everything up to here is in a committed step. 0 before the first."""

    def states(self) -> Sequence[AveragingState]:
        """Every module as the last step left it."""

    def spans(self, device: str, start_utc_ms: int, end_utc_ms: int, longest_ms: int) -> Sequence[SlotSpan]:
        """Spans that touch [start, end), in seq order. `longest_ms`: of AveragingState, bounds the search."""

    def skipped(self, device: str, reason: str | None = None) -> Sequence[SkippedRecord]:
        """Records with slots that are not averaged, in seq order; all, or those of one reason."""

    def commit(self, step: AveragingStep) -> int:
        """Store all of a step and move the cursor in one synced transaction; how many rows were written.

        An average equal to the newest revision of its interval writes nothing; the first is revision 0 with reason
        "first". Raises StoreError; then nothing was stored.
        """

    def newest(self, device: str, interval_s: int, start_utc_ms: int) -> Sequence[Average]:
        """The newest revision of every channel of an interval, by channel id."""

    def newest_starts(self, device: str) -> Sequence[tuple[int, int]]:
        """(interval_s, start_utc_ms) of the newest interval of each length. Cheap with any number of averages."""

    def newest_id(self) -> int:
        """Id of the newest row, 0 before the first."""

    def after(self, average_id: int, limit: int) -> Sequence[tuple[int, Average]]:
        """Rows behind a cursor of another stage, with their ids, in the order they were committed."""


class FigureStore(Protocol):
    """Figures of plants with all their revisions. One stage writes it."""

    def position(self) -> int:
        """Cursor in the averages (AverageStore.after): everything up to here is in a committed step."""

    def commit(self, figures: Sequence[Figure], documents: Sequence[FigureDocument], position: int) -> int:
        """Store all of a step and move the cursor in one synced transaction; how many rows were written.

        A figure equal to the newest revision at its place writes nothing; the first is revision 0 with reason "first".
        `documents`: plant descriptions and rule sets that the figures name. Raises StoreError; then nothing was stored.
        """

    def of_period(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> Sequence[Figure]:
        """The newest revision of every figure of a level whose period lies inside [start, end)."""

    def longer_until(self, plant: str) -> int | None:
        """UTC ms up to which days and longer periods have surely been made; None before the first figure."""

    def newest_end(self, plant: str) -> int | None:
        """End of the newest short term that has a figure, UTC ms; None before the first."""

    def revisions(self, figure: Figure) -> Sequence[Figure]:
        """All revisions at the place of a figure, oldest first."""

    def after(self, figure_id: int, limit: int) -> Sequence[tuple[int, Figure]]:
        """Rows behind a cursor of another stage, with their ids, in the order they were committed."""

    def document(self, digest: bytes) -> FigureDocument | None:
        """A plant description or rule set by its hash."""


class AnchorStore(Protocol):
    """Signed statements about the heads of the modules, by number, and their time-stamps."""

    def newest(self) -> StoredAnchor | None:
        """The statement with the highest number, None before the first."""

    def add(self, statement: AnchorStatement) -> None:
        """Store it in one synced transaction. Raises StoreError; then nothing was stored."""

    def after(self, number: int, limit: int) -> Sequence[StoredAnchor]:
        """Statements behind a cursor, in order."""

    def heads(self, known: Sequence[Anchor]) -> Sequence[tuple[Anchor, bytes]]:
        """Newest stored record of every module with its envelope, ascending by device; records up to a head of
        `known` are not counted again."""

    def hash_at(self, device: str, seq: int) -> bytes | None:
        """Content hash of a stored record."""

    def count(self, device: str, seq: int) -> int:
        """Records of a module up to and including seq, counted one by one."""

    def newest_position(self) -> int:
        """As Ledger.newest_position."""

    def unstamped(self, limit: int) -> Sequence[StoredAnchor]:
        """The newest statements without a time-stamp."""

    def add_stamp(self, number: int, tsa: str, response: bytes, utc_ms: int) -> None:
        """Keep the response about a statement; the first one stays."""

    def note(self, code: str, detail: str) -> None:
        """Add a line to the audit table; the same as the newest of this code is not written again."""


class Outbox(Protocol):
    """The only queue of deliveries. Order per sink and module; nothing is forgotten over a restart."""

    def cursor(self, stage: str, sink: str) -> int | None:
        """How far a stage has queued for a sink; None: this sink is new to it."""

    def enqueue(self, rows: Sequence[NewRow], stage: str, sink: str, position: int) -> None:
        """Queue rows and move the cursor of the stage that made them, in one synced transaction. A (sink, key) that is
        known already is left as it is."""

    def due(
        self, sink: str, now_utc_ms: int, limit: int, first_place: float = 0.0, end_place: float = math.inf
    ) -> Sequence[OutboxRow]:
        """Rows that may be sent now: per module the oldest waiting ones in order, at most `limit` of each module, none
        behind a row that waits. A row that is to wait longer than a day waits no more: the clock was set back.
        Only rows with first_place <= place < end_place are looked at: two such spans are two lanes."""

    def place_since(self, utc_ms: int) -> float:
        """The place in the order from which on rows were queued at `utc_ms` or later; behind the last when none was.
        Cheap with any backlog. Where the clock has stepped, any place."""

    def close(self, receipts: Sequence[Receipt]) -> None:
        """Store the receipts and close their rows in one synced transaction."""

    def defer(self, row_id: int, due_utc_ms: int, reason: str) -> None:
        """Count the attempt and try again later."""

    def split(self, row: OutboxRow, parts: Sequence[tuple[str, bytes]]) -> None:
        """Replace a row by smaller ones (key, body) at the same place in the order."""

    def quarantine(self, row_id: int, reason: str) -> None:
        """Take a row out of the order for good; kept with the reason."""


class Sink(Protocol):
    """A target of deliveries. `window`: most rows of one module that it takes at once."""

    name: str
    window: int

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Deliver rows of one module in order; return receipts of those that are proven delivered (a prefix of
        `rows`, shorter where the other side takes fewer at once). Raises RetryableDelivery, BlockedDelivery or
        FinalDelivery for the first that is not; the error has the receipts of those before it. Blocks for as long as
        its time limits allow."""

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """The same content in smaller rows (key, body), empty where it cannot be divided."""

    def tend(self) -> bool:
        """There is nothing to deliver: keep the connection, or make it again. True when the other side was found well,
        False when nobody asked it. Raises as `deliver`."""

    def counters(self) -> dict[str, int]:
        """For the pages, since the start; names end in a unit or `_total`."""

    def close(self) -> None:
        """Say good-bye. Never raises."""
