"""kill -9 of bridge, module, broker and platform while the line runs, a few of each; `make kills` does many.

The seed is new every day, so that the suite sees other instants; it is in the output of a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from plumeproof.keys import load_keys
from tests.system.finished_demo import parts_below
from tools.campaign.__main__ import PARTS
from tools.demo.layout import MODULES, Layout
from tools.demo.ledger_view import read_module

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
LIMIT_S = 115


def test_nothing_is_lost_and_nothing_comes_twice(tmp_path):
    seed = int(time.time()) // 86_400
    root = tmp_path / "left"
    command = [sys.executable, "-m", "tools.campaign", "--kills", str(KILLS), "--seed", str(seed), "--json"]
    command += ["--dir", str(root), "--seal-ms", "1000"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    figures = json.loads(run.stdout.splitlines()[-1])
    assert (figures["lost"], figures["duplicated"], figures["chain_ok"]) == (0, 0, True)
    assert figures["findings"] == [] and figures["drained"] is True
    assert figures["records_sealed"] == figures["records_verified"] and figures["records_rejected"] == 0
    assert figures["api_receipts"] > 0
    assert sum(figures["killed"].values()) == KILLS and set(figures["killed"]) == set(PARTS)
    assert figures["restarts"] >= KILLS
    deaths = sum(figures["killed"][name] for name in MODULES)
    boots = sum(module["boots"] for module in figures["modules"].values())
    assert len(MODULES) < boots <= len(MODULES) + deaths
    layout = Layout(root)
    for name in MODULES:  # each boot follows the one before, and each says when the power had gone
        assert read_module(layout.ledger, load_keys(layout.keys), name).unexplained_slots == 0
    assert parts_below(root) == []
