"""A step of written arithmetic: what an engineer follows with a calculator (explain.py, explain_longer.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.summation import LANES

DOUBTFUL_BELOW = 0.8  # confidence, as RuleSet.doubtful
ORDER = "lanes20-v1, bridge/EVIDENCE.md section 3"
WRITTEN_MAX = 62  # addends of a sum that is written out: half-hours of a day, days of two months


@dataclass(frozen=True, slots=True)
class Step:
    """`numbers` gives `result`; one without a result says in `remark` why. `source`: the rule, and how sure it is."""

    title: str
    numbers: str
    result: float | int | bool | None
    unit: str = ""
    source: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One addend: an average of a day, a day of a period, an hour. `value` None: it has none."""

    start_utc_ms: int
    value: float | None
    remark: str


@dataclass(frozen=True, slots=True)
class Table:
    """Addends under a heading."""

    title: str
    unit: str
    rows: tuple[Row, ...]


def source_of(rules: RuleSet, clause: str, *settings: str) -> str:
    """Clause, and of each setting its value, who gave it and how sure that is."""
    told = [clause] if clause else []
    for name in settings:
        sure = rules.confidence[name]
        mark = "⚠ " if sure.value < DOUBTFUL_BELOW else ""
        value = getattr(rules.settings, name)
        value = dict(value) if isinstance(value, Mapping) else value
        given = f"{rules.given_by[name]}, {mark}confidence {sure.value:g}: {sure.note}"
        told.append(f"{name} = {value} ({given})")
    return "; ".join(told)


def write_sum(addends: Sequence[str | None]) -> str:
    """The sum of texts in the order lanes20-v1, so that it gives the engine's bits; None: counts as nothing. Empty
    where nothing is added, or more than a person would type."""
    written = [text for text in addends if text is not None]
    if not written or len(addends) > WRITTEN_MAX:
        return ""
    lanes = [_plus(addends[lane::LANES]) for lane in range(LANES)]
    ten = [_plus(lanes[place :: LANES // 2]) for place in range(LANES // 2)]
    five = [_plus(ten[place :: LANES // 4]) for place in range(LANES // 4)]
    found = _plus([_plus([_plus(five[0:2]), _plus(five[2:4])]), five[4]])
    return _without_brackets(found or "")


def _plus(texts: Sequence[str | None]) -> str | None:
    """Added from the left; in brackets where there is more than one."""
    written = [text for text in texts if text is not None]
    if not written:
        return None
    return written[0] if len(written) == 1 else f"({' + '.join(written)})"


def _without_brackets(text: str) -> str:
    """A pair around everything says nothing."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text
