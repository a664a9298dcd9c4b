"""One line of what a plant is judged by over a year: what was compared, with what, and the verdict.

Limits (limit_account.py), hours of plant states (state_hours.py), lost days, and the checks of an annual emission
(limit_account.py, outages.py) all give such lines, so that a face shows and files them in one form.
"""

from __future__ import annotations

from dataclasses import dataclass

# Verdicts. STATED: a number to be known; nothing limits it
KEPT, EXCEEDED, NOT_JUDGED, STATED = "kept", "exceeded", "not judged", "stated"
PLANT = "plant"  # subject of what no measurand has by itself

# What a line is about
LIMIT, LOST_DAYS, STATES = "limit", "lost_days", "states"
TIER, OUTAGE, CORROBORATION = "tier", "outage", "corroboration"


@dataclass(frozen=True, slots=True)
class Case:
    """One average that was above: [start, end) and the value, unrounded."""

    start_utc_ms: int
    end_utc_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """`subject`: a measurand, or "plant"; [start, end) of what was seen of the year.

    `requirement`: lines of one subject, rule set and year with the same number are alternatives, one of which must be
    kept; `verdict` is the line's own, `is_met` the requirement's (None: nothing of it was judged). `compared` is the
    greatest value, or the number itself; `compared_text` as it was rounded for the comparison (reference 5.2). Of `n`
    averages `n_over` are above `limit` and `n_allowed` may be. `cases`: what was above. `reason`: why not judged, or
    what to know.
    """

    rule_set: str
    subject: str
    year: int
    start_utc_ms: int
    end_utc_ms: int
    is_whole: bool
    about: str
    requirement: int
    test: str
    averages: str
    unit: str
    limit: str
    verdict: str
    is_met: bool | None
    n: int | None = None
    n_over: int | None = None
    n_allowed: int | None = None
    compared: float | None = None
    compared_text: str = ""
    at: Case | None = None
    cases: tuple[Case, ...] = ()
    reason: str = ""

    @property
    def kept_pct(self) -> float | None:
        """Share of the averages that are at most the limit; None without any."""
        return None if not self.n or self.n_over is None else 100.0 * (self.n - self.n_over) / self.n
