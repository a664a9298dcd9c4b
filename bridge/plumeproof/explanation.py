"""Explanations (rules/explain.py, explain_longer.py) for people and as JSON values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from plumeproof.figure_files import local_time, row_of
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.explain import Explanation
from plumeproof.rules.explain_longer import LongExplanation
from plumeproof.rules.figure import Figure
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.step import Step, Table

WIDTH = 118  # of arithmetic in the text


def explanation_lines(one: Explanation | LongExplanation, offset_min: int) -> Iterator[str]:
    """Text: every step with its numbers, then the engine's figures, then what was added."""
    begin, end = local_time(one.start_utc_ms, offset_min), local_time(one.end_utc_ms, offset_min)
    what = f"plant state {one.state}" if isinstance(one, Explanation) else one.level
    yield f"{one.measurand} from {begin} to {end}, {what}"
    rules = one.rules
    yield f"rule set {rules.id} {rules.version} [{rules.status}] {rules.digest.hex()}"
    yield f"  {rules.title}; {rules.source}"
    yield from _step_lines(one.steps)
    yield from _figure_lines(one.figures)
    if isinstance(one, Explanation):
        yield "minutes of calibrated values (begin, valid slots, their sum):"
        for start, n, total in one.minutes:
            yield f"  {local_time(start, offset_min)[11:16]}  {n:5}  {total!r}"
        yield ""
        return
    for table in one.tables:
        yield from _table_lines(table, offset_min)


def _step_lines(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield ""
        yield f"{number:2}. {step.title}"
        if step.numbers:
            yield from textwrap.wrap(step.numbers, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        if step.result is not None:
            yield f"    = {_told(step)}"
        if step.remark:
            yield f"      {step.remark}"
        if step.source:
            yield f"      [{step.source}]"
    yield ""


def _figure_lines(figures: Sequence[Figure]) -> Iterator[str]:
    yield "figures of the engine:"
    for figure in figures:
        value = "none" if figure.value is None else f"{figure.value!r} {figure.unit}"
        told = ", ".join(("valid" if figure.is_valid else "not valid", *figure.flags))
        yield f"  {figure.layer:20} {value}  ({told})"
    figure = figures[0]
    for own in figure.inputs:
        yield f"  from {own.device} seq {own.first_seq} to {own.last_seq}, last record {own.head_hash.hex()}"
    yield f"  plant description {figure.plant_hash.hex()}, engine {figure.engine}"
    yield ""


def _table_lines(table: Table, offset_min: int) -> Iterator[str]:
    """Days by their date, averages of a day by their time; a run of rows without any value in one line."""
    step_ms = table.rows[1].start_utc_ms - table.rows[0].start_utc_ms if len(table.rows) > 1 else DAY_MS
    part = slice(0, 10) if step_ms >= DAY_MS else slice(11, 16)
    yield f"{table.title} ({table.unit}):"
    for (is_empty, remark), run in groupby(table.rows, key=lambda row: (row.value is None, row.remark)):
        rows = list(run)
        if is_empty and len(rows) > 2:
            first, last = (local_time(row.start_utc_ms, offset_min)[part] for row in (rows[0], rows[-1]))
            yield f"  {first} to {last}  none  {remark}".rstrip()
            continue
        for row in rows:
            value = "none" if row.value is None else repr(row.value)
            yield f"  {local_time(row.start_utc_ms, offset_min)[part]}  {value:22}  {row.remark}".rstrip()
    yield ""


def explanation_tree(one: Explanation | LongExplanation, offset_min: int) -> dict[str, Any]:
    """The same as JSON values."""
    tree = {
        "measurand": one.measurand,
        "start": local_time(one.start_utc_ms, offset_min),
        "end": local_time(one.end_utc_ms, offset_min),
        "rule_set": _rule_tree(one.rules),
        "steps": [
            {
                "title": step.title,
                "numbers": step.numbers,
                "result": step.result,
                "unit": step.unit,
                "remark": step.remark,
                "source": step.source,
            }
            for step in one.steps
        ],
        "figures": [row_of(figure, offset_min) for figure in one.figures],
    }
    if isinstance(one, Explanation):
        minutes = [{"start": local_time(start, offset_min), "n": n, "sum": total} for start, n, total in one.minutes]
        return tree | {"state": one.state, "minutes": minutes}
    return tree | {
        "level": one.level,
        "tables": [
            {
                "title": table.title,
                "unit": table.unit,
                "rows": [
                    {"start": local_time(row.start_utc_ms, offset_min), "value": row.value, "remark": row.remark}
                    for row in table.rows
                ],
            }
            for table in one.tables
        ],
    }


def _rule_tree(rules: RuleSet) -> dict[str, Any]:
    return {
        "id": rules.id,
        "version": rules.version,
        "title": rules.title,
        "source": rules.source,
        "status": rules.status,
        "hash": rules.digest.hex(),
    }


def _told(step: Step) -> str:
    if isinstance(step.result, bool):
        return "yes" if step.result else "no"
    return f"{step.result!r} {step.unit}".rstrip()
