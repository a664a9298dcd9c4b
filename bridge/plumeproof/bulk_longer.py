"""Windows of thirty days, years, and the day and month in which the records begin, from stored short-term figures.

They reach over the parts that bulk.py takes one by one. The parts have compared the short-term figures with the
records bit for bit, and what is made of equal figures is equal; so no record is read a second time. Where a part
differs, what is found here says only that the longer figures fit to the shorter ones.

    result = compare_longer(job)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plumeproof.bulk import Job, PartResult, open_job, result_of, rule_sets_by_clock
from plumeproof.figure_tally import Tally
from plumeproof.rules import calendar, long_term, long_terms
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MONTH, ROLLING_30_DAYS, SHORT_TERM, YEAR
from plumeproof.store.figures import StoredFigures

NAME = "longer"


def compare_longer(job: Job, progress: Callable[[int], Any] = lambda days: None) -> PartResult | None:
    """Of every such period that has ended and whose records all lie in the job's period; `progress` is told of
    days that were read. None where nothing is compared. Raises ConfigError, RuleError, StoreError."""
    if job.ledger is None:
        return None
    engine = open_job(job)
    stored = StoredFigures(Path(job.ledger))
    try:
        tally = Tally(engine.plant.id, stored)
        extent = stored.extent(engine.plant.id)
        for offset_min, rule_sets in rule_sets_by_clock(engine).items() if extent is not None else ():
            assert extent is not None
            own = Engine(engine.plant, rule_sets)
            names = [rules.id for rules in rule_sets]
            for level, starts in _due(job, extent, offset_min):
                periods = own.open_periods(level, starts)
                if periods.period is None:
                    continue  # no rule set of this clock has such a level
                for day in range(*periods.period, DAY_MS):
                    for one in stored.of_period(engine.plant.id, SHORT_TERM, day, day + DAY_MS):
                        periods.add(one)
                    progress(1)
                for start in starts:
                    first, end = _period(level, start, offset_min)
                    tally.take(periods.figures_of(level, start), names, level, first, end)
    finally:
        stored.close()
    return result_of(NAME, job.start_utc_ms, job.end_utc_ms, tally, 0, ())


def _due(job: Job, extent: tuple[int, int], offset_min: int) -> Iterator[tuple[str, list[int]]]:
    """(level, starts): windows, named by the day that they end with, as many as share their days; years one by one."""
    first, until = extent
    days = range(calendar.day_of(first, offset_min)[0], min(until, job.end_utc_ms) - DAY_MS + 1, DAY_MS)
    reaches_back = job.start_utc_ms <= first  # what lies before has no figures, so nothing is missing there
    windows = [day for day in days if reaches_back or _period(ROLLING_30_DAYS, day, offset_min)[0] >= job.start_utc_ms]
    for at in range(0, len(windows), long_term.ROLLING_DAYS):
        yield ROLLING_30_DAYS, windows[at : at + long_term.ROLLING_DAYS]
    ended = min(until, job.end_utc_ms)
    for start, end in sorted({calendar.year_of(day, offset_min) for day in days}):
        if end <= ended and (reaches_back or start >= job.start_utc_ms):
            yield YEAR, [start]
    for level, around in ((DAY, calendar.day_of), (MONTH, calendar.month_of)):
        start, end = around(job.start_utc_ms, offset_min)
        if start < job.start_utc_ms and reaches_back and end <= ended:  # one that begins in the job is a part's
            yield level, [start]


def _period(level: str, start_utc_ms: int, offset_min: int) -> tuple[int, int]:
    found = long_terms.period_of(level, start_utc_ms, offset_min)
    assert found is not None  # `_due` names begins of periods
    return found
