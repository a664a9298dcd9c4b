"""Payload bytes to a Record: SPEC.md section 4 by the numbers of acqwire.fields, every range checked.

The signature has been verified before (envelope.py). An unknown key in a known kind, a missing key, another type
(a bool is no integer) or a number out of range makes the record unreadable: RecordError, quarantine. An unknown
kind under a good signature becomes an UnknownBody. The width of a block is known only with the parameter set:
here the data must divide by the number of values; parameters.check_samples does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST, calibration, causes, counts, fields, key_change, limits

from plumeproof.errors import RecordError
from plumeproof.evidence.envelope import check_deterministic, decode_untagged, kid_of
from plumeproof.evidence.key_change import check_key_change
from plumeproof.model import (
    BlockReadings,
    Body,
    Boot,
    Calibration,
    Envelope,
    Event,
    Health,
    KeyChange,
    Overflow,
    ParametersPart,
    Record,
    Samples,
    Slots,
    TimeSync,
    UnknownBody,
)

U8_MAX = 2**8 - 1
U16_MAX = 2**16 - 1
U32_MAX = 2**32 - 1
U63_MAX = 2**63 - 1  # 64-bit fields end here: the ledger stores signed 64 bit; at 1 ms a step 292 million years
U64_MAX = 2**64 - 1
S64_MIN = -(2**63)
ARGS_MAX = 16  # of an event, record.cddl
PARTS_MAX = limits.PARAMETERS_MAX_BYTES // limits.PARAMETERS_PART_BYTES
BLOCK_WIDTH_MAX = max(2 * limits.REGISTERS_MAX, -(-limits.BITS_MAX // 8))  # bytes of one block in one slot
# Outcome bytes that a module may write; causes from GAP_OVERFLOW on are found by the gateway.
MODULE_OUTCOMES = bytes(range(causes.VALUE, causes.GAP_UNCONFIRMED + 1)) + bytes(
    range(causes.GAP_EXCEPTION + 1, causes.GAP_OVERFLOW)
)

COMMON_KEYS = frozenset(
    (
        fields.VERSION,
        fields.KIND,
        fields.DEVICE,
        fields.BOOT,
        fields.SEQ,
        fields.PREV,
        fields.MONO_MS,
        fields.UTC_STATUS,
        fields.PARAMETERS_HASH,
    )
)
UTC_KEYS = frozenset((fields.UTC_MS, fields.UTC_UNC_MS, fields.SYNC_SEQ))
SLOT_KEYS = frozenset((fields.FIRST_SLOT, fields.SLOT_COUNT, fields.SLOT_MS, fields.FIRST_SLOT_MONO_MS))
_DEVICE_CHARACTERS = frozenset(limits.DEVICE_CHARACTERS)

_Map = dict[int, Any]


def parse_record(envelope: Envelope) -> Record:
    """Read the payload of a verified envelope. Raises RecordError: cbor, not_deterministic, map, key_type, limits,
    type, version, key_missing, key_unknown, range, utc, outcomes, data, boot_key, key_change."""
    record = parse_payload(envelope.payload, envelope.content_hash)
    if isinstance(record.body, Boot) and kid_of(record.body.public_key) != envelope.kid:
        raise RecordError("boot_key", "boot record names another key than the one that signed it")
    if isinstance(record.body, KeyChange):
        check_key_change(record.device, envelope.kid, record.body)
    return record


def parse_payload(payload: bytes, content_hash: bytes) -> Record:
    """Read payload bytes; `content_hash` is taken over as identity. Raises RecordError as parse_record."""
    if not 1 <= len(payload) <= limits.RECORD_MAX_BYTES:
        raise RecordError("limits", f"payload of {len(payload)} bytes")
    entries = decode_untagged(payload, RecordError)
    if not isinstance(entries, dict):
        raise RecordError("map", "payload is no map")
    newest = -1
    for key in entries:
        if type(key) is not int or not 0 <= key <= U64_MAX:
            raise RecordError("key_type", "a key is no unsigned integer")
        if key <= newest:  # unsigned integers sort as their shortest encodings do
            raise RecordError("not_deterministic", f"key {key} behind key {newest}")
        newest = key
    has_inner_maps = _check_limits(entries.values())
    check_deterministic(entries, payload, RecordError, is_ordered=not has_inner_maps)
    version = _uint(entries, fields.VERSION, U64_MAX)
    if not WIRE_VERSION_OLDEST <= version <= WIRE_VERSION:
        raise RecordError("version", f"wire version {version}; this bridge reads {WIRE_VERSION_OLDEST}..{WIRE_VERSION}")
    kind = _uint(entries, fields.KIND, U64_MAX)
    has_utc = _check_utc_keys(entries)
    wanted, parse_body = _KINDS.get((kind, has_utc), (None, None))
    if wanted is not None and entries.keys() != wanted:
        _check_keys(entries.keys() - _OPTIONAL.get(kind, frozenset()), wanted)
    seq = _uint(entries, fields.SEQ, U63_MAX, 1)
    return Record(
        kind=min(kind, U63_MAX),
        device=_device(entries),
        boot=_uint(entries, fields.BOOT, U32_MAX, 1),
        seq=seq,
        prev=_hash(entries, fields.PREV),
        mono_ms=_uint(entries, fields.MONO_MS, U63_MAX),
        utc_ms=_uint(entries, fields.UTC_MS, U63_MAX) if has_utc else None,
        utc_status=_uint(entries, fields.UTC_STATUS, fields.UTC_STEPPED),
        utc_unc_ms=_uint(entries, fields.UTC_UNC_MS, U32_MAX) if has_utc else None,
        sync_seq=_uint(entries, fields.SYNC_SEQ, seq, 1) if has_utc else None,
        parameters_hash=_hash(entries, fields.PARAMETERS_HASH),
        content_hash=content_hash,
        body=UnknownBody(kind) if parse_body is None else parse_body(entries),
    )


def _check_limits(items: Collection[Any]) -> bool:
    """Sizes and types of everything inside, known or not: no floats, tags, bools, null (SPEC.md section 4).

    True when a map stands inside.
    """
    if len(items) > limits.ENTRIES_MAX:
        raise RecordError("limits", f"{len(items)} entries in one container")
    has_maps = False
    for item in items:
        kind = type(item)
        if kind is bytes:
            if len(item) > limits.STRING_MAX_BYTES:
                raise RecordError("limits", f"byte string of {len(item)} bytes")
        elif kind is int:
            if not S64_MIN <= item <= U64_MAX:
                raise RecordError("limits", "integer beyond 64 bit")
        elif kind is list or kind is tuple:
            has_maps |= _check_limits(item)
        elif kind is dict:
            _check_limits(item.keys())
            _check_limits(item.values())
            has_maps = True
        elif kind is str:
            if len(item.encode()) > limits.TEXT_MAX_BYTES:
                raise RecordError("limits", "text too long")
        else:
            raise RecordError("type", "a float, bool, null or simple value inside")
    return has_maps


def _check_keys(present: set[int], wanted: frozenset[int]) -> None:
    """`present` without those that may be absent."""
    missing = wanted - present
    if missing:
        raise RecordError("key_missing", f"key {min(missing)} is missing")
    unknown = present - wanted
    if unknown:
        raise RecordError("key_unknown", f"key {min(unknown)} does not belong to this kind")


def _check_utc_keys(entries: _Map) -> bool:
    status = _uint(entries, fields.UTC_STATUS, fields.UTC_STEPPED)
    present = UTC_KEYS & entries.keys()
    if status == fields.UTC_NONE and present:
        raise RecordError("utc", "UTC without a mapping")
    if status != fields.UTC_NONE and present != UTC_KEYS:
        raise RecordError("utc", "mapping without all of UTC, uncertainty and sync seq")
    return status != fields.UTC_NONE


def _uint(entries: _Map, key: int, maximum: int, minimum: int = 0) -> int:
    value = entries.get(key)
    if value is None:
        raise RecordError("key_missing", f"key {key} is missing")
    if type(value) is not int:
        raise RecordError("type", f"key {key} is no integer")
    if not minimum <= value <= maximum:
        raise RecordError("range", f"key {key} is outside {minimum}..{maximum}")
    return value


def _bytes(entries: _Map, key: int, maximum: int, minimum: int) -> bytes:
    value = entries.get(key)
    if not isinstance(value, bytes):
        raise RecordError("type" if key in entries else "key_missing", f"key {key} is no byte string")
    if not minimum <= len(value) <= maximum:
        raise RecordError("range", f"key {key} has {len(value)} bytes")
    return value


def _hash(entries: _Map, key: int) -> bytes:
    return _bytes(entries, key, limits.HASH_BYTES, limits.HASH_BYTES)


def _text(entries: _Map, key: int, maximum: int) -> str:
    value = entries.get(key)
    if not isinstance(value, str):
        raise RecordError("type" if key in entries else "key_missing", f"key {key} is no text")
    if not 1 <= len(value.encode()) <= maximum:
        raise RecordError("range", f"key {key} is empty or too long")
    return value


def _device(entries: _Map) -> str:
    device = _text(entries, fields.DEVICE, limits.DEVICE_MAX_BYTES)
    if not _DEVICE_CHARACTERS.issuperset(device):
        raise RecordError("range", "device id has a character outside a-z 0-9 . _ -")
    return device


def _slots(entries: _Map, count_max: int) -> Slots:
    slots = Slots(
        first_slot=_uint(entries, fields.FIRST_SLOT, U63_MAX),
        slot_count=_uint(entries, fields.SLOT_COUNT, count_max, 1),
        slot_ms=_uint(entries, fields.SLOT_MS, limits.SLOT_MAX_MS, limits.SLOT_MIN_MS),
        first_slot_mono_ms=_uint(entries, fields.FIRST_SLOT_MONO_MS, U63_MAX),
    )
    if slots.first_slot + slots.slot_count > U63_MAX:
        raise RecordError("range", "slot numbers beyond 63 bit")
    return slots


def _samples(entries: _Map) -> Samples:
    slots = _slots(entries, limits.SLOTS_PER_RECORD_MAX)
    pairs = entries[fields.BLOCKS]
    if not isinstance(pairs, (list, tuple)):
        raise RecordError("type", "blocks are no array")
    if not 1 <= len(pairs) <= limits.BLOCKS_MAX:
        raise RecordError("range", f"{len(pairs)} blocks")
    blocks = tuple(_block(pair, slots.slot_count) for pair in pairs)
    return Samples(slots=slots, blocks=blocks, retries=_uint(entries, fields.RETRIES, U32_MAX))


def _block(pair: object, slot_count: int) -> BlockReadings:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise RecordError("type", "a block is no pair of byte strings")
    outcomes, data = pair
    if not isinstance(outcomes, bytes) or not isinstance(data, bytes):
        raise RecordError("type", "a block is no pair of byte strings")
    if len(outcomes) != slot_count:
        raise RecordError("outcomes", f"{len(outcomes)} outcomes for {slot_count} slots")
    if outcomes.translate(None, MODULE_OUTCOMES):
        raise RecordError("outcomes", "an outcome byte that no module may write")
    value_count = outcomes.count(causes.VALUE)
    if value_count == 0 and data:
        raise RecordError("data", "register bytes without a value")
    if value_count and (len(data) % value_count or not 1 <= len(data) // value_count <= BLOCK_WIDTH_MAX):
        raise RecordError("data", f"{len(data)} register bytes for {value_count} values")
    return BlockReadings(outcomes, data)


def _overflow(entries: _Map) -> Overflow:
    return Overflow(slots=_slots(entries, U63_MAX))


def _boot(entries: _Map) -> Boot:
    return Boot(
        reset_cause=_uint(entries, fields.RESET_CAUSE, fields.RESET_WANTED),
        firmware_version=_text(entries, fields.FIRMWARE_VERSION, limits.TEXT_MAX_BYTES),
        firmware_hash=_hash(entries, fields.FIRMWARE_HASH),
        interpreter=_text(entries, fields.INTERPRETER, limits.TEXT_MAX_BYTES),
        journal_version=_uint(entries, fields.JOURNAL_VERSION, U8_MAX),
        public_key=_bytes(entries, fields.PUBLIC_KEY, limits.PUBLIC_KEY_BYTES, limits.PUBLIC_KEY_BYTES),
        torn_count=_uint(entries, fields.TORN_COUNT, U32_MAX),
        element_counter=_uint(entries, fields.ELEMENT_COUNTER, counts.ELEMENT_COUNTER_MAX, 1)
        if fields.ELEMENT_COUNTER in entries
        else None,
    )


def _parameters(entries: _Map) -> ParametersPart:
    parts = _uint(entries, fields.PARTS, PARTS_MAX, 1)
    return ParametersPart(
        part_hash=_hash(entries, fields.PART_HASH),
        part=_uint(entries, fields.PART, parts - 1),
        parts=parts,
        part_bytes=_bytes(entries, fields.PART_BYTES, limits.PARAMETERS_PART_BYTES, 1),
    )


def _time_sync(entries: _Map) -> TimeSync:
    step = entries.get(fields.SYNC_STEP_MS)
    if fields.SYNC_STEP_MS in entries and (type(step) is not int or abs(step) > U63_MAX):
        raise RecordError("type", "step is no 64-bit integer")
    return TimeSync(
        host_utc_ms=_uint(entries, fields.SYNC_HOST_UTC_MS, U64_MAX),
        host_unc_ms=_uint(entries, fields.SYNC_HOST_UNC_MS, U32_MAX),
        nonce=_bytes(entries, fields.SYNC_NONCE, 8, 8),
        round_trip_ms=_uint(entries, fields.SYNC_ROUND_TRIP_MS, U32_MAX),
        step_ms=step,
        decision=_uint(entries, fields.SYNC_DECISION, fields.SYNC_REFUSED, fields.SYNC_FIRST),
    )


def _event(entries: _Map) -> Event:
    args = entries[fields.EVENT_ARGS]
    if not isinstance(args, (list, tuple)) or not all(type(argument) is int for argument in args):
        raise RecordError("type", "event arguments are no array of integers")
    if len(args) > ARGS_MAX:
        raise RecordError("range", f"{len(args)} event arguments")
    return Event(code=_uint(entries, fields.EVENT_CODE, U16_MAX), args=tuple(args))


def _health(entries: _Map) -> Health:
    rows = entries[fields.HEALTH_ANALYZERS]
    if not isinstance(rows, (list, tuple)):
        raise RecordError("type", "rows of counters are no array")
    if not 1 <= len(rows) <= limits.ANALYZERS_MAX:
        raise RecordError("range", f"{len(rows)} rows of counters")
    return Health(
        reset_cause=_uint(entries, fields.RESET_CAUSE, fields.RESET_WANTED),
        analyzers=tuple(_counts(row, counts.ROW_COLUMNS) for row in rows),
        stray_bytes=_uint(entries, fields.HEALTH_STRAY_BYTES, counts.COUNT_MAX),
        link=_counts(entries[fields.HEALTH_LINK], counts.LINK_COLUMNS),
        journal=_counts(entries[fields.HEALTH_JOURNAL], counts.JOURNAL_COLUMNS),
        heap_free=_uint(entries, fields.HEALTH_HEAP_FREE, U32_MAX),
    )


def _calibration(entries: _Map) -> Calibration:
    return Calibration(
        mark=_uint(entries, calibration.CALIBRATION_MARK, calibration.MARKS_MAX - 1),
        analyzer=_uint(entries, calibration.CALIBRATION_ANALYZER, limits.ANALYZERS_MAX - 1),
        phase=_uint(entries, calibration.CALIBRATION_PHASE, calibration.PHASE_MAINTENANCE, calibration.PHASE_ZERO),
        is_begin=_uint(entries, calibration.CALIBRATION_STATE, calibration.BEGIN) == calibration.BEGIN,
        slot=_uint(entries, calibration.CALIBRATION_SLOT, U63_MAX),
        slot_mono_ms=_uint(entries, calibration.CALIBRATION_SLOT_MONO_MS, U63_MAX),
    )


def _key_change(entries: _Map) -> KeyChange:
    return KeyChange(
        next_key=_bytes(entries, key_change.KEY_NEXT, limits.PUBLIC_KEY_BYTES, limits.PUBLIC_KEY_BYTES),
        proof=_bytes(entries, key_change.KEY_PROOF, limits.SIGNATURE_BYTES, limits.SIGNATURE_BYTES),
    )


def _counts(row: object, columns: int) -> tuple[int, ...]:
    if not isinstance(row, (list, tuple)) or not all(type(count) is int for count in row):
        raise RecordError("type", "counters are no array of integers")
    if len(row) != columns or min(row) < 0 or max(row) > counts.COUNT_MAX:
        raise RecordError("range", f"counters outside 0..{counts.COUNT_MAX}, or not {columns}")
    return tuple(row)


_BODIES: dict[int, tuple[frozenset[int], Callable[[_Map], Body]]] = {
    fields.KIND_BOOT: (frozenset(range(fields.RESET_CAUSE, fields.TORN_COUNT + 1)), _boot),
    fields.KIND_SAMPLES: (SLOT_KEYS | {fields.BLOCKS, fields.RETRIES}, _samples),
    fields.KIND_PARAMETERS: (frozenset(range(fields.PART_HASH, fields.PART_BYTES + 1)), _parameters),
    fields.KIND_TIME_SYNC: (
        frozenset(range(fields.SYNC_HOST_UTC_MS, fields.SYNC_DECISION + 1)) - {fields.SYNC_STEP_MS},
        _time_sync,
    ),
    fields.KIND_EVENT: (frozenset((fields.EVENT_CODE, fields.EVENT_ARGS)), _event),
    fields.KIND_OVERFLOW: (SLOT_KEYS, _overflow),
    fields.KIND_HEALTH: (
        frozenset((fields.RESET_CAUSE, *range(fields.HEALTH_ANALYZERS, fields.HEALTH_HEAP_FREE + 1))),
        _health,
    ),
    fields.KIND_KEY_CHANGE: (frozenset((key_change.KEY_NEXT, key_change.KEY_PROOF)), _key_change),
    fields.KIND_CALIBRATION: (
        frozenset(range(calibration.CALIBRATION_MARK, calibration.CALIBRATION_SLOT_MONO_MS + 1)),
        _calibration,
    ),
}
_OPTIONAL = {
    fields.KIND_BOOT: frozenset((fields.ELEMENT_COUNTER,)),
    fields.KIND_TIME_SYNC: frozenset((fields.SYNC_STEP_MS,)),
}
# Kind and whether it has UTC -> all its keys but the optional ones, and who reads the body
_KINDS = {
    (kind, has_utc): (COMMON_KEYS | keys | (UTC_KEYS if has_utc else frozenset()), parse_body)
    for kind, (keys, parse_body) in _BODIES.items()
    for has_utc in (False, True)
}
