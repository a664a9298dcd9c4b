"""Stored records to strips: their slots on the UTC axis with values and statuses (SPEC.md sections 4.1, 4.2, 5).

Whole portions at a time: records of one parameter set are decoded together, which is faster than one by one by an
order of magnitude and gives the same, because every slot is read by itself. A record that cannot be averaged comes out
with the reason and never stops the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from acqwire import limits

from plumeproof.errors import EnvelopeError, EvidenceError, ParametersError
from plumeproof.evidence.decoding import Statuses, Values, decode
from plumeproof.evidence.envelope import build_sig_structure, decode_deterministic
from plumeproof.evidence.parameters import ParameterSet, check_samples
from plumeproof.evidence.record import parse_payload
from plumeproof.model import BlockReadings, Overflow, Record, Samples, StoredRecord

# Why a record with slots is not averaged, beside the codes of EvidenceError
NO_UTC = "no_utc"  # the module had no time yet
UTC_IMPLAUSIBLE = "utc_implausible"  # its slots lie before 1970 or after 2099
PARAMETERS_MISSING = "parameters_missing"  # its parameter set is not complete in the ledger
ROW_MISSING = "row_missing"  # it was averaged before, and is not in the ledger any more


class Strip(NamedTuple):
    """The slots of one record on the UTC axis: `values` float64 and `status` uint8, both (channels of the set, slots).

    An overflow record has neither: its slots are known, their readings lost. A tuple, because bulk work makes half a
    million of them for a stack-year.
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
    def end_utc_ms(self) -> int:
        """End of the last slot."""
        return self.first_utc_ms + self.slot_count * self.slot_ms

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


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored record: with a strip, or with the reason why it has none. `record` None: unreadable.

    `newest_slot_utc_ms`: time of its last slot where that is known.
    """

    seq: int
    record: Record | None
    strip: Strip | None
    reason: str
    newest_slot_utc_ms: int | None


def open_stored(stored: StoredRecord) -> Record:
    """The record of a ledger row. Its signature was verified before the commit and is not again (`verify` does).

    The content hash is: a row that was damaged since is never averaged. Raises EvidenceError.
    """
    parts = decode_deterministic(stored.envelope[1:], EnvelopeError)
    if not isinstance(parts, (list, tuple)) or len(parts) != 4 or not all(isinstance(parts[i], bytes) for i in (0, 2)):
        raise EnvelopeError("array", "stored row is no envelope")
    if hashlib.sha256(build_sig_structure(parts[0], parts[2])).digest() != stored.content_hash:
        raise EnvelopeError("content_hash", f"row of {stored.device} {stored.seq} is not what was stored")
    record = parse_payload(parts[2], stored.content_hash)
    if (record.device, record.seq, record.kind) != (stored.device, stored.seq, stored.kind):
        raise EnvelopeError("row", f"row of {stored.device} {stored.seq} holds {record.device} {record.seq}")
    return record


def open_slots(
    rows: Sequence[StoredRecord], parameters_of: Callable[[bytes], ParameterSet | None]
) -> dict[int, Opened]:
    """Samples and overflow records of one module, by seq. `parameters_of` gives None while a set is not complete."""
    opened: dict[int, Opened] = {}
    by_set: dict[bytes, list[Record]] = {}
    for stored in rows:
        record, at, reason = None, None, ""
        try:
            record = open_stored(stored)
            first_utc_ms, reason = _first_slot(record)
            if first_utc_ms is not None:
                assert isinstance(record.body, (Samples, Overflow))
                at = first_utc_ms + (record.body.slots.slot_count - 1) * record.body.slots.slot_ms
                parameters = parameters_of(record.parameters_hash)
                reason = PARAMETERS_MISSING if parameters is None else ""
                if parameters is not None:
                    _check(record, parameters)
                    by_set.setdefault(record.parameters_hash, []).append(record)
        except EvidenceError as error:
            reason = error.code
        opened[stored.seq] = Opened(stored.seq, record, None, reason, at)
    for parameters_hash, records in by_set.items():
        known = parameters_of(parameters_hash)
        assert known is not None
        for strip in strips_of(records, known):
            opened[strip.seq] = replace(opened[strip.seq], strip=strip)
    return opened


def strips_of(records: Sequence[Record], parameters: ParameterSet) -> list[Strip]:
    """The strips of records that have UTC and are of this parameter set. Raises ParametersError when one is not."""
    for record in records:
        _check(record, parameters)
    bodies = [record.body for record in records if isinstance(record.body, Samples)]
    values, status = np.zeros((len(parameters.channels), 0)), np.zeros((len(parameters.channels), 0), np.uint8)
    if bodies:
        decoded = decode(replace(records[0], body=_joined(bodies)), parameters)
        values = np.stack([readings.values for readings in decoded.channels])
        status = np.stack([readings.status for readings in decoded.channels])
    strips, at = [], 0
    for record in records:
        first_utc_ms, _ = _first_slot(record)
        assert isinstance(record.body, (Samples, Overflow)) and first_utc_ms is not None
        slots = record.body.slots
        part = slice(at, at + slots.slot_count)
        has_readings = isinstance(record.body, Samples)
        strips.append(
            Strip(
                seq=record.seq,
                content_hash=record.content_hash,
                parameters=parameters,
                first_utc_ms=first_utc_ms,
                slot_ms=slots.slot_ms,
                slot_count=slots.slot_count,
                values=values[:, part].copy() if has_readings else None,
                status=status[:, part].copy() if has_readings else None,
            )
        )
        at += slots.slot_count if has_readings else 0
    return strips


def _first_slot(record: Record) -> tuple[int | None, str]:
    """UTC of the first slot, by the record's own mapping; None and the reason where there is none to go by."""
    assert isinstance(record.body, (Samples, Overflow))
    if record.utc_ms is None:
        return None, NO_UTC
    slots = record.body.slots
    first = record.utc_ms - (record.mono_ms - slots.first_slot_mono_ms)
    if first < 0 or first + slots.slot_count * slots.slot_ms > limits.UTC_PLAUSIBLE_UNTIL_MS:
        return None, UTC_IMPLAUSIBLE  # a module's arithmetic has failed
    return first, ""


def _check(record: Record, parameters: ParameterSet) -> None:
    assert isinstance(record.body, (Samples, Overflow))
    if isinstance(record.body, Samples):
        check_samples(record.body, parameters)
    elif record.body.slots.slot_ms != parameters.slot_ms:
        raise ParametersError("slot_ms", f"slots of {record.body.slots.slot_ms} ms, not {parameters.slot_ms}")


def _joined(bodies: Sequence[Samples]) -> Samples:
    if len(bodies) == 1:
        return bodies[0]
    blocks = tuple(
        BlockReadings(b"".join(part.outcomes for part in parts), b"".join(part.data for part in parts))
        for parts in zip(*(body.blocks for body in bodies), strict=True)
    )
    slot_count = sum(body.slots.slot_count for body in bodies)
    return Samples(replace(bodies[0].slots, slot_count=slot_count), blocks, 0)
