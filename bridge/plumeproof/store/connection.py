"""The one writing connection to the ledger file, and read-only ones for faces.

SQLite through apsw, WAL with synchronous=FULL: a transaction is on the disk when commit returns
(sqlite.org, pragma synchronous; reference: reliability section 3). apsw brings its own SQLite; versions
with the WAL-reset race (before 3.51.3 without back-port) are refused, not worked around.
Migrations are numbered files in schema/; a newer schema than this release knows is left untouched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import apsw

from plumeproof.errors import StoreError

SCHEMA_VERSION = 5  # highest number in schema/
APPLICATION_ID = 0x504C4D50  # "PLMP" in the file header, so that a foreign file is never written to
SQLITE_FIXED = (3, 51, 3)  # WAL-reset race fixed here
SQLITE_BACKPORTS = ((3, 50, 7), (3, 44, 6))  # and in these lines
BUSY_TIMEOUT_MS = 5_000  # another process (export, verify) may hold the file for a moment
VALUE_MAX_BYTES = 16 * 1024 * 1024  # one value of a file from outside; the largest of ours is a report of 1 MB
# What reading a file may raise: text in a damaged one need not be UTF-8.
FAULTS = (apsw.Error, UnicodeDecodeError)
RESERVE_BYTES = 64 * 1024  # journal of an interrupted checkpoint is cut back to this


def check_sqlite(version: str) -> None:
    """Raise StoreError for an SQLite library that can lose committed transactions."""
    number = tuple(int(part) for part in version.split("."))
    if number >= SQLITE_FIXED:
        return
    if any(number[:2] == fixed[:2] and number >= fixed for fixed in SQLITE_BACKPORTS):
        return
    raise StoreError(f"SQLite {version} can lose committed records (WAL reset race): install apsw with 3.51.3 or later")


class Writer:
    """The only connection that writes. Threads take turns; a transaction is durable when the block ends."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        """Open or create the ledger at `path` and bring its schema up to date.

        `vfs`: name of an apsw VFS (fault tests). Raises StoreError for a file that is not ours or newer than we are.
        """
        check_sqlite(apsw.sqlite_lib_version())
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = apsw.Connection(str(path), vfs=vfs)
        except apsw.Error as error:
            raise StoreError(f"{path}: {error}; is the folder there, and may the bridge write to it?") from error
        try:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._refuse_foreign()
            version = self._refuse_newer()
            self._configure()
            self._migrate(version)
        except apsw.Error as error:
            _give_up(self._connection)
            raise StoreError(f"{path}: {error}") from error
        except StoreError:
            _give_up(self._connection)
            raise

    def _pragma(self, name: str) -> int:
        value = self._connection.pragma(name)
        if not isinstance(value, int):
            raise StoreError(f"{self.path}: pragma {name} answered {value!r}")
        return value

    def _refuse_foreign(self) -> None:
        try:
            if self._pragma("application_id") == APPLICATION_ID or self._pragma("schema_version") == 0:
                return
        except apsw.NotADBError as error:
            raise StoreError(f"{self.path}: not a PlumeProof ledger, or its beginning is damaged") from error
        raise StoreError(f"{self.path}: not a PlumeProof ledger; name another file")

    def _refuse_newer(self) -> int:
        """The schema of the file; asked before anything of it is changed."""
        version = self._pragma("user_version")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path}: schema {version} is newer than schema {SCHEMA_VERSION} of this release;"
                " update the bridge"
            )
        return version

    def _configure(self) -> None:
        if self._connection.pragma("journal_mode", "wal") != "wal":
            raise StoreError(f"{self.path}: the file system allows no WAL; put the ledger on a local disk")
        self._connection.pragma("synchronous", "FULL")
        self._connection.pragma("trusted_schema", False)
        self._connection.pragma("cell_size_check", True)
        self._connection.pragma("journal_size_limit", RESERVE_BYTES)

    def _migrate(self, version: int) -> None:
        # A table that is made anew under its old name keeps the rows that point at it (sqlite.org, lang_altertable).
        self._connection.pragma("foreign_keys", False)
        for script in migrations(version):
            number = int(script.name[:4])
            # One transaction a migration: power failing inside leaves the older schema whole.
            with self._connection:
                self._connection.execute(script.read_text(encoding="utf-8"))
                self._connection.pragma("application_id", APPLICATION_ID)
                self._connection.pragma("user_version", number)
        self._connection.pragma("foreign_keys", True)

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """One durable transaction. Raises StoreError when it could not commit; then nothing of it is stored."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except FAULTS as error:
                raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The writer's own view, for stages that read what they have just written."""
        with self._lock:
            try:
                yield self._connection
            except FAULTS as error:
                raise StoreError(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Checkpoint and give the file back."""
        with self._lock:
            try:
                self._connection.close()
            except FAULTS as error:
                raise StoreError(f"{self.path}: {error}") from error


def migrations(version: int) -> list[resources.abc.Traversable]:
    """Schema files behind `version`, in order."""
    folder = resources.files("plumeproof.store") / "schema"
    return sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql") and int(entry.name[:4]) > version),
        key=lambda entry: entry.name,
    )


def open_reader(path: Path) -> apsw.Connection:
    """A read-only connection that trusts nothing in the file. Raises StoreError with the mend."""
    if not path.is_file():
        raise StoreError(f"{path}: no such ledger")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("trusted_schema", False)
        connection.pragma("cell_size_check", True)
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StoreError(f"{path}: not a PlumeProof ledger")
        version = connection.pragma("user_version")
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise StoreError(f"{path}: schema {version} is newer than this release; update the bridge")
        if _schema_of(connection) != _schema_of_release(version):
            raise StoreError(
                f"{path}: its tables are not those of schema {version}: this file was not made by a bridge"
            )
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        _give_up(connection)
        mend = "copy it, with its -wal file, to a folder that can be written to"  # SQLite needs its -shm file beside it
        raise StoreError(f"{path}: {error}; {mend}") from error
    except apsw.NotADBError as error:
        _give_up(connection)
        raise StoreError(f"{path}: not a PlumeProof ledger, or its beginning is damaged") from error
    except FAULTS as error:
        _give_up(connection)
        raise StoreError(f"{path}: {error}") from error
    except StoreError:
        _give_up(connection)
        raise
    return connection


def _give_up(connection: apsw.Connection) -> None:
    """Close after a fault that is being reported: what closing itself meets on a full disk adds nothing to it."""
    with suppress(apsw.Error):
        connection.close(True)


def _schema_of(connection: apsw.Connection) -> list[Any]:
    """Every table, index, view and trigger with its text, but SQLite's own."""
    return connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
    ).fetchall()


@lru_cache
def _schema_of_release(version: int) -> list[Any]:
    """What the migrations up to `version` make. Views or computed columns could keep a reader busy for ever."""
    connection = apsw.Connection(":memory:")
    for script in migrations(0):
        if int(script.name[:4]) <= version:
            connection.execute(script.read_text(encoding="utf-8"))
    found = _schema_of(connection)
    connection.close()
    return found
