"""When AST and QAL2 are due (EN 14181:2014; DK 0.9): AST every year, QAL2 every 5 years (3 in some national law).

A QAL2 counts as that year's AST. A QAL2 is due earlier, within 6 months (DK 0.85), after an AST that was not passed,
after a major change of plant or AMS, or when the surveillance of its range asks for it (qal2_range.py). Dates are the
site's calendar days; a month later is the same day, or the last one of a shorter month. Intervals are settings of the
rule set (qal2_max_years, ast_max_months).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from plumeproof.errors import RuleError

AFTER_CHANGE_MONTHS = 6
SOON_DAYS = 60
FINE, SOON, OVERDUE = "fine", "soon", "overdue"


@dataclass(frozen=True, slots=True)
class DueDate:
    """`test`: AST or QAL2; `due`: last day in time; `why`: interval, ast_failed, range_surveillance or
    major_change."""

    test: str
    due: date
    why: str

    def state_on(self, today: date, soon_days: int = SOON_DAYS) -> str:
        """fine, soon (within `soon_days`) or overdue."""
        if today > self.due:
            return OVERDUE
        return SOON if today + timedelta(days=soon_days) >= self.due else FINE


def find_due_dates(
    last_qal2: date,
    last_ast: date | None = None,
    *,
    qal2_max_years: int | None = 5,
    ast_max_months: int | None = 12,
    ast_failed_on: date | None = None,
    range_left_on: date | None = None,
    major_change_on: date | None = None,
) -> tuple[DueDate, ...]:
    """AST and QAL2, the one or the other left out where the rule set has no interval for it (None). `last_ast`: held,
    with whatever result.

    Events on or before the last QAL2 are answered by it and do not count. Raises RuleError.
    """
    for name, interval, most in (("qal2_max_years", qal2_max_years, 10), ("ast_max_months", ast_max_months, 60)):
        if interval is not None and not 1 <= interval <= most:
            raise RuleError(name, f"{interval} is outside 1..{most}")
    if last_ast is not None and last_ast < last_qal2:
        last_ast = None  # of the calibration before
    found = []
    if ast_max_months is not None:
        found.append(DueDate("AST", add_months(last_ast or last_qal2, ast_max_months), "interval"))
    if qal2_max_years is None:
        return tuple(found)
    qal2 = DueDate("QAL2", add_months(last_qal2, 12 * qal2_max_years), "interval")
    events = (
        (ast_failed_on, "ast_failed"),
        (range_left_on, "range_surveillance"),
        (major_change_on, "major_change"),
    )
    for event, why in events:
        if event is not None and event > last_qal2 and add_months(event, AFTER_CHANGE_MONTHS) < qal2.due:
            qal2 = DueDate("QAL2", add_months(event, AFTER_CHANGE_MONTHS), why)
    return (*found, qal2)


def add_months(day: date, months: int) -> date:
    """The same day of a later month; 31 January and one month is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
