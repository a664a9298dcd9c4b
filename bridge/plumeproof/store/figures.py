"""Figures of plants with all their revisions, and the documents they were computed with. Implements ports.FigureStore.

Rows are never changed (DESIGN.md decision 13): other content at one place becomes revision n+1, equal content writes
nothing. Figures and the cursor behind the averages they follow move in one transaction. The rules are rules/; when a
figure is made is figures_stage.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import apsw

from plumeproof.errors import StoreError
from plumeproof.ports import Clock
from plumeproof.rules.figure import DAY, SHORT_TERM, Figure, FigureDocument, InputRange
from plumeproof.store.connection import FAULTS, Writer, open_reader

_T = TypeVar("_T")

SINCE_SCHEMA = 3  # the tables that are read here
STAGE = "figures"  # in the cursor table
FIRST = "first"  # reason of revision 0

_NAMES = Figure._fields
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO figure ({_COLUMNS}, made_utc_ms) VALUES ({', '.join('?' * (len(_NAMES) + 1))})"
_PLACE = (
    "plant = ? AND rule_set = ? AND measurand = ? AND layer = ? AND level = ? AND start_utc_ms = ? AND end_utc_ms = ?"
)
_NEWEST = f"SELECT {_COLUMNS} FROM figure WHERE {_PLACE} ORDER BY revision DESC LIMIT 1"
_REVISIONS = f"SELECT {_COLUMNS} FROM figure WHERE {_PLACE} ORDER BY revision"
_OF_PERIOD = (
    f"SELECT {_COLUMNS}, max(revision) FROM figure WHERE plant = ?1 AND level = ?2 AND start_utc_ms >= ?3"
    " AND end_utc_ms <= ?4 GROUP BY rule_set, measurand, layer, start_utc_ms, end_utc_ms"
    " ORDER BY start_utc_ms, end_utc_ms, rule_set, measurand, layer"
)
CONTENT_NAMES = _NAMES[:-2]  # all but revision and reason, which say how a figure came about
_PLACE_NAMES = ("plant", "rule_set", "measurand", "layer", "level", "start_utc_ms", "end_utc_ms")
_IS_VALID, _FLAGS, _N_INVALID, _INPUTS = (_NAMES.index(name) for name in ("is_valid", "flags", "n_invalid", "inputs"))
_place_of = itemgetter(*(_NAMES.index(name) for name in _PLACE_NAMES))


def _row(figure: Figure, now_utc_ms: int) -> tuple[Any, ...]:
    values = list(figure)
    values[_IS_VALID] = int(figure.is_valid)
    values[_FLAGS] = _flags_text(figure.flags)
    values[_N_INVALID] = _counts_text(figure.n_invalid)
    values[_INPUTS] = _inputs_text(figure.inputs)
    return (*values, now_utc_ms)


# The same texts come again and again: the figures of a term rest on the same records.


@lru_cache(maxsize=1024)
def _flags_text(flags: tuple[str, ...]) -> str:
    return json.dumps(flags)


@lru_cache(maxsize=1024)
def _counts_text(counts: tuple[tuple[str, int], ...]) -> str:
    return json.dumps(dict(counts), sort_keys=True)


@lru_cache(maxsize=64)
def _inputs_text(inputs: tuple[InputRange, ...]) -> str:
    return json.dumps(
        [[one.device, one.first_seq, one.last_seq, one.head_hash.hex(), one.parameters_hash.hex()] for one in inputs]
    )


def _figure(row: tuple[Any, ...]) -> Figure:
    values: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    values["is_valid"] = bool(values["is_valid"])
    values["flags"] = tuple(json.loads(values["flags"]))
    values["n_invalid"] = tuple(sorted(json.loads(values["n_invalid"]).items()))
    values["inputs"] = tuple(
        InputRange(device, first, last, bytes.fromhex(head), bytes.fromhex(parameters))
        for device, first, last, head, parameters in json.loads(values["inputs"])
    )
    return Figure(**values)


def figure_of(row: tuple[Any, ...]) -> Figure:
    """From a stored row, in the order of its fields."""
    return _figure(row)


def _numbered(row: tuple[Any, ...]) -> tuple[int, Figure]:
    return row[0], _figure(row[1:])


class SqliteFigures:
    """ports.FigureStore on the writing connection."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def position(self) -> int:
        """Cursor in the averages, 0 before the first step."""
        with self._writer.reading() as connection:
            row = connection.execute("SELECT position FROM cursor WHERE stage = ? AND device = ''", (STAGE,)).fetchone()
        return 0 if row is None else int(row[0])

    def commit(self, figures: Sequence[Figure], documents: Sequence[FigureDocument], position: int) -> int:
        """Store what a step found and move the cursor; how many rows were written. Raises StoreError."""
        now = self._clock.utc_ms()
        written = 0
        with self._writer.transaction() as connection:
            # Power failing before COMMIT returns: none of it is stored, and the same step makes the same rows again.
            connection.executemany(
                "INSERT INTO figure_document VALUES (?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
                ((document.digest, document.kind, document.name, document.raw, now) for document in documents),
            )
            for figure in figures:
                written += self._add(connection, figure, now)
            connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, '', ?)", (STAGE, position))
        return written

    @staticmethod
    def _add(connection: apsw.Connection, figure: Figure, now_utc_ms: int) -> int:
        row = connection.execute(_NEWEST, figure.place).fetchone()
        newest = None if row is None else _figure(row)
        if newest is None:
            connection.execute(_INSERT, _row(figure._replace(revision=0, reason=FIRST), now_utc_ms))
        elif figure._replace(revision=newest.revision, reason=newest.reason) == newest:
            return 0
        else:
            connection.execute(_INSERT, _row(figure._replace(revision=newest.revision + 1), now_utc_ms))
        return 1

    def of_period(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> Sequence[Figure]:
        """The newest revision of every figure of a level whose period lies inside [start, end)."""
        with self._writer.reading() as connection:
            rows = connection.execute(_OF_PERIOD, (plant, level, start_utc_ms, end_utc_ms)).fetchall()
        return [_figure(row[:-1]) for row in rows]

    def longer_until(self, plant: str) -> int | None:
        """UTC ms up to which days and longer periods have surely been made; None before the first figure. The days of
        several clocks end within a day, so it is a day before the newest one's end."""
        with self._writer.reading() as connection:
            day: Any = connection.execute(
                "SELECT start_utc_ms FROM figure WHERE plant = ? AND level = ? ORDER BY start_utc_ms DESC LIMIT 1",
                (plant, DAY),
            ).fetchone()
            return first_start_of(connection, plant) if day is None else int(day[0])

    def newest_end(self, plant: str) -> int | None:
        """End of the newest short term that has a figure, UTC ms; None before the first."""
        with self._writer.reading() as connection:
            return newest_end_of(connection, plant)

    def revisions(self, figure: Figure) -> Sequence[Figure]:
        """All revisions at the place of a figure, oldest first."""
        with self._writer.reading() as connection:
            return list(revisions_of(connection, figure))

    def after(self, figure_id: int, limit: int) -> Sequence[tuple[int, Figure]]:
        """Rows behind a cursor of another stage, with their ids, in the order they were committed."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                f"SELECT id, {_COLUMNS} FROM figure WHERE id > ? ORDER BY id LIMIT ?", (figure_id, limit)
            ).fetchall()
        return [_numbered(row) for row in rows]

    def document(self, digest: bytes) -> FigureDocument | None:
        """A plant description or rule set by its hash."""
        with self._writer.reading() as connection:
            row = connection.execute(
                "SELECT hash, kind, name, bytes FROM figure_document WHERE hash = ?", (digest,)
            ).fetchone()
        return None if row is None else FigureDocument(*row)


def content_of(figure: Figure) -> tuple[Any, ...]:
    """What a figure says, in the order of CONTENT_NAMES, as it is stored: two contents are equal bit for bit or not."""
    return _row(figure, 0)[: len(CONTENT_NAMES)]


class StoredFigures:
    """The figures of a ledger file, for a comparison: read-only, nothing trusted. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path)
        try:
            require_figures(path, self._connection)
        except StoreError:
            self.close()
            raise

    def contents(
        self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:  # fmt: skip
        """`content_of` the newest revision of every figure of a level inside [start, end), by its place."""
        values = (plant, level, start_utc_ms, end_utc_ms)
        rows = self._read(lambda: self._connection.execute(_OF_PERIOD, values).fetchall())
        return {_place_of(row): row[: len(CONTENT_NAMES)] for row in rows}

    def newest_end(self, plant: str) -> int | None:
        """As SqliteFigures.newest_end."""
        return self._read(lambda: newest_end_of(self._connection, plant))

    def extent(self, plant: str) -> tuple[int, int] | None:
        """[first, end) of the short terms of a plant; None where there are none."""
        end = self.newest_end(plant)
        start = self._read(lambda: first_start_of(self._connection, plant))
        return None if start is None or end is None else (start, end)

    def of_period(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        """The newest revisions of a level inside [start, end)."""
        return self._read(lambda: list(figures_of(self._connection, plant, level, (start_utc_ms, end_utc_ms))))

    def _read(self, look: Callable[[], _T]) -> _T:
        try:
            return look()
        except FAULTS as error:
            raise StoreError(f"{self._path}: {error}") from error
        except (ValueError, TypeError) as error:  # a row that no bridge wrote
            raise StoreError(f"{self._path}: a figure that cannot be read: {error}") from error

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()


def require_figures(path: Path, connection: apsw.Connection) -> None:
    """Raises StoreError for a ledger of a release that did not write figures as this one reads them."""
    version = connection.pragma("user_version")
    if isinstance(version, int) and version < SINCE_SCHEMA:
        mend = "start `plumeproof run` of this release on it once, or on a copy"
        raise StoreError(f"{path}: schema {version} of an older release, without the figures of this one; {mend}")


def newest_end_of(connection: apsw.Connection, plant: str) -> int | None:
    """End of the newest short term that has a figure, UTC ms."""
    row: Any = connection.execute(
        "SELECT end_utc_ms FROM figure WHERE plant = ? AND level = ? ORDER BY start_utc_ms DESC LIMIT 1",
        (plant, SHORT_TERM),
    ).fetchone()
    return None if row is None else int(row[0])


def first_start_of(connection: apsw.Connection, plant: str) -> int | None:
    """Start of the first short term that has a figure, UTC ms."""
    row: Any = connection.execute(
        "SELECT start_utc_ms FROM figure WHERE plant = ? AND level = ? ORDER BY start_utc_ms LIMIT 1",
        (plant, SHORT_TERM),
    ).fetchone()
    return None if row is None else int(row[0])


def figures_of(connection: apsw.Connection, plant: str, level: str, period_utc_ms: tuple[int, int]) -> Iterator[Figure]:
    """As `of_period` on a reading connection of a face."""
    for row in connection.execute(_OF_PERIOD, (plant, level, *period_utc_ms)):
        yield _figure(row[:-1])


def revisions_of(connection: apsw.Connection, figure: Figure) -> Iterator[Figure]:
    """As `revisions` on a reading connection of a face."""
    for row in connection.execute(_REVISIONS, figure.place):
        yield _figure(row)


def made_of(connection: apsw.Connection, figure: Figure) -> int:
    """When the bridge wrote a figure in its revision, UTC ms, on a reading connection of a face."""
    question = f"SELECT made_utc_ms FROM figure WHERE {_PLACE} AND revision = ?"
    return int(connection.execute(question, (*figure.place, figure.revision)).get)


def figures_where(
    connection: apsw.Connection, condition: str, values: tuple[Any, ...], limit: int
) -> Iterator[Figure]:  # fmt: skip
    """The newest revision of every figure that a condition of ours fits, by time, on a reading connection of a face."""
    question = (
        f"SELECT {_COLUMNS}, max(revision) FROM figure WHERE {condition} GROUP BY {', '.join(_PLACE_NAMES)}"
        " ORDER BY start_utc_ms, end_utc_ms, rule_set, measurand, layer LIMIT ?"
    )
    for row in connection.execute(question, (*values, limit)):
        yield _figure(row[:-1])
