"""The bus-noise campaign: a share of each kind, and whether it finds what a worse client would do.

The whole of it is `make noise`; this share is the same in each run, whatever the machine is doing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from acqwire import causes

from tools.noise import cases
from tools.noise.__main__ import main, parse_arguments
from tools.noise.cases import BLOCKS, KINDS, run
from tools.noise.line import Noise, NoisyLine, SimClock, content, register

ROOT = Path(__file__).resolve().parents[2]
SLOTS = 300


@pytest.mark.parametrize("is_twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_value_is_wrong_and_rests_are_good(kind, is_twice):
    found = run(kind, 1, SLOTS, is_twice)
    assert (found.wrong, found.stale, found.slow_rests) == (0, 0, 0), found
    assert found.residual == 0 or not is_twice, found
    assert sum(found.causes.values()) == SLOTS * len(BLOCKS) and found.values > 0.6 * SLOTS * len(BLOCKS)
    assert found.rests == SLOTS // (cases.NOISY_SLOTS + cases.REST_SLOTS)
    assert found.polls >= SLOTS * len(BLOCKS) * 0.9


@pytest.mark.parametrize(("kind", "what"), [("bits-1e-3", "altered"), ("bursts", "altered"), ("second", "foreign")])
def test_the_noise_is_there(kind, what):
    assert getattr(run(kind, 2, 100, False), what) > 20
    assert run(kind, 2, 100, False).causes[causes.VALUE] < 100 * len(BLOCKS)


def test_the_same_seed_is_the_same_run():
    assert run("bits-1e-3", 5, 100, False) == run("bits-1e-3", 5, 100, False) != run("bits-1e-3", 6, 100, False)


def test_a_client_that_does_not_hold_back_is_found(monkeypatch):
    monkeypatch.setattr(cases.Client, "_left", lambda self, now: 0)
    found = run("late", 1, 2_000, False)
    assert found.wrong > 0 and "a wrong value" in found.first


def test_a_client_without_a_crc_is_found_and_double_reads_save_it(monkeypatch):
    monkeypatch.setattr("acq.modbus.rtu.has_good_crc", lambda buf, count: True)
    once, twice = run("bits-1e-3", 1, SLOTS, False), run("bits-1e-3", 1, SLOTS, True)
    assert once.residual > 50  # altered on the line: that is what the CRC stands for
    assert twice.residual + twice.wrong < once.residual / 20


def test_registers_differ_where_they_could_be_mixed_up():
    seen = [content(unit, address, count, slot) for unit, address, count in BLOCKS for slot in range(100)]
    assert len(set(seen)) == len(seen)
    assert all(0 <= register(unit, address, 7) < 1 << 16 for unit in (1, 2) for address in range(100))


def test_a_quiet_line_passes_bytes_unchanged_and_a_pause_is_kept():
    clock = SimClock()
    line = NoisyLine(clock, 19_200, 1_000_000, 100_000, {1}, "x")
    request = bytearray(bytes.fromhex("010300000002c40b"))
    line.send(request, 8)
    assert 8 * 520 < clock.now < 8 * 525  # ten bits a character
    buf = bytearray(64)
    assert line.receive(buf, 0) == 0
    clock.now += line.next_us()
    assert line.receive(buf, 0) == 9 and bytes(buf[3:7]) == content(1, 0, 2, 0)
    line.noise = Noise(echo=True)
    line.send(request, 8)
    assert line.receive(buf, 0) == 8 and buf[:8] == request


def test_the_command_counts_and_tells_its_seed():
    command = [sys.executable, "-m", "tools.noise", "--slots", "50", "--seed", "4", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["seed"], told["wrong"], told["wrong_twice"], told["broken"]) == (4, 0, 0, 0)
    assert set(KINDS) <= set(told) and all(
        told[kind][mode]["slots"] == 50 for kind in KINDS for mode in ("once", "twice")
    )
    assert told["polls"] > 50 * len(BLOCKS) * 2 * len(KINDS)


def test_a_broken_promise_is_status_1_with_its_seed(monkeypatch, capsys):
    monkeypatch.setattr(cases.Client, "_left", lambda self, now: 0)
    assert main(["--slots", "1000", "--seed", "1", "--kinds", "late", "--processes", "1"]) == 1
    told = capsys.readouterr()
    assert "noise: seed 1: late, read once, task seed 10000" in told.err
    assert "wrong values" in told.out


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--slots", "0"], ["--kinds", "rain"], ["--processes", "0"]])
def test_wrong_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(words)
    assert ended.value.code == 2
