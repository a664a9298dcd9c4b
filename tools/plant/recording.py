"""Replay of recorded data: rows of a CSV become what the analyzers show, one row after the other.

The CSV has a header; row k holds for plant time k * row_s <= t < (k + 1) * row_s, the last row until the end. A column
belongs to the channels whose id is its name, or to what a map says: JSON {"row_s": 3600, "columns": {"CO": "CO mg/m3"}}
where the right side is a channel id (`gas.co`) or a quantity and its unit (all such channels). A column `gas.codes`
holds the NE 107 codes of analyzer gas in that row ("", "C", "FM"). Values are shown as recorded, without noise;
channels without a column come from the plant model in undisturbed operation.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.plant.layout import Analyzer, Channel, PlantError
from tools.plant.model import PlantModel

CODES_SUFFIX = ".codes"
CODES = frozenset("FCSM")


class Recording:
    """Values and codes of every analyzer as functions of plant time, from rows."""

    def __init__(
        self, path: Path, analyzers: Sequence[Analyzer], model: PlantModel, map_path: Path | None, row_s: float | None
    ) -> None:
        mapping = _read_map(map_path)
        self.row_s = row_s if row_s is not None else mapping.get("row_s", 1.0)
        if type(self.row_s) not in (int, float) or not 0 < self.row_s < math.inf:
            raise PlantError(f"{path}: row_s must be a number above 0")
        self._model = model
        self._codes: dict[str, list[frozenset[str]]] = {}
        self._values: dict[str, list[float]] = {}
        header, rows = _read_rows(path)
        channels = [channel for analyzer in analyzers for channel in analyzer.channels]
        for place, column in enumerate(header):
            texts = [row[place].strip() for row in rows]
            if column.endswith(CODES_SUFFIX) and column.removesuffix(CODES_SUFFIX) in {a.id for a in analyzers}:
                self._codes[column.removesuffix(CODES_SUFFIX)] = _codes(texts, path, column)
            names = _targets(column, mapping.get("columns", {}), channels)
            if names:
                values = _numbers(texts, path, column)
                self._values |= dict.fromkeys(names, values)
        if not self._values:
            known = " ".join(channel.id for channel in channels)
            raise PlantError(f"{path}: no column belongs to a channel; name columns after {known} or give --map")
        self.row_count = len(rows)
        self.channels = tuple(sorted(self._values))

    @property
    def end_s(self) -> float:
        """Plant time at which the last row is over."""
        return self.row_count * self.row_s

    def codes(self, analyzer: str, t_s: float) -> frozenset[str]:
        """NE 107 codes of the row; none where the recording has no such column."""
        column = self._codes.get(analyzer)
        return frozenset() if column is None else column[self._row(t_s)]

    def value(self, analyzer: str, channel: Channel, t_s: float) -> float:
        """The recorded value, or the model's where there is none."""
        column = self._values.get(channel.id)
        return self._model.undisturbed(channel, t_s) if column is None else column[self._row(t_s)]

    def _row(self, t_s: float) -> int:
        return min(max(int(t_s // self.row_s), 0), self.row_count - 1)


def _read_map(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise PlantError(f"{path}: {fault.strerror}; give a map that can be read") from fault
    except ValueError as fault:
        raise PlantError(f"{path}: not readable as JSON ({fault}); correct it") from fault
    if not isinstance(found, dict) or not isinstance(found.get("columns", {}), dict):
        raise PlantError(f'{path}: is not {{"row_s": N, "columns": {{NAME: CHANNEL}}}}')
    return found


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as fault:
        raise PlantError(f"{path}: {fault.strerror}; give a CSV that can be read") from fault
    except (csv.Error, UnicodeDecodeError) as fault:
        raise PlantError(f"{path}: not readable as CSV ({fault}); save it as UTF-8") from fault
    if len(rows) < 2:
        raise PlantError(f"{path}: holds no rows below its header")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise PlantError(f"{path}: row {number} has {len(row)} fields, the header {len(header)}; correct it")
    return header, rows[1:]


def _targets(column: str, columns: dict[str, Any], channels: Sequence[Channel]) -> list[str]:
    wanted = columns.get(column, column)
    return [channel.id for channel in channels if wanted in (channel.id, f"{channel.quantity} {channel.unit}")]


def _numbers(texts: list[str], path: Path, column: str) -> list[float]:
    values = []
    for number, text in enumerate(texts, 2):
        try:
            value = float(text)
        except ValueError as fault:
            raise PlantError(f"{path}: row {number}, {column}: {text!r} is no number; fill or cut the row") from fault
        if math.isnan(value):
            raise PlantError(f"{path}: row {number}, {column}: is not a number; fill or cut the row")
        values.append(value)
    return values


def _codes(texts: list[str], path: Path, column: str) -> list[frozenset[str]]:
    for number, text in enumerate(texts, 2):
        if not set(text) <= CODES:
            raise PlantError(f"{path}: row {number}, {column}: {text!r} has a letter that is none of F C S M")
    return [frozenset(text) for text in texts]
