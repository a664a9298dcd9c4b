"""The bus of the rig: an answer as quick as the standard allows meets a receiver, and noise makes gaps, never values.

The tail itself, from the last stop bit until the driver lets go, is seen with an oscilloscope or by the board's own
loop-back (firmware/BOARDS.md section 8); here it is judged by what it would destroy. Ptys have no driver and no tail.
"""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from acqwire import causes

from plumeproof.model import Samples

pytestmark = [pytest.mark.hil, pytest.mark.needs("bus_port", "power_switch")]
QUIET_RECORDS, NOISY_RECORDS = 6, 10
NOISE = ("--fault", "*:stray:rate=0.3", "--fault", "*:crc:rate=0.1", "--fault", "dust:foreign:rate=0.3")


def samples(gateway):
    return [record.body for record in gateway.records if isinstance(record.body, Samples)]


def test_the_line_is_let_go_before_the_quickest_answer(rig, seen):
    """--paced: the analyzers answer one silent interval behind the request, the soonest that a server may."""
    rig.start_plant("--paced")
    rig.start()
    gateway = rig.gateway()
    gateway.collect(lambda records: len(samples(gateway)) >= QUIET_RECORDS)
    outcomes = b"".join(block.outcomes for body in samples(gateway) for block in body.blocks)
    retries = sum(body.retries for body in samples(gateway))
    noise = sum(len(entry["hex"]) // 2 for entry in rig.plant_log() if entry.get("state") == "noise")
    seen("tail", {"answers": len(outcomes), "gaps": len(outcomes) - outcomes.count(causes.VALUE), "retries": retries})
    assert noise < len(outcomes), f"{noise} bytes on the bus were no request: does the adapter hand back what it sends?"
    # A late driver would swallow the head of each answer; a machine that is busy for a moment costs one slot.
    assert outcomes.count(causes.VALUE) >= 0.9 * len(outcomes) and retries <= 0.1 * len(outcomes)


def test_noise_makes_gaps_and_retries_and_never_a_value(rig, seen):
    rig.start_plant(*NOISE)
    rig.start()
    gateway = rig.gateway()
    gateway.collect(lambda records: len(samples(gateway)) >= NOISY_RECORDS)
    known = defaultdict(set)
    for entry in rig.stop_plant():
        if entry["kind"] == "answer":
            known[entry["unit"], entry["function"], entry["address"]].add(entry["registers"])
    whole = json.loads(rig.parameters)
    counts = {"values": 0, "gaps": 0, "retries": 0}
    for body in samples(gateway):
        counts["retries"] += body.retries
        for block, found in zip(whole["blocks"], body.blocks, strict=True):
            unit = whole["analyzers"][block["analyzer"]]["unit"]
            values = found.outcomes.count(causes.VALUE)
            counts["values"] += values
            counts["gaps"] += len(found.outcomes) - values
            width = len(found.data) // values if values else 0
            for index in range(values):
                value = found.data[index * width : (index + 1) * width].hex()
                assert value in known[unit, block["function"], block["address"]], "a value that no analyzer sent"
    seen("noise", counts)
    assert counts["values"] and counts["gaps"] + counts["retries"]
