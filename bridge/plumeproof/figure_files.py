"""Figures to files: CSV, JSON, Parquet. One row a figure, every number whole, every unit in a column of its own.

Numbers are the shortest decimals that give the same float64 again (Parquet: the float64 itself), so a file can be
compared with `==`. Times stand twice, on the site's offset and in UTC. A file takes its name when it is whole.

    with write_figures(Path("figures.csv"), "csv", {"line-1": 60}) as write:
        for figure in figures: write(figure)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from plumeproof.errors import ConfigError
from plumeproof.figure_ids import id_of_figure
from plumeproof.rules.figure import Figure
from plumeproof.whole_file import whole_file

FORMATS = ("csv", "json", "parquet")
JSON_FORMAT = "plumeproof.figures/1"
GROUP_ROWS = 8_192  # of a Parquet row group: what is held before it is written
COLUMNS = (
    "plant", "rule_set", "measurand", "layer", "level", "start", "end", "start_utc", "end_utc", "value", "unit",
    "valid", "flags", "state", "n_expected", "n_valid", "n_invalid", "coverage", "minimum", "maximum", "deviation",
    "uncertainty", "uncertainty_common", "substituted_share", "decimals", "inputs", "revision", "reason",
    "rule_version", "rule_hash", "plant_hash", "engine", "id",
)  # fmt: skip

Write = Callable[[Figure], None]
Offsets = Mapping[str, int]  # plant to minutes east of UTC
Remarks = Sequence[Mapping[str, object]]


def format_of(path: Path, asked: str | None = None) -> str:
    """The format asked for, or that of the file's ending. Raises ConfigError."""
    found = asked or path.suffix.lower().removeprefix(".")
    if found not in FORMATS:
        raise ConfigError(str(path), f"ends in none of .csv, .json, .parquet; give --format {'|'.join(FORMATS)}")
    return found


def row_of(figure: Figure, offset_min: int) -> dict[str, Any]:
    """A figure as plain values, in the order of COLUMNS. `n_invalid`: cause to count; `inputs`: one a module;
    `id`: what `plumeproof trace` takes."""
    inputs = [
        {
            "device": one.device,
            "first_seq": one.first_seq,
            "last_seq": one.last_seq,
            "head_hash": one.head_hash.hex(),
            "parameters_hash": one.parameters_hash.hex(),
        }
        for one in figure.inputs
    ]
    values: dict[str, Any] = {
        "start": local_time(figure.start_utc_ms, offset_min),
        "end": local_time(figure.end_utc_ms, offset_min),
        "start_utc": local_time(figure.start_utc_ms, 0),
        "end_utc": local_time(figure.end_utc_ms, 0),
        "valid": figure.is_valid,
        "flags": list(figure.flags),
        "n_invalid": dict(figure.n_invalid),
        "inputs": inputs,
        "rule_hash": figure.rule_hash.hex(),
        "plant_hash": figure.plant_hash.hex(),
        "id": id_of_figure(figure),
    }
    return {name: values[name] if name in values else getattr(figure, name) for name in COLUMNS}


def local_time(utc_ms: int, offset_min: int) -> str:
    """RFC 3339 on a fixed offset; "Z" for UTC. Periods begin on whole seconds."""
    zone = timezone(timedelta(minutes=offset_min)) if offset_min else UTC
    text = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")


@contextmanager
def write_figures(path: Path, kind: str, offsets_min: Offsets, remarks: Remarks = ()) -> Iterator[Write]:
    """A file that takes its name when it is whole; what goes wrong before leaves nothing behind. `remarks` go into
    JSON, when everything else is written. Raises ConfigError."""
    with whole_file(path) as file, _writer(file, kind, offsets_min, remarks) as write:
        yield write


@contextmanager
def write_text(file: IO[str], kind: str, offsets_min: Offsets, remarks: Remarks = ()) -> Iterator[Write]:
    """CSV or JSON to an open text file."""
    if kind == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        yield lambda figure: writer.writerow(_cells(row_of(figure, offsets_min[figure.plant])))
        return
    file.write(f'{{"format": "{JSON_FORMAT}", "figures": [')
    mark = ["\n"]

    def write(figure: Figure) -> None:
        row = row_of(figure, offsets_min[figure.plant])
        file.write(mark[0] + json.dumps(row, ensure_ascii=False, allow_nan=False))
        mark[0] = ",\n"

    yield write
    file.write(f'\n], "remarks": {json.dumps(list(remarks), ensure_ascii=False)}}}\n')


@contextmanager
def _writer(file: IO[bytes], kind: str, offsets_min: Offsets, remarks: Remarks) -> Iterator[Write]:
    if kind == "parquet":
        with _write_parquet(file, offsets_min) as write:
            yield write
        return
    text = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        with write_text(text, kind, offsets_min, remarks) as write:
            yield write
        text.flush()
    finally:
        text.detach()


def _cells(row: dict[str, Any]) -> list[str]:
    """`a;b` for lists, `cause=count;...` for counts, `device:first-last:head hash:set hash;...` for inputs."""
    cells = []
    for name, value in row.items():
        if name == "inputs":
            value = ";".join(
                f"{one['device']}:{one['first_seq']}-{one['last_seq']}:{one['head_hash']}:{one['parameters_hash']}"
                for one in value
            )
        elif name == "n_invalid":
            value = ";".join(f"{cause}={count}" for cause, count in value.items())
        elif name == "flags":
            value = ";".join(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        cells.append("" if value is None else repr(value) if isinstance(value, float) else str(value))
    return cells


@contextmanager
def _write_parquet(file: IO[bytes], offsets_min: Offsets) -> Iterator[Write]:
    writer = _arrow().parquet.ParquetWriter(file, arrow_schema(), compression="zstd")
    held: list[Figure] = []

    def flush() -> None:
        writer.write_table(arrow_table(held, offsets_min))
        held.clear()

    def write(figure: Figure) -> None:
        held.append(figure)
        if len(held) == GROUP_ROWS:
            flush()

    try:
        yield write
        flush()
    finally:
        writer.close()


def arrow_schema() -> Any:
    """pyarrow.Schema of figures. Raises ConfigError where pyarrow is missing."""
    pa = _arrow()
    inputs = [("device", pa.string()), ("first_seq", pa.int64()), ("last_seq", pa.int64()), ("head_hash", pa.string())]
    kinds: dict[str, Any] = {
        **{name: pa.timestamp("ms", "UTC") for name in ("start_utc", "end_utc")},
        **{name: pa.int64() for name in ("n_expected", "n_valid", "decimals", "revision")},
        **dict.fromkeys(
            (
                "value",
                "coverage",
                "minimum",
                "maximum",
                "deviation",
                "uncertainty",
                "uncertainty_common",
                "substituted_share",
            ),
            pa.float64(),
        ),
        "valid": pa.bool_(),
        "flags": pa.list_(pa.string()),
        "n_invalid": pa.map_(pa.string(), pa.int64()),
        "inputs": pa.list_(pa.struct([*inputs, ("parameters_hash", pa.string())])),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def arrow_table(figures: Sequence[Figure], offsets_min: Offsets) -> Any:
    """pyarrow.Table of figures, `start_utc` and `end_utc` as instants. Raises ConfigError where pyarrow is missing."""
    pa, schema = _arrow(), arrow_schema()
    rows = [row_of(one, offsets_min[one.plant]) for one in figures]
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in COLUMNS}
    columns["start_utc"] = [one.start_utc_ms for one in figures]
    columns["end_utc"] = [one.end_utc_ms for one in figures]
    columns["n_invalid"] = [list(one.n_invalid) for one in figures]
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in COLUMNS}, schema=schema)


def _arrow() -> Any:
    """pyarrow is imported where it is used: its start costs more than a short answer."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        mend = "python -m pip install 'plumeproof[parquet]', or choose CSV or JSON"
        raise ConfigError("Parquet and Arrow", f"need pyarrow, which is not installed; {mend}") from error
    return pyarrow
