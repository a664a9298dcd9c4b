"""Register tables: round trips without loss, every refused cell named, limits, lists of other people, diff."""

from __future__ import annotations

import copy
import csv
import datetime
import io
import json
import os
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from plumeproof.cli import main
from plumeproof.errors import ProfileError
from plumeproof.survey import sheets
from plumeproof.survey.difference import compare, look_over
from plumeproof.survey.profile import PROFILE_FOLDER, check_profile, load_profile
from plumeproof.survey.sheets import build_csv, build_xlsx, read_grid
from plumeproof.survey.table import COLUMNS, build_rows
from plumeproof.survey.table_file import build_file, build_json, read_profiles

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
NAMES = sorted(path.stem for path in PROFILE_FOLDER.glob("*.json"))
GAS = load_profile("sick_mcs100ft")
FORMS = ("csv", "xlsx", "json")


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def back(folder: Path, profile: dict, form: str) -> dict:
    path = folder / f"{profile['profile']}.{form}"
    path.write_bytes(build_file(profile, form))
    listed = read_profiles(path)
    assert listed.refusals == []
    assert len(listed.profiles) == 1
    return listed.profiles[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_profile_comes_back(tmp_path, name, form):
    profile = load_profile(name)
    assert back(tmp_path, profile, form) == profile


def test_a_channel_marks_its_block(tmp_path):
    path = tmp_path / "gas.csv"
    path.write_bytes(build_csv(table({(ROW["so2"], "confirm"): "1"})))
    (profile,) = read_profiles(path).profiles
    block = next(channel["block"] for channel in GAS["channels"] if channel["id"] == "so2")
    assert [index for index, one in enumerate(profile["blocks"]) if "confirm" in one] == [block]
    (change,) = compare(GAS, profile)
    assert (change.place, change.after) == (f"block {block + 1}", f"{change.before}, confirmed")


def test_json_is_laid_out_as_the_files_are():
    for name in NAMES:
        assert build_json(load_profile(name)).decode() == (PROFILE_FOLDER / f"{name}.json").read_text()


# Profiles of any content that the check lets through

LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp", "Zs")) | st.just(" "), max_size=20)
SAID = LINE.filter(str.strip)
DECIMALS = st.decimals(-1000, 1000, places=2, allow_nan=False).map(str)


@st.composite
def profiles(draw) -> dict:
    """A few blocks, channels and statuses that fit into them, with awkward texts."""
    blocks = [
        {
            "function": draw(st.integers(1, 4)),
            "address": draw(st.integers(0, 65_000)),
            "quantity": draw(st.integers(4, 100)),
        }
        | draw(st.sampled_from(({}, {"confirm": 1})))
        for _ in range(draw(st.integers(1, 4)))
    ]
    statuses = []
    for number in range(draw(st.integers(0, 2))):
        block = draw(st.integers(0, len(blocks) - 1))
        count = blocks[block]["quantity"] * (1 if blocks[block]["function"] <= 2 else 16)
        bits = [
            {
                "bit": draw(st.integers(0, count - 1)),
                "is": draw(st.integers(0, 1)),
                "code": draw(st.sampled_from("FCSM")),
                "meaning": draw(LINE),
            }
            for _ in range(draw(st.integers(1, 3)))
        ]
        statuses.append({"id": f"s{number}", "block": block, "bits": bits})
    channels = []
    for number in range(draw(st.integers(1, 5))):
        block = draw(st.integers(0, len(blocks) - 1))
        is_bits = blocks[block]["function"] <= 2
        kinds = [("bit", "AB")] if is_bits else [("bit", "AB"), ("int16", "BA"), ("float32", "CDAB"),
                                                 ("float64", "GHEFCDAB")]  # fmt: skip
        kind, order = draw(st.sampled_from(kinds))
        last = blocks[block]["quantity"] * (16 if kind == "bit" and not is_bits else 1)
        last -= 1 if kind == "bit" else len(order) // 2
        channel = {"id": f"c{number}", "quantity": draw(SAID)}
        if draw(st.booleans()):
            channel["hj212_code"] = draw(SAID)
        low, high = sorted((draw(DECIMALS), draw(DECIMALS)), key=float)
        channel |= {"block": block, "register": draw(st.integers(0, last)), "type": kind, "order": order}
        channel |= {"scale": draw(DECIMALS.filter(float)), "offset": draw(DECIMALS), "unit": draw(SAID)}
        channel |= {"min": low, "max": high}
        if statuses and draw(st.booleans()):
            channel["status"] = draw(st.integers(0, len(statuses) - 1))
        channels.append(channel)
    return {
        "format": 1, "profile": "p", "version": draw(SAID), "title": draw(SAID), "source": draw(SAID),
        "status": "community", "notes": draw(st.lists(LINE, max_size=3)), "timeout_ms": draw(st.integers(1, 60_000)),
        "retries": draw(st.integers(0, 10)), "blocks": blocks, "channels": channels, "statuses": statuses,
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None)
@given(profile=profiles())
def test_any_profile_comes_back(tmp_path_factory, form, profile):
    check_profile(profile, "generated")
    assert back(tmp_path_factory.mktemp("any"), profile, form) == profile


@given(st.lists(st.lists(LINE, min_size=1, max_size=4), min_size=1, max_size=4))
def test_no_cell_of_a_csv_is_a_formula(rows):
    written = list(csv.reader(io.StringIO(build_csv(rows).decode("utf-8-sig"))))
    for row, cells in zip(rows, written, strict=True):
        for cell, shown in zip(row, cells, strict=True):
            assert shown == cell or shown == "'" + cell
            if shown.startswith(("=", "+", "@")):
                raise AssertionError(shown)
            assert not shown.startswith("-") or float(shown) <= 0


def test_no_cell_of_a_workbook_is_a_formula():
    book = load_workbook(io.BytesIO(build_xlsx([["=1+1", "-5", "@x"]])))
    assert [(cell.value, cell.data_type) for cell in book.active[1]] == [("=1+1", "s"), ("-5", "s"), ("@x", "s")]


# Refusals


def table(changes: dict[tuple[int, str], str], drop: str = "") -> list[list[str]]:
    """The gas analyzer's table with cells changed: (row as a spreadsheet numbers it, column)."""
    rows = build_rows(GAS)
    for (number, column), text in changes.items():
        rows[number - 1][COLUMNS.index(column)] = text
    return [row for row in rows if row[0] != drop]


ROW = {entry[1]: number for number, entry in enumerate(build_rows(GAS), start=1) if entry[0] == "channel"}


@pytest.mark.parametrize(
    ("column", "text", "reason", "mend"),
    [
        ("kind", "chanel", "'chanel' is no kind of row", "profile note block channel status"),
        ("id", "", "is empty", "write a short name"),
        ("register", "138", "does not say what kind of register", "hr:138"),
        ("register", "40000", "references count from 1", "40001"),
        ("register", "ir:9000", "is hr", "empty one of the two"),
        ("reference", "40145", "not ir:", "empty one of the two"),
        ("type", "float", "'float' is no type", "uint16"),
        ("order", "BACD", "'BACD' is no order of float32", "ABCD or CDAB"),
        ("order", "AB", "'AB' is no order of float32", "ABCD or CDAB"),
        ("scale", "0,1", "'0,1' is no decimal number", "0.1"),
        ("max", "1 000", "'1 000' is no decimal number", "0.1"),
        ("unit", " ", "is empty", "1 where there is none"),
        ("status", "absent", "no status row has the id 'absent'", "add it"),
        ("block", "9", "block 9 does not hold", "leave it empty"),
        ("block", "x", "'x' is no whole number", "whole number"),
        ("confirm", "yes", "is neither 1 nor empty", "write 1"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_refused_cell_is_named(capsys, tmp_path, column, text, reason, mend, form):
    number = ROW["so2"]
    rows = table({(number, column): text})
    path = tmp_path / f"gas.{form}"
    path.write_bytes(build_csv(rows) if form == "csv" else build_xlsx(rows))
    code, out, err = run(capsys, "table", "check", path, "--json")
    refusals = json.loads(out)["refusals"]
    assert (code, err) == (1, "")
    assert any(one["row"] == number and f"({column})" in one["column"] for one in refusals) or "is hr" in reason
    assert {one["file"] for one in refusals} == {path.name}
    assert {one["sheet"] for one in refusals} == {"" if form == "csv" else "Registers"}
    if reason != "is hr":
        named = next(one for one in refusals if f"({column})" in one["column"])
        assert reason in named["reason"]
        assert mend in named["mend"] + named["reason"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({(1, "meaning"): "remark"}, "row 1, column S: 'remark' is no column of a register table"),
        ({(1, "meaning"): "code"}, "row 1, column S: is there twice"),
        ({(2, "id"): "colour"}, "row 2, column B (id): 'colour' is no fact of a profile"),
        ({(5, "kind"): "note"}, "row 1, column B (id): no row of kind profile with id title; add it"),
        ({(ROW["so2"], "register"): "", (ROW["so2"], "reference"): ""}, "column E (register): is empty; write 40001"),
        ({(ROW["so2"], "register"): "ir:150.3", (ROW["so2"], "reference"): ""}, "names a bit, which only type bit"),
        ({(ROW["so2"], "register"): "ir:999", (ROW["so2"], "reference"): "", (ROW["so2"], "block"): ""},
         "no block row holds ir:999; add one, or take all block rows away"),
        ({(27, "code"): "X"}, "row 27, column R (code): is none of F C S M; write the NE 107 letter"),
        ({(ROW["so2"], "register"): "1!ir:150"}, "names a unit id, which a profile has not; write it without NUMBER!"),
        ({(ROW["so2"], "register"): "ir:150#ABCD"}, "says #ABCD beside the order 'CDAB'; correct one of them"),
        ({(3, "id"): "title"}, "row 5, column B (id): title is there twice; take one of the two rows away"),
        ({(ROW["so2"], "code"): "M"}, "column R (code): means nothing in a row of kind channel; empty it"),
        ({(15, "quantity"): "x"}, "row 15, column C (quantity): means nothing in a row of kind block"),
        ({(28, "register"): "di:4487", (28, "reference"): "", (28, "block"): ""}, "lies in another block than the"),
    ],
)  # fmt: skip
def test_refusals_of_the_form_itself(tmp_path, changes, said):
    path = tmp_path / "gas.csv"
    path.write_bytes(build_csv(table(changes)))
    assert said in "\n".join(map(str, read_profiles(path).refusals))


def test_cells_without_a_heading_are_not_lost_silently(tmp_path):
    path = tmp_path / "gas.csv"
    path.write_bytes(build_csv([row + (["stray"] if row[1] == "so2" else []) for row in table({})]))
    assert "column U: stands under no heading" in str(read_profiles(path).refusals[0])
    listed = a_list(tmp_path, "address,type,name\n40001,uint16,a,stray\n")
    assert "columns not used: those without a heading" in listed.remarks


def test_all_refusals_come_at_once(tmp_path):
    path = tmp_path / "gas.csv"
    path.write_bytes(build_csv(table({(ROW["so2"], "scale"): "x", (ROW["no"], "min"): "y", (ROW["o2"], "type"): "z"})))
    assert [one.row for one in read_profiles(path).refusals] == [ROW["no"], ROW["so2"], ROW["o2"]]


def test_cells_that_are_no_text_are_refused_in_place(tmp_path):
    book = Workbook()
    book.active.append(["address", "function", "type", "order", "name", "scale"])
    book.active.append(["=A1", 3, "float32", "ABCD", "a", 1])
    book.active.append([138, 4, "float32", "CDAB", True, 0.1])
    path = tmp_path / "list.xlsx"
    book.save(path)
    listed = read_profiles(path)
    assert [(one.row, one.column, one.reason) for one in listed.refusals][:2] == [
        (2, "A", "is a formula"),
        (3, "E", "is TRUE or FALSE"),
    ]
    assert listed.profiles == []


def test_without_block_rows_adjoining_registers_share_blocks(tmp_path):
    path = tmp_path / "gas.csv"
    rows = table({}, drop="block")
    for row in rows[1:]:
        row[COLUMNS.index("block")] = ""
    path.write_bytes(build_csv(rows))
    profile = read_profiles(path).profiles[0]
    places = [(block["function"], block["address"], block["quantity"]) for block in profile["blocks"]]
    assert (4, 142, 6) in places
    assert all(function == 2 or quantity <= 6 for function, _, quantity in places)
    assert {change.place.split()[0] for change in compare(GAS, profile)} == {"block"}


# Limits


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"kind;id;register\r\n\xff\xfe", "no UTF-8"),
        (b'kind,id,register\r\n"open,', "line 2"),
        (b"", "is empty"),
        (b"a,b\n1,2\n", "no column for the address"),
        (b"x" * (sheets.CSV_MAX_BYTES + 1), "bytes, at most"),
        (b"address,type\n" + b"1,2\n" * sheets.ROWS_MAX, "more than 5000 rows"),
        (b"PK\x03\x04 and no zip", "no readable workbook"),
    ],
)
def test_unusable_file_is_2_in_one_line(capsys, tmp_path, content, said):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    code, out, err = run(capsys, "table", "check", path)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def workbook(tmp_path: Path, change: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    """A good workbook with entries replaced or added."""
    good = zipfile.ZipFile(io.BytesIO(build_xlsx(table({}))))
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name in {*good.namelist(), *change}:
            archive.writestr(name, change.get(name) or good.read(name))
    return path


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"xl/bomb.bin": bytes(sheets.XLSX_UNPACKED_MAX_BYTES)}, "unpacks to more"),
        ({f"a{number}": b"x" for number in range(sheets.XLSX_ENTRIES_MAX)}, "too many parts"),
        ({SHEET: b'<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>'}, "declares a document type"),
        ({SHEET: '<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>'.encode("utf-16")}, "declares a document type"),
        ({SHEET: b"<worksheet"}, "no readable workbook"),
        ({"xl/workbook.xml": b"<x/>"}, "no readable workbook"),
    ],
)
def test_workbook_that_attacks_is_refused(tmp_path, change, said):
    with pytest.raises(ProfileError, match=said) as refused:
        read_profiles(workbook(tmp_path, change))
    assert "\n" not in str(refused.value)


def test_part_that_lies_of_its_size_is_not_unpacked_whole(tmp_path):
    """A deflated gigabyte whose directory entry says 100 bytes, with the right CRC of these."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    path = workbook(tmp_path, {"xl/bomb.xml": b" " * 100})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "xl/bomb.xml"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        entry = zipfile.ZipInfo("xl/bomb.xml")
        archive.writestr(entry, packed)
        entry.compress_type, entry.file_size, entry.CRC = zipfile.ZIP_DEFLATED, 100, zlib.crc32(bytes(100))
    content = bytearray(out.getvalue())
    # The local header is written before the entry was changed; ZipFile.open wants name and method of it alone.
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ProfileError, match="declares a document type"):  # NUL bytes in XML
            read_profiles(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * sheets.XLSX_MAX_BYTES


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path, packing):
    with pytest.raises(ProfileError, match="unusual way"):
        read_profiles(workbook(tmp_path, {}, packing))


def test_workbook_that_claims_a_million_rows_is_refused(tmp_path):
    cells = b'<c r="A1048576" t="inlineStr"><is><t>x</t></is></c>'
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
        b'<sheetData><row r="1048576">' + cells + b"</row></sheetData></worksheet>"
    )
    with pytest.raises(ProfileError, match="more than 5000 rows"):
        read_profiles(workbook(tmp_path, {SHEET: sheet}))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 6_000))
def test_spoilt_workbook_is_refused_or_read(tmp_path_factory, noise, place):
    content = bytearray(build_xlsx(build_rows(GAS)))
    place %= len(content)
    content[place : place + len(noise)] = noise
    path = tmp_path_factory.mktemp("spoilt") / "x.xlsx"
    path.write_bytes(content)
    try:
        read_profiles(path)
    except ProfileError as refused:
        assert "\n" not in str(refused)


def test_unknown_sheet_names_those_there_are(tmp_path):
    path = tmp_path / "x.xlsx"
    path.write_bytes(build_xlsx(table({})))
    with pytest.raises(ProfileError, match="there are: Registers"):
        read_grid(path, "Sheet1")
    assert len(read_profiles(path, "Registers").profiles) == 1


# Lists of other people


def a_list(folder: Path, text: str, **options) -> object:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return read_profiles(path, **options)


def test_semicolons_synonyms_and_references(tmp_path):
    listed = a_list(
        tmp_path,
        "Register;Data Type;Byte Order;Description;Units;Range low;Range high\n"
        "40001;Float;cdab;SO2;mg/m3;0;500\n1!4x0003#DCBA;REAL;;Dust 1;mg/m3;0;100\n40005.3;bool;;Fault;;;\n",
    )
    assert listed.refusals == []
    profile = listed.profiles[0]
    assert [(one["id"], one["register"], one["type"], one["order"]) for one in profile["channels"]] == [
        ("so2", 0, "float32", "CDAB"),
        ("dust_1", 2, "float32", "DCBA"),
        ("fault", 67, "bit", "AB"),
    ]
    assert profile["blocks"] == [{"function": 3, "address": 0, "quantity": 5}]
    assert profile["profile"] == "list"


@pytest.mark.parametrize(("first", "address"), [(0, 10), (1, 9)])
def test_plain_numbers_count_as_said(tmp_path, first, address):
    listed = a_list(tmp_path, "function,address,type,name\n3,10,uint16,a\n", first_address=first)
    assert listed.profiles[0]["blocks"][0]["address"] == address
    assert any(f"count from {first}" in remark for remark in listed.remarks)


def test_number_that_may_be_a_reference_is_not_guessed(tmp_path):
    listed = a_list(tmp_path, "function,address,type,name\n3,40001,uint16,a\n")
    assert [(one.row, one.column) for one in listed.refusals] == [(2, "B (address)")]
    assert "may be a reference from 1 or an address from 0" in listed.refusals[0].reason
    assert a_list(tmp_path, "function,reference,type,name\n3,40001,uint16,a\n").profiles[0]["blocks"][0]["address"] == 0
    assert a_list(tmp_path, "fc,address_dec,type,name\n3,40001,uint16,a\n").profiles[0]["blocks"][0]["address"] == 40001


@pytest.mark.parametrize(
    ("row", "said", "options"),
    [
        ("6,10,uint16,,a,", "(function): '6' is no function that reads; write 1, 2, 3 or 4", {}),
        ("3,0,uint16,,a,", "(address): is 0 where addresses count from 1", {"first_address": 1}),
        ("1,0,uint16,,a,", "(type): uint16 does not fit its address; coils and inputs are of type bit", {}),
        ("3,0,bit,,a,", "(type): bit does not fit its address; a bit of a register is written 40003.5", {}),
        ("3,0,float32,,a,", "(order): is empty; find it with `plumeproof read`", {}),
        ("3,0,float32,AB,a,", "(order): 'AB' is no word order of float32", {"order": "ABCD"}),
        (",1!40001#CDAB,float32,ABCD,a,", "(address): says #CDAB beside the order 'ABCD'", {}),
        ('3,0,uint16,,a,"1,5"', "(scale): '1,5' is no decimal number; write it with a point", {}),
        ("3,0,uint16,,a,0", "device (missing): list.csv: device list: channels[0]: scale is 0", {}),
        ("3,0,uint16,,a,1," + "," * 70 + "far", "column BY: lies behind column 64", {}),
        ("3,0,uint16,," + "a" * 2_001 + ",", "column E: has more than 2000 characters", {}),
        ('3,0,uint16,,"a\nb",', "column E: holds a line break", {}),
    ],
)
def test_refused_rows_of_a_list(tmp_path, row, said, options):
    listed = a_list(tmp_path, f"function,address,type,order,name,scale\n{row}\n", **options)
    assert said in "\n".join(map(str, listed.refusals))
    assert listed.profiles == []


def test_one_profile_is_one_unit(tmp_path):
    text = "address,type,name\n1!40001#CDAB,float32,a\n2!40003,uint16,b\n"
    listed = a_list(tmp_path, text)
    assert "row 3, column A (address): names unit 2" in str(listed.refusals[0])
    assert [channel["order"] for channel in listed.profiles[0]["channels"]] == ["CDAB"]
    assert any("list@1" in remark for remark in listed.remarks)


def test_equal_names_get_numbers(tmp_path):
    listed = a_list(tmp_path, "function,address,type,name\n3,0,uint16,a\n3,1,uint16,a\n3,2,uint16,a\n")
    assert [channel["id"] for channel in listed.profiles[0]["channels"]] == ["a", "a_2", "a_3"]


def test_date_that_a_spreadsheet_made_is_refused(tmp_path):
    book = Workbook()
    book.active.append(["address", "type", "name"])
    book.active.append(["40001", "uint16", datetime.date(2026, 1, 2)])
    book.save(tmp_path / "x.xlsx")
    assert "column C: is a datetime; format the column as text" in str(read_profiles(tmp_path / "x.xlsx").refusals[0])


def test_gap_joins_blocks(tmp_path):
    text = "function,address,type,name\n3,0,uint16,a\n3,3,uint16,b\n"
    assert len(a_list(tmp_path, text).profiles[0]["blocks"]) == 2
    assert a_list(tmp_path, text, gap=2).profiles[0]["blocks"] == [{"function": 3, "address": 0, "quantity": 4}]


def test_table_of_facts_is_imported_and_every_row_accounted_for():
    path = REFERENCE / "data" / "modbus" / "register_maps.csv"
    if not path.is_file():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    listed = read_profiles(path)
    refused = {refusal.row for refusal in listed.refusals}
    assert sum(len(profile["channels"]) for profile in listed.profiles) + len(refused) == len(rows) == 67
    for number, row in enumerate(rows, start=2):
        is_whole = row["type"] in ("int16", "uint16", "bit") or (
            row["type"] == "float32" and row["word_order"][:4].isupper()
        )
        assert (number in refused) != (is_whole and row["registers"] in ("1", "2")), row
    found = {profile["profile"]: profile for profile in listed.profiles}
    gas = {(one["quantity"], one["order"], one["unit"]) for one in found["sick_mcs100ft"]["channels"]}
    assert gas >= {(one["quantity"], one["order"], one["unit"]) for one in GAS["channels"] if one["type"] == "float32"}
    assert found["sick_mcs100ft"]["blocks"][-1]["function"] == 4
    with_order = read_profiles(path, order="ABCD")
    assert len(with_order.refusals) < len(listed.refusals)
    for profile in with_order.profiles:
        check_profile(profile, profile["profile"])


# Diff, look, verb


def test_diff_names_facts():
    changed = copy.deepcopy(GAS)
    changed["channels"][0]["order"] = "ABCD"
    changed["channels"][1]["register"] += 1
    changed["statuses"][0]["bits"][0]["code"] = "M"
    del changed["channels"][2]["hj212_code"]
    assert [change.place for change in compare(GAS, changed)] == [
        "channel hcl: order",
        "channel nh3: register",
        "channel co: hj212_code",
        next(change.place for change in compare(GAS, changed) if change.place.startswith("status")),
    ]
    assert compare(GAS, copy.deepcopy(GAS)) == []
    lone = copy.deepcopy(GAS)
    lone["channels"][0]["id"] = "acid"
    assert [(change.place, change.before, change.after) for change in compare(GAS, lone)] == [
        ("channel hcl", "HCl at ir:138 (30139), float32 CDAB, mg/m3", "-"),
        ("channel acid", "-", "HCl at ir:138 (30139), float32 CDAB, mg/m3"),
    ]


def test_look_names_what_is_often_a_slip():
    odd = copy.deepcopy(GAS)
    odd["channels"][0] |= {"order": "BADC", "max": "1e9"}
    odd["channels"][1]["register"] = odd["channels"][0]["register"] + 1
    said = " | ".join(look_over(odd))
    for words in ("order BADC is rare", "min and max bound nothing", "share ir:139", "that nothing names"):
        assert words in said


def test_verb_exports_imports_and_compares(capsys, tmp_path):
    for form in ("csv", "xlsx"):
        table_file = tmp_path / f"gas.{form}"
        assert run(capsys, "table", "export", "sick_mcs100ft", "-o", table_file)[0] == 0
        assert run(capsys, "table", "check", table_file)[0] == 0
        folder = tmp_path / form
        code, out, _ = run(capsys, "table", "import", table_file, "-o", folder, "--json")
        assert code == 0
        assert json.loads(out)["written"] == [str(folder / "sick_mcs100ft.json")]
        assert (folder / "sick_mcs100ft.json").read_text() == (PROFILE_FOLDER / "sick_mcs100ft.json").read_text()
        assert run(capsys, "table", "diff", "sick_mcs100ft", table_file) == (0, "equal\n", "")
        code, _, err = run(capsys, "table", "import", table_file, "-o", folder)
        assert code == 2
        assert "is there already" in err
        assert run(capsys, "table", "import", table_file, "-o", folder, "--replace")[0] == 0
    code, out, _ = run(capsys, "table", "diff", "thermo_42i", "thermo_43i", "--json")
    assert code == 1
    assert not json.loads(out)["equal"]


def test_import_writes_nothing_beside_refusals_unless_partial(capsys, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("address,type,name\n40001,uint16,a\n40002,float99,b\n")
    code, out, _ = run(capsys, "table", "import", path, "-o", tmp_path / "out")
    assert code == 1
    assert not (tmp_path / "out").exists()
    assert "list.csv, row 3, column B (type): 'float99' is no type that a channel can have; write one of uint16" in out
    assert "nothing written, --partial" in out
    assert run(capsys, "table", "import", path, "-o", tmp_path / "out", "--partial")[0] == 1
    assert json.loads((tmp_path / "out" / "list.json").read_text())["channels"][0]["id"] == "a"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "absent.csv"), "is no file"),
        (("export", "sick_mcs100ft", "-o", "x.txt"), "ends in none of"),
        (("export", "sick_mcs100ft", "-o", "x.json"), "call it sick_mcs100ft.json"),
        (("export", "sick_mcs100ft", "-o", "no/such/x.csv"), "can be written"),
        (("diff", "sick_mcs100ft", "absent"), "no profile 'absent'"),
        (("diff", "sick_mcs100ft", "two.csv"), "holds 2 whole profiles, not one; import it first"),
        (("import", "two.csv", "-o", "x.json"), "a profile's file has its name, and here is x y; name a folder"),
        (("check", "two.csv", "--sheet", "a"), "is no workbook, so it has no sheet 'a'"),
    ],
)
def test_wrong_usage_is_2_in_one_line(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("two.csv").write_text("device,address,type\nx,40001,uint16\ny,40001,uint16\n")
    code, out, err = run(capsys, "table", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
