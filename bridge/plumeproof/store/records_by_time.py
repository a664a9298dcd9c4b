"""Records of a ledger by the time of their slots, for faces: read-only, a portion at a time, nothing trusted.

What averaging has placed on the UTC axis is found by its index; what it has not seen yet, and everything of a ledger
that was never averaged, is handed out whole for the caller to place. Each question is a snapshot of its own, so that a
bridge that runs beside is never kept from tidying its file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from plumeproof.errors import StoreError
from plumeproof.model import StoredRecord
from plumeproof.rules.figure import Figure
from plumeproof.store.connection import FAULTS, open_reader
from plumeproof.store.figures import figures_of, made_of, require_figures, revisions_of

PAGE_RECORDS = 256
VARIABLES = 500  # seqs named in one question; SQLite allows more

_T = TypeVar("_T")
# The kind as a number in the text: only so does SQLite see that the index of schema 5 holds all rows asked for.
CALIBRATIONS = "SELECT {} FROM record WHERE kind = 8 AND device = ? AND seq > ? ORDER BY seq LIMIT ?"
_COLUMNS = "position, device, seq, kind, boot, content_hash, utc_ms, received_utc_ms, envelope"


class RecordsByTime:
    """A ledger file, opened for reading. One thread. Every method raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_reader(path)
        self._longest = dict(self._ask("SELECT device, longest_ms FROM averaging_state"))

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def devices(self) -> tuple[str, ...]:
        """Modules with records."""
        return tuple(row[0] for row in self._ask("SELECT DISTINCT device FROM record ORDER BY device"))

    def placed_until(self) -> int:
        """Position of the last record that averaging has placed, 0 in a ledger without averages."""
        rows = self._ask("SELECT position FROM cursor WHERE stage = 'averaging' AND device = ''")
        return int(rows[0][0]) if rows else 0

    def behind(self, position: int, kinds: tuple[int, int]) -> Iterator[list[StoredRecord]]:
        """Records of two kinds behind a position, in portions, in the order of their commit."""
        while True:
            rows = self._ask(
                f"SELECT {_COLUMNS} FROM record WHERE position > ? AND kind IN (?, ?) ORDER BY position LIMIT ?",
                (position, *kinds, PAGE_RECORDS),
            )
            if rows:
                yield [StoredRecord(*row) for row in rows]
                position = rows[-1][0]
            if len(rows) < PAGE_RECORDS:
                return

    def calibrations(self, device: str) -> Iterator[list[StoredRecord]]:
        """Calibration records of a module, in portions, by seq; a ledger before schema 5 is gone through for them."""
        seq = -1
        while True:
            rows = self._ask(CALIBRATIONS.format(_COLUMNS), (device, seq, PAGE_RECORDS))
            if rows:
                yield [StoredRecord(*row) for row in rows]
                seq = rows[-1][2]
            if len(rows) < PAGE_RECORDS:
                return

    def placed(self, device: str, start_utc_ms: int, end_utc_ms: int) -> list[int]:
        """Seqs of the placed records that touch [start, end), ascending."""
        rows = self._ask(
            "SELECT seq FROM averaging_span WHERE device = ?1 AND is_overflow = 0"
            " AND first_utc_ms > ?2 - ?4 AND first_utc_ms < ?3 AND end_utc_ms > ?2"
            " UNION SELECT seq FROM averaging_span WHERE device = ?1 AND is_overflow = 1"
            " AND first_utc_ms < ?3 AND end_utc_ms > ?2 ORDER BY 1",
            (device, start_utc_ms, end_utc_ms, self._longest.get(device, 0)),
        )
        return [row[0] for row in rows]

    def placed_extent(self, device: str) -> tuple[int, int] | None:
        """[first, end) of the placed slots of a module."""
        rows = self._ask("SELECT min(first_utc_ms), max(end_utc_ms) FROM averaging_span WHERE device = ?", (device,))
        return None if rows[0][0] is None else (int(rows[0][0]), int(rows[0][1]))

    def skipped(self, device: str) -> dict[str, int]:
        """Records of a module that averaging could not place, by reason."""
        question = "SELECT reason, count(*) FROM averaging_skipped WHERE device = ? GROUP BY reason ORDER BY reason"
        return {reason: int(count) for reason, count in self._ask(question, (device,))}

    def records(self, device: str, seqs: Sequence[int]) -> list[StoredRecord]:
        """Records by seq, ascending."""
        found: list[StoredRecord] = []
        for at in range(0, len(seqs), VARIABLES):
            part = seqs[at : at + VARIABLES]
            marks = ", ".join("?" * len(part))
            question = f"SELECT {_COLUMNS} FROM record WHERE device = ? AND seq IN ({marks}) ORDER BY seq"
            found += [StoredRecord(*row) for row in self._ask(question, (device, *part))]
        return found

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """The complete parameter set with this SHA-256, if all its parts are here."""
        question = "SELECT part, parts, bytes FROM parameter_part WHERE parameters_hash = ? ORDER BY part"
        rows = self._ask(question, (parameters_hash,))
        if not rows or [row[0] for row in rows] != list(range(rows[0][1])):
            return None
        whole = b"".join(row[2] for row in rows)
        return whole if hashlib.sha256(whole).digest() == parameters_hash else None

    def figures(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        """The figures that the bridge wrote for the periods inside [start, end), newest revisions."""
        require_figures(self.path, self._connection)
        return self._read(lambda: list(figures_of(self._connection, plant, level, (start_utc_ms, end_utc_ms))))

    def revisions(self, figure: Figure) -> list[Figure]:
        """All revisions at the place of a figure, oldest first."""
        return self._read(lambda: list(revisions_of(self._connection, figure)))

    def made_utc_ms(self, figure: Figure) -> int:
        """When the bridge wrote a stored figure in its revision."""
        return self._read(lambda: made_of(self._connection, figure))

    def figures_extent(self, plant: str) -> tuple[int, int] | None:
        """[first, end) of what the bridge has written for a plant."""
        require_figures(self.path, self._connection)
        rows = self._ask("SELECT min(start_utc_ms), max(end_utc_ms) FROM figure WHERE plant = ?", (plant,))
        return None if rows[0][0] is None else (int(rows[0][0]), int(rows[0][1]))

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._read(lambda: self._connection.execute(question, values).fetchall())

    def _read(self, look: Callable[[], _T]) -> _T:
        try:
            return look()
        except FAULTS as error:
            raise StoreError(f"{self.path}: {error}") from error
        except (ValueError, TypeError) as error:  # a row that no bridge wrote
            raise StoreError(f"{self.path}: a row that cannot be read: {error}; see `plumeproof verify`") from error
