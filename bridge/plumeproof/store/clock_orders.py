"""Signed clock orders in the audit table, in order. Each is a line of it: JSON with the statement in hex."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plumeproof.errors import StoreError
from plumeproof.store.connection import FAULTS, Writer, open_reader

CODE = "clock_order"
READ_MAX = 100_000
_NEWEST = "SELECT detail FROM audit WHERE code = ? ORDER BY id DESC LIMIT 1"
_HEADS = (
    "SELECT h.device, r.seq, r.content_hash FROM head h JOIN record r ON r.device = h.device AND r.seq ="
    " (SELECT max(seq) FROM record WHERE device = h.device) ORDER BY h.device"
)


class SqliteClockOrders:
    """On the writing connection."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def newest(self) -> bytes | None:
        """The newest statement; None before the first. Raises StoreError."""
        with self._writer.reading() as connection:
            row: Any = connection.execute(_NEWEST, (CODE,)).fetchone()
        return None if row is None else statement_of(row[0])

    def heads(self) -> tuple[tuple[str, int, bytes], ...]:
        """(module, seq, content hash) of the newest stored record of every module."""
        with self._writer.reading() as connection:
            rows: Any = connection.execute(_HEADS).fetchall()
        return tuple((device, seq, content_hash) for device, seq, content_hash in rows)

    def add(self, statement: bytes, shown: dict[str, Any], utc_ms: int) -> None:
        """Store it in one synced transaction; `shown`: the same for people who look at the table."""
        detail = json.dumps(shown | {"statement": statement.hex()}, sort_keys=True)
        with self._writer.transaction() as connection:
            # Power failing before COMMIT returns: no order was taken, no clock was set, the platform asks again.
            connection.execute("INSERT INTO audit (utc_ms, code, detail) VALUES (?, ?, ?)", (utc_ms, CODE, detail))


def read_clock_orders(path: Path) -> list[bytes]:
    """Every statement of a ledger file, oldest first; read-only. Raises StoreError."""
    connection = open_reader(path)
    try:
        question = "SELECT detail FROM audit WHERE code = ? ORDER BY id LIMIT ?"
        return [statement_of(row[0]) for row in connection.execute(question, (CODE, READ_MAX))]
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


def statement_of(detail: Any) -> bytes:
    """The signed bytes in a line of the audit table. Raises StoreError."""
    try:
        return bytes.fromhex(json.loads(detail)["statement"])
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError("audit: a clock order is no statement; restore the ledger from a copy") from error
