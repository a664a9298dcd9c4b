"""`plumeproof.averages`: figures for notebooks, from a ledger or from arrays, by the engine that the bridge uses.

    import plumeproof

    found = plumeproof.averages("data/ledger.sqlite", "line-1.toml", start="2026-12-01", end="2026-12-02")
    nox = found.select("NOx", "validated")
    nox.start_utc, nox.values, nox.exists, nox.is_valid, nox.units     # numpy arrays; found.arrow() is a pyarrow.Table
    found.remarks                                                      # what came up with the data

    channels = {"plume-01/nox": plumeproof.Readings(times, values, unit="mg/m3")}
    plumeproof.averages(channels, "line-1.toml", levels=("day",))

    year = plumeproof.limits("data/ledger.sqlite", "line-1.toml", start="2026", end="2027")
    year.is_kept, [(line.subject, line.test, line.verdict) for line in year]           # pandas.DataFrame(year.rows())

Dates, and datetimes without a zone, are those of the site's clock (its fixed offset); a numpy datetime64 is UTC, as
in what is returned; a text with a time names its zone. Whether a value exists is an array beside it (`exists`), never
a NaN; where none exists `values` holds 0.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.array_strips import ArrayStrips, Readings
from plumeproof.errors import RuleError
from plumeproof.figure_desk import FigureDesk, Remark, Strips
from plumeproof.figure_files import arrow_table, local_time
from plumeproof.fuel_file import FuelYear, load_fuels
from plumeproof.instants import read_instant
from plumeproof.ledger_checks import LedgerChecks
from plumeproof.ledger_strips import LedgerStrips
from plumeproof.limit_files import row_of
from plumeproof.plant_file import open_engine
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import LAYERS, LEVELS, SHORT_TERM, YEAR, Figure
from plumeproof.rules.judgement import EXCEEDED, Judgement
from plumeproof.rules.limit_account import LimitAccount
from plumeproof.surveillance_desk import SurveillanceDesk, Survey

__all__ = [
    "Averages", "Figure", "Judgement", "Limits", "Readings", "Remark", "Survey", "averages", "limits", "surveillance",
]  # fmt: skip

Instant = str | date | datetime | np.datetime64


@dataclass(frozen=True, slots=True, repr=False)
class Limits:
    """Lines of what a plant is judged by, as `plumeproof limits` shows them. `remarks`: what came up with the data."""

    judgements: tuple[Judgement, ...]
    remarks: tuple[Remark, ...]
    plant: str
    utc_offset_min: int

    def __repr__(self) -> str:
        verdicts = [one.verdict for one in self.judgements]
        told = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
        return f"Limits({told or 'nothing'}; remarks: {len(self.remarks)})"

    def __len__(self) -> int:
        return len(self.judgements)

    def __iter__(self) -> Iterator[Judgement]:
        return iter(self.judgements)

    @property
    def is_kept(self) -> bool:
        """No requirement that was judged is exceeded."""
        return all(one.is_met or (one.is_met is None and one.verdict != EXCEEDED) for one in self.judgements)

    def select(self, subject: str | None = None, about: str | None = None, rule_set: str | None = None) -> Limits:
        """Lines of one measurand (or "plant"), kind ("limit", "tier" ...), rule set; None: whatever it is."""
        wanted = (("subject", subject), ("about", about), ("rule_set", rule_set))
        found = [
            one
            for one in self.judgements
            if all(value is None or getattr(one, name) == value for name, value in wanted)
        ]
        return replace(self, judgements=tuple(found))

    def rows(self) -> list[dict[str, Any]]:
        """Plain values, as in JSON: a table for pandas.DataFrame."""
        return [row_of(self.plant, one, self.utc_offset_min) for one in self.judgements]


@dataclass(frozen=True, slots=True, repr=False)
class Averages:
    """Figures in the order in which their periods end. `remarks`: what came up with the data; read them."""

    figures: tuple[Figure, ...]
    remarks: tuple[Remark, ...]
    utc_offset_min: int

    def __repr__(self) -> str:
        if not self.figures:
            return f"Averages(nothing; remarks: {len(self.remarks)})"
        begin = local_time(min(one.start_utc_ms for one in self.figures), self.utc_offset_min)
        end = local_time(max(one.end_utc_ms for one in self.figures), self.utc_offset_min)
        told = [f"{len(self.figures)} figures from {begin} to {end}"]
        for name in ("level", "rule_set", "measurand", "layer"):
            told.append(f"{name}: {', '.join(sorted({getattr(one, name) for one in self.figures}))}")
        return f"Averages({'; '.join(told)}; remarks: {len(self.remarks)})"

    def __len__(self) -> int:
        return len(self.figures)

    def __iter__(self) -> Iterator[Figure]:
        return iter(self.figures)

    def select(
        self,
        measurand: str | None = None,
        layer: str | None = None,
        rule_set: str | None = None,
        level: str | None = None,
        minutes: int | None = None,
    ) -> Averages:
        """Those of one measurand, layer, rule set, level, length; None: whatever it is."""
        wanted = (("measurand", measurand), ("layer", layer), ("rule_set", rule_set), ("level", level))
        found = tuple(
            one
            for one in self.figures
            if all(value is None or getattr(one, name) == value for name, value in wanted)
            and (minutes is None or one.end_utc_ms - one.start_utc_ms == minutes * 60_000)
        )
        return replace(self, figures=found)

    @property
    def start_utc(self) -> npt.NDArray[np.datetime64]:
        """Begins, datetime64[ms], UTC."""
        return np.array([one.start_utc_ms for one in self.figures], "datetime64[ms]")

    @property
    def end_utc(self) -> npt.NDArray[np.datetime64]:
        """Ends, excluded, datetime64[ms], UTC."""
        return np.array([one.end_utc_ms for one in self.figures], "datetime64[ms]")

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """In `units`; 0.0 where no value exists."""
        return np.array([0.0 if one.value is None else one.value for one in self.figures], np.float64)

    @property
    def exists(self) -> npt.NDArray[np.bool_]:
        """Where a value could be computed."""
        return np.array([one.value is not None for one in self.figures], np.bool_)

    @property
    def is_valid(self) -> npt.NDArray[np.bool_]:
        """Where the rule set lets it count."""
        return np.array([one.is_valid for one in self.figures], np.bool_)

    @property
    def uncertainty(self) -> npt.NDArray[np.float64]:
        """Expanded, k = 2, in `units`; 0.0 where none is known (`has_uncertainty`)."""
        return np.array([one.uncertainty or 0.0 for one in self.figures], np.float64)

    @property
    def has_uncertainty(self) -> npt.NDArray[np.bool_]:
        """Where the plant states components for all that a value rests on."""
        return np.array([one.uncertainty is not None for one in self.figures], np.bool_)

    @property
    def units(self) -> tuple[str, ...]:
        """Of each value."""
        return tuple(one.unit for one in self.figures)

    def arrow(self) -> Any:
        """pyarrow.Table with the columns of the files. Raises ConfigError where pyarrow is not installed."""
        return arrow_table(self.figures, {one.plant: self.utc_offset_min for one in self.figures})


def averages(
    source: str | Path | Mapping[str, Readings],
    plant: str | Path,
    *,
    start: Instant | None = None,
    end: Instant | None = None,
    levels: str | Sequence[str] = (SHORT_TERM,),
    rule_sets: str | Sequence[str] = (),
    rule_files: str | Path | Sequence[str | Path] = (),
    measurands: str | Sequence[str] = (),
    layers: str | Sequence[str] = (),
) -> Averages:
    """Figures of [start, end), default everything. `source`: a ledger file, or arrays by "device/channel".

    `plant`: its description (TOML, JSON); `rule_sets`: instead of the plant's. `measurands`, `layers`: default all. One
    name may stand without a list. Figures of arrays name no records. Raises BridgeError: one line
    with what, where, mend.
    """
    levels, rule_sets, measurands, layers = map(_listed, (levels, rule_sets, measurands, layers))
    rule_files = [rule_files] if isinstance(rule_files, (str, Path)) else rule_files
    for what, given, known in (("level", levels, LEVELS), ("layer", layers, LAYERS)):
        for name in given:
            if name not in known:
                raise RuleError(f"{what} {str(name)[:40]!r}", f"is none of {', '.join(known)}")
    engine = open_engine(Path(plant), [Path(path) for path in rule_files], rule_sets)
    there = [*(one.id for one in engine.plant.measurands), "flow"]
    for name in measurands:
        if name not in there:
            raise RuleError(f"measurand {str(name)[:40]!r}", f"is none of {', '.join(there)}")
    if isinstance(source, Mapping):
        found, remarks = _made(engine, ArrayStrips(source, map(str, engine.plant.sources())), start, end, levels)
        found = [one._replace(inputs=()) for one in found]
    else:
        with closing(LedgerStrips(Path(source), engine.devices())) as ledger:
            found, remarks = _made(engine, ledger, start, end, levels)
    wanted = tuple(
        one
        for one in found
        if (not measurands or one.measurand in measurands) and (not layers or one.layer in layers)
    )  # fmt: skip
    return Averages(wanted, tuple(remarks), engine.plant.utc_offset_min)


def limits(
    source: str | Path | Mapping[str, Readings],
    plant: str | Path,
    *,
    start: Instant | None = None,
    end: Instant | None = None,
    rule_sets: str | Sequence[str] = (),
    rule_files: str | Path | Sequence[str | Path] = (),
    fuels: str | Path | Sequence[str | Path] = (),
) -> Limits:
    """What a plant is judged by in [start, end), default the years that the records touch: emission limits, lost days,
    hours of states, tiers, outages. `source` as in `averages`; `fuels`: files of fuels of a year, whose CO2 is compared
    with the measured one (`plumeproof limits --sample-fuels`). Raises BridgeError: one line with what, where, mend.
    """
    rule_files, fuels = ([one] if isinstance(one, (str, Path)) else one for one in (rule_files, fuels))
    years = [load_fuels(Path(path)) for path in fuels]
    engine = open_engine(Path(plant), [Path(path) for path in rule_files], _listed(rule_sets))
    for year in years:
        if year.plant != engine.plant.id:
            raise RuleError(f"fuels of plant {year.plant[:40]}", f"do not belong to plant {engine.plant.id}")
    if isinstance(source, Mapping):
        found, remarks = _judged(engine, ArrayStrips(source, map(str, engine.plant.sources())), start, end, years)
    else:
        with closing(LedgerStrips(Path(source), engine.devices())) as ledger:
            found, remarks = _judged(engine, ledger, start, end, years)
    return Limits(tuple(found), tuple(remarks), engine.plant.id, engine.plant.utc_offset_min)


def surveillance(
    ledger: str | Path,
    plant: str | Path,
    *,
    until: Instant,
    rule_sets: str | Sequence[str] = (),
    rule_files: str | Path | Sequence[str | Path] = (),
) -> Survey:
    """QAL3 charts, weeks outside the valid range and due dates, as of `until`: what `plumeproof surveillance` shows.

    `found.charts[0].run.points` has each check with its reading, limits, verdict and records. Raises BridgeError.
    """
    rule_files = [rule_files] if isinstance(rule_files, (str, Path)) else rule_files
    engine = open_engine(Path(plant), [Path(path) for path in rule_files], _listed(rule_sets))
    at = _instant(until, engine.plant.utc_offset_min, "until")
    with closing(LedgerStrips(Path(ledger), engine.devices())) as strips:
        with closing(LedgerChecks(Path(ledger), engine.devices())) as checks:
            return SurveillanceDesk(engine, strips, checks).survey(at, at)


def _made(
    engine: Engine, source: Strips, start: Instant | None, end: Instant | None, levels: Sequence[str]
) -> tuple[list[Figure], list[Remark]]:
    desk = FigureDesk(engine, source)
    offset = engine.plant.utc_offset_min
    period, extent = _period(desk, source, levels, start, end)
    found = list(desk.figures(levels, period))
    remarks = desk.remarks()
    if not found:
        remarks = [one for one in remarks if one.code != "provisional"]  # there is no last day
        begin, end = (local_time(at, offset) for at in extent)
        told = f"no whole {' or '.join(levels)} with a slot in this period; there are slots from {begin} to {end}"
        remarks.append(Remark("nothing", told, True))
    return found, remarks


def _judged(
    engine: Engine, source: Strips, start: Instant | None, end: Instant | None, fuels: Sequence[FuelYear]
) -> tuple[list[Judgement], list[Remark]]:
    desk = FigureDesk(engine, source)
    period, extent = _period(desk, source, (YEAR,), start, end)
    account = LimitAccount(engine, period)
    for one in desk.figures(account.levels(), period):
        account.add(one)
    found = list(account.judgements(extent))
    for year in fuels:
        found += account.corroboration(year.measurand, year.year, year.calculated_t(), year.tolerance_pct)
    return found, [one for one in desk.remarks() if one.code != "provisional"]  # a year is judged so far


def _period(
    desk: FigureDesk, source: Strips, levels: Sequence[str], start: Instant | None, end: Instant | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """[start, end) of what is asked for, and of the slots that are there. Raises RuleError."""
    extent, plant = source.extent(), desk.engine.plant
    if extent is None:
        raise RuleError(f"plant {plant.id}", "there is no slot of its modules to average")
    whole = desk.whole_period(levels, extent)
    period = (
        whole[0] if start is None else _instant(start, plant.utc_offset_min, "start"),
        whole[1] if end is None else _instant(end, plant.utc_offset_min, "end"),
    )
    if period[1] <= period[0]:
        raise RuleError("end", "is not behind start; the period is empty")
    return period, extent


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _instant(value: Instant, offset_min: int, name: str) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[ms]").astype(np.int64))  # numpy's own have no zone and mean UTC
    if isinstance(value, date):  # a datetime is one
        at = value if isinstance(value, datetime) else datetime.combine(value, time())
        return round(
            (at if at.tzinfo else at.replace(tzinfo=timezone(timedelta(minutes=offset_min)))).timestamp() * 1000
        )
    return read_instant(value, offset_min, name)
