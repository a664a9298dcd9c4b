"""What the check of tongues asks the outbox, and the audit line of each disagreement. Bodies are never changed here.

Rows of reports are read as they wait, were sent or were set aside: what counts is what they say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plumeproof.errors import StoreError
from plumeproof.ports import Clock
from plumeproof.store.connection import FAULTS, Writer, open_reader

STAGE = "agreement"  # in the cursor table
CODE = "disagreement"  # in the audit table
Row = tuple[int, str, bytes]  # id, sink, body

_AFTER = "SELECT id, sink, body FROM outbox WHERE id > ? AND kind = 'report' AND body IS NOT NULL"


class SqliteAgreements:
    """On the writing connection. Raises StoreError."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer, self._clock = writer, clock

    def position(self, since_utc_ms: int) -> int:
        """The row up to which all is checked; for a ledger that was never checked the last one before an instant."""
        with self._writer.reading() as connection:
            known: Any = connection.execute(
                "SELECT position FROM cursor WHERE stage = ? AND device = ''", (STAGE,)
            ).fetchone()
            if known is not None:
                return int(known[0])
            last: Any = connection.execute("SELECT max(id) FROM outbox WHERE created_utc_ms < ?", (since_utc_ms,)).get
        return int(last or 0)

    def after(self, position: int, limit: int) -> Sequence[Row]:
        """The next reports in the order of queueing."""
        with self._writer.reading() as connection:
            return list(connection.execute(f"{_AFTER} ORDER BY id LIMIT ?", (position, limit)))

    def newest_of(self, sink: str, key_start: str, limit: int) -> Sequence[Row]:
        """The rows of a sink whose keys begin so, the last by key first."""
        question = "SELECT id, sink, body FROM outbox WHERE sink = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?"
        end = key_start[:-1] + chr(ord(key_start[-1]) + 1)
        with self._writer.reading() as connection:
            return list(connection.execute(question, (sink, key_start, end, limit)))

    def commit(self, position: int, disagreements: Sequence[dict[str, str]]) -> None:
        """Move the cursor and note what was found, in one synced transaction."""
        now = self._clock.utc_ms()
        with self._writer.transaction() as connection:
            # Power failing before COMMIT returns: neither line nor cursor; the same rows are compared again.
            for one in disagreements:
                detail = json.dumps(one, sort_keys=True)
                connection.execute("INSERT INTO audit (utc_ms, code, detail) VALUES (?, ?, ?)", (now, CODE, detail))
            connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, '', ?)", (STAGE, position))

    def noted_since(self, utc_ms: int) -> list[tuple[int, dict[str, str]]]:
        """(when, what) of lines since an instant, oldest first."""
        question = "SELECT utc_ms, detail FROM audit WHERE code = ? AND utc_ms >= ? ORDER BY id"
        with self._writer.reading() as connection:
            return [(row[0], json.loads(row[1])) for row in connection.execute(question, (CODE, utc_ms))]


def queued_reports(path: Path, sink: str) -> Iterator[Row]:
    """Every report of a sink in the outbox of a ledger, by id. Raises StoreError."""
    return _queued(path, f"{_AFTER} AND sink = ? ORDER BY id", (0, sink))


def queued_averages(path: Path, sink: str, view: str) -> Iterator[Row]:
    """Every average for a broker in one form (delivery.relay.VIEWS), as `queued_reports`."""
    question = "SELECT id, sink, body FROM outbox WHERE sink = ? AND key >= ? AND key < ? ORDER BY id"
    return _queued(path, question, (sink, f"{view}/", f"{view}0"))  # 0 follows on /


def _queued(path: Path, question: str, values: tuple[Any, ...]) -> Iterator[Row]:
    connection = open_reader(path)
    try:
        yield from connection.execute(question, values)
    except FAULTS as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()
