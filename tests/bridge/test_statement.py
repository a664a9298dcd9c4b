"""The GHG statement: made from the ledger, held to its schema and seven rules, whoever edited it last."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import re
from decimal import Decimal
from fractions import Fraction
from math import sqrt

import jsonschema_rs  # schemathesis brings it: another hand than the product's jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.documents.data_set_file import read_data_set
from plumeproof.documents.declared import text_of
from plumeproof.documents.edition import fault_of
from plumeproof.documents.hours import tonnes_text
from plumeproof.documents.schema import canonical, digest_of, faults_of, load_schema, pointer_of
from plumeproof.documents.statement_checks import findings_of
from plumeproof.documents.statement_inputs import StatementInput, combined
from plumeproof.documents.statement_sums import findings_of as sums_of
from plumeproof.errors import ConfigError
from tests.bridge.test_documents import SAMPLE, words_of_pdf
from tests.doubles.tonnes_plant import PLANT, write_tonnes

PART = '[[{}.uncertainty]]\nname = "part"\nvalue_pct = {}\nk = 2.0\nis_common = true\n'
N2O = '[[measurand]]\nid = "N2O"\nsource = "plume-01/co2"\nunit = "%"\nslot_ms = 60000\ngas = "N2O"\n'
UNCERTAIN = PLANT.replace("[[measurand]]", PART.format("flow", 3.0) + "[[measurand]]") + PART.format("measurand", 2.0)
UNCERTAIN += N2O + 'greenhouse_gas = "N2O"\n' + PART.format("measurand", 2.0)
MORE = """
[[evidence]]
id = "qal2"
kind = "calibration"
file = "qal2.pdf"
media_type = "application/pdf"
created = "2026-11-30T09:00:00+01:00"
custodian = "Environment department"
[[statement.factor]]
id = "grid"
value = "0.5366"
unit = "tCO2e/MWh"
source = "Ministry"
publication = "2025"
valid_from = "2025-01-01"
valid_to = "2027-12-31"
region = "CN"
[[statement.activity]]
id = "grid-12"
source = "E1"
category = 2
process = "Electricity from the grid"
gas = "CO2e"
amount = "120.5"
unit = "MWh"
factor = "grid"
first = "2026-12-01"
last = "2026-12-31"
uncertainty_pct = "2"
[verification]
"""
LIMITED = "Nothing has come to our attention that causes us to believe that the statement is not fairly stated."
REASONABLE = "In our opinion the statement is fairly stated in all material respects."
WIDE = st.decimals(-(10**9), 10**9, places=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The last four days of December with CO2 and flow, and a site that fits to them."""
    found = tmp_path_factory.mktemp("statement")
    write_tonnes(found, 4, UNCERTAIN)
    pollutant = r"\[\[permit.outlet.pollutant\]\]\nmeasurand = \"NOx\".*?\n\n(?=\[\[permit.outlet.pollutant\]\])"
    site = re.sub(pollutant, "", SAMPLE, flags=re.DOTALL).replace("[verification]\n", MORE, 1)
    (found / "site.toml").write_text(site)
    (found / "qal2.pdf").write_bytes(b"%PDF-1.7 report")
    return found


@pytest.fixture(scope="module")
def made(folder):
    """December's data set."""
    assert main(["report", "statement", *options(folder), "--json", str(folder / "ghg.json")]) == 0
    return json.loads((folder / "ghg.json").read_text())


@pytest.fixture
def document(made):
    return copy.deepcopy(made)


@pytest.fixture
def verified(document):
    """As a verifier gives it back."""
    return with_opinion(document)


def with_opinion(document):
    statement, verification = document["ghgStatement"], document["verification"]
    verification["findings"] = [
        {
            "id": "urn:plumeproof:x:finding:1", "type": "misstatement", "severity": "immaterial", "quantityTCO2e": "5",
            "sign": "+", "affectedPath": "/ghgStatement/results/total", "evidenceIds": [statement["evidence"][0]["id"]],
            "raisedAt": "2027-01-10T10:00:00+01:00", "response": None, "closedAt": None, "closure": None,
        }
    ]  # fmt: skip
    share = (Decimal(500) / Decimal(statement["results"]["total"]["value"])).quantize(Decimal("0.01"))
    verification["aggregateMisstatement"] = {"absTCO2e": "5", "pctOfTotal": f"{share:f}", "withinMateriality": True}
    verification["verificationPlan"]["approvals"] = [{"by": "Anna Berg", "at": "2026-12-01T08:00:00+01:00"}]
    verification["opinion"] = {
        "type": "unmodified", "text": LIMITED, "qualifications": [], "date": "2027-01-20", "place": "Berlin",
        "signatories": ["Anna Berg"],
        "statementRef": {"id": statement["id"], "version": 1, "sha256": digest_of(statement)},
    }  # fmt: skip
    verification["independentReview"] = {"reviewer": "Jonas Keller", "date": "2027-01-19", "outcome": "agreed"}
    verification["postOpinionFacts"] = [
        {"discoveredAt": "2027-02-01T00:00:00Z", "description": "none", "actionTaken": "none"}
    ]
    return document


def options(folder, site="site.toml", period=("2026-12", "2027-01")):
    named = ["--site", folder / site, "--ledger", folder / "ledger.sqlite", "--plant", folder / "line-1.toml"]
    return [*map(str, named), "--from", period[0], "--to", period[1]]


def run(capsys, *arguments):
    status = main(["report", "statement", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def sign(document):
    """Hashes of trail, statement and opinion as they follow from the content."""
    statement = document["ghgStatement"]
    inputs = {one["id"]: one for own in statement["quantification"] for one in own["dataInputs"]}
    for row in statement["dataTrail"]:
        row["derivation"]["inputsHash"] = digest_of([inputs[name] for name in row["derivation"]["inputIds"]])
    document["ghgStatementSha256"] = digest_of(statement)
    if document["verification"]["opinion"] is not None:
        document["verification"]["opinion"]["statementRef"]["sha256"] = digest_of(statement)
    return document


def test_a_statement_in_three_forms_twice(folder, tmp_path, capsys):
    outputs = [tmp_path / f"ghg.{ending}" for ending in ("json", "html", "pdf")]
    arguments = options(folder)
    for kind, output in zip(("--json", "--html", "--pdf"), outputs, strict=True):
        arguments += [kind, output]
    assert run(capsys, *arguments)[0] == 0
    first = [output.read_bytes() for output in outputs]
    document = json.loads(first[0])
    results = document["ghgStatement"]["results"]
    assert results["byCategory"]["2"]["value"] == "64.6603"
    assert Fraction(results["total"]["value"]) == sum(Fraction(one["value"]) for one in results["byGas"].values())
    assert Decimal(results["biogenicCO2"]["value"]) > 700 and results["biogenicCO2"]["unit"] == "t"
    total = f"{Decimal(results['total']['value']):,.3f}"
    for words in (first[1].decode(), words_of_pdf(first[2])):
        assert total in words and "own form" in words and document["ghgStatementSha256"] in words
        assert "There is no record of 648 of 744 hours of source S1" in words and "Draft" in words
    assert run(capsys, *arguments)[0] == 0
    assert [output.read_bytes() for output in outputs] == first


def test_what_was_measured_is_what_is_declared(made):
    """From the figures to the total, by other arithmetic."""
    own = made["ghgStatement"]["quantification"][0]["dataInputs"][0]
    mass, co2e, biogenic = (Fraction(own[key]["value"]) for key in ("mass", "co2e", "biogenicCO2"))
    assert co2e + biogenic == mass
    assert abs(float(mass * Fraction(3, 5) - co2e)) < 1e-9
    share = float(own["co2e"]["uncertainty"]["expanded"]) / float(co2e)
    assert share == pytest.approx(sqrt(0.02**2 + 0.03**2), rel=0.001)
    assert own["figure"]["ids"][0] == "line-1/CO2/co2e/month/20261130T2300Z/eu_mrr/r0"
    assert own["figure"]["records"][0]["module"] == "plume-01"


def test_the_hash_by_an_independent_hand(made):
    """Without a number that is no integer RFC 8785 is what the standard library writes with sorted keys."""
    plain = json.dumps(made["ghgStatement"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert plain == canonical(made["ghgStatement"])
    assert hashlib.sha256(plain).hexdigest() == made["ghgStatementSha256"]


def test_the_schema_by_an_independent_validator(verified, capsys):
    status, out, _ = run(capsys, "--schema")
    peer = jsonschema_rs.Draft202012Validator(json.loads(out))
    assert status == 0 and peer.is_valid(verified)
    verified["verification"]["independentReview"] = None  # beside an opinion
    assert not peer.is_valid(verified)


def test_a_checked_data_set(folder, verified, tmp_path, capsys):
    (tmp_path / "ghg.json").write_text(json.dumps(verified))
    (tmp_path / "qal2.pdf").write_bytes((folder / "qal2.pdf").read_bytes())
    status, out, _ = run(capsys, "--check", tmp_path / "ghg.json", "--pdf", tmp_path / "ghg.pdf")
    assert status == 0 and out.count("\n") == 1 and digest_of(verified["ghgStatement"]) in out
    assert "unmodified, Berlin" in words_of_pdf((tmp_path / "ghg.pdf").read_bytes())
    verified["ghgStatement"]["results"]["total"]["value"] = "1"
    (tmp_path / "ghg.json").write_text(json.dumps(verified))
    status, out, _ = run(capsys, "--check", tmp_path / "ghg.json")
    lines = out.splitlines()
    assert status == 1 and lines[0].startswith("/ghgStatement/results/total/value: is 1, the sum of results.byGas is ")
    assert {"/ghgStatementSha256", "/verification/opinion/statementRef/sha256"} <= {one.split(":")[0] for one in lines}


def objects_of(value, steps=()):
    if isinstance(value, dict):
        yield steps, value
    for step, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from objects_of(inner, (*steps, step))


def test_the_schema_wants_every_element(verified):
    """Each by itself is taken away: an independent validator refuses, and the product says which one it is."""
    schema = load_schema("ghg_data_set")
    peer = jsonschema_rs.Draft202012Validator(schema)
    assert faults_of(schema, verified) == [] and peer.is_valid(verified)
    seen = set()
    for steps, own in list(objects_of(verified)):
        names = tuple("*" if isinstance(step, int) else step for step in steps)
        if names in seen or {"values", "byGas", "byCategory", "byFacility"} & set(names[-1:]):
            continue  # seen, or a map of names: what is missing there is found by the sums
        seen.add(names)
        for key in list(own):
            held = own.pop(key)
            assert not peer.is_valid(verified), (names, key)
            if len(names) < 2 or key in ("value", "estimate", "figure", "opinionRef", "closedAt"):
                assert (pointer_of((*steps, key)), "is missing") in faults_of(schema, verified)
            own[key] = held
    assert len(seen) > 60


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        ("ghgStatement/results/total/value", 12.5, "12.5 is no string"),
        ("ghgStatement/results/total/value", "1e3", '"1e3" is no decimal in quotes'),
        ("ghgStatement/reportingPeriod/start", "2026-12-01T00:00:00", "is no RFC 3339 time with offset"),
        ("ghgStatement/reportingPeriod/start", "2026-02-30T00:00:00Z", "is no RFC 3339 time with offset"),
        ("ghgStatement/statementType", "plant", '"plant" is none of "organization", "project", "product"'),
        ("ghgStatement/remark", "x", "is no element of this schema"),
        ("verification/opinion/type", "clean", '"clean" is none of "unmodified"'),
        ("verification/independentReview", None, "null is no object"),
        ("ghgStatement/gwp/isLatest", False, "null is no string"),
        ("schema", "urn:plumeproof:schema:ghg-data-set:2.0.0", "is not"),
    ],
)
def test_the_schema_refuses(verified, at, value, told):
    put(verified, at, value)
    faults = faults_of(load_schema("ghg_data_set"), verified)
    assert any(told in sentence for _, sentence in faults), faults


def put(document, at, value):
    *steps, last = at.split("/")
    for step in steps:
        document = document[int(step)] if isinstance(document, list) else document[step]
    document[int(last) if isinstance(document, list) else last] = value


INPUT = "ghgStatement/quantification/0/dataInputs/0"


@pytest.mark.parametrize(
    ("rule", "at", "value", "told"),
    [
        ("1 sums", "ghgStatement/results/total/value", "1", "is 1, the sum of results.byGas is 1190."),
        ("1 sums", "ghgStatement/results/byGas/CO2/value", "1", "is 1, the sum of its dataInputs is 1125."),
        ("1 sums", f"{INPUT}/co2e/value", "1126", "the sum of its dataInputs is 1126"),
        ("1 sums", "ghgStatement/gases/0/status", "excluded", "CO2 is excluded with 1 direct dataInputs"),
        ("2 trail", "ghgStatement/dataTrail/0/resultPath", "/results/unit", "has no row in dataTrail"),
        ("2 trail", "ghgStatement/dataTrail/0/derivation/inputsHash", "0" * 64, "its dataInputs have "),
        ("2 trail", "ghgStatement/evidence/0/sha256", "0" * 64, "'qal2.pdf' has "),
        ("2 trail", "ghgStatement/evidence/0/uri", "../../etc/passwd", "is no file below"),
        ("2 trail", "ghgStatement/evidence/0/id", "urn:plumeproof:x:evidence:2", "is none of evidence[]"),
        (
            "3 opinion",
            "verification/aggregateMisstatement/withinMateriality",
            False,
            "withinMateriality false (0.42 %)",
        ),
        ("3 opinion", "verification/findings/0/severity", "material", "finding /verification/findings/0 is open"),
        ("4 hash", "verification/opinion/statementRef/sha256", "0" * 64, f"is {'0' * 64}, the statement has "),
        ("4 hash", "verification/opinion/statementRef/version", 2, "is 2, the statement has 1"),
        ("4 hash", "ghgStatementSha256", "0" * 64, "the statement's canonical form has "),
        ("5 wording", "verification/opinion/text", REASONABLE, "says 'in our opinion', which is of reasonable"),
        ("5 wording", "verification/levelOfAssurance", "reasonable", "says 'nothing has come to our attention'"),
        ("5 wording", "verification/levelOfAssurance", "none", "is an opinion at levelOfAssurance none"),
        ("6 reviewer", "verification/independentReview/reviewer", "ANNA  Berg", "is also the team's leader Anna Berg"),
        ("7 biogenic", "ghgStatement/results/biogenicCO2/value", "0", "the dataInputs' biogenicCO2 is 750."),
        ("7 biogenic", "ghgStatement/results/biogenicCO2/unit", "tCO2e", "is tCO2e, not t"),
        ("7 biogenic", f"{INPUT}/biogenicCO2/value", "0", "less biogenic 0 times 1 is 1875."),
        ("1 sums", f"{INPUT}/potential", "28", "is 28, gwp.values has 1 for CO2"),
        ("misstatement", "verification/aggregateMisstatement/pctOfTotal", "7", "is 7, absTCO2e of the total is 0.42"),
        ("misstatement", "verification/aggregateMisstatement/absTCO2e", "4", "misstatements add up to 5"),
        (
            "misstatement",
            "verification/materiality/quantitativeThresholdPct",
            "0.1",
            "0.42 % is above the threshold 0.1",
        ),
        ("references", "verification/findings/0/affectedPath", "/ghgStatement/sum", "is nowhere here"),
        ("periods", f"{INPUT}/period/end", "2027-02-01T00:00:00+01:00", "is no part of "),
        ("edition", "ghgStatement/standardEdition", "ISO 14064-1:2025", "is none of ISO's own editions"),
    ],
)
def test_each_rule_trips(folder, verified, rule, at, value, told):
    assert findings_of(verified, folder) == []
    put(verified, at, value)
    found = findings_of(verified, folder)
    lines = [str(one) for one in found if one.rule == rule]
    assert lines and any(told in line for line in lines), [str(one) for one in found]
    assert all("\n" not in line for line in lines)


def test_biogenic_in_the_total_is_found_though_all_sums_hold(folder, verified):
    """Someone adds it everywhere and signs anew."""
    statement = verified["ghgStatement"]
    own = statement["quantification"][0]["dataInputs"][0]
    added = Decimal(own["biogenicCO2"]["value"])
    facility = statement["facilities"][0]["id"]
    results = statement["results"]
    for one in (
        own["co2e"], statement["gases"][0]["co2e"], results["total"], results["byGas"]["CO2"],
        results["byCategory"]["1"], results["byFacility"][facility],
    ):  # fmt: skip
        one["value"] = text_of(Decimal(one["value"]) + added)
    sign(verified)
    whole = verified["verification"]["aggregateMisstatement"]
    whole["pctOfTotal"] = f"{Decimal(500) / Decimal(results['total']['value']):.2f}"
    assert [one.rule for one in findings_of(verified, folder)] == ["7 biogenic"]


@pytest.mark.parametrize(
    ("level", "kind", "text", "is_good"),
    [
        ("limited", "unmodified", LIMITED, True),
        ("limited", "modified", f"{LIMITED} In our opinion it is fairly stated.", False),
        ("limited", "adverse", REASONABLE, True),
        ("reasonable", "unmodified", REASONABLE, True),
        ("reasonable", "modified", "We have found no evidence that it is wrong.", False),
    ],
)
def test_words_go_with_the_level(folder, verified, level, kind, text, is_good):
    verification = verified["verification"]
    verification["levelOfAssurance"] = level
    verification["opinion"] |= {"type": kind, "text": text}
    assert ("5 wording" in [one.rule for one in findings_of(verified, folder)]) is not is_good


@settings(max_examples=40)
@given(st.lists(st.tuples(WIDE, st.sampled_from(["CO2", "N2O", "CF4", "HFC-32"])), min_size=1, max_size=8), st.data())
def test_any_other_number_breaks_a_sum(made, parts, data):
    statement = copy.deepcopy(made["ghgStatement"])
    sample, source = statement["quantification"][0]["dataInputs"][0], statement["quantification"][0]["sourceId"]
    inputs = []
    for number, (value, gas) in enumerate(parts):
        one = copy.deepcopy(sample) | {"id": f"urn:x:{number}", "gas": gas}
        one["biogenicCO2"]["value"] = "0"
        one["potential"] = statement["gwp"]["values"][gas]
        one["mass"] = {"value": text_of(value), "unit": "t", "uncertainty": None}
        one["co2e"]["value"] = text_of(value * Decimal(one["potential"]))
        one["period"] = {"start": f"2026-12-{number + 1:02}T00:00:00Z", "end": f"2026-12-{number + 2:02}T00:00:00Z"}
        inputs.append(one)
    group = {"CO2": "CO2", "N2O": "N2O", "CF4": "PFCs", "HFC-32": "HFCs"}
    by_gas, masses = {}, {}
    for one, (value, gas) in zip(inputs, parts, strict=True):
        name = group[gas]
        masses[name] = masses.get(name, Fraction(0)) + Fraction(value)
        by_gas[name] = by_gas.get(name, Fraction(0)) + Fraction(one["co2e"]["value"])
    total = sum(by_gas.values())

    def quantity(number, unit="tCO2e"):
        return {"value": text_of(Decimal(number.numerator) / number.denominator), "unit": unit, "uncertainty": None}

    facility = statement["facilities"][0]["id"]
    statement["quantification"] = [statement["quantification"][0] | {"sourceId": source, "dataInputs": inputs}]
    statement["results"] |= {
        "byGas": {name: quantity(own) for name, own in by_gas.items()},
        "byCategory": {"1": quantity(total)},
        "byFacility": {facility: quantity(total)},
        "total": quantity(total),
        "biogenicCO2": {"value": "0", "unit": "t", "uncertainty": None},
    }
    for gas in statement["gases"]:
        own = by_gas.get(gas["gas"])
        gas |= {"status": "notOccurring", "co2e": None, "mass": None}
        if own is not None:
            gas |= {"status": "quantified", "co2e": quantity(own), "mass": quantity(masses[gas["gas"]], "t")}
    assert list(sums_of(statement)) == []
    results = statement["results"]
    places = [results["total"], *results["byGas"].values(), *results["byCategory"].values(), results["biogenicCO2"]]
    place = data.draw(st.sampled_from(places))
    change = data.draw(WIDE.filter(bool))
    place["value"] = text_of(Decimal(place["value"]) + change)
    assert list(sums_of(statement))


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 10**6), st.integers(0, 100)), min_size=1, max_size=6))
def test_what_is_shared_adds_up_and_the_rest_in_squares(parts):
    own = [
        StatementInput(
            name=source, source="S", category=1, gas="CO2", start_utc_ms=0, end_utc_ms=1, mass_t=None, potential=None,
            co2e_t=Decimal(0), biogenic_t=Decimal(0), uncertainty_t=Decimal(whole),
            common_t=Decimal(whole) * share / 100, figures=(), figure=None, is_closed=True,
        )
        for source, whole, share in parts
    ]  # fmt: skip
    shared = {name: sum(whole * share / 100 for source, whole, share in parts if source == name) for name in "AB"}
    rest = sum(whole**2 * (1 - (share / 100) ** 2) for _, whole, share in parts)
    assert float(combined(own) or 0) == pytest.approx(sqrt(sum(one**2 for one in shared.values()) + rest), abs=2e-6)


def test_hours_are_the_declared_tonnes(folder, made, tmp_path, capsys):
    status, out, _ = run(capsys, *options(folder), "--hours", tmp_path / "h.csv")
    rows = list(csv.DictReader((tmp_path / "h.csv").read_text().splitlines()))
    assert (status, out, len(rows)) == (0, "", 744)
    counts = {name: sum(row["status"] == name for row in rows) for name in ("measured", "substituted", "stopped")}
    assert counts == {"measured": 93, "substituted": 2, "stopped": 1}
    total = sum((Decimal(row["mass_kg"]) for row in rows if row["mass_kg"]), Decimal(0))
    mass = Decimal(made["ghgStatement"]["quantification"][0]["dataInputs"][0]["mass"]["value"])
    assert total / 1000 == pytest.approx(mass, rel=Decimal("1e-14"))
    first = next(row for row in rows if row["mass_kg"])
    assert first["start_utc"] == "2026-12-27T23:00:00Z" and first["start_local"] == "2026-12-28T00:00:00+01:00"
    assert first["figure"] == "line-1/CO2/mass/60min/20261227T2300Z/eu_mrr/r0" and first["closed"] == "yes"
    assert all(row["mass_t"] == tonnes_text(Decimal(row["mass_kg"])) for row in rows if row["mass_kg"])


@given(st.decimals(0, 10**7, places=9))
def test_an_hour_in_tonnes_is_the_nearest_gram(kg):
    grams = Fraction(tonnes_text(kg)) * 10**6
    assert grams.denominator == 1 and abs(grams - Fraction(kg) * 1000) <= Fraction(1, 2)
    assert len(tonnes_text(kg).split(".")[1]) == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('edition = "ISO 14064-1:2018"', 'edition = "ISO 14064-1:2025"', "name the national adoption"),
        ('edition = "ISO 14064-3:2019"', 'edition = "ISO 14064-3:2025"', "verification.standard_edition"),
        ('edition = "ISO 14064-1:2018"', 'edition = "ISO 50001:2018"', "is no edition of ISO 14064-1"),
        ('purpose = "Carbon data for customers\' procurement"\n', "", "statement.purpose: is missing"),
        ('assurance = "limited"  ', 'assurance = "some"  ', "'some' is none of reasonable, limited, none"),
        ('last = "2026-12-31"\nun', 'last = "2027-01-01"\nun', "grid-12: 2026-12-01 to 2027-01-01 lies outside"),
        ('\nunit = "MWh"', '\nunit = "kWh"', "kWh of CO2e does not go with factor grid in tCO2e/MWh"),
        ('file = "qal2.pdf"', 'file = "qal3.pdf"', "evidence qal2"),
        ('custodian = "Environment department"\n[[s', f'custodian = "E"\nsha256 = "{"0" * 64}"\n[[s', "papers say 00"),
        ('gwp = "ar6"', 'gwp = "ar5"', "IPCC AR5 is not the latest; say why it is taken"),
        ('gwp = "ar6"', 'gwp = "mine.json"', "mine.json: cannot be read"),
        ('measurand = "CO2"\nrule_set', 'measurand = "CO2"\nother', "source.other: is no known key"),
        ("[statement.base_year]", '[[statement.issued]]\nid = "urn:a"\nfirst = "2026-12-31"\nlast = "2027-01-31"\n'
         "[statement.base_year]", "periods overlap: urn:a tells of 2026-12-31 to 2027-01-31"),
        ("[verification]\n", '[[statement.activity]]\nid = "b"\nsource = "E1"\ncategory = 2\nprocess = "p"\n'
         'gas = "CO2e"\namount = "1"\nunit = "MWh"\nfactor = "grid"\nfirst = "2026-12-31"\n'
         'last = "2026-12-31"\n[verification]\n',
         "periods of source E1 overlap"),
        ('role = "leader" ', 'role = "verifier" ', "a team has one leader"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(folder, tmp_path, capsys, old, new, told):
    text = (folder / "site.toml").read_text()
    assert old in text
    (folder / "bad.toml").write_text(text.replace(old, new, 1))
    status, out, err = run(capsys, *options(folder, "bad.toml"), "--json", tmp_path / "ghg.json")
    assert (status, out) == (2, "") and told in err and len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_running_period_is_no_final_statement(folder, tmp_path, capsys):
    text = (
        (folder / "site.toml")
        .read_text()
        .replace('2026-12-01"\nlast = "2026-12-31"\nun', '2027-01-01"\nlast = "2027-01-31"\nun')
    )
    (folder / "january.toml").write_text(text)
    arguments = options(folder, "january.toml", ("2027-01", "2027-02"))
    status, out, _ = run(capsys, *arguments, "--json", "-", "--html", tmp_path / "ghg.html")
    whole = json.loads(out)["ghgStatement"]["completeness"]
    assert status == 0 and whole["isClosed"] is False and len(whole["openInputIds"]) == 1
    assert "The period still runs: 1 of 2 inputs can change" in (tmp_path / "ghg.html").read_text()
    (folder / "january.toml").write_text(text.replace('status = "draft"', 'status = "final"'))
    status, _, err = run(capsys, *arguments)
    assert status == 2 and "is final, and line-1/CO2/co2e/month/20261231T2300Z/eu_mrr still runs" in err
    status, _, err = run(capsys, *options(folder, period=("2025-01", "2025-02")))
    assert status == 2 and "plant line-1 has no figure of CO2 in 2025-01-01T00:00:00+01:00" in err


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1e9", "-0", "/"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=30)
@given(st.data())
def test_whatever_is_written_into_it_is_told_in_lines(made, data):
    """Any place of a verified data set holds anything: findings or one refusal, never another error."""
    document = with_opinion(copy.deepcopy(made))
    steps, own = data.draw(st.sampled_from(list(objects_of(document))))
    key = data.draw(st.sampled_from(sorted(own)) | st.text(max_size=3))
    kind = type(own.get(key))
    own[key] = data.draw(JSONS if kind is not str else JSONS | st.from_regex(r"-?[1-9][0-9]{0,90}", fullmatch=True))
    try:
        found = findings_of(document, None)
    except ConfigError as error:
        assert "canonical" in str(error)
        return
    for one in found:
        assert str(one).isprintable() and str(one).startswith("/")


SECOND = """[[source]]
id = "S2"
outlet = "DA001"
measurand = "{}"
rule_set = "eu_mrr"
process = "Denitrification"

# For `plumeproof report statement`"""


def test_another_gas_counts_by_the_statements_own_potential(folder, capsys):
    """The averaging's CO2e of N2O is by AR5 (265), the statement's by AR6 (273)."""
    text = (folder / "site.toml").read_text()
    (folder / "two.toml").write_text(text.replace("# For `plumeproof report statement`", SECOND.format("N2O"), 1))
    status, out, _ = run(capsys, *options(folder, "two.toml"))
    statement = json.loads(out)["ghgStatement"]
    own = statement["quantification"][1]["dataInputs"][0]
    assert status == 0 and own["potential"] == "273" and "[community]" in own["figure"]["ruleSet"]
    assert Fraction(own["co2e"]["value"]) == 273 * Fraction(own["mass"]["value"])
    assert statement["gases"][2]["co2e"]["value"] == statement["results"]["byGas"]["N2O"]["value"]
    parts = [Fraction(one["value"]) for one in statement["results"]["byGas"].values()]
    assert Fraction(statement["results"]["total"]["value"]) == sum(parts) and len(parts) == 3


def test_what_would_count_twice_is_refused_or_chosen(folder, capsys):
    text = (folder / "site.toml").read_text().replace("# For `plumeproof report statement`", SECOND.format("CO2"), 1)
    (folder / "twice.toml").write_text(text)
    status, _, err = run(capsys, *options(folder, "twice.toml"))
    assert status == 2 and "source S2: is CO2 of plant line-1, and so is S1: it would count twice" in err
    (folder / "twice.toml").write_text(text.replace('# sources = ["S1"]  ', 'sources = ["S1"]  ', 1))
    status, out, _ = run(capsys, *options(folder, "twice.toml"))
    assert status == 0 and len(json.loads(out)["ghgStatement"]["sourcesSinks"]) == 2


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"{", "is no JSON"),
        (b"[" * 50 + b"]" * 50, "nests deeper than 32"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"\xff", "is no JSON"),
    ],
)
def test_what_is_no_data_set_is_one_line(tmp_path, raw, told):
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(ConfigError, match=re.escape(told)):
        read_data_set(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("label", "basis", "is_good"),
    [
        ("ISO 14064-3:2019", None, True),
        ("ISO 14064-3:2025", None, False),
        ("TCVN ISO 14064-3:2025", None, False),
        ("ISO 14064-3:2025", "TCVN ISO 14064-3:2025, identical to ISO 14064-3:2019", True),
        ("ISO 14064-3:2025", "TCVN ISO 14064-3:2024", False),
        ("ISO 14064-3:2025", "short", False),
        ("ISO 14064-3:2025", "label asked for by the customer; the text used is ISO's of 2019", True),
        ("ISO 14064-1:2018", None, False),
        ("ISO 14064-3", "TCVN ISO 14064-3:2025", False),
    ],
)
def test_an_edition_needs_its_basis(label, basis, is_good):
    assert (fault_of(label, basis, 3) is None) is is_good
