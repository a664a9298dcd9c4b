"""Finds what an id names, and walks it down: the order of the stages. Read this first.

trace = trace_id(source, keys, "line-1/CO2/co2e/month/20261130T2300Z/eu_mrr", Choice())
for stage in trace.stages: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from plumeproof.errors import ConfigError
from plumeproof.figure_ids import (
    Wanted,
    id_of_average,
    id_of_figure,
    id_of_record,
    only_one,
    parts_of_average,
    parts_of_figure,
    period_of,
    read_id,
    unquoted,
)  # fmt: skip
from plumeproof.keys import KeyFile
from plumeproof.model import Average, Samples
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.explain import Explanation
from plumeproof.rules.figure import LEVELS, Figure
from plumeproof.rules.first_level import Quantity, quantities_of
from plumeproof.rules.step import Step
from plumeproof.trace.computed_walk import ComputedWalk
from plumeproof.trace.figure_walk import FigureWalk, channel_name, clock_of
from plumeproof.trace.record_walk import RecordWalk, SlotAt
from plumeproof.trace.source import Source
from plumeproof.trace.stage import Trace

NEAR = 6  # ids that are offered where none fits


@dataclass(frozen=True, slots=True)
class Choice:
    """Which way is taken where there are many. `hour_utc_ms`, `slot_utc_ms`: instants; `quantity`: a measurand or
    peripheral of the hour; `channel`: of a record; `is_whole`: every record of the figure's period is verified."""

    hour_utc_ms: int | None = None
    slot_utc_ms: int | None = None
    quantity: str | None = None
    channel: str | None = None
    is_whole: bool = False
    allow_test_keys: bool = False


def trace_id(
    source: Source,
    keys: KeyFile,
    keys_from: str,
    text: str,
    choice: Choice,
    tick: Callable[[int], object] = lambda count: None,
) -> Trace:
    """`tick` is told of every day of a figure. Raises ConfigError, RuleError, StoreError."""
    wanted = read_id(text)
    if wanted.kind == "record":
        return _record(source, keys, keys_from, wanted, choice)
    if wanted.kind == "average":
        return _average(source, keys, keys_from, find_average(source, wanted), choice)
    figure = find_figure(source, wanted, clock_of(source))
    trace = Trace(id_of_figure(figure), source.where, keys_from)
    walk = FigureWalk(source, figure, trace, tick)
    records = RecordWalk(source, keys, trace, choice.allow_test_keys)
    hour = choice.hour_utc_ms if choice.hour_utc_ms is not None else choice.slot_utc_ms
    term = walk.walk(hour)
    devices = walk.engine.devices()
    if choice.is_whole:
        records.check_all(trace.stages[0], devices, figure.start_utc_ms, figure.end_utc_ms)
    records.check_all(trace.stages[-1], devices, term.start_utc_ms, term.end_utc_ms)
    name = channel_name(walk.engine, figure.measurand, choice.quantity)
    quantity = next(one for one in quantities_of(walk.engine.plant) if one.name == name)
    channel = quantity.source
    period = _minute(term, choice.slot_utc_ms)
    if (made := walk.engine.plant.computed_of(channel)) is not None:
        strips = source.of_period(devices, *period)
        ComputedWalk(walk.engine, quantity, made, records).walk(trace, strips, period[0], choice.slot_utc_ms)
        return trace
    slot = records.find_slot(channel.device, channel.channel, period, choice.slot_utc_ms)
    if slot is None:
        slot = records.find_slot(channel.device, channel.channel, (term.start_utc_ms, term.end_utc_ms), None)
    if slot is None:
        trace.stages[-1].facts.append((str(channel), "no record has a slot of it in this term"))
        return trace
    average = records.newest_average(channel.device, channel.channel, slot.utc_ms)
    if average is not None:
        records.average(average)
    records.down(channel.device, slot, channel.channel)
    _calibrate(trace, quantity, slot)
    return trace


def _calibrate(trace: Trace, quantity: Quantity, slot: SlotAt) -> None:
    """What the plant's calibration function in force makes of the slot's value, as first_level.py does."""
    stage = next((stage for stage in trace.stages if stage.name == "slot"), None)
    own = [one for one in quantity.calibrations if one.begins <= slot.utc_ms]
    if stage is None or not own or not stage.steps or stage.steps[-1].result is None:
        return
    value, function = float(stage.steps[-1].result), own[-1]
    text = f"{function.a!r} + {function.b!r} * {value!r}"
    source = f"calibration {function.id} of the plant description; EN 14181:2014 clause 6.4"
    result = function.a + function.b * value
    stage.steps.append(Step("calibrated, as it goes into the mean", text, result, quantity.unit, source))


def _minute(term: Explanation, slot_utc_ms: int | None) -> tuple[int, int]:
    """The minute of an instant, or the first with a valid slot."""
    if slot_utc_ms is not None:
        return slot_utc_ms // MINUTE_MS * MINUTE_MS, slot_utc_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
    starts = [start for start, n, _ in term.minutes if n] or [term.start_utc_ms]
    return starts[0], starts[0] + MINUTE_MS


def _average(source: Source, keys: KeyFile, keys_from: str, row: Average, choice: Choice) -> Trace:
    trace = Trace(id_of_average(row), source.where, keys_from)
    records = RecordWalk(source, keys, trace, choice.allow_test_keys)
    start, end = row.start_utc_ms, row.start_utc_ms + row.interval_s * 1000
    newest = source.averages(row.device, row.channel, row.interval_s, (start, start + 1))[-1]
    records.average(row, older=newest.revision > row.revision)
    records.check_all(trace.stages[-1], [row.device], start, end)
    slot = records.find_slot(row.device, row.channel, (start, end), choice.slot_utc_ms)
    if slot is not None:
        records.down(row.device, slot, row.channel)
    return trace


def _record(source: Source, keys: KeyFile, keys_from: str, wanted: Wanted, choice: Choice) -> Trace:
    device, seq = wanted.words[0], wanted.seq
    assert seq is not None  # read_id
    if source.envelope(device, seq) is None:
        there = ", ".join(source.devices()) or "none"
        raise ConfigError(wanted.text, f"is no record that is here; modules with records: {there}")
    trace = Trace(id_of_record(device, seq), source.where, keys_from)
    records = RecordWalk(source, keys, trace, choice.allow_test_keys)
    found = records.record(device, seq)
    if found is not None and isinstance(found.body, Samples):
        number = 0
        if choice.slot_utc_ms is not None and found.utc_ms is not None:
            slots = found.body.slots
            first = found.utc_ms - (found.mono_ms - slots.first_slot_mono_ms)
            number = (choice.slot_utc_ms - first) // slots.slot_ms
        records.slot(found, number, choice.channel)
    return trace


# Finding


def find_figure(source: Source, wanted: Wanted, offset_of: Callable[[Figure], int]) -> Figure:
    """The one that is meant, in the revision that is meant. Raises ConfigError."""
    found = {_bare(one): one for one in fitting_figures(source, wanted, offset_of)}
    name = only_one(wanted, list(found), lambda: near_ids(source))
    figure = found[name]
    if wanted.revision is None or wanted.revision == figure.revision:
        return figure
    for one in source.revisions(figure):
        if one.revision == wanted.revision:
            return one
    raise ConfigError(wanted.text, f"has revisions 0 to {figure.revision}; name one of them, or none")


def fitting_figures(source: Source, wanted: Wanted, offset_of: Callable[[Figure], int]) -> Iterator[Figure]:
    """Newest revisions of all that fit."""
    for one in source.figures(wanted):
        if wanted.fits(parts_of_figure(one), one.start_utc_ms, offset_of(one)):
            yield one


def find_average(source: Source, wanted: Wanted) -> Average:
    """As find_figure."""
    rows = list(fitting_averages(source, wanted))
    newest = {"/".join(parts_of_average(one)): one for one in rows}
    name = only_one(wanted, list(newest), lambda: near_averages(source))
    if wanted.revision is None:
        return newest[name]
    for one in rows:
        if one.revision == wanted.revision:
            return one
    raise ConfigError(wanted.text, f"has revisions 0 to {newest[name].revision}; name one of them, or none")


def fitting_averages(source: Source, wanted: Wanted) -> Iterator[Average]:
    """All revisions of all that fit, oldest first."""
    assert wanted.period is not None  # read_id
    interval_s = int(wanted.period.removesuffix("s"))
    devices = source.devices()
    device = next((word for word in wanted.words if word in devices), None)
    rest = [unquoted(word) for word in wanted.words if word != device]
    channel = rest[0] if len(rest) > 1 or (device is not None and len(wanted.words) > 1) else None
    for one in source.averages(device, channel, interval_s, wanted.around_utc_ms or (0, 2**62)):
        if wanted.fits(parts_of_average(one), one.start_utc_ms, 0):
            yield one


def near_ids(source: Source) -> list[str]:
    """Ids to choose from where none fits: the newest of the longest levels."""
    every = Wanted("", "figure", (), None, None, None, None)
    found: dict[tuple[str, ...], Figure] = {}
    for one in source.figures(every):
        found[one.plant, one.measurand, one.layer, period_of(one)] = one
    return [id_of_figure(one) for one in _longest_first(list(found.values()))][:NEAR]


def near_averages(source: Source) -> list[str]:
    """Lengths that there are, as parts of ids."""
    return [f"{device}/{interval_s}s" for device in source.devices() for interval_s in source.intervals(device)][:NEAR]


def _longest_first(figures: Sequence[Figure]) -> list[Figure]:
    return sorted(figures, key=lambda one: one.start_utc_ms - one.end_utc_ms)


def _bare(one: Figure) -> str:
    return "/".join(parts_of_figure(one))


def clock_of_id(source: Source, text: str) -> int:
    """Minutes east of UTC of the clock that a figure's times are written in; 0 for averages and records."""
    wanted = read_id(text)
    if wanted.kind != "figure":
        return 0
    offset_of = clock_of(source)
    return offset_of(find_figure(source, wanted, offset_of))


def list_ids(source: Source, text: str | None) -> list[tuple[str, float | None, str]]:
    """(id, value, unit) of all that fit a part of an id; of all figures but short terms where nothing is asked."""
    if text is None:
        every = [Wanted("", "figure", (), level, None, None, None) for level in reversed(LEVELS[1:])]
        longer = [one for wanted in every for one in source.figures(wanted)]
        figures = longer or source.figures(Wanted("", "figure", (), None, None, None, None))
        return [(id_of_figure(one), one.value, one.unit) for one in figures]
    wanted = read_id(text)
    if wanted.kind == "record":
        raise ConfigError("--list", "lists figures and averages; a record is named by its seq alone")
    if wanted.kind == "average":
        return [(id_of_average(one), one.mean, one.unit) for one in fitting_averages(source, wanted)]
    offset_of = clock_of(source)
    return [(id_of_figure(one), one.value, one.unit) for one in fitting_figures(source, wanted, offset_of)]
