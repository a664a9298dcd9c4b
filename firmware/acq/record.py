"""Payload bytes of every record kind (SPEC.md section 4, record.cddl), written into a fixed buffer.

Keys ascend, so the fields that every record has come first and those of the kind follow. Nothing is decided here:
numbers and times come from chain, timebase and sampler. Signing is cose.py's business.
Each `build_` method returns the count of payload bytes in the buffer given to the constructor.
"""

from acqwire import WIRE_VERSION, fields, limits

from acq.cbor import Writer
from acq.dialect import const

_COMMON_COUNT = 9  # version, kind, device, boot, seq, prev, mono, UTC status, parameters hash
_UTC_COUNT = 3  # UTC, uncertainty, sync seq: absent while the status is none
_SLOTS_COUNT = 4
_COLUMNS = const(14)  # acqwire/counts.py
_PIECE_BYTES = const(256)


class Stamp:
    """Time of sealing as timebase gives it; utc_ms, utc_unc_ms and sync_seq mean nothing while utc_status is none."""

    def __init__(self) -> None:
        self.mono_ms = 0
        self.utc_status = fields.UTC_NONE
        self.utc_ms = 0
        self.utc_unc_ms = 0
        self.sync_seq = 0


class RecordBuilder:
    """Builds one payload at a time."""

    def __init__(self, buf, device: str, parameters_hash: bytes) -> None:
        self._writer = Writer(buf)
        self._device = device
        self._parameters_hash = parameters_hash

    def begin(self, kind: int, count: int, chain, stamp):
        """What every record has; `count` fields follow. The writer."""
        writer = self._writer
        has_utc = stamp.utc_status != fields.UTC_NONE
        writer.reset()
        writer.map(_COMMON_COUNT + count + (_UTC_COUNT if has_utc else 0))
        self.uint(fields.VERSION, WIRE_VERSION)
        self.uint(fields.KIND, kind)
        writer.uint(fields.DEVICE)
        writer.text(self._device)
        self.uint(fields.BOOT, chain.boot)
        self.uint(fields.SEQ, chain.seq)
        self._bytes(fields.PREV, chain.prev)
        self.uint(fields.MONO_MS, stamp.mono_ms)
        if has_utc:
            self.uint(fields.UTC_MS, stamp.utc_ms)
        self.uint(fields.UTC_STATUS, stamp.utc_status)
        if has_utc:
            self.uint(fields.UTC_UNC_MS, min(stamp.utc_unc_ms, 0xFFFFFFFF))
            self.uint(fields.SYNC_SEQ, stamp.sync_seq)
        self._bytes(fields.PARAMETERS_HASH, self._parameters_hash)
        return writer

    def uint(self, key: int, value: int) -> None:
        self._writer.uint(key)
        self._writer.uint(value)

    def _bytes(self, key: int, value) -> None:
        self._writer.uint(key)
        self._writer.bytes(value)

    def _slots(self, span) -> None:
        self.uint(fields.FIRST_SLOT, span.first_slot)
        self.uint(fields.SLOT_COUNT, span.slot_count)
        self.uint(fields.SLOT_MS, span.slot_ms)
        self.uint(fields.FIRST_SLOT_MONO_MS, span.first_slot_mono_ms)

    def build_boot(self, chain, stamp, facts) -> int:
        """facts: reset_cause, firmware_version, firmware_hash, interpreter, journal_version, public_key, torn_count,
        element_counter (0: none)."""
        counter = facts.element_counter
        writer = self.begin(fields.KIND_BOOT, 8 if counter else 7, chain, stamp)
        self.uint(fields.RESET_CAUSE, facts.reset_cause)
        writer.uint(fields.FIRMWARE_VERSION)
        writer.text(facts.firmware_version)
        self._bytes(fields.FIRMWARE_HASH, facts.firmware_hash)
        writer.uint(fields.INTERPRETER)
        writer.text(facts.interpreter)
        self.uint(fields.JOURNAL_VERSION, facts.journal_version)
        self._bytes(fields.PUBLIC_KEY, facts.public_key)
        self.uint(fields.TORN_COUNT, facts.torn_count)
        if counter:
            self.uint(fields.ELEMENT_COUNTER, counter)
        return writer.end

    def build_samples(self, chain, stamp, batch) -> int:
        """batch: first_slot, slot_count, slot_ms, first_slot_mono_ms, retries, block_count; outcomes(k), data(k)
        give the bytes of block k of the parameter set, exactly as the answers carried them."""
        writer = self.begin(fields.KIND_SAMPLES, _SLOTS_COUNT + 2, chain, stamp)
        self._slots(batch)
        writer.uint(fields.BLOCKS)
        writer.array(batch.block_count)
        for k in range(batch.block_count):
            writer.array(2)
            writer.bytes(batch.outcomes(k))
            writer.bytes(batch.data(k))
        self.uint(fields.RETRIES, batch.retries)
        return writer.end

    def build_overflow(self, chain, stamp, span) -> int:
        """span: first_slot, slot_count, slot_ms, first_slot_mono_ms of the slots that could not be kept."""
        writer = self.begin(fields.KIND_OVERFLOW, _SLOTS_COUNT, chain, stamp)
        self._slots(span)
        return writer.end

    def build_parameters(self, chain, stamp, read, count: int, part: int, parts: int) -> int:
        """Part number `part`, from 0, of the `parts` of a parameter set of `count` bytes. read(start, count) -> bytes
        is asked for small pieces: a heap that has been used has no place for a whole part."""
        writer = self.begin(fields.KIND_PARAMETERS, 4, chain, stamp)
        self._bytes(fields.PART_HASH, self._parameters_hash)
        self.uint(fields.PART, part)
        self.uint(fields.PARTS, parts)
        writer.uint(fields.PART_BYTES)
        start = part * limits.PARAMETERS_PART_BYTES
        end = min(start + limits.PARAMETERS_PART_BYTES, count)
        writer.head_of_bytes(end - start)
        while start < end:
            writer.put(read(start, min(_PIECE_BYTES, end - start)))
            start += _PIECE_BYTES
        return writer.end

    def build_time_sync(self, chain, stamp, sync) -> int:
        """sync: host_utc_ms, host_unc_ms, nonce, round_trip_ms, step_ms (None for the first mapping), decision."""
        has_step = sync.step_ms is not None
        writer = self.begin(fields.KIND_TIME_SYNC, 6 if has_step else 5, chain, stamp)
        self.uint(fields.SYNC_HOST_UTC_MS, sync.host_utc_ms)
        self.uint(fields.SYNC_HOST_UNC_MS, sync.host_unc_ms)
        self._bytes(fields.SYNC_NONCE, sync.nonce)
        self.uint(fields.SYNC_ROUND_TRIP_MS, sync.round_trip_ms)
        if has_step:
            writer.uint(fields.SYNC_STEP_MS)
            writer.int(sync.step_ms)
        self.uint(fields.SYNC_DECISION, sync.decision)
        return writer.end

    def build_event(self, chain, stamp, code: int, arguments) -> int:
        """causes.EVENT_* with at most 16 integers."""
        writer = self.begin(fields.KIND_EVENT, 2, chain, stamp)
        self.uint(fields.EVENT_CODE, code)
        writer.uint(fields.EVENT_ARGS)
        writer.array(len(arguments))
        for value in arguments:
            writer.int(value)
        return writer.end

    def build_health(self, chain, stamp, health) -> int:
        """health: reset_cause, counts (rows of 14, one behind the other), stray_bytes_total, link(), journal(),
        heap_free."""
        writer = self.begin(fields.KIND_HEALTH, 6, chain, stamp)
        counts = health.counts
        self.uint(fields.RESET_CAUSE, health.reset_cause)
        writer.uint(fields.HEALTH_ANALYZERS)
        writer.array(len(counts) // _COLUMNS)
        for index in range(len(counts)):
            if index % _COLUMNS == 0:
                writer.array(_COLUMNS)
            writer.uint(counts[index])
        self.uint(fields.HEALTH_STRAY_BYTES, health.stray_bytes_total)
        for key, row in ((fields.HEALTH_LINK, health.link()), (fields.HEALTH_JOURNAL, health.journal())):
            writer.uint(key)
            writer.array(len(row))
            for count in row:
                writer.uint(count)
        self.uint(fields.HEALTH_HEAP_FREE, health.heap_free)
        return writer.end


def part_count(parameters_bytes: int) -> int:
    """How many parameters records a set of this length needs."""
    return -(-parameters_bytes // limits.PARAMETERS_PART_BYTES)
