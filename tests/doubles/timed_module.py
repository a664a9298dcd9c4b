"""A module with a clock: records with UTC fields, gaps, steps, boots, overflow, as SPEC.md section 4 has them.

Payloads by cbor2's canonical form; the signature is 64 zero bytes because averaging never asks for it. Does not
imitate the journal, the link, sealing limits, or a module that keeps its slots apart from its clock.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import cbor2
import rfc8785

from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.record import parse_payload
from plumeproof.model import Envelope, Head, Record
from plumeproof.store.ledger import SqliteLedger

START_UTC_MS = 1_796_083_200_000  # 2026-12-01T00:00Z
KID = bytes(16)
SLOTS_MAX = 300  # of 6 register bytes: below the 2,048 bytes of one string


def build_set(revision: int = 1, slot_ms: int = 1000, **changed: dict[str, Any]) -> bytes:
    """Two channels: `co`, float32 with a status bit, and `dust`, a scaled int16. `changed`: keys by channel id."""
    channels = [
        {
            "id": "co", "quantity": "CO", "block": 0, "register": 0, "type": "float32", "order": "ABCD",
            "scale": "1", "offset": "0", "unit": "mg/m3", "min": "-1000", "max": "1e30", "status": 0,
        },
        {
            "id": "dust", "quantity": "dust", "block": 0, "register": 2, "type": "int16", "order": "AB",
            "scale": "0.1", "offset": "-5", "unit": "mg/m3", "min": "-3000", "max": "3000",
        },
    ]  # fmt: skip
    channels = [channel | changed.get(str(channel["id"]), {}) for channel in channels]
    return rfc8785.dumps(
        {
            "format": 1,
            "revision": revision,
            "device": "plume-01",
            "slot_ms": slot_ms,
            "seal_ms": max(60_000, slot_ms),
            "bus": {"baud": 19200, "parity": "E", "stop_bits": 1},
            "analyzers": [
                {"id": "gas", "profile": "p", "profile_version": "1", "unit": 1, "timeout_ms": 200, "retries": 1}
            ],
            "blocks": [
                {"analyzer": 0, "function": 3, "address": 0, "quantity": 3},
                {"analyzer": 0, "function": 2, "address": 0, "quantity": 8},
            ],
            "channels": [channel for channel in channels if not channel.get("absent")],
            "statuses": [{"id": "s", "block": 1, "bits": [{"bit": 0, "is": 1, "code": "F"}]}],
        }
    )


class TimedModule:
    """Seals into `sealed`; `clock_offset_ms` is UTC minus monotonic time, None before the first sync."""

    def __init__(self, device: str = "plume-01", raw_set: bytes | None = None) -> None:
        self.device = device
        self.kid = KID
        self.public_key = b"\x04" + bytes(64)
        self.sealed: list[tuple[Record, Envelope]] = []
        self.boot = 0
        self.mono_ms = 0
        self.clock_offset_ms: int | None = START_UTC_MS
        self.next_slot = 0
        self.use(raw_set or build_set())

    def use(self, raw_set: bytes) -> None:
        """The parameter set from now on; takes effect without a boot, which a real module needs."""
        self.raw_set = raw_set
        self.parameters: ParameterSet = parse_parameters(raw_set)

    def start(self, with_set: bool = True) -> None:
        """A boot and its records."""
        self.boot += 1
        self.mono_ms = self.next_slot = 0
        self.seal(1, {30: 1, 31: "0", 32: bytes(32), 33: "double", 34: 1, 35: self.public_key, 36: 0})
        if with_set:
            self.send_set()

    def send_set(self) -> None:
        """The parameters records of the set in force."""
        parts = [self.raw_set[at : at + 2048] for at in range(0, len(self.raw_set), 2048)]
        for number, part in enumerate(parts):
            self.seal(3, {40: self.parameters.parameters_hash, 41: number, 42: len(parts), 43: part})

    def wait(self, ms: int) -> None:
        """Time without slots (they cannot be left out within a boot, so the slot grid moves along)."""
        self.mono_ms += ms

    def sample(self, readings: list[tuple[int, float, int, bool]], **changed: Any) -> None:
        """One slot per (outcome, co, dust register, failure bit), in as many records as the limits ask for."""
        while len(readings) > SLOTS_MAX:
            self.sample(readings[:SLOTS_MAX], **changed)
            readings = readings[SLOTS_MAX:]
        outcomes = bytes(reading[0] for reading in readings)
        data = b"".join(struct.pack(">fh", reading[1], reading[2]) for reading in readings if reading[0] == 0)
        bits = bytes(int(reading[3]) for reading in readings)
        self._slots(2, len(readings), {24: [[outcomes, data], [bytes(len(readings)), bits]], 25: 0}, **changed)

    def lose(self, slot_count: int) -> None:
        """An overflow record."""
        self._slots(6, slot_count, {})

    def _slots(self, kind: int, count: int, own: dict[int, Any], **changed: Any) -> None:
        slot_ms = self.parameters.slot_ms
        first_mono = self.mono_ms
        self.mono_ms += count * slot_ms
        self.seal(kind, {20: self.next_slot, 21: count, 22: slot_ms, 23: first_mono} | own, **changed)
        self.next_slot += count

    def utc_fields(self, seq: int) -> dict[int, Any]:
        """What the clock gives record `seq`."""
        if self.clock_offset_ms is None:
            return {9: 0}
        return {8: self.mono_ms + self.clock_offset_ms, 9: 1, 10: 10, 11: min(seq, 1)}

    def seal(self, kind: int, own: dict[int, Any], seq: int | None = None) -> None:
        """One record; `seq` other than the next one for records that come late."""
        number = seq or (self.sealed[-1][0].seq + 1 if self.sealed else 1)
        common: dict[int, Any] = {
            1: 1, 2: kind, 3: self.device, 4: self.boot, 5: number, 6: bytes(32), 7: self.mono_ms,
            12: self.parameters.parameters_hash,
        }  # fmt: skip
        common |= self.utc_fields(number)
        payload = cbor2.dumps(common | own, canonical=True)
        protected = cbor2.dumps({1: -7, 4: self.kid}, canonical=True)
        structure = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
        content_hash = hashlib.sha256(structure).digest()
        raw = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, self.sign(structure)]), canonical=True)
        record = parse_payload(payload, content_hash)
        self.sealed.append((record, Envelope(raw, self.kid, payload, content_hash, False)))

    def sign(self, _structure: bytes) -> bytes:
        """64 bytes r || s."""
        return bytes(64)


def store_all(ledger: SqliteLedger, sealed: list[tuple[Record, Envelope]]) -> None:
    """Into the ledger as they are, past the chain: averaging does not ask it."""
    if sealed:
        last = max((record for record, _ in sealed), key=lambda record: record.seq)
        head = Head(last.device, last.seq, last.content_hash, last.boot, last.mono_ms, 0, False)
        ledger.append(sealed, head, [])
