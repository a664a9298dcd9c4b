"""What a bench returns: named figures with unit and what each is compared with; a table, and JSON for machines."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is a number or a text; `beside`: the peer or limit, in a few words."""

    name: str
    value: float | int | str
    unit: str
    beside: str = ""


def to_json(figures: list[Figure]) -> str:
    """One object on one line, in the order given."""
    return json.dumps({figure.name: figure.value for figure in figures})


def to_table(figures: list[Figure]) -> str:
    """Name, value, unit, beside; one figure a line."""
    names = max(len(figure.name) for figure in figures)
    values = max(len(_text(figure.value)) for figure in figures)
    units = max(len(figure.unit) for figure in figures)
    lines = [
        f"{figure.name:<{names}}  {_text(figure.value):>{values}}  {figure.unit:<{units}}  {figure.beside}".rstrip()
        for figure in figures
    ]
    return "\n".join(lines)


def _text(value: float | int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
