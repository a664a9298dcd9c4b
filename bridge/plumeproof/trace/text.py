"""A trace as lines for people and as JSON values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from plumeproof.explanation import WIDTH
from plumeproof.rules.step import Step
from plumeproof.trace.stage import Cell, Grid, Stage, Trace

FORMAT = "plumeproof.trace/1"
ROWS_SHOWN = 48  # of a grid in the text; JSON and page have more
CELL_MAX = 60


def lines_of(trace: Trace) -> Iterator[str]:
    """From the figure down; what does not hold is marked."""
    yield f"{trace.id}"
    yield f"from {trace.where}, keys: {trace.keys_from}"
    for number, stage in enumerate(trace.stages, 1):
        yield ""
        yield f"{number}. {stage.title}"
        width = max((len(name) for name, _ in stage.facts), default=0)
        for name, cell in stage.facts:
            yield f"   {name:{width}}  {shown(cell)}"
        yield from _step_lines(stage)
        for grid in stage.grids:
            yield from _grid_lines(grid)
        for check in stage.checks:
            yield f"   {'ok ' if check.is_good else 'NOT OK'} {check.sentence}"
    good = sum(check.is_good for stage in trace.stages for check in stage.checks)
    bad = sum(not check.is_good for stage in trace.stages for check in stage.checks)
    yield ""
    yield f"{'fine' if trace.is_fine else 'NOT FINE'}: {good} checks hold, {bad} do not"


def shown(cell: Cell) -> str:
    """A cell for eyes."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "none" if cell is None else repr(cell) if isinstance(cell, float) else str(cell)


def told(step: Step) -> str:
    """Result of a step with its unit."""
    if isinstance(step.result, bool):
        return "yes" if step.result else "no"
    return f"{step.result!r} {step.unit}".rstrip()


def _step_lines(stage: Stage) -> Iterator[str]:
    for number, step in enumerate(stage.steps, 1):
        yield f"   {number:2}. {step.title}"
        if step.numbers:
            yield from textwrap.wrap(step.numbers, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
        if step.result is not None:
            yield f"       = {told(step)}"
        if step.remark:
            yield f"         {step.remark}"
        if step.source:
            yield f"         [{step.source}]"


def _grid_lines(grid: Grid) -> Iterator[str]:
    yield f"   {grid.title}:"
    rows = [tuple("" if cell == "" else shown(cell)[:CELL_MAX] for cell in row) for row in grid.rows]
    first = 0
    if len(rows) > ROWS_SHOWN and grid.picked is not None:
        first = min(max(0, grid.picked - ROWS_SHOWN // 2), len(rows) - ROWS_SHOWN)
    part = rows[first : first + ROWS_SHOWN]
    widths = [max(map(len, column)) for column in zip(grid.columns, *part, strict=True)]
    yield "     " + "  ".join(f"{name:{width}}" for name, width in zip(grid.columns, widths, strict=True)).rstrip()
    if first:
        yield f"     ... {first} before"
    for number, row in enumerate(part, first):
        mark = "->" if number == grid.picked else "  "
        yield f"   {mark}" + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(rows) > first + len(part):
        yield f"     ... {len(rows) - first - len(part)} behind; --json has all"


def tree_of(trace: Trace) -> dict[str, Any]:
    """The same as JSON values, whole."""
    return {
        "format": FORMAT,
        "id": trace.id,
        "source": trace.where,
        "keys": trace.keys_from,
        "fine": trace.is_fine,
        "stages": [
            {
                "name": stage.name,
                "title": stage.title,
                "facts": dict(stage.facts),
                "steps": [
                    {name: getattr(step, name) for name in ("title", "numbers", "result", "unit", "remark", "source")}
                    for step in stage.steps
                ],
                "grids": [
                    {
                        "title": grid.title,
                        "columns": list(grid.columns),
                        "rows": [list(row) for row in grid.rows],
                        "picked": grid.picked,
                    }
                    for grid in stage.grids
                ],
                "checks": [{"what": check.sentence, "holds": check.is_good} for check in stage.checks],
            }
            for stage in trace.stages
        ],
    }
