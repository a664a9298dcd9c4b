"""The records of one module as at a plant, sealed by cbor2 and cryptography: work for the gateway's bench.

Parameter set of the demo, sealing period of a plant (60 s). A samples record is as full as the module's sampler may
fill it: with these blocks it is sealed after 30 s. Boot and parameters come first.
"""

from __future__ import annotations

from acqwire import fields, limits

from plumeproof.evidence.parameters import parse_parameters
from tests.doubles.sealed_module import SealedModule
from tools.demo.layout import ANALYZERS, MODULES, SLOT_MS
from tools.parameters import compose, parse_choice

SEAL_MS = 60_000
SLOTS = 30  # of the demo's five blocks: with one more the 68 bytes of the first pass 2,048 bytes of one string
START_UTC_MS = 1_796_083_200_000  # 2026-12-01T00:00Z


def seal_chain(count: int) -> SealedModule:
    """A module whose journal holds `count` records."""
    device = MODULES[0]
    raw_set = compose(device, [parse_choice(text) for text in ANALYZERS], SLOT_MS, SEAL_MS)
    parameters = parse_parameters(raw_set)
    module = SealedModule(device)
    known: dict[str, object] = {"PARAMETERS_HASH": parameters.parameters_hash}
    module.start()
    size = limits.PARAMETERS_PART_BYTES
    parts = [raw_set[at : at + size] for at in range(0, len(raw_set), size)]
    for number, part in enumerate(parts):
        own = {fields.PART_HASH: parameters.parameters_hash, fields.PART: number, fields.PARTS: len(parts)}
        module.seal(fields.KIND_PARAMETERS, {**own, fields.PART_BYTES: part}, **known)
    known |= {"UTC_STATUS": fields.UTC_HOST, "UTC_UNC_MS": 105, "SYNC_SEQ": 1}
    while module.newest < count:
        first_mono_ms = module.next_slot * SLOT_MS
        module.next_slot += SLOTS
        module.mono_ms = first_mono_ms + SLOTS * SLOT_MS
        salt = module.newest.to_bytes(2, "big")  # other bytes in every record
        widths = [block.width_bytes for block in parameters.blocks]
        blocks = [[bytes(SLOTS), (salt * width)[:width] * SLOTS] for width in widths]
        own = {
            fields.FIRST_SLOT: module.next_slot - SLOTS,
            fields.SLOT_COUNT: SLOTS,
            fields.SLOT_MS: SLOT_MS,
            fields.FIRST_SLOT_MONO_MS: first_mono_ms,
            fields.BLOCKS: blocks,
            fields.RETRIES: 0,
        }
        module.seal(fields.KIND_SAMPLES, own, UTC_MS=START_UTC_MS + module.mono_ms, **known)
    return module
