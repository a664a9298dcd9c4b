"""What a plant description says of EN 14181: how QAL3 is done, and what people have done (tests, adjustments, repairs).

Records show what an analyzer read of its test gas; which gas it was, and that somebody has adjusted or repaired, is a
fact that a person states here. QAL3: reference averaging-rules section 8.4; AST and QAL2: sections 8.1 to 8.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from plumeproof.errors import ConfigError
from plumeproof.section import Section, number_in, one_of, setting, text_like, typed

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
KINDS = ("shewhart", "cusum", "ewma")  # as qal3.KINDS, which this does not import: descriptions need no numpy
ZERO, SPAN, BOTH = "zero", "span", "both"
AST, MAJOR_CHANGE = "AST", "major_change"
PASSED, FAILED = "passed", "failed"
ENTRIES_MAX = 1_000  # gases, events, tests: twenty years, one a week


def instant_ms(value: Any, _folder: Path) -> int:
    """Check of an instant: UTC ms."""
    text = typed(value, str)
    try:
        if INSTANT.fullmatch(text):
            return int(datetime.fromisoformat(text).timestamp()) * 1000
    except ValueError:
        pass  # a month 13: refused with the others below
    raise ValueError(f'{text[:30]!r} is no instant; write it in UTC, "2026-01-01T00:00:00Z"')


def site_day(value: Any, _folder: Path) -> date:
    """Check of a day of the site."""
    text = typed(value, str)
    try:
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # 31 February: refused with the others below
    raise ValueError(f'{text[:30]!r} is no day; write "2026-05-01"')


@dataclass(frozen=True, slots=True)
class ReferenceGas:
    """What the analyzer should show at zero or span from an instant on, in the channel's unit: a bottle, a filter."""

    point: str = setting(one_of(ZERO, SPAN))
    begins: int = setting(instant_ms)  # UTC ms
    value: float = setting(number_in(float, -1e9, 1e9))
    name: str = setting(text_like(), "reference")


@dataclass(frozen=True, slots=True)
class ChartEvent:
    """Somebody has adjusted or repaired: the charts of the point begin anew."""

    at: int = setting(instant_ms)  # UTC ms, when it was done
    what: str = setting(one_of("adjusted", "repaired"))
    point: str = setting(one_of(ZERO, SPAN, BOTH), BOTH)


@dataclass(frozen=True, slots=True)
class Qal3:
    """Control charts of one measurand. `zero_s_ams`, `span_s_ams`: from QAL1, in the unit of the channel; a point
    without one has no chart. `settle_s`: from the begin of a check until the reading stands (purge and response time);
    `interval_days`: the next check is due so long after the last.
    """

    kind: str = setting(one_of(*KINDS))
    settle_s: int = setting(number_in(int, 0, 3_600))
    interval_days: int = setting(number_in(int, 1, 366))
    zero_s_ams: float | None = setting(number_in(float, 1e-9, 1e9), None)
    span_s_ams: float | None = setting(number_in(float, 1e-9, 1e9), None)
    gases: tuple[ReferenceGas, ...] = ()
    events: tuple[ChartEvent, ...] = ()

    def s_ams(self, point: str) -> float | None:
        """Of zero or span."""
        return self.zero_s_ams if point == ZERO else self.span_s_ams

    def reference_at(self, point: str, utc_ms: int) -> ReferenceGas | None:
        """The one in force."""
        known = [one for one in self.gases if one.point == point and one.begins <= utc_ms]
        return max(known, key=lambda one: one.begins) if known else None


@dataclass(frozen=True, slots=True)
class DoneTest:
    """An AST and its result, or a major change of plant or AMS (`what`), on a day of the site."""

    what: str = setting(one_of(AST, MAJOR_CHANGE))
    on: date = setting(site_day)
    result: str = setting(one_of(PASSED, FAILED), PASSED)


def read_qal3(section: Section) -> Qal3:
    """[measurand.qal3] with its gases and events. Raises ConfigError."""
    gases, events = section.each("gas", ReferenceGas), section.each("event", ChartEvent)
    found = section.build(Qal3, gases=gases, events=tuple(sorted(events, key=lambda one: one.at)))
    if found.zero_s_ams is None and found.span_s_ams is None:
        raise section.refuse("span_s_ams", "is missing, and zero_s_ams too; one of both makes a chart")
    if max(len(gases), len(events)) > ENTRIES_MAX:
        raise section.refuse(None, f"has more than {ENTRIES_MAX} entries of one kind")
    for point in (ZERO, SPAN):
        own = [one.begins for one in gases if one.point == point]
        if len(set(own)) != len(own):
            raise section.refuse("gas", f"two begin at one instant at {point}; each begins once")
        if found.s_ams(point) is not None and not own:
            raise section.refuse("gas", f"of {point} is missing; [[measurand.qal3.gas]] states what is to be shown")
    return found


def read_tests(section: Section) -> tuple[DoneTest, ...]:
    """[[measurand.test]], oldest first. Raises ConfigError."""
    found = section.each("test", DoneTest)
    if len(found) > ENTRIES_MAX:
        raise ConfigError("measurand.test", f"more than {ENTRIES_MAX}")
    if any(one.what == MAJOR_CHANGE and one.result != PASSED for one in found):
        raise section.refuse("test", "has a result, which belongs to an AST; a change has none")
    return tuple(sorted(found, key=lambda one: one.on))
