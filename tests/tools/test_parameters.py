"""tools/parameters.py: what it composes is what the bridge reads, and every refusal is one line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785

from plumeproof.errors import ParametersError
from plumeproof.evidence.parameters import Block, StatusBit, parse_parameters
from tools.parameters import Choice, ProfileError, compose, parse_choice

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "parameters.py"
LINE = [
    Choice("gas", "sick_mcs100ft", 1),
    Choice("dust", "generic_dust_int16", 17),
    Choice("flow", "generic_flow_tpm", 3),
]


def test_round_trip_through_the_reader_of_the_bridge():
    raw = compose("plume-01", LINE, 1000, 60_000, {"baud": 9600, "parity": "E", "stop_bits": 1}, revision=7)
    found = parse_parameters(raw, hashlib.sha256(raw).digest())
    assert (found.device, found.revision, found.slot_ms, found.seal_ms) == ("plume-01", 7, 1000, 60_000)
    assert (found.bus.baud, found.bus.parity, found.bus.stop_bits) == (9600, "E", 1)
    assert [(a.id, a.profile, a.unit) for a in found.analyzers] == [(c.id, c.profile, c.unit) for c in LINE]
    assert found.blocks == (
        Block(0, 4, 138, 34), Block(0, 2, 4000, 7), Block(0, 2, 4487, 1), Block(1, 3, 0, 3), Block(2, 4, 0, 9),
    )  # fmt: skip
    channels = {channel.id: channel for channel in found.channels}
    assert len(channels) == len(found.channels) == 16
    assert (channels["gas.nox"].block, channels["gas.nox"].register, channels["gas.nox"].order) == (0, 32, "CDAB")
    assert channels["gas.maintenance"].block == 2 and channels["gas.maintenance"].status is None
    assert (channels["dust.dust"].block, channels["dust.dust"].scale, channels["dust.dust"].status) == (3, 0.1, 1)
    assert (channels["flow.pressure"].block, channels["flow.pressure"].status) == (4, 2)
    assert [status.block for status in found.statuses] == [1, 3, 4]
    assert found.statuses[2].bits[0] == StatusBit(128, True, "F")


def test_same_choice_same_bytes_and_canonical():
    raw = compose("plume-01", LINE, 1000, 60_000)
    assert raw == compose("plume-01", LINE, 1000, 60_000) == rfc8785.dumps(json.loads(raw))
    assert b"meaning" not in raw and b"hj212" not in raw


@pytest.mark.parametrize(
    ("analyzers", "slot_ms", "said"),
    [
        ([Choice("a", "tr216i", 1), Choice("b", "tr216i", 1)], 1000, "unit id"),
        ([Choice("a", "tr216i", 1), Choice("a", "tr216i", 2)], 1000, "analyzer id"),
        ([Choice("a", "tr216i", 248)], 1000, "unit"),
        ([Choice("a", "tr216i", 1)], 50, "slot_ms"),
        ([], 1000, "analyzers"),
    ],
)
def test_refused_sets(analyzers, slot_ms, said):
    with pytest.raises(ParametersError, match=said):
        compose("plume-01", analyzers, slot_ms, 60_000)


@pytest.mark.parametrize("text", ["gas", "gas=x", "gas@1", "=x@1", "gas=x@", "gas=x@one", "gas=x@1@2"])
def test_choice_is_refused(text):
    with pytest.raises(ProfileError, match="ID=PROFILE@UNIT"):
        parse_choice(text)


def test_choice():
    assert parse_choice("gas=sick_mcs100ft@1") == LINE[0]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_command_line(tmp_path):
    path = tmp_path / "parameters.json"
    choices = [f"--analyzer={choice.id}={choice.profile}@{choice.unit}" for choice in LINE]
    done = run("--device", "plume-01", *choices, "--slot-ms", "1000", "--seal-ms", "60000", "-o", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.read_bytes() == compose("plume-01", LINE, 1000, 60_000)


def test_an_analyzer_that_is_read_twice_on_a_bad_line(tmp_path):
    path = tmp_path / "parameters.json"
    choices = [f"--analyzer={choice.id}={choice.profile}@{choice.unit}" for choice in LINE]
    wanted = LINE[-1].id
    done = run("--device", "plume-01", *choices, "--confirm", wanted, "-o", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    found = parse_parameters(path.read_bytes())
    assert {found.analyzers[block.analyzer].id for block in found.blocks if block.is_confirmed} == {wanted}
    assert all(block.is_confirmed == (block.analyzer == len(LINE) - 1) for block in found.blocks)
    done = run("--device", "plume-01", *choices, "--confirm", "gass", "-o", str(path))
    assert done.returncode == 2 and "confirm 'gass'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("analyzer", "place", "status", "said"),
    [
        ("gas=absent@1", "p.json", 2, "no profile 'absent'"),
        ("gas:sick@1", "p.json", 2, "ID=PROFILE@UNIT"),
        ("gas=tr216i@0", "p.json", 2, "unit"),
        ("gas=tr216i@1", "absent/p.json", 3, "absent/p.json"),
    ],
)
def test_command_line_errors_are_one_line(tmp_path, analyzer, place, status, said):
    done = run("--device", "plume-01", "--analyzer", analyzer, "-o", str(tmp_path / place))
    assert done.returncode == status and said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("parameters: ")
    assert not (tmp_path / place).exists()
