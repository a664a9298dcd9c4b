"""QReport 23.00: the reference's instance comes out byte for byte, every removal and reordering is refused by name and
line, and what the schema or its folder must not do is refused too."""

from __future__ import annotations

import copy
import json
import os
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.cbam.codes import load_codes
from plumeproof.cbam.qreport import build_report, faults_of
from plumeproof.cbam.qreport_layout import load_layout
from plumeproof.cbam.xml_file import load_schema, local_name, parse_xml, write_xml
from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.section import Section
from tests.test_architecture import ROOT

REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference")) / "data" / "cbam"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference folder: set PLUMEPROOF_REFERENCE")
SAMPLE = files("plumeproof.cbam").joinpath("sample_qreport.toml").read_text()
MINIMAL = REFERENCE / "QReport_v23_minimal_valid.xml"
OPEN_IN_SCHEMA = {  # what the schema lets go and an archive does not: qreport_rules.csv
    *("SubmissionDate", "Street", "Number", "Postcode", "CommodityCode", "Description", "NetMass", "ProductionCountry"),
    *("InstallationOperator", "Installation", "Latitude", "Longitude", "CoordinatesType", "DeterminationType"),
    *("ApplicableReportingMethodology", "SpecificEmbeddedEmissions"),
}


BOOK = load_codes()
SCHEMA = load_schema(REFERENCE, "QReport*.xsd") if REFERENCE.is_dir() else None


@pytest.fixture
def book():
    return BOOK


@pytest.fixture
def schema():
    return SCHEMA


def built(tree, book, schema):
    report = build_report(Section(tree, (), {}, Path("q4.json"), "sample"))
    report.require_valid(book, schema)
    return write_xml(report.root)


def report(capsys, *arguments):
    status = main(["report", "qreport", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_minimal_instance_is_reproduced_byte_for_byte(tmp_path, capsys):
    assert report(capsys, "--sample") == (0, SAMPLE, "")
    (tmp_path / "q4.toml").write_text(SAMPLE)
    (tmp_path / "q4.json").write_text(json.dumps(tomllib.loads(SAMPLE)))
    for name in ("q4.toml", "q4.json"):
        status, out, err = report(capsys, tmp_path / name, "--xsd", REFERENCE)
        assert (status, out) == (0, MINIMAL.read_text()) and "Code lists are our own, unverified" in err
    output = tmp_path / "q4.xml"
    assert report(capsys, tmp_path / "q4.toml", "--xsd", REFERENCE / "QReport_ver23.00.xsd", "--xml", output)[0] == 0
    assert output.read_bytes() == MINIMAL.read_bytes()
    status, out, _ = report(capsys, "--check", output, "--xsd", REFERENCE)
    assert status == 0 and "holds by QReport_ver23.00.xsd" in out


def shuffled(tree, random):
    if isinstance(tree, list):
        return [shuffled(one, random) for one in tree]
    if isinstance(tree, dict):
        keys = list(tree)
        random.shuffle(keys)
        return {key: shuffled(tree[key], random) for key in keys}
    return tree


@settings(max_examples=15, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_any_order_of_the_input_gives_the_order_of_the_schema(random):
    tree = shuffled(tomllib.loads(SAMPLE), random)
    assert built(tree, BOOK, SCHEMA) == MINIMAL.read_bytes()


def elements_of(root):
    return [one for one in root.iter("*") if one is not root]


def test_every_removal_is_refused_by_name_and_line(book, schema):
    root, layout = parse_xml(MINIMAL.read_bytes(), "minimal"), load_layout()
    assert list(faults_of(root, layout, book, schema)) == []
    let_go = set()
    elements = elements_of(root)
    assert len(elements) == 72
    for element in elements:
        parent = element.getparent()
        place, line = parent.index(element), parent.sourceline
        parent.remove(element)
        faults = list(faults_of(root, layout, book, schema))
        assert [(one.name, one.line) for one in faults] == [(local_name(element), line)], local_name(element)
        assert local_name(element) in faults[0].sentence
        if not list(schema.faults(root)):
            let_go.add(local_name(element))
        parent.insert(place, element)
    assert let_go == OPEN_IN_SCHEMA


def test_every_reordering_is_refused_by_name_and_line(book, schema):
    root, layout = parse_xml(MINIMAL.read_bytes(), "minimal"), load_layout()
    count = 0
    for element in elements_of(root):
        parent = element.getparent()
        place = parent.index(element)
        for other in range(len(parent)):
            if other == place:
                continue
            parent.remove(element)
            parent.insert(other, element)
            moved = {local_name(element)} | {local_name(one) for one in parent}
            faults = list(faults_of(root, layout, book, schema))
            assert faults and all(one.name in moved and one.line > 0 for one in faults), (local_name(element), other)
            assert list(schema.faults(root)), "the schema refuses it too"
            count += 1
            parent.remove(element)
            parent.insert(place, element)
    assert count > 200 and list(faults_of(root, layout, book, schema)) == []


def test_a_removed_element_in_a_file_is_told_with_its_line(tmp_path, capsys):
    lines = MINIMAL.read_text().splitlines(keepends=True)
    place = next(at for at, line in enumerate(lines) if "<OperatorId>" in line)
    (tmp_path / "cut.xml").write_text("".join(lines[:place] + lines[place + 1 :]))
    status, out, _ = report(capsys, "--check", tmp_path / "cut.xml", "--xsd", REFERENCE)
    told = f"{tmp_path / 'cut.xml'}: line {place}: OperatorId: OperatorId is missing in InstallationOperator\n"
    assert (status, out) == (1, told)


def paths_of(tree, at=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        if isinstance(key, str):
            yield (*at, key)
        yield from paths_of(value, (*at, key))


def test_every_key_of_the_input_is_needed(book, schema):
    tree = tomllib.loads(SAMPLE)
    paths = list(paths_of(tree))
    assert len(paths) == 72
    for path in paths:
        cut = copy.deepcopy(tree)
        table = cut
        for key in path[:-1]:
            table = table[key]
        del table[path[-1]]
        with pytest.raises(ConfigError) as caught:
            built(cut, book, schema)
        assert path[-1] in str(caught.value) and "\n" not in str(caught.value), path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('CnCode = "72085120"', 'CnCode = "72041000"',
         "line 34: ImportedGood.CommodityCode.CnCode: CN code 72041000 is"),
        ('Country = "CN"\n\n[[ImportedGood.ImportedQuantity', 'Country = "XN"\n\n[[ImportedGood.ImportedQuantity',
         "OriginCountry.Country: 'XN' is no code of list country; nearest are"),
        ('"TOM02"', '"TOM03"', "'TOM03' is no code of list methodology: TOM01, TOM02; add it with --codes"),
        ('NetMass = "1250.5"  ', 'NetMass = "1250.1234567"', "MeasureProcedureImported.NetMass: Element 'NetMass'"),
        ('NetMass = "1250.5"  ', "NetMass = 1250.5", "NetMass: must be text in quotes; a number too"),
        ('Year = "2025"', 'Year = "2026"', "ReportingPeriod: 2026 Q4 is no quarter of the transitional period"),
        ('HsCode = "720851"', 'HsCode = "720852"', "HsCode: HsCode 720852 does not begin CnCode 72085120"),
        ('Year = "2025"', f"Year = {'1' * 5_000}", "no TOML"),
        ('Year = "2025"', 'Year = "20255"', "line 9: Year: Element 'Year'"),
        ('Name = "B. Example"', 'Nam = "B. Example"', "ContactDetails.Nam: is no known key"),
        ('SubmissionDate = "2026-01-20T09:15:00Z"', 'SubmissionDate = "2026-01-20T09:15:00.5Z"',
         "line 6: SubmissionDate"),
        ('"2.1034567"', '"operator"', "name them with --operator-data FILE"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_one_line(tmp_path, capsys, old, new, told):
    assert old in SAMPLE
    (tmp_path / "q4.toml").write_text(SAMPLE.replace(old, new, 1))
    output = tmp_path / "q4.xml"
    status, out, err = report(capsys, tmp_path / "q4.toml", "--xsd", REFERENCE, "--xml", output)
    assert (status, out) == (2, "") and told in err and len(err.strip().splitlines()) == 1 and not output.exists()


def test_figures_come_from_operator_data(tmp_path, capsys):
    (tmp_path / "q4.toml").write_text(SAMPLE.replace('"2.1034567"', '"operator"'))
    see = [{"cnCode": "72085120", "direct": "1.20600285", "indirect": "0"}]
    (tmp_path / "cbam.json").write_text(json.dumps({"see": see}))
    arguments = [tmp_path / "q4.toml", "--xsd", REFERENCE, "--operator-data", tmp_path / "cbam.json"]
    status, out, _ = report(capsys, *arguments)
    assert status == 0 and "<SpecificEmbeddedEmissions>1.2060028</SpecificEmbeddedEmissions>" in out  # half to even
    see[0]["cnCode"] = "72071111"
    (tmp_path / "cbam.json").write_text(json.dumps({"see": see}))
    status, _, err = report(capsys, *arguments)
    assert status == 2 and "no direct figure of CN code 72085120: 72071111" in err


def test_other_versions_and_wrong_use_are_refused(tmp_path, capsys):
    (tmp_path / "q4.toml").write_text(SAMPLE)
    (tmp_path / "twice.json").write_text('{"Year": "2025", "Year": "2024"}')
    (tmp_path / "old").mkdir()
    for one in (REFERENCE / "v17").iterdir():
        (tmp_path / "old" / one.name).write_bytes(one.read_bytes())
    for arguments, told in (
        ([tmp_path / "q4.toml"], "--xsd: is missing"),
        ([tmp_path / "q4.toml", "--xsd", tmp_path], "holds 0 files QReport*.xsd"),
        ([tmp_path / "q4.toml", "--xsd", tmp_path / "old"], "is not QReport 23.00"),
        ([tmp_path / "q4.toml", "--xsd", REFERENCE, "--xml", tmp_path / "q4.toml"], "is an input"),
        ([tmp_path / "none.toml", "--xsd", REFERENCE], "cannot be read"),
        ([tmp_path / "twice.json", "--xsd", REFERENCE], "no JSON: 'Year' stands twice"),
        (["--xsd", REFERENCE], "name an input, or a report with --check"),
    ):
        status, _, err = report(capsys, *arguments)
        assert status == 2 and told in err and len(err.strip().splitlines()) == 1
    assert (tmp_path / "q4.toml").read_text() == SAMPLE


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_files_are_faults_or_one_line(data):
    raw = bytearray(MINIMAL.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=12))
    try:
        root = parse_xml(bytes(raw), "damaged.xml")
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    for fault in faults_of(root, load_layout(), BOOK, SCHEMA):
        assert "\n" not in fault.sentence and fault.line >= 0


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_value_in_any_place_is_a_report_or_one_line(data):
    tree = tomllib.loads(SAMPLE)
    path = data.draw(st.sampled_from(list(paths_of(tree))))
    table = tree
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = data.draw(JUNK)
    try:
        raw = built(tree, BOOK, SCHEMA)
    except ConfigError as error:
        assert "\n" not in str(error) and path[0] in str(error)
        return
    assert list(faults_of(parse_xml(raw, "again"), load_layout(), BOOK, SCHEMA)) == []


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type declaration"),
        (b'<!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><a/>', "document type declaration"),
        (b"<a><b></a>", "line 1: no XML"),
        (b"", "no XML"),
    ],
)
def test_xml_that_is_refused(raw, told):
    with pytest.raises(ConfigError, match=told):
        parse_xml(raw, "file.xml")


def test_a_schema_opens_only_what_lies_beside_it(tmp_path):
    text = (REFERENCE / "QReport_ver23.00.xsd").read_text()
    for name in ("../stypes.xsd", "http://example.invalid/stypes.xsd", "absent.xsd", "/etc/passwd"):
        (tmp_path / "QReport.xsd").write_text(text.replace('"stypes.xsd"', f'"{name}"'))
        with pytest.raises(ConfigError, match="includes"):
            load_schema(tmp_path / "QReport.xsd", "*")


def test_the_layout_is_that_of_the_schema(schema):
    load_layout().require_version(schema)
    names = [member.name for members in load_layout().types.values() for member in members]
    assert len(names) == 180 and {"QReportType", "ProductsCoveredType"} <= set(load_layout().types)
