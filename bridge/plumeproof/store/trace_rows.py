"""What a trace asks a ledger: figures and averages by parts of their ids, records by seq. Read-only, nothing trusted.

Every method raises StoreError.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from plumeproof.errors import StoreError
from plumeproof.model import Average
from plumeproof.rules.figure import Figure
from plumeproof.store.averages import averages_where
from plumeproof.store.connection import FAULTS, open_reader
from plumeproof.store.figures import figures_where, require_figures, revisions_of

ROWS_MAX = 5_000  # of an answer; whoever asks for more has written too little of an id
INTERVALS_MAX = 32  # lengths of averages that one module has

_T = TypeVar("_T")


class TraceRows:
    """A ledger file, opened for reading. One thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_reader(path)
        try:
            require_figures(path, self._connection)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def figures(
        self,
        words: tuple[str, ...],
        level: str | None,
        length_ms: int | None,
        around_utc_ms: tuple[int, int] | None,
        limit: int = ROWS_MAX,
    ) -> list[Figure]:
        """Newest revisions of figures in whose names all words stand."""
        first, end = around_utc_ms or (0, 2**62)
        condition = "start_utc_ms >= ? AND start_utc_ms < ?"
        values: tuple[Any, ...] = (first, end)
        if level is not None:
            condition, values = condition + " AND level = ?", (*values, level)
        if length_ms is not None:
            condition, values = condition + " AND end_utc_ms - start_utc_ms = ?", (*values, length_ms)
        for word in words:
            condition += " AND ? IN (plant, measurand, layer, rule_set)"
            values = (*values, word)
        found: list[Figure] = []
        for (plant,) in self._ask("SELECT DISTINCT plant FROM figure ORDER BY plant"):
            if len(found) < limit:
                found += self._figures(f"plant = ? AND {condition}", (plant, *values), limit - len(found))
        return found

    def _figures(self, condition: str, values: tuple[Any, ...], limit: int) -> list[Figure]:
        return self._read(lambda: list(figures_where(self._connection, condition, values, limit)))

    def revisions(self, figure: Figure) -> list[Figure]:
        """All revisions at the place of a figure, oldest first."""
        return self._read(lambda: list(revisions_of(self._connection, figure)))

    def averages(
        self,
        device: str | None,
        channel: str | None,
        interval_s: int,
        around_utc_ms: tuple[int, int],
        limit: int = ROWS_MAX,
    ) -> list[Average]:
        """All revisions of averages of one length that begin in [first, end); of one module and channel, or of all."""
        found: list[Average] = []
        for (name,) in self._ask("SELECT device FROM averaging_state ORDER BY device"):
            if device in (None, name):
                condition = "device = ?1 AND interval_s = ?2 AND start_utc_ms >= ?3 AND start_utc_ms < ?4"
                condition += " AND (?5 IS NULL OR channel = ?5)"
                found += self._averages(condition, (name, interval_s, *around_utc_ms, channel), limit)
        return found

    def _averages(self, condition: str, values: tuple[Any, ...], limit: int) -> list[Average]:
        return self._read(lambda: list(averages_where(self._connection, condition, values, limit)))

    def intervals(self, device: str) -> list[int]:
        """Lengths in seconds of a module's averages, ascending; a step in the index each, no walk through the rows."""
        found: list[int] = []
        while len(found) < INTERVALS_MAX:
            question = "SELECT min(interval_s) FROM average WHERE device = ? AND interval_s > ?"
            least = self._ask(question, (device, found[-1] if found else 0))[0][0]
            if least is None:
                break
            found.append(int(least))
        return found

    def devices(self) -> list[str]:
        """Modules with records."""
        return [row[0] for row in self._ask("SELECT device FROM head ORDER BY device")]

    def envelope(self, device: str, seq: int) -> bytes | None:
        """One record as it came."""
        rows = self._ask("SELECT envelope FROM record WHERE device = ? AND seq = ?", (device, seq))
        return bytes(rows[0][0]) if rows else None

    def seqs_of_kind(self, device: str, seq: int, kind: int, limit: int) -> list[int]:
        """The newest records of a kind before `seq`, descending."""
        question = "SELECT seq FROM record WHERE device = ? AND kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return [row[0] for row in self._ask(question, (device, kind, seq, limit))]

    def document(self, digest: bytes) -> bytes | None:
        """A plant description or rule set by its hash, which is for the reader to check."""
        rows = self._ask("SELECT bytes FROM figure_document WHERE hash = ?", (digest,))
        return bytes(rows[0][0]) if rows else None

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._read(lambda: self._connection.execute(question, values).fetchall())

    def _read(self, look: Callable[[], _T]) -> _T:
        try:
            return look()
        except FAULTS as error:
            raise StoreError(f"{self.path}: {error}") from error
        except (ValueError, TypeError) as error:  # a row that no bridge wrote
            raise StoreError(f"{self.path}: a row that cannot be read: {error}; see `plumeproof verify`") from error
