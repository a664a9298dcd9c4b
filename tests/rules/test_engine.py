"""The engine: the same bits however a span is cut, shuffled or read back, and figures that say what they rest on."""

from __future__ import annotations

import json
import random

import pytest

from plumeproof.errors import RuleError
from plumeproof.evidence.strips import strips_of
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MEASURED, MONTH, SHORT_TERM, STANDARDISED, VALIDATED
from plumeproof.rules.rule_set import load_rule_set, read_rule_set
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from tests.bridge.test_figures_store import StillClock
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set
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
    assert [figure._replace(reason="") for figure in other] == one


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


def own_rules(tmp_path, inherits, **settings):
    path = tmp_path / "own.json"
    sure = {name: {"value": 0.5, "note": "a test"} for name in settings}
    head = {"id": "own", "version": "1", "title": "t", "source": "s", "status": "provisional", "inherits": inherits}
    path.write_text(json.dumps(head | {"settings": settings, "confidence": sure}))
    return read_rule_set(path)


@pytest.mark.parametrize("in_set", ["1e30", "160"])
def test_a_value_taken_as_the_end_of_the_range_is_marked(tmp_path, in_set):
    """Whether the plant's range or the parameter set's limit finds it."""
    module = TimedModule(raw_set=build_set(co={"max": in_set}))
    module.start()
    for minute in range(60):
        module.sample([(0, 170.0 if minute < 5 else 100.0, 0, False)] * 60)
    own = [s for record, _ in module.sealed if record.kind == 2 for s in strips_of([record], module.parameters)]
    text = PLANT.replace("2026-12-01T00:20:30Z", "2027-01-01T00:00:00Z")
    rules = own_rules(tmp_path, "eu_ied_lcp", over_range="use_range_end")
    found = Engine(plant(text), [rules]).short_term_figures({"plume-01": own}, START_UTC_MS, START_UTC_MS + HOUR_MS)
    hour = next(one for one in found if (one.measurand, one.layer) == ("CO", STANDARDISED))
    assert hour.value == (5 * 160.0 + 55 * 100.0) / 60
    assert (hour.flags, hour.is_valid, hour.n_valid) == (("range_end",), True, 3600)
    plain = Engine(plant(text), [load_rule_set("eu_ied_lcp")])
    found = plain.short_term_figures({"plume-01": own}, START_UTC_MS, START_UTC_MS + HOUR_MS)
    hour = next(one for one in found if (one.measurand, one.layer) == ("CO", STANDARDISED))
    assert (hour.value, hour.n_valid, hour.n_invalid) == (100.0, 3300, (("over_range", 300),))


def test_273_is_in_the_formula_of_the_flow_only(tmp_path):
    """HJ 75 prints it there (section 10.3); a concentration is converted as section 4.4 has it."""
    text = PLANT.replace("+01:00", "+08:00").replace('id = "CO"\n', 'id = "CO"\nneeds = ["T"]\n')
    text += '[[peripheral]]\nkind = "T"\nsource = "plume-01/dust"\nunit = "degC"\nsubstitute = 150.0\n'
    text += '[[peripheral]]\nkind = "p"\nsource = "plume-01/dust"\nunit = "hPa"\nsubstitute = 101.325\n'
    text += '[[peripheral]]\nkind = "H2O"\nsource = "plume-01/dust"\nsubstitute = 0.0\n'
    text += '[flow]\nsource = "plume-01/co"\nunit = "mg/m3"\n'.replace("mg/m3", "m3/h")
    of = Engine(plant(text), [load_rule_set("cn_hj75")])
    strips = run(3, minutes=60, changes=False)
    found = of.short_term_figures(strips, START_UTC_MS, START_UTC_MS + HOUR_MS)
    measured = next(one for one in found if (one.measurand, one.layer) == ("CO", MEASURED))
    standardised = next(one for one in found if (one.measurand, one.layer) == ("CO", STANDARDISED))
    assert standardised.value == measured.value * ((273.15 + 150.0) / 273.15)


def test_what_an_interval_lacks_is_said_of_its_measurand():
    text = PLANT.replace("range_max = 160.0\n", "range_max = 400.0\n" + LIMITS.replace("ci_qal2 = 3.0\n", ""), 1)
    with pytest.raises(RuleError, match="measurand CO: ci_qal2: is needed, not negative, for ci_mode qal2_capped"):
        engine("eu_ied_waste", text=text).short_term_figures(
            run(3, minutes=60, changes=False), START_UTC_MS, START_UTC_MS + HOUR_MS
        )
