"""The engine: the same bits however a span is cut, shuffled or read back, and figures that say what they rest on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from plumeproof.errors import RuleError
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MEASURED, MONTH, SHORT_TERM, STANDARDISED, VALIDATED
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from tests.bridge.test_figures_store import StillClock
from tests.doubles.timed_module import START_UTC_MS
from tests.rules.test_minutes import PLANT, plant, run

HOUR_MS = 3_600_000
DAY_START = START_UTC_MS - HOUR_MS  # local midnight at +01:00
LIMITS = """ci_pct = 10.0
ci_qal2 = 3.0
[[measurand.limit]]
kind = "day"
value = 50.0
"""


def engine(*names, text=PLANT):
    return Engine(plant(text), [load_rule_set(name) for name in names or ("eu_mrr", "eu_ied_waste")])


@pytest.fixture(scope="module")
def day():
    return run(5, minutes=1380)


def test_however_it_is_cut(day):
    of = engine()
    whole = of.short_term_figures(day, DAY_START, DAY_START + 24 * HOUR_MS)
    assert whole
    rng = random.Random(1)
    hours = list(range(24))
    rng.shuffle(hours)
    pieces = []
    for hour in hours:
        start = DAY_START + hour * HOUR_MS
        near = {
            device: [strip for strip in strips if strip.touches(start, start + HOUR_MS)]
            for device, strips in day.items()
        }
        pieces += of.short_term_figures(near, start, start + HOUR_MS)

    def place(figure):
        return figure.place

    assert sorted(pieces, key=place) == sorted(whole, key=place)
    days = of.long_term_figures(DAY, DAY_START, whole)
    assert days == of.long_term_figures(DAY, DAY_START, pieces)
    assert {figure.rule_set for figure in days} == {"eu_mrr", "eu_ied_waste"}


def test_days_from_stored_figures_are_those_from_fresh_ones(day, tmp_path):
    of = engine()
    fresh = of.short_term_figures(day, DAY_START, DAY_START + 24 * HOUR_MS)
    writer = Writer(tmp_path / "ledger.sqlite")
    store = SqliteFigures(writer, StillClock())
    store.commit(fresh, of.documents(), 1)
    stored = store.of_period("line-1", SHORT_TERM, DAY_START, DAY_START + 24 * HOUR_MS)
    assert of.long_term_figures(DAY, DAY_START, stored) == of.long_term_figures(DAY, DAY_START, fresh)
    writer.close()


def test_a_part_of_a_term_at_the_ends_is_left_out(day):
    of = engine("eu_ied_waste")
    found = of.short_term_figures(day, DAY_START + 3 * HOUR_MS + 1, DAY_START + 5 * HOUR_MS - 1)
    starts = {(figure.start_utc_ms - DAY_START) // 60_000 for figure in found}
    assert min(starts) >= 181
    assert max(figure.end_utc_ms for figure in found) <= DAY_START + 5 * HOUR_MS - 1


def test_co_has_ten_minutes_beside_its_half_hours(day):
    found = engine("eu_ied_waste").short_term_figures(day, DAY_START, DAY_START + 12 * HOUR_MS)
    lengths = {(figure.measurand, (figure.end_utc_ms - figure.start_utc_ms) // 60_000) for figure in found}
    assert lengths == {("CO", 10), ("CO", 30), ("dust", 30)}


def test_the_interval_is_subtracted_for_comparison_only():
    text = PLANT.replace("range_max = 160.0\n", "range_max = 400.0\n" + LIMITS, 1)
    strips = run(3, minutes=60, changes=False)
    found = engine("eu_ied_waste", text=text).short_term_figures(strips, START_UTC_MS, START_UTC_MS + HOUR_MS)
    by_layer = {
        (figure.layer, figure.start_utc_ms): figure
        for figure in found
        if figure.measurand == "CO" and figure.end_utc_ms - figure.start_utc_ms == 1_800_000
    }
    standardised, validated = by_layer[STANDARDISED, START_UTC_MS], by_layer[VALIDATED, START_UTC_MS]
    assert validated.value == standardised.value - 3.0  # qal2_capped: 3.0 is below 10 % of 50
    assert by_layer[MEASURED, START_UTC_MS].maximum > validated.value


def test_a_month_needs_its_first_instant(day):
    of = engine("eu_mrr")
    short = of.short_term_figures(day, DAY_START, DAY_START + 24 * HOUR_MS)
    assert of.long_term_figures(MONTH, DAY_START, short)  # 1 December, 00:00 at +01:00
    assert of.long_term_figures(MONTH, DAY_START + 24 * HOUR_MS, short) == []
    assert of.long_term_figures(DAY, DAY_START + HOUR_MS, short) == []
    with pytest.raises(RuleError, match="is none of"):
        of.long_term_figures("week", DAY_START, short)


def test_nothing_without_records():
    assert engine().short_term_figures({}, DAY_START, DAY_START + HOUR_MS) == []


def test_equal_but_for_revision_and_reason(day):
    of = engine("eu_mrr")
    one = of.short_term_figures(day, DAY_START + HOUR_MS, DAY_START + 2 * HOUR_MS)
    other = of.short_term_figures(day, DAY_START + HOUR_MS, DAY_START + 2 * HOUR_MS, "late_record")
    assert [replace(figure, reason="") for figure in other] == one


def test_refused():
    text = PLANT.replace(
        'id = "CO"\n', 'id = "CO"\ngas = "CO"\ngreenhouse_gas = "CO2"\nneeds = ["O2"]\no2_reference_pct = 11.0\n'
    )
    text += '[[peripheral]]\nkind = "O2"\nsource = "plume-01/o2"\n'
    with pytest.raises(RuleError, match="greenhouse gas"):
        engine(text=text)
    with pytest.raises(RuleError, match="hours begin apart"):
        engine("eu_mrr", "cn_hj75", text=PLANT.replace("+01:00", "+05:45"))
    with pytest.raises(RuleError, match="no rule set"):
        Engine(plant(), [])
