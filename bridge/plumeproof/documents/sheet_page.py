"""A sheet as one HTML page: self-contained, nothing in it runs, the same bytes each time."""

from __future__ import annotations

from typing import Any

import jinja2

from plumeproof.documents.sheet import Sheet

_LOADER = jinja2.PackageLoader("plumeproof.documents", "templates")


def page_of(sheet: Sheet) -> str:
    """HTML5. All text is escaped."""
    environment = jinja2.Environment(
        loader=_LOADER, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["kind"] = _is_kind
    return environment.get_template("sheet.html").render(sheet=sheet)


def _is_kind(block: Any, name: str) -> bool:
    return type(block).__name__ == name
