"""The campaigns of figures (`make figures`) and of the same bits (`make bitequal`): a short run of each, and whether a
fault is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.random_plant import Case
from tools.bitequal import __main__ as bits
from tools.bitequal import year
from tools.figures import __main__ as figures

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(str(ROOT / folder) for folder in (".", "bridge", "firmware"))


def told(*command):
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_some_plants_by_the_command():
    found = told("tools.figures", "--plants", "2", "--seed", "6", "--processes", "2", "--json")
    assert (found["seed"], found["plants"], found["differing_plants"]) == (6, 2, 0)
    assert found["figures"] > 1_000 and 0.0 < found["worst"] <= 1e-9


def test_the_same_seed_is_the_same_plant():
    one, same, other = ((case.tree, case.records) for case in (Case(5, 1), Case(5, 1), Case(6, 1)))
    assert one == same != other


def test_an_unequal_figure_is_status_1_with_its_seed(monkeypatch, capsys):
    class Alone:
        """A pool of this process, in which the fault is."""

        def __init__(self, _processes):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        imap_unordered = staticmethod(map)

    monkeypatch.setattr("plumeproof.rules.short_term.covers", lambda n, expected, coverage: n > 0)
    monkeypatch.setattr(figures.multiprocessing, "get_context", lambda _: type("", (), {"Pool": Alone}))
    assert figures.main(["--plants", "1", "--seed", "1"]) == 1
    said = capsys.readouterr()
    assert "figures: seed 100000" in said.err and "is_valid" in said.err and "not equal" in said.out


@pytest.mark.timeout(240)
def test_a_day_has_the_same_bits_on_every_target():
    found = told("tools.bitequal", "--days", "1", "--pieces", "20", "--json")
    assert found["is_equal"] and len({one["sha256"] for one in found["runs"]}) == 1
    assert [(one["target"], one["pieces"], one["threads"]) for one in found["runs"]] == [
        (target, pieces, threads)
        for target in ("native", "generic")
        for pieces, threads in ((1, 1), (1, 2), (20, 1), (20, 2))
    ]
    assert all(one["values"] > 500 for one in found["runs"])


def test_another_last_bit_is_another_hash_and_status_1(monkeypatch, capsys):
    one = year.run(1, 60_000, 1, 1, 1)["sha256"]
    assert one == year.run(1, 60_000, 24, 2, 1)["sha256"] != year.run(1, 60_000, 1, 1, 2)["sha256"]
    same = {"pieces": 1, "threads": 1, "figures": 1, "values": 1, "seconds": 0.1}
    monkeypatch.setattr(bits, "run_target", lambda target, _: [{"target": target, "sha256": target, **same}])
    assert bits.main([]) == 1
    assert "THE BITS DIFFER" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (figures, ["--seconds", "0"]),
        (figures, ["--plants", "0"]),
        (figures, ["--processes", "0"]),
        (bits, ["--days", "0"]),
        (bits, ["--days", "1", "--pieces", "25"]),
        (bits, ["--slot-ms", "7000"]),
    ],
)
def test_wrong_usage_is_2(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse_arguments(words)
    assert ended.value.code == 2
