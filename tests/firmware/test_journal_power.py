"""The journal under power cuts, misbehaving flash, rot and foreign images, on both interpreters.

A drawn share of what tools/powercuts does as a whole on one of them: over three laps of the ring each step is begun
from a mount and cut within some of its operations, or lives through one that misbehaves; then mounted, compared, worked
on.
"""

from acqwire import fields
from flash_parts import Dice, JournalModel, PowerCut, PowerCutFlash, fresh, mounted
from journal_model import SIZES
from power_cut_flash import ERROR, FLIPPED, NOTHING, PREFIX, UNDEFINED

from acq.ports import JournalError

_LAPS_SEQ = 52  # three laps of the four segments
_CUTS_A_STEP = 3


def _append(journal, model):
    """The next record; when the ring is full the gateway releases first."""
    try:
        model.append(journal)
    except JournalError:
        model.release(journal, model.head)
        model.append(journal)
    seq = model.head
    if seq // 14 % 2 == 0 and seq % 3:
        model.release(journal, max(1, seq - seq % 4))
    if seq % 3 == 0:
        journal.prepare()


def _again(flash, model, released, head):
    """Power on: mount, compare, acknowledge."""
    journal = mounted(flash)
    model.released, model.head = released, head
    return journal


class _Reads(PowerCutFlash):
    """Counts reads."""

    reads = 0

    def read(self, offset, buf):
        self.reads += 1
        PowerCutFlash.read(self, offset, buf)


def _mount_bounded(flash, unit=256):
    """A mount reads each byte a few times at most and writes nothing."""
    before = flash.operations
    flash.reads = 0
    journal = mounted(flash)
    units = flash.sector_count * flash.sector_bytes // unit
    assert flash.reads <= 16 * units and flash.operations == before, flash.reads
    return journal


def test_cuts_and_faults_within_every_step_of_three_laps():
    dice = Dice(11)
    flash = _Reads()
    model = JournalModel()
    while model.head < _LAPS_SEQ:
        image, released, head = flash.image(), model.released, model.head
        journal = mounted(flash)
        model.acknowledge_again(journal)
        first = flash.operations
        _append(journal, model)
        count = flash.operations - first
        after, after_released, after_head = flash.image(), model.released, model.head
        for _ in range(_CUTS_A_STEP):
            flash.load(image)
            journal = _again(flash, model, released, head)
            model.acknowledge_again(journal)
            flash.cut_operation = flash.operations + dice.below(count)
            flash.cut_style = (PREFIX, UNDEFINED)[dice.below(2)]
            flash.cut_prefix = dice.below(4097 if dice.below(8) == 0 else 257)
            try:
                _append(journal, model)
                raise AssertionError("no cut")
            except PowerCut:
                pass
            _check_after(flash, model)
        flash.load(image)
        journal = _again(flash, model, released, head)
        model.acknowledge_again(journal)
        flash.faults = {flash.operations + dice.below(count): (NOTHING, FLIPPED, ERROR)[dice.below(3)]}
        _append(journal, model)
        model.check(journal)
        flash.faults = {}
        _check_after(flash, model)
        flash.load(after)
        model.released, model.head, model.pending = after_released, after_head, 0


def _check_after(flash, model):
    flash.power_on()
    journal = _mount_bounded(flash)
    model.check_mounted(journal)
    model.acknowledge_again(journal)
    _append(journal, model)
    model.check(mounted(flash))


def test_one_rotten_bit_costs_one_record_at_most_and_is_counted():
    flash, journal, model = fresh()
    while journal.has_room(3000, False):
        model.append(journal)
    image, torn = flash.image(), mounted(flash).torn_count
    head = model.head
    buf = bytearray(4224)
    dice = Dice(5)
    # the headers of segment and first entry (each eleventh bit), then anywhere
    places = list(range(0, 192, 11)) + list(range(2048, 2048 + 480, 11)) + [dice.below(262144) for _ in range(40)]
    for place in places:
        flash.load(image)
        flash.rot(place >> 3, place & 7)
        again = mounted(flash)
        assert again.head_seq == head, place
        gone = [seq for seq in range(1, head + 1) if again.read(seq, buf) == 0]
        assert len(gone) <= 1 and (not gone or again.torn_count > torn), (place, gone)
        for seq in range(1, head + 1):
            if seq not in gone:
                model.check_record(again, seq)
        if place < 2048 + 480:
            assert not gone and again.torn_count > torn, place


def test_a_segment_with_a_rotten_header_takes_no_more():
    flash, journal, model = fresh()
    model.append(journal)
    flash.rot(9, 2)
    again = mounted(flash)
    assert (again.head_seq, again.torn_count) == (1, 1)
    model.append(again)
    flash.rot(10, 5)  # the header is beyond help; what came after the first rot is safe
    last = mounted(flash)
    assert last.head_seq == 2 and last.seek(1) == 2


def test_the_newest_record_keeps_its_seq_when_its_header_rots():
    """Else the next record would take the seq of one that the gateway may have: equivocation."""
    flash, journal, model = fresh()
    model.append(journal)
    model.append(journal)
    at = 256 + -(-(SIZES[1] + 68) // 256) * 256  # of the second entry
    for bit in range(480):
        flash.rot(at + (bit >> 3), bit & 7)
        again = mounted(flash)
        assert (again.head_seq, again.torn_count) == (2, 1), bit
        model.check(again)
        flash.rot(at + (bit >> 3), bit & 7)


def test_any_image_mounts_in_bounded_time():
    dice = Dice(3)
    for content in (None, b"\0", b"PPJS", b"PPJE", b"PPOK", b"\xfe", b"PPJSPPJE"):
        flash = _Reads()
        for sector in range(8):
            for at in range(0, 4096, 64):
                piece = bytes(dice.below(256) for _ in range(64)) if content is None else content * (64 // len(content))
                flash.write(sector * 4096 + at, piece)
        journal = _mount_bounded(flash)
        assert (journal.head_seq, journal.seek(1)) == (0, 0)
        model = JournalModel()
        _append(journal, model)
        model.check(mounted(flash))
        del flash, journal


def test_no_segment_is_opened_under_a_number_that_mount_refuses():
    flash, journal, model = fresh()
    journal._base_number = 0xFFFF0000
    try:
        journal.append(fields.KIND_SAMPLES, 1, 1, bytes(32), b"x")
        raise AssertionError("taken, and lost at the next start")
    except JournalError:
        pass
    assert mounted(flash).head_seq == 0
