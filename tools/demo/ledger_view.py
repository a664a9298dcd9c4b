"""What the ledger holds of one module, read back after the run: slots per boot and block, times, counts.

Read by a connection of its own; envelopes are verified and parsed again, nothing is taken from the bridge's counters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import KeyFile
from plumeproof.model import Boot, Overflow, ParametersPart, Record, Samples
from plumeproof.store.connection import open_reader
from tools.demo.comparison import Slot


@dataclass(slots=True)
class ModuleView:
    """`slots[boot, block]`: in order. `retries[boot]`. `records`: seq to envelope. Times in ms."""

    device: str
    records: dict[int, bytes] = field(default_factory=dict)
    labels: dict[int, tuple[str, str]] = field(default_factory=dict)  # seq to content hash and kid, in hex
    boots: list[int] = field(default_factory=list)
    interpreter: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    slots: dict[tuple[int, int], list[Slot]] = field(default_factory=dict)
    retries: dict[int, int] = field(default_factory=dict)
    overflow_slots: int = 0
    unexplained_slots: int = 0  # of a boot, in no samples or overflow record though later ones are
    latencies_ms: list[int] = field(default_factory=list)  # slot time to stored in the ledger
    sealing_waits_ms: list[int] = field(default_factory=list)  # of that, slot time to sealing
    _next_slot: dict[int, int] = field(default_factory=dict)

    def channel_counts(self) -> tuple[int, int]:
        """(samples, gaps), per channel: a failed block read is one gap for each of its channels."""
        samples = gaps = 0
        carried: dict[int, int] = {}
        for channel in self.parameters.get("channels", []):
            carried[channel["block"]] = carried.get(channel["block"], 0) + 1
        for (_, block), slots in self.slots.items():
            values = sum(slot.outcome == 0 for slot in slots)
            samples += values * carried.get(block, 0)
            gaps += (len(slots) - values) * carried.get(block, 0)
        gaps += self.overflow_slots * sum(carried.values())
        return samples, gaps

    def take(self, record: Record, received_utc_ms: int) -> None:
        """One more record, in order of seq; not its parameters."""
        body = record.body
        if isinstance(body, Boot):
            self.boots.append(record.boot)
            self.interpreter = body.interpreter
        elif isinstance(body, Overflow):
            self.overflow_slots += body.slots.slot_count
            self._account(record.boot, body.slots.first_slot, body.slots.slot_count)
        elif isinstance(body, Samples):
            self.retries[record.boot] = self.retries.get(record.boot, 0) + body.retries
            self._account(record.boot, body.slots.first_slot, body.slots.slot_count)
            for block, readings in enumerate(body.blocks):
                held = self.slots.setdefault((record.boot, block), [])
                held += _slots(readings.outcomes, readings.data)
            if record.utc_ms is not None:
                for index in range(body.slots.slot_count):
                    wait_ms = record.mono_ms - (body.slots.first_slot_mono_ms + index * body.slots.slot_ms)
                    self.sealing_waits_ms.append(wait_ms)
                    self.latencies_ms.append(received_utc_ms - record.utc_ms + wait_ms)

    def _account(self, boot: int, first_slot: int, slot_count: int) -> None:
        self.unexplained_slots += abs(first_slot - self._next_slot.get(boot, 0))
        self._next_slot[boot] = first_slot + slot_count


def read_module(ledger: Path, keys: KeyFile, device: str) -> ModuleView:
    """Everything of one module, every signature checked again."""
    view = ModuleView(device)
    parts: dict[int, bytes] = {}
    connection = open_reader(ledger)
    try:
        rows = connection.execute(
            "SELECT seq, envelope, received_utc_ms FROM record WHERE device = ? ORDER BY seq", (device,)
        ).fetchall()
    finally:
        connection.close()
    for seq, raw, received_utc_ms in rows:
        envelope = verify_envelope(raw, keys.public_key)
        record = parse_record(envelope)
        view.records[seq] = raw
        view.labels[seq] = envelope.content_hash.hex(), envelope.kid.hex()
        if isinstance(record.body, ParametersPart):
            parts[record.body.part] = record.body.part_bytes
        view.take(record, received_utc_ms)
    if parts:
        view.parameters = json.loads(b"".join(parts[part] for part in sorted(parts)))
    return view


def _slots(outcomes: bytes, data: bytes) -> list[Slot]:
    values = outcomes.count(0)
    width = len(data) // values if values else 0
    slots = []
    offset = 0
    for outcome in outcomes:
        if outcome == 0:
            slots.append(Slot(0, data[offset : offset + width]))
            offset += width
        else:
            slots.append(Slot(outcome, b""))
    return slots
