"""The ledger: verified records in commit order, holes, quarantine and parameter sets. Append only.

Implements ports.Ledger (reference: reliability section 3, H3). What the chain decides is stored here in one
transaction; the acknowledgement to the module follows the commit and is not this file's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any

import apsw

from plumeproof.errors import StoreError
from plumeproof.model import Envelope, Head, ParametersPart, Record, StoredRecord
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer

_COLUMNS = "position, device, seq, kind, boot, content_hash, utc_ms, received_utc_ms, envelope"
_PAGE = 256  # rows read at a time, so that a reader holds the writer's lock for moments only


_TYPES = [(int, str, int, int, int, bytes, kind, int, bytes) for kind in (int, NoneType)]


def _stored(row: tuple[Any, ...]) -> StoredRecord:
    if tuple(map(type, row)) not in _TYPES:  # the table is STRICT: only a damaged file holds another
        raise _damaged(row)
    return StoredRecord(*row)


def _damaged(row: tuple[Any, ...]) -> StoreError:
    return StoreError(f"record row {row[0]} is damaged; `plumeproof verify` on the ledger names what is whole")


class SqliteLedger:
    """ports.Ledger on the writing connection."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def head(self, device: str) -> Head | None:
        """Newest accepted record of a module, None before the first."""
        with self._writer.reading() as connection:
            row: Any = connection.execute(
                "SELECT device, seq, content_hash, boot, mono_ms, next_slot, is_frozen FROM head WHERE device = ?",
                (device,),
            ).fetchone()
        if row is None:
            return None
        name, seq, content_hash, boot, mono_ms, next_slot, is_frozen = row
        return Head(name, seq, content_hash, boot, mono_ms, next_slot, bool(is_frozen))

    def append(self, accepted: Sequence[tuple[Record, Envelope]], head: Head, holes: Sequence[tuple[int, int]]) -> None:
        """Store accepted records, the holes between them and the new head in one synced transaction."""
        now = self._clock.utc_ms()
        with self._writer.transaction() as connection:
            # Power failing anywhere before COMMIT returns: none of it is stored, nothing was acknowledged,
            # the module sends the same records again.
            for record, envelope in accepted:
                connection.execute(
                    "INSERT INTO record (device, seq, kind, boot, content_hash, utc_ms, received_utc_ms, envelope)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        record.device,
                        record.seq,
                        record.kind,
                        record.boot,
                        record.content_hash,
                        record.utc_ms,
                        now,
                        envelope.raw,
                    ),
                )
                if isinstance(record.body, ParametersPart):
                    self._keep_part(connection, record.body)
            for first, last in holes:
                connection.execute("INSERT INTO hole VALUES (?, ?, ?, ?)", (head.device, first, last, now))
            self._set_head(connection, head)

    def _keep_part(self, connection: apsw.Connection, part: ParametersPart) -> None:
        # The same set comes again at every boot; the first copy that is whole stays. Parts that do not make the set
        # they name (of a module that is at fault) give way, so that they spoil it for nobody.
        known = connection.execute(
            "SELECT parts, bytes FROM parameter_part WHERE parameters_hash = ? AND part = ?",
            (part.part_hash, part.part),
        ).fetchone()
        if known == (part.parts, part.part_bytes) or _whole_set(connection, part.part_hash) is not None:
            return
        connection.execute(
            "DELETE FROM parameter_part WHERE parameters_hash = ? AND (parts <> ? OR part = ?)",
            (part.part_hash, part.parts, part.part),
        )
        connection.execute(
            "INSERT INTO parameter_part VALUES (?, ?, ?, ?)",
            (part.part_hash, part.part, part.parts, part.part_bytes),
        )

    @staticmethod
    def _set_head(connection: apsw.Connection, head: Head) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?, ?)",
            (head.device, head.seq, head.content_hash, head.boot, head.mono_ms, head.next_slot, int(head.is_frozen)),
        )

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
        """Keep bytes that are no evidence; `head` moves on where the chain must pass them."""
        with self._writer.transaction() as connection:
            known = connection.execute(
                "SELECT 1 FROM quarantine WHERE device = ? AND seq IS ? AND raw = ?", (device, seq, raw)
            ).fetchone()
            # The same bytes come again until the module hears the acknowledgement: one row is enough.
            if known is None:
                connection.execute(
                    "INSERT INTO quarantine (device, seq, content_hash, code, detail, raw, received_utc_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (device, seq, content_hash, code, detail, raw, self._clock.utc_ms()),
                )
            if head is not None:
                self._set_head(connection, head)

    def record(self, device: str, seq: int) -> StoredRecord | None:
        """One record."""
        with self._writer.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM record WHERE device = ? AND seq = ?", (device, seq)
            ).fetchone()
        return None if row is None else _stored(row)

    def newest_position(self) -> int:
        """Position of the newest record, 0 before the first."""
        with self._writer.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(position), 0) FROM record").get)

    def after(self, position: int, limit: int) -> Sequence[StoredRecord]:
        """Records behind a cursor, in commit order."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM record WHERE position > ? ORDER BY position LIMIT ?", (position, limit)
            ).fetchall()
        found = []
        for row in rows:
            stored = _stored(row)
            if stored.position <= position:
                raise _damaged(row)  # its pages are mixed up, and a cursor would go round in it for ever
            position = stored.position
            found.append(stored)
        return found

    def of_device(self, device: str, first_seq: int, last_seq: int) -> Iterator[StoredRecord]:
        """Records of a module in seq order, both ends included."""
        seq = first_seq - 1
        while True:
            with self._writer.reading() as connection:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM record WHERE device = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
                    (device, seq, last_seq, _PAGE),
                ).fetchall()
            for row in rows:
                stored = _stored(row)
                if stored.seq <= seq:
                    raise _damaged(row)
                seq = stored.seq
                yield stored
            if len(rows) < _PAGE:
                return

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """The complete parameter set with this SHA-256, if all its parts are here."""
        with self._writer.reading() as connection:
            return _whole_set(connection, parameters_hash)


def _whole_set(connection: apsw.Connection, parameters_hash: bytes) -> bytes | None:
    rows: list[Any] = connection.execute(
        "SELECT part, parts, bytes FROM parameter_part WHERE parameters_hash = ? ORDER BY part", (parameters_hash,)
    ).fetchall()
    if not rows or [row[0] for row in rows] != list(range(rows[0][1])):
        return None
    whole = b"".join(row[2] for row in rows)
    return whole if hashlib.sha256(whole).digest() == parameters_hash else None
