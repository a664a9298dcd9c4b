"""A control chart of QAL3 run over the checks of a ledger: every point judged, its state, when the next is due.

Pure: the same checks and the same plant description give the same chart. A chart begins with the first check that has
a reference; `adjusted` and `repaired` in the description begin it anew. States are words for people:

    in control    the last reading is fine
    warning       Shewhart: beyond the warning limit
    adjust        drift: adjust (CUSUM says by how much) or maintain, then state it as an event
    maintenance   precision alarm: repair, no adjustment
    out of control  Shewhart: beyond the action limit
    no reading    no check with a reading since the begin or the last event
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plumeproof.rules import qal3
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.gas_check import CheckReading
from plumeproof.rules.qal3 import Chart, ChartSettings, Key, Point, Reading
from plumeproof.rules.quality_plan import BOTH, ChartEvent, Qal3

IN_CONTROL, WARNING, ADJUST, MAINTENANCE = "in control", "warning", "adjust", "maintenance"
OUT_OF_CONTROL, NO_READING = "out of control", "no reading"
OUT = (ADJUST, MAINTENANCE, OUT_OF_CONTROL)
NO_REFERENCE = "no_reference"  # the description states no gas for this time
SAME_TIME = "same_time"  # another check of the same point began at the same instant or later
_OF_ALARM = {"drift": ADJUST, "precision": MAINTENANCE, "deviation": OUT_OF_CONTROL}


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One check on the chart. `state`: of the chart with it."""

    checked: CheckReading
    reference: float
    reference_name: str
    judged: Point
    state: str


@dataclass(frozen=True, slots=True)
class ChartRun:
    """`points` and `events` in the order of time; `unused`: checks without a point, with their reason."""

    measurand: str
    unit: str
    plan: Qal3
    chart: Chart
    points: tuple[ChartPoint, ...]
    events: tuple[ChartEvent, ...]
    unused: tuple[tuple[CheckReading, str], ...]
    state: str

    @property
    def next_due_utc_ms(self) -> int | None:
        """When the next check is due; None before the first."""
        return self.points[-1].judged.utc_ms + self.plan.interval_days * DAY_MS if self.points else None

    @property
    def is_out(self) -> bool:
        """Whether somebody has to act."""
        return self.state in OUT


def run_chart(
    measurand: str,
    unit: str,
    key: Key,
    plan: Qal3,
    settings: ChartSettings,
    checks: Sequence[CheckReading],
    until_utc_ms: int,
) -> ChartRun:
    """Checks that begin before `until_utc_ms`; events until then. Raises RuleError."""
    s_ams = plan.s_ams(key.point)
    assert s_ams is not None  # whoever asks has seen it
    chart = empty = qal3.start_chart(key, plan.kind, s_ams, settings)
    events = [one for one in plan.events if one.point in (key.point, BOTH) and one.at < until_utc_ms]
    points: list[ChartPoint] = []
    unused: list[tuple[CheckReading, str]] = []
    state, waiting = NO_READING, list(events)
    for one in sorted(checks, key=lambda each: each.utc_ms or 0):
        if one.utc_ms is None or one.reading is None:
            if one.utc_ms is None or one.utc_ms < until_utc_ms:
                unused.append((one, one.reason))
            continue
        if one.utc_ms >= until_utc_ms:
            continue
        while waiting and waiting[0].at <= one.utc_ms:
            chart, state = empty, NO_READING
            waiting.pop(0)
        gas = plan.reference_at(key.point, one.utc_ms)
        if gas is None:
            unused.append((one, NO_REFERENCE))
            continue
        if points and one.utc_ms <= points[-1].judged.utc_ms:
            unused.append((one, SAME_TIME))
            continue
        chart, judged = chart.take(Reading(one.utc_ms, one.reading, gas.value))
        if judged.verdict != qal3.HELD:  # a held chart keeps the state that its alarm gave
            state = _OF_ALARM[judged.alarm] if judged.alarm else WARNING if judged.verdict == WARNING else IN_CONTROL
        points.append(ChartPoint(one, gas.value, gas.name, judged, state))
    if waiting:
        chart, state = empty, NO_READING
    return ChartRun(measurand, unit, plan, chart, tuple(points), tuple(events), tuple(unused), state)
