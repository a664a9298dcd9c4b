"""Every profile file keeps to the page beside it, and the check refuses what does not."""

from __future__ import annotations

import copy
import csv
import json
import os
from pathlib import Path

import pytest

from tools.parameters import PROFILE_FOLDER, Choice, ProfileError, check_profile, compose, load_profile

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
NAMES = sorted(path.stem for path in PROFILE_FOLDER.glob("*.json"))
GAS = load_profile("sick_mcs100ft")


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_complete_and_composes(name):
    profile = load_profile(name)
    assert profile["source"] and profile["title"]
    compose("plume-01", [Choice("a", name, 1)], 1000, 60_000)


def test_there_is_every_kind_that_the_demo_needs():
    assert {"sick_mcs100ft", "generic_dust_int16", "generic_flow_tpm"} <= set(NAMES)
    kinds = {(c["type"], c["order"]) for name in NAMES for c in load_profile(name)["channels"]}
    assert {("float32", "CDAB"), ("float32", "ABCD"), ("float32", "DCBA"), ("int16", "AB"), ("bit", "AB")} <= kinds


def test_multigas_analyzer_agrees_with_the_table_of_facts():
    path = REFERENCE / "data" / "modbus" / "register_maps.csv"
    if not path.is_file():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["device"] == "SICK MCS100FT"]
    values = {
        (row["parameter"], int(row["address_dec"]), row["word_order"], row["hj212_code"], row["unit"])
        for row in rows
        if row["type"] == "float32"
    }
    first = GAS["blocks"][0]
    assert {int(row["function_code"]) for row in rows if row["type"] == "float32"} == {first["function"]}
    assert values == {
        (c["quantity"], first["address"] + c["register"], c["order"], c["hj212_code"], c["unit"])
        for c in GAS["channels"]
        if c["type"] == "float32"
    }
    bits = {GAS["blocks"][1]["address"] + bit["bit"] for bit in GAS["statuses"][0]["bits"]}
    bits.add(GAS["blocks"][2]["address"])
    assert {int(row["address_dec"]) for row in rows if row["type"] == "bit"} == bits


def change(path: tuple, value: object) -> dict:
    """The multi-gas profile with one thing changed; None takes it away."""
    changed = copy.deepcopy(GAS)
    at = changed
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format",), 2, "format 2"),
        (("format",), True, "format is no int"),
        (("status",), "final", "status 'final'"),
        (("source",), " ", "source is empty"),
        (("source",), None, "'source' is missing"),
        (("colour",), "red", "unknown key 'colour'"),
        (("blocks", 0, "function"), 5, "function"),
        (("blocks", 0, "quantity"), "34", "quantity is no int"),
        (("channels", 0, "scale"), 1, "scale is no str"),
        (("channels", 0, "scale"), "one", "scale is no decimal"),
        (("channels", 0, "register"), 33, "register"),
        (("channels", 0, "order"), "ABDC", "order"),
        (("channels", 0, "type"), "float16", "type is none of"),
        (("channels", 0, "status"), 1, "status 1"),
        (("channels", 0, "scale"), "0.0", "channels[0]: scale is 0".replace("[", r"\[")),
        (("channels", 0, "scale"), "1e-400", "scale is 0"),
        (("channels", 0, "min"), "201", "min is above max"),
        (("channels", 1, "id"), "hcl", "twice"),
        (("statuses", 0, "bits", 0, "bit"), 7, "bit is outside"),
        (("statuses", 0, "bits", 0, "code"), "X", "code is none of"),
        (("statuses", 0, "bits", 0, "is"), None, "'is' is missing"),
        (("notes",), "none", "notes is no list"),
    ],
)
def test_check_refuses(path, value, said):
    with pytest.raises(ProfileError, match=said.replace("(", r"\(")) as refused:
        check_profile(change(path, value), "x.json")
    assert str(refused.value).startswith("x.json") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "JSON"), ('{"format": 1.5}', "integer"), ("[]", "no object"), ("{}", "missing")]
)
def test_file_that_is_no_profile(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ProfileError, match=said):
        load_profile("x", tmp_path)


def test_name_and_file_agree(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(GAS))
    with pytest.raises(ProfileError, match="must agree"):
        load_profile("other", tmp_path)


@pytest.mark.parametrize("name", ["absent", "../pyproject", ""])
def test_unknown_profile_names_those_there_are(name):
    with pytest.raises(ProfileError, match="generic_flow_tpm"):
        load_profile(name)
