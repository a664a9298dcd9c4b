"""An explanation (rules/explain.py) for people and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plumeproof.figure_files import local_time, row_of
from plumeproof.rules.explain import Explanation, Step


def explanation_lines(one: Explanation, offset_min: int) -> Iterator[str]:
    """Text: every step with its numbers, then the engine's figures."""
    rules = one.rules
    begin, end = local_time(one.start_utc_ms, offset_min), local_time(one.end_utc_ms, offset_min)
    yield f"{one.measurand} from {begin} to {end}, plant state {one.state}"
    yield f"rule set {rules.id} {rules.version} [{rules.status}] {rules.digest.hex()}"
    yield f"  {rules.title}; {rules.source}"
    for number, step in enumerate(one.steps, 1):
        yield ""
        yield f"{number:2}. {step.title}"
        if step.numbers:
            yield f"      {step.numbers}"
        if step.result is not None:
            yield f"    = {_told(step)}"
        if step.remark:
            yield f"      {step.remark}"
        if step.source:
            yield f"      [{step.source}]"
    yield ""
    yield "figures of the engine:"
    for figure in one.figures:
        value = "none" if figure.value is None else f"{figure.value!r} {figure.unit}"
        told = ", ".join(("valid" if figure.is_valid else "not valid", *figure.flags))
        yield f"  {figure.layer:20} {value}  ({told})"
    figure = one.figures[0]
    for own in figure.inputs:
        yield f"  from {own.device} seq {own.first_seq} to {own.last_seq}, last record {own.head_hash.hex()}"
    yield f"  plant description {figure.plant_hash.hex()}, engine {figure.engine}"
    yield ""
    yield "minutes of calibrated values (begin, valid slots, their sum):"
    for start, n, total in one.minutes:
        yield f"  {local_time(start, offset_min)[11:16]}  {n:5}  {total!r}"
    yield ""


def explanation_tree(one: Explanation, offset_min: int) -> dict[str, Any]:
    """The same as JSON values."""
    rules = one.rules
    return {
        "measurand": one.measurand,
        "start": local_time(one.start_utc_ms, offset_min),
        "end": local_time(one.end_utc_ms, offset_min),
        "state": one.state,
        "rule_set": {
            "id": rules.id,
            "version": rules.version,
            "title": rules.title,
            "source": rules.source,
            "status": rules.status,
            "hash": rules.digest.hex(),
        },
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
        "minutes": [
            {"start": local_time(start, offset_min), "n": n, "sum": total} for start, n, total in one.minutes
        ],
    }  # fmt: skip


def _told(step: Step) -> str:
    if isinstance(step.result, bool):
        return "yes" if step.result else "no"
    return f"{step.result!r} {step.unit}".rstrip()
