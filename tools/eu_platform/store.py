"""What the platform keeps: reports with their receipts, how often each key arrived, and tokens as hashes.

SQLite through apsw, WAL with synchronous=FULL: when a method returns, its rows survive the next instant's loss of
power, and only then does an answer leave. One connection, one lock; requests come from many threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import apsw

from tools.eu_platform.report_body import Report

SCHEMA_VERSION = 1
APPLICATION_ID = 0x504C5245  # "PLRE": reference platform
SQLITE_FIXED = (3, 51, 3)  # WAL-reset race that loses commits is fixed here (sqlite.org wal.html#walresetbug)
SCHEMA = """
CREATE TABLE report (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of storing; cursor of listings
    receipt_id      TEXT    NOT NULL UNIQUE,
    client          TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    digest          BLOB    NOT NULL,                   -- SHA-256 of body
    received_utc_ms INTEGER NOT NULL,
    gateway         TEXT    NOT NULL,
    module          TEXT    NOT NULL,
    interval_s      INTEGER NOT NULL,
    period_start    TEXT    NOT NULL,
    period_end      TEXT    NOT NULL,
    n_averages      INTEGER NOT NULL,
    receipt         BLOB    NOT NULL,                   -- as it was answered
    body            BLOB    NOT NULL,                   -- as it came
    UNIQUE (client, key)
) STRICT;
CREATE TABLE arrival (                                  -- every delivery attempt, also those that were refused
    client      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    last_utc_ms INTEGER NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE token (
    hash           BLOB    PRIMARY KEY,                 -- SHA-256 of the token; the token itself is nowhere
    client         TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,                    -- separated by blanks
    expires_utc_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
LOGIN_SCHEMA = """
CREATE TABLE IF NOT EXISTS token_binding (              -- tokens that are good over one client certificate only
    hash       BLOB PRIMARY KEY,                        -- of the token
    thumbprint BLOB NOT NULL                            -- SHA-256 of the certificate (RFC 8705 section 3.1)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assertion (                  -- client assertions that were used, until they are over
    client        TEXT    NOT NULL,
    jti_hash      BLOB    NOT NULL,
    expires_utc_s INTEGER NOT NULL,
    PRIMARY KEY (client, jti_hash)
) STRICT, WITHOUT ROWID;
"""  # no new layout: a file of before gains two empty tables
ANCHOR_SCHEMA = """
CREATE TABLE IF NOT EXISTS anchor (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of storing; cursor of listings
    client  TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    digest  BLOB    NOT NULL,                   -- SHA-256 of body
    gateway TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    body    BLOB    NOT NULL,                   -- as it came
    receipt BLOB    NOT NULL,                   -- as it was answered
    UNIQUE (client, key),
    UNIQUE (client, gateway, number)
) STRICT;
"""
_ANCHOR = "SELECT id, digest, number, body, receipt FROM anchor"
ASSERTION_SPARE_S = 60  # an assertion is forgotten later than it ends, so that clocks may differ
_ENTRY = (
    "SELECT report.id, receipt_id, report.client, report.key, digest, received_utc_ms, gateway, module, interval_s,"
    " period_start, period_end, n_averages, receipt, coalesce(n, 1), coalesce(last_utc_ms, received_utc_ms)"
    " FROM report LEFT JOIN arrival ON arrival.client = report.client AND arrival.key = report.key"
)


class StoreFault(Exception):
    """The store cannot be used; one line with place and mend."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored report without its body."""

    id: int
    receipt_id: str
    client: str
    key: str
    digest: bytes
    received_utc_ms: int
    gateway: str
    module: str
    interval_s: int
    period_start: str
    period_end: str
    n_averages: int
    receipt: bytes
    deliveries: int
    last_utc_ms: int


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """A kept anchor."""

    id: int
    digest: bytes
    number: int
    body: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """Over everything stored. `repeats`: deliveries beyond the first of each report."""

    reports: int
    averages: int
    modules: int
    repeats: int
    refused_keys: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is good for. `thumbprint`: of the certificate that it is bound to; empty: none."""

    client: str
    scopes: frozenset[str]
    thumbprint: bytes = b""


def utc_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


class Store:
    """The platform's file."""

    def __init__(self, path: Path) -> None:
        """Open or create it. Raises StoreFault for a foreign or newer file and for an SQLite that loses commits."""
        if tuple(map(int, apsw.sqlite_lib_version().split("."))) < SQLITE_FIXED:
            raise StoreFault(f"SQLite {apsw.sqlite_lib_version()} can lose commits: install apsw 3.51.3 or later")
        self._path = path
        self._lock = Lock()
        try:
            self._connection = apsw.Connection(str(path))
            self._open()
        except apsw.Error as error:
            raise StoreFault(f"{path}: {error}") from error

    def _open(self) -> None:
        connection = self._connection
        version = connection.pragma("user_version")
        if connection.pragma("schema_version") != 0 and connection.pragma("application_id") != APPLICATION_ID:
            raise StoreFault(f"{self._path}: not a file of the reference platform; choose another --dir")
        if version not in (0, SCHEMA_VERSION):
            raise StoreFault(
                f"{self._path}: layout {version}, this release knows {SCHEMA_VERSION}; choose another --dir"
            )
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        connection.pragma("trusted_schema", False)
        if version == 0:
            with connection:
                connection.execute(SCHEMA)
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute(LOGIN_SCHEMA)
        connection.execute(ANCHOR_SCHEMA)

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Durable when the block ends; nothing of it is stored when it raises StoreFault."""
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except apsw.Error as error:
                raise StoreFault(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Checkpoint and give the file back."""
        with self._lock:
            self._connection.close()

    def add_report(
        self,
        client: str,
        key: str,
        digest: bytes,
        report: Report,
        receipt_id: str,
        receipt: bytes,
        body: bytes,
        now: int,
    ) -> None:
        """Report, receipt and arrival in one transaction: none is ever there without the others."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO report (receipt_id, client, key, digest, received_utc_ms, gateway, module, interval_s,"
                " period_start, period_end, n_averages, receipt, body) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (receipt_id, client, key, digest, now, report.gateway, report.module, report.interval_s)
                + (report.period_start, report.period_end, report.count, receipt, body),
            )
            _count(connection, client, key, now)

    def count_arrival(self, client: str, key: str) -> None:
        """One more request with this key."""
        with self._transaction() as connection:
            _count(connection, client, key, utc_ms())

    def find_key(self, client: str, key: str) -> Entry | None:
        """What stands for this key."""
        return self._one("WHERE report.client = ? AND report.key = ?", (client, key))

    def find_receipt(self, receipt_id: str) -> Entry | None:
        """By receipt."""
        return self._one("WHERE receipt_id = ?", (receipt_id,))

    def _one(self, where: str, values: tuple[str, ...]) -> Entry | None:
        found = self._entries(where, values)
        return found[0] if found else None

    def _entries(self, where: str, values: tuple[str | int, ...]) -> list[Entry]:
        with self._transaction() as connection:
            return [Entry(*row) for row in connection.execute(f"{_ENTRY} {where}", values)]

    def read_body(self, entry: Entry) -> bytes:
        """The bytes that were received."""
        with self._transaction() as connection:
            (body,) = connection.execute("SELECT body FROM report WHERE id = ?", (entry.id,)).fetchone()
        return bytes(body)

    def list_of(self, client: str, after_id: int, limit: int) -> list[Entry]:
        """Reports of a client in order of storing."""
        where = "WHERE report.client = ? AND report.id > ? ORDER BY report.id LIMIT ?"
        return self._entries(where, (client, after_id, limit))

    def add_anchor(
        self, client: str, key: str, digest: bytes, gateway: str, number: int, body: bytes, receipt: bytes
    ) -> None:
        """Anchor and receipt in one transaction."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO anchor (client, key, digest, gateway, number, body, receipt) VALUES (?,?,?,?,?,?,?)",
                (client, key, digest, gateway, number, body, receipt),
            )

    def find_anchor(self, client: str, key: str) -> StoredAnchor | None:
        """What stands for this key."""
        return next(iter(self._anchors("WHERE client = ? AND key = ?", (client, key))), None)

    def newest_anchor(self, client: str, gateway: str) -> StoredAnchor | None:
        """The one with the highest number."""
        where = "WHERE client = ? AND gateway = ? ORDER BY number DESC LIMIT 1"
        return next(iter(self._anchors(where, (client, gateway))), None)

    def anchors_of(self, client: str, after_id: int, limit: int) -> list[StoredAnchor]:
        """Anchors of a client in order of storing."""
        return self._anchors("WHERE client = ? AND id > ? ORDER BY id LIMIT ?", (client, after_id, limit))

    def _anchors(self, where: str, values: tuple[str | int, ...]) -> list[StoredAnchor]:
        with self._transaction() as connection:
            return [StoredAnchor(*row) for row in connection.execute(f"{_ANCHOR} {where}", values)]

    def newest(self, before_id: int, limit: int) -> list[Entry]:
        """Reports of everybody, newest first."""
        return self._entries("WHERE report.id < ? ORDER BY report.id DESC LIMIT ?", (before_id, limit))

    def totals(self) -> Totals:
        """Sums for the page."""
        with self._transaction() as connection:
            reports, averages = connection.execute(
                "SELECT count(*), coalesce(sum(n_averages), 0) FROM report"
            ).fetchone()
            (modules,) = connection.execute(
                "SELECT count(*) FROM (SELECT DISTINCT gateway, module FROM report)"
            ).fetchone()
            repeats, refused = connection.execute(
                "SELECT coalesce(sum(n - 1) FILTER (WHERE report.id IS NOT NULL), 0),"
                " count(*) FILTER (WHERE report.id IS NULL) FROM arrival LEFT JOIN report"
                " ON report.client = arrival.client AND report.key = arrival.key"
            ).fetchone()
        return Totals(reports, averages, modules, repeats, refused)

    def add_token(self, token_hash: bytes, grant: Grant, expires_utc_ms: int) -> None:
        """Keep a token's hash, and forget those that are over."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM token WHERE expires_utc_ms <= ?", (utc_ms(),))
            row = (token_hash, grant.client, " ".join(sorted(grant.scopes)), expires_utc_ms)
            connection.execute("INSERT INTO token VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM token_binding WHERE hash NOT IN (SELECT hash FROM token)")
            if grant.thumbprint:
                connection.execute("INSERT INTO token_binding VALUES (?, ?)", (token_hash, grant.thumbprint))

    def take_assertion(self, client: str, jti_hash: bytes, expires_utc_s: int) -> bool:
        """Remember a client assertion; False where it was used before."""
        with self._transaction() as connection:
            now_s = utc_ms() // 1000
            connection.execute("DELETE FROM assertion WHERE expires_utc_s < ?", (now_s - ASSERTION_SPARE_S,))
            row = (client, jti_hash, expires_utc_s)
            connection.execute("INSERT INTO assertion VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
            return bool(connection.changes())

    def forget_tokens(self) -> None:
        """Every client needs a new one (fault `token-refused`)."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM token")

    def find_token(self, token_hash: bytes) -> Grant | None:
        """What this token is good for now."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT client, scopes, thumbprint FROM token LEFT JOIN token_binding USING (hash)"
                " WHERE hash = ? AND expires_utc_ms > ?",
                (token_hash, utc_ms()),
            ).fetchone()
        return None if row is None else Grant(row[0], frozenset(row[1].split()), row[2] or b"")


def _count(connection: apsw.Connection, client: str, key: str, now: int) -> None:
    connection.execute(
        "INSERT INTO arrival VALUES (?, ?, 1, ?)"
        " ON CONFLICT DO UPDATE SET n = n + 1, last_utc_ms = excluded.last_utc_ms",
        (client, key, now),
    )
