"""Samples records of one form, verified and read many at once: every check of the slow way, a tenth of its time.

A module writes minute after minute the same bytes but for some numbers, outcomes, registers and the signature. The first
record of such a row goes through envelope.py and record.py; where its numbers stand is found in it, and every other
record must have the same bytes around them. So heads, keys, lengths and order are the strict ones by comparison; what
may differ is checked as record.py does: shortest encoding, range, outcome bytes. Signatures are verified one by one.
A record that does not fit, or fails, is not judged here: it is left to the slow way, which names the fault.

    strips, rest = strips_alike(raws, keys.public_key, keys.find, sets.get)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from acqwire import causes, fields, limits

from plumeproof.errors import EvidenceError
from plumeproof.evidence.decoding import decode
from plumeproof.evidence.envelope import build_sig_structure, verify_envelope, verify_signature
from plumeproof.evidence.parameters import ParameterSet, check_samples
from plumeproof.evidence.record import MODULE_OUTCOMES, parse_record
from plumeproof.evidence.strips import Strip
from plumeproof.model import BlockReadings, Envelope, Record, Samples

FORMS_MAX = 8  # tried among records of one length; the rest goes the slow way
ALIKE_MIN = 4  # fewer are not worth the arrays
NUMBER_END = 2**62  # beyond it a sum might leave int64; a module's clock does not
SIGNATURE_HEAD = bytes((0x58, limits.SIGNATURE_BYTES))

# What may differ from record to record, with the least value; what they share stays below what record.py allows
_FREE_LEAST = {
    fields.SEQ: 1,
    fields.MONO_MS: 0,
    fields.UTC_MS: 0,
    fields.UTC_UNC_MS: 0,
    fields.SYNC_SEQ: 1,
    fields.FIRST_SLOT: 0,
    fields.FIRST_SLOT_MONO_MS: 0,
    fields.RETRIES: 0,
}
_SHORTEST = {0: 0, 1: 24, 2: 2**8, 4: 2**16, 8: 2**32}  # least value of a number of so many bytes behind its head
_IS_OUTCOME = np.zeros(256, np.bool_)
_IS_OUTCOME[list(MODULE_OUTCOMES)] = True

Matrix = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Form:
    """Where things stand in an envelope of `template`'s form. `numbers`: field to place and bytes (0: in the head).
    `blocks`: of each the outcomes and the registers. `is_same`: bytes that all share."""

    envelope: Envelope
    record: Record
    parameters: ParameterSet
    payload: Span
    numbers: dict[int, Span]
    blocks: tuple[tuple[Span, Span], ...]
    shared: Integers = field(repr=False)

    @property
    def prefix(self) -> bytes:
        """What stands before the payload in what is signed."""
        raw = self.envelope
        protected = raw.raw[3 : 3 + raw.raw[2] - 0x40] if raw.raw[2] < 0x58 else raw.raw[4 : 4 + raw.raw[3]]
        return build_sig_structure(protected, raw.payload)[: -len(raw.payload)]


def strips_alike(
    raws: Sequence[bytes],
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
    parameters_of: Callable[[bytes], ParameterSet | None],
) -> tuple[dict[int, tuple[str, Strip]], list[int]]:
    """(device, strip) by number in `raws`, and the numbers of all that must go the slow way, ascending.

    `find_key` refuses a key for a device and seq; a key that may sign two seqs may sign those between.
    """
    by_length: dict[int, list[int]] = {}
    for number, raw in enumerate(raws):
        by_length.setdefault(len(raw), []).append(number)
    found: dict[int, tuple[str, Strip]] = {}
    for numbers in by_length.values():
        left = numbers
        for _ in range(FORMS_MAX):
            if len(left) < ALIKE_MIN:
                break
            form = _form_of(raws[left[0]], public_key_of_kid, find_key, parameters_of)
            if form is None:
                left = left[1:]
                continue
            fits, strips = _read(form, [raws[number] for number in left], public_key_of_kid, find_key)
            taken = {left[at]: (form.record.device, strip) for at, strip in zip(fits, strips, strict=True)}
            found |= taken
            left = [number for number in left if number not in taken]
            if not taken:
                left = left[1:]
    return found, [number for number in range(len(raws)) if number not in found]


def _form_of(
    raw: bytes,
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
    parameters_of: Callable[[bytes], ParameterSet | None],
) -> _Form | None:
    """The form of a samples record with UTC that passes every check; None for any other."""
    try:
        envelope = verify_envelope(raw, public_key_of_kid)
        record = parse_record(envelope)
        find_key(envelope.kid, record.device, record.seq)
        parameters = parameters_of(record.parameters_hash)
        if not isinstance(record.body, Samples) or record.utc_ms is None or parameters is None:
            return None
        check_samples(record.body, parameters)
    except EvidenceError:
        return None
    start = len(raw) - limits.SIGNATURE_BYTES - len(SIGNATURE_HEAD) - len(envelope.payload)
    numbers, blocks, prev = _places(raw, start)
    is_shared = np.ones(len(raw), np.bool_)
    is_shared[len(raw) - limits.SIGNATURE_BYTES :] = False
    for at, width in numbers.values():
        is_shared[at : at + max(1, width)] = False
    for first, end in (prev, *(span for pair in blocks for span in pair)):
        is_shared[first:end] = False
    payload = (start, start + len(envelope.payload))
    return _Form(envelope, record, parameters, payload, numbers, blocks, np.flatnonzero(is_shared))


def _head(raw: bytes, at: int) -> tuple[int, int, int, int]:
    """Of the CBOR head at a place: major type, its number, where what follows begins, bytes of the number."""
    major, short = raw[at] >> 5, raw[at] & 31
    width = 0 if short < 24 else 1 << (short - 24)
    end = at + 1 + width
    return major, short if width == 0 else int.from_bytes(raw[at + 1 : end], "big"), end, width


def _places(raw: bytes, start: int) -> tuple[dict[int, Span], tuple[tuple[Span, Span], ...], Span]:
    """Where the free numbers, the blocks and `prev` stand in a payload that record.py has read."""
    _, entries, at, _ = _head(raw, start)
    numbers: dict[int, Span] = {}
    blocks: list[tuple[Span, Span]] = []
    prev = (0, 0)
    for _ in range(entries):
        _, key, at, _ = _head(raw, at)
        major, value, end, width = _head(raw, at)
        if key in _FREE_LEAST:
            numbers[key] = (at, 0) if width == 0 else (at + 1, width)
        elif key == fields.PREV:
            prev = (end, end + value)
        elif key == fields.BLOCKS:
            for _ in range(value):
                _, _, inner, _ = _head(raw, end)
                pair = []
                for _ in range(2):
                    _, length, first, _ = _head(raw, inner)
                    inner = first + length
                    pair.append((first, inner))
                blocks.append((pair[0], pair[1]))
                end = inner
        at = end + (value if major in (2, 3) else 0)
    return numbers, tuple(blocks), prev


def _read(
    form: _Form,
    raws: Sequence[bytes],
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
) -> tuple[list[int], list[Strip]]:
    """Which of envelopes of one length have the form and hold, and their strips."""
    table = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), -1)
    fits = (table[:, form.shared] == table[0, form.shared]).all(axis=1)
    values = {key: _numbers(table, place, fits, _FREE_LEAST[key]) for key, place in form.numbers.items()}
    fits &= values[fields.SYNC_SEQ] <= values[fields.SEQ]
    for outcomes, data in form.blocks:
        own = table[:, outcomes[0] : outcomes[1]]
        count = np.count_nonzero(own == causes.VALUE, axis=1)
        fits &= _IS_OUTCOME[own].all(axis=1) & (count == count[0])
    first = values[fields.UTC_MS] - (values[fields.MONO_MS] - values[fields.FIRST_SLOT_MONO_MS])
    slots = form.record.body.slots if isinstance(form.record.body, Samples) else None
    assert slots is not None  # _form_of
    fits &= (first >= 0) & (first + slots.slot_count * slots.slot_ms <= limits.UTC_PLAUSIBLE_UNTIL_MS)
    found = np.flatnonzero(fits).tolist()
    seqs = values[fields.SEQ].tolist()
    hashes = _verified(form, raws, found, public_key_of_kid, find_key, seqs)
    kept = [at for at in found if at in hashes]
    if not kept:
        return [], []
    readings = decode(_joined(form, table, np.array(kept)), form.parameters)
    shown = np.stack([one.values for one in readings.channels])
    status = np.stack([one.status for one in readings.channels])
    times, width = first.tolist(), slots.slot_count
    return kept, [
        Strip(
            seqs[at], hashes[at], form.parameters, times[at], slots.slot_ms, width,
            shown[:, place * width : (place + 1) * width], status[:, place * width : (place + 1) * width],
        )
        for place, at in enumerate(kept)
    ]  # fmt: skip


def _numbers(table: Matrix, place: Span, fits: Truths, least: int) -> Integers:
    """The numbers at a place; takes out of `fits` those that are not in their shortest form or out of range."""
    at, width = place
    if width == 0:
        found = table[:, at].astype(np.int64)
        fits &= found < 24  # else it is a head of another kind
    else:
        found = np.zeros(len(table), np.int64)
        fits &= (table[:, at] < 0x40) | (width < 8)  # below NUMBER_END
        for column in range(at, at + width):
            found = (found << 8) | table[:, column]
    fits &= found >= max(least, _SHORTEST[width])
    return found


def _verified(
    form: _Form,
    raws: Sequence[bytes],
    chosen: Sequence[int],
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
    seqs: Sequence[int],
) -> dict[int, bytes]:
    """Content hashes of those whose signature holds."""
    kid, device = form.envelope.kid, form.record.device
    own = [seqs[at] for at in chosen]
    found: dict[int, bytes] = {}
    try:
        find_key(kid, device, min(own))
        public_key = find_key(kid, device, max(own))
    except (EvidenceError, ValueError):  # not for all of them: each is asked for on the slow way
        return found
    prefix, (start, end) = form.prefix, form.payload
    for at in chosen:
        raw = raws[at]
        digest = hashlib.sha256(prefix + raw[start:end]).digest()
        try:
            verify_signature(public_key, digest, raw[-limits.SIGNATURE_BYTES :])
        except EvidenceError:
            continue
        found[at] = digest
    return found


def _joined(form: _Form, table: Matrix, chosen: Integers) -> Record:
    """The readings of all as those of one long record."""
    body: Any = form.record.body
    blocks = tuple(
        BlockReadings(table[chosen, outcomes[0] : outcomes[1]].tobytes(), table[chosen, data[0] : data[1]].tobytes())
        for outcomes, data in form.blocks
    )
    slots = replace(body.slots, slot_count=body.slots.slot_count * len(chosen))
    return replace(form.record, body=Samples(slots, blocks, 0))
