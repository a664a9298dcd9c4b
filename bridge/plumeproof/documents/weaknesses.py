"""What an hour's tonnes may rest on that a verifier would not take as it is: calibrations, cylinders, factors.

Judged for every hour by what stands in the plant description, the signed zero and span checks and site.toml:

    calibration  no calibration function in force, QAL2 or AST overdue, AST not passed since the QAL2 (EN 14181:2014),
                 QAL3 chart out of control (back to the last check that was good, until it was mended) or check overdue
    cylinder     the last zero or span check before the hour was made with a cylinder behind its expiry date
    factor       a factor of the source that nobody has confirmed for that day in [[readiness.factor]]

What cannot be judged because nothing is stated (no QAL3, no expiry date) is named beside and never counts as good.
Where the rule set names no interval of QAL2 and AST, those of EN 14181 count: 5 years, 12 months.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from plumeproof.documents.declared import decimal_of, text_of
from plumeproof.documents.readiness_file import Cylinder, Factor
from plumeproof.rules import due_dates, qal3
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.chart_run import OUT, ChartRun, run_chart
from plumeproof.rules.due_dates import DueDate, find_due_dates
from plumeproof.rules.figure import FLOW_ID
from plumeproof.rules.gas_check import CheckReading
from plumeproof.rules.gwp import load_gwp
from plumeproof.rules.plant import Calibration, Measurand, Plant
from plumeproof.rules.quality_plan import AST, FAILED, MAJOR_CHANGE, DoneTest
from plumeproof.rules.settings import Settings

CALIBRATION, CYLINDER, FACTOR = "calibration", "cylinder", "factor"
QAL2_YEARS, AST_MONTHS = 5, 12  # EN 14181:2014, where the rule set says nothing
GWP, BIOMASS = "gwp", "biomass_share_pct"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = tuple[str, str]  # kind, reason
Readings = Callable[[Measurand, str], Sequence[CheckReading]]  # of a measurand at zero or span


@dataclass(frozen=True, slots=True)
class Used:
    """A factor that the tonnes of a source are multiplied by."""

    what: str
    value: Decimal


def local_day(utc_ms: int, offset_min: int) -> date:
    """The site's calendar day of an instant."""
    return (_EPOCH + timedelta(milliseconds=utc_ms + offset_min * MINUTE_MS)).date()


def factors_of(one: Measurand, settings: Settings) -> tuple[Used, ...]:
    """Beside the measurement itself. The potential of CO2 is 1 by definition and no such factor."""
    found = []
    if one.greenhouse_gas not in (None, "CO2") and settings.gwp is not None:
        found.append(Used(GWP, decimal_of(load_gwp().of_set(settings.gwp, str(one.greenhouse_gas)).value)))
    if one.biomass_share_pct:
        found.append(Used(BIOMASS, decimal_of(one.biomass_share_pct)))
    return tuple(found)


def charts_of(one: Measurand, settings: Settings, readings: Readings, until_utc_ms: int) -> tuple[ChartRun, ...]:
    """QAL3 of a measurand from its first check on. Raises RuleError."""
    if one.qal3 is None:
        return ()
    own = qal3.chart_settings_with(settings.shewhart_warning_sigma, settings.shewhart_action_sigma)
    return tuple(
        run_chart(
            one.id,
            one.unit,
            qal3.Key(one.source.device, one.source.channel, point),
            one.qal3,
            own,
            readings(one, point),
            until_utc_ms,
        )
        for point in qal3.POINTS
        if one.qal3.s_ams(point) is not None
    )


def tests_due(
    own: Calibration, tests: Sequence[DoneTest], settings: Settings, day: date, offset_min: int, has_ast: bool
) -> tuple[tuple[DueDate, ...], date | None]:
    """When AST and QAL2 of a calibration function are due, as known on a day, and the first AST since its QAL2 that was
    not passed. `has_ast` False: of the flow, of which a description states none."""
    qal2_on = own.qal2_on or local_day(own.begins, offset_min)
    since = [test for test in tests if qal2_on <= test.on <= day]
    held = [test for test in since if test.what == AST]
    failed_on = min((test.on for test in held if test.result == FAILED), default=None)
    changes = [test.on for test in since if test.what == MAJOR_CHANGE and test.on > qal2_on]
    due = find_due_dates(
        qal2_on,
        max((test.on for test in held), default=None),
        qal2_max_years=settings.qal2_max_years or QAL2_YEARS,
        ast_max_months=(settings.ast_max_months or AST_MONTHS) if has_ast else None,
        ast_failed_on=failed_on,
        major_change_on=min(changes, default=None),
    )
    return due, failed_on


def calibrated_of(plant: Plant, one: Measurand) -> list[tuple[str, tuple[Calibration, ...], tuple[DoneTest, ...]]]:
    """What a mass of the measurand is calibrated by: itself and the flow."""
    found: list[tuple[str, tuple[Calibration, ...], tuple[DoneTest, ...]]] = [(one.id, one.calibrations, one.tests)]
    return found if plant.flow is None else [*found, (FLOW_ID, plant.flow.calibrations, ())]


class Watch:
    """Weaknesses of one declared measurand, hour by hour. `not_judged`: sentences."""

    def __init__(
        self,
        plant: Plant,
        one: Measurand,
        settings: Settings,
        charts: Sequence[ChartRun],
        cylinders: Sequence[Cylinder],
        factors: Sequence[Factor],
    ) -> None:
        """`factors`: those of site.toml that belong to the declared source."""
        self._offset, self._settings = plant.utc_offset_min, settings
        self._charts = [(run, [point.judged.utc_ms for point in run.points]) for run in charts]  # times go on
        self._calibrated = calibrated_of(plant, one)
        self._cylinders = {own.id: own for own in cylinders}
        self._used, self._factors = factors_of(one, settings), factors
        self._spans = [span for run in charts for span in _out_of_control(run)]
        self._by_date: dict[tuple[date, str, str | None], tuple[Found, ...]] = {}
        self.not_judged = tuple(self._unjudged(plant, one))

    def of_hour(self, utc_ms: int) -> tuple[Found, ...]:
        """Of the hour that begins here; kinds may be there more than once, with other reasons."""
        day = local_day(utc_ms, self._offset)
        found = [fault for name, own, tests in self._calibrated for fault in self._dates(name, own, tests, utc_ms, day)]
        found += [(CALIBRATION, reason) for first, end, reason in self._spans if first <= utc_ms < end]
        for run, times in self._charts:
            point, past = run.chart.key.point, bisect_right(times, utc_ms)
            if not past:
                found.append((CALIBRATION, f"{run.measurand}: no QAL3 check at {point} yet"))
                continue
            last = run.points[past - 1]
            if utc_ms > last.judged.utc_ms + run.plan.interval_days * DAY_MS:
                due = local_day(last.judged.utc_ms + run.plan.interval_days * DAY_MS, self._offset)
                found.append((CALIBRATION, f"{run.measurand}: QAL3 check at {point} was due on {due}"))
            cylinder = self._cylinders.get(last.reference_name)
            if cylinder is not None and local_day(last.judged.utc_ms, self._offset) > cylinder.expires:
                told = f"{run.measurand}: checked at {point} with {cylinder.id}, expired on {cylinder.expires}"
                found.append((CYLINDER, told))
        return (*found, *self._unconfirmed(day))

    def _dates(
        self, name: str, calibrations: tuple[Calibration, ...], tests: tuple[DoneTest, ...], utc_ms: int, day: date
    ) -> tuple[Found, ...]:
        in_force = next((own for own in reversed(calibrations) if own.begins <= utc_ms), None)
        key = (day, name, None if in_force is None else in_force.id)
        if key not in self._by_date:
            self._by_date[key] = tuple(self._judged(name, in_force, tests, day))
        return self._by_date[key]

    def _judged(self, name: str, own: Calibration | None, tests: tuple[DoneTest, ...], day: date) -> list[Found]:
        if own is None:
            return [(CALIBRATION, f"{name}: no calibration function (QAL2) is in force")]
        due, failed_on = tests_due(own, tests, self._settings, day, self._offset, has_ast=name != FLOW_ID)
        late = [one for one in due if one.state_on(day) == due_dates.OVERDUE]
        found = [(CALIBRATION, f"{name}: {one.test} was due on {one.due} ({one.why})") for one in late]
        if failed_on is not None:
            found.append((CALIBRATION, f"{name}: AST of {failed_on} was not passed, no QAL2 since"))
        return found

    def _unconfirmed(self, day: date) -> list[Found]:
        found = []
        for used in self._used:
            known = [one for one in self._factors if one.what == used.what and one.value == used.value]
            if not any(one.valid_from <= day <= one.valid_to for one in known):
                found.append((FACTOR, f"{used.what} {text_of(used.value)} is not confirmed"))
        return found

    def _unjudged(self, plant: Plant, one: Measurand) -> list[str]:
        found = []
        if one.qal3 is None:
            found.append(f"{one.id}: plant {plant.id} describes no QAL3, so drift between tests is not watched")
        for run, _ in self._charts:
            for name in sorted({own.name for own in run.plan.gases if own.point == run.chart.key.point}):
                if name not in self._cylinders:
                    found.append(f"{one.id}: {name!r} at {run.chart.key.point} has no [[cylinder]] with an expiry date")
        return found


def _out_of_control(run: ChartRun) -> list[tuple[int, int, str]]:
    """[start, end) in which a chart says that readings cannot be relied on, and why."""
    found: list[tuple[int, int, str]] = []
    good, since, why = 0, None, ""  # end of the last good state; begin of a bad one
    marks = [(event.at, "") for event in run.events] + [(one.judged.utc_ms, one.state) for one in run.points]
    for at, state in sorted(marks):
        is_out = state in OUT
        if is_out and since is None:
            since, why = good or at, f"{run.measurand}: QAL3 at {run.chart.key.point}: {state}"
        elif not is_out:
            if since is not None:
                found.append((since, at, why))
            since, good = None, at
    return found if since is None else [*found, (since, 1 << 62, why)]
