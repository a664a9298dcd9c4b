"""The module's half of the link over a real journal, on both interpreters: every question and odd moment.

Both halves together: tests/contract/test_link_both_sides.py.
"""

import struct

from acqwire import fields, frames
from flash_parts import fresh, mounted

from acq.framing import FrameReader, FrameWriter
from acq.link import Link

KID = bytes(range(16))
_ASKER = FrameWriter()
_READER = FrameReader(frames.FRAME_MAX_BYTES)


class Times:
    """Stands for the time base: remembers what it was asked."""

    def __init__(self):
        self.calls = []

    def ask(self, now_ms):
        self.calls.append(("ask", now_ms))
        return b"nonce--8"

    def set(self, nonce, utc_ms, unc_ms, now_ms):
        self.calls.append(("set", nonce, utc_ms, unc_ms, now_ms))
        return (fields.SYNC_SLEWED, 1 << 40)


def _parts(records=0):
    flash, journal, model = fresh()
    for _ in range(records):
        model.append(journal)
    return flash, model, Link(7, "mod-1", KID, 3, journal, Times(), FrameWriter())


def _line(type_, body=b"", address=7, number=9):
    _ASKER.body[: len(body)] = body
    _ASKER.finish(address, type_, number, len(body), True)
    return bytes(memoryview(_ASKER.buf)[_ASKER.start : _ASKER.end])


def _sent(link, piece=1000):
    """Everything the link has to say, `piece` bytes at a time: [type, body] of each frame."""
    found = []
    while link.poll():
        start = link.start
        end = min(link.end, start + piece)
        while start < end:
            start = _READER.feed(link.buf, start, end)
            if _READER.is_whole:
                assert (_READER.address, _READER.number) == (7, 9)
                body = bytes(_READER.body[: min(_READER.body_count, 60)])
                found.append((_READER.type, body, _READER.body_count))
        link.sent(end - link.start)
    return found


def _ask(link, type_, body=b"", now_ms=1000, piece=1000):
    line = _line(type_, body)
    link.feed(line, len(line), now_ms)
    return _sent(link, piece)


def _fetch(link, seq, window):
    """(type, seq) of each frame of the answer, for MISSING (type, first, last)."""
    found = []
    for type_, body, count in _ask(link, frames.FETCH, struct.pack(">QB", seq, window)):
        if type_ == frames.RECORD:
            found.append((type_, struct.unpack_from(">Q", body)[0]))
        else:
            assert count == 16
            found.append((type_,) + struct.unpack(">QQ", body))
    return found


def test_hello_says_who_is_there_and_what_it_holds():
    _, model, link = _parts(5)
    for oldest, newest in ((1, 1), (0, 1), (1, 9)):
        ((type_, body, count),) = _ask(link, frames.HELLO, bytes((oldest, newest)))
        assert type_ == frames.WELCOME and count == 53 + 16 + 5
        assert struct.unpack_from(">BIQQ", body) == (1, 3, 1, 5)
        assert body[21:53] == link._journal.head_hash and body[53:] == KID[:7]
    for oldest, newest in ((2, 3), (0, 0), (3, 1)):
        refused = _ask(link, frames.HELLO, bytes((oldest, newest)))
        assert refused == [(frames.REFUSED, bytes((frames.REFUSE_VERSION, 1, 1)), 3)]


def test_an_empty_journal_is_said_to_be_empty():
    _, _, link = _parts()
    ((_, body, _),) = _ask(link, frames.HELLO, b"\x01\x01")
    assert struct.unpack_from(">BIQQ32s", body) == (1, 3, 0, 0, bytes(32))
    assert _fetch(link, 1, 8) == [(frames.END, 0, 0)]


def test_fetch_keeps_order_and_window():
    _, _, link = _parts(6)
    records = [(frames.RECORD, seq) for seq in range(1, 7)]
    end = [(frames.END, 1, 6)]
    assert _fetch(link, 1, 8) == records + end
    assert _fetch(link, 1, 2) == records[:2] + end
    assert _fetch(link, 6, 8) == records[5:] + end
    assert _fetch(link, 7, 8) == end
    assert _fetch(link, 1 << 63, 8) == end
    for wrong in (struct.pack(">QB", 0, 1), struct.pack(">QB", 1, 0), struct.pack(">QB", 1, 9)):
        assert _ask(link, frames.FETCH, wrong) == [(frames.REFUSED, bytes((frames.REFUSE_BODY, 1, 1)), 3)]


def test_a_record_carries_the_journals_seq_hash_and_envelope():
    _, model, link = _parts(2)
    (record, end) = _ask(link, frames.FETCH, struct.pack(">QB", 2, 1), 1000, 7)
    journal = link._journal
    buf = bytearray(2000)
    count = journal.read(2, buf)
    assert record[2] == 40 + count
    assert record[1] == struct.pack(">Q", 2) + journal.read_hash + bytes(buf[:20])
    assert end[0] == frames.END


def test_what_is_gone_is_missing_before_the_first_record_only():
    flash, model, link = _parts(12)
    journal = link._journal
    model.release(journal, 12)
    while model.head < 20:
        model.append(journal)
        model.release(journal, model.head)
    oldest = journal.oldest_seq
    assert oldest > 1
    found = _fetch(link, 1, 2)
    assert found[0] == (frames.MISSING, 1, oldest - 1)
    assert found[1:] == [(frames.RECORD, oldest), (frames.RECORD, oldest + 1), (frames.END, oldest, 20)]


def test_damage_is_missing_by_its_span():
    flash, model, link = _parts(4)
    for offset in range(256 + 60, 256 + 60 + 8000, 256):  # a bit in every unit of the first segment
        flash.rot(offset, 3)
    link._journal.mount()
    first = link._journal.oldest_seq
    assert 1 < first <= 4 or first == 0
    last = first - 1 if first else 4
    found = _fetch(link, 1, 8)
    assert found[0] == (frames.MISSING, 1, last)
    assert [entry[1] for entry in found[1:-1]] == list(range(last + 1, 5))
    assert _fetch(link, 2, 8)[0] == (frames.MISSING, 2, last)


def test_damage_behind_a_record_ends_the_answer():
    flash, _, link = _parts(5)
    flash.rot(256 + 2048 + 100, 0)  # inside the second entry (300 and 1,900 bytes: units 1..9, 10..)
    found = _fetch(link, 1, 8)
    damaged = found[-2][1] + 1
    assert found[-1][0] == frames.END and 1 < damaged < 5
    again = _fetch(link, damaged, 8)
    assert again[0] == (frames.MISSING, damaged, damaged)
    assert again[1] == (frames.RECORD, damaged + 1)


def test_acknowledgements_are_answered_by_the_journal():
    _, model, link = _parts(3)
    journal = link._journal
    journal.seek(2)
    own = bytes(journal._ring.content_hash)

    def answer(seq, content_hash):
        ((type_, body, _),) = _ask(link, frames.ACKNOWLEDGE, struct.pack(">Q", seq) + content_hash)
        assert type_ == frames.RELEASED
        return struct.unpack(">BQQ", body)

    assert answer(9, own) == (frames.RELEASE_UNKNOWN_SEQ, 1, 3)
    assert answer(2, bytes(32)) == (frames.RELEASE_WRONG_HASH, 1, 3)
    assert answer(2, own) == (frames.RELEASE_DONE, 1, 3)
    assert answer(2, own) == (frames.RELEASE_DONE, 1, 3)


def test_time_goes_through():
    _, _, link = _parts()
    assert _ask(link, frames.TIME_ASK, b"", 50) == [(frames.TIME_NONCE, b"nonce--8", 8)]
    body = b"nonce--8" + struct.pack(">QI", 1796083200000, 7)
    line = _line(frames.TIME_SET, body)
    link.feed(line, len(line), 77)
    assert link._time.calls == [("ask", 50), ("set", b"nonce--8", 1796083200000, 7, 77)]  # at its arrival
    assert _sent(link) == [(frames.TIME_TAKEN, struct.pack(">BI", fields.SYNC_SLEWED, 0xFFFFFFFF), 5)]


def test_busy_answers_everything_but_the_version():
    _, _, link = _parts(1)
    link.busy_ms = 70000
    assert _ask(link, frames.FETCH, struct.pack(">QB", 1, 8)) == [(frames.BUSY, b"\xff\xff", 2)]
    assert _ask(link, frames.TIME_SET, bytes(20)) == [(frames.BUSY, b"\xff\xff", 2)]
    assert link._time.calls == []
    link.busy_ms = 0
    assert _fetch(link, 1, 8)[0] == (frames.RECORD, 1)


def test_bodies_of_the_wrong_size_are_refused():
    _, _, link = _parts(1)
    for type_, size in ((frames.HELLO, 2), (frames.FETCH, 9), (frames.ACKNOWLEDGE, 40), (frames.TIME_ASK, 0)):
        for wrong in (size - 1, size + 1):
            if wrong >= 0:
                refused = _ask(link, type_, bytes(wrong))
                assert refused == [(frames.REFUSED, bytes((frames.REFUSE_BODY, 1, 1)), 3)]
    assert link._time.calls == []


def test_other_modules_questions_and_all_answers_are_passed_over():
    _, _, link = _parts(1)
    for line in (_line(frames.HELLO, b"\x01\x01", 8), _line(frames.END, bytes(16)), _line(frames.BUSY, b"\x00\x01")):
        link.feed(line, len(line), 0)
        assert not link.poll()
    assert link.foreign_count == 3
    echo = bytes(link.buf[:20])
    link.feed(echo, len(echo), 0)
    assert not link.poll()


def test_a_new_question_replaces_an_unfinished_answer():
    _, _, link = _parts(6)
    fetch, hello = _line(frames.FETCH, struct.pack(">QB", 1, 8)), _line(frames.HELLO, b"\x01\x01")
    link.feed(fetch, len(fetch), 0)
    assert link.poll()
    link.feed(hello, len(hello), 0)  # nothing of the record has gone out
    assert [entry[0] for entry in _sent(link)] == [frames.WELCOME]
    link.feed(fetch, len(fetch), 0)
    assert link.poll()
    link.sent(5)
    link.feed(hello, len(hello), 0)  # the record has begun: it is finished, then the new answer comes
    rest = link.end - link.start
    assert rest > 100
    link.sent(rest)
    assert [entry[0] for entry in _sent(link)] == [frames.WELCOME]


def test_an_unfinished_question_is_forgotten_after_two_seconds():
    _, _, link = _parts(1)
    line = _line(frames.HELLO, b"\x01\x01")
    for pause_ms, answers in ((1999, 1), (2000, 0)):
        link.feed(line, 5, 100)
        link.feed(line[5:], len(line) - 5, 100 + pause_ms)
        assert len(_sent(link)) == answers, pause_ms
    assert link.reader.unfinished_count == 1


def test_an_idle_link_does_nothing_and_allocates_nothing():
    _, _, link = _parts(1)
    buf = bytearray(8)
    assert not link.poll()
    try:
        from gc import mem_alloc
    except ImportError:
        return
    import gc

    gc.collect()
    gc.disable()
    before = mem_alloc()
    link.feed(buf, 0, 5)
    link.poll()
    after = mem_alloc()
    gc.enable()
    assert after == before


def test_the_journal_may_be_mounted_again_below_the_link():
    flash, model, link = _parts(3)
    assert _fetch(link, 1, 8)[-1] == (frames.END, 1, 3)
    link._journal = mounted(flash)
    assert _fetch(link, 3, 8) == [(frames.RECORD, 3), (frames.END, 1, 3)]
