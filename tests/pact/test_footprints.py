"""Footprints: exact numbers, stable ids, a table that is refused in one line, paper that says what the host says."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.documents.site import load_site
from plumeproof.errors import ConfigError
from plumeproof.pact import footprint
from plumeproof.pact.offer import read_offer
from plumeproof.rules.figure import CO2E, MONTH
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.trace.document import ids_of
from tests.bridge.test_documents import words_of_pdf
from tests.doubles.footprint_works import DECEMBER, REVISED_UTC_MS, site_text, without, write_ledger
from tests.doubles.manual_clock import ManualClock

SITE = site_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ledger whose month was revised once, and its site."""
    found = tmp_path_factory.mktemp("footprints")
    write_ledger(found)
    (found / "site.toml").write_text(SITE)
    return found


def report(folder, *more, site="site.toml"):
    options = ["--site", folder / site, "--ledger", folder / "ledger.sqlite", "--plant", folder / "line-1.toml"]
    return main(["report", "footprint", *map(str, [*options, *more])])


def test_paper_says_what_the_host_says(folder, works, tmp_path, customer):
    outputs = [tmp_path / f"footprint.{ending}" for ending in ("json", "html", "pdf")]
    chosen = [item for output in outputs for item in (f"--{output.suffix[1:]}", output)]
    assert report(folder, *chosen) == 0
    first = [output.read_bytes() for output in outputs]
    assert report(folder, *chosen) == 0 and [output.read_bytes() for output in outputs] == first
    document = json.loads(first[0])
    assert document["profile"]["status"] == "community"
    for one in document["footprints"]:
        customer.require_schema("ProductFootprint", one)
        assert uuid.UUID(one["id"]).version == 5
        for words in (first[1].decode(), words_of_pdf(first[2])):
            assert one["id"] in words and one["pcf"]["pcfExcludingBiogenicUptake"] in words
    named = {one.id for one in ids_of(outputs[0])}
    month = "line-1/CO2/co2e/month/20261130T2300Z/eu_mrr"
    assert named == {f"{month}/r0", f"{month}/r1"}


def test_the_host_hands_out_the_same(works, tmp_path, customer):
    options = ["-c", works.config_file, "--json", tmp_path / "all.json"]
    assert main(["report", "footprint", *map(str, options)]) == 0
    written = json.loads((tmp_path / "all.json").read_text())["footprints"]
    assert written == customer.read_pages("/3/footprints")


def test_the_arithmetic_is_exact(folder, tmp_path):
    assert report(folder, "--json", tmp_path / "f.json", "--product", "steam", "--active") == 0
    document = json.loads((tmp_path / "f.json").read_text())
    (one,) = document["footprints"]
    (basis,) = document["basis"].values()
    tonnes = Fraction(basis["figures"][0]["tCO2e"])
    exact = tonnes * 1000 * Fraction("0.625") / 2_150_000
    assert Decimal(basis["measuredKgCO2ePerDeclaredUnit"]) == Decimal(round(exact * 10**6)).scaleb(-6)
    fossil = Decimal(round((exact + Fraction("0.0041")) * 10**6)).scaleb(-6)
    assert one["pcf"]["fossilGhgEmissions"] == str(fossil)
    assert one["pcf"]["pcfExcludingBiogenicUptake"] == str(fossil + Decimal("0.00002"))
    assert float(tonnes) == float(basis["figures"][0]["tCO2e"])  # the figure's own float64, digit by digit


@given(st.fractions(min_value=0, max_value=10**40), st.integers(0, 15))
def test_rounding_is_half_to_even_with_any_number_of_digits(number, decimals):
    found = footprint._rounded(number, decimals)
    assert abs(Fraction(found) - number) <= Fraction(1, 2 * 10**decimals)
    assert found.as_tuple().exponent == -decimals
    if abs(Fraction(found) - number) == Fraction(1, 2 * 10**decimals):
        assert found.as_tuple().digits[-1] % 2 == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('other_fossil = "0.0041"', "other_fossil = 0.0041", "pact.footprint.other_fossil: must be text in quotes"),
        ('other_fossil = "0.0041"', 'other_fossil = "1e-41"', "other_fossil: 1e-41 has more than 40 decimals"),
        ('primary_data_share_pct = "91.2"', 'primary_data_share_pct = "100"', "pact.footprint.database: is there"),
        ('technological = "1.2"', 'technological = "6"', "pact.footprint.ratings.technological: 6 is outside 1 to 5"),
        ('declared_unit = "megajoule"', 'declared_unit = "MJ"', "pact.product.declared_unit: 'MJ' is none of liter"),
        ('mass_kg = "0" ', 'mass_kg = "1" ', "a megajoule has no mass"),
        ('geography = "CN"', 'geography = "China"', "pact.footprint.geography: 'China' is no country"),
        (
            'sources = ["S1"]                     # of',
            'sources = ["S9"]  # of',
            "pact.footprint.sources: 'S9' is no [[source]] here",
        ),
        ('product = "steam"', 'product = "heat"', "pact.footprint.product: 'heat' is no [[pact.product]] here"),
        ('product = "steam"', 'product = "power"', "overlap; a month of a product stands once"),
        ('allocated_pct = "62.5"', 'allocated_pct = "62.6"', "source S1 bears 100.1 % in 2026-12 to 2027-01"),
        ('ids = ["urn:pact:northport.ex', 'ids = ["um:pact:northport.ex', "pact.product.ids"),
        ('cn = "27160000"', 'cn = "2716"', "'2716' is no CN code (8 digits)"),
        ("packaging_included = false", "packaging_included = false\npackaging = 1", "packaging: is no known key"),
        ('biogenic_non_co2 = "0.00002"', 'packaging = "0.1"', "packaging_included: is false, and amounts.packaging"),
        ('biogenic_non_co2 = "0.00002"', 'capture = "0.1"', "pact.footprint.amounts.capture: 0.1 is outside"),
        ('exempted_pct = "0"', 'exempted_pct = "3"', "pact.footprint.exempted_reason: is missing"),
        ('other_ipcc_factors = ["AR6"]', "other_ipcc_factors = []", "other_ipcc_factors: is empty"),
        ('issued = "2027-01-15T08:00:00Z"', 'issued = "2027-01-15"', "has no time zone"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, old, new, told):
    assert SITE.count(old) >= 1
    (tmp_path / "site.toml").write_text(SITE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_offer(load_site(tmp_path / "site.toml"))
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["production", "fossil_carbon", "cross_sectoral_standards", "exempted_pct", "company_ids", "decimals"]
)
def test_no_default_stands_for_a_fact(folder, tmp_path, capsys, key):
    (folder / "less.toml").write_text(without(SITE, key))
    assert report(folder, "--json", tmp_path / "f.json", site="less.toml") == 2
    told = capsys.readouterr().err
    assert f"{key}: is missing" in told and told.count("\n") == 1 and not (tmp_path / "f.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'first = "2026-12"',
            'first = "2026-11"',
            "CO2 in t CO2e by eu_mrr at DA001 has no closed month that begins 20261031T2300Z",
        ),
        ('first = "2026-12"', 'first = "2027-02"', "end 2027-01 is not behind first 2027-02"),
        ('issued = "2027-', 'issued = "2026-', "is issued before its period has ended"),
        ('end = "2027-01" ', 'end = "2027-02" ', "has no closed month that begins 20261231T2300Z; it waits until"),
    ],
)
def test_what_is_not_measured_is_refused(folder, tmp_path, capsys, old, new, told):
    text = SITE.replace("2027-01-15", "2027-03-15") if "20261231" in told else SITE
    (folder / "odd.toml").write_text(text.replace(old, new, 1))
    assert report(folder, "--json", tmp_path / "f.json", site="odd.toml") == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (tmp_path / "f.json").exists()


def test_what_replaces_what_is_part_of_the_id(folder, tmp_path):
    older = str(uuid.uuid4())
    (folder / "again.toml").write_text(SITE.replace('geography = "CN"', f'geography = "CN"\npreceding = ["{older}"]'))
    found = []
    for site in ("site.toml", "again.toml"):
        assert report(folder, "--json", tmp_path / "f.json", "--product", "steam", site=site) == 0
        found.append(json.loads((tmp_path / "f.json").read_text())["footprints"])
    assert not {one["id"] for one in found[0]} & {one["id"] for one in found[1]}
    assert [one["precedingPfIds"] for one in found[1]] == [[older], [older, found[1][0]["id"]]]


def test_a_revision_without_a_value(tmp_path, capsys):
    write_ledger(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    for value, status in ((None, 2), (600.0, 0)):
        writer = Writer(tmp_path / "ledger.sqlite")
        figures = SqliteFigures(writer, ManualClock(REVISED_UTC_MS + 1000))
        (one,) = [figure for figure in figures.of_period("line-1", MONTH, *DECEMBER) if figure.layer == CO2E]
        figures.commit([one._replace(value=value)], (), figures.position())
        writer.close()
        assert report(tmp_path, "--product", "steam", "--json", tmp_path / "f.json") == status
    assert "the revision behind line-1/CO2/co2e/month/20261130T2300Z/eu_mrr/r1 has no value" in capsys.readouterr().err
    comments = [one["comment"] for one in json.loads((tmp_path / "f.json").read_text())["footprints"]]
    assert [f"/r{number} = " in comment for number, comment in zip((0, 1, 3), comments, strict=True)] == [True] * 3


def test_a_figure_that_does_not_count_is_said(tmp_path, capsys):
    write_ledger(tmp_path, revise=False)
    writer = Writer(tmp_path / "ledger.sqlite")
    figures = SqliteFigures(writer, ManualClock(REVISED_UTC_MS))
    (one,) = [figure for figure in figures.of_period("line-1", MONTH, *DECEMBER) if figure.layer == CO2E]
    figures.commit([one._replace(is_valid=False, flags=("coverage",))], (), figures.position())
    writer.close()
    (tmp_path / "site.toml").write_text(SITE)
    assert report(tmp_path, "--product", "steam", "--active", "--html", tmp_path / "f.html", "--json", "-") == 1
    (basis,) = json.loads(capsys.readouterr().out)["basis"].values()
    assert basis["notValid"] == ["line-1/CO2/co2e/month/20261130T2300Z/eu_mrr/r1"]
    assert "1 of 1 figures do not count by their rule set: not handed out" in (tmp_path / "f.html").read_text()
