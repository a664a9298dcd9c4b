"""Averages with all their revisions, and how far averaging has come. Implements ports.AverageStore.

Rows are never changed (DESIGN.md decision 13): another result becomes revision n+1, an equal one writes nothing. What
a step found and the cursor behind its records move in one transaction, so a kill between two steps repeats nothing and
forgets nothing. The rules of averaging are evidence/averaging.py and averaging_stage.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
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
_NEWEST = (
    f"SELECT {_COLUMNS} FROM average WHERE device = ? AND channel = ? AND interval_s = ? AND start_utc_ms = ?"
    " AND rule = ? AND rule_version = ? ORDER BY revision DESC LIMIT 1"
)


def _row(average: Average) -> tuple[Any, ...]:
    values = astuple(average)
    return (*values[:8], json.dumps(dict(average.n_invalid), sort_keys=True), *values[9:])


def _average(row: tuple[Any, ...]) -> Average:
    return Average(*row[:8], tuple(sorted(json.loads(row[8]).items())), *row[9:])


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
            states = connection.execute(
                "SELECT device, seq, slot_utc_ms, longest_ms FROM averaging_state ORDER BY device"
            ).fetchall()
            opened = connection.execute(
                "SELECT device, interval_s, start_utc_ms, reason FROM averaging_open"
                " ORDER BY device, interval_s, start_utc_ms"
            ).fetchall()
        return [
            AveragingState(*state, tuple(OpenInterval(*row[1:]) for row in opened if row[0] == state[0]))
            for state in states
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
        return [SlotSpan(seq, bool(is_overflow), first, end) for seq, is_overflow, first, end in rows]

    def skipped(self, device: str) -> Sequence[SkippedRecord]:
        """Records with slots that are not averaged, in seq order."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                "SELECT seq, reason, parameters_hash FROM averaging_skipped WHERE device = ? ORDER BY seq", (device,)
            ).fetchall()
        return [SkippedRecord(*row) for row in rows]

    def commit(self, step: AveragingStep) -> int:
        """Store all of a step and move the cursor; how many rows were written."""
        now = self._clock.utc_ms()
        written = 0
        with self._writer.transaction() as connection:
            # Power failing anywhere before COMMIT returns: none of it is stored, the cursor stands where it stood,
            # the same records are averaged again to the same rows.
            for average in step.averages:
                written += self._add(connection, average, now)
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
    def _add(connection: apsw.Connection, average: Average, now_utc_ms: int) -> int:
        row = connection.execute(
            _NEWEST,
            (
                average.device,
                average.channel,
                average.interval_s,
                average.start_utc_ms,
                average.rule,
                average.rule_version,
            ),
        ).fetchone()
        if row is None:
            average = replace(average, revision=0, reason=FIRST)
        else:
            newest = _average(row)
            if replace(average, revision=newest.revision, reason=newest.reason) == newest:
                return 0
            average = replace(average, revision=newest.revision + 1)
        connection.execute(_INSERT, (*_row(average), now_utc_ms))
        return 1

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

    def after(self, average_id: int, limit: int) -> Sequence[tuple[int, Average]]:
        """Rows behind a cursor, with their ids, in the order they were committed."""
        with self._writer.reading() as connection:
            rows = connection.execute(
                f"SELECT id, {_COLUMNS} FROM average WHERE id > ? ORDER BY id LIMIT ?", (average_id, limit)
            ).fetchall()
        return [(row[0], _average(row[1:])) for row in rows]
