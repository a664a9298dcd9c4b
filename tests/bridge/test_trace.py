"""trace: from tonnes to register bytes and back up; what was altered is named; ids are exact, short forms unique."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sqlite3
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.evidence import decoding
from plumeproof.evidence.parameters import ORDERS, Block, ChannelSpec
from plumeproof.figure_ids import (
    id_of_average,
    id_of_figure,
    id_of_record,
    parts_of_average,
    parts_of_figure,
    read_id,
)  # fmt: skip
from plumeproof.model import Average
from plumeproof.rules.figure import LAYERS, LEVELS, SHORT_TERM, Figure
from plumeproof.trace.exact import is_rounded_right, read_exactly, steps_of
from tests.doubles.tonnes_plant import PLANT, write_tonnes

MONTH = "line-1/CO2/co2e/month/20261130T2300Z/eu_mrr/r0"
HOUR = "line-1/CO2/mass/60min/20261228T0500Z/eu_mrr/r0"


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tonnes")
    module = write_tonnes(folder)
    return folder, module


@pytest.fixture
def copied(plant, tmp_path):
    """A ledger of its own, whose rows may be changed as somebody does who has the file."""
    shutil.copytree(plant[0], tmp_path / "own")
    return tmp_path / "own"


def run(capsys, folder, *words):
    capsys.readouterr()
    files = ("--ledger", folder / "ledger.sqlite", "--keys", folder / "keys.json")
    status = main(["trace", *map(str, (*files, *words))])
    found = capsys.readouterr()
    return status, found.out, found.err


def traced(capsys, folder, *words):
    status, out, err = run(capsys, folder, *words, "--json")
    assert err == "", err
    tree = json.loads(out)
    assert tree["fine"] == (status == 0)
    return tree, {stage["name"]: stage for stage in tree["stages"]}


def bad(tree):
    return [check["what"] for stage in tree["stages"] for check in stage["checks"] if not check["holds"]]


def change(folder, question, *values):
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(question, values).rowcount > 0
    connection.close()


def test_tonnes_go_down_to_register_bytes(plant, capsys, tmp_path):
    folder, module = plant
    tree, stages = traced(capsys, folder, MONTH, "--html", tmp_path / "co2.html")
    assert tree["fine"] and bad(tree) == []
    assert list(stages) == ["figure", "explanation", "terms", "term", "average", "record", "slot", "parameters"]
    assert tree["id"] == MONTH and stages["figure"]["facts"]["value"].endswith("t CO2e")
    terms = stages["terms"]
    assert (terms["facts"]["measured"], terms["facts"]["substituted"], terms["facts"]["stopped"]) == (93, 2, 1)
    roles = [row[1] for row in terms["grids"][0]["rows"]]
    assert len(roles) == 96 and roles[terms["grids"][0]["picked"]] == "measured"
    total = sum(row[2] for row in terms["grids"][0]["rows"] if row[2] is not None) / 1000 * 0.6
    assert total == pytest.approx(float(stages["figure"]["facts"]["value"].split()[0]), rel=1e-12)
    # The record is the one that the module sealed, its bytes are those that it had from the bus
    record, envelope = next(one for one in module.sealed if one[0].seq == 3)
    facts = stages["record"]["facts"]
    assert facts["SHA-256 of the envelope"] == hashlib.sha256(envelope.raw).hexdigest()
    assert facts["content hash"] == record.content_hash.hex() and module.kid.hex() in facts["signed by"]
    assert stages["slot"]["facts"]["register bytes of the block"] == record.body.blocks[0].data[:4].hex(" ")
    assert "function 4, registers 40 to 41" in stages["slot"]["facts"]["asked"]
    number = np.frombuffer(bytes(record.body.blocks[0].data[i] for i in (2, 3, 0, 1)), ">f4")[0]
    assert stages["slot"]["steps"][0]["result"] == float(number)
    assert stages["parameters"]["facts"]["revision"] == 3
    assert ["order", "CDAB"] in stages["parameters"]["grids"][0]["rows"]
    page = (tmp_path / "co2.html").read_text()
    assert "Every step holds" in page and "<script" not in page and "src=" not in page and "http:" not in page


def test_every_step_of_a_slot_can_be_typed(plant, capsys):
    tree, stages = traced(capsys, plant[0], HOUR, "--slot", "2026-12-28T06:07", "--input", "flow")
    assert tree["fine"]
    assert stages["slot"]["facts"]["planned at"] == "2026-12-28T05:07:00.000Z"
    first, scaled, value = stages["slot"]["steps"]
    assert first["result"] == int(first["numbers"], 16)
    typed = [eval(step["numbers"]) for step in (scaled, value)]  # noqa: S307 # arithmetic that we wrote
    assert typed == [scaled["result"], value["result"]]
    assert scaled["result"] == first["result"] * 2.5 and value["result"] == scaled["result"] - 12.5


COMPUTED = (
    PLANT.replace('[flow]\nsource = "plume-01/flow"', '[flow]\nsource = "computed/dry"')
    + """
[[computed]]
id = "dry"
formula = "flow_by_o2_balance"
slot_ms = 60000
[[computed.input]]
name = "air"
source = "plume-01/flow"
slot_ms = 60000
[[computed.input]]
name = "O2_air"
fixed = 20.9
[[computed.input]]
name = "O2"
source = "plume-01/co2"
slot_ms = 60000
"""
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("computed")
    write_tonnes(folder, 2, COMPUTED)
    return folder


def test_a_computed_channel_goes_down_to_its_inputs(computed, capsys):
    words = ("line-1/flow/flow/60min/20261231T1000Z/eu_mrr/r0", "--slot", "2026-12-31T11:07")
    tree, stages = traced(capsys, computed, *words)
    assert tree["fine"] and bad(tree) == []
    names = [stage["name"] for stage in tree["stages"]]
    assert names[2:] == ["computed", *["average", "record", "slot", "parameters"] * 2]
    air, o2 = (stage for stage in tree["stages"] if stage["name"] == "slot")
    assert "blocks" not in air["facts"] and air["title"].endswith(": flow") and o2["title"].endswith(": co2")
    assert {one["facts"]["planned at"] for one in (air, o2)} == {"2026-12-31T10:07:00.000Z"}
    inputs = [stage["steps"][-1]["result"] for stage in (air, o2)]
    assert stages["computed"]["steps"][0]["result"] == inputs[0] * (100 - 20.9) / (100 - inputs[1])
    assert list(stages["computed"]["facts"].values()) == [f"{inputs[0]} m3/h", "20.9 %", f"{inputs[1]} %"]
    # Without a slot it is the first that counts, and its month goes the same way
    for name in ("line-1/flow/flow/60min/20261231T1000Z/eu_mrr/r0", "line-1/CO2/mass/60min/20261231T1000Z/eu_mrr/r0"):
        tree, _ = traced(capsys, computed, name, "--input", "flow")
        assert tree["fine"] and [stage["name"] for stage in tree["stages"]].count("slot") == 2


def test_a_computed_slot_that_does_not_count_says_why(computed, capsys):
    tree, stages = traced(capsys, computed, "line-1/flow/flow/60min/20261231T0500Z/eu_mrr/r0")
    assert tree["fine"] and stages["computed"]["facts"]["in the mean"] == "timeout: left out"
    assert stages["computed"]["facts"]["O2 = plume-01/co2 [%]"] == "timeout"
    assert stages["computed"]["steps"][0]["result"] is None
    assert [stage["name"] for stage in tree["stages"]].count("slot") == 2  # both inputs are shown


def test_a_changed_input_of_a_computed_channel_is_named(computed, capsys, monkeypatch):
    from plumeproof.trace import computed_walk

    monkeypatch.setattr(computed_walk, "compute", lambda made, inputs: (np.array([1.0]), np.zeros(1, np.uint8)))
    tree, _ = traced(capsys, computed, "line-1/flow/flow/60min/20261231T1000Z/eu_mrr/r0")
    assert not tree["fine"] and any(one.startswith("averaging took ") for one in bad(tree))


def test_an_hour_is_chosen(plant, capsys):
    _, stages = traced(capsys, plant[0], MONTH, "--hour", "2026-12-29T06:30")
    grid = stages["terms"]["grids"][0]
    assert grid["rows"][grid["picked"]][:2] == ["2026-12-29T06:00:00+01:00", "substituted"]
    assert stages["slot"]["facts"]["is"] == "timeout; it does not count"
    status, out, err = run(capsys, plant[0], MONTH, "--hour", "2027-02-01")
    assert (status, out, err.count("\n")) == (2, "", 1) and "--hour" in err


def test_whatever_is_listed_can_be_traced(plant, capsys):
    status, out, _ = run(capsys, plant[0], "--list", "--json")
    every = [one["id"] for one in json.loads(out)]
    assert status == 0 and MONTH in every
    status, out, _ = run(capsys, plant[0], "--list", "3600s", "--json")
    averages = [one["id"] for one in json.loads(out)]
    assert status == 0 and len(averages) == 2 * 97  # the last hour has not ended
    for name in (*every[:3], *every[-2:], averages[0], averages[-1], "plume-01/seq1", "plume-01/seq40"):
        tree, _ = traced(capsys, plant[0], name)
        assert tree["fine"] and tree["id"] == name


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("CO2/co2e/2026-12", MONTH),
        ("co2e/month", MONTH),
        ("line-1/mass/60min/2026-12-28T06:00", HOUR),
        ("mass/60min/2026-12-28T06:00+01:00", HOUR),
        ("mass/20261228T0500Z", HOUR),
        (HOUR.removesuffix("/r0"), HOUR),
        ("plume-01/flow/3600s/2026-12-28T05", "plume-01/flow/3600s/20261228T050000Z/plain_utc-1/r0"),
    ],
)
def test_short_forms_are_completed(plant, capsys, text, whole):
    assert traced(capsys, plant[0], text)[0]["id"] == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CO2/month", ("fits 4 of them", MONTH.removesuffix("/r0"))),
        ("SO2/month", ("is no figure that is stored here; there are", "CO2/co2e/month")),
        ("co2e/month/r4", ("has revisions 0 to 0",)),
        ("plume-01/3600s/2026-12-28T05", ("fits 2 of them", "plume-01/co2/3600s")),
        ("plume-01/co2/60s", ("is no average", "plume-01/3600s")),
        ("plume-01/seq99999", ("is no record", "plume-01")),
        ("plume-09/seq1", ("is no record", "plume-01")),
        ("a b", ("is no id",)),
        ("x" * 300, ("is no id",)),
        ("<script>", ("is no id",)),
    ],
)
def test_what_is_not_there_is_one_line(plant, capsys, text, words):
    status, out, err = run(capsys, plant[0], text)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert all(word in err for word in words), err


def test_a_changed_byte_in_a_record_is_named(copied, plant, capsys):
    seq = 9  # the hour of HOUR, 05:00Z on the 28th, is the seventh
    raw = next(envelope.raw for record, envelope in plant[1].sealed if record.seq == seq)
    turned = bytearray(raw)
    turned[len(raw) // 2] ^= 1
    change(copied, "UPDATE record SET envelope = ? WHERE seq = ?", bytes(turned), seq)
    tree, stages = traced(capsys, copied, MONTH)
    assert any(f"plume-01 seq {seq}: content_hash" in one for one in bad(tree)), bad(tree)
    assert any("the records make" in one for one in bad(tree))
    status, out, _ = run(capsys, copied, f"plume-01/seq{seq}")
    assert status == 1 and f"NOT OK plume-01 seq {seq}: signature" in out
    status, out, _ = run(capsys, copied, f"plume-01/seq{seq + 1}")
    assert status == 1 and f"NOT OK plume-01 seq {seq}: signature" in out


def test_a_row_that_was_made_to_fit_has_no_signature(copied, plant, capsys):
    """Somebody with the file changes a register, the hash of its row, average and figure; he has no key."""
    from plumeproof.errors import EnvelopeError
    from plumeproof.evidence.envelope import build_sig_structure, decode_deterministic

    record, envelope = next(one for one in plant[1].sealed if one[0].seq == 9)
    data = record.body.blocks[0].data
    raw = envelope.raw.replace(data, data[:60] + bytes(4) + data[64:])
    assert raw != envelope.raw
    parts = decode_deterministic(raw[1:], EnvelopeError)
    digest = hashlib.sha256(build_sig_structure(parts[0], parts[2])).digest()
    change(copied, "UPDATE record SET envelope = ?, content_hash = ? WHERE seq = 9", raw, digest)
    tree, _ = traced(capsys, copied, "plume-01/co2/3600s/20261228T050000Z")
    assert any("plume-01 seq 9" in one and "signature" in one for one in bad(tree)), bad(tree)
    tree, _ = traced(capsys, copied, MONTH, "--hour", "2026-12-30T00:00", "--whole")
    assert any("plume-01 seq 9" in one and "signature" in one for one in bad(tree)), bad(tree)


def test_changed_figures_and_averages_are_named(copied, capsys):
    change(copied, "UPDATE figure SET value = value * 0.9 WHERE layer = 'co2e'")
    tree, stages = traced(capsys, copied, MONTH)
    assert len(bad(tree)) == 1 and bad(tree)[0].startswith("value is ") and "the records make" in bad(tree)[0]
    change(copied, "UPDATE average SET mean = mean + 1e-13 WHERE channel = 'co2'")
    tree, _ = traced(capsys, copied, MONTH)
    assert [one.split()[0] for one in bad(tree)] == ["value", "mean"]


def test_keys_that_do_not_count(copied, capsys):
    entries = json.loads((copied / "keys.json").read_text())
    for changed, code in (({"revoked": True, "valid_until_seq": 2}, "key_revoked"), ({"device": "x"}, "key_other")):
        (copied / "keys.json").write_text(json.dumps([entries[0] | changed]))
        tree, stages = traced(capsys, copied, HOUR)
        assert any(code in one and "plume-01 seq 9" in one for one in bad(tree)), bad(tree)
        assert "slot" not in stages


def test_figures_say_their_ids(plant, capsys):
    files = ("--ledger", plant[0] / "ledger.sqlite", "--plant", plant[0] / "line-1.toml", "--stored")
    assert main(["average", *map(str, files), "--level", "month", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert MONTH in [row["id"] for row in rows] and list(rows[0])[-1] == "id"
    assert main(["average", *map(str, files), "--level", "month", "--ids"]) == 0
    assert MONTH + "  " in capsys.readouterr().out


# Ids by themselves

_name = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8).filter(lambda t: t[0].isalnum())
_minute = st.integers(0, 2**31 // 60).map(lambda one: one * 60_000)


@st.composite
def figures(draw):
    level = draw(st.sampled_from(LEVELS))
    start = draw(_minute)
    end = start + 60_000 * (draw(st.sampled_from((10, 30, 60))) if level == SHORT_TERM else 1440)
    place = (
        draw(_name),
        b"",
        draw(_name),
        "1",
        b"",
        "1",
        draw(_name),
        draw(st.sampled_from(LAYERS)),
        level,
        start,
        end,
    )
    rest = dict.fromkeys(Figure._fields[11:]) | {
        "revision": draw(st.integers(0, 99)),
        "reason": draw(st.sampled_from(("", "first"))),
    }
    return Figure(*place, **rest)


@given(figures(), figures())
def test_an_id_means_one_figure(one, other):
    wanted = read_id(id_of_figure(one))
    assert wanted.kind == "figure" and wanted.fits(parts_of_figure(one), one.start_utc_ms, 60)
    assert wanted.revision == (one.revision if one.reason else None)
    first, end = wanted.around_utc_ms
    assert first <= one.start_utc_ms < end
    assert wanted.fits(parts_of_figure(other), other.start_utc_ms, 60) == (one.place == other.place)
    assert (parts_of_figure(one) == parts_of_figure(other)) == (one.place == other.place)


@given(_name, st.text(string.ascii_letters + "/._-", min_size=1, max_size=12), st.integers(1, 86_400), _minute)
def test_an_id_means_one_average(device, channel, interval_s, start):
    row = Average(**(dict.fromkeys(Average.__slots__) | {
        "device": device, "channel": channel, "interval_s": interval_s, "start_utc_ms": start + 20_000,
        "rule": "plain_utc", "rule_version": "1", "revision": 3,
    }))  # fmt: skip
    wanted = read_id(id_of_average(row))
    assert (wanted.kind, wanted.revision, wanted.period) == ("average", 3, f"{interval_s}s")
    assert wanted.fits(parts_of_average(row), row.start_utc_ms, 0)
    assert not wanted.fits(parts_of_average(row), row.start_utc_ms + 1000, 0)
    found = read_id(id_of_record(device, interval_s))
    assert (found.kind, found.words, found.seq) == ("record", (device,), interval_s)


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_refused(text):
    try:
        wanted = read_id(text)
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert wanted.around_utc_ms is None or wanted.around_utc_ms[0] < wanted.around_utc_ms[1]


# One reading, written out

_decimal = st.sampled_from((1.0, 0.1, -0.001, 2.5, 1e-9, 3e300, 0.0))


@given(
    st.sampled_from(sorted(set(ORDERS) - {"bit"})), st.binary(min_size=12, max_size=12), _decimal, _decimal, st.data()
)
def test_a_reading_is_what_the_columns_are(kind, raw, scale, offset, data):
    order = data.draw(st.sampled_from(ORDERS[kind]))
    spec = ChannelSpec("x", "x", 0, 1, kind, order, scale, offset, "", -1e308, 1e308, None)
    block = Block(0, 3, 0, 6)
    found = read_exactly(spec, block, raw)
    rows = np.frombuffer(raw, np.uint8).reshape(1, -1)
    read, status = decoding._scaled(spec, decoding._read_numbers(spec, block, rows))
    if status[0] == decoding.NOT_FINITE:
        assert found.value is None or not np.isfinite(found.value)
        return
    assert np.float64(found.value).tobytes() == read[0].tobytes()
    assert is_rounded_right(spec, found)
    steps = steps_of(spec, found, "1", "0")
    typed = [eval(step.numbers) for step in steps[1:]]  # noqa: S307 # arithmetic that we wrote
    assert typed == [step.result for step in steps[1:]]
