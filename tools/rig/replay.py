"""A capture played again, to the real parts on the other side of its line.

UplinkReplay is the module to the bridge: it says what the module said, as long as the bridge asks what it asked then.
BusReplay is the analyzers to a module: to each request it says, in order, what was said to it then, with the pauses in
between; after the last one it begins again. Times of the uplink are the capture's, those of the bus are real.
"""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from acqwire import frames

from plumeproof.evidence.framing import FrameCodec
from plumeproof.model import Frame
from tools.plant import adu
from tools.rig.capture import Capture, Piece

PAUSE_MAX_S = 0.3  # a pause of the recorded day that is longer is cut to this: it was a time-out, and is one still
TAIL_BYTES = 8  # of TIME_SET: nonce, UTC, uncertainty; UTC is the day's


class ReplayError(Exception):
    """The bridge asks something else than it did when this was recorded; one line: which piece, what, what then."""


def impatient() -> Callable[[], float]:
    """A clock for pipeline.Ingest under which every FETCH is a group of its own, at the recording and at its replay."""
    return count(0.0, 1.0).__next__


class UplinkReplay:
    """ports.ByteStream and ports.Clock. `next_question`: type of the frame that the bridge sent next, None at the end;
    chop(bytes) -> pieces: how the module's bytes are cut for reading."""

    def __init__(self, capture: Capture, chop: Callable[[bytes], list[bytes]] = lambda raw: [raw]) -> None:
        assert capture.kind == "uplink"
        self._pieces = capture.pieces
        self._at = 0
        self._chop = chop
        self._waiting: list[bytes] = []
        self._now_s = 0.0
        self._utc_ms = 0

    @property
    def next_question(self) -> int | None:
        for number in range(self._at, len(self._pieces)):
            if self._pieces[number].sender == "gateway":
                return _question(self._pieces[number].raw).type
        return None

    def read(self, limit: int, timeout_s: float) -> bytes:
        """What the module said next; silence where the gateway spoke next, which takes all of the time."""
        if not self._waiting and self._at < len(self._pieces) and self._pieces[self._at].sender == "module":
            piece = self._take()
            self._waiting = [part for part in self._chop(piece.raw) if part]
        if not self._waiting:
            self._now_s += timeout_s
            return b""
        first = self._waiting.pop(0)
        if len(first) > limit:
            self._waiting.insert(0, first[limit:])
        return first[:limit]

    def write(self, data: bytes) -> None:
        """Raises ReplayError when it is not what was asked then."""
        self._waiting.clear()
        while self._at < len(self._pieces) and self._pieces[self._at].sender == "module":
            self._take()  # what came late and nobody waited for
        if self._at == len(self._pieces):
            raise ReplayError("the bridge asks on where the capture ends")
        number = self._at
        asked, then = _question(data), _question(self._take().raw)
        if _without_time(asked) != _without_time(then):
            raise ReplayError(
                f"piece {number}: the bridge asks {asked.type:#x}, then it was {then.type:#x} or otherwise"
            )

    def close(self) -> None:
        """Nothing is held."""

    def monotonic_s(self) -> float:
        return self._now_s

    def utc_ms(self) -> int:
        return self._utc_ms

    def _take(self) -> Piece:
        piece = self._pieces[self._at]
        self._at += 1
        self._now_s = max(self._now_s, piece.t_us / 1e6)
        return piece


def _question(raw: bytes) -> Frame:
    found = FrameCodec().feed(raw)
    if len(found) != 1:
        raise ReplayError(f"{len(found)} frames in one question")
    return found[0]


def _without_time(frame: Frame) -> Frame:
    if frame.type != frames.TIME_SET:
        return frame
    at = frames.NONCE_BYTES
    return Frame(frame.type, frame.address, frame.number, frame.body[:at] + frame.body[at + TAIL_BYTES :])


@dataclass(frozen=True, slots=True)
class Answer:
    """What came to one request: (seconds since the request or the piece before, bytes); nothing: silence."""

    pieces: tuple[tuple[float, bytes], ...]

    @property
    def registers(self) -> bytes | None:
        """Of a good answer that came alone; None for anything else."""
        raw = b"".join(piece for _, piece in self.pieces)
        whole = adu.take_answer(bytearray(raw))
        if whole != raw or raw[1] & adu.EXCEPTION_FLAG or adu.close_frame(raw[:-2]) != raw:
            return None
        return raw[3:-2]


@dataclass
class _Asked:
    request: bytes
    t_us: int
    pieces: list[Piece] = field(default_factory=list)


def answers_of(capture: Capture) -> dict[bytes, list[Answer]]:
    """{request: its answers in order}. What came behind the next request belongs to that one, as the module saw it."""
    assert capture.kind == "bus"
    heard = bytearray()
    asked: list[_Asked] = []
    for piece in capture.pieces:
        if piece.sender == "analyzers":
            if asked:
                asked[-1].pieces.append(piece)
            continue
        heard += piece.raw
        while (request := adu.take_request(heard)[1]) is not None:
            asked.append(_Asked(request, piece.t_us))
    found = defaultdict(list)
    for one in asked[:-1]:  # of the last one nobody knows whether its answer is whole
        times = [one.t_us, *(piece.t_us for piece in one.pieces)]
        pauses = [(later - sooner) / 1e6 for sooner, later in zip(times, times[1:], strict=False)]
        found[one.request].append(
            Answer(tuple((min(s, PAUSE_MAX_S), piece.raw) for s, piece in zip(pauses, one.pieces, strict=True)))
        )
    return dict(found)


class BusReplay(threading.Thread):
    """The analyzers of a capture on a pty found at `link`. `given`: {request: how many answers}; `unknown`: requests
    that the capture has not, which get none."""

    def __init__(self, capture: Capture, link: Path) -> None:
        super().__init__(name="bus replay", daemon=True)
        self._answers = answers_of(capture)
        self.given: dict[bytes, int] = dict.fromkeys(self._answers, 0)
        self.unknown: list[bytes] = []
        self._fd, self._far_fd = os.openpty()
        tty.setraw(self._far_fd)
        link.symlink_to(os.ttyname(self._far_fd))
        self._stop_fd, self._stopping_fd = os.pipe()

    def run(self) -> None:
        heard = bytearray()
        while True:
            ready, _, _ = select.select([self._fd, self._stop_fd], [], [])
            if self._stop_fd in ready:
                return
            heard += os.read(self._fd, 4096)
            while (request := adu.take_request(heard)[1]) is not None:
                self._answer(request)

    def stop(self) -> None:
        """Take the line away."""
        os.close(self._stopping_fd)
        self.join()
        for fd in (self._stop_fd, self._fd, self._far_fd):
            os.close(fd)

    def _answer(self, request: bytes) -> None:
        answers = self._answers.get(request)
        if answers is None:
            self.unknown.append(request)
            return
        number = self.given[request]
        self.given[request] += 1
        for pause_s, raw in answers[number % len(answers)].pieces:
            time.sleep(pause_s)
            os.write(self._fd, raw)
