"""duckdb as a peer of the averaging bench, in the fastest form that we found: SQL over the numpy arrays as they are, a
column a channel, what does not count is null, grouped by an integer minute. Tried and slower: `FILTER` beside each
aggregate (4 times), a table of its own for the chain. One thread.
"""

# ruff: noqa: S608 - names and constants of this file only

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np

from tools.bench.month import (
    AIR_PCT,
    ATMOSPHERE_KPA,
    CHANNELS,
    CONVERTED,
    FIRST_LOAD,
    KELVIN,
    LEVELS_MIN,
    NEEDS,
    REFERENCE_PCT,
    WORST,
    A,
    B,
    Found,
    Level,
    Month,
)

_LOADS = range(FIRST_LOAD, CHANNELS)
_ALL = range(CHANNELS)


class DuckdbPeer:
    """Columns as in by_polars.py. `slots` is found by its name in SQL."""

    def __init__(self, month: Month) -> None:
        self._slots = {f"c{row}": month.values[row] for row in _ALL}
        self._slots |= {f"s{row}": month.status[row] for row in _ALL}
        self._slots |= {"stopped": month.stopped, "number": np.repeat(np.arange(month.minutes, dtype=np.int32), 60)}
        self._connection = duckdb.connect()
        self._connection.execute("set threads = 1")

    def one_level(self) -> dict[int, Any]:
        """Minutes and hours."""
        masked = ", ".join(f"case when s{row} <= {WORST} then c{row} end v{row}" for row in _ALL)
        query = f"select number, {_sums()} from (select number, {masked} from slots) group by number order by number"
        self._make(1, query)
        self._make(60, _merge("level_1", 60, False))
        return self._fetch((1, 60), "*")

    def chain(self) -> dict[int, Any]:
        """All five levels."""
        loads = ", ".join(f"sum(w{row}) w{row}" for row in _LOADS)
        expected = "count(*) filter (stopped = 0) expected"
        self._make(
            1, f"select number, {_sums()}, {loads}, {expected} from ({_converted()}) group by number order by number"
        )
        for shorter, length in zip(LEVELS_MIN[:-1], LEVELS_MIN[1:], strict=True):
            self._make(length, _merge(f"level_{shorter}", length // shorter, True))
        valid = ", ".join(f"3 * n{row} >= 2 * greatest(expected, 1) valid{row}" for row in _ALL)
        return self._fetch(LEVELS_MIN, f"*, {valid}")

    def _make(self, length: int, query: str) -> None:
        slots = self._slots  # noqa: F841
        self._connection.execute(f"create or replace temp table level_{length} as {query}")

    def _fetch(self, lengths: tuple[int, ...], columns: str) -> dict[int, Any]:
        return {
            length: self._connection.execute(f"select {columns} from level_{length}").fetchnumpy() for length in lengths
        }

    def found(self, levels: dict[int, Any]) -> Found:
        """Of one_level or chain."""
        return {length: _level(columns) for length, columns in levels.items()}


def _number(value: float) -> str:
    """A literal that SQL takes as a double, not as a decimal."""
    return f"({value!r}::double)"


def _converted() -> str:
    """Steps of the chain, each a query around the one before."""

    def own(row: int, value: str) -> str:
        return f"case when s{row} <= {WORST} and stopped = 0 then {value} end"

    read = [f"{own(row, f'c{row}::double')} v{row}" for row in range(4)] + [f"{own(4, 'c4::double')} flow"]
    read += [f"{own(row, f'c{row} * {_number(B)} + {_number(A)}')} x{row}" for row in _LOADS]
    state = [
        f"case when v0 > {_number(-KELVIN)} then v0 + {_number(KELVIN)} end kelvin",
        "case when v1 > 0 then v1 end pressure",
        f"case when v2 < 100 then {_number(100.0)} / ({_number(100.0)} - v2) end to_dry",
    ]
    factors = [f"kelvin * {_number(ATMOSPHERE_KPA / KELVIN)} / pressure * to_dry to_normal", "v3 * to_dry o2"]
    air = _number(AIR_PCT)
    to_o2 = f"case when o2 < {air} then {_number(AIR_PCT - REFERENCE_PCT)} / ({air} - o2) end to_o2"
    normal = [f"x{row} * to_normal y{row}" if NEEDS[row] == CONVERTED else f"x{row} y{row}" for row in _LOADS]
    last = [f"y{row} * to_o2 v{row}, case when to_o2 is not null then y{row} * v4 end w{row}" for row in _LOADS]
    query = f"select number, stopped, {', '.join(read)} from slots"
    for step in (state, factors, ["flow / to_normal v4", to_o2], normal, last):
        query = f"select *, {', '.join(step)} from ({query})"
    return query


def _sums() -> str:
    """n, total, variance of the population, least, greatest of every channel."""
    return ", ".join(
        f"count(v{row}) n{row}, sum(v{row}) t{row}, var_pop(v{row}) d{row}, min(v{row}) l{row}, max(v{row}) h{row}"
        for row in _ALL
    )


def _merge(table: str, step: int, has_chain: bool) -> str:
    """The sums of a longer level; deviations from the mean of the first shorter one, so that little cancels."""
    found = []
    for row in _ALL:
        n, total = f"n{row}", f"t{row}"
        mean = f"sum({total}) / nullif(sum({n}), 0)"
        found.append(f"sum({n})::bigint n{row}, sum({total}) t{row}, min(l{row}) l{row}, max(h{row}) h{row}")
        away = f"({total} / nullif({n}, 0) - p{row})"
        shift = f"({mean} - first(p{row}))"
        found.append(f"sum({n} * (d{row} + {away} * {away})) / nullif(sum({n}), 0) - {shift} * {shift} d{row}")
    found += [f"sum(w{row}) w{row}" for row in _LOADS] + ["sum(expected)::bigint expected"] if has_chain else []
    pivots = ", ".join(f"first_value(t{row} / nullif(n{row}, 0) ignore nulls) over term p{row}" for row in _ALL)
    inner = f"select *, {pivots} from {table} window term as (partition by number // {step})"
    return f"select number // {step} as number, {', '.join(found)} from ({inner}) group by number // {step} order by 1"


def _level(columns: dict[str, Any]) -> Level:
    def rows(name: str, which: Any = _ALL) -> Any:
        return np.array([np.ma.filled(columns[f"{name}{row}"], 0) for row in which])

    n = rows("n").astype(np.int64)
    of_chain = (rows("w", _LOADS), rows("valid")) if "expected" in columns else ()
    deviation = np.sqrt(np.maximum(rows("d"), 0.0) * n / np.maximum(n - 1, 1))
    return Level(n, rows("t") / np.maximum(n, 1), deviation, rows("l"), rows("h"), *of_chain)
