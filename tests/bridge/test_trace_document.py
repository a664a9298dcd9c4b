"""trace --document: every id that a document names leads down, whatever its form; running periods are made anew."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.trace import document
from plumeproof.trace.document import ids_of
from tests.doubles.small_bridge import BRIDGE_TOML
from tests.doubles.tonnes_plant import PLANT, write_tonnes

MONTH = "line-1/CO2/co2e/month/20261130T2300Z/eu_mrr"
HOUR = "line-1/CO2/mass/60min/20261228T0500Z/eu_mrr/r0"


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tonnes")
    write_tonnes(folder)
    (folder / "bridge.toml").write_text(BRIDGE_TOML)
    (folder / "line-1.toml").write_text(PLANT)
    return folder


def traced(capsys, folder, paper, *words):
    capsys.readouterr()
    status = main(["trace", "-c", str(folder / "bridge.toml"), "--document", str(paper), *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_every_id_of_a_document_leads_down(plant, capsys, tmp_path):
    paper = tmp_path / "statement.json"
    paper.write_text(json.dumps({"results": {"id": MONTH, "hour": HOUR, "again": MONTH}}, indent=1))
    status, out, err = traced(capsys, plant, paper)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"ok     {MONTH}  ") and lines[0].endswith("t CO2e")
    assert lines[1].startswith(f"ok     {HOUR}  ") and lines[1].endswith("kg/h")
    assert lines[2].startswith("fine: 2 of 2 ids of ") and "signed register bytes" in lines[2]
    status, out, _ = traced(capsys, plant, paper, "--json")
    told = json.loads(out)
    assert (status, told["fine"]) == (0, True)
    assert [(one["id"], one["count"], one["lines"]) for one in told["ids"]] == [(MONTH, 2, [3, 5]), (HOUR, 1, [4])]


def test_an_id_that_leads_nowhere_is_named(plant, capsys, tmp_path):
    paper = tmp_path / "rows.csv"
    elsewhere = HOUR.replace("line-1", "line-2")
    paper.write_text(f"t,id\n12.5,{HOUR}\n3.25,{elsewhere}\n")
    status, out, err = traced(capsys, plant, paper)
    assert (status, err) == (1, "")
    assert f"NOT OK {elsewhere}  " in out and "is no figure that is stored here" in out
    assert "NOT FINE: 1 of 2 ids" in out


def test_what_is_still_running_is_made_from_the_records(plant, capsys, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(plant, folder)
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute("DELETE FROM figure WHERE level = 'month'").rowcount > 0
    connection.close()
    paper = tmp_path / "draft.json"
    paper.write_text(json.dumps({"id": MONTH}))
    status, out, err = traced(capsys, folder, paper)
    assert (status, err) == (0, ""), out
    (folder / "bridge.toml").write_text(BRIDGE_TOML[: BRIDGE_TOML.index("[[plant]]")])
    assert traced(capsys, folder, paper)[0] == 1  # without a plant description nobody can make it


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"%PDF-1.7", "is a PDF"),
        (b"\xff\xfe", "is no text: byte 0 is not UTF-8"),
        (b"https://example.org/a/b/c and line-1/CO2", "names no figure, average or record"),
    ],
)
def test_what_is_no_document_is_one_line(plant, capsys, tmp_path, raw, told):
    (tmp_path / "paper").write_bytes(raw)
    status, out, err = traced(capsys, plant, tmp_path / "paper")
    assert (status, out) == (2, "") and told in err and err.count("\n") == 1


def test_limits_and_whole_ids(tmp_path, monkeypatch):
    paper = tmp_path / "paper.txt"
    paper.write_text(f"x{MONTH}x plume-01/nox/60s/20261201T130000Z/plain_utc-1/r0, (plume-01/seq12). {HOUR}/more\n")
    found = ids_of(paper)
    assert [one.id for one in found][-2:] == ["plume-01/nox/60s/20261201T130000Z/plain_utc-1/r0", "plume-01/seq12"]
    monkeypatch.setattr(document, "IDS_MAX", 1)
    with pytest.raises(ConfigError, match="more than 1 ids"):
        ids_of(paper)
    monkeypatch.setattr(document, "BYTES_MAX", 10)
    with pytest.raises(ConfigError, match="is larger than"):
        ids_of(paper)
    with pytest.raises(ConfigError, match="cannot be read"):
        ids_of(tmp_path / "gone")
