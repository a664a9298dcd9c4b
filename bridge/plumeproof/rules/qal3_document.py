"""A control chart as a document and back: text and whole numbers only, decimals as the shortest text that is exact.

What qal3.py holds in memory can so be stored, signed and continued by another program or after a restart, with the
settings it was judged by. Reading refuses what no chart can be.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules import qal3
from plumeproof.rules.qal3 import COUNT_MAX, UTC_MS_MAX, Chart, ChartSettings, EwmaState, Key
from plumeproof.rules.qal3_cusum import CusumConstants, CusumState

FORMAT = 1
HOLDS = {"shewhart": ("",), "cusum": ("", "precision", "drift"), "ewma": ("", "drift")}


def to_document(chart: Chart) -> dict[str, Any]:
    """JSON values; equal charts give equal documents."""
    settings = chart.settings
    return {
        "format": FORMAT,
        "device": chart.key.device,
        "channel": chart.key.channel,
        "point": chart.key.point,
        "kind": chart.kind,
        "s_ams": repr(chart.s_ams),
        "last_utc_ms": chart.last_utc_ms,
        "readings": chart.readings,
        "held_by": chart.held_by,
        "cusum": {entry.name: _to_json(getattr(chart.cusum, entry.name)) for entry in fields(CusumState)},
        "ewma": {"z": repr(chart.ewma.z), "fading": repr(chart.ewma.fading)},
        "settings": {
            "shewhart": {"warning": repr(settings.shewhart.warning), "action": repr(settings.shewhart.action)},
            "cusum": {entry.name: repr(getattr(settings.cusum, entry.name)) for entry in fields(CusumConstants)},
            "ewma": {
                "smoothing": repr(settings.ewma.smoothing),
                "width": repr(settings.ewma.width),
                "are_limits_exact": settings.ewma.are_limits_exact,
            },
        },
    }


def from_document(document: object) -> Chart:
    """The chart as it was. Raises RuleError."""
    try:
        return _read(Reader(document, "control chart"))
    except ParametersError as error:
        raise RuleError("control chart", f"{error.detail}; take the document as it was exported") from error


def _read(reader: Reader) -> Chart:
    reader.integer("format", FORMAT, FORMAT)
    key = Key(reader.text("device"), reader.text("channel"), reader.word("point", qal3.POINTS))
    kind, s_ams = reader.word("kind", qal3.KINDS), reader.decimal("s_ams")
    last_utc_ms = reader.take("last_utc_ms")
    if last_utc_ms is not None and (type(last_utc_ms) is not int or not 0 <= last_utc_ms <= UTC_MS_MAX):
        raise ParametersError("range", "control chart: last_utc_ms is no UTC")
    readings = reader.integer("readings", 0, COUNT_MAX)
    held_by = reader.take("held_by")
    if held_by not in HOLDS[kind]:
        raise ParametersError("range", f"control chart: held_by is no alarm that holds a {kind} chart")
    cusum, ewma = _read_cusum(reader.inner("cusum")), _read_ewma(reader.inner("ewma"))
    settings = _read_settings(reader.inner("settings"))
    reader.done()
    empty = qal3.start_chart(key, kind, s_ams, settings)
    return Chart(empty.key, kind, s_ams, settings, last_utc_ms, readings, held_by, cusum, ewma)


def _read_cusum(reader: Reader) -> CusumState:
    found = reader.take("last_d")
    last_d = None if found is None else Reader({"last_d": found}, reader.where).decimal("last_d")
    numbers: list[Any] = [last_d]
    for sum_name, count_name in (("s", "n_s"), ("sum_pos", "n_pos"), ("sum_neg", "n_neg")):
        total, count = reader.decimal(sum_name), reader.integer(count_name, 0, COUNT_MAX)
        if total < 0.0 or (total > 0.0) != (count > 0):
            raise ParametersError("range", f"{reader.where}: {sum_name} and {count_name} do not belong together")
        numbers += [total, count]
    reader.done()
    return CusumState(*numbers)


def _read_ewma(reader: Reader) -> EwmaState:
    state = EwmaState(reader.decimal("z"), reader.decimal("fading"))
    reader.done()
    if not 0.0 <= state.fading <= 1.0:
        raise ParametersError("range", f"{reader.where}: fading is outside 0..1")
    return state


def _read_settings(reader: Reader) -> ChartSettings:
    shewhart, cusum, ewma = (reader.inner(kind) for kind in qal3.KINDS)
    settings = qal3.read_numbers(shewhart, cusum, ewma, ())
    for inner in (shewhart, cusum, ewma, reader):
        inner.done()
    return settings


def _to_json(value: float | int | None) -> str | int | None:
    return repr(value) if isinstance(value, float) else value
