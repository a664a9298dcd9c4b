"""Lines of the review about days: QAL2, AST and QAL3 of every analyzer, cylinders, permits, papers, accreditation.

Each must hold on the deadline, or on the day of the review where that is later; what ends soon after it is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from plumeproof.documents.readiness import DATES, MISSING, NOT_ASKED, READY, UNJUDGED, Line
from plumeproof.documents.readiness_file import Cylinder, ReadinessFile
from plumeproof.documents.site import SiteFile, day_text
from plumeproof.documents.weaknesses import local_day, tests_due
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.chart_run import ChartRun
from plumeproof.rules.figure import FLOW_ID
from plumeproof.rules.plant import Calibration, Plant
from plumeproof.rules.qal2_range import Surveillance
from plumeproof.rules.quality_plan import DoneTest
from plumeproof.rules.settings import Settings


@dataclass(frozen=True, slots=True)
class Days:
    """`on`: the day of the review; `must_hold`: the day on which all must hold; `soon_days` behind it is named."""

    on: date
    must_hold: date
    soon_days: int

    def left(self, day: date) -> str:
        """How long until a day, in words."""
        count = (day - self.on).days
        if count == 0:
            return "the last day is today"
        return f"{abs(count)} day{'' if abs(count) == 1 else 's'} {'left' if count > 0 else 'ago'}"


@dataclass(frozen=True, slots=True)
class Watched:
    """A plant as it is judged: `file` its description; `charts` by measurand; `weeks` where a valid range is stated."""

    plant: Plant
    file: str
    settings: Settings
    charts: dict[str, tuple[ChartRun, ...]]
    weeks: dict[str, Surveillance]


def quality_lines(watched: Watched, cylinders: Sequence[Cylinder], days: Days) -> Iterator[Line]:
    """QAL2 and AST of each measurand and of the flow, QAL3, valid range, and the gases that are checked with."""
    plant = watched.plant
    calibrated: list[tuple[str, tuple[Calibration, ...], tuple[DoneTest, ...]]] = [
        (one.id, one.calibrations, one.tests) for one in plant.measurands
    ]
    if plant.flow is not None:
        calibrated.append((FLOW_ID, plant.flow.calibrations, ()))
    for name, calibrations, tests in calibrated:
        yield from _tests(watched, name, calibrations, tests, days)
    for one in plant.measurands:
        if one.qal3 is None:
            asked = f"{one.id} of {plant.id}: zero and span checks (QAL3)"
            mend = f"describe [measurand.qal3] of {one.id}, and check with gas"
            yield Line(f"dates.qal3.{plant.id}.{one.id}", DATES, asked, MISSING, f"{watched.file} describes none", mend)
        for run in watched.charts.get(one.id, ()):
            yield _chart(watched, run, days)
        if one.id in watched.weeks:
            yield _weeks(watched, one.id)
    yield from _gases(watched, cylinders, days)


def paper_lines(site_file: SiteFile, own: ReadinessFile, days: Days) -> Iterator[Line]:
    """Permits, the papers of [[readiness.paper]], and the verification body's accreditation."""
    name = site_file.path.name
    for permit in site_file.site.permits:
        asked, mend = f"Discharge permit {permit.number}", f"have it renewed by {permit.authority}"
        if permit.valid_from > days.must_hold:
            told = f"{name} [[permit]] valid_from {permit.valid_from}, after {days.must_hold}"
            yield Line(f"dates.permit.{permit.number}", DATES, asked, MISSING, told, mend)
        else:
            yield ending_line(
                f"dates.permit.{permit.number}", DATES, asked, permit.valid_to, f"{name} [[permit]]", mend, days
            )
    for paper in own.papers:
        if paper.valid_to is not None:
            asked = f"{paper.kind.replace('_', ' ').capitalize()}: {paper.name} ({paper.reference})"
            where = f"{name} [[readiness.paper]]"
            yield ending_line(f"dates.paper.{paper.name}", DATES, asked, paper.valid_to, where, "renew it", days)
    asked = "Accreditation of the verification body"
    body = site_file.section("verification").inner("body")
    until = body.value("valid_until", day_text, None)
    if until is None:
        mend = "name the body and the end of its accreditation in [verification.body]"
        yield Line("dates.accreditation", DATES, asked, MISSING, f"{name} names no body", mend)
    else:
        mend = "ask the body for its renewed accreditation"
        yield ending_line("dates.accreditation", DATES, asked, until, f"{name} [verification.body]", mend, days)


def ending_line(key: str, group: str, asked: str, day: date, where: str, mend: str, days: Days) -> Line:
    """Of anything that holds until a day."""
    told = f"{where}: until {day}, {days.left(day)}"
    if day < days.on:
        return Line(key, group, asked, MISSING, told, mend)
    if day < days.must_hold:
        return Line(key, group, asked, MISSING, f"{told}, before the deadline of {days.must_hold}", mend)
    return Line(key, group, asked, READY, told, mend if (day - days.must_hold).days <= days.soon_days else "")


def _tests(
    watched: Watched, name: str, calibrations: tuple[Calibration, ...], tests: tuple[DoneTest, ...], days: Days
) -> Iterator[Line]:
    plant, offset = watched.plant, watched.plant.utc_offset_min
    in_force = next((one for one in reversed(calibrations) if local_day(one.begins, offset) <= days.on), None)
    asked = f"{name} of {plant.id}: calibration (QAL2)"
    if in_force is None:
        mend = f"have {name} calibrated; `plumeproof calibration qal2` makes the function from parallel measurements"
        told = f"{watched.file} states no calibration function in force"
        yield Line(f"dates.qal2.{plant.id}.{name}", DATES, asked, MISSING, told, mend)
        return
    due, failed_on = tests_due(in_force, tests, watched.settings, days.on, offset, has_ast=name != FLOW_ID)
    for one in due:
        asked = f"{name} of {plant.id}: {'annual test (AST)' if one.test == 'AST' else 'calibration (QAL2)'}"
        where = f"{watched.file}, function {in_force.id}"
        mend = f"have the {one.test} made before {one.due}; bring it in with `plumeproof calibration`"
        yield ending_line(f"dates.{one.test.lower()}.{plant.id}.{name}", DATES, asked, one.due, where, mend, days)
    if failed_on is not None:
        asked = f"{name} of {plant.id}: last annual test passed"
        mend = "have a new QAL2 made; the function in force is not valid any more"
        told = f"{watched.file}: AST of {failed_on} was not passed"
        yield Line(f"dates.ast_passed.{plant.id}.{name}", DATES, asked, MISSING, told, mend)


def _chart(watched: Watched, run: ChartRun, days: Days) -> Line:
    plant, point = watched.plant, run.chart.key.point
    key, asked = f"dates.qal3.{plant.id}.{run.measurand}.{point}", f"{run.measurand} of {plant.id}: QAL3 at {point}"
    command = "`plumeproof surveillance` shows the chart"
    if run.next_due_utc_ms is None:
        return Line(key, DATES, asked, MISSING, f"no check in the ledger; {command}", f"check {run.measurand} with gas")
    last = run.points[-1]
    day = local_day(last.judged.utc_ms, plant.utc_offset_min)
    due = local_day(last.judged.utc_ms + run.plan.interval_days * DAY_MS, plant.utc_offset_min)
    told = f"last check {day}: {run.state}; next due {due}, {days.left(due)}; {command}"
    if run.is_out:
        return Line(key, DATES, asked, MISSING, told, "adjust or repair, then state it in [[measurand.qal3.event]]")
    if days.on > due:
        return Line(key, DATES, asked, MISSING, told, f"check {run.measurand} at {point} with gas")
    return Line(key, DATES, asked, READY, told)


def _weeks(watched: Watched, name: str) -> Line:
    plant, weeks = watched.plant, watched.weeks[name]
    key, asked = f"dates.range.{plant.id}.{name}", f"{name} of {plant.id}: measured inside its valid range"
    told = "weeks since the last QAL2 or AST; `plumeproof surveillance` lists them"
    if weeks.is_qal2_due:
        return Line(key, DATES, asked, MISSING, f"left too often: {told}", "have a QAL2 made for the wider range")
    return Line(key, DATES, asked, READY, told)


def _gases(watched: Watched, cylinders: Sequence[Cylinder], days: Days) -> Iterator[Line]:
    known = {one.id: one for one in cylinders}
    used: dict[str, list[str]] = {}
    for runs in watched.charts.values():
        for run in runs:
            until = (days.on - date(1970, 1, 1)).days * DAY_MS + DAY_MS
            gas = run.plan.reference_at(run.chart.key.point, until)
            if gas is not None:
                used.setdefault(gas.name, []).append(f"{run.measurand} {run.chart.key.point}")
    for name, uses in used.items():
        key, asked = f"dates.cylinder.{name}", f"Test gas {name!r} ({', '.join(uses)} of {watched.plant.id})"
        if name not in known:
            mend = f'state its expiry date: [[cylinder]] id = "{name}"; expires = "9999-12-31" for what has none'
            yield Line(key, DATES, asked, UNJUDGED, "no [[cylinder]] of this name in site.toml", mend)
        else:
            one = known[name]
            where = f"[[cylinder]], certificate {one.certificate}" if one.certificate else "[[cylinder]]"
            yield ending_line(key, DATES, asked, one.expires, where, "order a new cylinder with its certificate", days)
    if not used:
        yield Line(
            f"dates.cylinder.{watched.plant.id}", DATES, f"Test gases of {watched.plant.id}", NOT_ASKED,
            "no zero or span check is described",
        )  # fmt: skip
