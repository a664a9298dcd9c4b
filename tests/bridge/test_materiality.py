"""The materiality view against a slow referee, and against a month of signed records whose weak hours are known."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.documents.declared import text_of
from plumeproof.documents.materiality import KINDS, WeighedHour, account
from tests.doubles.carbon_month import PLANT, SITE, record_month

SAMPLE = files("plumeproof.documents").joinpath("sample_site.toml").read_text()
PERIOD = ("--from", "2026-12", "--to", "2027-01")
tonnes = st.decimals(0, 1000, places=9)
hours_of_sources = st.lists(
    st.tuples(st.sampled_from(["S1", "S2"]), tonnes, st.frozensets(st.sampled_from(KINDS))), max_size=30
)


@given(hours_of_sources, st.decimals("0.000001", 100, places=6))
def test_every_share_is_the_referee_s(rows, threshold):
    found = account([WeighedHour(name, at, t, kinds) for at, (name, t, kinds) in enumerate(rows)], threshold)
    # Each hour by itself, in fractions
    whole = sum((Fraction(t) for _, t, _ in rows), Fraction(0))
    weak = Fraction(0)
    for _, t, kinds in rows:
        if len(kinds) > 0:
            weak += Fraction(t)
    for kind in KINDS:
        own = sum((Fraction(t) for _, t, kinds in rows if kind in kinds), Fraction(0))
        assert Fraction(found.of_kind[kind].tonnes) == own
        assert found.of_kind[kind].hours == sum(1 for _, _, kinds in rows if kind in kinds)
        share = found.share_pct(found.of_kind[kind])
        assert (share is None) == (whole == 0)
        assert share is None or abs(Fraction(share) - own * 100 / whole) <= Fraction(1, 2_000_000)
    assert Fraction(found.together.tonnes) == weak and Fraction(found.whole.tonnes) == whole
    assert found.exceeds == (weak * 100 > Fraction(threshold) * whole)


def test_what_is_just_the_threshold_does_not_exceed_it():
    rows = [
        WeighedHour("S1", 0, Decimal(1), frozenset({KINDS[0], KINDS[1]})),
        WeighedHour("S1", 1, Decimal(19), frozenset()),
    ]
    found = account(rows, Decimal(5))
    assert (found.share_pct(found.together), found.exceeds, found.together.hours) == (Decimal("5"), False, 1)
    assert account(rows, Decimal("4.999999")).exceeds


def site_of(text=SITE):
    """The sample with CO2 alone, and these tables in place of its own of the same names."""
    only_co2 = re.sub(
        r'\[\[permit.outlet.pollutant\]\]\nmeasurand = "NOx".*?(?=\[\[permit.outlet.pollutant\]\])',
        "",
        SAMPLE,
        flags=re.S,
    )
    return (
        re.sub(r"\n\[\[?(cylinder|readiness|verification)\b.*?(?=\n\[(?!\[?readiness)|\Z)", "\n", only_co2, flags=re.S)
        + text
    )


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    folder = record_month(tmp_path_factory.mktemp("month"))
    (folder / "site.toml").write_text(site_of())
    return folder


def report(capsys, folder, *more, site="site.toml", plant="line-1.toml"):
    arguments = ["--site", folder / site, "--ledger", folder / "ledger.sqlite", "--plant", folder / plant]
    status = main(["report", "materiality", *map(str, arguments), *(more or PERIOD)])
    told = capsys.readouterr()
    assert status != 2 or (told.err.count("\n"), told.out) == (1, ""), told.err
    return status, json.loads(told.out) if told.out else told.err, told.err


def weak(document):
    return {kind: one["hours"] for kind, one in document["weaknesses"].items()}, document["together"]["hours"]


def test_a_month_with_substituted_hours(month, capsys):
    status, document, _ = report(capsys, month)
    (source,) = document["sources"]
    # Twelve hours without CO2, and the hour in which the first span check came only after its begin
    assert status == 0 and weak(document) == (
        {"substituted": 12, "calibration": 1, "cylinder": 0, "factor": 0},
        13,
    )
    assert source["declared"]["agrees"] and source["declared"]["figures"][0]["id"].endswith("20261201T0000Z/eu_mrr")
    whole, together = Decimal(document["tonnes"]), Decimal(document["together"]["tonnes"])
    assert text_of((together * 100 / whole).quantize(Decimal("0.000001"))) == document["together"]["share_pct"]
    assert (document["threshold_pct"], document["within_threshold"], document["not_judged"]) == ("5", True, [])


@pytest.mark.parametrize(
    ("old", "new", "kind", "count", "told"),
    [
        ('expires = "2027-06-30"', 'expires = "2026-12-14"', "cylinder", 17 * 24 - 1, "expired on 2026-12-14"),
        ('value = "34.0"', 'value = "35.0"', "factor", 744, "biomass_share_pct 34 is not confirmed"),
        ('valid_to = "2027-12-31"', 'valid_to = "2026-12-30"', "factor", 24, "is not confirmed"),
    ],
)
def test_weaknesses_of_site_toml(month, capsys, old, new, kind, count, told):
    assert SITE.count(old) == 1
    (month / "other.toml").write_text(site_of(SITE.replace(old, new)))
    status, document, _ = report(capsys, month, site="other.toml")
    assert weak(document)[0][kind] == count and status == 1
    assert any(told in one["reason"] for one in document["sources"][0]["reasons"])


@pytest.mark.parametrize(
    ("old", "new", "count", "told"),
    [
        ('qal2-2025"\nbegins = "2025-06-01', 'qal2-2025"\nbegins = "2026-12-02', 24, "no calibration function"),
        ('on = "2026-05-04"', 'on = "2025-12-20"', 11 * 24 + 1, "AST was due on 2026-12-20"),
        ('on = "2026-05-04"', 'on = "2026-12-30"\nresult = "failed"', 744, "AST of 2026-12-30 was not passed"),
        ("interval_days = 7", "interval_days = 6", 4 * 24 + 1, "QAL3 check at span was due"),
        ("span_s_ams = 0.2", "span_s_ams = 0.001", None, "QAL3 at span: out of control"),
    ],
)  # fmt: skip
def test_weaknesses_of_calibration(month, capsys, old, new, count, told):
    assert PLANT.count(old) == 1
    (month / "other-plant.toml").write_text(PLANT.replace(old, new))
    _, document, _ = report(capsys, month, plant="other-plant.toml")
    found = weak(document)[0]["calibration"]
    assert any(told in one["reason"] for one in document["sources"][0]["reasons"])
    assert found == count if count is not None else found > 24


def test_what_is_not_stated_is_named_and_never_good(month, capsys):
    (month / "bare.toml").write_text(site_of(""))
    _, document, _ = report(capsys, month, site="bare.toml")
    assert document["not_judged"] == ["S1: CO2: 'bottle 4711' at span has no [[cylinder]] with an expiry date"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "\n[verification]\nquantitative_threshold_pct = 5\n",
            "verification.quantitative_threshold_pct: must be text in quotes",
        ),
        (
            '\n[verification]\nquantitative_threshold_pct = "101"\n',
            "verification.quantitative_threshold_pct: 101 is outside",
        ),
        (SITE.replace('what = "biomass', 'what = "bio'), "readiness.factor.what: 'bio_share_pct' is none of"),
        (
            SITE.replace('source = "S1"', 'source = "S7"'),
            "readiness.factor.source: 'S7' is no [[source]] and no activity here",
        ),
        (SITE.replace('valid_to = "2027', 'valid_to = "2025'), "lies before valid_from"),
        (SITE.replace("certificate =", "certificat ="), "cylinder.certificat: is no known key"),
    ],
)
def test_bad_input_is_one_line(month, tmp_path, capsys, text, told):
    (month / "bad.toml").write_text(site_of(text))
    output = tmp_path / "out.json"
    status, _, err = report(capsys, month, *PERIOD, "--json", str(output), site="bad.toml")
    assert status == 2 and told in err and not output.exists()


def test_another_threshold_and_the_same_bytes(month, tmp_path, capsys):
    (month / "strict.toml").write_text(site_of(SITE + '[verification]\nquantitative_threshold_pct = "1.5"\n'))
    outputs = [tmp_path / f"m.{ending}" for ending in ("json", "html", "pdf")]
    options = [
        word
        for kind, output in zip(("--json", "--html", "--pdf"), outputs, strict=True)
        for word in (kind, str(output))
    ]
    assert report(capsys, month, *PERIOD, *options, site="strict.toml")[0] == 1
    first = [output.read_bytes() for output in outputs]
    document = json.loads(first[0])
    assert (
        not document["within_threshold"]
        and document["threshold_from"] == "strict.toml [verification] quantitative_threshold_pct"
    )
    assert b"Above the threshold" in first[1]
    report(capsys, month, *PERIOD, *options, site="strict.toml")
    assert [output.read_bytes() for output in outputs] == first


ACTIVITY = """
[[statement.factor]]
id = "grid"
value = "0.5"
unit = "tCO2e/MWh"
source = "Ministry"
publication = "Grid factor 2025"
valid_from = "2025-01-01"
valid_to = "2027-12-31"
region = "CN"
[[statement.activity]]
id = "grid-12"
source = "E1"
category = 2
process = "Electricity"
gas = "CO2e"
amount = "500"
unit = "MWh"
factor = "grid"
first = "2026-12-01"
last = "2026-12-31"
"""


def test_a_calculated_activity_rests_on_its_factor(month, capsys):
    def reviewed(more):
        (month / "activity.toml").write_text(site_of(SITE + ACTIVITY + more))
        return report(capsys, month, site="activity.toml")

    status, document, _ = reviewed("")
    assert status == 1 and weak(document)[0]["factor"] == 0  # of no hour
    assert document["weaknesses"]["factor"]["tonnes"] == "250" and document["sources"][1]["plant"] == "calculated"
    measured, whole = Decimal(document["sources"][0]["tonnes"]), Decimal(document["tonnes"])
    assert whole == measured + 250
    confirmed = (
        '[[readiness.factor]]\nsource = "grid-12"\nwhat = "emission_factor"\nvalue = "0.5"\nevidence = "gazette"\n'
    )
    confirmed += 'valid_from = "2026-01-01"\nvalid_to = "2026-12-31"\n'
    status, document, _ = reviewed(confirmed)
    assert status == 0 and document["weaknesses"]["factor"]["tonnes"] == "0" and Decimal(document["tonnes"]) == whole
    status, _, err = reviewed(confirmed.replace("grid-12", "grid-13"))
    assert status == 2 and "'grid-13' is no [[source]] and no activity here" in err


def test_a_gas_counts_once(month, capsys):
    again = '[[source]]\nid = "S2"\noutlet = "DA001"\nmeasurand = "CO2"\nrule_set = "eu_mrr"\nprocess = "the same"\n'
    (month / "twice.toml").write_text(site_of(SITE + again))
    status, _, err = report(capsys, month, site="twice.toml")
    assert status == 2 and "source S2: is the gas of S1 again: it would count twice" in err
