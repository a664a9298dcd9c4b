"""The analyzer bus as a technician's adapter sees it: one request, everything that is heard after it, and rest.

Written on raw bytes and not on a Modbus library, because a search needs what a library throws away: echo, noise, cut
and double answers (bridge/DESIGN.md). Time on the wire is what the operating system makes of it: behind a USB adapter
bytes come in pieces up to 16 ms late, so the pauses that end an answer are longer than 3.5 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from plumeproof.ports import ByteStream, Clock
from plumeproof.survey.adu import Request, Verdict, is_complete, judge

SILENCE_CHARACTERS = 3.5  # MODBUS over Serial Line V1.02 section 2.5.1.1
SILENCE_FAST_S = 0.00175  # above 19,200 baud
FAST_BAUD = 19_200
ANSWER_PAUSE_S = 0.05  # inside an answer: three latency timers of a USB adapter
SECOND_ANSWER_S = 0.03  # behind a whole answer, for that of another unit
HEARD_MAX_BYTES = 600  # two of the longest frames and an echo; a line that babbles on is cut here
READ_BYTES = 300


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Speed and character format; eight data bits, as RTU has them. `str()` is what people write: 9600 8N1."""

    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}{self.stop_bits}"

    @property
    def character_s(self) -> float:
        """Time of one character: start, eight data, parity and stop bits."""
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """The silent interval between frames."""
        return SILENCE_FAST_S if self.baud > FAST_BAUD else SILENCE_CHARACTERS * self.character_s


class AnalyzerStream(ByteStream, Protocol):
    """ports.ByteStream whose line settings can be changed while it stays open, so that nobody else takes the port."""

    def set_line(self, baud: int, parity: str, stop_bits: int) -> None:
        """Change the settings. Raises ConfigError when the port does not take them, LinkError when it is gone."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came of it. `before`: what was said in the rest that went before, a late answer for instance.

    `first_byte_s`: after the end of the request, echo left out; None: silence.
    """

    request: Request
    verdict: Verdict
    before: bytes
    first_byte_s: float | None


class BusLine:
    """Asks analyzers, one at a time. `rest_s`: silence kept between an answer and the next request, at least 3.5
    characters. Blocks for at most the time-out and the longest answer."""

    def __init__(self, stream: AnalyzerStream, clock: Clock, settings: LineSettings, rest_s: float = 0.02) -> None:
        """Raises as AnalyzerStream.set_line."""
        self._stream = stream
        self._clock = clock
        self._rest_s = rest_s
        self.set_line(settings)

    def set_line(self, settings: LineSettings) -> None:
        """Other settings from now on. Raises as AnalyzerStream.set_line."""
        self._stream.set_line(settings.baud, settings.parity, settings.stop_bits)
        self.settings = settings

    def listen(self, duration_s: float) -> bytes:
        """What is said on the bus while nobody is asked by us."""
        heard = bytearray()
        deadline = self._clock.monotonic_s() + duration_s
        while (left_s := deadline - self._clock.monotonic_s()) > 0:
            heard += self._stream.read(READ_BYTES, left_s)
            del heard[HEARD_MAX_BYTES:]
        return bytes(heard)

    def ask(self, request: Request, timeout_s: float) -> Exchange:
        """One request. Raises LinkError when the port is gone; a bad answer is a verdict."""
        before = self.listen(max(self._rest_s, self.settings.silence_s))
        self._stream.write(request.raw)
        sent_s = self._clock.monotonic_s() + len(request.raw) * self.settings.character_s
        deadline = sent_s + timeout_s
        last_s = deadline + HEARD_MAX_BYTES * self.settings.character_s
        heard = bytearray()
        first_byte_s: float | None = None
        while len(heard) <= HEARD_MAX_BYTES and (left_s := min(deadline, last_s) - self._clock.monotonic_s()) > 0:
            piece = self._stream.read(READ_BYTES, left_s)
            if not piece:
                continue
            heard += piece
            if request.raw.startswith(heard):
                continue  # our own echo: the answer's time is not over
            now_s = self._clock.monotonic_s()
            if first_byte_s is None:
                first_byte_s = max(0.0, now_s - sent_s)
            pause_s = SECOND_ANSWER_S if is_complete(request, bytes(heard)) else ANSWER_PAUSE_S
            deadline = now_s + max(pause_s, 2 * self.settings.silence_s)
        return Exchange(request, judge(request, bytes(heard)), before, first_byte_s)
