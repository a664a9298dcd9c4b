"""The gateway's half of the link: typed answers, foreign frames, deadlines, BUSY and broken FETCH answers."""

from __future__ import annotations

import struct
from collections import deque

import pytest
from acqwire import frames, limits

from plumeproof.errors import LinkError, LinkTimeout, LinkVersionError
from plumeproof.link.line import Line
from plumeproof.link.session import Busy, End, Missing, RecordFrame, Session, TimeTaken
from plumeproof.model import Frame


class PlainCodec:
    """Frames as objects in a list; does not imitate COBS, CRC or noise (evidence.framing has those)."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.arriving: deque[list[Frame]] = deque()

    def encode(self, frame: Frame) -> bytes:
        self.sent.append(frame)
        return b"frame"

    def feed(self, data: bytes) -> list[Frame]:
        return self.arriving.popleft()

    def reset(self) -> None:
        pass


class SteppedTime:
    """A clock that moves when the stream waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def utc_ms(self) -> int:
        return 1_800_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s


class ScriptedModule:
    """ByteStream and module in one: `answers` maps each question, in order, to lists of frames to give back."""

    def __init__(self, codec: PlainCodec, clock: SteppedTime, answers) -> None:
        self.codec, self.clock, self.answers = codec, clock, deque(answers)

    def write(self, data: bytes) -> None:
        question = self.codec.sent[-1]
        for chunk in self.answers.popleft() if self.answers else []:
            self.codec.arriving.append([answer(question, *part) for part in chunk])

    def read(self, limit: int, timeout_s: float) -> bytes:
        if self.codec.arriving:
            self.clock.now_s += 0.001
            return b"bytes"
        self.clock.now_s += timeout_s
        return b""

    def close(self) -> None:
        pass


def answer(question: Frame, kind: int, body: bytes, shift: int = 0) -> Frame:
    return Frame(kind, question.address, (question.number + shift) % 256, body)


def record(seq: int) -> tuple[int, bytes]:
    return frames.RECORD, struct.pack(">Q32s", seq, bytes([seq] * 32)) + b"envelope"


def end(oldest: int, newest: int) -> tuple[int, bytes]:
    return frames.END, struct.pack(">QQ", oldest, newest)


def line_with(answers) -> tuple[Line, Session, SteppedTime]:
    codec, clock, session = PlainCodec(), SteppedTime(), Session(1)
    return Line(ScriptedModule(codec, clock, answers), codec, session, clock), session, clock


def test_fetch_returns_records_in_order():
    line, _, _ = line_with([[[record(5), record(6)], [record(7), end(1, 9)]]])
    got, closing = line.fetch(5, 8)
    assert [item.seq for item in got if isinstance(item, RecordFrame)] == [5, 6, 7]
    assert closing == End(1, 9)


def test_a_lost_frame_ends_the_run_and_makes_no_hole():
    line, _, _ = line_with([[[record(5), record(7), end(1, 9)]]])
    got, _ = line.fetch(5, 8)
    assert [item.seq for item in got if isinstance(item, RecordFrame)] == [5]


def test_only_missing_declares_a_hole():
    missing = (frames.MISSING, struct.pack(">QQ", 5, 6))
    line, _, _ = line_with([[[missing, record(7), end(7, 9)]]])
    got, _ = line.fetch(5, 8)
    assert got == [Missing(5, 6), RecordFrame(7, bytes([7] * 32), b"envelope")]


def test_records_before_a_broken_answer_are_kept():
    line, _, clock = line_with([[[record(5)]]])
    got, closing = line.fetch(5, 8)
    assert [item.seq for item in got if isinstance(item, RecordFrame)] == [5]
    assert closing is None
    assert clock.now_s > 1


def test_silence_is_a_timeout_and_late_answers_are_foreign():
    line, session, _ = line_with([[], [[(*end(1, 2), -1), end(1, 3)]]])
    with pytest.raises(LinkTimeout):
        line.fetch(1, 1)
    _, closing = line.fetch(1, 1)
    assert closing == End(1, 3)
    assert session.foreign_count == 1


def test_babble_does_not_hold_the_line_for_ever():
    foreign = [[(*end(1, 2), 3)]] * 100_000
    line, session, clock = line_with([foreign])
    with pytest.raises(LinkTimeout):
        line.fetch(1, 1)
    assert clock.now_s < 2
    assert session.foreign_count > 100


@pytest.mark.parametrize("same", [record(5), (frames.MISSING, struct.pack(">QQ", 5, 6))])
def test_an_answer_without_an_end_is_given_up(same):
    flood = [[same]] * 10_000
    line, _, clock = line_with([flood])
    with pytest.raises(LinkError, match="does not end its answer"):
        line.fetch(5, 8)
    assert clock.now_s < 1


@pytest.mark.parametrize("seq", [0, 2**63, 2**64 - 1])
def test_a_seq_that_no_record_has_is_malformed(seq):
    session = Session(1)
    for kind, body in ((frames.RECORD, struct.pack(">Q32s", seq, bytes(32)) + b"x"),
                       (frames.MISSING, struct.pack(">QQ", min(seq, 1), seq))):  # fmt: skip
        assert session.accept(answer(session.fetch(1, 1), kind, body)) is None
    assert session.malformed_count == 2


def test_busy_is_waited_out_and_the_question_repeated():
    line, _, clock = line_with(
        [[[(frames.BUSY, struct.pack(">H", 700))]], [[(frames.TIME_NONCE, b"n" * 8)]],
         [[(frames.TIME_TAKEN, struct.pack(">BI", 1, 12))]]]
    )  # fmt: skip
    assert line.synchronise(50) == TimeTaken(1, 12)
    assert clock.now_s >= 0.7


def test_a_module_that_stays_busy_is_given_up():
    line, _, _ = line_with([[[(frames.BUSY, struct.pack(">H", 10))]]] * 50)
    with pytest.raises(LinkTimeout, match="busy"):
        line.fetch(1, 1)


def test_refused_version_names_both_sides():
    line, _, _ = line_with([[[(frames.REFUSED, bytes((frames.REFUSE_VERSION, 7, 9)))]]])
    with pytest.raises(LinkVersionError, match="7 to 9"):
        line.hello()


@pytest.mark.parametrize("device", [b"", b"x" * (limits.DEVICE_MAX_BYTES + 1), b"Plume", b"a\x00b", b"\xff"])
def test_welcome_with_an_impossible_device_is_malformed(device):
    session = Session(1)
    question = session.hello()
    body = struct.pack(">BIQQ32s16s", 1, 1, 0, 0, bytes(32), bytes(16)) + device
    assert session.accept(answer(question, frames.WELCOME, body)) is None
    assert session.malformed_count == 1


@pytest.mark.parametrize(
    "kind", [frames.WELCOME, frames.RECORD, frames.END, frames.MISSING, frames.RELEASED, frames.TIME_NONCE,
             frames.TIME_TAKEN, frames.BUSY, frames.REFUSED]
)  # fmt: skip
def test_every_body_of_a_wrong_size_is_dropped(kind):
    for size in (0, 1, 7, 1000, 100_000):
        session = Session(1)
        for name, arguments in (("hello", ()), ("fetch", (1, 1)), ("acknowledge", (1, bytes(32))), ("time_ask", ()),
                                ("time_set", (bytes(8), 1, 1))):  # fmt: skip
            question = getattr(session, name)(*arguments)
            accepted = session.accept(answer(question, kind, b"\xff" * size))
            assert accepted is None or (kind == frames.RECORD and size == 1000)


def test_busy_answer_is_typed():
    session = Session(3)
    question = session.fetch(1, 1)
    assert session.accept(answer(question, frames.BUSY, struct.pack(">H", 9))) == (Busy(9), True)
