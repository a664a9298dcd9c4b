"""A survey of QAL3, QAL2 and AST as plain values and as rows: JSON, CSV, and what the screen shows.

Numbers are the shortest decimals that give the same float64 again. Times stand on the site's offset.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from plumeproof.figure_files import local_time
from plumeproof.rules.chart_run import ChartPoint, ChartRun
from plumeproof.rules.figure import InputRange
from plumeproof.rules.plant import Plant
from plumeproof.surveillance_desk import Calibrated, Judged, Survey

COLUMNS = (
    "measurand", "device", "channel", "point", "chart", "s_ams", "unit", "time", "time_utc", "reading", "reference",
    "reference_name", "d", "statistic", "warning_limit", "action_limit", "verdict", "alarm", "state", "correction",
    "n_used", "n_slots", "deviation", "reason", "first_seq", "last_seq", "head_hash", "parameters_hash",
)  # fmt: skip
WEEKS_SHOWN = 8  # of those over 5 %, the newest; JSON has all


def survey_tree(plant: Plant, survey: Survey, from_utc_ms: int | None) -> dict[str, Any]:
    """JSON values of one plant. `from_utc_ms`: points before are left out; states follow from all."""
    offset = plant.utc_offset_min
    return {
        "plant": plant.id,
        "plant_hash": plant.digest.hex(),
        "today": local_time(survey.today_utc_ms, offset),
        "until": local_time(survey.until_utc_ms, offset),
        "fine": survey.is_fine,
        "charts": [_chart_tree(one, offset, from_utc_ms) for one in survey.charts],
        "calibrations": [_calibrated_tree(one, offset) for one in survey.calibrated],
        "remarks": list(survey.remarks),
    }


def survey_csv(plant: Plant, survey: Survey, from_utc_ms: int | None) -> str:
    """One row a check, used or not, with COLUMNS."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in survey.charts:
        for row in _rows(one.run, plant.utc_offset_min, from_utc_ms):
            writer.writerow(row)
    return text.getvalue()


def survey_lines(plant: Plant, survey: Survey) -> Iterator[str]:
    """For the screen."""
    offset = plant.utc_offset_min
    yield f"{plant.title} ({plant.id}), {local_time(survey.today_utc_ms, offset)}"
    yield ""
    yield "QAL3, zero and span"
    if not survey.charts:
        yield "  no measurand of the description has [measurand.qal3]"
    else:
        head = f"{'measurand':10} {'point':5} {'chart':8} {'checks':>6}"
        yield f"  {head}  {'last check':25} {'reading':>10} {'should be':>10}  {'state':14}  next check due"
    for judged in survey.charts:
        yield f"  {_chart_line(judged, offset)}"
    for judged in survey.charts:
        run = judged.run
        last = run.points[-1] if run.points else None
        if last is not None and run.state == "adjust":
            yield f"  {_name(run)}: {_advice(run)}"
        for reason in sorted({reason for _, reason in run.unused}):
            count = sum(other == reason for _, other in run.unused)
            yield f"  {_name(run)}: {count} checks without a reading: {reason}"
    yield ""
    yield "QAL2 and AST"
    for one in survey.calibrated:
        yield from (f"  {line}" for line in _calibrated_lines(one, offset))


def _name(run: ChartRun) -> str:
    return f"{run.measurand} {run.chart.key.point}"


def _chart_line(one: Judged, offset: int) -> str:
    run = one.run
    due = "no check yet: overdue"
    if run.next_due_utc_ms is not None:
        due = f"{local_time(run.next_due_utc_ms, offset)[:10]}{'' if one.due == 'fine' else ': ' + one.due}"
    last, read, should = "none", "", ""
    if run.points:
        point = run.points[-1]
        last = local_time(point.judged.utc_ms, offset)
        read, should = f"{point.checked.reading:.4g}", f"{point.reference:.4g} {run.unit}"
    head = f"{run.measurand:10} {run.chart.key.point:5} {run.chart.kind:8} {len(run.points):6}"
    return f"{head}  {last:25} {read:>10} {should:>10}  {run.state:14}  {due}"


def _advice(run: ChartRun) -> str:
    alarm = next(one for one in reversed(run.points) if one.judged.alarm)
    if not alarm.judged.has_correction:
        return "adjust or maintain, then state it as [[measurand.qal3.event]]"
    by = f"{alarm.judged.correction:+.4g} {run.unit}"
    return f"drift; add {by} to its readings or maintain, then state it as [[measurand.qal3.event]]"


def _calibrated_lines(one: Calibrated, offset: int) -> Iterator[str]:
    if one.function is None:
        yield f"{one.measurand:10} no calibration function is stated"
        return
    dates = ", ".join(
        f"{due.test} due {due.due}{'' if due.why == 'interval' else ' (' + due.why.replace('_', ' ') + ')'}"
        f"{'' if state == 'fine' else ': ' + state}"
        for due, state in zip(one.due, one.states, strict=True)
    )
    done = f"QAL2 {one.qal2_on}" + (f", AST {one.ast_on}" if one.ast_on else "")
    if one.ast_failed_on is not None:
        yield f"{one.measurand:10} AST OF {one.ast_failed_on} NOT PASSED: find the cause; NEW QAL2 NEEDED"
    yield f"{one.measurand:10} {one.function.id} ({done}); {dates or 'the rule set has no intervals'}"
    if one.weeks is None:
        yield f"{'':10} no valid range is stated (valid_to): weeks are not counted"
        return
    valid = f"{one.function.valid_from:g} to {one.function.valid_to:g}"
    over = f"{one.weeks.weeks_over_5} weeks over 5 % (6 ask for a QAL2), {one.weeks.weeks_over_40} over 40 % (1 does)"
    told = "; NEW QAL2 NEEDED" if one.weeks.is_qal2_due else ""
    yield f"{'':10} outside {valid}, of {len(one.weeks.weeks)} weeks since then: {over}{told}"
    for week in [week for week in one.weeks.weeks if week.is_over_5][-WEEKS_SHOWN:]:
        monday = local_time(week.start_utc_ms, offset)[:10]
        yield f"{'':12} week of {monday}: {week.n_outside} of {week.n_valid} averages outside, {week.pct:.1f} %"


def _chart_tree(one: Judged, offset: int, from_utc_ms: int | None) -> dict[str, Any]:
    run = one.run
    due = run.next_due_utc_ms
    return {
        "measurand": run.measurand,
        "point": run.chart.key.point,
        "chart": run.chart.kind,
        "s_ams": run.chart.s_ams,
        "unit": run.unit,
        "state": run.state,
        "next_due": None if due is None else local_time(due, offset),
        "due": one.due,
        "checks": list(_rows(run, offset, from_utc_ms)),
        "events": [{"time": local_time(event.at, offset), "what": event.what} for event in run.events],
    }


def _rows(run: ChartRun, offset: int, from_utc_ms: int | None) -> Iterator[dict[str, Any]]:
    """Checks with a point, then those without; a check without a time is always among them."""
    key = run.chart.key
    head = {
        "measurand": run.measurand, "device": key.device, "channel": key.channel, "point": key.point,
        "chart": run.chart.kind, "s_ams": run.chart.s_ams, "unit": run.unit,
    }  # fmt: skip
    for one in run.points:
        if from_utc_ms is None or one.judged.utc_ms >= from_utc_ms:
            yield dict.fromkeys(COLUMNS) | head | _point_row(one, offset)
    for checked, reason in run.unused:
        at = checked.utc_ms
        if from_utc_ms is None or at is None or at >= from_utc_ms:
            told: dict[str, Any] = {"reason": reason, "n_used": checked.n_used, "n_slots": checked.n_slots}
            told |= {"reading": checked.reading, "first_seq": checked.check.begin.seq}
            if at is not None:
                told |= {"time": local_time(at, offset), "time_utc": local_time(at, 0)}
            yield dict.fromkeys(COLUMNS) | head | told


def _point_row(one: ChartPoint, offset: int) -> dict[str, Any]:
    judged, checked = one.judged, one.checked
    return {
        "time": local_time(judged.utc_ms, offset),
        "time_utc": local_time(judged.utc_ms, 0),
        "reading": checked.reading,
        "reference": one.reference,
        "reference_name": one.reference_name,
        "d": judged.d,
        "statistic": None if judged.verdict == "held" else judged.statistic,
        "warning_limit": judged.warning_limit,
        "action_limit": judged.action_limit,
        "verdict": judged.verdict,
        "alarm": judged.alarm,
        "state": one.state,
        "correction": judged.correction if judged.has_correction else None,
        "n_used": checked.n_used,
        "n_slots": checked.n_slots,
        "deviation": checked.deviation,
        "reason": "",
    } | _input_row(checked.inputs)


def _input_row(inputs: InputRange | None) -> dict[str, Any]:
    assert inputs is not None  # a reading has records
    return {
        "first_seq": inputs.first_seq,
        "last_seq": inputs.last_seq,
        "head_hash": inputs.head_hash.hex(),
        "parameters_hash": inputs.parameters_hash.hex(),
    }


def _calibrated_tree(one: Calibrated, offset: int) -> dict[str, Any]:
    weeks, function = one.weeks, one.function
    valid = None if weeks is None or function is None else [function.valid_from, function.valid_to]
    return {
        "measurand": one.measurand,
        "function": None if one.function is None else one.function.id,
        "valid_range": valid,
        "qal2_on": None if one.qal2_on is None else one.qal2_on.isoformat(),
        "ast_on": None if one.ast_on is None else one.ast_on.isoformat(),
        "ast_failed_on": None if one.ast_failed_on is None else one.ast_failed_on.isoformat(),
        "due": [
            {"test": due.test, "due": due.due.isoformat(), "why": due.why, "state": state}
            for due, state in zip(one.due, one.states, strict=True)
        ],
        "qal2_needed_by_range": weeks is not None and weeks.is_qal2_due,
        "weeks": [
            {
                "monday": local_time(week.start_utc_ms, offset)[:10],
                "n_valid": week.n_valid,
                "n_outside": week.n_outside,
                "over_5_pct": week.is_over_5,
                "over_40_pct": week.is_over_40,
            }
            for week in (weeks.weeks if weeks is not None else ())
        ],
    }  # fmt: skip
