"""pandas as a peer of the averaging bench: one level, by its grouped sums over an integer minute.

Not of the chain: its arithmetic is numpy's, and its grouping takes longer than numpy's whole chain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tools.bench.month import CHANNELS, WORST, Found, Level, Month


class PandasPeer:
    """One series a channel, what does not count left out."""

    def __init__(self, month: Month) -> None:
        self._month = month
        self._minute = np.repeat(np.arange(month.minutes, dtype=np.int32), 60)

    def one_level(self) -> dict[int, list[Any]]:
        """Minutes and hours."""
        minutes, hours = [], []
        for values, status in zip(self._month.values, self._month.status, strict=True):
            counts = status <= WORST
            grouped = pd.Series(values[counts].astype(np.float64)).groupby(self._minute[counts], sort=False)
            found = grouped.agg(["count", "sum", "var", "min", "max"])
            minutes.append(found)
            squares = (found["var"] * (found["count"] - 1)).fillna(0.0) + found["sum"] ** 2 / found["count"]
            hour = found.assign(squares=squares).groupby(found.index // 60)
            whole = hour.agg({"count": "sum", "sum": "sum", "squares": "sum", "min": "min", "max": "max"})
            whole["var"] = (whole["squares"] - whole["sum"] ** 2 / whole["count"]) / (whole["count"] - 1)
            hours.append(whole)
        return {1: minutes, 60: hours}

    def found(self, levels: dict[int, list[Any]]) -> Found:
        """Of one_level."""
        return {length: self._level(frames, self._month.minutes // length) for length, frames in levels.items()}

    def _level(self, frames: list[Any], intervals: int) -> Level:
        rows = {name: np.zeros((CHANNELS, intervals)) for name in ("count", "sum", "var", "min", "max")}
        for at, frame in enumerate(frames):
            for name, row in rows.items():
                row[at, frame.index] = frame[name]
        n = rows["count"].astype(np.int64)
        return Level(n, rows["sum"] / np.maximum(n, 1), np.sqrt(rows["var"]), rows["min"], rows["max"])
