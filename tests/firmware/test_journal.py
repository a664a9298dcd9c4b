"""The journal's promises one by one, on both interpreters; random histories and power cuts have files of their own."""

from acqwire import causes, fields, frames
from flash_parts import PowerCutFlash, fresh, mounted

from acq.journal import Journal
from acq.ports import Flash, JournalError

SAMPLES, EVENT, BOOT = fields.KIND_SAMPLES, fields.KIND_EVENT, fields.KIND_BOOT
HASH = bytes(range(32))


def _append(journal, seq, size=1000, kind=SAMPLES):
    journal.append(kind, seq, 1, HASH[:31] + bytes((seq & 255,)), bytes((seq & 255,)) * size)


def _fill(journal, seq, size=1000, is_reserved=False):
    """Append until there is no room; the next seq."""
    while journal.has_room(size, is_reserved):
        _append(journal, seq, size, EVENT if is_reserved else SAMPLES)
        seq += 1
    return seq


def _hash(seq):
    return HASH[:31] + bytes((seq & 255,))


def _code(action):
    try:
        action()
    except JournalError as error:
        return error.code
    return None


def _of_geometry(sector_count, sector_bytes, program_bytes):
    flash = Flash()
    flash.sector_count, flash.sector_bytes, flash.program_bytes = sector_count, sector_bytes, program_bytes
    return Journal(flash)


def test_erased_flash_is_an_empty_journal():
    _, journal, _ = fresh()
    assert (journal.head_seq, journal.head_boot, journal.head_hash) == (0, 0, b"")
    assert (journal.oldest_seq, journal.newest_seq, journal.torn_count) == (0, 0, 0)
    assert journal.seek(1) == 0 and journal.read(1, bytearray(10)) == 0
    assert journal.release(1, HASH) == frames.RELEASE_UNKNOWN_SEQ


def test_an_entry_is_there_at_once_and_after_a_mount():
    flash, journal, model = fresh()
    for kind in (BOOT, SAMPLES, fields.KIND_TIME_SYNC):
        model.append(journal, kind)
        model.check(journal)
        model.check_mounted(mounted(flash))


def test_geometry_that_cannot_hold_a_journal_is_refused():
    wrong = causes.FAULT_JOURNAL_GEOMETRY
    assert _code(lambda: _of_geometry(7, 4096, 256)) == wrong  # three segments and a half
    assert _code(lambda: _of_geometry(4, 1024, 256)) == wrong
    assert _code(lambda: _of_geometry(8, 4096, 2)) == wrong  # no room for a marker in a unit
    assert _code(lambda: _of_geometry(8, 4096, 640)) == wrong  # units across sectors
    assert _code(lambda: _of_geometry(4, 8192, 8192)) == wrong  # the header is the segment
    for fitting in ((8, 4096, 256), (32, 1024, 4), (4, 131072, 32), (12, 3072, 512)):
        _of_geometry(*fitting)


def test_every_unit_size_keeps_entries():
    for unit in (4, 16, 32, 512):
        flash = PowerCutFlash(8, 4096, unit)
        journal = mounted(flash)
        for seq in range(1, 6):
            _append(journal, seq, 1 + 97 * seq)
        again = mounted(flash)
        assert (again.head_seq, again.torn_count) == (5, 0), unit
        buf = bytearray(500)
        for seq in range(1, 6):
            assert again.read(seq, buf) == 1 + 97 * seq
        del flash, journal, again


def test_too_large_and_too_small_are_refused():
    _, journal, _ = fresh()
    assert _code(lambda: _append(journal, 1, 4225)) == causes.FAULT_JOURNAL_TOO_LARGE
    assert _code(lambda: _append(journal, 1, 0)) == causes.FAULT_JOURNAL_TOO_LARGE
    _append(journal, 1, 4224)
    try:
        _append(journal, 1)
        raise AssertionError("a seq twice")
    except ValueError:
        pass


def test_full_keeps_a_segment_for_reserved_kinds():
    flash, journal, _ = fresh()
    seq = _fill(journal, 1)
    assert seq > 10 and _code(lambda: _append(journal, seq)) == causes.FAULT_JOURNAL_FULL
    assert not journal.has_room(1000, False) and journal.has_room(4224, True)
    end = _fill(journal, seq, 1000, True)
    assert end - seq >= 6  # a whole segment of 8,192 bytes
    assert _code(lambda: _append(journal, end, 1000, EVENT)) == causes.FAULT_JOURNAL_FULL
    assert _code(lambda: _append(journal, end, 10, SAMPLES)) == causes.FAULT_JOURNAL_FULL
    again = mounted(flash)
    assert again.seek(1) == 1 and again.head_seq == end - 1  # nothing was overwritten
    assert not again.has_room(1000, True)


def test_release_frees_whole_segments_only_and_the_head_stays():
    flash, journal, _ = fresh()
    seq = _fill(journal, 1)
    assert journal.release(seq - 1, _hash(seq - 1)) == frames.RELEASE_DONE
    assert journal.has_room(4224, False)
    while seq < 60:
        _append(journal, seq)
        assert journal.release(seq, _hash(seq)) == frames.RELEASE_DONE
        assert mounted(flash).head_seq == seq
        seq += 1


def test_release_asks_for_the_journals_own_hash():
    _, journal, _ = fresh()
    for seq in range(1, 8):
        _append(journal, seq)
    assert journal.release(8, _hash(8)) == frames.RELEASE_UNKNOWN_SEQ
    assert journal.release(0, _hash(0)) == frames.RELEASE_UNKNOWN_SEQ
    assert journal.release(5, _hash(6)) == frames.RELEASE_WRONG_HASH
    assert journal.release(5, b"") == frames.RELEASE_WRONG_HASH
    assert journal.release(5, _hash(5)) == frames.RELEASE_DONE
    assert journal.release(5, _hash(5)) == frames.RELEASE_DONE
    assert journal.release(3, _hash(3)) == frames.RELEASE_DONE  # late, and true
    assert journal.release(3, _hash(5)) == frames.RELEASE_WRONG_HASH


def test_a_repeated_acknowledgement_is_done_even_when_the_record_is_erased():
    _, journal, _ = fresh()
    seq = _fill(journal, 1)
    assert journal.release(2, _hash(2)) == frames.RELEASE_DONE
    assert journal.release(13, _hash(13)) == frames.RELEASE_DONE
    last = journal.seek(6)
    seq = _fill(journal, seq)
    assert last == 6 and journal.oldest_seq > 2 and journal.seek(1) == journal.oldest_seq
    assert journal.release(13, _hash(13)) == frames.RELEASE_DONE
    assert journal.release(2, _hash(2)) == frames.RELEASE_UNKNOWN_SEQ


def test_wrong_acknowledgements_free_nothing():
    _, journal, _ = fresh()
    seq = _fill(journal, 1)
    for wrong in (seq, seq + 1, 1 << 63):
        journal.release(wrong, _hash(wrong))
    for known in range(1, seq):
        assert journal.release(known, _hash(known + 1)) == frames.RELEASE_WRONG_HASH
    assert not journal.has_room(1000, False)
    assert journal.seek(1) == 1


def test_releases_are_forgotten_by_a_mount():
    flash, journal, _ = fresh()
    seq = _fill(journal, 1)
    journal.release(seq - 1, _hash(seq - 1))
    again = mounted(flash)
    assert not again.has_room(1000, False)
    assert again.release(seq - 1, _hash(seq - 1)) == frames.RELEASE_DONE
    assert again.has_room(1000, False)


def test_erasing_ahead_saves_the_erase_later():
    flash, journal, _ = fresh()
    assert journal.prepare() and not journal.prepare()
    before = flash.operations
    _append(journal, 1, 1)
    assert flash.operations - before == 2  # header, the only unit

    def too_short():
        journal.read(1, bytearray(0))

    try:
        too_short()
        raise AssertionError("an envelope in no buffer")
    except ValueError:
        pass
