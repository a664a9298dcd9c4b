"""Reads a ledger file from outside: read-only, nothing trusted (reliability section 8).

`read_rows` goes through all of it for `verify` and `export`, quick_check first. `LedgerView` answers the questions of
the faces about the newest part; every query of it is bounded or runs on an index: a year of records costs no more than
a day.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumeproof.errors import StoreError
from plumeproof.model import Head, StoredAnchor
from plumeproof.store.connection import FAULTS, open_reader

# position, device, seq, kind, boot, content_hash, utc_ms, envelope
Row = tuple[int, str, int, int, int, bytes, int | None, bytes]
ANCHORS_SCHEMA = 4  # from here on a ledger has anchors
BOOT_SEARCH_RECORDS = 100_000  # how far back the newest boot record is looked for: two months of minutes


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
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


def read_anchors(path: Path) -> Iterator[StoredAnchor]:
    """Signed statements in order, with their time-stamps; none of a ledger of before. Raises StoreError."""
    connection = open_reader(path)
    try:
        if int(str(connection.pragma("user_version"))) < ANCHORS_SCHEMA:
            return
        for row in connection.execute(
            "SELECT a.number, a.content_hash, a.kid, a.statement, s.response"
            " FROM anchor a LEFT JOIN anchor_stamp s ON s.number = a.number ORDER BY a.number"
        ):
            yield StoredAnchor(*row)
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


def read_envelopes(
    path: Path, device: str, first_seq: int, last_seq: int, kind: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """(seq, envelope) of one module in seq order, of one record kind or of all. Raises StoreError."""
    connection = open_reader(path)
    try:
        yield from connection.execute(
            "SELECT seq, envelope FROM record WHERE device = ?1 AND seq BETWEEN ?2 AND ?3 AND (?4 IS NULL OR kind = ?4)"
            " ORDER BY seq",
            (device, first_seq, last_seq, kind),
        )
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest record that a module's head says was accepted; `last_hash` None where only its seq is known."""

    device: str
    last_seq: int
    last_hash: bytes | None
    is_frozen: bool


def read_heads(path: Path) -> list[LedgerHead]:
    """What the ledger itself says about its modules. Raises StoreError."""
    connection = open_reader(path)
    try:
        found = []
        question = "SELECT device, seq, content_hash, is_frozen FROM head ORDER BY device"
        rows: list[Any] = connection.execute(question).fetchall()
        is_quarantined = "SELECT 1 FROM quarantine WHERE device = ? AND seq = ?"
        for device, seq, content_hash, is_frozen in rows:
            last = seq
            # The head also moves over what went into quarantine, one seq at a time.
            while connection.execute(is_quarantined, (device, last)).fetchone():
                last -= 1
            found.append(LedgerHead(device, last, content_hash if last == seq else None, bool(is_frozen)))
        return found
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()


class LedgerView:
    """Short questions about the newest part of a ledger. Threads take turns. Every method raises StoreError."""

    def __init__(self, path: Path) -> None:
        """`path` must be a ledger already (the service has opened it)."""
        self.path = path
        self._lock = threading.Lock()
        self._connection = open_reader(path)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    def heads(self) -> dict[str, Head]:
        """Newest accepted record of every module."""
        rows = self._ask("SELECT device, seq, content_hash, boot, mono_ms, next_slot, is_frozen FROM head")
        return {
            device: Head(device, seq, content_hash, boot, mono_ms, next_slot, bool(is_frozen))
            for device, seq, content_hash, boot, mono_ms, next_slot, is_frozen in rows
        }

    def newest_position(self) -> int:
        """Position of the newest record: how many were ever stored."""
        return int(self._ask("SELECT coalesce(max(position), 0) FROM record")[0][0])

    def newest_average_id(self) -> int:
        """Id of the newest average: how many were ever made."""
        return int(self._ask("SELECT coalesce(max(id), 0) FROM average")[0][0])

    def records_after(self, device: str, seq: int, limit: int) -> list[tuple[Any, ...]]:
        """(seq, received_utc_ms, envelope) behind `seq`, ascending."""
        return self._ask(
            "SELECT seq, received_utc_ms, envelope FROM record WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?",
            (device, seq, limit),
        )

    def records_before(self, device: str, seq: int, limit: int) -> list[tuple[Any, ...]]:
        """(seq, received_utc_ms, envelope) below `seq`, descending."""
        return self._ask(
            "SELECT seq, received_utc_ms, envelope FROM record WHERE device = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            (device, seq, limit),
        )

    def newest_of_kind(self, device: str, kind: int, head_seq: int) -> bytes | None:
        """Envelope of the newest record of a kind, if it is among the newest BOOT_SEARCH_RECORDS."""
        rows = self._ask(
            "SELECT envelope FROM record WHERE device = ? AND seq > ? AND kind = ? ORDER BY seq DESC LIMIT 1",
            (device, head_seq - BOOT_SEARCH_RECORDS, kind),
        )
        return rows[0][0] if rows else None

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """The bytes of a parameter set, None while parts are missing; the hash is for the reader to check."""
        rows = self._ask(
            "SELECT part, parts, bytes FROM parameter_part WHERE parameters_hash = ? ORDER BY part", (parameters_hash,)
        )
        if not rows or [row[0] for row in rows] != list(range(rows[0][1])):
            return None
        return b"".join(row[2] for row in rows)

    def holes(self, device: str, limit: int) -> tuple[int, list[tuple[Any, ...]]]:
        """How many holes a module's chain has, and the newest of them as (first seq, last seq)."""
        count = self._ask("SELECT count(*) FROM hole WHERE device = ?", (device,))[0][0]
        spans = self._ask(
            "SELECT first_seq, last_seq FROM hole WHERE device = ? ORDER BY first_seq DESC LIMIT ?", (device, limit)
        )
        return int(count), spans

    def quarantined(self, device: str) -> tuple[int, str]:
        """How many pieces of bytes wait in quarantine for a module, and the reason of the newest."""
        count = self._ask("SELECT count(*) FROM quarantine WHERE device = ?", (device,))[0][0]
        newest = self._ask("SELECT code FROM quarantine WHERE device = ? ORDER BY id DESC LIMIT 1", (device,))
        return int(count), str(newest[0][0]) if newest else ""

    def newest_averages(self, device: str, interval_s: int) -> list[dict[str, Any]]:
        """Of the newest interval that has one: each channel's newest revision."""
        rows = self._ask(
            "SELECT channel, unit, start_utc_ms, mean, n_valid, n_expected, max(revision) FROM average"
            " WHERE device = ?1 AND interval_s = ?2 AND start_utc_ms ="
            " (SELECT max(start_utc_ms) FROM average WHERE device = ?1 AND interval_s = ?2) GROUP BY channel",
            (device, interval_s),
        )
        names = ("channel", "unit", "start_utc_ms", "mean", "n_valid", "n_expected", "revision")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def coverage(self, device: str, interval_s: int, limit: int) -> list[tuple[int, int, int]]:
        """(start_utc_ms, valid slots, expected slots) over all channels of the newest intervals, ascending."""
        rows = self._ask(
            "SELECT start_utc_ms, n_valid, n_expected, max(revision) FROM average WHERE device = ?1 AND interval_s = ?2"
            " AND start_utc_ms > (SELECT max(start_utc_ms) FROM average WHERE device = ?1 AND interval_s = ?2) - ?3"
            " GROUP BY start_utc_ms, channel ORDER BY start_utc_ms",
            (device, interval_s, limit * interval_s * 1000),
        )
        sums: dict[int, tuple[int, int]] = {}
        for start, valid, expected, _ in rows:
            old = sums.get(start, (0, 0))
            sums[start] = (old[0] + valid, old[1] + expected)
        return [(start, valid, expected) for start, (valid, expected) in sums.items()]

    def cursors(self) -> dict[tuple[str, str], int]:
        """How far each stage has come: (stage, device) to position."""
        return {(stage, device): at for stage, device, at in self._ask("SELECT stage, device, position FROM cursor")}

    def outbox(self) -> dict[str, dict[str, Any]]:
        """Per sink: rows waiting, since when the oldest, most tries of one, rows in quarantine."""
        found: dict[str, dict[str, Any]] = {}
        for sink, count, oldest, attempts in self._ask(
            "SELECT sink, count(*), min(created_utc_ms), max(attempts) FROM outbox WHERE state = 'waiting'"
            " GROUP BY sink"
        ):
            found[sink] = {"waiting": count, "oldest_utc_ms": oldest, "attempts": attempts, "quarantined": 0}
        for sink, count in self._ask("SELECT sink, count(*) FROM outbox WHERE state = 'quarantined' GROUP BY sink"):
            nothing = {"waiting": 0, "oldest_utc_ms": None, "attempts": 0}
            found.setdefault(sink, nothing)["quarantined"] = count
        return found

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(question, values).fetchall()
            except FAULTS as error:
                raise StoreError(f"{self.path}: {error}") from error
