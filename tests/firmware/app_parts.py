"""A whole module on doubles, on both interpreters: clock, bus, line and board of a simulated rig, and what reads its
records.

Not imitated: line speed, a UART's buffer, wear, the time that the interpreter itself takes. The signer of this file
signs nothing (test_signer does that); it takes as many slices and as much time as it is told.
"""

import gc
import hashlib
import json
import struct
import sys

from acqwire import causes, fields, frames
from flash_parts import PowerCut, PowerCutFlash
from rig_lines import RigBus, RigClock, RigLine

from acq.app import App
from acq.cose import Sealer
from acq.framing import FrameReader, FrameWriter
from acq.identity import BootFacts
from acq.settings import read_plan

__all__ = ("PowerCut", "Rig", "parameter_set", "payload_of", "read_payload", "slots_of")

ADDRESS = 7
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class SliceSigner:
    """Takes `slices` slices of `slice_us`; the signature is the digest twice."""

    public_key = b"\x04" + bytes(range(64))
    kid = bytes(range(16))

    def __init__(self, clock, slices: int, slice_us: int) -> None:
        self._clock = clock
        self._slices = slices
        self._slice_us = slice_us
        self.signature = b""
        self._left = 0

    def begin(self, digest: bytes) -> None:
        self.signature = digest + digest
        self._left = self._slices

    def step(self) -> bool:
        self._clock.now += self._slice_us
        self._left -= 1
        return self._left <= 0

    def wait_us(self) -> int:
        return 0


class RigStart:
    """What identity.py asks of a board's start."""

    reset_cause = fields.RESET_POWER
    interpreter = "rig"

    def firmware_paths(self):
        return []


class RigEntropy:
    def random(self, count: int) -> bytes:
        return bytes(range(count))


class RigBoard:
    """What App asks of a board."""

    has_light = True

    def __init__(self, parameters: bytes, clock, bus, line, flash) -> None:
        self.parameters = parameters
        self.clock, self.bus, self.uplink, self.flash = clock, bus, line, flash
        self.entropy = RigEntropy()
        self.fault = (0, 0, 0)  # as boards/notes.py: event, fault, count
        self.safe = self.fault_count = 0
        self.good_count = 0
        self.lamp = []  # as it changed
        self.is_draining = False
        self.drained_count = 0
        self.fed = 0

    def read_part(self, name: str, start: int, count: int) -> bytes:
        assert name == "parameters.json"
        return self.parameters[start : start + count]

    def noted_fault(self):
        return self.fault

    def forget_fault(self) -> None:
        if self.fault[0] == causes.EVENT_TASK_FAULT and self.safe:
            self.fault = (causes.EVENT_SAFE_MODE, self.safe, self.fault_count)
        else:
            self.fault = (0, 0, 0)

    def good(self) -> None:
        self.good_count += 1

    def faults(self) -> bytes:
        return bytes(range(9)) * 16

    def flashes(self, count: int) -> None:
        if not self.lamp or self.lamp[-1] != count:
            self.lamp.append(count)

    def collect(self) -> None:
        if _IS_MICROPYTHON:  # under pytest CPython would need 0.1 s for it
            gc.collect()

    def feed(self) -> None:
        self.fed += 1

    def wants_drain(self) -> bool:
        return self.is_draining

    def drained(self) -> None:
        self.drained_count += 1


def parameter_set(slot_ms=1000, seal_ms=3000, units=(1, 2), padding=0) -> bytes:
    """One block of two input registers for each unit; `padding` bytes of what the module does not read."""
    return json.dumps({
        "format": 1, "revision": 1, "device": "mod-1", "slot_ms": slot_ms, "seal_ms": seal_ms,
        "bus": {"baud": 19200, "parity": "N", "stop_bits": 1},
        "analyzers": [{"id": "a", "profile": "p", "profile_version": "1", "unit": unit, "timeout_ms": 100, "retries": 1}
                      for unit in units],
        "blocks": [{"analyzer": index, "function": 4, "address": 0, "quantity": 2} for index in range(len(units))],
        "channels": ["x" * padding], "statuses": [],
    }).encode()  # fmt: skip


class Rig:
    """`flash` outlives the module; `start` is a boot. `records`: (seq, payload map) as the gateway has fetched them."""

    def __init__(self, slot_ms=1000, seal_ms=3000, units=(1, 2), sectors=8, padding=0, slices=3, slice_us=100) -> None:
        self.clock = RigClock()
        self.flash = PowerCutFlash(sectors)
        self.bus = RigBus(self.clock)
        self.line = RigLine()
        self.parameters = parameter_set(slot_ms, seal_ms, units, padding)
        self.signer = SliceSigner(self.clock, slices, slice_us)
        for unit in units:
            self.bus.put(unit, 4, bytes((unit, 1, 2, 3)))
        self.board = RigBoard(self.parameters, self.clock, self.bus, self.line, self.flash)
        self.records = []
        self.head = (0, bytes(32))
        self._asker = FrameWriter()
        self._reader = FrameReader(frames.FRAME_MAX_BYTES)
        self._writer = FrameWriter()
        self._sealer = Sealer(self.signer)
        self.app = None

    def start(self) -> None:
        """A boot: whatever ran is gone."""
        self.app = None
        self.line.arriving = bytearray()
        self.line.sent = bytearray()
        self._sealer = Sealer(self.signer)
        plan = read_plan(self.parameters, b'{"link_address": %d}' % ADDRESS)
        facts = BootFacts(RigStart(), self.signer.public_key)
        self.app = App(self.board, plan, facts, self._writer, self._sealer)

    def run(self, microseconds: int) -> None:
        """Let the module work for so long."""
        clock, bus, step = self.clock, self.bus, self.app.step
        end = clock.now + microseconds
        while clock.now < end:
            wait_us = step()
            left_us = bus.left_us
            if 0 <= left_us < wait_us:
                wait_us = left_us
            clock.now += wait_us if wait_us > 100 else 100

    def ask(self, type_: int, body: bytes = b"", limit_us: int = 3000000, between=None):
        """Frames of the answer: [(type, body)]. With `between`: called in mid-answer, then asked again."""
        self._asker.body[: len(body)] = body
        self._asker.finish(ADDRESS, type_, 1, len(body), True)
        self.line.sent = bytearray()
        self.line.arriving.extend(memoryview(self._asker.buf)[self._asker.start : self._asker.end])
        found = []
        if between is not None:
            self.run(2000)
            between()
            self.line.arriving.extend(memoryview(self._asker.buf)[self._asker.start : self._asker.end])
        end = self.clock.now + limit_us
        while self.clock.now < end:
            self.run(500)
            sent, self.line.sent = self.line.sent, bytearray()
            at = 0
            while at < len(sent):
                at = self._reader.feed(sent, at, len(sent))
                if self._reader.is_whole:
                    found.append((self._reader.type, bytes(self._reader.body[: self._reader.body_count])))
                    if self._reader.type not in (frames.RECORD, frames.MISSING):
                        return found
        raise AssertionError("no answer")

    def fetch(self, window: int = 8) -> int:
        """Take what there is behind the head, checking seq and prev; how many records."""
        count = 0
        for type_, body in self.ask(frames.FETCH, struct.pack(">QB", self.head[0] + 1, window)):
            if type_ != frames.RECORD:
                continue
            seq, content_hash = struct.unpack_from(">Q32s", body)
            payload = payload_of(body[40:])
            record = read_payload(payload)
            assert record[fields.SEQ] == seq == self.head[0] + 1, (seq, self.head[0])
            assert record[fields.PREV] == self.head[1], seq
            self.records.append(record)
            self.head = (seq, content_hash)
            count += 1
        return count

    def acknowledge(self) -> None:
        """The head is on the gateway's disk."""
        ((type_, body),) = self.ask(frames.ACKNOWLEDGE, struct.pack(">Q", self.head[0]) + self.head[1])
        assert type_ == frames.RELEASED and body[0] == frames.RELEASE_DONE

    def fetch_all(self) -> None:
        """Everything that is durable now, acknowledged."""
        while self.fetch():
            pass
        if self.head[0]:
            self.acknowledge()

    def kinds(self):
        """Kinds of the records fetched."""
        return [record[fields.KIND] for record in self.records]


def payload_of(envelope: bytes) -> bytes:
    """The payload inside an envelope, after a look at its form; the hash it carries twice is the signature."""
    assert envelope[:3] == b"\xd2\x84\x55" and envelope[24] == 0xA0
    head = envelope[25]
    start = 26 if head < 0x58 else 27 if head == 0x58 else 28
    count = head & 0x1F if head < 0x58 else int.from_bytes(envelope[26:start], "big")
    payload = envelope[start : start + count]
    signed = b"\x84\x6aSignature1" + envelope[2:24] + b"\x40" + envelope[25:start] + payload
    assert envelope[start + count :] == b"\x58\x40" + hashlib.sha256(signed).digest() * 2
    return payload


def read_payload(payload: bytes):
    """A record's map. A plain reader of the subset, for tests only."""
    item, end = _read(payload, 0)
    assert end == len(payload)
    return item


def _read(data: bytes, at: int):
    major, low = data[at] >> 5, data[at] & 0x1F
    at += 1
    if low >= 24:
        width = 1 << (low - 24)
        low = int.from_bytes(data[at : at + width], "big")
        at += width
    if major == 0:
        return low, at
    if major == 1:
        return -1 - low, at
    if major in (2, 3):
        value = data[at : at + low]
        return (value if major == 2 else value.decode()), at + low
    if major == 4:
        items = []
        for _ in range(low):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    assert major == 5
    found = {}
    for _ in range(low):
        key, at = _read(data, at)
        found[key], at = _read(data, at)
    return found, at


def slots_of(records, boot: int):
    """[(slot, is_overflow, outcomes of its blocks)] of a boot, in the order of the records."""
    found = []
    for record in records:
        if record[fields.BOOT] != boot or record[fields.KIND] not in (fields.KIND_SAMPLES, fields.KIND_OVERFLOW):
            continue
        first = record[fields.FIRST_SLOT]
        assert record[fields.FIRST_SLOT_MONO_MS] == first * record[fields.SLOT_MS]
        for index in range(record[fields.SLOT_COUNT]):
            blocks = record.get(fields.BLOCKS)
            outcomes = None if blocks is None else [block[0][index] for block in blocks]
            found.append((first + index, blocks is None, outcomes))
    return found
