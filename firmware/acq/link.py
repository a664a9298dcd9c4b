"""The module's half of the link (SPEC.md section 2.2), without I/O: bytes in, frames out, no session kept.

The app moves the bytes and needs nothing else:

    count = stream.read(buf); link.feed(buf, count, now_ms)
    while link.poll():
        taken = stream.write(link.buf, link.start, link.end)
        if not taken: break
        link.sent(taken)

An answer of many records is made frame by frame, as the line takes them, from the journal into one transmit buffer.
"""

import struct

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST, frames, limits

from acq.framing import FrameReader

_ACKNOWLEDGE_FORMAT = ">Q32s"
_FETCH_FORMAT = ">QB"
_TIME_SET_FORMAT = ">8sQI"
_RECORD_HEAD_BYTES = 8 + limits.HASH_BYTES
_BODY_BYTES = (
    (frames.HELLO, 2),
    (frames.FETCH, 9),
    (frames.ACKNOWLEDGE, _RECORD_HEAD_BYTES),
    (frames.TIME_ASK, 0),
    (frames.TIME_SET, frames.NONCE_BYTES + 12),
    (frames.FAULTS_ASK, 0),
)  # size of each question's body
_UPDATE_QUESTIONS = (frames.UPDATE_ASK, frames.UPDATE_BEGIN, frames.UPDATE_DATA, frames.UPDATE_END)
_UPDATE_FRAME_BYTES = frames.HEADER_BYTES + 4 + frames.UPDATE_PIECE_BYTES + frames.CRC_BYTES
_QUESTION_MAX_BYTES = 64  # no question is longer: what is, belongs to somebody else
_BUSY_MAX_MS = 0xFFFF
_NO_HASH = bytes(limits.HASH_BYTES)


class Link:
    """Answers one question at a time; a new question replaces an answer that is not finished.

    `busy_ms`: while it is not 0 every question is answered BUSY with it (set by the app around long flash work).
    `buf`, `start`, `end`: what waits to be sent. `reader`: its counters. `foreign_count`: good frames for other modules
    or other modules' answers. `acknowledged_seq`: newest that the gateway has acknowledged since this start. `updates`:
    update_door.UpdateDoor, None where the board has no place for a second program. `faults()`: the body of FAULTS,
    None where the board keeps none. `damage_first_seq`, `damage_last_seq`: a span found unreadable, until the app has
    set both to 0. RAM: one transmit buffer of 4,629 bytes, one receive buffer of 64, of 524 from the first update on.
    """

    def __init__(self, address: int, device: str, kid: bytes, boot: int, journal, time, writer) -> None:
        """boot: number of the running boot. writer: framing.FrameWriter. time: `ask(now_ms) -> nonce (8 bytes)` and
        `set(nonce, utc_ms, unc_ms, now_ms) -> (decision, round_trip_ms)`."""
        self.address = address
        self.busy_ms = 0
        self.foreign_count = 0
        self.acknowledged_seq = 0
        self.updates = None
        self.faults = None
        self.reader = FrameReader(_QUESTION_MAX_BYTES)
        self._journal = journal
        self._time = time
        self.identity = kid + device.encode()  # as WELCOME ends
        self._boot = boot
        self._writer = writer
        self.buf = self._writer.buf
        self._body = self._writer.body
        self._envelope = self._body[_RECORD_HEAD_BYTES:]
        self.start = self.end = 0
        self.damage_first_seq = self.damage_last_seq = 0
        self._damage_noted_seq = 0
        self._is_untouched = False  # nothing of the waiting frame has gone out
        self._question = 0  # type of the question being answered
        self._number = 0
        self._refusal = -1  # REFUSE_* instead of the answer; 0: BUSY
        self._wait_ms = 0  # of an update's own BUSY
        self._is_first = False
        self._asked = ()  # fields of the question's body
        self._taken = ()  # what became of a TIME_SET
        self._left = 0  # records still to be sent in answer to FETCH
        self._next_seq = 0
        self._is_missing_allowed = False  # MISSING comes only before the first record
        self._partial_ms = 0
        self._now_ms = 0

    def feed(self, buf, count: int, now_ms: int) -> None:
        """Take buf[:count] as it came from the line; now_ms: monotonic time, also the arrival of a question in it."""
        if count == 0:
            return
        reader = self.reader
        if reader.has_partial and now_ms - self._partial_ms >= frames.PARTIAL_MAX_MS:
            reader.reset()
        had_partial = reader.has_partial
        start = 0
        while start < count:
            start = reader.feed(buf, start, count)
            if reader.is_whole:
                had_partial = False
                self._take(now_ms)
        if reader.has_partial and not had_partial:
            self._partial_ms = now_ms

    def poll(self) -> bool:
        """Prepare the next frame of the open answer; True when buf[start:end] waits to be sent. Raises nothing."""
        if self.start < self.end:
            return True
        if self._question == 0:
            return False
        self._answer()
        self._is_untouched = True
        self._is_first = False
        self.start, self.end = self._writer.start, self._writer.end
        return True

    @property
    def is_quiet(self) -> bool:
        """Nothing to send, nothing half received."""
        return self.start == self.end and self._question == 0 and not self.reader.has_partial

    def sent(self, count: int) -> None:
        """The line has taken `count` bytes of buf[start:end]."""
        self.start += count
        self._is_untouched = False

    def _take(self, now_ms: int) -> None:
        reader = self.reader
        question = reader.type
        size = -1
        for pair in _BODY_BYTES:
            if pair[0] == question:
                size = pair[1]
        if question in _UPDATE_QUESTIONS:
            size = reader.body_count  # judged below
        if reader.address != self.address or size < 0:
            self.foreign_count += 1
            return
        if self._is_untouched:  # the gateway has given up what this frame answered; one that has begun is finished
            self.start = self.end = 0
        self._question, self._number = question, reader.number
        self._is_first = True
        self._refusal = -1
        self._wait_ms = 0
        self._now_ms = now_ms
        body = reader.body
        if reader.body_count != size:
            self._refusal = frames.REFUSE_BODY
        elif question == frames.HELLO:
            if not body[0] <= WIRE_VERSION <= body[1]:
                self._refusal = frames.REFUSE_VERSION
        elif self.busy_ms:
            self._refusal = 0
        elif question in _UPDATE_QUESTIONS:
            self._take_update(question, now_ms)
        elif question == frames.FETCH:
            self._next_seq, self._left = struct.unpack_from(_FETCH_FORMAT, body)
            self._is_missing_allowed = True
            if self._next_seq == 0 or not 0 < self._left <= frames.WINDOW_MAX:
                self._refusal = frames.REFUSE_BODY
        elif question == frames.ACKNOWLEDGE:
            self._asked = struct.unpack_from(_ACKNOWLEDGE_FORMAT, body)
        elif question == frames.TIME_SET:
            nonce, utc_ms, unc_ms = struct.unpack_from(_TIME_SET_FORMAT, body)
            # At once, not when the line is free: the claim ages, and half its age becomes uncertainty
            self._taken = self._time.set(nonce, utc_ms, unc_ms, now_ms)

    def _take_update(self, question: int, now_ms: int) -> None:
        reader, updates = self.reader, self.updates
        if updates is None:
            self._refusal = frames.REFUSE_TYPE
        elif not updates.is_question(question, reader.body_count):
            self._refusal = frames.REFUSE_BODY
        else:
            wait_ms = updates.take(question, reader.body, reader.body_count, now_ms)
            if wait_ms:
                self._refusal, self._wait_ms = 0, wait_ms
            if question == frames.UPDATE_BEGIN:
                reader.widen(_UPDATE_FRAME_BYTES)

    def _answer(self) -> None:
        question, journal, body = self._question, self._journal, self._body
        self._question = 0
        if self._refusal == 0:
            struct.pack_into(">H", body, 0, min(max(self.busy_ms, self._wait_ms, 1), _BUSY_MAX_MS))
            self._finish(frames.BUSY, 2)
        elif self._refusal > 0:
            struct.pack_into("BBB", body, 0, self._refusal, WIRE_VERSION_OLDEST, WIRE_VERSION)
            self._finish(frames.REFUSED, 3)
        elif question == frames.HELLO:
            self._welcome()
        elif question == frames.FETCH:
            self._fetch()
        elif question == frames.ACKNOWLEDGE:
            result = journal.release(self._asked[0], self._asked[1])
            if result == frames.RELEASE_DONE:
                self.acknowledged_seq = max(self.acknowledged_seq, self._asked[0])
            struct.pack_into(">BQQ", body, 0, result, journal.oldest_seq, journal.newest_seq)
            self._finish(frames.RELEASED, 17)
        elif question == frames.TIME_ASK:
            body[: frames.NONCE_BYTES] = self._time.ask(self._now_ms)
            self._finish(frames.TIME_NONCE, frames.NONCE_BYTES)
        elif question in _UPDATE_QUESTIONS:
            self._finish(frames.UPDATE_STATE, self.updates.answer(body))
        elif question == frames.FAULTS_ASK:
            raw = b"" if self.faults is None else self.faults()
            body[: len(raw)] = raw
            self._finish(frames.FAULTS, len(raw))
        else:
            struct.pack_into(">BI", body, 0, self._taken[0], min(self._taken[1], 0xFFFFFFFF))
            self._finish(frames.TIME_TAKEN, 5)

    def _welcome(self) -> None:
        journal, body = self._journal, self._body
        newest_hash = journal.head_hash or _NO_HASH
        struct.pack_into(
            ">BIQQ32s", body, 0, WIRE_VERSION, self._boot, journal.oldest_seq, journal.newest_seq, newest_hash
        )  # fmt: skip
        end = 53 + len(self.identity)
        body[53:end] = self.identity
        self._finish(frames.WELCOME, end)

    def _fetch(self) -> None:
        """The next frame of the answer: MISSING, RECORD or END."""
        journal, body, wanted = self._journal, self._body, self._next_seq
        if self._left and wanted <= journal.newest_seq:
            count = 0
            found = journal.seek(wanted)
            while found and not count:
                count = journal.read(found, self._envelope)
                if not count:  # readable a moment ago and not any more
                    found = journal.seek(found + 1)
            if found == wanted:
                struct.pack_into(">Q32s", body, 0, found, journal.read_hash)
                self._next_seq = found + 1
                self._left -= 1
                self._is_missing_allowed = False
                self._question = frames.FETCH
                self._finish(frames.RECORD, _RECORD_HEAD_BYTES + count)
                return
            if self._is_missing_allowed:
                self._next_seq = found if found else journal.newest_seq + 1
                self._note_damage(wanted, self._next_seq - 1)
                struct.pack_into(">QQ", body, 0, wanted, self._next_seq - 1)
                self._is_missing_allowed = False
                self._question = frames.FETCH
                self._finish(frames.MISSING, 16)
                return
        struct.pack_into(">QQ", body, 0, journal.oldest_seq, journal.newest_seq)
        self._finish(frames.END, 16)

    def _note_damage(self, first: int, last: int) -> None:
        """A span that lies behind the oldest readable record was not erased: it has rotted. The same is noted once."""
        if last >= self._journal.oldest_seq and last > self._damage_noted_seq and not self.damage_last_seq:
            self.damage_first_seq, self.damage_last_seq = first, last
            self._damage_noted_seq = last

    def _finish(self, type_: int, body_count: int) -> None:
        self._writer.finish(self.address, type_, self._number, body_count, self._is_first)
