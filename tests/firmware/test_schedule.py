"""Slots on the clock and the batches they fill: each slot once and in order, every size within a record."""

from acqwire import limits
from dice import Dice
from rig_lines import instant

from acq.batch import Batch, capacity
from acq.cose import build_bytes_head
from acq.instant import FAR_US
from acq.plan import Block
from acq.record import RecordBuilder, Stamp
from acq.schedule import Schedule


def test_each_slot_is_due_from_its_start_and_over_at_its_end():
    for slot_ms in (100, 250, 1000, 1001, 59999, 999000):
        schedule = Schedule(slot_ms)
        slot_us = slot_ms * 1000
        for slot in range(5):
            start = slot * slot_us
            assert schedule.next_slot == slot
            assert schedule.is_due(instant(start)) and not schedule.is_over(instant(start + slot_us - 1))
            assert schedule.is_over(instant(start + slot_us)) and schedule.wait_us(instant(start + 7)) == 0
            assert schedule.left_us(instant(start + 7)) == slot_us - 7
            assert schedule.left_us(instant(start + slot_us + 1)) == 0
            if slot:
                assert not schedule.is_due(instant(start - 1)) and schedule.wait_us(instant(start - 7)) == 7
            schedule.advance()


def test_late_slots_come_one_by_one():
    schedule = Schedule(100)
    now = instant(100000 * 1000)
    for slot in range(1000):
        assert schedule.is_due(now) and schedule.is_over(now) and schedule.next_slot == slot
        schedule.advance()
    assert schedule.is_due(now) and not schedule.is_over(now) and schedule.next_slot == 1000


def test_spans_beyond_small_integers_are_far():
    """An hour's slot, hours late: longer than a small integer counts, and nothing turns round."""
    schedule = Schedule(3600000)
    assert schedule.slot_us == FAR_US and schedule.left_us(instant(0)) == FAR_US
    schedule.advance()
    assert schedule.wait_us(instant(0)) == FAR_US and not schedule.is_due(instant(3599999999))
    assert schedule.wait_us(instant(3599999999)) == 1 and schedule.is_due(instant(3600000000))
    late = instant(100 * 86400 * 1000000)
    assert schedule.is_due(late) and schedule.is_over(late) and schedule.left_us(late) == 0


def test_moments_differ_as_whole_numbers_do():
    dice = Dice(11)
    for _ in range(500):
        first, second = (dice.below(1 << 22) * 1000000 + dice.below(1000000) for _ in range(2))
        if dice.below(2):
            second = first + dice.below(2000000000) - min(first, 1000000000)
        wanted = max(-FAR_US, min(second - first, FAR_US))
        found = instant(second).since_us(instant(first))
        # A difference is far from 1000 s on, give or take the second in which it becomes so
        assert found == wanted or (abs(second - first) > 999000000 and abs(found) == FAR_US)
        step = dice.below(FAR_US)
        moment = instant(first)
        moment.add_us(step)
        assert (moment.s, moment.us) == divmod(first + step, 1000000)


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
