"""Tables as data (rules/tables/*.json): potentials by regime and year, flags, reference O2, and what is refused."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from plumeproof.cli import main
from plumeproof.errors import RuleError
from plumeproof.rules.gwp import load_gwp, read_gwp
from plumeproof.rules.hj212_flags import load_flags, read_flags
from plumeproof.rules.reference_o2 import reference_o2_rows
from plumeproof.rules.status import LETTERS
from plumeproof.rules.table_file import load_table, read_note

SHIPPED = resources.files("plumeproof.rules") / "tables" / "gwp.json"


def spoilt(tmp_path, change):
    """A copy of the potentials with one change, as a file."""
    content = json.loads(SHIPPED.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("regime", "year", "gas", "value", "set_id"),
    [
        ("eu_mrr", 2020, "N2O", 298.0, "AR4"),
        ("eu_mrr", 2021, "N2O", 265.0, "AR5"),
        ("cbam_2026", 2026, "CF4", 6630.0, "AR5"),
        ("cbam_2026", 2026, "C2F6", 11100.0, "AR5"),
        ("voluntary", 2026, "CH4_fossil", 29.8, "AR6"),
        ("us_part98", 2025, "CH4", 28.0, "AR5"),
    ],
)
def test_potentials_by_regime_and_year(regime, year, gas, value, set_id):
    found = load_gwp().find(regime, year, gas)
    assert (found.value, found.set_id) == (value, set_id)
    assert 0.0 < found.confidence < 1.0 and found.source


def test_no_potential_is_guessed():
    table = load_gwp()
    for regime, year, gas in (("eu_mrr", 2012, "N2O"), ("cbam_2026", 2025, "N2O"), ("nobody", 2026, "N2O")):
        with pytest.raises(RuleError, match="no set for"):
            table.find(regime, year, gas)
    for set_id, gas in (("AR7", "N2O"), ("AR5", "SF6"), ("AR4", "CH4_fossil")):
        with pytest.raises(RuleError):
            table.of_set(set_id, gas)


def test_an_own_table_is_read_by_its_path(tmp_path):
    path = spoilt(tmp_path, lambda content: content["sets"][1]["gases"].update(SF6="23500"))
    assert read_gwp(path).of_set("AR5", "SF6").value == 23500.0
    assert read_gwp(path).head.sha256 != load_gwp().head.sha256
    assert read_gwp(spoilt(tmp_path, lambda content: None)).head == load_gwp().head


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda content: content.update(extra="1"), "unknown key"),
        (lambda content: content.pop("uses"), "uses is missing"),
        (lambda content: content["uses"][0].update(set="AR9"), "no set AR9"),
        (lambda content: content["uses"][0].update(to_year=2000), "after to_year"),
        (lambda content: content["uses"][0].update(to_year=2030), "two sets"),
        (lambda content: content["uses"][0].update(to_year=2021), "two sets"),
        (lambda content: content["uses"][1].update(from_year=2020), "two sets"),
        (lambda content: content["uses"][1].update(from_year=2013), "two sets"),
        (lambda content: content["uses"][0].update(confidence="2"), "outside 0..1"),
        (lambda content: content["sets"][0]["gases"].update(N2O="-1"), "not above 0"),
        (lambda content: content["sets"][0]["gases"].update(N2O=298), "no text"),
        (lambda content: content["sets"][0]["gases"].update(N2O=298.5), "decimals as text"),
        (lambda content: content["sets"].append(content["sets"][0]), "twice"),
        (lambda content: content.update(source="two\nlines"), "source is no line"),
        (lambda content: content["sets"][0].update(gases={}), "gases is no object"),
    ],
)
def test_tables_that_are_refused(tmp_path, change, word):
    path = spoilt(tmp_path, change)
    with pytest.raises(RuleError, match=word) as caught:
        read_gwp(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b'{"id": "a", "id": "b"}', "twice"),
        (b'{"id": NaN}', "decimals as text"),
        (b'{"id": 1234567890123456789}', "too long"),
        (b"[]", "no object"),
        (b"{", "no table"),
        (b"[" * 100_000, "no table"),
        (b"\xff", "UTF-8"),
        (b" " * 300_000, "longer than"),
    ],
)
def test_bytes_that_are_no_table(tmp_path, raw, word):
    path = tmp_path / "own.json"
    path.write_bytes(raw)
    with pytest.raises(RuleError, match=word):
        load_table(path, lambda reader: read_note(reader, "title"))


def test_names_of_no_table(tmp_path):
    with pytest.raises(RuleError, match="no such table"):
        load_table("weather", lambda reader: None)
    with pytest.raises(RuleError, match="cannot be read"):
        load_table(tmp_path / "absent.json", lambda reader: None)


def test_flags_are_translated_by_the_table():
    flags = load_flags()
    assert [flags.status_of(flag) for flag in "NFMSDCTB"] == ["V", "stopped", "M", "S", "F", "C", "O", "L"]
    for flag in "NMSDCTB":
        assert flags.flag_of(flags.status_of(flag))[0] == flag
    assert flags.flag_of("stopped") == ("F", 0.95) and flags.flag_of("F")[0] == "D"
    assert all(flags.flag_of(letter) for letter in LETTERS)
    with pytest.raises(RuleError, match="HJ 212 flag"):
        flags.status_of("Z")
    with pytest.raises(RuleError, match="is none of"):
        flags.flag_of("Q")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda content: content["written"].pop(), "stopped"),
        (lambda content: content["written"][0].update(flag="Z"), "Z"),
        (lambda content: content["flags"].append(content["flags"][0]), "twice"),
        (lambda content: content["written"].append(content["written"][0]), "twice"),
    ],
)
def test_flags_of_a_customer_are_checked(tmp_path, change, word):
    content = json.loads((resources.files("plumeproof.rules") / "tables" / "hj212_flags.json").read_text("utf-8"))
    change(content)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RuleError, match=word):
        read_flags(path)


def test_reference_oxygen(capsys):
    rows = {(row.regime, row.plant): row.o2_pct for row in reference_o2_rows()}
    assert len(rows) == 19 and rows["cn", "boiler_coal"] == 9.0
    assert (rows["de", "gas_diesel_engine"], rows["eu", "gas_diesel_engine"]) == (5.0, 15.0)
    assert main(["average", "--reference-o2"]) == 0
    assert "cn  boiler_coal                     9 %  confidence 0.9" in capsys.readouterr().out
    assert main(["average", "--reference-o2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 19
