"""The worked examples of the reference (tests/vectors/averaging/ID.json), and how close a result must come.

part = example("E07")        # first block of that example; example("E11", 1) is its second
assert_close(found, part["expected"]["c_norm"])
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "averaging"
REL = 1e-9  # the reference: 12 significant digits printed, this asserted


def example_ids() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def example(name: str, part: int = 0) -> Any:
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert found["id"] == name
    return found["parts"][part]


def assert_close(found: float, wanted: float, rel: float = REL) -> None:
    """Fails unless `found` is `wanted` within `rel`; zero must be zero up to 1e-12."""
    assert math.isclose(float(found), wanted, rel_tol=rel, abs_tol=1e-12), f"{float(found)!r} is not {wanted!r}"
