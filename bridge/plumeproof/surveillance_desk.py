"""Surveillance of a plant's analyzers by EN 14181, for faces: QAL3 charts, weeks outside the valid range, due dates.

Everything is made anew from signed records and the plant description; nothing is kept. Charts run from the first check
in the ledger, whatever period is looked at, because a chart remembers (rules/chart_run.py). Weeks are those since the
last QAL2 or AST, from valid standardised short-term averages of the plant's first rule set (rules/qal2_range.py).

    desk = SurveillanceDesk(engine, strips, checks)
    survey = desk.survey(until_utc_ms, today_utc_ms)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from plumeproof.figure_desk import FigureDesk
from plumeproof.ledger_checks import LedgerChecks
from plumeproof.ledger_strips import LedgerStrips, Tick
from plumeproof.rules import due_dates, qal3
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.chart_run import ChartRun, run_chart
from plumeproof.rules.due_dates import DueDate, find_due_dates
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import SHORT_TERM, STANDARDISED, Figure
from plumeproof.rules.plant import Calibration, Measurand
from plumeproof.rules.qal2 import ValidRange
from plumeproof.rules.qal2_range import Surveillance, count_weeks, survey_weeks
from plumeproof.rules.quality_plan import AST, FAILED, MAJOR_CHANGE, DoneTest

WARN_DAYS = 3  # before a zero and span check is due


@dataclass(frozen=True, slots=True)
class Judged:
    """A chart; `due`: fine, soon or overdue for its next check (no check yet: overdue)."""

    run: ChartRun
    due: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """QAL2 of one measurand. `function`: in force, None: none; `ast_on`: the last one held; `ast_failed_on`: the first
    one since the QAL2 that was not passed; `weeks` None: no valid range is stated. `states`: of each due date: fine,
    soon, overdue."""

    measurand: str
    function: Calibration | None
    qal2_on: date | None
    ast_on: date | None
    ast_failed_on: date | None
    weeks: Surveillance | None
    due: tuple[DueDate, ...]
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a plant engineer has to know on `today`, of records until `until_utc_ms`."""

    today_utc_ms: int
    until_utc_ms: int
    charts: tuple[Judged, ...]
    calibrated: tuple[Calibrated, ...]
    remarks: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        """Nothing out of control, nothing overdue, no AST failed since the QAL2, no week too far outside."""
        charts = all(not one.run.is_out and one.due != due_dates.OVERDUE for one in self.charts)
        ranges = all(one.weeks is None or not one.weeks.is_qal2_due for one in self.calibrated)
        tests = all(one.ast_failed_on is None and due_dates.OVERDUE not in one.states for one in self.calibrated)
        return charts and ranges and tests


class SurveillanceDesk:
    """One plant. One thread. Raises StoreError, RuleError."""

    def __init__(self, engine: Engine, strips: LedgerStrips, checks: LedgerChecks) -> None:
        self.engine = engine
        self._strips = strips
        self._checks = checks
        self._rules = engine.rule_sets[0]
        self._offset = engine.plant.utc_offset_min
        self._faults: list[str] = []  # of the averages that weeks were counted from

    def survey(self, until_utc_ms: int, today_utc_ms: int, tick: Tick = lambda count: None) -> Survey:
        """`tick` is told of every day whose averages are made."""
        settings = self._rules.settings
        chart_settings = qal3.chart_settings_with(settings.shewhart_warning_sigma, settings.shewhart_action_sigma)
        charts = [
            self._judged(one, point, chart_settings, until_utc_ms, today_utc_ms)
            for one in self.engine.plant.measurands
            if one.qal3 is not None
            for point in qal3.POINTS
            if one.qal3.s_ams(point) is not None
        ]
        calibrated = self._calibrated(until_utc_ms, today_utc_ms, tick)
        return Survey(today_utc_ms, until_utc_ms, tuple(charts), tuple(calibrated), tuple(self._remarks()))

    def _judged(
        self, one: Measurand, point: str, settings: qal3.ChartSettings, until_utc_ms: int, today_utc_ms: int
    ) -> Judged:  # fmt: skip
        assert one.qal3 is not None
        key = qal3.Key(one.source.device, one.source.channel, point)
        checks = self._checks.readings(one, point)
        run = run_chart(one.id, one.unit, key, one.qal3, settings, checks, until_utc_ms)
        due = run.next_due_utc_ms
        if due is None or today_utc_ms > due:
            return Judged(run, due_dates.OVERDUE)
        return Judged(run, due_dates.SOON if today_utc_ms + WARN_DAYS * DAY_MS >= due else due_dates.FINE)

    def _calibrated(self, until_utc_ms: int, today_utc_ms: int, tick: Tick) -> list[Calibrated]:
        wanted: list[tuple[Measurand, Calibration | None, date | None, tuple[DoneTest, ...]]] = []
        for one in self.engine.plant.measurands:
            in_force = [entry for entry in one.calibrations if entry.begins < until_utc_ms]
            function = in_force[-1] if in_force else None
            qal2_on = None if function is None else function.qal2_on or self._day(function.begins)
            until = self._day(until_utc_ms - 1)
            since = () if qal2_on is None else tuple(test for test in one.tests if qal2_on <= test.on <= until)
            wanted.append((one, function, qal2_on, since))
        ranged = {
            one.id: self._utc_ms(max([qal2_on, *(test.on for test in since if test.what == AST)]))
            for one, function, qal2_on, since in wanted
            if function is not None and function.valid_to is not None and qal2_on is not None
        }
        terms = self._terms(ranged, until_utc_ms, tick)
        return [self._of(*entry, terms.get(entry[0].id, []), until_utc_ms, today_utc_ms) for entry in wanted]

    def _of(
        self,
        one: Measurand,
        function: Calibration | None,
        qal2_on: date | None,
        since: tuple[DoneTest, ...],
        terms: list[Figure],
        until_utc_ms: int,
        today_utc_ms: int,
    ) -> Calibrated:
        if function is None or qal2_on is None:
            return Calibrated(one.id, None, None, None, None, None, (), ())
        weeks, left_on = None, None
        if function.valid_to is not None:
            counted = count_weeks(
                [term.start_utc_ms for term in terms],
                [0.0 if term.value is None else term.value for term in terms],
                [term.is_valid and term.value is not None for term in terms],
                ValidRange(function.valid_from, function.valid_to),
                self._offset,
            )
            weeks = survey_weeks(counted)
            left_on = None if weeks.due_since_utc_ms is None else self._day(weeks.due_since_utc_ms)
        held = [test for test in since if test.what == AST]
        ast_on = max((test.on for test in held), default=None)
        failed_on = min((test.on for test in held if test.result == FAILED), default=None)
        settings = self._rules.settings
        due = find_due_dates(
            qal2_on,
            ast_on,
            qal2_max_years=settings.qal2_max_years,
            ast_max_months=settings.ast_max_months,
            ast_failed_on=failed_on,
            range_left_on=left_on,
            major_change_on=min(
                (test.on for test in since if test.what == MAJOR_CHANGE and test.on > qal2_on), default=None
            ),
        )
        states = tuple(entry.state_on(self._day(today_utc_ms)) for entry in due)
        return Calibrated(one.id, function, qal2_on, ast_on, failed_on, weeks, due, states)

    def _terms(self, since: dict[str, int], until_utc_ms: int, tick: Tick) -> dict[str, list[Figure]]:
        """Standardised short-term averages of each measurand since its last test, of one length."""
        extent = self._strips.extent()
        if not since or extent is None:
            return {}
        period = max(min(since.values()), extent[0]), min(until_utc_ms, extent[1])
        if period[1] <= period[0]:
            return {}
        main = Engine(self.engine.plant, (self._rules,))
        found: dict[str, list[Figure]] = {name: [] for name in since}
        lengths = {name: self._rules.settings.sta_min_of(name)[0] * MINUTE_MS for name in since}
        desk = FigureDesk(main, self._strips)
        for one in desk.figures((SHORT_TERM,), (main.floor(period[0]), period[1]), tick):
            is_wanted = one.layer == STANDARDISED and one.measurand in since
            if is_wanted and one.start_utc_ms >= since[one.measurand]:
                if one.end_utc_ms - one.start_utc_ms == lengths[one.measurand]:
                    found[one.measurand].append(one)
        self._faults = [remark.sentence for remark in desk.remarks() if remark.is_fault]
        return found

    def _remarks(self) -> list[str]:
        return self._faults + [
            f"{device}: {count} calibration records cannot be read; see `plumeproof verify`"
            for device, count in sorted(self._checks.unreadable.items())
        ]

    def _day(self, utc_ms: int) -> date:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms + self._offset * MINUTE_MS)).date()

    def _utc_ms(self, day: date | None) -> int:
        assert day is not None  # whoever has a range has a QAL2
        return (day - date(1970, 1, 1)).days * DAY_MS - self._offset * MINUTE_MS
