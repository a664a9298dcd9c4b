"""What the platform keeps of what it received: one row a message, told apart by MN, QN, CN and PNO, and its values.

A packet that comes again is counted in `copies`; one with the same four and other data is kept in `differing`, for a
resend must be the same packet. Without a QN (2005) DataTime takes its place. SQLite through apsw, WAL with
synchronous=FULL: the answer leaves only after the row is safe.
"""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from tools.hj212_platform.reader import Message

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id           INTEGER PRIMARY KEY,
    mn           TEXT    NOT NULL,
    qn           TEXT    NOT NULL,      -- DataTime where the packet has no QN
    cn           TEXT    NOT NULL,
    pno          INTEGER NOT NULL,      -- 0: not a part
    pnum         INTEGER NOT NULL,
    st           TEXT    NOT NULL,
    flag         INTEGER NOT NULL,
    data_time    TEXT    NOT NULL,
    checksum     TEXT    NOT NULL,      -- hj212, modbus or wrong
    policy       TEXT    NOT NULL,
    connection   INTEGER NOT NULL,      -- of the first copy
    first_utc_ms INTEGER NOT NULL,
    last_utc_ms  INTEGER NOT NULL,
    copies       INTEGER NOT NULL,
    data         BLOB    NOT NULL,
    UNIQUE (mn, qn, cn, pno)
) STRICT;
CREATE TABLE IF NOT EXISTS value (
    message INTEGER NOT NULL REFERENCES message (id),
    item    INTEGER NOT NULL,           -- from 0, as they stand in CP
    field   INTEGER NOT NULL,           -- from 0 in its item
    name    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (message, item, field)
) STRICT;
CREATE TABLE IF NOT EXISTS differing (
    message INTEGER NOT NULL REFERENCES message (id),
    utc_ms  INTEGER NOT NULL,
    data    BLOB    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS message_by_time ON message (mn, cn, data_time, pno);
"""


class StoreFault(Exception):
    """The file cannot be used; one line."""


class MessageStore:
    """The table of one platform. Raises StoreFault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()  # the platform writes in its loop's thread, whoever looks may be in another
        try:
            self._base = apsw.Connection(str(path))
            self._base.set_busy_timeout(5000)
            self._base.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            self._base.execute(SCHEMA)
        except apsw.Error as fault:
            raise StoreFault(f"{path}: {fault}") from fault

    def keep(self, message: Message, connection: int) -> str:
        """new, again, or differing. Raises StoreFault."""
        try:
            with self._turn:
                return self._keep(message, connection)
        except apsw.Error as fault:
            raise StoreFault(f"{self._path}: {fault}") from fault

    def rows(self, question: str, *values: str | int) -> list[tuple[Any, ...]]:
        """What a SELECT finds. Raises StoreFault."""
        try:
            with self._turn:
                return self._base.execute(question, values).fetchall()
        except apsw.Error as fault:
            raise StoreFault(f"{self._path}: {fault}") from fault

    def _keep(self, message: Message, connection: int) -> str:
        now_ms = time.time_ns() // 1_000_000
        key = (message.of("MN"), message.of("QN") or message.value("DataTime"), message.of("CN"), message.part[0])
        with self._base:
            row = self._base.execute(
                "SELECT id, data FROM message WHERE mn = ? AND qn = ? AND cn = ? AND pno = ?", key
            ).fetchone()
            if row is not None:
                self._base.execute(
                    "UPDATE message SET copies = copies + 1, last_utc_ms = ? WHERE id = ?", (now_ms, row[0])
                )
                if row[1] == message.data:
                    return "again"
                self._base.execute("INSERT INTO differing VALUES (?, ?, ?)", (row[0], now_ms, message.data))
                return "differing"
            self._base.execute(
                "INSERT INTO message (mn, qn, cn, pno, pnum, st, flag, data_time, checksum, policy, connection,"
                " first_utc_ms, last_utc_ms, copies, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
                (
                    *key,
                    *(message.part[1], message.of("ST"), message.flag, message.value("DataTime")),
                    *(message.checksum, message.policy, connection, now_ms, now_ms, message.data),
                ),
            )
            number = self._base.last_insert_rowid()
            self._base.executemany(
                "INSERT INTO value VALUES (?, ?, ?, ?, ?)",
                [
                    (number, item, field, name, value)
                    for item, pairs in enumerate(message.items)
                    for field, (name, value) in enumerate(pairs)
                ],
            )
        return "new"

    def close(self) -> None:
        """Nothing is kept after it."""
        self._base.close()
