"""`plumeproof limits` on real ledgers, and the account behind it on figures of a made-up day and year."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from functools import partial
from pathlib import Path

import pytest

import plumeproof
from plumeproof.array_strips import ArrayStrips
from plumeproof.cli import main
from plumeproof.errors import RuleError
from plumeproof.figure_desk import FigureDesk
from plumeproof.fuel_file import load_fuels
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import MEASURED, SHORT_TERM, STANDARDISED
from plumeproof.rules.figure_maker import FigureMaker
from plumeproof.rules.judgement import EXCEEDED, KEPT, NOT_JUDGED, Judgement
from plumeproof.rules.limit_account import LimitAccount
from plumeproof.rules.outages import Outages
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.state_hours import StateHours
from tests.bridge.test_average import Site, sampled
from tests.doubles.stack_day import PLANT, START_UTC_MS, channels
from tests.rules.test_minutes import PLANT as TWO_CHANNELS

DAY_MS = 86_400_000
HALF_HOUR_MS = 1_800_000
LIMITS = """ci_qal2 = 3.0
[[measurand.limit]]
kind = "day"
value = 50.0
[[measurand.limit]]
kind = "half_hour_a"
value = 100.0
[[measurand.limit]]
kind = "month"
value = 70.0
"""


def judged(text, rules, days=1):
    engine = Engine(parse_plant(tomllib.loads(text), Path("plant.toml")), [load_rule_set(name) for name in rules])
    desk = FigureDesk(engine, ArrayStrips(channels(days)))
    period = desk.whole_period(("year",), desk.extent())
    account = LimitAccount(engine, period)
    figures = list(desk.figures(account.levels(), period))
    for one in figures:
        account.add(one)
    return figures, list(account.judgements(desk.extent()))


def line_of(found, subject, test):
    (line,) = [line for line in found if (line.subject, line.test) == (subject, test)]
    return line


def test_a_day_is_counted_as_a_person_would():
    text = PLANT.replace('kind = "half_hour_a"\nvalue = 400.0', 'kind = "half_hour_a"\nvalue = 190.0')
    figures, found = judged(text, ["eu_ied_waste"])
    half_hours = [
        one.value for one in figures if (one.measurand, one.layer, one.level) == ("NOx", "validated", SHORT_TERM)
        and one.is_valid
    ]  # fmt: skip
    a, b = (
        line_of(found, "NOx", "half_hour against half_hour_a"),
        line_of(found, "NOx", "half_hour against half_hour_b"),
    )
    assert a.n == b.n == len(half_hours)
    above = [value for value in half_hours if round(value, 1) > 190.0]
    assert 0 < len(above) == a.n_over == len(a.cases)
    assert a.compared == max(half_hours)
    assert (a.verdict, b.verdict) == (EXCEEDED, KEPT if b.n_over <= len(half_hours) * 3 // 100 else EXCEEDED)
    assert a.requirement == b.requirement
    assert a.is_met is b.is_met is (b.verdict == KEPT)
    day = line_of(found, "NOx", "day")
    assert (day.n, day.n_over, day.is_whole) == (1, 0, False)
    lost = line_of(found, "NOx", "days lost by malfunction or maintenance")
    assert (lost.verdict, lost.limit, lost.n) == (KEPT, "10", 1)


def test_hours_of_states_and_a_limit_that_no_test_takes():
    _, found = judged(PLANT, ["eu_ied_waste"])
    hours = {line.test: line.compared for line in found if line.about == "states"}
    assert hours["stopped"] + hours["operating"] + hours["start_up"] == 24.0
    assert 2.0 <= hours["stopped"] <= 2.5
    assert hours["other"] == 0.0
    kept = line_of(found, "plant", "other, uninterrupted")
    assert (kept.verdict, kept.limit) == (KEPT, "4")
    _, found = judged(PLANT.replace('kind = "half_hour_b"', 'kind = "month"'), ["eu_ied_waste"])
    assert line_of(found, "NOx", "month").verdict == NOT_JUDGED


def states(text, rules="eu_ied_waste"):
    """One letter a half-hour: O operating, F failing abatement, S stopped, - no record; from local midnight."""
    plant = parse_plant(tomllib.loads(PLANT), Path("plant.toml"))
    rule_set = load_rule_set(rules)
    length_ms = rule_set.settings.sta_min * 60_000
    maker = FigureMaker(plant, rule_set)
    days = -(-len(text) * length_ms // DAY_MS)
    hours = StateHours(rule_set, (START_UTC_MS, START_UTC_MS + days * DAY_MS), 60)
    names = {"O": "operating", "F": "other", "S": "stopped"}
    for place, letter in enumerate(text):
        if letter != "-":
            start = START_UTC_MS + place * length_ms
            period = (start, start + length_ms)
            hours.add(
                maker.make(("NOx", STANDARDISED, SHORT_TERM), period, "mg/m3", 1.0, True, (30, 30, {}), (),
                           state=names[letter])
            )  # fmt: skip
    year = (START_UTC_MS - 334 * DAY_MS, START_UTC_MS + 31 * DAY_MS)
    return {line.test: line for line in hours.judgements(year, year[1], False)}


@pytest.mark.parametrize(
    ("text", "longest", "total", "verdict"),
    [
        ("O" * 10 + "F" * 8 + "O" * 30, 4.0, 4.0, KEPT),  # 4 h are not more than 4 h
        ("O" * 10 + "F" * 9 + "O" * 29, 4.5, 4.5, EXCEEDED),
        ("F" * 4 + "O" + "F" * 4 + "S" * 39, 2.0, 4.0, KEPT),
        ("F" * 4 + "--" + "F" * 4 + "S" * 38, 5.0, 5.0, EXCEEDED),  # lost records do not interrupt
        ("F" * 4 + "--" + "O" * 4 + "F" * 4, 2.0, 4.0, KEPT),
        ("--" + "F" * 4 + "--", 2.0, 2.0, KEPT),
    ],
)
def test_failing_abatement(text, longest, total, verdict):
    found = states(text)
    line = found["other, uninterrupted"]
    assert (line.compared, line.verdict) == (longest, verdict)
    assert found["other, calendar year"].compared == total
    assert found["other"].compared == text.count("F") / 2
    assert ("without a record" in line.reason) == ("F--F" in text)
    if total:
        assert line.at.end_utc_ms - line.at.start_utc_ms == longest * 3_600_000


def test_sixty_hours_in_a_year():
    assert states(("F" * 6 + "O" * 6) * 20)["other, calendar year"].verdict == KEPT  # 60 h
    assert states(("F" * 6 + "O" * 6) * 20 + "F")["other, calendar year"].verdict == EXCEEDED
    assert states("F" * 20, "de_17bimschv")["other, uninterrupted"].limit == "4"
    assert states("F" * 20, "eu_mrr")["other, uninterrupted"].verdict == NOT_JUDGED


def test_a_tier_of_an_emission():
    text = PLANT + '\n[[measurand.uncertainty]]\nname = "gas"\nvalue_pct = 6.0\nk = 2.0\nis_common = true\n'
    _, found = judged(text, ["eu_mrr"])
    (tier,) = [line for line in found if line.about == "tier"]
    (out,) = [line for line in found if line.about == "outage"]
    assert out.verdict == KEPT and 1.0 <= out.compared < 24.0
    assert tier.compared == pytest.approx(6.0, rel=1e-9)
    assert (tier.verdict, tier.limit) == (KEPT, "7.5")
    assert tier.test.startswith("tier 2 reached")
    _, found = judged(text.replace("decimals = 2", "decimals = 2\ntier = 3"), ["eu_mrr"])
    (tier,) = [line for line in found if line.about == "tier"]
    assert (tier.verdict, tier.limit, tier.is_met) == (EXCEEDED, "5", False)
    _, found = judged(PLANT, ["eu_mrr"])
    (tier,) = [line for line in found if line.about == "tier"]
    assert (tier.verdict, tier.is_met) == (NOT_JUDGED, None)


def outage(text):
    """One letter an hour: V valid, F a fault, S stopped, - no record; the line of what was seen."""
    rules = load_rule_set("eu_mrr")
    maker = FigureMaker(parse_plant(tomllib.loads(PLANT), Path("plant.toml")), rules)
    days = -(-len(text) // 24)
    found = Outages(rules, ["CO2"], (START_UTC_MS, START_UTC_MS + days * DAY_MS))
    for place, letter in enumerate(text):
        start = START_UTC_MS + place * 2 * HALF_HOUR_MS
        if letter != "-":
            period = (start, start + 2 * HALF_HOUR_MS)
            state = "stopped" if letter == "S" else "operating"
            place = ("CO2", MEASURED, SHORT_TERM)
            found.add(maker.make(place, period, "%", 1.0, letter == "V", (60, 60, {}), (), state=state))
    make = partial(Judgement, rule_set="eu_mrr", year=2026, start_utc_ms=0, end_utc_ms=0, is_whole=False)
    (line,) = found.judgement("CO2", (START_UTC_MS, START_UTC_MS + len(text) * 2 * HALF_HOUR_MS), make)
    assert not list(found.judgement("NOx", (START_UTC_MS, START_UTC_MS), make))
    return line


@pytest.mark.parametrize(
    ("text", "begin", "hours", "verdict"),
    [
        ("V" * 30, 0, 0.0, KEPT),
        ("V" + "F" * 120 + "V", 1, 120.0, KEPT),  # five days are not more than five days
        ("V" + "F" * 60 + "-" * 61 + "V", 1, 121.0, EXCEEDED),  # no record is no measurement
        ("F" * 70 + "S" + "F" * 70, 0, 70.0, KEPT),
        ("F" * 3 + "V" * 5 + "-" * 40, 8, 40.0, KEPT),
    ],
)
def test_an_outage_of_more_than_five_days_is_told(text, begin, hours, verdict):
    line = outage(text)
    assert (line.compared, line.verdict, line.about) == (hours, verdict, "outage")
    assert ("inform the authority" in line.reason) == (verdict == EXCEEDED)
    assert line.at is None if not hours else line.at.start_utc_ms == START_UTC_MS + begin * 2 * HALF_HOUR_MS


def accounted(text, rules):
    engine = Engine(parse_plant(tomllib.loads(text), Path("plant.toml")), [load_rule_set(rules)])
    desk = FigureDesk(engine, ArrayStrips(channels()))
    period = desk.whole_period(("year",), desk.extent())
    account = LimitAccount(engine, period)
    figures = list(desk.figures(account.levels(), period))
    for one in figures:
        account.add(one)
    return account, next(one for one in figures if one.layer == "co2e" and one.level == "year")


@pytest.mark.parametrize(("share", "tolerance", "verdict"), [
    (0.96, 5.0, KEPT), (1.04, 5.0, KEPT), (0.94, 5.0, EXCEEDED), (1.06, 5.0, EXCEEDED), (0.5, None, "stated"),
])  # fmt: skip
def test_fuels_corroborate_the_measured_tonnes(share, tolerance, verdict):
    account, measured = accounted(PLANT, "eu_mrr")
    (line,) = account.corroboration("CO2", 2026, measured.value * share, tolerance)
    assert line.verdict == NOT_JUDGED  # an hour of the day has no flow
    assert "hours are missing" in line.reason
    account.add(measured._replace(is_valid=True))
    (line,) = account.corroboration("CO2", 2026, measured.value * share, tolerance)
    assert line.compared == pytest.approx(100.0 * (1.0 - share), rel=1e-9)
    assert line.verdict == verdict
    with pytest.raises(RuleError, match="is no CO2 of the plant"):
        account.corroboration("NOx", 2026, 1.0, None)
    with pytest.raises(RuleError, match="has no tonnes of CO2"):
        account.corroboration("CO2", 2025, 1.0, None)


def test_a_file_of_fuels(tmp_path, capsys, site):
    assert main(["limits", "--sample-fuels"]) == 0
    path = tmp_path / "fuels.toml"
    text = capsys.readouterr().out
    path.write_text(text)
    gas, waste = 410.0 * 48.0 * 56.1 / 1000.0, 98_000.0 * 10.2 * 98.0 / 1000.0 * 0.66
    assert load_fuels(path).calculated_t() == pytest.approx(gas + waste, rel=1e-12)
    for old, new, told in (
        ('plant = "line-1"', 'plant = "line-9"', "is for plant line-9, which is none of line-1"),
        ("amount_t = 410.0", "amount_t = -1.0", "fuel.amount_t: -1.0 is outside"),
        ("year = 2026", 'year = "2026"', "corroborating.year: must be an integer"),
        ("[[fuel]]", "[[feul]]", "feul: is no known key"),
        ('measurand = "CO2"', 'measurand = "CO"', "is no CO2 of the plant"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        code, out, err = run(site, capsys, "--fuels", path)
        assert (code, out) == (2, ""), err
        assert told in err
        assert err.count("\n") == 1


@pytest.fixture(scope="module")
def module():
    return sampled(24 * 60 + 5)


@pytest.fixture
def site(tmp_path, module):
    text = TWO_CHANNELS.replace('["eu_mrr"]', '["eu_mrr", "eu_ied_waste"]')
    text = text.replace("range_max = 160.0\n", "range_max = 400.0\n" + LIMITS, 1)
    return Site(tmp_path, module.sealed, text)


def run(site, capsys, *words):
    code = main(["limits", "--ledger", str(site.ledger), "--plant", str(site.plant), *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_verb_on_a_ledger(site, capsys, tmp_path):
    code, out, err = run(site, capsys, "--json")
    assert (code, err) == (1, "")  # 100 mg/m3 of CO on a daily limit of 50
    tree = json.loads(out)
    assert tree["format"] == "plumeproof.limits/1"
    by_test = {(row["rule_set"], row["subject"], row["test"]): row for row in tree["judgements"]}
    day = by_test["eu_ied_waste", "CO", "day"]
    code, averages, _ = site.run(
        capsys, "--level", "day", "--layer", "validated", "--json", "--rules", "eu_ied_waste", "--from", "2026-12-01",
        "--to", "2026-12-02",
    )  # fmt: skip
    figure = json.loads(averages)["figures"][0]
    assert (day["compared"], day["n_over"], day["verdict"]) == (figure["value"], 1, "exceeded")
    assert day["cases"] == [{"start": figure["start"], "end": figure["end"], "value": figure["value"]}]
    assert by_test["eu_ied_waste", "CO", "month"]["verdict"] == "not judged"
    assert by_test["eu_ied_waste", "CO", "any 24 h"]["n"] > 0
    for ending in ("csv", "json"):
        code, out, _ = run(site, capsys, "-o", tmp_path / f"l.{ending}")
        assert (code, out) == (1, "")
    assert json.loads((tmp_path / "l.json").read_text()) == tree
    rows = list(csv.DictReader(io.StringIO((tmp_path / "l.csv").read_text())))
    assert len(rows) == len(tree["judgements"])
    assert float(next(row for row in rows if row["test"] == "day")["compared"]) == figure["value"]


def test_the_text_is_for_eyes(site, capsys):
    code, out, _ = run(site, capsys)
    assert code == 1
    assert "Line 1 (line-1), eu_ied_waste, 2026 so far (2026-12-01T01:00 to " in out
    assert "  exceeded         CO       day: 1 averages, 1 above 50 mg/m3 (0 may be); highest " in out
    assert "above from 2026-12-01T00:00:00+01:00" in out
    assert "compare nothing with this limit" in out
    assert "operating: 24 h" in out  # what has not ended is not counted
    assert "days lost by malfunction or maintenance: 0 d, at most 10 d" in out


def test_nothing_and_wrong_words(site, capsys):
    code, out, err = run(site, capsys, "--from", "2027", "--to", "2028")
    assert (code, out) == (1, "")
    assert "the ledger holds slots from" in err
    code, _, err = run(site, capsys, "-o", site.folder / "x.parquet")
    assert code == 2
    assert "ends in none of .csv, .json" in err
    site.plant.write_text(site.plant.read_text().replace('kind = "month"', 'kind = "week"'))
    code, out, err = run(site, capsys)
    assert (code, out) == (2, "")
    assert "limit 'week' of CO: is none of ten_min" in err


def test_in_a_notebook(tmp_path, capsys, site):
    """The lines of the verb, from a ledger and from arrays."""
    code, out, _ = run(site, capsys, "--json")
    tree = json.loads(out)
    found = plumeproof.limits(site.ledger, site.plant)
    assert found.rows() == tree["judgements"] and found.is_kept is (code == 0)
    assert {one.subject for one in found.select(subject="CO")} == {"CO"} and len(found) == len(found.rows())
    path = tmp_path / "stack.toml"
    path.write_text(PLANT)
    own = plumeproof.limits(channels(), path, rule_sets="eu_mrr", end="2027")
    assert [one.about for one in own.select(subject="CO2")] == ["tier", "outage"]
    assert repr(own).startswith("Limits(") and "stated" in repr(own)
    assert main(["limits", "--sample-fuels"]) == 0
    fuels = tmp_path / "fuels.toml"
    fuels.write_text(capsys.readouterr().out)
    (line,) = plumeproof.limits(channels(), path, rule_sets="eu_mrr", fuels=fuels).select(about="corroboration")
    assert line.subject == "CO2"
    fuels.write_text(fuels.read_text().replace('plant = "line-1"', 'plant = "line-9"'))
    with pytest.raises(RuleError, match="do not belong to plant line-1"):
        plumeproof.limits(channels(), path, fuels=str(fuels))
    with pytest.raises(RuleError, match="period is empty"):
        plumeproof.limits(channels(), path, start="2027", end="2026")
