"""The schedule of the kill campaign: the same from the same seed, as many kills as asked for, each part in its turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.campaign.__main__ import PARTS, parse_arguments, report
from tools.campaign.schedule import draw_blows
from tools.demo.figures import is_good
from tools.demo.layout import Layout
from tools.demo.summary import Summary

ROOT = Path(__file__).resolve().parents[2]


def killed(blows) -> Counter[str]:
    count: Counter[str] = Counter()
    for blow in blows:
        count.update(blow.parts)
        count[blow.parts[0]] += blow.again_s is not None
    return count


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_the_schedule(seed, kills):
    blows = list(draw_blows(seed, PARTS, kills))
    assert blows == list(draw_blows(seed, PARTS, kills))
    count = killed(blows)
    assert count.total() == kills == sum(blow.kills for blow in blows)
    assert all(len(set(blow.parts)) == len(blow.parts) for blow in blows)
    in_turn = Counter(part for blow in blows for part in blow.parts)
    assert max(in_turn.values()) - min(in_turn[part] for part in PARTS) <= 2


def test_without_a_number_it_goes_on():
    assert sum(blow.kills for blow in islice(draw_blows(1, PARTS, None), 1000)) >= 1000


def test_choices():
    assert parse_arguments([]).kills == 20
    assert parse_arguments(["--seconds", "5"]).kills is None
    for wrong in (["--kills", "0"], ["--seconds", "0"], ["--parts", "plant"]):
        with pytest.raises(SystemExit) as ended:
            parse_arguments(wrong)
        assert ended.value.code == 2


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"lost": 1},
        {"duplicated": 1},
        {"chain_ok": False},
        {"drained": False},
        {"bundle_ok": False},
        {"second_verifier_ok": False},
    ],
    ids=str,
)
def test_a_failure_prints_the_seed_and_where_to_look(tmp_path, capsys, spoilt):
    figures = {"lost": 0, "duplicated": 0, "chain_ok": True, "drained": True, "seed": 7} | spoilt
    figures = {"bundle_ok": True, "second_verifier_ok": True} | figures
    report(figures, True, Summary(Layout(tmp_path)), tmp_path)
    said = capsys.readouterr()
    assert json.loads(said.out) == figures
    assert said.err == (f"campaign: seed 7 FAILED; see {tmp_path}\n" if spoilt else "")
    assert is_good(figures) is not bool(spoilt)


def test_a_failed_start_prints_the_seed(tmp_path):
    command = [sys.executable, "-m", "tools.campaign", "--kills", "1", "--seed", "7", "--dir", str(tmp_path / "left")]
    environment = os.environ | {"PLUMEPROOF_MICROPYTHON": "/bin/false"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert run.stderr.startswith("campaign: seed 7: MicroPython: ")
