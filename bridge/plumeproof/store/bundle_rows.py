"""What a bundle takes from a ledger: one snapshot, read row by row, nothing trusted. Every method raises StoreError."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumeproof.errors import StoreError
from plumeproof.model import StoredAnchor
from plumeproof.rules.figure import FigureDocument
from plumeproof.store.clock_orders import CODE, statement_of
from plumeproof.store.connection import FAULTS, open_reader


class BundleRows:
    """A ledger file as it is now: a bridge that runs beside changes nothing of what is read. One thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_reader(path)
        self._one("BEGIN")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def devices(self) -> list[str]:
        """Modules with records."""
        return [row[0] for row in self._rows("SELECT DISTINCT device FROM record ORDER BY device")]

    def anchors(self, start_utc_ms: int, end_utc_ms: int) -> list[StoredAnchor]:
        """Statements that were signed in [start, end), by number."""
        if self._one("SELECT 1 FROM sqlite_schema WHERE name = 'anchor'") is None:
            return []  # a ledger of before
        question = (
            "SELECT a.number, a.content_hash, a.kid, a.statement, s.response FROM anchor AS a"
            " LEFT JOIN anchor_stamp AS s ON s.number = a.number"
            " WHERE a.signed_utc_ms >= ? AND a.signed_utc_ms < ? ORDER BY a.number"
        )
        found = [StoredAnchor(*row) for row in self._rows(question, (start_utc_ms, end_utc_ms))]
        for one in found:
            if type(one.number) is not int or type(one.statement) is not bytes or one.number >= 1 << 53:
                raise StoreError(f"{self.path}: an anchor row that no bridge wrote")
        return found

    def clock_orders(self, start_utc_ms: int, end_utc_ms: int) -> list[bytes]:
        """Statements about clock orders that came in [start, end), in order."""
        question = "SELECT detail FROM audit WHERE code = ? AND utc_ms >= ? AND utc_ms < ? ORDER BY id"
        return [statement_of(row[0]) for row in self._rows(question, (CODE, start_utc_ms, end_utc_ms))]

    def seqs(self, device: str, start_utc_ms: int, end_utc_ms: int) -> tuple[int, int] | None:
        """First and last record that has to do with [start, end): slots in it, or sealed in it. None: there is none."""
        found = self._one(
            "SELECT min(first), max(last) FROM ("
            " SELECT min(seq) AS first, max(seq) AS last FROM averaging_span"
            " WHERE device = ?1 AND first_utc_ms < ?3 AND end_utc_ms > ?2"
            " UNION ALL SELECT min(seq), max(seq) FROM record WHERE device = ?1 AND utc_ms >= ?2 AND utc_ms < ?3"
            " UNION ALL SELECT min(first_seq), max(last_seq) FROM average"
            " WHERE device = ?1 AND start_utc_ms >= ?2 AND start_utc_ms < ?3)",
            (device, start_utc_ms, end_utc_ms),
        )
        return None if found is None or found[0] is None else (int(found[0]), int(found[1]))

    def envelopes(self, device: str, first_seq: int, last_seq: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(seq, content hash, envelope) in seq order."""
        question = (
            "SELECT seq, content_hash, envelope FROM record WHERE device = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        )
        yield from self._rows(question, (device, first_seq, last_seq))

    def averages(self, device: str, names: Sequence[str], start_utc_ms: int, end_utc_ms: int) -> list[tuple[Any, ...]]:
        """These columns of all revisions of the averages inside [start, end), but of intervals that are open again."""
        # Length by length, so that the index goes straight to the rows of a day
        question = (
            f"SELECT {', '.join(names)} FROM average AS a WHERE device = ?1 AND interval_s = ?2 AND start_utc_ms >= ?3"
            " AND start_utc_ms <= ?4 - ?2 * 1000 AND NOT EXISTS (SELECT 1 FROM averaging_open AS o"
            " WHERE o.device = a.device AND o.interval_s = a.interval_s AND o.start_utc_ms = a.start_utc_ms)"
            " ORDER BY start_utc_ms, channel, rule, rule_version, revision"
        )
        found: list[tuple[Any, ...]] = []
        for length in self._each("average", "device", device, "interval_s", 0):
            found += self._all(question, (device, length, start_utc_ms, end_utc_ms))
        return found

    def _each(self, table: str, owner: str, name: str, column: str, below: Any) -> Iterator[Any]:
        """Values of a column above `below`, ascending: each found by the index behind the one before."""
        question = f"SELECT min({column}) FROM {table} WHERE {owner} = ? AND {column} > ?"
        while (row := self._one(question, (name, below))) is not None and row[0] is not None:
            below = row[0]
            yield below

    def plants(self) -> list[str]:
        """Plants with figures."""
        return [row[0] for row in self._rows("SELECT DISTINCT plant FROM figure ORDER BY plant")]

    def figures(
        self, plant: str, names: Sequence[str], start_utc_ms: int, end_utc_ms: int, until_utc_ms: int
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """These columns of all revisions of a plant's figures that begin in [start, end) and end at `until` at last."""
        question = (
            f"SELECT {', '.join(names)} FROM figure WHERE plant = ? AND level = ?"
            " AND start_utc_ms >= ? AND start_utc_ms < ? AND end_utc_ms <= ?"
        )
        found: list[tuple[Any, ...]] = []
        for level in self._each("figure", "plant", plant, "level", ""):
            found += self._all(question, (plant, level, start_utc_ms, end_utc_ms, until_utc_ms))
        return found

    def document(self, digest: bytes) -> FigureDocument | None:
        """A plant description or rule set by its hash."""
        row = self._one("SELECT hash, kind, name, bytes FROM figure_document WHERE hash = ?", (digest,))
        return None if row is None else FigureDocument(*row)

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """A whole parameter set; its hash is for the reader to check."""
        question = "SELECT part, parts, bytes FROM parameter_part WHERE parameters_hash = ? ORDER BY part"
        rows = list(self._rows(question, (parameters_hash,)))
        if not rows or [row[0] for row in rows] != list(range(rows[0][1])):
            return None
        return b"".join(row[2] for row in rows)

    def open_intervals(self) -> set[tuple[str, int, int]]:
        """(device, interval_s, start_utc_ms) of those that are open again."""
        return set(self._rows("SELECT device, interval_s, start_utc_ms FROM averaging_open"))

    def receipts(self, start_utc_ms: int, end_utc_ms: int) -> Iterator[tuple[dict[str, Any], bytes | None]]:
        """What the other side has confirmed of what was queued in [start, end), and the bodies of reports."""
        question = (
            "SELECT o.sink, o.kind, o.key, o.module, o.seq, r.received_utc_ms, r.proof,"
            " CASE WHEN o.kind = 'report' THEN o.body END FROM receipt AS r"
            " JOIN outbox AS o ON o.id = r.outbox_id WHERE o.created_utc_ms >= ? AND o.created_utc_ms < ? ORDER BY o.id"
        )
        names = ("sink", "kind", "key", "module", "seq", "received_utc_ms", "proof")
        for *row, proof, body in self._rows(question, (start_utc_ms, end_utc_ms)):
            yield dict(zip(names, (*row, bytes(proof).decode("utf-8", "backslashreplace")), strict=True)), body

    def _one(self, question: str, values: tuple[Any, ...] = ()) -> Any:
        return next(self._rows(question, values), None)

    def _rows(self, question: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        with self._faults():
            yield from self._connection.execute(question, values)

    def _all(self, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of a day: half a million of a month, too many to pass through here one by one."""
        with self._faults():
            return self._connection.execute(question, values).fetchall()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            raise StoreError(f"{self.path}: {error}") from error
        except (ValueError, TypeError) as error:  # a row that no bridge wrote
            raise StoreError(f"{self.path}: a row that cannot be read: {error}; see `plumeproof verify`") from error
