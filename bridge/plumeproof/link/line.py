"""Moves questions and answers over a byte stream: deadlines, BUSY, and nothing else.

A question that gets no complete answer raises LinkTimeout; the caller decides whether to start again. Records that
arrived in order before a frame was lost are returned all the same: FETCH goes on behind them (SPEC.md section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from acqwire import frames

from plumeproof.errors import LinkError, LinkTimeout
from plumeproof.link.session import (
    Answer,
    Busy,
    End,
    Faults,
    Missing,
    RecordFrame,
    Refused,
    Released,
    Session,
    TimeNonce,
    TimeTaken,
    UpdateState,
    Welcome,
)
from plumeproof.model import Frame
from plumeproof.ports import ByteStream, Clock

ANSWER_TIMEOUT_S = 1.5  # silence after which a question is given up: longest flash erase plus one frame at 9,600 baud
BUSY_MAX_COUNT = 20  # BUSY answers to one question before the session is dropped
READ_BYTES = 4096  # asked of the stream at a time
ANSWERS_MAX = 2 * (frames.WINDOW_MAX + 1)  # to one question; the most is a MISSING, a window of RECORDs and END

_A = TypeVar("_A")


class Codec(Protocol):
    """Frames to bytes and back (evidence.framing)."""

    def encode(self, frame: Frame) -> bytes:
        """One frame ready for the line."""

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Good frames completed by these bytes; noise is counted there."""

    def reset(self) -> None:
        """Forget an unfinished frame."""


class Line:
    """The link to one module over one stream."""

    def __init__(self, stream: ByteStream, codec: Codec, session: Session, clock: Clock) -> None:
        self._stream = stream
        self._codec = codec
        self._session = session
        self._clock = clock

    def hello(self) -> Welcome:
        """Raises LinkTimeout, LinkVersionError."""
        return self._only(self._exchange(self._session.hello), Welcome)

    def fetch(self, from_seq: int, window: int) -> tuple[Sequence[RecordFrame | Missing], End | None]:
        """Records and declared losses in order from `from_seq`; End is None when the answer broke off."""
        answers: list[Answer] = []
        try:
            self._exchange(lambda: self._session.fetch(from_seq, window), answers)
        except LinkTimeout:
            if not answers:
                raise
        ordered: list[RecordFrame | Missing] = []
        expected = from_seq
        for answer in answers:
            if isinstance(answer, Missing) and answer.first_seq == expected:
                expected = answer.last_seq + 1
            elif isinstance(answer, RecordFrame) and answer.seq == expected:
                expected += 1
            else:
                break  # a frame in between was lost: ask again from here
            ordered.append(answer)
        end = answers[-1] if answers else None
        return ordered, end if isinstance(end, End) else None

    def acknowledge(self, seq: int, content_hash: bytes) -> Released:
        """Only after a synced commit. Raises LinkTimeout; acknowledging again is harmless."""
        return self._only(self._exchange(lambda: self._session.acknowledge(seq, content_hash)), Released)

    def synchronise(self, uncertainty_ms: int) -> TimeTaken:
        """Give the module our time; it measures the round trip itself."""
        nonce = self._only(self._exchange(self._session.time_ask), TimeNonce).nonce
        return self._only(
            self._exchange(lambda: self._session.time_set(nonce, self._clock.utc_ms(), uncertainty_ms)), TimeTaken
        )

    def update_ask(self) -> UpdateState:
        """Raises LinkTimeout; LinkError where the module knows no updates."""
        return self._only(self._exchange(self._session.update_ask), UpdateState)

    def update_begin(self, roots_bytes: int, manifest_bytes: int, total_bytes: int) -> UpdateState:
        """Raises LinkTimeout; beginning again is harmless."""
        return self._only(
            self._exchange(lambda: self._session.update_begin(roots_bytes, manifest_bytes, total_bytes)), UpdateState
        )

    def update_data(self, offset: int, piece: bytes) -> UpdateState:
        """Raises LinkTimeout; a piece sent again is harmless."""
        return self._only(self._exchange(lambda: self._session.update_data(offset, piece)), UpdateState)

    def update_end(self, manifest_hash: bytes) -> UpdateState:
        """Raises LinkTimeout; asking again is harmless."""
        return self._only(self._exchange(lambda: self._session.update_end(manifest_hash)), UpdateState)

    def faults_ask(self) -> Faults:
        """Raises LinkTimeout; LinkError where the module keeps no faults."""
        return self._only(self._exchange(self._session.faults_ask), Faults)

    def _exchange(self, question: Callable[[], Frame], answers: list[Answer] | None = None) -> list[Answer]:
        answers = [] if answers is None else answers
        for _ in range(BUSY_MAX_COUNT):
            self._codec.reset()
            self._stream.write(bytes((frames.DELIMITER,)) + self._codec.encode(question()))
            busy = self._listen(answers)
            if busy is None:
                return answers
            self.rest(busy.wait_ms / 1000)
        raise LinkTimeout(f"module at address {self._session.address} stays busy")

    def _listen(self, answers: list[Answer]) -> Busy | None:
        """Collect answers until the closing one; Busy when the question was put off."""
        deadline = self._clock.monotonic_s() + ANSWER_TIMEOUT_S
        while (left_s := deadline - self._clock.monotonic_s()) > 0:
            data = self._stream.read(READ_BYTES, left_s)
            if not data:
                continue
            for frame in self._codec.feed(data):
                accepted = self._session.accept(frame)
                if accepted is None:
                    continue
                answer, is_closed = accepted
                if isinstance(answer, Busy):
                    return answer
                if isinstance(answer, Refused):
                    raise LinkError(f"module refused the question: reason {answer.reason}")
                if len(answers) == ANSWERS_MAX:
                    raise LinkError(f"module at address {self._session.address} does not end its answer")
                answers.append(answer)
                # Only a good frame extends the time, so that babble on the line cannot hold us.
                deadline = self._clock.monotonic_s() + ANSWER_TIMEOUT_S
                if is_closed:
                    return None
        raise LinkTimeout(f"no answer from the module at address {self._session.address} within {ANSWER_TIMEOUT_S} s")

    def rest(self, duration_s: float) -> None:
        """Wait on the line itself (BUSY), dropping what arrives."""
        deadline = self._clock.monotonic_s() + duration_s
        while (left_s := deadline - self._clock.monotonic_s()) > 0:
            self._stream.read(READ_BYTES, left_s)

    @staticmethod
    def _only(answers: list[Answer], kind: type[_A]) -> _A:
        if len(answers) == 1 and isinstance(answers[0], kind):
            return answers[0]
        raise LinkError(f"unexpected answer {answers!r}"[:200])
