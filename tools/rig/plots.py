"""The plots of a rig's report: SVG by matplotlib, bare of scripts, comments and references: the page needs nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

BINS = 40
WIDTH_IN, HEIGHT_IN = 5.8, 2.6
BARS_LABELLED = 25
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
COLOURS = ("#1f6f8b", "#c2571a", "#6a8d2f", "#7a4f9a", "#b0973a", "#3b5b92")
STYLE: dict[str, Any] = {
    "svg.hashsalt": "plumeproof",  # ids come from it, not from chance
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 8.0,
    "text.color": "#1d242b",
    "axes.edgecolor": "#9aa4ae",
    "axes.labelcolor": "#46505a",
    "xtick.color": "#46505a",
    "ytick.color": "#46505a",
    "grid.color": "#dde3e8",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def histogram(values: Sequence[float], unit: str) -> str:
    """How often which value; the last percent lies in the last bin, so that one outlier does not hide the rest."""
    ordered = sorted(values)
    top = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    low = ordered[0]
    step = max((top - low) / BINS, 1e-6)
    counted = [0] * BINS
    for value in ordered:
        counted[min(int((value - low) / step), BINS - 1)] += 1
    with matplotlib.rc_context(STYLE):
        page, axis = _sheet(unit, "answers")
        edges = [low + at * step for at in range(BINS)]
        axis.bar(edges, counted, width=step, align="edge", color=COLOURS[0], clip_on=False)
        return _render(page)


def line(series: dict[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, from_zero: bool = True) -> str:
    """One or more curves over x."""
    with matplotlib.rc_context(STYLE):
        page, axis = _sheet(x_title, y_title)
        for colour, (name, points) in zip(COLOURS * len(series), series.items(), strict=False):
            axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, label=name, clip_on=False)
        if from_zero:
            axis.set_ylim(0, 1.15 * max(y for points in series.values() for _, y in points) or 1)
        return _render(page, has_legend=len(series) > 1)


def bars(series: dict[str, Sequence[float]], labels: Sequence[str], x_title: str, y_title: str) -> str:
    """Groups of bars, one group a label."""
    with matplotlib.rc_context(STYLE):
        page, axis = _sheet(x_title, y_title)
        width = 0.8 / len(series)
        for at, (name, values) in enumerate(series.items()):
            places = [group - 0.4 + at * width for group in range(len(labels))]
            axis.bar(places, values, width, align="edge", color=COLOURS[at % len(COLOURS)], label=name, clip_on=False)
        every = len(labels) // BARS_LABELLED + 1
        axis.set_xticks(range(0, len(labels), every), labels[::every])
        return _render(page, has_legend=len(series) > 1)


def _sheet(x_title: str, y_title: str) -> tuple[Figure, Any]:
    page = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    axis = page.add_subplot()
    axis.set_xlabel(x_title)
    axis.set_ylabel(y_title)
    axis.grid(axis="y", linewidth=0.6, clip_on=False)
    axis.set_axisbelow(True)
    return page, axis


def _render(page: Figure, has_legend: bool = False) -> str:
    if has_legend:
        page.legend(loc="outside lower left", ncols=4, frameon=False)
    file = io.StringIO()
    page.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _bare(file.getvalue())


def _bare(text: str) -> str:
    """For a place inside a page: no head, comments, metadata or links; no ids but those that are used."""
    root = ElementTree.fromstring(text)  # noqa: S314 - we have just written it
    used = {value for one in root.iter() for name, value in one.items() if name == f"{XLINK}href"}
    for one in list(root.iter()):
        for child in list(one):
            if child.tag.removeprefix(SVG) not in ("svg", "g", "defs", "path", "style", "use", "text", "tspan"):
                one.remove(child)
        if f"#{one.get('id')}" not in used:
            one.attrib.pop("id", None)
        if (target := one.attrib.pop(f"{XLINK}href", None)) is not None:
            one.set("href", target)  # SVG 2 needs no namespace for it
        one.attrib.pop("clip-path", None)
    ElementTree.register_namespace("", SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode")
