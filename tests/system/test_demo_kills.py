"""kill -9 of bridge, module, broker and platform while the line runs, a few of each; `make kills` does many."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from plumeproof.clock import SystemClock
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.keys import load_keys
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from tests.doubles.slow_averages import slow_averages
from tests.system.finished_demo import parts_below
from tools.campaign.__main__ import PARTS
from tools.demo.layout import MODULES, Layout
from tools.demo.ledger_view import read_module

INTERVALS_S = (10, 60)  # longer ones are open at the end
ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
SEED = 4
LIMIT_S = 115


def test_nothing_is_lost_and_nothing_comes_twice(tmp_path):
    root = tmp_path / "left"
    command = [sys.executable, "-m", "tools.campaign", "--kills", str(KILLS), "--seed", str(SEED), "--json"]
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
    check_averages(layout)
    assert parts_below(root) == []


def check_averages(layout: Layout) -> None:
    """Every average of the ledger, and no other, is what the slow reference makes of its records."""
    keys = load_keys(layout.keys)
    views = [read_module(layout.ledger, keys, name) for name in MODULES]
    raws = [raw for view in views for raw in view.records.values()]
    records = [parse_record(verify_envelope(raw, keys.public_key)) for raw in raws]
    sets = [parse_parameters(layout.parameters(name).read_bytes()) for name in MODULES]
    reference = slow_averages(records, {one.parameters_hash: one for one in sets}, INTERVALS_S)
    writer = Writer(layout.ledger)
    try:
        averages = SqliteAverages(writer, SystemClock())
        rows = [average for _, average in averages.after(0, 10**6) if average.interval_s in INTERVALS_S]
        opened = {
            (state.device, one.interval_s, one.start_utc_ms)
            for state in averages.states()
            for one in state.open_intervals
        }
    finally:
        writer.close()
    newest = {
        (row.device, row.channel, row.interval_s, row.start_utc_ms): replace(row, revision=0, reason="") for row in rows
    }
    closed = {key: row for key, row in reference.items() if (key[0], key[2], key[3]) not in opened}
    assert len(newest) > 0
    assert {key: row for key, row in newest.items() if (key[0], key[2], key[3]) not in opened} == closed
