"""A disturbed line and its analyzers: ports.Bus485 and ports.Clock in simulated time, bit by bit.

Half duplex; a character is a start bit, eight data bits, a stop bit. A bit that is hit within the data is inverted; a
hit start or stop bit costs the character, as a UART drops it. Analyzers take whole frames of their unit with a good CRC
and answer one after the other, within twice the time-out or never, as the client takes for granted. Written for the
campaign only: CRC and frames are tools.plant.adu's.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from tools.plant import adu

TICKS_MASK = (1 << 30) - 1
CHARACTER_BITS = 10
PIECE_BYTES = 16  # a UART hands them over in heaps
TURNAROUND_US = (500, 15_000)  # of an analyzer
SECOND_UNITS_ADDRESSES = (40, 60, 0)  # what the second client reads: other registers of the same length, and ours


@dataclass(frozen=True, slots=True)
class Noise:
    """What disturbs the line, each as a probability unless said otherwise."""

    bit: float = 0.0  # of each bit
    burst: float = 0.0  # of each frame: 2 to 64 bits running of chance
    dropout: float = 0.0  # of each frame: the line is dead for 1 ms to 400 ms
    echo: bool = False  # what we send comes back first
    glitch: float = 0.0  # of each answer, in front and behind: 1 to 4 bytes
    late: float = 0.0  # of each answer: later, up to twice the time-out
    lost: float = 0.0  # of each request: not heard
    second: float = 0.0  # of each silence between two requests: another client asks


REST = Noise()


class SimClock:
    """ports.Clock by hand."""

    def __init__(self) -> None:
        self.now = 0

    def ticks(self) -> int:
        return self.now & TICKS_MASK

    def elapsed(self, later: int, earlier: int) -> int:
        return ((later - earlier & TICKS_MASK) ^ (1 << 29)) - (1 << 29)


def register(unit: int, address: int, slot: int) -> int:
    """What a register holds in a slot: another number nearly everywhere."""
    mixed = (unit * 0x9E3779B1 ^ address * 0x85EBCA6B ^ slot * 0xC2B2AE35) & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    return (mixed ^ mixed >> 13) & 0xFFFF


def content(unit: int, address: int, quantity: int, slot: int) -> bytes:
    """Register bytes of an answer."""
    return b"".join(register(unit, address + index, slot).to_bytes(2, "big") for index in range(quantity))


class NoisyLine:
    """ports.Bus485. `noise` may be changed at any time. `sent_answers`: register bytes that analyzers sent in this
    slot and the one before. `is_strange`: an altered request with a good CRC was answered in them."""

    def __init__(self, clock: SimClock, baud: int, slot_us: int, timeout_us: int, units: set[int], seed: str) -> None:
        self.noise = REST
        self.sent_answers: set[bytes] = set()
        self.is_strange = False
        self._sent_now: set[bytes] = set()
        self._is_strange_now = False
        self.altered = self.foreign = 0  # frames that were altered; requests of the second client
        self._clock = clock
        self._character_us = -(-CHARACTER_BITS * 1_000_000 // baud)
        self._slot_us = slot_us
        self._timeout_us = timeout_us
        self._busy_until = dict.fromkeys(units, 0)
        self._coming: deque[tuple[int, bytes]] = deque()
        self._random = random.Random(seed)
        self._dead_until = 0
        self._second_at: tuple[int, bytes] | None = None  # when its request begins, and which
        self._own = (0, 0)  # when ours was on the line
        self._second_until = 0  # the second client waits for its answer, as everybody does

    # ports.Bus485

    def send(self, buf: bytearray, count: int) -> None:
        raw = bytes(buf[:count])
        clock, drawn, noise = self._clock, self._random, self.noise
        began = clock.now
        clock.now += count * self._character_us
        if noise.echo:
            self._put(clock.now, self._disturb(raw, began))
        heard = b"" if drawn.random() < noise.lost else self._disturb(raw, began)
        self._own = (began, clock.now)
        if self._is_busy(began, clock.now) or self._overlaps():
            heard = self._garble(heard)
        self._speak()
        self._hear(heard, clock.now, raw)
        if drawn.random() < noise.second:
            self._second(clock.now + drawn.randrange(0, self._timeout_us))

    def receive(self, buf: bytearray, start: int) -> int:
        self._speak()
        count = 0
        while self._coming and self._coming[0][0] <= self._clock.now:
            at, piece = self._coming[0]
            room = len(buf) - start - count
            part = piece[:room]
            buf[start + count : start + count + len(part)] = part
            count += len(part)
            if len(part) < len(piece):
                self._coming[0] = (at, piece[len(part) :])
                break
            self._coming.popleft()
        return count

    def drain(self) -> int:
        return self.receive(bytearray(4096), 0)

    def next_us(self) -> int:
        """Until the next bytes arrive; a second when none are on their way."""
        ends = [self._coming[0][0]] if self._coming else []
        if self._second_at is not None:
            ends.append(self._second_at[0] + len(self._second_at[1]) * self._character_us)
        return max(0, min(ends) - self._clock.now) if ends else 1_000_000

    def begin_slot(self) -> None:
        """What is judged slot by slot begins anew; the second client may speak up between two slots."""
        self.sent_answers, self._sent_now = set(self._sent_now), set()
        self.is_strange, self._is_strange_now = self._is_strange_now, False
        if self._random.random() < self.noise.second:
            self._second(self._clock.now + self._random.randrange(0, 5_000))

    # The far side

    def _hear(self, heard: bytes, at: int, sent: bytes) -> None:
        """Every analyzer on the line hears these bytes end at `at`."""
        if len(heard) != adu.REQUEST_BYTES or adu.close_frame(heard[:-2]) != heard:
            return
        unit = heard[0]
        if unit not in self._busy_until or heard[1] != 3:
            return
        if heard != sent:
            self.is_strange = self._is_strange_now = True
        address, quantity = int.from_bytes(heard[2:4], "big"), int.from_bytes(heard[4:6], "big")
        if not 1 <= quantity <= 125:
            return
        drawn, noise = self._random, self.noise
        data = content(unit, address, quantity, at // self._slot_us)
        delay_us = drawn.randint(*TURNAROUND_US)
        if drawn.random() < noise.late:
            delay_us = drawn.randint(self._timeout_us // 2, 2 * self._timeout_us)
        begin = max(at, self._busy_until[unit]) + delay_us
        answer = adu.close_frame(bytes((unit, 3, len(data))) + data)
        if begin + (len(answer) + 8) * self._character_us > at + 2 * self._timeout_us:
            return
        self._busy_until[unit] = begin + len(answer) * self._character_us
        self.sent_answers.add(data)
        self._sent_now.add(data)
        wire = self._disturb(answer, begin)
        if drawn.random() < noise.glitch:
            wire = drawn.randbytes(drawn.randint(1, 4)) + wire
        if drawn.random() < noise.glitch:
            wire += drawn.choice((b"\x00", b"\xff", drawn.randbytes(3)))
        if self._is_busy(begin, self._busy_until[unit], unit):
            wire = self._garble(wire)
        self._put(begin + len(wire) * self._character_us, wire)

    def _second(self, at: int) -> None:
        """Another client asks one of the analyzers for registers of the same length, or for ours."""
        drawn = self._random
        if at < self._second_until:
            return
        self._second_until = at + self._timeout_us
        unit = drawn.choice(sorted(self._busy_until))
        address = drawn.choice(SECOND_UNITS_ADDRESSES)
        raw = adu.close_frame(bytes((unit, 3)) + address.to_bytes(2, "big") + drawn.choice((2, 4)).to_bytes(2, "big"))
        self._second_at = (at, raw)

    def _overlaps(self) -> bool:
        """Whether the second client's request is on the line together with our last one."""
        if self._second_at is None:
            return False
        at, raw = self._second_at
        return at < self._own[1] and at + len(raw) * self._character_us > self._own[0]

    def _speak(self) -> None:
        """The second client's request has passed."""
        if self._second_at is None:
            return
        at, raw = self._second_at
        end = at + len(raw) * self._character_us
        if end > self._clock.now:
            return
        is_hit = self._is_busy(at, end) or self._overlaps()
        self._second_at = None
        self.foreign += 1
        self._put(end, self._garble(raw) if is_hit else raw)
        self._hear(self._garble(raw) if is_hit else raw, end, raw)

    def _is_busy(self, begin: int, end: int, but: int = 0) -> bool:
        """Whether an analyzer (another than `but`) is sending meanwhile."""
        longest_us = 20 * self._character_us
        return any(
            unit != but and begin < until and end > until - longest_us for unit, until in self._busy_until.items()
        )

    def _put(self, end: int, wire: bytes) -> None:
        """Bytes whose last one arrives at `end`, in heaps."""
        pieces = [wire[start : start + PIECE_BYTES] for start in range(0, len(wire), PIECE_BYTES)]
        left = len(wire)
        for piece in pieces:
            left -= len(piece)
            self._coming.append((end - left * self._character_us, piece))
        self._coming = deque(sorted(self._coming, key=lambda entry: entry[0]))

    # What happens to bytes

    def _disturb(self, raw: bytes, begin: int) -> bytes:
        noise, drawn = self.noise, self._random
        hits: set[int] = set()
        count = len(raw) * CHARACTER_BITS
        if noise.bit and drawn.random() < 1 - (1 - noise.bit) ** count:
            hits = {place for place in range(count) if drawn.random() < noise.bit} or {drawn.randrange(count)}
        if drawn.random() < noise.burst:
            start, length = drawn.randrange(count), drawn.randint(2, 64)
            hits |= {place for place in range(start, min(count, start + length)) if drawn.random() < 0.5}
        if drawn.random() < noise.dropout:
            self._dead_until = begin + drawn.randint(1_000, 400_000)
        heard = bytearray()
        for index, byte in enumerate(raw):
            if begin + index * self._character_us < self._dead_until:
                continue
            first = index * CHARACTER_BITS
            if first in hits or first + 9 in hits:
                continue
            mask = sum(1 << bit for bit in range(8) if first + 1 + bit in hits) if hits else 0
            heard.append(byte ^ mask)
        if bytes(heard) != raw:
            self.altered += 1
        return bytes(heard)

    def _garble(self, raw: bytes) -> bytes:
        """Two drive the line at once: nobody can foretell what is heard."""
        self.altered += 1
        return self._random.randbytes(len(raw))
