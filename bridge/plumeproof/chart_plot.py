"""Plots of control charts: one panel a chart, each point with its verdict, limits, events, and the state at the end.

Drawn as figure_plot.py draws: for paper, colours that stay apart for colour-blind eyes and shapes that stay apart in
grey. The same charts give the same bytes. CUSUM panels have both drift sums as shares of their limit and, dotted, the
precision sum; Shewhart panels d with both pairs of limits; EWMA panels d in grey and z with its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumeproof.errors import ConfigError
from plumeproof.figure_plot import DAY_S, DPI, ENDINGS, PANELS_MAX, WIDTH_IN, matplotlib_parts
from plumeproof.rules.chart_run import ChartPoint, ChartRun
from plumeproof.rules.plant import Plant
from plumeproof.surveillance_desk import Judged, Survey
from plumeproof.whole_file import whole_file

KIND_WORDS = {"shewhart": "Shewhart", "cusum": "CUSUM", "ewma": "EWMA"}
PANEL_IN, REST_IN = 2.4, 1.0
# Verdict to (word, colour, marker): Okabe and Ito
MARKS = {
    "fine": ("fine", "#009E73", "o"),
    "warning": ("warning", "#E69F00", "s"),
    "alarm": ("alarm", "#D55E00", "X"),
    "held": ("held: nobody has acted yet", "#999999", "D"),
}
STATE_COLOURS = {"in control": "#00664b", "warning": "#8a5f00", "no reading": "#555555"}
OUT_COLOUR, EVENT_COLOUR, LIMIT_COLOUR, WARNING_COLOUR = "#b04a00", "#0072B2", "#D55E00", "#E69F00"


def save_charts(path: Path, plant: Plant, survey: Survey, from_utc_ms: int | None = None) -> None:
    """SVG or PNG by the ending. Raises ConfigError (nothing to draw, no library, another ending)."""
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(str(path), f"ends in none of {', '.join(ENDINGS)}; name the plot so")
    if not any(_shown(one.run, from_utc_ms) for one in survey.charts):
        raise ConfigError(str(path), "nothing to draw: no check of zero or span has a point in this period")
    if len(survey.charts) > PANELS_MAX:
        raise ConfigError(str(path), f"{len(survey.charts)} charts, at most {PANELS_MAX} fit a page")
    matplotlib = matplotlib_parts()
    style = {"svg.hashsalt": "plumeproof", "font.size": 9.0, "axes.titlesize": 9.5}
    with matplotlib.rc_context(style), whole_file(path) as file:
        kind = path.suffix.lower()[1:]
        told = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        page = draw_charts(matplotlib, plant, survey, from_utc_ms)
        page.savefig(file, format=kind, dpi=DPI, metadata=told)


def draw_charts(matplotlib: Any, plant: Plant, survey: Survey, from_utc_ms: int | None) -> Any:
    """The page."""
    count = len(survey.charts)
    page = matplotlib.figure.Figure(figsize=(WIDTH_IN, PANEL_IN * count + REST_IN), layout="constrained")
    axes = page.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    seen: set[str] = set()
    for axis, judged in zip(axes, survey.charts, strict=True):
        seen |= _draw(axis, judged, plant.utc_offset_min, from_utc_ms)
    locator = matplotlib.dates.AutoDateLocator()
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    hours, minutes = divmod(abs(plant.utc_offset_min), 60)
    sign = "-" if plant.utc_offset_min < 0 else "+"
    axes[-1].set_xlabel(f"begin of the check, UTC{sign}{hours:02}:{minutes:02}")
    page.suptitle(f"QAL3: {plant.title} ({plant.id})", fontsize=11)
    line = matplotlib.lines.Line2D
    handles = [
        line([], [], color=colour, marker=marker, linestyle="none", label=word)
        for verdict, (word, colour, marker) in MARKS.items()
        if verdict in seen
    ]
    page.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=8)
    page.text(0.995, 0.004, f"plant {plant.digest.hex()[:12]}", ha="right", va="bottom", fontsize=6.5)
    return page


def _shown(run: ChartRun, from_utc_ms: int | None) -> list[ChartPoint]:
    return [one for one in run.points if from_utc_ms is None or one.judged.utc_ms >= from_utc_ms]


def _draw(axis: Any, judged: Judged, offset_min: int, from_utc_ms: int | None) -> set[str]:
    run = judged.run
    points = _shown(run, from_utc_ms)
    unit = run.unit.replace("m3", "m³")
    kind = KIND_WORDS[run.chart.kind]
    axis.set_title(f"{run.measurand}, {run.chart.key.point}, {kind}, s_AMS {run.chart.s_ams:g} {unit}", loc="left")
    told = run.state + ("" if judged.due == "fine" else f"; next check {judged.due}")
    colour = OUT_COLOUR if run.is_out or judged.due == "overdue" else STATE_COLOURS.get(run.state, "#000000")
    axis.set_title(told, loc="right", color=colour, fontweight="bold")
    axis.grid(color="#e4e4e4", linewidth=0.5)
    axis.axhline(0.0, color="#000000", linewidth=0.6)
    for event in run.events:
        if from_utc_ms is None or event.at >= from_utc_ms:
            at = _days(event.at, offset_min)
            axis.axvline(at, color=EVENT_COLOUR, linewidth=1.0, linestyle="--")
            axis.annotate(
                event.what, (at, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points",
                color=EVENT_COLOUR, fontsize=7.5,
            )  # fmt: skip
    if not points:
        axis.text(0.5, 0.6, "no check with a reading", transform=axis.transAxes, ha="center")
    elif run.chart.kind == "cusum":
        _draw_cusum(axis, run, points, offset_min)
    else:
        _draw_plain(axis, run, points, offset_min, unit)
    low, high = axis.get_ylim()
    axis.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7.5, frameon=False, borderaxespad=0.3)
    return {one.judged.verdict for one in points}


def _draw_plain(axis: Any, run: ChartRun, points: Sequence[ChartPoint], offset_min: int, unit: str) -> None:
    """Shewhart: d. EWMA: z, and d in grey."""
    is_ewma = run.chart.kind == "ewma"
    for part in _runs(run, points):
        x = [_days(one.judged.utc_ms, offset_min) for one in part]
        if is_ewma:
            axis.plot(x, [one.judged.d for one in part], color="#999999", linewidth=0.7, marker=".", markersize=3)
        live = [one for one in part if one.judged.verdict != "held"]
        own = [_days(one.judged.utc_ms, offset_min) for one in live]
        axis.plot(own, [_height(one, is_ewma) for one in live], color="#000000", linewidth=0.9, zorder=2)
        for limit, style, colour in (
            ([one.judged.warning_limit for one in live], ":", WARNING_COLOUR),
            ([one.judged.action_limit for one in live], "--", LIMIT_COLOUR),
        ):
            if live and None not in limit:
                ends = [*own, x[-1]] if not is_ewma else own
                values = [float(one) for one in limit if one is not None]
                values = [*values, values[-1]] if not is_ewma else values
                axis.plot(ends, values, color=colour, linestyle=style, linewidth=1.0)
                axis.plot(ends, [-one for one in values], color=colour, linestyle=style, linewidth=1.0)
    axis.plot([], [], color="#000000", label="z, smoothed" if is_ewma else "reading − reference")
    if is_ewma:
        axis.plot([], [], color="#999999", marker=".", label="reading − reference")
    else:
        axis.plot([], [], color=WARNING_COLOUR, linestyle=":", label="warning limit")
    axis.plot([], [], color=LIMIT_COLOUR, linestyle="--", label="action limit")
    axis.set_ylabel(unit)
    _mark(axis, [(one, _height(one, is_ewma)) for one in points], offset_min)


def _height(one: ChartPoint, is_ewma: bool) -> float:
    return one.judged.d if not is_ewma or one.judged.verdict == "held" else one.judged.statistic


def _draw_cusum(axis: Any, run: ChartRun, points: Sequence[ChartPoint], offset_min: int) -> None:
    """Sums as shares of their limits, so that drift and precision stand on one scale."""
    constants, s_ams = run.chart.settings.cusum, run.chart.s_ams
    h_x, h_s = constants.h_x * s_ams, constants.h_s * s_ams * s_ams
    lines = (("drift +", "#000000", "-"), ("drift −", "#56B4E9", "-"), ("precision", "#CC79A7", ":"))
    for part in _runs(run, points):
        states = [one.judged.cusum for one in part]
        x = [_days(one.judged.utc_ms, offset_min) for one in part]
        rows = (
            [state.sum_pos / h_x for state in states if state is not None],
            [-state.sum_neg / h_x for state in states if state is not None],
            [state.s / h_s for state in states if state is not None],
        )
        for (_, colour, style), row in zip(lines, rows, strict=True):
            axis.plot(x, row, color=colour, linestyle=style, linewidth=1.1, marker=".", markersize=3)
    for word, colour, style in lines:
        axis.plot([], [], color=colour, linestyle=style, label=word)
    axis.axhline(1.0, color=LIMIT_COLOUR, linestyle="--", linewidth=1.0, label="limit")
    axis.axhline(-1.0, color=LIMIT_COLOUR, linestyle="--", linewidth=1.0)
    axis.set_ylabel("share of the limit")
    heights = []
    for one in points:
        state = one.judged.cusum
        assert state is not None  # every point of a CUSUM chart has one
        shares = (state.sum_pos / h_x, -state.sum_neg / h_x, state.s / h_s)
        heights.append((one, max(shares, key=abs)))
    _mark(axis, heights, offset_min)


def _mark(axis: Any, heights: Sequence[tuple[ChartPoint, float]], offset_min: int) -> None:
    for verdict, (_, colour, marker) in MARKS.items():
        own = [(one, y) for one, y in heights if one.judged.verdict == verdict]
        x = [_days(one.judged.utc_ms, offset_min) for one, _ in own]
        axis.plot(x, [y for _, y in own], color=colour, marker=marker, linestyle="none", markersize=6, zorder=3)


def _runs(run: ChartRun, points: Sequence[ChartPoint]) -> list[list[ChartPoint]]:
    """Points between events: a line must not go over an adjustment."""
    parts: list[list[ChartPoint]] = []
    before = -1
    for one in points:
        passed = sum(event.at <= one.judged.utc_ms for event in run.events)
        if passed != before:
            parts.append([])
            before = passed
        parts[-1].append(one)
    return parts


def _days(utc_ms: int, offset_min: int) -> float:
    """Days since 1970 on the site's clock, as matplotlib counts them."""
    return (utc_ms / 1000.0 + offset_min * 60.0) / DAY_S
