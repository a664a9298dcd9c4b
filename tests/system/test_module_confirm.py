"""Double reads end to end: the emulated module on the real interpreter, pymodbus analyzers, a line that spoils answers
of one of them, and the bridge's own reader behind it.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest
from acqwire import causes

from plumeproof.evidence.parameters import parse_parameters
from plumeproof.model import Samples
from tests.doubles.module_rig import ANALYZERS, BUS, ModuleRig
from tools.parameters import compose, parse_choice

SLOT_MS = 400  # room for every block twice, and a retry


@pytest.fixture
def rig(tmp_path, micropython):
    made = ModuleRig(tmp_path, micropython, slot_ms=SLOT_MS, seal_ms=SLOT_MS * 3)
    chosen = [parse_choice(text) for text in ANALYZERS]
    made.parameters = compose(made.name, chosen, SLOT_MS, SLOT_MS * 3, BUS, confirmed=["gas"])
    made.parameters_path.write_bytes(made.parameters)
    yield made
    made.close()


def test_what_is_to_be_confirmed_is_asked_twice_and_a_spoilt_second_answer_is_a_signed_gap(rig):
    blocks = parse_parameters(rig.parameters).blocks
    marked = [index for index, block in enumerate(blocks) if block.is_confirmed]
    assert 0 < len(marked) < len(blocks)
    # Frozen: a value that moves between two reads would be unconfirmed as well
    rig.start_plant("--fault", "gas:frozen", "--fault", "gas:crc:rate=0.4")
    rig.start()
    gateway = rig.gateway()

    def batches(records):
        return [record.body for record in records if isinstance(record.body, Samples)]

    gateway.collect(lambda records: len(batches(records)) >= 4)
    outcomes = [
        Counter(b"".join(body.blocks[k].outcomes for body in batches(gateway.records))) for k in range(len(blocks))
    ]
    seen = set().union(*(outcomes[k] for k in marked))
    assert {causes.VALUE, causes.GAP_UNCONFIRMED} <= seen <= {0, causes.GAP_CRC, causes.GAP_UNCONFIRMED}, outcomes
    for k in range(len(blocks)):
        assert k in marked or set(outcomes[k]) == {causes.VALUE}
    log = [json.loads(line) for line in (rig.folder / "plant.jsonl").read_text().splitlines()]
    told = [entry for entry in log if entry["kind"] == "answer" and entry["intact"]]
    asked = Counter((entry["unit"], entry["address"]) for entry in log if entry["kind"] == "request")
    units = [analyzer.unit for analyzer in parse_parameters(rig.parameters).analyzers]
    least = min(asked[units[blocks[k].analyzer], blocks[k].address] for k in marked)
    most = max(asked[units[blocks[k].analyzer], blocks[k].address] for k in range(len(blocks)) if k not in marked)
    assert least > 1.3 * most, asked
    for k in marked:
        place = (units[blocks[k].analyzer], blocks[k].address)
        sent = {entry["registers"] for entry in told if (entry["unit"], entry["address"]) == place}
        data = b"".join(body.blocks[k].data for body in batches(gateway.records))
        width = blocks[k].width_bytes
        assert {data[at : at + width].hex() for at in range(0, len(data), width)} <= sent
