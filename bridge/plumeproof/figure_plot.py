"""Plots of figures over a period: values with limit lines, a ribbon of validity and causes, substituted hours marked.

Drawn for paper: black lines, colours that stay apart for colour-blind eyes and in grey, text as outlines. The same
figures give the same bytes: no dates, no random ids. One panel a measurand and rule set.

    sheet = Sheet(engine, period)
    for figure in figures: sheet.add(figure)
    sheet.save(Path("nox.svg"))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from plumeproof.errors import ConfigError
from plumeproof.rules import annual, calendar
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, FLOW, MONTH, ROLLING_30_DAYS, SHORT_TERM, STANDARDISED, VALIDATED, YEAR, Figure
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.term_series import SeriesBuilder
from plumeproof.whole_file import whole_file

ENDINGS = (".svg", ".png")
PANELS_MAX = 12  # more do not fit a page that anybody reads
WIDTH_IN, PANEL_IN, REST_IN = 11.0, 2.5, 0.9  # A4 landscape is 11.7 wide
DPI = 150
DAY_S = 86_400.0

# What the ribbon tells, worst last: (word, colour, hatch). Colours: Okabe and Ito, apart for colour-blind eyes
VALID, STOPPED, START, CHECK, PERIPHERAL, FAULT, NO_DATA = range(7)
RIBBON = (
    ("valid", "#009E73", ""),
    ("stopped", "#d9d9d9", ""),
    ("start-up, shut-down, other", "#56B4E9", "//"),
    ("invalid: calibration, check", "#F0E442", ""),
    ("invalid: peripheral or flow", "#CC79A7", "xx"),
    ("invalid: fault, out of range", "#D55E00", ""),
    ("invalid: no data", "#000000", ""),
)
CHECKS = {"calibration", "function_check"}
FAULTS = {
    "failure", "out_of_specification", "over_range", "under_range", "not_finite", "loop_failure",
    "loop_out_of_specification", "wire_break", "status_missing", "discarded",
}  # fmt: skip
SUBSTITUTE_COLOUR = "#0072B2"
LIMIT_STYLES = ("--", "-.", ":")
LIMITS_OF = {10: ("ten_min",), 30: ("half_hour", "half_hour_a", "half_hour_b"), 60: ("hour",)}  # minutes to kinds
LIMITS_OF_LEVEL = {DAY: ("day",), MONTH: ("month",), ROLLING_30_DAYS: ("month",), YEAR: ("year",)}
UNITS = {"mg/m3": "mg/m³", "m3/h": "m³/h", "ug/m3": "µg/m³", "g/m3": "g/m³"}


@dataclass(slots=True)
class _Line:
    """One measurand, layer and length by one rule set."""

    rules: RuleSet
    measurand: str
    layer: str
    level: str
    length_min: int
    unit: str
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    is_valid: list[bool] = field(default_factory=list)
    told: list[int] = field(default_factory=list)


class Sheet:
    """One page. `layer`: default is what is compared with a limit, else the standardised value; `measurands`: all."""

    def __init__(
        self, engine: Engine, period: tuple[int, int], layer: str | None = None, measurands: Sequence[str] = ()
    ) -> None:
        self._engine = engine
        self._measurands = measurands
        self._layer = layer
        self._lines: dict[tuple[str, str, str, int], _Line] = {}
        self._rules = {rules.id: rules for rules in engine.rule_sets}
        offset = engine.offset_min(engine.rule_sets[0])
        whole = calendar.day_of(period[0], offset)[0], calendar.day_of(period[1] - 1, offset)[1]
        self._hours = {
            rules.id: SeriesBuilder(whole, engine.plant, rules.settings)
            for rules in engine.rule_sets
            if rules.settings.substitution != "none"
        }

    def add(self, one: Figure) -> None:
        """A figure of one level, in the order of time."""
        if one.rule_set in self._hours:
            self._hours[one.rule_set].add(one)
        wanted = (self._layer,) if self._layer is not None else (VALIDATED, STANDARDISED, FLOW)
        if one.layer not in wanted or (self._measurands and one.measurand not in self._measurands):
            return
        length_min = (one.end_utc_ms - one.start_utc_ms) // MINUTE_MS if one.level == SHORT_TERM else 0
        key = (one.measurand, one.rule_set, one.layer, length_min)
        if key not in self._lines:
            rules = self._rules[one.rule_set]
            self._lines[key] = _Line(rules, one.measurand, one.layer, one.level, length_min, one.unit)
        line = self._lines[key]
        line.start.append(one.start_utc_ms)
        line.end.append(one.end_utc_ms)
        line.value.append(np.nan if one.value is None else one.value)
        line.is_valid.append(one.is_valid)
        line.told.append(ribbon_of(one))

    def save(self, path: Path) -> None:
        """SVG or PNG by the ending. Raises ConfigError (nothing to draw, no library, another ending)."""
        lines = self._chosen()
        if path.suffix.lower() not in ENDINGS:
            raise ConfigError(str(path), f"ends in none of {', '.join(ENDINGS)}; name the plot so")
        if not lines:
            raise ConfigError(str(path), "nothing to draw; choose another layer, measurand or period")
        if len(lines) > PANELS_MAX:
            mend = "choose fewer with --measurand and --rule-set"
            raise ConfigError(str(path), f"{len(lines)} panels, at most {PANELS_MAX} fit a page; {mend}")
        matplotlib = matplotlib_parts()
        style = {
            "svg.hashsalt": "plumeproof",  # ids inside the file come from it, not from chance
            "font.size": 9.0,
            "axes.titlesize": 9.5,
            "hatch.linewidth": 0.5,
            "path.simplify": True,
        }
        with matplotlib.rc_context(style), whole_file(path) as file:
            kind = path.suffix.lower()[1:]
            told = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
            self._draw(matplotlib, lines).savefig(file, format=kind, dpi=DPI, metadata=told)

    def _chosen(self) -> list[_Line]:
        """Of layers that nobody chose between, the first that is there."""
        found = []
        for (measurand, rules, layer, length), line in self._lines.items():
            has_better = (measurand, rules, VALIDATED, length) in self._lines
            if self._layer is not None or layer != STANDARDISED or not has_better:
                found.append(line)
        return found

    def _draw(self, matplotlib: Any, lines: Sequence[_Line]) -> Any:
        page = matplotlib.figure.Figure(figsize=(WIDTH_IN, PANEL_IN * len(lines) + REST_IN), layout="constrained")
        grid = page.add_gridspec(2 * len(lines), 1, height_ratios=(9, 1) * len(lines))
        plant = self._engine.plant
        first = None
        seen: set[int] = set()
        for number, line in enumerate(lines):
            above = page.add_subplot(grid[2 * number], sharex=first)
            first = first or above
            below = page.add_subplot(grid[2 * number + 1], sharex=first)
            self._draw_line(above, line)
            seen |= _draw_ribbon(below, line, self._offset(line))
            for axis in (above, below):
                axis.tick_params(labelbottom=False)
            below.set_yticks([])
            below.set_ylim(0.0, 1.0)
        below.tick_params(labelbottom=True)
        locator = matplotlib.dates.AutoDateLocator()
        below.xaxis.set_major_locator(locator)
        below.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
        hours, minutes = divmod(abs(plant.utc_offset_min), 60)
        sign = "-" if plant.utc_offset_min < 0 else "+"
        below.set_xlabel(f"begin of the average, UTC{sign}{hours:02}:{minutes:02}, no daylight saving")
        page.suptitle(f"{plant.title} ({plant.id})", fontsize=11)
        patch = matplotlib.patches.Patch
        handles = [
            patch(
                facecolor=RIBBON[told][1],
                hatch=RIBBON[told][2],
                edgecolor="#444444",
                linewidth=0.4,
                label=RIBBON[told][0],
            )
            for told in sorted(seen)
        ]
        page.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=8)
        rules = {line.rules.id: line.rules.digest.hex()[:12] for line in lines}
        told = ", ".join(f"{name} {digest}" for name, digest in rules.items())
        page.text(0.995, 0.004, f"plant {plant.digest.hex()[:12]}, {told}", ha="right", va="bottom", fontsize=6.5)
        return page

    def _offset(self, line: _Line) -> int:
        return self._engine.offset_min(line.rules)

    def _draw_line(self, axis: Any, line: _Line) -> None:
        offset = self._offset(line)
        x, values = _edges(line, offset, np.array(line.value))
        valid = _edges(line, offset, np.where(line.is_valid, line.value, np.nan))[1]
        axis.plot(x, values, color="#999999", linewidth=0.8, label="not valid")
        axis.plot(x, valid, color="#000000", linewidth=1.0, label="valid")
        for at, (kind, value) in enumerate(self._limits(line)):
            style = LIMIT_STYLES[at % len(LIMIT_STYLES)]
            label = f"limit {kind} {value:g}"
            axis.axhline(value, color="#D55E00", linewidth=1.0, linestyle=style, label=label)
        self._draw_substitutes(axis, line, offset)
        length = f"{line.length_min} min" if line.level == SHORT_TERM else line.level.replace("_", " ")
        what = line.measurand if line.measurand == line.layer else f"{line.measurand}, {line.layer.replace('_', ' ')}"
        axis.set_title(f"{what}, {length}, {line.rules.id}", loc="left")
        axis.set_ylabel(UNITS.get(line.unit, line.unit))
        axis.grid(color="#e4e4e4", linewidth=0.5)
        if np.isnan(line.value).all():
            axis.text(0.5, 0.5, "no value exists in this period", transform=axis.transAxes, ha="center", va="center")
            axis.set_ylim(0.0, 1.0)
        low, high = axis.get_ylim()
        top = max([high, 1.08 * axis.dataLim.y1, *(1.08 * value for _, value in self._limits(line))])
        axis.set_ylim(min(0.0, low), top)
        axis.set_xlim(*_days((line.start[0], line.end[-1]), offset))
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7.5, frameon=False, borderaxespad=0.3)

    def _limits(self, line: _Line) -> Iterator[tuple[str, float]]:
        measurand = next((one for one in self._engine.plant.measurands if one.id == line.measurand), None)
        if measurand is None or line.layer not in (VALIDATED, STANDARDISED):
            return
        kinds = LIMITS_OF.get(line.length_min, ()) if line.level == SHORT_TERM else LIMITS_OF_LEVEL[line.level]
        for limit in measurand.limits:
            if limit.kind in kinds:
                yield limit.kind, limit.value

    def _draw_substitutes(self, axis: Any, line: _Line, offset: int) -> None:
        """Hours that the rule set fills, at the value it would fill them with if the plotted period were all."""
        builder = self._hours.get(line.rules.id)
        measurand = next((one for one in self._engine.plant.measurands if one.id == line.measurand), None)
        settings = line.rules.settings
        is_filled = measurand is not None and (
            settings.substitution in ("hj75_mass_only", "75.33")
            or (measurand.greenhouse_gas is not None and settings.gwp is not None)
        )
        if builder is None or measurand is None or not is_filled or line.length_min != settings.sta_min:
            return
        series = builder.series()
        clock = self._engine.offset_min(line.rules)
        found = annual.fill(self._engine.plant, measurand, series, settings, clock)
        if found is None or not found.is_substituted.any():
            return
        main = next(iter(series.values()))
        at = main.start_utc_ms + (np.flatnonzero(found.is_substituted) + 0.5) * main.length_min * MINUTE_MS
        x = _days(at, offset)
        if settings.substitution == "mean_plus_2sigma" and line.layer == STANDARDISED:
            label = "substituted: mean + 2σ\nof the plotted period"
            y = found.concentration[found.is_substituted]
            axis.plot(x, y, "D", color=SUBSTITUTE_COLOUR, markersize=4, label=label)
        else:
            y = np.zeros(len(x))
            axis.plot(x, y, "D", color=SUBSTITUTE_COLOUR, markersize=4, label="substituted hours", clip_on=False)


def ribbon_of(one: Figure) -> int:
    """What the ribbon says of a figure: its validity, else the cause that took most of it."""
    if one.state == "stopped":
        return STOPPED
    if one.is_valid:
        return VALID
    if one.state in ("start_up", "shut_down", "other") and "coverage" not in one.flags:
        return START
    if {"peripheral_missing", "no_reference_conditions", "flow_missing"} & set(
        one.flags
    ) and "coverage" not in one.flags:
        return PERIPHERAL
    causes = [(count, cause) for cause, count in one.n_invalid if cause not in ("stopped", "not_compared")]
    if not causes and dict(one.n_invalid).get("stopped"):
        return STOPPED  # a part of it, and the rule set wants the whole
    worst = max(causes)[1] if causes else ""
    if worst in CHECKS:
        return CHECK
    return FAULT if worst in FAULTS else NO_DATA


def _days(utc_ms: Any, offset_min: int) -> Any:
    """Days since 1970 on the site's clock, as matplotlib counts them."""
    return (np.asarray(utc_ms, np.float64) / 1000.0 + offset_min * 60.0) / DAY_S


def _edges(line: _Line, offset_min: int, values: Any) -> tuple[Any, Any]:
    """Begin and end of each average at its value, and a break where the next does not follow at once."""
    start, end = np.array(line.start, np.float64), np.array(line.end, np.float64)
    follows = np.append(start[1:] == end[:-1], False)
    y = np.column_stack([values, values, np.where(follows, values, np.nan)])
    return _days(np.column_stack([start, end, end]).ravel(), offset_min), y.ravel()


def _draw_ribbon(axis: Any, line: _Line, offset_min: int) -> set[int]:
    """Bars of equal averages beside each other; what was seen."""
    runs: list[tuple[int, int, int]] = []
    for start, end, told in zip(line.start, line.end, line.told, strict=True):
        if runs and runs[-1][2] == told and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end, told)
        else:
            runs.append((start, end, told))
    for told in sorted({run[2] for run in runs}):
        own = [(start, end) for start, end, of in runs if of == told]
        first = _days([start for start, _ in own], offset_min)
        width = _days([end for _, end in own], offset_min) - first
        _, colour, hatch = RIBBON[told]
        bars = list(zip(first.tolist(), width.tolist(), strict=True))
        axis.broken_barh(bars, (0.0, 1.0), facecolor=colour, hatch=hatch, edgecolor="#444444", linewidth=0.0)
    return {run[2] for run in runs}


def matplotlib_parts() -> Any:
    """matplotlib is imported where it is used: its start costs a second."""
    try:
        import matplotlib
        import matplotlib.dates
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.patches
    except ImportError as error:
        mend = "python -m pip install 'plumeproof[plots]'"
        raise ConfigError("plots", f"need matplotlib, which is not installed; {mend}") from error
    return matplotlib
