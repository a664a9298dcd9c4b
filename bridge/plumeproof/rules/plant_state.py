"""Plant states: codes, the state of a period by majority, and the counters of hours (reference: averaging-rules 3.3).

A state decides whether a short-term average is formed, compared with a limit, and counted in loads. It comes from the
plant's own signals (waste feed, firing, load, oxygen, temperature), slot by slot, by the plant description's rules
(first_level.py). Codes are ordered by preference at a tie: normal operation first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.rules.elementwise import Integers, Truth, Truths, give

OPERATING, OTHER, START_UP, SHUT_DOWN, STOPPED = range(5)
NAMES = ("operating", "other", "start_up", "shut_down", "stopped")  # `other`: OTNOC, abatement failure
STATE_COUNT = len(NAMES)


def state_of(name: str) -> int:
    """The code of a name. Raises RuleError."""
    if name not in NAMES:
        raise RuleError(f"plant state {name[:40]!r}", f"is none of {', '.join(NAMES)}")
    return NAMES.index(name)


def state_of_period(times: Any, rule: str = "majority") -> Any:
    """The state of each period from the time in each state, (5, ...) to (...).

    majority: the one that holds most of it, a tie to normal operation, then in the order of the codes (confidence 0.5).
    whole: operating only if nothing else was, otherwise the longest of the others. Raises RuleError (empty period).
    """
    held = np.asarray(times, np.int64)
    if held.shape[0] != STATE_COUNT or (held.sum(axis=0) <= 0).any() or (held < 0).any():
        raise RuleError("plant states", "a period holds no state; give times of all five, at least one above zero")
    if rule == "majority":
        return give(np.asarray(held.argmax(axis=0), np.uint8))
    if rule != "whole":
        raise RuleError("state_rule", f"{rule[:40]!r} is none of majority, whole")
    others = held[1:]
    found = np.where(others.sum(axis=0) == 0, OPERATING, others.argmax(axis=0) + 1)
    return give(np.asarray(found, np.uint8))


def is_compared(states: Any, start_up_compared: bool, other_compared: bool = True) -> Truth:
    """Where an average is compared with a limit: normal operation; start-up and shut-down as the rule set says; other
    than normal conditions as the permit says (flagged by the caller)."""
    codes = np.asarray(states)
    found = codes == OPERATING
    if start_up_compared:
        found = found | (codes == START_UP) | (codes == SHUT_DOWN)
    if other_compared:
        found = found | (codes == OTHER)
    return give(np.asarray(found))


def uninterrupted(is_on: Truths, before: int = 0) -> Integers:
    """At each step, for how many steps it has lasted, this one included; 0 where it is off. `before`: steps already."""
    on = np.asarray(is_on, np.bool_)
    steps = np.arange(1, on.size + 1, dtype=np.int64)
    last_off = np.maximum.accumulate(np.where(on, 0, steps)) if on.size else steps
    return np.where(on, steps - last_off + np.where(last_off == 0, before, 0), 0)


def within(is_on: Truths, window_begins: Integers) -> Integers:
    """At each step, how many steps since `window_begins` (index of the window's first step) were on, it included."""
    counts = np.concatenate(([0], np.cumsum(np.asarray(is_on, np.bool_), dtype=np.int64)))
    begins = np.asarray(window_begins, np.int64)
    steps = np.arange(1, counts.size, dtype=np.int64)
    if begins.shape != steps.shape or (begins < 0).any() or (begins >= steps).any():
        raise RuleError("window", "must begin at or before its step, one beginning for each step")
    return counts[steps] - counts[begins]


def window_begins(starts_ms: Integers, kind: str, utc_offset_min: int) -> Integers:
    """Index where the window of each step begins: its calendar year, or the 12 months that end with it.

    `starts_ms`: UTC ms of the steps, ascending. 12 months: from the same time of the same day a year before, 28 or 29
    February like the calendar has it. Raises RuleError.
    """
    starts = np.asarray(starts_ms, np.int64)
    if starts.size and (np.diff(starts) <= 0).any():
        raise RuleError("times of steps", "do not ascend; give each step once, in the order of time")
    local = (starts + utc_offset_min * 60_000).astype("datetime64[ms]")
    if kind == "calendar_year":
        begins = local.astype("datetime64[Y]").astype("datetime64[ms]")
    elif kind == "12_months":
        month = local.astype("datetime64[M]")
        in_month = local - month.astype("datetime64[ms]")
        earlier = month - np.timedelta64(12, "M")
        ends = (earlier + np.timedelta64(1, "M")).astype("datetime64[ms]")
        # The step of exactly a year ago is outside. 29 February has no day a year before: the window begins with March.
        year_ago = earlier.astype("datetime64[ms]") + in_month
        begins = np.where(year_ago >= ends, ends, year_ago + np.timedelta64(1, "ms"))
    else:
        raise RuleError(f"window {kind[:40]!r}", "is none of calendar_year, 12_months")
    return np.searchsorted(local, begins, side="left").astype(np.int64)


def exceeds_hours(steps: Any, step_s: int, limit_h: int | None) -> Truth:
    """Whether more than `limit_h` hours have come together; whole numbers, so that 4 h are not more than 4 h."""
    counted = np.asarray(steps, np.int64)
    if limit_h is None:
        return give(np.zeros(counted.shape, np.bool_))
    return give(np.asarray(counted * step_s > limit_h * 3600))
