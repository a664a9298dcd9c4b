"""Plant states from signals, by majority, and their counters (section 3.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import plant_state
from plumeproof.rules.plant_state import OPERATING, OTHER, START_UP, STOPPED

HOUR_MS = 3_600_000


def ms(year, month, day, hour=0):
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def times(**minutes):
    return np.array([minutes.get(name, 0) for name in plant_state.NAMES])


def test_majority_and_ties():
    of = plant_state.state_of_period
    assert of(times(operating=16, stopped=14)) == OPERATING
    assert of(times(operating=14, stopped=16)) == STOPPED
    assert of(times(operating=15, stopped=15)) == OPERATING  # tie: normal operation
    assert of(times(start_up=15, stopped=15)) == START_UP
    assert of(times(operating=10, start_up=12, stopped=8)) == START_UP
    assert of(times(operating=29, other=1), "whole") == OTHER
    assert of(times(operating=30), "whole") == OPERATING
    assert of(np.stack([times(operating=1), times(stopped=1)], axis=1)).tolist() == [OPERATING, STOPPED]
    with pytest.raises(RuleError, match="holds no state"):
        of(times())
    with pytest.raises(RuleError, match="state_rule"):
        of(times(operating=1), "first")


def test_compared():
    states = np.arange(5)
    assert plant_state.is_compared(states, start_up_compared=False).tolist() == [True, True, False, False, False]
    assert plant_state.is_compared(states, True, other_compared=False).tolist() == [True, False, True, True, False]
    assert plant_state.is_compared(OPERATING, False) is True
    assert plant_state.state_of("other") == OTHER
    with pytest.raises(RuleError, match="'paused'"):
        plant_state.state_of("paused")


def test_four_hours_uninterrupted():
    """IED Art. 46(6): exactly 4 h is not more than 4 h; one half-hour more is."""
    on = np.array([False] + [True] * 9 + [False, True])
    lasts = plant_state.uninterrupted(on)
    assert lasts.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    over = plant_state.exceeds_hours(lasts, 1800, 4)
    assert over.tolist() == [False] * 9 + [True, False, False]
    assert plant_state.uninterrupted(np.array([True, False, True]), before=7).tolist() == [8, 0, 1]
    assert plant_state.uninterrupted(np.zeros(0, np.bool_)).size == 0
    assert plant_state.exceeds_hours(10**6, 1800, None) is False


def test_sixty_hours_in_a_year_and_its_end():
    starts = np.arange(ms(2025, 12, 1), ms(2026, 2, 1), HOUR_MS)
    on = np.ones(starts.size, np.bool_)
    begins = plant_state.window_begins(starts, "calendar_year", 0)
    within = plant_state.within(on, begins)
    assert within[59] == 60 and not plant_state.exceeds_hours(within[59], 3600, 60)
    assert plant_state.exceeds_hours(within[60], 3600, 60)
    new_year = int(np.searchsorted(starts, ms(2026, 1, 1)))
    assert within[new_year - 1] == 31 * 24 and within[new_year] == 1
    shifted = plant_state.within(on, plant_state.window_begins(starts, "calendar_year", 60))
    assert shifted[new_year - 1] == 1  # the site's year begins an hour before UTC's


def test_any_twelve_months():
    starts = np.arange(ms(2023, 1, 1), ms(2024, 3, 2), HOUR_MS)
    begins = plant_state.window_begins(starts, "12_months", 0)
    for day, first in (
        (ms(2024, 1, 1), ms(2023, 1, 1, 1)),
        (ms(2024, 2, 28, 23), ms(2023, 3, 1)),
        (ms(2024, 2, 29), ms(2023, 3, 1)),
        (ms(2024, 2, 29, 23), ms(2023, 3, 1)),
        (ms(2024, 3, 1), ms(2023, 3, 1, 1)),
    ):
        assert starts[begins[int(np.searchsorted(starts, day))]] == first, datetime.fromtimestamp(day / 1000, UTC)
    on = np.zeros(starts.size, np.bool_)
    on[:120] = True
    counted = plant_state.within(on, begins)
    assert counted[120] == 120
    last = int(np.searchsorted(starts, ms(2024, 1, 1)))
    assert counted[last - 1] == 120 and counted[last] == 119  # the oldest hour has left the window
    assert not plant_state.exceeds_hours(counted, 3600, 120).any()


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.integers(1, 20))
def test_windows_slowly(on, width):
    marks = np.array(on)
    begins = np.maximum(np.arange(len(on)) - width + 1, 0)
    slow = [sum(on[max(0, i - width + 1) : i + 1]) for i in range(len(on))]
    assert plant_state.within(marks, begins).tolist() == slow


def test_windows_refused():
    with pytest.raises(RuleError, match="do not ascend"):
        plant_state.window_begins(np.array([2, 1]), "calendar_year", 0)
    with pytest.raises(RuleError, match="window 'month'"):
        plant_state.window_begins(np.array([1, 2]), "month", 0)
    with pytest.raises(RuleError, match="must begin at or before"):
        plant_state.within(np.array([True, True]), np.array([0, 2]))


def test_leap_year_has_all_its_hours():
    start = datetime(2024, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=i) for i in range(8784)]
    starts = np.array([int(hour.timestamp()) * 1000 for hour in hours])
    begins = plant_state.window_begins(starts, "calendar_year", 0)
    assert plant_state.within(np.ones(8784, np.bool_), begins)[-1] == 8784
