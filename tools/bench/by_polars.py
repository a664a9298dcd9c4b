"""polars as a peer of the averaging bench, in the fastest form that we found: expressions over a column a channel,
lazily planned together, grouped by an integer minute that is known to be sorted. Tried and slower: `group_by_dynamic`
(3 times), the streaming engine, day by day, a query a channel, rows of 60 as arrays. One thread, set before import.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

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
_column = pl.col


class PolarsPeer:
    """Columns: c0.. values, s0.. statuses, stopped, number: of the minute."""

    def __init__(self, month: Month) -> None:
        columns = {f"c{row}": month.values[row] for row in range(CHANNELS)}
        columns |= {f"s{row}": month.status[row] for row in range(CHANNELS)}
        columns |= {"stopped": month.stopped, "number": np.repeat(np.arange(month.minutes, dtype=np.int32), 60)}
        self._slots = pl.DataFrame(columns).with_columns(_column("number").set_sorted())

    def one_level(self) -> dict[int, Any]:
        """Minutes and hours."""
        masked = [_where(_column(f"s{row}") <= WORST, _value(row)).alias(f"v{row}") for row in range(CHANNELS)]
        minutes = self._slots.lazy().with_columns(masked).group_by("number", maintain_order=True).agg(_sums()).collect()
        return {1: minutes, 60: _merge(minutes, 60, [])}

    def chain(self) -> dict[int, Any]:
        """All five levels."""
        runs = _column("stopped") == 0
        extra = [_column(f"w{row}").sum() for row in _LOADS] + [runs.sum().cast(pl.Int64).alias("expected")]
        grouped = self._converted(runs).group_by("number", maintain_order=True).agg(_sums() + extra)
        levels = {1: grouped.collect()}
        names = [f"w{row}" for row in _LOADS] + ["expected"]
        for shorter, length in zip(LEVELS_MIN[:-1], LEVELS_MIN[1:], strict=True):
            levels[length] = _merge(levels[shorter], length // shorter, names)
        wanted = 2 * pl.max_horizontal(_column("expected"), pl.lit(1))
        valid = [(3 * _column(f"n{row}").cast(pl.Int64) >= wanted).alias(f"valid{row}") for row in range(CHANNELS)]
        return {length: frame.with_columns(valid) for length, frame in levels.items()}

    def _converted(self, runs: pl.Expr) -> pl.LazyFrame:
        own = [(_column(f"s{row}") <= WORST) & runs for row in range(CHANNELS)]
        read = [_where(own[row], _value(row)).alias(f"v{row}") for row in range(4)]
        read.append(_where(own[4], _value(4)).alias("flow"))
        read += [_where(own[row], _value(row) * B + A).alias(f"x{row}") for row in _LOADS]
        t, p, h2o, o2 = (_column(name) for name in ("v0", "v1", "v2", "o2"))
        state = [
            _where(t > -KELVIN, t + KELVIN).alias("kelvin"),
            _where(p > 0.0, p).alias("pressure"),
            _where(h2o < 100.0, 100.0 / (100.0 - h2o)).alias("to_dry"),
        ]
        to_normal = _column("kelvin") * (ATMOSPHERE_KPA / KELVIN) / _column("pressure") * _column("to_dry")
        factors = [to_normal.alias("to_normal"), (_column("v3") * _column("to_dry")).alias("o2")]
        to_reference = (AIR_PCT - REFERENCE_PCT) / (AIR_PCT - o2)
        more = [(_column("flow") / _column("to_normal")).alias("v4"), _where(o2 < AIR_PCT, to_reference).alias("to_o2")]
        normal = [
            (_column(f"x{row}") * _column("to_normal") if NEEDS[row] == CONVERTED else _column(f"x{row}")).alias(
                f"y{row}"
            )
            for row in _LOADS
        ]
        last = [(_column(f"y{row}") * _column("to_o2")).alias(f"v{row}") for row in _LOADS]
        has_o2 = _column("to_o2").is_not_null()
        last += [_where(has_o2, _column(f"y{row}") * _column("v4")).alias(f"w{row}") for row in _LOADS]
        frame = self._slots.lazy()
        for step in (read, state, factors, more, normal, last):
            frame = frame.with_columns(step)
        return frame

    def found(self, levels: dict[int, Any]) -> Found:
        """Of one_level or chain."""
        return {length: _level(frame) for length, frame in levels.items()}


def _where(condition: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(value)


def _value(row: int) -> pl.Expr:
    return _column(f"c{row}").cast(pl.Float64)


def _sums() -> list[pl.Expr]:
    """n, total, variance of the population, least, greatest of every channel."""
    found: list[pl.Expr] = []
    for row in range(CHANNELS):
        value = _column(f"v{row}")
        found += [value.count().alias(f"n{row}"), value.sum().alias(f"t{row}"), value.min().alias(f"l{row}")]
        found += [value.var(ddof=0).alias(f"d{row}"), value.max().alias(f"h{row}")]
    return found


def _merge(frame: Any, step: int, added: list[str]) -> Any:
    """The sums of a longer level."""
    found: list[pl.Expr] = [_column(name).sum() for name in added]
    for row in range(CHANNELS):
        n, total = _column(f"n{row}"), _column(f"t{row}")
        away = total / n - total.sum() / n.sum()
        found += [n.sum(), total.sum(), _column(f"l{row}").min(), _column(f"h{row}").max()]
        squares = _where(n > 0, (_column(f"d{row}") + away**2) * n)
        found.append((squares.sum() / n.sum()).alias(f"d{row}"))
    return frame.group_by(_column("number") // step, maintain_order=True).agg(found)


def _level(frame: Any) -> Level:
    def rows(name: str, which: Any = range(CHANNELS)) -> Any:
        return np.array([frame[f"{name}{row}"].to_numpy() for row in which])

    n = rows("n").astype(np.int64)
    of_chain = (rows("w", _LOADS), rows("valid")) if "expected" in frame.columns else ()
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(rows("d") * n / np.maximum(n - 1, 1))
    return Level(n, rows("t") / np.maximum(n, 1), deviation, rows("l"), rows("h"), *of_chain)
