"""China: capture rate and substitution of emission mass by HJ 75-2017.

The texts were not seen: domain knowledge (0.7 to 0.9) but tables 5 and 6, which a public platform's program has [S19].
Only emission mass is substituted, concentrations never. An hour or day is valid by the rule set's coverage (45 of 60
minutes, 20 of 24 hours) through short_term.covers. The conversion of section 10.3, alpha / alpha_s, is the factor for
oxygen of conditions.py; where an older standard prints alpha_s rounded (1.8 for a coal boiler), 21 - 21/alpha_s is the
reference oxygen that gives the same. Flow and mass are those of flow.py: Q_s = 3600 F (K_v V_p) is actual_flow_m3_h of
K_v V_p, Q_sn has 273 K by the setting zero_celsius_k (DK 0.7; concentrations have 273.15, section 4.4), G is mass_kg_h
of the unconverted concentration.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.elementwise import Integers, Numbers, Truths
from plumeproof.rules.series import (
    as_mask,
    as_series,
    find_runs,
    last_counting,
    refuse_not_finite,
    refuse_other_lengths,
)
from plumeproof.rules.table_file import load_table, read_rows

HOURS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """A line of tables 5 and 6: from this capture rate on, for bad runs up to `run_max_h` (None: any length)."""

    capture_from_pct: int
    run_max_h: int | None
    look_back_h: int


@dataclass(frozen=True, slots=True)
class Capture:
    """Hours of a quarter: (all - invalid - stopped) / (all - stopped), compared in whole numbers (DK 0.9)."""

    captured: int
    possible: int
    is_met: bool
    band: str  # ">=90", "75-90", "<75", or "" of a quarter at standstill

    @property
    def pct(self) -> float:
        """For display; 0 of a quarter at standstill."""
        return 100.0 * self.captured / self.possible if self.possible else 0.0


@dataclass(frozen=True, slots=True)
class Filled:
    """Hourly masses after substitution. `look_back_h`: 0 where nothing was replaced; `is_short`: the look-back found
    fewer valid hours than it asks for, and took the largest of those there were."""

    values: Numbers
    has: Truths
    is_substituted: Truths
    look_back_h: Integers
    is_short: Truths


def judge_capture(quarter_h: int, stopped_h: int, invalid_h: int) -> Capture:
    """The capture rate of a quarter. Raises RuleError (hours that cannot be)."""
    if not (0 <= stopped_h <= quarter_h <= HOURS_MAX and 0 <= invalid_h <= quarter_h - stopped_h):
        raise RuleError("capture", f"{stopped_h} stopped and {invalid_h} invalid of {quarter_h} hours cannot be")
    captured, possible = quarter_h - invalid_h - stopped_h, quarter_h - stopped_h
    minimum, rows = _table()
    if possible == 0:
        return Capture(0, 0, True, "")
    borders = sorted({row.capture_from_pct for row in rows}, reverse=True)
    reached = [border for border in borders if captured * 100 >= possible * border]
    if not reached:
        band = f"<{borders[-1]}"
    else:
        place = borders.index(reached[0])
        band = f">={reached[0]}" if place == 0 else f"{reached[0]}-{borders[place - 1]}"
    return Capture(captured, possible, captured * 100 >= possible * minimum, band)


def find_look_back_h(capture: Capture, run_h: int) -> int | None:
    """Valid hours to look back for a bad run of `run_h` hours; None: the quarter fails and nothing is defined."""
    for row in _table()[1]:
        is_reached = capture.captured * 100 >= capture.possible * row.capture_from_pct
        if is_reached and capture.possible and (row.run_max_h is None or run_h <= row.run_max_h):
            return row.look_back_h
    return None


def find_substitute(
    mass: npt.ArrayLike, valid: npt.ArrayLike, before: int, look_back_h: int
) -> tuple[float, bool, bool]:
    """(largest mass of the last valid hours before hour `before`, whether there is one, whether they were too few)."""
    series, mask = as_series(mass, "mass"), as_mask(valid, "valid")
    refuse_other_lengths(series, valid=mask)
    found = last_counting(series, mask, before, look_back_h)
    return (float(found.max()), True, found.size < look_back_h) if found.size else (0.0, False, True)


def fill_mass(
    mass: npt.ArrayLike,
    valid: npt.ArrayLike,
    operating: npt.ArrayLike,
    out_of_control: npt.ArrayLike,
    calibrated: npt.ArrayLike,
    capture: Capture,
    first: int = 0,
) -> Filled:
    """Fills the bad runs of the hours from `first` on; the hours before it are the history that is looked back into.

    A bad run is of consecutive hours in which the plant ran and the mass is not valid; one that began before `first`
    has its whole length. An hour of it that is `out_of_control` looks back from the last `calibrated` hour (a passed
    calibration) before the run, any other from the run's first hour. Without such a calibration, or any valid hour,
    there is no substitute. Raises RuleError.
    """
    series, mask, ran = as_series(mass, "mass"), as_mask(valid, "valid"), as_mask(operating, "operating")
    bad, passed = as_mask(out_of_control, "out_of_control"), as_mask(calibrated, "calibrated")
    refuse_other_lengths(series, valid=mask, operating=ran, out_of_control=bad, calibrated=passed)
    refuse_not_finite(series, mask, "mass")
    counts = mask & ran
    filled, has = np.where(mask, series, 0.0), mask.copy()
    look_back, short = np.zeros(series.shape, np.int64), np.zeros(series.shape, np.bool_)
    for start, end in find_runs(ran & ~mask):
        hours = find_look_back_h(capture, end - start)
        if hours is None:
            continue
        calibrations = np.flatnonzero(passed[:start])
        for hour in range(max(start, first), end):
            if bad[hour] and not calibrations.size:
                continue
            before = int(calibrations[-1]) if bad[hour] else start
            value, exists, is_short = find_substitute(series, counts, before, hours)
            if exists:
                filled[hour], has[hour], look_back[hour], short[hour] = value, True, hours, is_short
    return Filled(filled, has, has & ~mask, look_back, short)


@cache
def _table() -> tuple[int, tuple[Row, ...]]:
    return load_table("hj75_substitution", _read)[1]


def _read(reader: Reader) -> tuple[int, tuple[Row, ...]]:
    return reader.integer("min_capture_pct", 0, 100), read_rows(reader, "rows", _read_row)


def _read_row(reader: Reader) -> Row:
    start, longest = reader.integer("capture_from_pct", 0, 100), reader.take("run_max_h")
    if longest is not None and (type(longest) is not int or not 1 <= longest <= HOURS_MAX):
        raise ParametersError("range", f"{reader.where}: run_max_h is no number of hours and not null")
    return Row(start, longest, reader.integer("look_back_h", 1, HOURS_MAX))
