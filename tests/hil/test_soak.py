"""A long run: every planned slot is a value or a gap with a cause, the chain is whole, and the module counts the same.

`--soak-seconds`: 6 in the everyday suite, hours on a bench. Health records come from 60 s on.
"""

from __future__ import annotations

import time

import pytest
from acqwire import fields

from plumeproof.errors import LinkError
from plumeproof.model import Boot, Event, Samples

pytestmark = [pytest.mark.hil, pytest.mark.needs("bus_port", "power_switch")]
FIRST_HEALTH_S = 70  # SPEC.md section 4.3: 60 s behind the boot, and the record's way
SYNC_EACH_S = 60.0


def test_a_long_run_has_every_slot(rig, request, seen):
    seconds = request.config.getoption("--soak-seconds")
    rig.start_plant()
    rig.start()
    gateway = rig.gateway()
    gateway.greet()
    until_s = time.monotonic() + seconds
    synced_s = time.monotonic() - SYNC_EACH_S
    errors = 0
    while time.monotonic() < until_s:
        try:
            if time.monotonic() - synced_s >= SYNC_EACH_S:
                gateway.line.synchronise(10)
                synced_s = time.monotonic()
            if not gateway.fetch():
                time.sleep(0.1)
        except LinkError:
            errors += 1
    gateway.collect(lambda records: any(isinstance(record.body, Samples) for record in records))
    records = gateway.records
    outcomes = b"".join(
        block.outcomes for record in records if isinstance(record.body, Samples) for block in record.body.blocks
    )
    counted = sum(record.body.slots.slot_count for record in records if isinstance(record.body, Samples))
    planned = (records[-1].mono_ms - records[0].mono_ms) // rig.slot_ms
    seen("soak", {"seconds": seconds, "slots": counted, "values": outcomes.count(0), "of": len(outcomes),
                  "link_errors": errors})  # fmt: skip
    assert sum(isinstance(record.body, Boot) for record in records) == 1  # it has not started again by itself
    assert not [record.body for record in records if isinstance(record.body, Event)]
    assert not gateway.holes and errors == 0
    assert counted >= planned - 2 * rig.seal_ms // rig.slot_ms - 2  # what is not sealed yet, and the first moments
    assert outcomes.count(0) >= 0.98 * len(outcomes)
    if seconds >= FIRST_HEALTH_S:
        assert any(record.kind == fields.KIND_HEALTH for record in records)
