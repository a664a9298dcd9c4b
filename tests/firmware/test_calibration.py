"""Calibration marks: begin and end at the slots whose bits say so, gaps, power cuts, a bit that chatters."""

from acqwire import calibration, fields
from app_parts import slots_of
from input_parts import RigInputs, own_rig, own_set

ZERO = {"analyzer": 0, "phase": "zero", "block": 2, "bit": 9, "is": 1}
SPAN = {"analyzer": 0, "phase": "span", "block": 0, "bit": 19, "is": 0}  # register 1, bit 3: of the analyzer itself


def _rig(marks, **kwargs):
    port = RigInputs([0, 0, 0], 10)
    rig = own_rig(own_set(calibrations=marks, **kwargs), port)
    rig.bus.put(1, 4, b"\x00\x00\x00\x08")
    return rig, port


def _changes(rig, boot=1):
    """(mark, analyzer, phase, state, slot) of each record; checks its time and that its slot is sealed before it."""
    found, slots = [], 0
    for record in rig.records:
        if record[fields.BOOT] != boot:
            continue
        if record[fields.KIND] in (fields.KIND_SAMPLES, fields.KIND_OVERFLOW):
            slots = record[fields.FIRST_SLOT] + record[fields.SLOT_COUNT]
        if record[fields.KIND] == fields.KIND_CALIBRATION:
            slot = record[calibration.CALIBRATION_SLOT]
            assert slot < slots and record[calibration.CALIBRATION_SLOT_MONO_MS] == slot * 1000
            found.append(tuple(record[key] for key in range(80, 84)) + (slot,))
    return found


def test_begin_and_end_are_told_with_their_slots():
    rig, port = _rig([ZERO, SPAN])
    rig.start()
    rig.run(4500000)
    port.mask = 0x200  # slot 5
    rig.run(2000000)
    port.mask = 0  # slot 7
    rig.run(500000)
    rig.bus.put(1, 4, b"\x00\x00\xff\xf7")
    rig.run(1000000)
    rig.bus.put(1, 4, b"\x00\x00\x00\x08")
    rig.run(2500000)
    rig.fetch_all()
    assert _changes(rig) == [(0, 0, 1, 1, 5), (0, 0, 1, 0, 7), (1, 0, 2, 1, 7), (1, 0, 2, 0, 8)]
    kinds = rig.kinds()
    for at in range(len(kinds)):
        if kinds[at] == fields.KIND_CALIBRATION:
            assert kinds[at - 1] in (fields.KIND_SAMPLES, fields.KIND_CALIBRATION)


def test_a_gap_changes_nothing():
    rig, port = _rig([ZERO])
    rig.start()
    rig.run(1500000)
    port.mask = 0x200
    rig.run(1000000)
    port.is_torn = True
    rig.run(3000000)
    port.is_torn = False
    rig.run(3000000)
    rig.fetch_all()
    assert 7 in [outcomes[2] for _, _, outcomes in slots_of(rig.records, 1)]
    assert _changes(rig) == [(0, 0, 1, 1, 2)]


def test_what_was_on_when_the_power_failed_begins_anew():
    rig, port = _rig([ZERO])
    rig.start()
    port.mask = 0x200
    rig.run(4500000)
    rig.start()  # the power was away; the sampler's slots with it
    rig.run(4500000)
    port.mask = 0
    rig.run(3000000)
    rig.start()
    rig.run(4500000)
    rig.fetch_all()
    assert _changes(rig, 1) == [(0, 0, 1, 1, 0)]
    assert _changes(rig, 2) == [(0, 0, 1, 1, 0), (0, 0, 1, 0, 5)]
    assert _changes(rig, 3) == []


def test_a_bit_that_chatters_is_told_eight_times_a_record_and_ends_right():
    rig, port = _rig([ZERO], seal_ms=20000)
    rig.start()
    rig.run(500000)
    for _ in range(18):
        port.mask ^= 0x200
        rig.run(1000000)
    port.mask = 0x200
    rig.run(30000000)
    rig.fetch_all()
    found = _changes(rig)
    assert len(found) == 9 and [change[3] for change in found] == [1, 0] * 4 + [1]
    assert [change[4] for change in found[:8]] == list(range(1, 9)) and found[8][4] == 20


def test_a_full_journal_loses_slots_and_no_mark():
    rig, port = _rig([ZERO], seal_ms=1000)
    rig.start()
    rig.run(2500000)
    rig.fetch_all()
    port.mask = 0x200
    rig.run(400000000)  # far more than the ring holds
    port.mask = 0
    rig.run(20000000)
    for _ in range(12):
        rig.fetch_all()
        rig.run(2000000)
    kinds = [record[fields.KIND] for record in rig.records]
    assert fields.KIND_OVERFLOW in kinds
    numbers = [slot[0] for slot in slots_of(rig.records, 1)]
    assert numbers == list(range(len(numbers)))
    found = _changes(rig)
    assert [change[3] for change in found] == [1, 0]


def test_drained_with_every_mark_told():
    rig, port = _rig([ZERO], seal_ms=60000)
    rig.start()
    rig.run(2500000)
    port.mask = 0x200
    rig.run(1500000)
    port.mask = 0
    rig.run(1500000)
    rig.board.is_draining = True
    rig.run(3000000)
    assert rig.board.drained_count == 1
    rig.fetch_all()
    assert [change[3] for change in _changes(rig)] == [1, 0]
    events = [record for record in rig.records if record[fields.KIND] == fields.KIND_EVENT]
    assert len(events) == 2, "its edges, too"
