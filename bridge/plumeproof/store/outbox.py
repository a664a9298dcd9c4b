"""The outbox: every waiting delivery and every stored proof. Implements ports.Outbox.

Rows are made by the stages of the upper floor in the transaction that moves their cursor, and close only with
a receipt, stored in the same transaction (reference: reliability section 3, H4 and H5). Order is kept per sink and
module by `place`; a row that waits for a later try holds back those behind it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from plumeproof.model import NewRow, OutboxRow, Receipt
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer

_SELECT = (
    "SELECT o.id, o.sink, o.module, o.kind, o.key, coalesce(o.body, r.envelope), o.attributes, o.attempts,"
    " o.due_utc_ms FROM outbox o LEFT JOIN record r ON o.body IS NULL AND r.device = o.module AND r.seq = o.seq"
)


# Modules with waiting rows, each found by one jump in the index: a backlog of a million rows costs no more than one.
_MODULES = (
    "WITH RECURSIVE waiting (module) AS ("
    " SELECT min(module) FROM outbox WHERE sink = ?1 AND state = 'waiting'"
    " UNION ALL SELECT (SELECT min(o.module) FROM outbox o WHERE o.sink = ?1 AND o.state = 'waiting'"
    " AND o.module > waiting.module) FROM waiting WHERE waiting.module IS NOT NULL)"
    " SELECT module FROM waiting WHERE module IS NOT NULL"
)
LONGEST_WAIT_MS = 24 * 3_600_000  # no wait is longer (delivery/retry.py): where one seems to be, the clock went back


def enqueue(connection: apsw.Connection, rows: Iterable[NewRow], now_utc_ms: int) -> None:
    """Queue rows inside the caller's transaction; a (sink, key) that is known already is left as it is."""
    connection.executemany(
        "INSERT INTO outbox (sink, module, place, kind, key, body, seq, attributes, created_utc_ms)"
        " VALUES (?, ?, (SELECT coalesce(max(id), 0) + 1 FROM outbox), ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (sink, key) DO NOTHING",
        (
            (
                row.sink,
                row.module,
                row.kind,
                row.key,
                row.body,
                row.seq,
                json.dumps(row.attributes, sort_keys=True),
                now_utc_ms,
            )
            for row in rows
        ),
    )


def _to_row(row: tuple[Any, ...]) -> OutboxRow:
    id_, sink, module, kind, key, body, attributes, attempts, due_utc_ms = row
    pairs = tuple(sorted(json.loads(attributes).items()))
    return OutboxRow(id_, sink, module, kind, key, body, pairs, attempts, due_utc_ms)


class SqliteOutbox:
    """ports.Outbox on the writing connection."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def cursor(self, stage: str, sink: str) -> int | None:
        """How far a stage has queued for a sink; None: this sink is new to it."""
        with self._writer.reading() as connection:
            row = connection.execute(
                "SELECT position FROM cursor WHERE stage = ? AND device = ?", (stage, sink)
            ).fetchone()
        return None if row is None else int(row[0])

    def enqueue(self, rows: Sequence[NewRow], stage: str, sink: str, position: int) -> None:
        """Queue rows and move the cursor of the stage that made them, in one synced transaction."""
        with self._writer.transaction() as connection:
            # Power failing before COMMIT returns: no row, the cursor stands where it stood, the same rows come again.
            enqueue(connection, rows, self._clock.utc_ms())
            connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", (stage, sink, position))

    def due(
        self, sink: str, now_utc_ms: int, limit: int, first_place: float = 0.0, end_place: float = math.inf
    ) -> Sequence[OutboxRow]:
        """Per module the oldest waiting rows in order, at most `limit`, up to the first that is not due."""
        due: list[OutboxRow] = []
        with self._writer.reading() as connection:
            modules = connection.execute(_MODULES, (sink,)).fetchall()
            for (module,) in modules:
                rows = connection.execute(
                    _SELECT + " WHERE o.sink = ? AND o.module = ? AND o.state = 'waiting' AND o.place >= ?"
                    " AND o.place < ? ORDER BY o.place LIMIT ?",
                    (sink, module, first_place, end_place, limit),
                )
                for row in rows:
                    if now_utc_ms < row[8] <= now_utc_ms + LONGEST_WAIT_MS:
                        break
                    due.append(_to_row(row))
        return due

    def place_since(self, utc_ms: int) -> float:
        """The place from which on rows were queued at `utc_ms` or later; behind the last when none was."""
        with self._writer.reading() as connection:
            # Ids are given in the order of queueing, so halving finds it in 20 steps among a million; no index needed.
            low = int(connection.execute("SELECT coalesce(min(id), 1) FROM outbox").get)
            high = end = int(connection.execute("SELECT coalesce(max(id), 0) FROM outbox").get) + 1
            while low < high:
                middle = (low + high) // 2
                id_, created_utc_ms = connection.execute(
                    "SELECT id, created_utc_ms FROM outbox WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
                ).get
                if created_utc_ms >= utc_ms:
                    high = middle
                else:
                    low = id_ + 1
            place = connection.execute("SELECT place FROM outbox WHERE id >= ? ORDER BY id LIMIT 1", (low,)).get
        return float(end if place is None else place)

    def close(self, receipts: Sequence[Receipt]) -> None:
        """Store the receipts and close their rows in one synced transaction."""
        with self._writer.transaction() as connection:
            for receipt in receipts:
                # The first proof stays: a delivery proven twice (lost answer, second try) is one delivery.
                connection.execute(
                    "INSERT INTO receipt VALUES (?, ?, ?, ?) ON CONFLICT (outbox_id) DO NOTHING",
                    (receipt.outbox_id, receipt.sink, receipt.proof, receipt.received_utc_ms),
                )
                connection.execute(
                    "UPDATE outbox SET state = 'closed', attempts = attempts + 1 WHERE id = ?", (receipt.outbox_id,)
                )

    def defer(self, row_id: int, due_utc_ms: int, reason: str) -> None:
        """Count the attempt and try again later."""
        with self._writer.transaction() as connection:
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, due_utc_ms = ?, last_reason = ? WHERE id = ?",
                (due_utc_ms, reason, row_id),
            )

    def split(self, row: OutboxRow, parts: Sequence[tuple[str, bytes]]) -> None:
        """Replace a row by smaller ones at the same place in the order."""
        now = self._clock.utc_ms()
        with self._writer.transaction() as connection:
            place, following = connection.execute(
                "SELECT o.place, (SELECT min(n.place) FROM outbox n WHERE n.sink = o.sink AND n.module = o.module"
                " AND n.place > o.place) FROM outbox o WHERE o.id = ?",
                (row.id,),
            ).get
            step = ((following if following is not None else place + 1) - place) / (len(parts) + 1)
            connection.execute("UPDATE outbox SET state = 'split' WHERE id = ?", (row.id,))
            for index, (key, body) in enumerate(parts):
                connection.execute(
                    "INSERT INTO outbox (sink, module, place, kind, key, body, attributes, created_utc_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sink, key) DO NOTHING",
                    (
                        row.sink,
                        row.module,
                        place + index * step,
                        row.kind,
                        key,
                        body,
                        json.dumps(dict(row.attributes), sort_keys=True),
                        now,
                    ),
                )

    def is_waiting(self, sink: str, module: str) -> bool:
        """Whether a row of a module is still to be delivered."""
        with self._writer.reading() as connection:
            question = "SELECT EXISTS (SELECT 1 FROM outbox WHERE sink = ? AND module = ? AND state = 'waiting')"
            return bool(connection.execute(question, (sink, module)).get)

    def quarantine(self, row_id: int, reason: str) -> None:
        """Take a row out of the order for good; kept with the reason."""
        with self._writer.transaction() as connection:
            connection.execute(
                "UPDATE outbox SET state = 'quarantined', attempts = attempts + 1, last_reason = ? WHERE id = ?",
                (reason, row_id),
            )
