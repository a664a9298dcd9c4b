"""The plots of a rig's report: SVG by pygal, bare of scripts and comments: the page needs nothing from outside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pygal
from pygal.style import Style

# pygal 3.1.3 puts a finder of its map plugins into every later import; it knows find_module only, which Python 3.11
# warns of each time an import fails. No maps here.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

BINS = 40
WIDTH, HEIGHT = 560, 250
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    font_family="system-ui, sans-serif",
    foreground="#46505a",
    foreground_strong="#1d242b",
    foreground_subtle="#9aa4ae",
    guide_stroke_color="#dde3e8",
    major_guide_stroke_color="#c8d0d7",
    guide_stroke_dasharray="0",
    major_guide_stroke_dasharray="0",
    colors=("#1f6f8b", "#c2571a", "#6a8d2f", "#7a4f9a", "#b0973a", "#3b5b92"),
    opacity=0.9,
    label_font_size=12,
    major_label_font_size=12,
    title_font_size=14,
    legend_font_size=12,
    stroke_width=1.6,
)


def histogram(values: Sequence[float], unit: str) -> str:
    """How often which value; the last percent lies in the last bin, so that one outlier does not hide the rest."""
    ordered = sorted(values)
    top = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    low = ordered[0]
    step = max((top - low) / BINS, 1e-6)
    counted = [0] * BINS
    for value in ordered:
        counted[min(int((value - low) / step), BINS - 1)] += 1
    chart = pygal.Histogram(**_options(x_title=unit, y_title="answers", show_legend=False))
    chart.add("", [(number, low + at * step, low + (at + 1) * step) for at, number in enumerate(counted)])
    chart.x_labels = [round(low + part * (top - low) / 8, 2) for part in range(9)]
    return _render(chart)


def line(series: dict[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, from_zero: bool = True) -> str:
    """One or more curves over x."""
    options = _options(x_title=x_title, y_title=y_title, show_legend=len(series) > 1, show_dots=False)
    if from_zero:
        options["range"] = (0, 1.15 * max(y for points in series.values() for _, y in points) or 1)
    chart = pygal.XY(**options)
    for name, points in series.items():
        chart.add(name, list(points))
    return _render(chart)


def bars(series: dict[str, Sequence[float]], labels: Sequence[str], x_title: str, y_title: str) -> str:
    """Groups of bars, one group a label."""
    chart = pygal.Bar(**_options(x_title=x_title, y_title=y_title, show_legend=len(series) > 1, rounded_bars=1))
    every = len(labels) // 25 + 1
    chart.x_labels = [label if at % every == 0 else "" for at, label in enumerate(labels)]
    for name, values in series.items():
        chart.add(name, list(values))
    return _render(chart)


def _options(**more: Any) -> dict[str, Any]:
    return {
        "style": STYLE,
        "width": WIDTH,
        "height": HEIGHT,
        "js": (),
        "disable_xml_declaration": True,
        "legend_at_bottom": True,
        "legend_box_size": 10,
        "margin": 12,
        "print_values": False,
        "max_scale": 7,  # lines of the grid
        "explicit_size": False,
    } | more


def _render(chart: Any) -> str:
    chart.add_xml_filter(_bare)
    text: str = chart.render(is_unicode=True)
    return text


def _bare(root: Any) -> Any:
    """Without scripts, comments, and what only scripts use (tooltips)."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rsplit("}", 1)[-1] in ("script", "desc"):
                parent.remove(child)
            elif "tooltip" in child.get("class", "").split():
                parent.remove(child)
    return root
