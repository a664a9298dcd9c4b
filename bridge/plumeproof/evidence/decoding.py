"""Register bytes to values and statuses, by the signed parameter set (SPEC.md section 5).

Whole columns at a time: bytes are put into big-endian order by index and seen as numbers, so that every pattern comes
out exactly as the analyzer sent it. value = number * scale + offset in float64, each step rounded (two numpy
operations, never fused). A status decides whether a sample is valid, never a NaN; samples without a number hold 0.0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from acqwire import causes, names

from plumeproof.errors import ParametersError
from plumeproof.evidence.loops import judge
from plumeproof.evidence.parameters import Block, ChannelSpec, ParameterSet, StatusSpec, check_samples
from plumeproof.model import Record, Samples

# Status of a sample: 0 valid, the gap causes of acqwire.causes (1..130), or one of these
VALID = causes.VALUE
WARNING = 190  # NE 107 M, maintenance required: still valid
FAILURE = 191  # NE 107 F
FUNCTION_CHECK = 192  # NE 107 C
OUT_OF_SPECIFICATION = 193  # NE 107 S
STATUS_MISSING = 194  # the block that holds the status is a gap in this slot
OVER_RANGE = 195  # above `max` of the channel
UNDER_RANGE = 196  # below `min` of the channel
NOT_FINITE = 197  # the register holds NaN or infinity
LOOP_FAILURE = 198  # 4-20 mA: failure signal of NAMUR NE 43
LOOP_OUT_OF_SPECIFICATION = 199  # 4-20 mA: neither measurement nor failure signal
WIRE_BREAK = 200  # 4-20 mA: no current
CALIBRATION = 201  # a calibration mark of the analyzer is set
STATUS_NAMES = (
    *names.GAP_NAMES,
    (WARNING, "warning"),
    (FAILURE, "failure"),
    (FUNCTION_CHECK, "function_check"),
    (OUT_OF_SPECIFICATION, "out_of_specification"),
    (STATUS_MISSING, "status_missing"),
    (OVER_RANGE, "over_range"),
    (UNDER_RANGE, "under_range"),
    (NOT_FINITE, "not_finite"),
    (LOOP_FAILURE, "loop_failure"),
    (LOOP_OUT_OF_SPECIFICATION, "loop_out_of_specification"),
    (WIRE_BREAK, "wire_break"),
    (CALIBRATION, "calibration"),
)

INT64_END = 2**63

# NAMUR NE 107 code of a status bit, worst last: a later one overwrites an earlier one
_NE107 = (("M", WARNING), ("S", OUT_OF_SPECIFICATION), ("C", FUNCTION_CHECK), ("F", FAILURE))
_DTYPES = {"uint16": ">u2", "int16": ">i2", "uint32": ">u4", "int32": ">i4", "float32": ">f4", "float64": ">f8"}

Bytes2D = npt.NDArray[np.uint8]
Statuses = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChannelReadings:
    """One channel over the slots of a record: `values` float64 (n,), `status` uint8 (n,)."""

    channel: ChannelSpec
    values: Values
    status: Statuses


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """`slot_utc_ms` int64 (n,): planned UTC of each slot, None while the module had no UTC that fits."""

    slot_utc_ms: npt.NDArray[np.int64] | None
    slot_ms: int
    channels: tuple[ChannelReadings, ...]


def is_valid(status: Statuses) -> npt.NDArray[np.bool_]:
    """Which samples count: valid and warning."""
    valid: npt.NDArray[np.bool_] = (status == VALID) | (status == WARNING)
    return valid


def slot_times(record: Record, samples: Samples) -> npt.NDArray[np.int64] | None:
    """UTC of each slot by the record's own mapping (SPEC.md section 4.1); None without one, and beyond int64."""
    if record.utc_ms is None:
        return None
    slots = samples.slots
    first = record.utc_ms - (record.mono_ms - slots.first_slot_mono_ms)
    if not -INT64_END <= first < INT64_END - slots.slot_count * slots.slot_ms:
        return None  # a module's arithmetic has failed; the signed record stands, its slots have no time
    return first + np.arange(slots.slot_count, dtype=np.int64) * slots.slot_ms


def decode(record: Record, parameters: ParameterSet) -> DecodedRecord:
    """Values and statuses of every channel of a samples record.

    Raises ParametersError (parameters_hash, kind, blocks, slot_ms, width): the bytes have no meaning then.
    """
    if record.parameters_hash != parameters.parameters_hash:
        raise ParametersError("parameters_hash", "another parameter set than the record names")
    samples = record.body
    if not isinstance(samples, Samples):
        raise ParametersError("kind", f"record {record.device} {record.seq} holds no samples")
    check_samples(samples, parameters)
    outcomes = [np.frombuffer(readings.outcomes, np.uint8) for readings in samples.blocks]
    rows = [
        np.frombuffer(readings.data, np.uint8).reshape(-1, block.width_bytes)
        for readings, block in zip(samples.blocks, parameters.blocks, strict=True)
    ]
    statuses = [
        _read_status(spec, parameters.blocks[spec.block], outcomes[spec.block], rows[spec.block])
        for spec in parameters.statuses
    ]
    marked = _read_marks(parameters, outcomes, rows)
    channels = tuple(
        _read_channel(
            spec,
            parameters.blocks[spec.block],
            outcomes[spec.block],
            rows[spec.block],
            None if spec.status is None else statuses[spec.status],
            marked.get(parameters.blocks[spec.block].analyzer),
        )
        for spec in parameters.channels
    )
    return DecodedRecord(slot_times(record, samples), samples.slots.slot_ms, channels)


def read_bit(block: Block, bit: int, rows: Bytes2D) -> npt.NDArray[np.bool_]:
    """One bit of every row; registers are big-endian on the wire, coils and inputs packed LSB first."""
    if block.is_bits:
        index, shift = divmod(bit, 8)
    else:
        register, number = divmod(bit, 16)
        index, shift = 2 * register + (1 - number // 8), number % 8
    is_set: npt.NDArray[np.bool_] = (rows[:, index] >> shift) & 1 == 1
    return is_set


def _read_status(spec: StatusSpec, block: Block, outcomes: Statuses, rows: Bytes2D) -> Statuses:
    """NE 107 status per slot; the worst matching bit wins."""
    found = np.zeros(len(rows), np.uint8)
    for code, number in _NE107:
        for entry in spec.bits:
            if entry.code == code:
                found[read_bit(block, entry.bit, rows) == entry.is_set] = number
    status = np.full(len(outcomes), STATUS_MISSING, np.uint8)
    status[outcomes == causes.VALUE] = found
    return status


def _read_marks(parameters: ParameterSet, outcomes: list[Statuses], rows: list[Bytes2D]) -> dict[int, Statuses]:
    """Per analyzer that has calibration marks, and slot: CALIBRATION where one is set, STATUS_MISSING where none is and
    one could not be read, else 0."""
    found: dict[int, Statuses] = {}
    for mark in parameters.calibrations:
        own, block = outcomes[mark.block], parameters.blocks[mark.block]
        status = found.setdefault(mark.analyzer, np.zeros(len(own), np.uint8))
        is_known = own == causes.VALUE
        is_set = np.zeros(len(own), np.bool_)
        is_set[is_known] = read_bit(block, mark.bit, rows[mark.block]) == mark.is_set
        status[is_set] = CALIBRATION
        status[~is_known & (status != CALIBRATION)] = STATUS_MISSING
    return found


def _read_numbers(spec: ChannelSpec, block: Block, rows: Bytes2D) -> Values:
    """The register's number of every row, exactly, as float64."""
    if spec.type == "bit":
        return read_bit(block, spec.register, rows).astype(np.float64)
    letters = "ABCDEFGH"[: len(spec.order)]
    # A signalling NaN raises the invalid flag on some processors; it is caught as NOT_FINITE behind this.
    with np.errstate(invalid="ignore"):
        if len(rows) and spec.order in (letters, letters[::-1]):  # numpy reads these itself, in one pass
            kind = _DTYPES[spec.type] if spec.order == letters else _DTYPES[spec.type].replace(">", "<")
            shape, strides = (len(rows),), (rows.strides[0],)
            return np.ndarray(shape, kind, rows, 2 * spec.register, strides).astype(np.float64)
        columns = [2 * spec.register + spec.order.index(letter) for letter in letters]
        ordered = np.ascontiguousarray(rows[:, columns])
        return ordered.view(_DTYPES[spec.type]).reshape(-1).astype(np.float64)


def _scaled(spec: ChannelSpec, numbers: Values) -> tuple[Values, Statuses]:
    """Values by scale and offset, 0.0 where there is none, and what they look like."""
    own = np.zeros(len(numbers), np.uint8)
    # Infinities and what overflows by the scale are caught behind it, without a warning on the way.
    with np.errstate(over="ignore", invalid="ignore"):
        read = numbers * spec.scale + spec.offset
        if not len(read):
            return read, own
        low, high = read.min(), read.max()  # NaN where one is
    if spec.minimum <= low and high <= spec.maximum and np.isfinite(low) and np.isfinite(high):
        return read, own  # nothing stands out, and NaN or infinity would
    is_finite = np.isfinite(numbers) & np.isfinite(read)
    read = np.where(is_finite, read, 0.0)
    own[read > spec.maximum] = OVER_RANGE
    own[read < spec.minimum] = UNDER_RANGE
    own[~is_finite] = NOT_FINITE
    return read, own


def _read_channel(
    spec: ChannelSpec,
    block: Block,
    outcomes: Statuses,
    rows: Bytes2D,
    device_status: Statuses | None,
    marked: Statuses | None,
) -> ChannelReadings:
    """The worst that is known of each slot: gap, calibration, the analyzer's own word (or that it could not be read),
    the loop's current, what the value looks like."""
    has_number = outcomes == causes.VALUE
    numbers = _read_numbers(spec, block, rows)
    read, own = _scaled(spec, numbers)
    if spec.loop is not None:
        current = judge(spec.loop, numbers, WIRE_BREAK, LOOP_FAILURE, LOOP_OUT_OF_SPECIFICATION)
        own[current != VALID] = current[current != VALID]
    values, status = read, own
    if len(read) < len(outcomes):
        values, status = np.zeros(len(outcomes)), outcomes.copy()
        values[has_number], status[has_number] = read, own
    if device_status is not None:
        # What the analyzer says of itself outranks what the number looks like; a gap outranks both.
        speaks = has_number & (device_status != VALID) & ~((device_status == WARNING) & (status != VALID))
        status[speaks] = device_status[speaks]
    if marked is not None:
        is_unknown = has_number & (marked == STATUS_MISSING) & is_valid(status)
        status[is_unknown] = STATUS_MISSING
        # Test gas is no measurement, whatever the analyzer or its current says of it meanwhile.
        status[has_number & (marked == CALIBRATION)] = CALIBRATION
    return ChannelReadings(spec, values, status)
