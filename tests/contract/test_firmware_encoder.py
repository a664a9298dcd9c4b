"""The module's encoders against the golden bytes: same payloads, same Sig_structure hash, same envelope."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import cbor2
import pytest
from acqwire import calibration, fields, limits

from acq import cose, record
from acq.calibration import Marks
from acq.key_change import KeyChange

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "records.json").read_text())
OLD = bytes.fromhex(VECTORS["key"]["private_key"])
NEXT = (2).to_bytes(32, "big")  # tools/make_vectors.py
KINDS = {vector["name"]: vector for vector in VECTORS["records"] if vector["name"] != "unknown_kind"}


def build_payload(entries: dict) -> bytes:
    """What the module writes for the meaning of a golden payload."""
    buffer = bytearray(4096)
    builder = record.RecordBuilder(buffer, entries[fields.DEVICE], entries[fields.PARAMETERS_HASH])
    chain = SimpleNamespace(seq=entries[fields.SEQ], boot=entries[fields.BOOT], prev=entries[fields.PREV])
    stamp = record.Stamp()
    stamp.mono_ms = entries[fields.MONO_MS]
    stamp.utc_status = entries[fields.UTC_STATUS]
    stamp.utc_ms = entries.get(fields.UTC_MS, 0)
    stamp.utc_unc_ms = entries.get(fields.UTC_UNC_MS, 0)
    stamp.sync_seq = entries.get(fields.SYNC_SEQ, 0)
    span = SimpleNamespace(
        first_slot=entries.get(fields.FIRST_SLOT),
        slot_count=entries.get(fields.SLOT_COUNT),
        slot_ms=entries.get(fields.SLOT_MS),
        first_slot_mono_ms=entries.get(fields.FIRST_SLOT_MONO_MS),
    )
    kind = entries[fields.KIND]
    if kind == fields.KIND_BOOT:
        names = "reset_cause firmware_version firmware_hash interpreter journal_version public_key torn_count".split()
        facts = SimpleNamespace(**{name: entries[fields.RESET_CAUSE + index] for index, name in enumerate(names)})
        facts.element_counter = entries.get(fields.ELEMENT_COUNTER, 0)
        count = builder.build_boot(chain, stamp, facts)
    elif kind == fields.KIND_SAMPLES:
        blocks = entries[fields.BLOCKS]
        span.retries = entries[fields.RETRIES]
        span.block_count = len(blocks)
        span.outcomes = lambda k: blocks[k][0]
        span.data = lambda k: blocks[k][1]
        count = builder.build_samples(chain, stamp, span)
    elif kind == fields.KIND_PARAMETERS:
        begin, part = entries[fields.PART] * limits.PARAMETERS_PART_BYTES, entries[fields.PART_BYTES]
        count = builder.build_parameters(
            chain,
            stamp,
            lambda start, size: part[start - begin :][:size],
            begin + len(part),
            entries[fields.PART],
            entries[fields.PARTS],
        )
    elif kind == fields.KIND_TIME_SYNC:
        sync = SimpleNamespace(
            host_utc_ms=entries[fields.SYNC_HOST_UTC_MS],
            host_unc_ms=entries[fields.SYNC_HOST_UNC_MS],
            nonce=entries[fields.SYNC_NONCE],
            round_trip_ms=entries[fields.SYNC_ROUND_TRIP_MS],
            step_ms=entries.get(fields.SYNC_STEP_MS),
            decision=entries[fields.SYNC_DECISION],
        )
        count = builder.build_time_sync(chain, stamp, sync)
    elif kind == fields.KIND_EVENT:
        count = builder.build_event(chain, stamp, entries[fields.EVENT_CODE], entries[fields.EVENT_ARGS])
    elif kind == fields.KIND_HEALTH:
        health = SimpleNamespace(
            reset_cause=entries[fields.RESET_CAUSE],
            counts=[count for row in entries[fields.HEALTH_ANALYZERS] for count in row],
            stray_bytes_total=entries[fields.HEALTH_STRAY_BYTES],
            link=lambda: entries[fields.HEALTH_LINK],
            journal=lambda: entries[fields.HEALTH_JOURNAL],
            heap_free=entries[fields.HEALTH_HEAP_FREE],
        )
        count = builder.build_health(chain, stamp, health)
    elif kind == fields.KIND_CALIBRATION:
        count = marks_that_changed(entries).build(builder, chain, stamp)
    elif kind == fields.KIND_KEY_CHANGE:
        files = {"key.bin": OLD, "next_key.bin": NEXT, "rotate": b""}
        board = SimpleNamespace(
            exists=files.__contains__,
            remove=files.pop,
            read_part=lambda name, start, size: files[name][start : start + size],
        )
        change = KeyChange(board, entries[fields.DEVICE], bytes.fromhex(VECTORS["key"]["kid"]))
        count = change.build(builder, chain, stamp)
    else:
        count = builder.build_overflow(chain, stamp, span)
    return bytes(buffer[:count])


def marks_that_changed(entries: dict) -> Marks:
    """A module's marks in the state of a golden record: one of them has just changed."""
    number, slot = entries[calibration.CALIBRATION_MARK], entries[calibration.CALIBRATION_SLOT]
    slot_ms = entries[calibration.CALIBRATION_SLOT_MONO_MS] // slot
    mark = (entries[calibration.CALIBRATION_ANALYZER], entries[calibration.CALIBRATION_PHASE], 0, 0, 1)
    wanted = SimpleNamespace(marks=[(0, 1, 1, 0, 1)] * number + [mark])
    blocks = [SimpleNamespace(width_bytes=2, function=4)] * 2
    marks = Marks(SimpleNamespace(notices=wanted, blocks=blocks, slot_ms=slot_ms))
    is_begin = entries[calibration.CALIBRATION_STATE] == calibration.BEGIN
    for first, data in ((slot - 1, b"\0\1"), (slot, b"\0\0"))[1 if is_begin else 0 :]:
        if is_begin:
            data = b"\0\1"
        batch = SimpleNamespace(first_slot=first, outcomes=lambda k: bytes((k,)), data=lambda k, data=data: data)
        marks.feed(batch)
    if not is_begin:
        marks._changes.pop(0)  # the begin, told before
    return marks


@pytest.mark.parametrize("name", sorted(KINDS))
def test_payload(name):
    payload = bytes.fromhex(KINDS[name]["payload"])
    assert build_payload(cbor2.loads(payload)).hex() == payload.hex()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_envelope(name):
    vector = KINDS[name]
    payload = bytes.fromhex(vector["payload"])
    digests = []
    signer = SimpleNamespace(
        kid=bytes.fromhex(VECTORS["key"]["kid"]),
        begin=digests.append,
        step=lambda: True,
        signature=bytes.fromhex(vector["envelope"])[-64:],
    )
    sealer = cose.Sealer(signer)
    sealer.payload[: len(payload)] = payload
    sealer.begin(len(payload))
    assert sealer.step()
    assert digests == [hashlib.sha256(bytes.fromhex(vector["sig_structure"])).digest()]
    assert sealer.content_hash.hex() == vector["content_hash"]
    assert bytes(sealer.envelope()).hex() == vector["envelope"]
