"""Signed statements about the heads of the modules, and their time-stamps. Implements ports.AnchorStore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plumeproof.model import Anchor, AnchorStatement, StoredAnchor
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer

_SELECT = (
    "SELECT a.number, a.content_hash, a.kid, a.statement, s.response"
    " FROM anchor a LEFT JOIN anchor_stamp s ON s.number = a.number"
)


class SqliteAnchors:
    """ports.AnchorStore on the writing connection."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def newest(self) -> StoredAnchor | None:
        """The statement with the highest number, None before the first."""
        with self._writer.reading() as connection:
            row = connection.execute(f"{_SELECT} ORDER BY a.number DESC LIMIT 1").fetchone()
        return None if row is None else StoredAnchor(*row)

    def add(self, statement: AnchorStatement) -> None:
        """Store it in one synced transaction."""
        with self._writer.transaction() as connection:
            # Power failing before COMMIT returns: the copy beside the key is one ahead; the next start stores it.
            connection.execute(
                "INSERT INTO anchor VALUES (?, ?, ?, ?, ?)",
                (statement.number, statement.content_hash, statement.kid, statement.utc_ms, statement.raw),
            )

    def after(self, number: int, limit: int) -> Sequence[StoredAnchor]:
        """Statements behind a cursor, in order."""
        with self._writer.reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE a.number > ? ORDER BY a.number LIMIT ?", (number, limit))
            return [StoredAnchor(*row) for row in rows]

    def heads(self, known: Sequence[Anchor]) -> Sequence[tuple[Anchor, bytes]]:
        """Newest stored record of every module with its envelope, ascending by device."""
        before = {head.device: head for head in known}
        found: list[tuple[Anchor, bytes]] = []
        with self._writer.reading() as connection:
            devices: list[Any] = connection.execute("SELECT device FROM head ORDER BY device").fetchall()
            for (device,) in devices:
                row: Any = connection.execute(
                    "SELECT seq, content_hash, envelope FROM record WHERE device = ? ORDER BY seq DESC LIMIT 1",
                    (device,),
                ).fetchone()
                if row is None:  # all that came was quarantined
                    continue
                seq, content_hash, envelope = row
                old = before.get(device, Anchor(device, 0, b"", 0))
                question = "SELECT count(*) FROM record WHERE device = ? AND seq > ? AND seq <= ?"
                more = int(connection.execute(question, (device, old.seq, seq)).get)
                found.append((Anchor(device, seq, content_hash, old.count + more), envelope))
        return found

    def hash_at(self, device: str, seq: int) -> bytes | None:
        """Content hash of a stored record."""
        with self._writer.reading() as connection:
            question = "SELECT content_hash FROM record WHERE device = ? AND seq = ?"
            row: Any = connection.execute(question, (device, seq)).fetchone()
        return None if row is None else row[0]

    def count(self, device: str, seq: int) -> int:
        """Records of a module up to and including seq, counted one by one."""
        with self._writer.reading() as connection:
            question = "SELECT count(*) FROM record WHERE device = ? AND seq <= ?"
            return int(connection.execute(question, (device, seq)).get)

    def newest_position(self) -> int:
        """As Ledger.newest_position."""
        with self._writer.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(position), 0) FROM record").get)

    def unstamped(self, limit: int) -> Sequence[StoredAnchor]:
        """The newest statements without a time-stamp."""
        with self._writer.reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE s.number IS NULL ORDER BY a.number DESC LIMIT ?", (limit,))
            return [StoredAnchor(*row) for row in rows]

    def add_stamp(self, number: int, tsa: str, response: bytes, utc_ms: int) -> None:
        """Keep the response about a statement; the first one stays."""
        with self._writer.transaction() as connection:
            connection.execute(
                "INSERT INTO anchor_stamp VALUES (?, ?, ?, ?) ON CONFLICT (number) DO NOTHING",
                (number, tsa, utc_ms, response),
            )

    def note(self, code: str, detail: str) -> None:
        """Add a line to the audit table; the same as the newest of this code is not written again."""
        with self._writer.transaction() as connection:
            row = connection.execute(
                "SELECT detail FROM audit WHERE code = ? ORDER BY id DESC LIMIT 1", (code,)
            ).fetchone()
            if row is None or row[0] != detail:
                connection.execute(
                    "INSERT INTO audit (utc_ms, code, detail) VALUES (?, ?, ?)", (self._clock.utc_ms(), code, detail)
                )
