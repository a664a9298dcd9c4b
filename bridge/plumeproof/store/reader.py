"""Reads a ledger file from outside: read-only, nothing trusted, quick_check first (reliability section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

from plumeproof.errors import StoreError
from plumeproof.store.connection import open_reader

# position, device, seq, kind, boot, content_hash, utc_ms, envelope
Row = tuple[int, str, int, int, int, bytes, int | None, bytes]


def read_rows(path: Path, device: str | None = None) -> Iterator[Row]:
    """All records, or those of one module, in device and seq order. Raises StoreError, also for a damaged file."""
    connection = open_reader(path)
    try:
        for (answer,) in connection.execute("PRAGMA quick_check(1)"):
            if answer != "ok":
                raise StoreError(f"{path}: damaged database file: {answer}")
        yield from connection.execute(
            "SELECT position, device, seq, kind, boot, content_hash, utc_ms, envelope FROM record"
            " WHERE ?1 IS NULL OR device = ?1 ORDER BY device, seq",
            (device,),
        )
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()
