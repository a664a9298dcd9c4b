"""The whole module with a secure element on its bus: polls go on beside it, and its faults end the program by name."""

import struct

from acqwire import causes, frames
from app_parts import Rig
from atecc_parts import Chip, is_good

from acq.faults import SignerFault, fault_code


def _module(**what):
    rig = Rig(**what)
    chip = Chip(rig.clock)
    rig.signer = chip.with_key().open(0)
    rig.start()
    return rig, chip


def _envelopes(rig):
    """[(content hash, envelope)] of everything that is durable."""
    found = []
    while True:
        answer = rig.ask(frames.FETCH, struct.pack(">QB", len(found) + 1, 8))
        bodies = [body for type_, body in answer if type_ == frames.RECORD]
        if not bodies:
            return found
        for body in bodies:
            assert struct.unpack(">Q", body[:8])[0] == len(found) + 1
            found.append((body[8:40], body[40:]))


def test_records_are_signed_by_the_chip_and_polls_do_not_slip():
    rig, chip = _module(slot_ms=200, seal_ms=2000)
    rig.bus.log = []
    boot_at = rig.clock.now
    rig.run(12000000)
    envelopes = _envelopes(rig)
    assert len(envelopes) >= 6
    for content_hash, envelope in envelopes:
        assert is_good(rig.signer.public_key, content_hash, envelope[-64:])
    firsts = [at for at, unit in rig.bus.log if unit == 1]
    assert len(firsts) >= 55
    assert max((at - boot_at) % 200000 for at in firsts) < 20000  # an exchange with the chip, 7 ms, and a little
    assert chip.chip.log.count("41") == len(envelopes) + 1  # one each, and the start's own test


def test_the_module_sleeps_while_the_chip_works():
    rig, chip = _module(slot_ms=60000, seal_ms=60000, units=(1,))
    chip.chip.log = []
    rounds = 0
    while "41" not in chip.chip.log:
        rig.app.step()
        rig.clock.now += 100
    asked = rig.clock.now
    while chip.clock.now - asked < 100000:  # Sign takes 115 ms
        rounds += 1
        rig.clock.now += max(rig.app.step(), 100)
    assert rounds < 60  # without wait_us: 1,000


def test_a_dead_chip_ends_the_program_with_its_own_code():
    rig, chip = _module(slot_ms=1000, seal_ms=1000)
    rig.run(3000000)
    chip.chip.faults.mute_reads = True
    try:
        rig.run(20000000)
        raise AssertionError("went on")
    except SignerFault as fault:
        assert fault_code(fault) == causes.FAULT_ELEMENT_SILENT
    chip.chip.faults.mute_reads = 0
    rig.clock.now += 2000000
    rig.start()  # the next boot goes on from the journal
    rig.run(4000000)
    envelopes = _envelopes(rig)
    for content_hash, envelope in envelopes:
        assert is_good(rig.signer.public_key, content_hash, envelope[-64:])
