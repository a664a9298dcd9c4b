"""A site's description, its permit view, and sheets: page and paper carry the same words, the same bytes each time."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from html import unescape
from importlib.resources import files

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.config import load_config
from plumeproof.documents.declared import add, decimal_of, pieces_of, text_of
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Bar, Facts, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.sheet_page import page_of
from plumeproof.documents.sheet_pdf import pdf_of
from plumeproof.documents.site import load_site
from plumeproof.errors import ConfigError
from plumeproof.fuel_file import load_fuels
from plumeproof.plant_file import load_plant
from plumeproof.rules.calendar import month_of, year_of
from plumeproof.rules.figure import MONTH, YEAR
from tests.bridge.test_recompute import EVENING_MS, record_evening

SAMPLE = files("plumeproof.documents").joinpath("sample_site.toml").read_text()
LIMIT = '[[permit.outlet.pollutant.limit]]    # must be what the plant description says\nkind = "day"'
SHEET = Sheet(
    "Statement",
    "Works A",
    (
        Verdict("All checks hold", GOOD),
        Verdict("Two dates are missing", OPEN),
        Heading("Figures"),
        Text("A < B & C"),
        Facts((("Operator", "Northport Energy"),)),
        Table(("Judged", "Gas", "t"), (("holds", "CO2", "12.5"), ("missing", "N2O", "0")), frozenset({2}), (GOOD, BAD)),
        Bar("Substituted", 0.031, 0.05, "3.1 % of 5 %"),
    ),
    "provisional",
    "SHA-256 00",
)


@pytest.fixture(scope="module")
def site_folder(tmp_path_factory):
    """A ledger of an evening with its plant, and a site that fits to it."""
    folder = record_evening(tmp_path_factory.mktemp("site"), '["eu_mrr"]', EVENING_MS)
    (folder / "site.toml").write_text(fitting(SAMPLE))
    return folder


def fitting(text):
    text = re.sub(r"\[\[permit.outlet.pollutant.limit\]\].*?\n\n", "\n", text, flags=re.DOTALL)
    return text.replace('"NOx"', '"CO"').replace('"CO2"', '"dust"')


def options(folder, site="site.toml"):
    return ["--site", folder / site, "--ledger", folder / "ledger.sqlite", "--plant", folder / "line-1.toml"]


def report(capsys, *arguments):
    status = main(["report", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_sample_is_a_site(tmp_path, capsys):
    assert report(capsys, "--sample-site") == (0, SAMPLE, "")
    (tmp_path / "site.toml").write_text(SAMPLE)
    found = load_site(tmp_path / "site.toml").site
    assert [outlet.id for _, outlet in found.outlets()] == ["DA001"] and found.sources[0].measurand == "CO2"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('category = "wte"', 'category = "oil"', "line 9: site.category: 'oil' is none of zld, wte, swro, cbam"),
        ('country = "CN"', 'country = "China"', "line 11: site.country: 'China' is no country code"),
        ('valid_to = "2028-12-31"', 'valid_to = "2023-12-31"', "permit.valid_to: 2023-12-31 lies before valid_from"),
        ('valid_from = "2024-01-01"', 'valid_from = "1.1.2024"', "permit.valid_from: '1.1.2024' is no day"),
        ('outlet = "DA001"', 'outlet = "DA009"', "source.outlet: 'DA009' is no outlet of a permit here"),
        ("[party]", "[partie]", "partie: is no known key"),
        ('number = "91310000000000000X001V"', "", "permit.number: is missing"),
        ('hj212 = "a05001"', 'hj212 = "a-05001"', "hj212: 'a-05001' is no HJ 212 code"),
        ("category = 1 ", "category = 7 ", "source.category: 7 is outside 1 to 6"),
    ],
)
def test_what_is_no_site_is_one_line(tmp_path, old, new, told):
    assert SAMPLE.count(old) >= 1
    (tmp_path / "site.toml").write_text(SAMPLE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_site(tmp_path / "site.toml")
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [load_site, load_config, load_plant, load_fuels])
def test_a_number_of_thousands_of_digits_is_one_line(tmp_path, read):
    (tmp_path / "big.toml").write_text(f"a = {'1' * 5_000}\n")
    with pytest.raises(ConfigError, match="no TOML"):
        read(tmp_path / "big.toml")


def test_an_outlet_twice_is_refused(tmp_path):
    outlet = SAMPLE[SAMPLE.index("[[permit.outlet]]") : SAMPLE.index("[[permit.outlet.pollutant]]")]
    (tmp_path / "site.toml").write_text(SAMPLE.replace("\n[[source]]", "\n" + outlet + "\n[[source]]", 1))
    with pytest.raises(ConfigError, match="permit.outlet DA001 is there twice"):
        load_site(tmp_path / "site.toml")


def test_the_permit_view_in_three_forms(site_folder, tmp_path, capsys):
    outputs = [tmp_path / f"permit.{ending}" for ending in ("json", "html", "pdf")]
    arguments = ["permit", *options(site_folder)]
    for kind, output in zip(("--json", "--html", "--pdf"), outputs, strict=True):
        arguments += [kind, output]
    assert report(capsys, *arguments)[0] == 0
    first = [output.read_bytes() for output in outputs]
    assert json.loads(first[0])["permits"][0]["outlets"][0]["pollutants"][0]["hj212"] == "a21002"
    assert "91310000000000000X001V" in first[1].decode() and "91310000000000000X001V" in words_of_pdf(first[2])
    assert report(capsys, *arguments)[0] == 0
    assert [output.read_bytes() for output in outputs] == first


def test_a_permit_and_a_plant_that_differ_are_refused(site_folder, capsys, tmp_path):
    text = fitting(SAMPLE).replace('hj212 = "a21002"', 'hj212 = "a21002"\nlimits = []')
    (tmp_path / "key.toml").write_text(text)
    limit = '\n[[permit.outlet.pollutant.limit]]\nkind = "day"\nvalue = 50.0\n'
    text = fitting(SAMPLE)
    at = text.index('duties = ["real_time", "hour", "day"]') + len('duties = ["real_time", "hour", "day"]')
    (site_folder / "stricter.toml").write_text(text[:at] + limit + text[at:])
    for site, told in (
        ("stricter.toml", "limits of CO: permit 91310000000000000X001V says day 50, plant line-1 none"),
        ("other.toml", "names plant 'line-9'; described are line-1"),
        ("gas.toml", "'HCl' is no measurand of plant line-1: CO, dust"),
    ):
        if site != "stricter.toml":
            words = ('"line-1"', '"line-9"') if site == "other.toml" else ('measurand = "CO"', 'measurand = "HCl"')
            (site_folder / site).write_text(fitting(SAMPLE).replace(*words, 1))
        output = tmp_path / "permit.json"
        status, out, err = report(capsys, "permit", *options(site_folder, site), "--json", output)
        assert (status, out) == (2, "") and told in err and not output.exists()
        assert len(err.strip().splitlines()) == 1


def words_of_pdf(raw: bytes) -> str:
    document = pypdfium2.PdfDocument(raw)
    return " ".join(page.get_textpage().get_text_range() for page in document)


def test_page_and_paper_have_the_same_words():
    page = unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page_of(SHEET), flags=re.DOTALL)))
    paper = words_of_pdf(pdf_of(SHEET))
    for words in (
        "Statement",
        "All checks hold",
        "A < B & C",
        "Northport Energy",
        "12.5",
        "3.1 % of 5 %",
        "SHA-256 00",
    ):
        assert words in page and words in paper
    assert pdf_of(SHEET) == pdf_of(SHEET) and page_of(SHEET) == page_of(SHEET)
    assert "<script" not in page_of(SHEET) and "A &lt; B &amp; C" in page_of(SHEET)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12), max_size=20))
def test_decimals_are_exact(numbers):
    assert [float(text_of(decimal_of(number))) for number in numbers] == numbers
    exact = sum((Fraction(repr(number)) for number in numbers), Fraction(0))
    assert Fraction(text_of(add([decimal_of(number) for number in numbers]))) == exact


@given(st.integers(2020, 2030), st.integers(0, 11), st.integers(1, 30), st.sampled_from([-600, 0, 60, 480]))
def test_a_period_is_years_and_months(year, month, count, offset_min):
    start = month_of(
        year_of(0, offset_min)[0] + int((year - 1970 + (month + 0.5) / 12) * 365.2425 * 86_400_000), offset_min
    )[0]
    end = start
    for _ in range(count):
        end = month_of(end, offset_min)[1]
    found = pieces_of((start, end), offset_min)
    assert [found[0][1], *(one[2] for one in found)] == [start, *(one[1] for one in found[1:]), end]
    assert all(
        (year_of if level == YEAR else month_of)(first, offset_min) == (first, last) for level, first, last in found
    )
    assert {level for level, _, _ in found} <= {MONTH, YEAR}
    with pytest.raises(ConfigError, match="whole months"):
        pieces_of((start + 60_000, end), offset_min)
