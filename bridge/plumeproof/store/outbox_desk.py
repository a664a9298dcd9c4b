"""The outbox as a person handles it: what waits, why, what was given back; and a row that is to be tried again.

Reading is read-only and bounded. What a person does is written to the audit table in the same transaction.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw

from plumeproof.errors import StoreError
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer, open_reader

_COLUMNS = (
    "o.id, o.sink, o.module, o.kind, o.key, o.state, o.attempts, o.due_utc_ms, o.created_utc_ms, o.last_reason,"
    " length(coalesce(o.body, r.envelope))"
)
_NAMES = ("id", "sink", "module", "kind", "key", "state", "attempts", "due_utc_ms", "created_utc_ms", "reason", "bytes")
_FROM = " FROM outbox o LEFT JOIN record r ON o.body IS NULL AND r.device = o.module AND r.seq = o.seq"


def list_rows(path: Path, state: str, sink: str | None, limit: int) -> list[dict[str, Any]]:
    """The oldest rows in a state, of one sink or all, in the order of delivery. Raises StoreError."""
    found = _ask(
        path,
        f"SELECT {_COLUMNS}{_FROM} WHERE o.state = ?1 AND (?2 IS NULL OR o.sink = ?2)"
        " ORDER BY o.sink, o.module, o.place LIMIT ?3",
        (state, sink, limit),
    )
    return [dict(zip(_NAMES, row, strict=True)) for row in found]


def read_row(path: Path, row_id: int) -> tuple[dict[str, Any], bytes, bytes | None]:
    """One row: what is known of it with its attributes, its body, its proof. Raises StoreError when there is none."""
    found = _ask(
        path,
        f"SELECT {_COLUMNS}, o.attributes, coalesce(o.body, r.envelope), p.proof{_FROM}"
        " LEFT JOIN receipt p ON p.outbox_id = o.id WHERE o.id = ?",
        (row_id,),
    )
    if not found:
        raise StoreError(f"{path}: no row {row_id} in the outbox; `plumeproof queue ls` shows the ids")
    *known, attributes, body, proof = found[0]
    return dict(zip(_NAMES, known, strict=True)) | {"attributes": json.loads(attributes)}, body, proof


def requeue(writer: Writer, clock: Clock, row_ids: list[int]) -> int:
    """Set-aside rows into the order again, at their old place; rows that wait are due now. How many there were."""
    count = 0
    with writer.transaction() as connection:
        for row_id in row_ids:
            connection.execute(
                "UPDATE outbox SET state = 'waiting', due_utc_ms = 0"
                " WHERE id = ? AND state IN ('waiting', 'quarantined')",
                (row_id,),
            )
            count += connection.changes()
        detail = json.dumps({"rows": row_ids, "found": count})
        connection.execute(
            "INSERT INTO audit (utc_ms, code, detail) VALUES (?, 'requeue', ?)", (clock.utc_ms(), detail)
        )
    return count


def _ask(path: Path, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    connection = open_reader(path)
    try:
        return connection.execute(question, values).fetchall()
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        connection.close()
