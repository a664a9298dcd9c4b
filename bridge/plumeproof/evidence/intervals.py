"""Records on the UTC grid: which slots lie in [start, end), and which of two at one place counts.

An interval begins at a multiple of its length since 1970-01-01T00:00Z and excludes its end (averaging-rules 12). It has
ceil(length / slot_ms) positions; a slot stands at floor((slot UTC - start) / slot_ms), by the mapping of its own record
(SPEC.md section 4.1). Where two slots come to one position, after a clock was set back, the first in seq order stays
and the other counts as "overlap". Times are whole milliseconds; nothing here is rounded or summed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from acqwire import causes, limits

from plumeproof.errors import EnvelopeError, ParametersError
from plumeproof.evidence.decoding import STATUS_NAMES, Statuses, Values, decode
from plumeproof.evidence.envelope import build_sig_structure, decode_deterministic
from plumeproof.evidence.parameters import ChannelSpec, ParameterSet
from plumeproof.evidence.record import parse_payload
from plumeproof.model import Overflow, Record, Samples, StoredRecord

BASE_S = 60  # longer intervals that are a multiple of it are merged from its sums, all others are summed from slots

# What only the grid can find out; beside the statuses of decoding.py
ABSENT = 240  # no record has a slot at this position
PARAMETERS_CHANGED = 241  # slot of another unit, quantity or slot distance than the newest record of the interval
OVERLAP = 242  # a second slot at a position that is taken
_NAMES = dict((*STATUS_NAMES, (ABSENT, "absent"), (PARAMETERS_CHANGED, "parameters_changed"), (OVERLAP, "overlap")))

# Why a record with slots is not averaged
NO_UTC = "no_utc"  # the module had no time yet
UTC_IMPLAUSIBLE = "utc_implausible"  # its slots lie before 1970 or after 2099
PARAMETERS_MISSING = "parameters_missing"  # its parameter set is not complete in the ledger


def name_of(cause: int) -> str:
    """The word under which a cause is counted."""
    if cause in _NAMES:
        return _NAMES[cause]
    return f"exception_{cause - causes.GAP_EXCEPTION}"


def start_of(utc_ms: int, interval_s: int) -> int:
    """Start of the interval that holds an instant, UTC ms."""
    return utc_ms - utc_ms % (interval_s * 1000)


def base_of(interval_s: int) -> int:
    """Length of the intervals from whose sums this one is made; its own where it is summed from slots."""
    return BASE_S if interval_s % BASE_S == 0 else interval_s


def expected_slots(interval_s: int, slot_ms: int) -> int:
    """Positions of an interval: the most slots of this distance that it can hold."""
    return -(-interval_s * 1000 // slot_ms)


def open_stored(stored: StoredRecord) -> Record:
    """The record of a ledger row. Its signature was verified before the commit and is not again (`verify` does).

    The content hash is: a row that was damaged since is never averaged. Raises EvidenceError.
    """
    parts = decode_deterministic(stored.envelope[1:], EnvelopeError)
    if not isinstance(parts, (list, tuple)) or len(parts) != 4 or not all(isinstance(parts[i], bytes) for i in (0, 2)):
        raise EnvelopeError("array", "stored row is no envelope")
    if hashlib.sha256(build_sig_structure(parts[0], parts[2])).digest() != stored.content_hash:
        raise EnvelopeError("content_hash", f"row of {stored.device} {stored.seq} is not what was stored")
    return parse_payload(parts[2], stored.content_hash)


def utc_span(record: Record) -> tuple[int, int] | None:
    """[UTC of the first slot, UTC of the last slot + its length) of a samples or overflow record; None without UTC."""
    if record.utc_ms is None or not isinstance(record.body, (Samples, Overflow)):
        return None
    slots = record.body.slots
    first = record.utc_ms - (record.mono_ms - slots.first_slot_mono_ms)
    return first, first + slots.slot_count * slots.slot_ms


def is_plausible(span: tuple[int, int]) -> bool:
    """Whether a span lies where UTC may be; beyond, a module's arithmetic has failed."""
    return span[0] >= 0 and span[1] <= limits.UTC_PLAUSIBLE_UNTIL_MS


@dataclass(frozen=True, slots=True)
class Strip:
    """The slots of one record on the UTC axis: `values` float64 and `status` uint8, both (channels of the set, slots).

    An overflow record has neither: its slots are known, their readings lost.
    """

    seq: int
    content_hash: bytes
    parameters: ParameterSet
    first_utc_ms: int
    slot_ms: int
    slot_count: int
    values: Values | None
    status: Statuses | None

    @property
    def size(self) -> int:
        """Readings held."""
        return 0 if self.values is None else self.values.size

    def clip(self, start_utc_ms: int, end_utc_ms: int) -> tuple[int, int]:
        """Numbers [from, to) of the slots inside an interval; to <= from when there is none."""
        begin = -((self.first_utc_ms - start_utc_ms) // self.slot_ms)
        end = -((self.first_utc_ms - end_utc_ms) // self.slot_ms)
        return max(0, begin), min(self.slot_count, end)

    def touches(self, start_utc_ms: int, end_utc_ms: int) -> bool:
        """Whether a slot lies inside an interval."""
        begin, end = self.clip(start_utc_ms, end_utc_ms)
        return begin < end


def strip_of(record: Record, parameters: ParameterSet) -> Strip:
    """The slots of a record whose span is plausible. Raises ParametersError: the bytes have no meaning then."""
    span = utc_span(record)
    assert span is not None and isinstance(record.body, (Samples, Overflow))
    if record.body.slots.slot_ms != parameters.slot_ms:
        raise ParametersError("slot_ms", f"slots of {record.body.slots.slot_ms} ms, not {parameters.slot_ms}")
    values, status = None, None
    if isinstance(record.body, Samples):
        decoded = decode(record, parameters)
        values = np.stack([readings.values for readings in decoded.channels])
        status = np.stack([readings.status for readings in decoded.channels])
    slots = record.body.slots
    return Strip(
        seq=record.seq,
        content_hash=record.content_hash,
        parameters=parameters,
        first_utc_ms=span[0],
        slot_ms=slots.slot_ms,
        slot_count=slots.slot_count,
        values=values,
        status=status,
    )


@dataclass(frozen=True, slots=True)
class View:
    """What an interval takes from a strip: all channels (`row` None) or one; nothing but its slots where the
    channel is not comparable (PARAMETERS_CHANGED)."""

    strip: Strip
    row: int | None = None
    is_comparable: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """An interval filled: `values`, `status` (channels, positions), status ABSENT where no slot stands."""

    values: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint8]
    overlap_count: int


def place(views: Sequence[View], channel_count: int, slot_ms: int, start_utc_ms: int, interval_s: int) -> Placed:
    """Put the slots of `views`, which are in seq order, at their positions."""
    end_utc_ms = start_utc_ms + interval_s * 1000
    width = expected_slots(interval_s, slot_ms)
    values = np.zeros((channel_count, width))
    status = np.full((channel_count, width), ABSENT, np.uint8)
    is_taken = np.zeros(width, np.bool_)
    overlap_count = 0
    for view in views:
        strip = view.strip
        begin, end = strip.clip(start_utc_ms, end_utc_ms)
        if end <= begin:
            continue
        first = (strip.first_utc_ms + begin * strip.slot_ms - start_utc_ms) // slot_ms
        where: slice | npt.NDArray[np.int64] = slice(first, first + end - begin)
        what: slice | npt.NDArray[np.int64] = slice(begin, end)
        if strip.slot_ms != slot_ms or is_taken[where].any():
            slots = np.arange(begin, end, dtype=np.int64)
            positions = (strip.first_utc_ms + slots * strip.slot_ms - start_utc_ms) // slot_ms
            is_free = np.zeros(len(slots), np.bool_)
            is_free[np.unique(positions, return_index=True)[1]] = True
            is_free &= ~is_taken[positions]
            overlap_count += len(slots) - int(np.count_nonzero(is_free))
            where, what = positions[is_free], slots[is_free]
        is_taken[where] = True
        if not view.is_comparable:
            status[:, where] = PARAMETERS_CHANGED
        elif strip.values is None or strip.status is None:
            status[:, where] = causes.GAP_OVERFLOW
        else:
            rows = slice(None) if view.row is None else slice(view.row, view.row + 1)
            values[:, where] = strip.values[rows, what]
            status[:, where] = strip.status[rows, what]
    return Placed(values, status, overlap_count)


def is_same_measure(one: tuple[ChannelSpec, int], other: tuple[ChannelSpec, int]) -> bool:
    """Whether two (channel, slot_ms) may be averaged together: quantity, unit and slot distance are the same.

    Scale, offset, limits and analyzer may differ: each slot is read by the set of its own record.
    """
    return (one[0].quantity, one[0].unit, one[1]) == (other[0].quantity, other[0].unit, other[1])
