"""A sealed module on a pty, with a parameter set of three analyzers, values, gaps, statuses and a time of its own.

For tests of the running service and its page, which need a real serial device. It does not imitate the bus, the flash,
the pace of a real module or the drift of its clock: tests say what it seals and when.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
import tty

from acqwire import fields, frames, limits

from plumeproof.evidence.parameters import parse_parameters
from plumeproof.keys import build_entry
from plumeproof.model import Frame
from tests.doubles.sealed_module import SealedModule
from tools.parameters import Choice, compose

ANALYZERS = (
    Choice("gas", "mandeke_cems", 1),
    Choice("dust", "generic_dust_int16", 2),
    Choice("flow", "generic_flow_tpm", 3),
)
NONCE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
DEFAULTS = {
    "gas.so2": 42.5, "gas.no": 118.0, "gas.o2": 8.25, "gas.no2": 4.5, "dust.dust": 3.2, "dust.extinction": 1.25,
    "flow.flow": 91500.0, "flow.temperature": 128.5, "flow.pressure": 1008.0, "flow.moisture": 11.5,
}  # fmt: skip


class PlantModule(SealedModule):
    """`port` is the path to give to the bridge; `serve` answers on it until `close`."""

    def __init__(self, device: str, secret: int, slot_ms: int = 1000, seal_ms: int = 2000) -> None:
        super().__init__(device, secret)
        self.parameters_bytes = compose(device, ANALYZERS, slot_ms, seal_ms)
        self.parameters = parse_parameters(self.parameters_bytes)
        self.slot_ms = slot_ms
        self.lock = threading.Lock()
        self.times_set = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # nobody has it open before the bridge does
        self.port = os.ttyname(self._slave)
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def entry(self) -> dict[str, object]:
        """Its line in keys.json."""
        return build_entry(self.device, self.public_key)

    def start_up(self) -> None:
        """A boot: boot record, then its parameter set."""
        with self.lock:
            self.start()
            size = limits.PARAMETERS_PART_BYTES
            parts = [self.parameters_bytes[at : at + size] for at in range(0, len(self.parameters_bytes), size)]
            for number, part in enumerate(parts):
                body = {
                    fields.PART_HASH: self.parameters.parameters_hash,
                    fields.PART: number,
                    fields.PARTS: len(parts),
                    fields.PART_BYTES: part,
                }
                self.seal(fields.KIND_PARAMETERS, body, PARAMETERS_HASH=self.parameters.parameters_hash)

    def measure(
        self,
        slot_count: int,
        values: dict[str, float] | None = None,
        outcomes: dict[str, int] | None = None,
        status_word: int = 0,
        end_utc_ms: int | None = None,
    ) -> bytes:
        """Seal one samples record and return its envelope.

        `outcomes`: analyzer id to gap cause; `status_word`: of dust and flow.
        `end_utc_ms`: UTC at sealing, now by default; 0 seals without UTC.
        """
        values, outcomes = DEFAULTS | (values or {}), outcomes or {}
        own_utc = time.time_ns() // 1_000_000 if end_utc_ms is None else end_utc_ms
        blocks = []
        for index, block in enumerate(self.parameters.blocks):
            cause = outcomes.get(self.parameters.analyzers[block.analyzer].id, 0)
            registers = bytearray(block.width_bytes)
            for channel in self.parameters.channels:
                if channel.block != index:
                    continue
                number = (values[channel.id] - channel.offset) / channel.scale
                if channel.type == "float32":
                    struct.pack_into(">f", registers, 2 * channel.register, number)
                else:
                    struct.pack_into(">h", registers, 2 * channel.register, round(number))
            if block.quantity % 2:
                struct.pack_into(">H", registers, 2 * (block.quantity - 1), status_word)
            blocks.append([bytes((cause,)) * slot_count, b"" if cause else bytes(registers) * slot_count])
        with self.lock:
            first_mono = self.next_slot * self.slot_ms
            self.mono_ms = first_mono + slot_count * self.slot_ms
            known = {"UTC_MS": own_utc, "UTC_STATUS": fields.UTC_HOST, "UTC_UNC_MS": 105, "SYNC_SEQ": 1}
            raw = self.seal(
                fields.KIND_SAMPLES,
                {
                    fields.FIRST_SLOT: self.next_slot,
                    fields.SLOT_COUNT: slot_count,
                    fields.SLOT_MS: self.slot_ms,
                    fields.FIRST_SLOT_MONO_MS: first_mono,
                    fields.BLOCKS: blocks,
                    fields.RETRIES: 0,
                },
                PARAMETERS_HASH=self.parameters.parameters_hash,
                **(known if own_utc else {}),
            )
            self.next_slot += slot_count
            return raw

    def serve(self) -> None:
        """Answer on the pty from now on."""
        self._thread.start()

    def close(self) -> None:
        """The line goes dead, as an unplugged cable."""
        os.write(self._wake, b"x")
        if self._thread.ident is not None:
            self._thread.join()
        for descriptor in (self._master, self._slave, self._stop, self._wake):
            os.close(descriptor)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._stop], [], [])
            if self._stop in ready:
                return
            data = os.read(self._master, 4096)
            with self.lock:
                self.write(data)
                answer = memoryview(self.read(1 << 30, 0))
            while answer:
                answer = answer[os.write(self._master, answer) :]

    def _answers(self, question: Frame) -> list[tuple[int, bytes]]:
        if question.type == frames.TIME_ASK:
            return [(frames.TIME_NONCE, NONCE)]
        if question.type == frames.TIME_SET:
            self.times_set += 1
            return [(frames.TIME_TAKEN, struct.pack(">BI", fields.SYNC_FIRST, 3))]
        return super()._answers(question)
