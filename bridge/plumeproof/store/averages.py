"""Averages with all their revisions, and how far averaging has come. Implements ports.AverageStore.

Rows are never changed (DESIGN.md decision 13): another result becomes revision n+1, an equal one writes nothing. What
a step found and the cursor behind its records move in one transaction, so a kill between two steps repeats nothing and
forgets nothing. The rules of averaging are evidence/averaging.py and averaging_stage.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import apsw

from plumeproof.model import (
    Average,
    AveragingState,
    AveragingStep,
    OpenInterval,
    SkippedRecord,
    SlotSpan,
)
from plumeproof.ports import Clock
from plumeproof.store.connection import Writer

STAGE = "averaging"  # in the cursor table
FIRST = "first"  # reason of revision 0

_COLUMNS = (
    "device, channel, quantity, unit, interval_s, start_utc_ms, n_expected, n_valid, n_invalid, mean, minimum, maximum,"
    " deviation, first_seq, last_seq, head_hash, parameters_hash, rule, rule_version, summation, revision, reason"
)
_COLUMN_COUNT = _COLUMNS.count(",") + 1
_INSERT = f"INSERT INTO average ({_COLUMNS}, made_utc_ms) VALUES ({', '.join('?' * (_COLUMN_COUNT + 1))})"
_KNOWN = "SELECT 1 FROM average WHERE device = ? AND interval_s = ? AND start_utc_ms = ? LIMIT 1"
_NEWEST = (
    f"SELECT {_COLUMNS} FROM average WHERE device = ? AND interval_s = ? AND start_utc_ms = ? AND channel = ?"
    " AND rule = ? AND rule_version = ? ORDER BY revision DESC LIMIT 1"
)
# One jump in the index for each length, whatever the number of averages.
_NEWEST_STARTS = (
    "WITH RECURSIVE length (interval_s) AS ("
    " SELECT min(interval_s) FROM average WHERE device = ?1"
    " UNION ALL SELECT (SELECT min(a.interval_s) FROM average a WHERE a.device = ?1"
    " AND a.interval_s > length.interval_s) FROM length WHERE length.interval_s IS NOT NULL)"
    " SELECT interval_s, (SELECT max(a.start_utc_ms) FROM average a WHERE a.device = ?1"
    " AND a.interval_s = length.interval_s) FROM length WHERE interval_s IS NOT NULL"
)
_values_of = attrgetter(*(name.strip().replace("summation", "order") for name in _COLUMNS.split(",")))


def _row(average: Average, revision: int, reason: str, now_utc_ms: int) -> tuple[Any, ...]:
    values = _values_of(average)
    invalid = json.dumps(dict(average.n_invalid), sort_keys=True) if average.n_invalid else "{}"
    return (*values[:8], invalid, *values[9:-2], revision, reason, now_utc_ms)


def _average(row: tuple[Any, ...]) -> Average:
    values: list[Any] = [*row[:8], tuple(sorted(json.loads(row[8]).items())), *row[9:]]
    return Average(*values)


def _numbered(row: tuple[Any, ...]) -> tuple[int, Average]:
    return row[0], _average(row[1:])


def _span(row: tuple[Any, ...]) -> SlotSpan:
    return SlotSpan(row[0], bool(row[1]), row[2], row[3])


def _skipped(row: tuple[Any, ...]) -> SkippedRecord:
    return SkippedRecord(*row)


def _interval(average: Average) -> tuple[str, int, int]:
    return average.device, average.interval_s, average.start_utc_ms


class SqliteAverages:
    """ports.AverageStore on the writing connection."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def position(self) -> int:
        """Cursor in the ledger, 0 before the first step."""
        with self._writer.reading() as connection:
            row = connection.execute("SELECT position FROM cursor WHERE stage = ? AND device = ''", (STAGE,)).fetchone()
        return 0 if row is None else int(row[0])

    def states(self) -> Sequence[AveragingState]:
        """Every module as the last step left it."""
        with self._writer.reading() as connection:
            states: list[Any] = connection.execute(
                "SELECT device, seq, slot_utc_ms, longest_ms FROM averaging_state ORDER BY device"
            ).fetchall()
            opened: list[Any] = connection.execute(
                "SELECT device, interval_s, start_utc_ms, reason FROM averaging_open"
                " ORDER BY device, interval_s, start_utc_ms"
            ).fetchall()
        intervals = [(device, OpenInterval(*values)) for device, *values in opened]
        return [
            AveragingState(device, seq, slot_utc_ms, longest_ms, tuple(one for of, one in intervals if of == device))
            for device, seq, slot_utc_ms, longest_ms in states
        ]

    def spans(self, device: str, start_utc_ms: int, end_utc_ms: int, longest_ms: int) -> Sequence[SlotSpan]:
        """Spans that touch [start, end), in seq order."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                "SELECT seq, 0, first_utc_ms, end_utc_ms FROM averaging_span WHERE device = ?1 AND is_overflow = 0"
                " AND first_utc_ms > ?2 - ?4 AND first_utc_ms < ?3 AND end_utc_ms > ?2"
                " UNION ALL"
                " SELECT seq, 1, first_utc_ms, end_utc_ms FROM averaging_span WHERE device = ?1 AND is_overflow = 1"
                " AND first_utc_ms < ?3 AND end_utc_ms > ?2 ORDER BY 1",
                (device, start_utc_ms, end_utc_ms, longest_ms),
            ).fetchall()
        return [_span(row) for row in rows]

    def skipped(self, device: str, reason: str | None = None) -> Sequence[SkippedRecord]:
        """Records with slots that are not averaged, in seq order; all, or those of one reason."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                "SELECT seq, reason, parameters_hash FROM averaging_skipped"
                " WHERE device = ?1 AND (?2 IS NULL OR reason = ?2) ORDER BY seq",
                (device, reason),
            ).fetchall()
        return [_skipped(row) for row in rows]

    def commit(self, step: AveragingStep) -> int:
        """Store all of a step and move the cursor; how many rows were written."""
        now = self._clock.utc_ms()
        written = 0
        with self._writer.transaction() as connection:
            # Power failing anywhere before COMMIT returns: none of it is stored, the cursor stands where it stood,
            # the same records are averaged again to the same rows.
            for interval, averages in groupby(step.averages, _interval):
                written += self._add(connection, interval, list(averages), now)
            connection.executemany(
                "INSERT INTO averaging_span VALUES (?, ?, ?, ?, ?)",
                (
                    (device, span.seq, int(span.is_overflow), span.first_utc_ms, span.end_utc_ms)
                    for device, span in step.spans
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO averaging_skipped VALUES (?, ?, ?, ?)",
                ((device, skipped.seq, skipped.reason, skipped.parameters_hash) for device, skipped in step.skipped),
            )
            connection.executemany("DELETE FROM averaging_skipped WHERE device = ? AND seq = ?", step.resumed)
            for state in step.states:
                self._set_state(connection, state)
            connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, '', ?)", (STAGE, step.position))
        return written

    @staticmethod
    def _add(
        connection: apsw.Connection, interval: tuple[str, int, int], averages: list[Average], now_utc_ms: int
    ) -> int:
        is_single = len({(row.channel, row.rule, row.rule_version) for row in averages}) == len(averages)
        if is_single and connection.execute(_KNOWN, interval).fetchone() is None:
            connection.executemany(_INSERT, (_row(average, 0, FIRST, now_utc_ms) for average in averages))
            return len(averages)
        written = 0
        for average in averages:
            row = connection.execute(
                _NEWEST, (*interval, average.channel, average.rule, average.rule_version)
            ).fetchone()
            newest = None if row is None else _average(row)
            if newest is None:
                connection.execute(_INSERT, _row(average, 0, FIRST, now_utc_ms))
            elif replace(average, revision=newest.revision, reason=newest.reason) == newest:
                continue
            else:
                connection.execute(_INSERT, _row(average, newest.revision + 1, average.reason, now_utc_ms))
            written += 1
        return written

    @staticmethod
    def _set_state(connection: apsw.Connection, state: AveragingState) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO averaging_state VALUES (?, ?, ?, ?)",
            (state.device, state.seq, state.slot_utc_ms, state.longest_ms),
        )
        connection.execute("DELETE FROM averaging_open WHERE device = ?", (state.device,))
        connection.executemany(
            "INSERT INTO averaging_open VALUES (?, ?, ?, ?)",
            ((state.device, opened.interval_s, opened.start_utc_ms, opened.reason) for opened in state.open_intervals),
        )

    def newest(self, device: str, interval_s: int, start_utc_ms: int) -> Sequence[Average]:
        """The newest revision of every channel of an interval, by channel id."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS}, max(revision) FROM average WHERE device = ? AND interval_s = ?"
                " AND start_utc_ms = ? GROUP BY channel, rule, rule_version ORDER BY channel, rule, rule_version",
                (device, interval_s, start_utc_ms),
            ).fetchall()
        return [_average(row[:-1]) for row in rows]

    def newest_starts(self, device: str) -> Sequence[tuple[int, int]]:
        """(interval_s, start_utc_ms) of the newest interval of each length."""
        with self._writer.reading() as connection:
            rows: list[Any] = connection.execute(_NEWEST_STARTS, (device,)).fetchall()
        return [(interval_s, start_utc_ms) for interval_s, start_utc_ms in rows]

    def newest_id(self) -> int:
        """Id of the newest row, 0 before the first."""
        with self._writer.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM average").get)

    def after(self, average_id: int, limit: int) -> Sequence[tuple[int, Average]]:
        """Rows behind a cursor, with their ids, in the order they were committed."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                f"SELECT id, {_COLUMNS} FROM average WHERE id > ? ORDER BY id LIMIT ?", (average_id, limit)
            ).fetchall()
        return [_numbered(row) for row in rows]


def averages_where(
    connection: apsw.Connection, condition: str, values: tuple[Any, ...], limit: int
) -> Iterator[Average]:  # fmt: skip
    """All revisions of the averages that a condition of ours fits, oldest first, on a reading connection of a face."""
    question = (
        f"SELECT {_COLUMNS} FROM average WHERE {condition}"
        " ORDER BY start_utc_ms, channel, rule, rule_version, revision LIMIT ?"
    )
    for row in connection.execute(question, (*values, limit)):
        yield _average(row)
