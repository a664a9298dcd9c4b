"""Power cuts by the switch of the rig: nothing that was journaled is lost, and the module is soon back.

On the emulated rig a cut is SIGKILL and a start of the process.
"""

from __future__ import annotations

import random
import time

import pytest

from plumeproof.model import Boot, Samples

pytestmark = pytest.mark.hil
SEED = 20261125
WAIT_MAX_S = 1.5  # between start and cut: boot, parameters, signatures and flash work are met


@pytest.mark.needs("bus_port", "power_switch")
def test_nothing_journaled_is_lost_by_cuts_at_any_moment(rig, request, seen):
    cuts = request.config.getoption("--cuts")
    drawn = random.Random(SEED)
    rig.start_plant()
    rig.start()
    gateway = rig.gateway()
    gateway.greet()
    told = []
    for _ in range(cuts):
        wait_s = drawn.uniform(0.05, WAIT_MAX_S)
        time.sleep(wait_s)
        journaled = gateway.greet().newest_seq
        rig.kill()
        began_s = time.monotonic()
        rig.start()
        gateway.greet()
        answers_s = time.monotonic() - began_s
        gateway.collect(lambda records: records and records[-1].seq > journaled, 60)  # noqa: B023 - asked at once
        held = {record.seq for record in gateway.records}
        first = gateway.records[0].seq
        lost = [seq for seq in range(first, journaled + 1) if seq not in held]
        told.append(
            {
                "wait_s": round(wait_s, 3),
                "answers_s": round(answers_s, 3),
                "record_s": round(time.monotonic() - began_s, 3),
                "lost": len(lost),
            }
        )
        assert not lost and not gateway.holes
    boots = [record for record in gateway.records if isinstance(record.body, Boot)]
    gateway.collect(lambda records: isinstance(records[-1].body, Samples))
    torns = [record.body.torn_count for record in boots]
    torn = max(torns) - torns[0]  # a torn entry is counted at each mount until its segment is erased
    seen("power", {"cuts": told, "boots": len(boots), "torn": torn, "records": len(gateway.records), "seed": SEED})
    assert 2 <= len(boots) <= cuts + 2
    assert torn <= cuts


@pytest.mark.needs("bus_port", "power_switch")
def test_what_the_gateway_has_not_taken_is_there_after_the_cut(rig):
    """A gateway that was away: all of it waits in the journal, over a cut and in order."""
    rig.start_plant()
    rig.start()
    gateway = rig.gateway()
    base = gateway.greet().newest_seq
    deadline = time.monotonic() + 60
    while (journaled := gateway.line.hello().newest_seq) < base + 6:
        assert time.monotonic() < deadline, journaled
        time.sleep(0.2)
    rig.kill()
    rig.start()
    gateway.collect(lambda records: records[-1].seq > journaled if records else False)
    assert not gateway.holes
    assert [record.seq for record in gateway.records] == list(range(gateway.records[0].seq, gateway.head.seq + 1))
