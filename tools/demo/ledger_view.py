"""What the ledger holds of one module, read back after the run: slots per block, times, counts.

Read by a connection of its own; envelopes are parsed again, nothing is taken from the bridge's counters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import KeyFile
from plumeproof.model import Boot, Overflow, ParametersPart, Samples
from plumeproof.store.connection import open_reader
from tools.demo.comparison import Slot


@dataclass(slots=True)
class ModuleView:
    """`blocks[k]`: slots of block k in order. Times in ms. `channels[k]`: channels that block k carries."""

    device: str
    records: list[bytes] = field(default_factory=list)
    boots: int = 0
    interpreter: str = ""
    parameters: dict[str, object] = field(default_factory=dict)
    blocks: dict[int, list[Slot]] = field(default_factory=dict)
    overflow_slots: int = 0
    retries: int = 0
    latencies_ms: list[int] = field(default_factory=list)  # slot time to stored in the ledger
    sealing_waits_ms: list[int] = field(default_factory=list)  # of that, slot time to sealing

    def channel_counts(self) -> tuple[int, int]:
        """(samples, gaps), per channel: a failed block read is one gap for each of its channels."""
        samples = gaps = 0
        carried: dict[int, int] = {}
        for channel in self.parameters.get("channels", []):  # type: ignore[attr-defined]
            carried[channel["block"]] = carried.get(channel["block"], 0) + 1
        for block, slots in self.blocks.items():
            values = sum(slot.outcome == 0 for slot in slots)
            samples += values * carried.get(block, 0)
            gaps += (len(slots) - values) * carried.get(block, 0)
        gaps += self.overflow_slots * sum(carried.values())
        return samples, gaps


def read_module(ledger: Path, keys: KeyFile, device: str) -> ModuleView:
    """Everything of one module, every signature checked again."""
    view = ModuleView(device)
    parts: dict[int, bytes] = {}
    connection = open_reader(ledger)
    try:
        rows = connection.execute(
            "SELECT envelope, received_utc_ms FROM record WHERE device = ? ORDER BY seq", (device,)
        ).fetchall()
    finally:
        connection.close()
    for raw, received_utc_ms in rows:
        envelope = verify_envelope(raw, keys.public_key)
        record = parse_record(envelope)
        view.records.append(raw)
        body = record.body
        if isinstance(body, Boot):
            view.boots += 1
            view.interpreter = body.interpreter
        elif isinstance(body, ParametersPart):
            parts[body.part] = body.part_bytes
        elif isinstance(body, Overflow):
            view.overflow_slots += body.slots.slot_count
        elif isinstance(body, Samples):
            view.retries += body.retries
            for block, readings in enumerate(body.blocks):
                view.blocks.setdefault(block, []).extend(_slots(readings.outcomes, readings.data))
            if record.utc_ms is not None:
                for index in range(body.slots.slot_count):
                    slot_mono_ms = body.slots.first_slot_mono_ms + index * body.slots.slot_ms
                    wait_ms = record.mono_ms - slot_mono_ms
                    view.sealing_waits_ms.append(wait_ms)
                    view.latencies_ms.append(received_utc_ms - record.utc_ms + wait_ms)
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
