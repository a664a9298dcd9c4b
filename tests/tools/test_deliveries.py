"""The delivery campaign: a small share of it, and whether it finds what a worse product would do.

The whole of it is `make deliveries ARGS="--batches 1000"`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumeproof.delivery import outbox
from plumeproof.delivery.mqtt_sink import MqttSink
from tools.deliveries import __main__ as command
from tools.deliveries import broker_cases, platform_cases
from tools.deliveries.clock import LeapingClock, RealClock
from tools.deliveries.door import _cut_packet

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ("outage-1h", "503", "reset-each-byte")


def test_the_command_counts_and_tells_its_seed():
    words = ["--batches", "6", "--scale", "0.02", "--seed", "4", "--json", "--processes", "2", "--faults", *FAULTS]
    ended = subprocess.run(
        [sys.executable, "-m", "tools.deliveries", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert (told["seed"], told["lost"], told["doubled"], told["disordered"], told["broken"]) == (4, 0, 0, 0, 0)
    assert set(told["cases"]) == set(FAULTS)
    assert all(case["faults"] > 0 and case["most_per_s"] == 1 for case in told["cases"].values())
    assert told["cases"]["503"]["effects"] == 6 and told["cases"]["503"]["repeats"] > 0
    assert told["cases"]["outage-1h"]["delivered"] == told["cases"]["outage-1h"]["offered"] > 20


def test_who_does_not_rest_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "backoff_s", lambda failures, dice, longest_s: 0.05)
    found = platform_cases.run("503", tmp_path, 6, 1)
    assert found.most_per_s > 1 and any("in a second" in sentence for sentence in found.wrong)
    assert (found.lost, found.doubled, found.effects) == (0, 0, 6)


def test_who_believes_a_refusal_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(MqttSink, "_judge", lambda self, row, code, connection: None)
    found = broker_cases.run("puback-0x97", tmp_path, 1, 0.05)
    assert found.lost > 0 and any("closed that mosquitto has not taken" in sentence for sentence in found.wrong)


def test_breaks_of_order_are_counted():
    assert [platform_cases.count_breaks(ids) for ids in ([], [1, 2, 3], [2, 1, 3], [3, 1, 2])] == [0, 0, 1, 2]
    assert broker_cases.count_breaks([1, 2, 3, 2, 3, 4]) == 0  # a repeat is none
    assert broker_cases.count_breaks([1, 3, 2, 3]) == 1
    assert broker_cases.count_breaks([-seq for seq in reversed([1, 3, 2, 3])]) == 0  # in the end all is in order
    assert broker_cases.count_breaks([-seq for seq in reversed([1, 3, 2])]) == 1


def test_requests_are_counted_up_to_the_first_that_is_served():
    def request(at_s, status, target="report"):
        return {"atUtcNs": int(at_s * 1e9), "status": status, "target": target, "fault": None}

    served = [request(0.0, 503), request(0.1, 200), request(0.2, 200)]
    assert platform_cases.most_per_s(served, RealClock()) == 2
    assert platform_cases.most_per_s([request(at / 10, 503) for at in range(30)], RealClock()) == 10
    assert platform_cases.most_per_s([request(0, 503), request(1, 503), request(0.5, 503, "token")], RealClock()) == 1
    assert platform_cases.most_per_s([request(0, 200), request(0.1, 200)], RealClock()) == 0


def test_a_leaping_clock_says_other_peoples_instants():
    clock = LeapingClock()
    before_ns = time.time_ns()
    clock.rest(3600.0)
    after_ns = time.time_ns()
    assert clock.said(before_ns) == before_ns / 1e9
    assert clock.said(after_ns) == after_ns / 1e9 + 3600.0
    assert -0.1 < clock.monotonic_s() - time.monotonic() - 3600.0 < 1.0


def test_packets_are_cut_where_they_end():
    held = bytearray(b"\x40\x02\x00\x01" + b"\x30\x81\x01" + bytes(129) + b"\xc0")
    assert [len(_cut_packet(held)) for _ in range(3)] == [4, 132, 0]
    assert held == b"\xc0"


@pytest.mark.parametrize(
    "words",
    [["--seconds", "0"], ["--batches", "0"], ["--scale", "2"], ["--faults", "rain"], ["--processes", "0"]],
)
def test_wrong_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse_arguments(words)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], command.CASES),
        (["--parts", "platform"], platform_cases.CASES),
        (["--parts", "broker"], tuple(broker_cases.CASES)),
        (["--faults", "503", "tls"], ("503", "tls")),
    ],
)
def test_which_faults(words, expected):
    assert tuple(command.parse_arguments(words).faults) == expected
