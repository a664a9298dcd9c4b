"""Control charts of QAL3 (reference: averaging-rules 8.4): E19, E19b, state, and the slow charts."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules.qal3 import KINDS, Key, Reading, chart_settings_with, load_chart_settings, start_chart
from tests.doubles import slow_quality as slow
from tests.rules.examples import assert_close, example

KEY = Key("plume-01", "NOx", "span")
DIFFERENCES = st.lists(st.floats(-8, 8).map(lambda value: round(value, 3)), max_size=40)


def play(chart, differences, start=0):
    """All points of a chart over readings an hour apart around a reference of 0, and the chart after them."""
    points = []
    for index, d in enumerate(differences):
        chart, point = chart.take(Reading((start + index) * 3_600_000, d, 0.0))
        points.append(point)
    return chart, points


def test_e19_cusum():
    part = example("E19")
    chart, points = play(start_chart(KEY, "cusum", part["inputs"]["s_AMS"]), part["inputs"]["d"])
    s_ams, constants = part["inputs"]["s_AMS"], chart.settings.cusum
    for value, key in (
        (constants.h_x * s_ams, "h_x"), (constants.k_x * s_ams, "k_x"),
        (constants.h_s * s_ams**2, "h_s"), (constants.k_s * s_ams**2, "k_s"),
    ):  # fmt: skip
        assert_close(value, part["constants"][key])
    for point, wanted in zip(points, part["steps"], strict=False):
        assert point.d == wanted["d"]
        for name, key in (("s", "s_t"), ("sum_pos", "sum_pos"), ("sum_neg", "sum_neg")):
            assert_close(getattr(point.cusum, name), wanted[key])
        assert (point.cusum.n_pos, point.cusum.n_neg) == (wanted["N_pos"], wanted["N_neg"])
        assert (point.alarm == "precision") is wanted["precision_alarm"]
        assert (point.alarm == "drift") is wanted["drift_alarm"]
    assert_close(points[6].correction, -part["steps"][6]["D_adjust"])
    assert points[6].has_correction and [point.verdict for point in points[7:]] == ["held"] * 3
    assert chart.held_by == "drift" and chart.readings == part["expected"]["first_drift_alarm_at_t"] + 1


def test_precision_alarm_of_the_reference():
    chart, points = play(start_chart(KEY, "cusum", 1.0), [3.0, -3.0])
    assert_close(points[1].cusum.s, 16.15)
    assert points[1].alarm == "precision" and not points[1].has_correction and chart.held_by == "precision"


def test_e19b_shewhart():
    part = example("E19b")
    given_, wanted = part["inputs"], part["expected"]
    chart = start_chart(KEY, "shewhart", given_["s_AMS"])
    assert chart.settings.shewhart.action == given_["shewhart_factor"]
    _, points = play(chart, given_["d"])
    assert_close(points[0].action_limit, wanted["limit"])
    assert [point.verdict == "alarm" for point in points] == wanted["alarms"]
    assert [point.verdict for point in points] == ["fine", "fine", "warning", "alarm", "alarm"]


def test_shewhart_limits_of_a_rule_set():
    _, points = play(start_chart(KEY, "shewhart", 1.0, chart_settings_with(1.0, 1.5)), [0.9, -1.2, 1.6])
    assert [point.verdict for point in points] == ["fine", "warning", "alarm"]
    with pytest.raises(RuleError, match="shewhart"):
        chart_settings_with(3.0, 2.0)


@given(DIFFERENCES, st.sampled_from([0.5, 1.2, 3.0]))
def test_cusum_against_fractions(differences, s_ams):
    chart, points = play(start_chart(KEY, "cusum", s_ams), differences)
    twin = slow.Cusum(s_ams)
    for point, d in zip(points, differences, strict=True):
        if point.verdict == "held":
            break
        alarm, correction = twin.take(d)
        assert math.isclose(point.cusum.s, twin.s, rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(point.cusum.sum_pos, twin.pos, rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(point.cusum.sum_neg, twin.neg, rel_tol=1e-9, abs_tol=1e-9)
        margins = (twin.s - Fraction(6.9 * s_ams**2), twin.pos - Fraction(2.85 * s_ams), twin.pos, twin.neg)
        if min(abs(float(margin)) for margin in margins if margin != 0) > 1e-9:
            assert point.alarm == alarm
            assert math.isclose(point.correction, correction, rel_tol=1e-9, abs_tol=1e-9)


@given(DIFFERENCES, st.sampled_from([0.5, 1.2, 3.0]))
def test_ewma_against_closed_forms(differences, s_ams):
    _, points = play(start_chart(KEY, "ewma", s_ams), differences)
    for point, (z, limit) in zip(points, slow.ewma(differences, s_ams), strict=True):
        if point.verdict == "held":
            break
        assert math.isclose(point.statistic, z, rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(point.action_limit, limit, rel_tol=1e-12)
        assert (point.alarm == "drift") == (abs(z) > limit) or math.isclose(abs(z), limit, rel_tol=1e-12)


def test_first_ewma_limits_are_those_of_one_reading():
    _, points = play(start_chart(KEY, "ewma", 2.0), [0.0])
    assert_close(points[0].action_limit, 2.859 * 2.0 * 0.2)
    settings = load_chart_settings()
    flat = replace(settings, ewma=replace(settings.ewma, are_limits_exact=False))
    _, points = play(start_chart(KEY, "ewma", 2.0, flat), [0.0, 0.0])
    assert points[0].action_limit == points[1].action_limit
    assert_close(points[0].action_limit, 2.859 * 2.0 / 3.0)


@given(DIFFERENCES, st.sampled_from(KINDS), st.integers(0, 40))
def test_a_chart_goes_on_from_anywhere(differences, kind, cut):
    """To the bit, alarm or not."""
    whole, points = play(start_chart(KEY, kind, 1.2), differences)
    first, before = play(start_chart(KEY, kind, 1.2), differences[:cut])
    second, after = play(first, differences[cut:], min(cut, len(differences)))
    assert second == whole and before + after == points


@given(DIFFERENCES, st.sampled_from(KINDS))
def test_a_mirrored_series_gives_mirrored_points(differences, kind):
    _, points = play(start_chart(KEY, kind, 1.2), differences)
    _, mirrored = play(start_chart(KEY, kind, 1.2), [-d for d in differences])
    for one, other in zip(points, mirrored, strict=True):
        assert (one.verdict, one.alarm) == (other.verdict, other.alarm)
        assert one.correction == -other.correction


def test_readings_out_of_order_or_none_are_refused():
    chart, _ = play(start_chart(KEY, "cusum", 1.0), [0.1])
    for reading, word in (
        (Reading(0, 1.0, 1.0), "time order"),
        (Reading(1, math.nan, 1.0), "no reading"),
        (Reading(1, 1.0, math.inf), "no reading"),
        (Reading(1, "1", 1.0), "no reading"),
        (Reading(1, True, 1.0), "no reading"),
        (Reading(-1, 1.0, 1.0), "1970"),
        (Reading(1.5, 1.0, 1.0), "1970"),
    ):
        with pytest.raises(RuleError, match=word):
            chart.take(reading)


def test_charts_that_cannot_be():
    for key, kind, s_ams in (
        (KEY, "pareto", 1.0),
        (KEY, "cusum", 0.0),
        (KEY, "cusum", math.nan),
        (Key("a", "b", "middle"), "cusum", 1.0),
    ):
        with pytest.raises(RuleError):
            start_chart(key, kind, s_ams)
