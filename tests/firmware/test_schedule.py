"""Slots on the clock and the batches they fill: each slot once and in order, every size within a record."""

from acqwire import limits
from dice import Dice

from acq.batch import Batch, capacity
from acq.cose import build_bytes_head
from acq.plan import Block
from acq.record import RecordBuilder, Stamp
from acq.schedule import Schedule


def test_each_slot_is_due_from_its_start_and_over_at_its_end():
    schedule = Schedule(250)
    for slot in range(5):
        start = slot * 250000
        assert schedule.next_slot == slot
        assert not schedule.is_due(start - 1) and schedule.is_due(start)
        assert not schedule.is_over(start + 249999) and schedule.is_over(start + 250000)
        assert schedule.wait_us(start - 7) == 7 and schedule.wait_us(start + 7) == 0
        assert schedule.left_us(start + 7) == 249993 and schedule.left_us(start + 250001) == 0
        schedule.advance()


def test_late_slots_come_one_by_one():
    schedule = Schedule(100)
    now_us = 100000 * 1000
    for slot in range(1000):
        assert schedule.is_due(now_us) and schedule.is_over(now_us) and schedule.next_slot == slot
        schedule.advance()
    assert schedule.is_due(now_us) and not schedule.is_over(now_us) and schedule.next_slot == 1000


def _block(width):
    return Block(0, 3, 0, width // 2, width) if width > 1 else Block(0, 1, 0, 1, 1)


class _Link:
    seq = (1 << 64) - 2
    boot = (1 << 32) - 2
    prev = bytes(32)


def test_a_full_batch_of_values_always_fits_a_record():
    """Random plans: at capacity the payload and each string are within the limits; one more slot of a plan that is not
    limited by its period could pass them."""
    dice = Dice(5)
    buf = bytearray(limits.RECORD_MAX_BYTES)
    stamp = Stamp()
    stamp.utc_status, stamp.mono_ms, stamp.utc_ms = 1, (1 << 63), (1 << 63)
    stamp.utc_unc_ms, stamp.sync_seq = (1 << 32) - 1, (1 << 63)
    for _ in range(60):
        widths = [2 * (1 + dice.below(125)) if dice.below(4) else 1 for _ in range(1 + dice.below(12))]
        blocks = [_block(width) for width in widths]
        slots = capacity(blocks, 3600)
        if slots == 0:
            assert sum(widths) > 3500
            continue
        batch = Batch(blocks, slots, 1000)
        batch.begin(1 << 53)
        for _ in range(slots):
            for index, width in enumerate(widths):
                batch.put_value(index, bytes(width), 0, width)
            batch.slot_count += 1
        batch.retries = (1 << 32) - 1
        builder = RecordBuilder(buf, "x" * 32, bytes(32))
        count = builder.build_samples(_Link, stamp, batch)
        assert count <= limits.RECORD_MAX_BYTES
        assert all(len(batch.data(index)) <= limits.STRING_MAX_BYTES for index in range(len(widths)))
        width = sum(widths) + len(widths)
        assert slots == 2048 or max(widths) * (slots + 1) > 2048 or count + width > limits.RECORD_MAX_BYTES - 70
        assert len(build_bytes_head(count)) <= 3


def test_capacity_is_bounded_by_the_period_and_by_one_string():
    assert capacity([_block(2)], 60) == 60
    assert capacity([_block(2)], 5000) == 1024  # 2,048 bytes of data
    assert capacity([_block(1)], 5000) == 1942  # 4,096 bytes less the frame, two bytes a slot
    assert capacity([_block(250)] * 16, 60) == 0


def test_gaps_and_values_in_any_mixture():
    batch = Batch([_block(2), _block(4)], 4, 500)
    for first in (0, 77):
        batch.begin(first)
        for slot in range(4):
            if slot % 2:
                batch.put_gap(0, 9)
            else:
                batch.put_value(0, b"..ab", 2, 2)
            batch.put_value(1, bytes((slot, 1, 2, 3)), 0, 4)
            batch.slot_count += 1
        assert bytes(batch.outcomes(0)) == b"\x00\x09\x00\x09" and bytes(batch.data(0)) == b"abab"
        assert bytes(batch.outcomes(1)) == bytes(4)
        assert bytes(batch.data(1)) == b"\x00\x01\x02\x03\x01\x01\x02\x03\x02\x01\x02\x03\x03\x01\x02\x03"
        assert batch.first_slot_mono_ms == first * 500
