"""trace from a bundle: what the ledger gives, on a machine that has only the file; a turned byte is named."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from plumeproof.bundle.zip import read_members
from plumeproof.cli import main
from plumeproof.trace import bundle_source
from plumeproof.trace.bundle_source import BundleSource
from tests.bridge.test_trace import HOUR, MONTH, bad
from tests.doubles.tonnes_plant import write_tonnes


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tonnes")
    write_tonnes(folder)
    files = ("--ledger", folder / "ledger.sqlite", "--keys", folder / "keys.json")
    period = ("--from", "2026-11-29", "--to", "2027-01-02", "-o", folder / "month.zip", "--json")
    assert main(["evidence", "export", *map(str, (*files, *period))]) == 0
    (folder / "alone").mkdir()
    shutil.move(folder / "month.zip", folder / "alone" / "month.zip")
    return folder


def run(capsys, *words):
    capsys.readouterr()
    status = main(["trace", *map(str, words)])
    found = capsys.readouterr()
    return status, found.out, found.err


def from_both(capsys, folder, *words):
    """The trees, without where they were read."""
    keys = ("--keys", folder / "keys.json")
    found = []
    for source in (("--ledger", folder / "ledger.sqlite"), ("--bundle", folder / "alone" / "month.zip")):
        status, out, err = run(capsys, *source, *keys, *words, "--json")
        assert err == "", err
        tree = json.loads(out)
        if isinstance(tree, dict):
            assert tree["fine"] == (status == 0)
            assert tree["stages"]
        found.append(tree)
    return found


@pytest.mark.parametrize(
    "words",
    [
        (MONTH, "--whole"),
        ("CO2/co2e/2026-12", "--hour", "2026-12-29T06:30"),
        (HOUR, "--slot", "2026-12-28T06:07", "--input", "flow"),
        ("plume-01/flow/3600s/2026-12-28T05",),
        ("plume-01/seq1",),
        ("plume-01/seq40",),
    ],
)
def test_the_same_way_down(plant, capsys, words):
    ledger, bundle = from_both(capsys, plant, *words)
    assert ledger["fine"] and bad(bundle) == []
    assert bundle["id"] == ledger["id"] and bundle["stages"] == ledger["stages"]


@pytest.mark.parametrize("words", [("--list",), ("--list", "3600s"), ("--list", "mass/60min"), ("--list", "mass")])
def test_the_same_is_listed(plant, capsys, words):
    ledger, bundle = from_both(capsys, plant, *words)
    # The year began before the bundle's period, and is not in it
    wanted = [one for one in ledger if "/year/" not in one["id"]]
    assert len(wanted) > 3 and sorted(map(str, bundle)) == sorted(map(str, wanted))


def test_a_bundle_alone_is_enough(plant, capsys):
    status, out, err = run(capsys, "--bundle", plant / "alone" / "month.zip", MONTH)
    assert (status, err) == (0, "") and "month.zip itself" in out
    status, _, err = run(capsys, "--bundle", plant / "alone" / "month.zip", "--ledger", "x.sqlite", MONTH)
    assert (status, err.count("\n")) == (2, 1) and "--bundle" in err
    status, _, err = run(capsys, "--bundle", plant / "alone" / "month.zip", "plume-01/seq99999")
    assert status == 2 and "is no record" in err
    (plant / "no.zip").write_bytes(b"PK")
    status, out, err = run(capsys, "--bundle", plant / "no.zip", MONTH)
    assert (status, out, err.count("\n")) == (1, "", 1) and "no.zip" in err


def test_a_turned_byte_is_named(plant, capsys, tmp_path):
    """In every member that the way down reads, some bytes; nothing of it is taken for good."""
    raw = (plant / "alone" / "month.zip").read_bytes()
    with (plant / "alone" / "month.zip").open("rb") as file:
        members = read_members(file)
    read = [one for name, one in members.items() if name != "data/receipts.jsonl" and "/figures/" not in name]
    read.append(next(one for name, one in members.items() if "/figures/line-1/" in name))
    draw = random.Random(5)
    for member in read:
        turned = bytearray(raw)
        turned[member.offset + draw.randrange(member.size)] ^= 1 << draw.randrange(8)
        (tmp_path / "turned.zip").write_bytes(turned)
        name = MONTH if "/averages/" not in member.name else f"plume-01/co2/3600s/{_first_hour(member.name)}"
        words = ("--bundle", tmp_path / "turned.zip", "--allow-test-keys", name)
        status, out, err = run(capsys, *words)
        assert status == 1, (member.name, out, err)
        assert "NOT OK" in out + err, member.name


def test_a_turned_record_is_named_by_its_seq(plant, capsys, tmp_path):
    path = plant / "alone" / "month.zip"
    source = BundleSource(path)
    envelope = source.envelope("plume-01", 9)
    source.close()
    raw = path.read_bytes()
    at = raw.index(envelope)
    for place in (0, 3, 60, len(envelope) // 2, len(envelope) - 5):
        turned = bytearray(raw)
        turned[at + place] ^= 1
        (tmp_path / "turned.zip").write_bytes(turned)
        words = ("--bundle", tmp_path / "turned.zip", "--keys", plant / "keys.json")
        status, out, _ = run(capsys, *words, "plume-01/seq9")
        assert status == 1 and "NOT OK plume-01 seq 9: " in out, place
        status, out, err = run(capsys, *words, MONTH, "--whole")
        assert status == 1 and "NOT OK plume-01 seq 9: " in out + err, (place, out, err)


def test_only_what_is_asked_for_is_decoded(plant, monkeypatch):
    source = BundleSource(plant / "alone" / "month.zip")
    opened = []
    honest = bundle_source.open_slots
    monkeypatch.setattr(bundle_source, "open_slots", lambda rows, of: opened.extend(rows) or honest(rows, of))
    start = 1_798_434_000_000  # 2026-12-28T05:00Z
    strips = source.of_period(["plume-01"], start, start + 3_600_000)["plume-01"]
    source.close()
    assert [one.seq for one in strips] == [9] == [row.seq for row in opened]


def _first_hour(name):
    """Of the day of a member with averages, an hour that has a row."""
    day = int(name.rsplit("/", 1)[-1].removesuffix(".cbor"))
    return _text(day + 23 * 3_600_000)


def _text(utc_ms):
    from plumeproof.figure_ids import utc_text

    return utc_text(utc_ms, True)
