"""Samples records of one form, verified and read many at once: every check of the slow way, a tenth of its time.

A module writes minute after minute the same bytes but for some numbers, outcomes, registers and the signature. The
first record of such a row goes through envelope.py and record.py; where its numbers stand is found in it, and every
other record must have the same bytes around them. So heads, keys, lengths and order are the strict ones by comparison;
what may differ is checked as record.py does: shortest encoding, range, outcome bytes. Signatures are verified one by
one. A record that does not fit, or fails, is not judged here: it is left to the slow way, which names the fault.

    strips, rest = strips_alike(raws, keys.public_key, keys.find, sets.get)
    groups, rest = records_alike(raws, keys.public_key, keys.find, sets.get)  # with what a chain asks of a record
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from acqwire import causes, fields, limits

from plumeproof.errors import EvidenceError
from plumeproof.evidence.decoding import decode
from plumeproof.evidence.envelope import build_sig_structure, verify_envelope, verify_signature
from plumeproof.evidence.parameters import ParameterSet, check_samples
from plumeproof.evidence.record import MODULE_OUTCOMES, parse_record
from plumeproof.evidence.strips import Strip
from plumeproof.model import BlockReadings, Record, Samples

FORMS_MAX = 8  # tried among records of one length; the rest goes the slow way
ALIKE_MIN = 4  # fewer are not worth the arrays
NUMBER_END = 2**62  # beyond it a sum might leave int64; a module's clock does not
PROTECTED_AT = 2  # behind the tag and the head of the array
PAIR = 0x82  # head of an array of two
SHORT_MAX = 27  # of a head's low bits with a number

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
_PLACING = {fields.SEQ, fields.MONO_MS, fields.UTC_MS, fields.FIRST_SLOT_MONO_MS}  # say which slots they are
_SHORTEST = {0: 0, 1: 24, 2: 2**8, 4: 2**16, 8: 2**32}  # least value of a number of so many bytes behind its head
_IS_OUTCOME = np.zeros(256, np.bool_)
_IS_OUTCOME[list(MODULE_OUTCOMES)] = True

Matrix = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things stand in an envelope. `numbers`: field to place and bytes (0: in the head). `blocks`: of each the
    outcomes and the registers. `shared`: the bytes that all of its form have."""

    payload: Span
    prev: Span
    numbers: dict[int, Span]
    blocks: tuple[tuple[Span, Span], ...]
    shared: Integers


@dataclass(frozen=True, slots=True)
class _Form:
    """The first of records of one form. `prefix`: what stands before the payload in what is signed."""

    places: _Places
    kid: bytes
    record: Record
    samples: Samples
    parameters: ParameterSet
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Alike:
    """Records of one form that hold, ascending by `numbers`, their places among those given; the other lists go with
    them. What they share: device, boot, slot count, key. `are_high_s`: no module makes such a signature."""

    record: Record
    kid: bytes
    numbers: list[int]
    strips: list[Strip]
    prevs: list[bytes]
    mono_ms: list[int]
    first_slots: list[int]
    are_high_s: list[bool]


def records_alike(
    raws: Sequence[bytes],
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
    parameters_of: Callable[[bytes], ParameterSet | None],
    is_verified: bool = False,
) -> tuple[list[Alike], list[int]]:
    """Groups, and the numbers of all that must go the slow way, ascending.

    `find_key` refuses a key for a device and seq; a key that may sign two seqs may sign those between. `is_verified`:
    signatures are not asked again but for the first of a form; the caller compares the content hashes with his.
    """
    by_length: dict[int, list[int]] = {}
    for number, raw in enumerate(raws):
        by_length.setdefault(len(raw), []).append(number)
    groups: list[Alike] = []
    for numbers in by_length.values():
        left = numbers
        for _ in range(FORMS_MAX):
            if len(left) < ALIKE_MIN:
                break
            form = _form_of(raws[left[0]], public_key_of_kid, find_key, parameters_of)
            if form is None:
                left = left[1:]
                continue
            group = _read(form, left, [raws[number] for number in left], find_key, is_verified)
            if group is None:
                left = left[1:]
                continue
            groups.append(group)
            taken = set(group.numbers)
            left = [number for number in left if number not in taken]
    known = {number for group in groups for number in group.numbers}
    return groups, [number for number in range(len(raws)) if number not in known]


def strips_alike(
    raws: Sequence[bytes],
    public_key_of_kid: Callable[[bytes], bytes],
    find_key: Callable[[bytes, str, int], bytes],
    parameters_of: Callable[[bytes], ParameterSet | None],
) -> tuple[dict[int, tuple[str, Strip]], list[int]]:
    """(device, strip) by number in `raws`, and the numbers of all that must go the slow way, as `records_alike`."""
    groups, rest = records_alike(raws, public_key_of_kid, find_key, parameters_of)
    return {
        number: (group.record.device, strip)
        for group in groups
        for number, strip in zip(group.numbers, group.strips, strict=True)
    }, rest


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
    places = _places(raw)
    assert places is not None  # of a record that was read, by its strict form
    _, length, at, _ = _head(raw, PROTECTED_AT)
    signed = build_sig_structure(raw[at : at + length], envelope.payload)
    prefix = signed[: len(signed) - len(envelope.payload)]
    return _Form(places, envelope.kid, record, record.body, parameters, prefix)


def _head(raw: bytes, at: int) -> tuple[int, int, int, int]:
    """Of the CBOR head at a place: major type, its number, where what follows begins, bytes of the number.

    Raises ValueError for an indefinite length, IndexError behind the end."""
    major, short = raw[at] >> 5, raw[at] & 31
    if short > SHORT_MAX:
        raise ValueError("no definite length")
    width = 0 if short < 24 else 1 << (short - 24)
    end = at + 1 + width
    return major, short if width == 0 else int.from_bytes(raw[at + 1 : end], "big"), end, width


def _string(raw: bytes, at: int, major: int = 2) -> Span:
    """Content of the byte string at a place. Raises ValueError, IndexError."""
    found, length, start, _ = _head(raw, at)
    if found != major or start + length > len(raw):
        raise ValueError("no string")
    return start, start + length


def _places(raw: bytes) -> _Places | None:
    """Of an envelope with slots that nobody may have checked; None for one that is not built as such a record."""
    try:
        _, protected_end = _string(raw, PROTECTED_AT)
        payload = _string(raw, protected_end + 1)  # behind the empty map
        signature = _string(raw, payload[1])
        major, entries, at, _ = _head(raw, payload[0])
        if major != 5 or raw[protected_end] != 0xA0 or signature[1] != len(raw):
            return None
        numbers: dict[int, Span] = {}
        blocks: list[tuple[Span, Span]] = []
        free, prev = [signature], (0, 0)
        for _ in range(entries):
            is_key, key, at, _ = _head(raw, at)
            major, value, end, width = _head(raw, at)
            if is_key or (key in _FREE_LEAST and major):
                return None
            if key in _FREE_LEAST:
                numbers[key] = (at, 0) if width == 0 else (at + 1, width)
                free.append((at + (width > 0), end))
            elif key == fields.BLOCKS and major == 4:
                for _ in range(value):
                    if raw[end] != PAIR:
                        return None
                    outcomes = _string(raw, end + 1)
                    data = _string(raw, outcomes[1])
                    blocks.append((outcomes, data))
                    free += [outcomes, data]
                    end = data[1]
            elif major in (2, 3):
                own = _string(raw, at, major)
                end = own[1]
                if key == fields.PREV and major == 2:
                    prev = own
                    free.append(own)
            elif major > 1:
                return None
            at = end
        if at != payload[1]:
            return None
    except (ValueError, IndexError):
        return None
    is_shared = np.ones(len(raw), np.bool_)
    for first, end in free:
        is_shared[first:end] = False
    return _Places(payload, prev, numbers, tuple(blocks), np.flatnonzero(is_shared))


def slots_alike(raws: Sequence[bytes]) -> dict[int, tuple[int, int, int]]:
    """(seq, number of the first slot's UTC ms, record that has the same form) of envelopes, by number in `raws`, none
    of it verified. Only of those with UTC that are built as the first of their length; the rest is left out."""
    by_length: dict[int, list[int]] = {}
    for number, raw in enumerate(raws):
        by_length.setdefault(len(raw), []).append(number)
    found: dict[int, tuple[int, int, int]] = {}
    for own in by_length.values():
        places = _places(raws[own[0]]) if len(own) >= ALIKE_MIN else None
        if places is None or not _PLACING <= places.numbers.keys():
            continue
        table, fits = _table([raws[number] for number in own], places)
        values = {key: _numbers(table, place, fits) for key, place in places.numbers.items()}
        first = values[fields.UTC_MS] - (values[fields.MONO_MS] - values[fields.FIRST_SLOT_MONO_MS])
        seqs, firsts = values[fields.SEQ].tolist(), first.tolist()
        for at in np.flatnonzero(fits).tolist():
            found[own[at]] = (seqs[at], firsts[at], own[0])
    return found


def _table(raws: Sequence[bytes], places: _Places) -> tuple[Matrix, Truths]:
    """Envelopes of one length as rows of bytes, and which have what is shared with the first."""
    table = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), -1)
    shared = table[:, places.shared]
    return table, (shared == shared[0]).all(axis=1)


def _read(
    form: _Form,
    numbers: Sequence[int],
    raws: Sequence[bytes],
    find_key: Callable[[bytes, str, int], bytes],
    is_verified: bool,
) -> Alike | None:
    """Those of envelopes of one length that have the form and hold; None where none does."""
    places, slots = form.places, form.samples.slots
    table, fits = _table(raws, places)
    values = {key: _numbers(table, place, fits) for key, place in places.numbers.items()}
    for key, (_, width) in places.numbers.items():
        fits &= values[key] >= max(_FREE_LEAST[key], _SHORTEST[width])
    fits &= values[fields.SYNC_SEQ] <= values[fields.SEQ]
    for outcomes, _ in places.blocks:
        own = table[:, outcomes[0] : outcomes[1]]
        count = np.count_nonzero(own == causes.VALUE, axis=1)
        fits &= _IS_OUTCOME[own].all(axis=1) & (count == count[0])
    first = values[fields.UTC_MS] - (values[fields.MONO_MS] - values[fields.FIRST_SLOT_MONO_MS])
    fits &= (first >= 0) & (first + slots.slot_count * slots.slot_ms <= limits.UTC_PLAUSIBLE_UNTIL_MS)
    found = np.flatnonzero(fits).tolist()
    seqs = values[fields.SEQ].tolist()
    hashes = _verified(form, raws, found, find_key, seqs, is_verified)
    kept = [at for at in found if at in hashes]
    if not kept:
        return None
    readings = decode(_joined(form, table, np.array(kept)), form.parameters)
    shown = np.stack([one.values for one in readings.channels])
    status = np.stack([one.status for one in readings.channels])
    times, width, (begin, end) = first.tolist(), slots.slot_count, places.prev
    strips = [
        Strip(
            seqs[at], hashes[at][0], form.parameters, times[at], slots.slot_ms, width,
            shown[:, place * width : (place + 1) * width], status[:, place * width : (place + 1) * width],
        )
        for place, at in enumerate(kept)
    ]  # fmt: skip
    mono_ms, slot = values[fields.MONO_MS].tolist(), values[fields.FIRST_SLOT].tolist()
    return Alike(
        record=form.record,
        kid=form.kid,
        numbers=[numbers[at] for at in kept],
        strips=strips,
        prevs=[raws[at][begin:end] for at in kept],
        mono_ms=[mono_ms[at] for at in kept],
        first_slots=[slot[at] for at in kept],
        are_high_s=[hashes[at][1] for at in kept],
    )


def _numbers(table: Matrix, place: Span, fits: Truths) -> Integers:
    """The numbers at a place; takes those out of `fits` that are none, or from NUMBER_END on."""
    at, width = place
    if width == 0:
        found = table[:, at].astype(np.int64)
        fits &= found < 24  # else it is a head of another kind
    else:
        found = np.zeros(len(table), np.int64)
        fits &= (table[:, at] < NUMBER_END >> 56) | (width < 8)
        for column in range(at, at + width):
            found = (found << 8) | table[:, column]
    return found


def _verified(
    form: _Form,
    raws: Sequence[bytes],
    chosen: Sequence[int],
    find_key: Callable[[bytes, str, int], bytes],
    seqs: Sequence[int],
    is_verified: bool,
) -> dict[int, tuple[bytes, bool]]:
    """Content hashes of those whose signature holds, and whether it has the high s."""
    kid, device = form.kid, form.record.device
    own = [seqs[at] for at in chosen]
    found: dict[int, tuple[bytes, bool]] = {}
    try:
        find_key(kid, device, min(own))
        public_key = find_key(kid, device, max(own))
    except (EvidenceError, ValueError):  # not for all of them: each is asked for on the slow way
        return found
    prefix, (start, end) = form.prefix, form.places.payload
    for at in chosen:
        raw = raws[at]
        digest = hashlib.sha256(prefix + raw[start:end]).digest()
        is_high_s = False
        if not is_verified:
            try:
                is_high_s = verify_signature(public_key, digest, raw[-limits.SIGNATURE_BYTES :])
            except EvidenceError:
                continue
        found[at] = digest, is_high_s
    return found


def _joined(form: _Form, table: Matrix, chosen: Integers) -> Record:
    """The readings of all as those of one long record."""
    blocks = tuple(
        BlockReadings(table[chosen, outcomes[0] : outcomes[1]].tobytes(), table[chosen, data[0] : data[1]].tobytes())
        for outcomes, data in form.places.blocks
    )
    slots = replace(form.samples.slots, slot_count=form.samples.slots.slot_count * len(chosen))
    return replace(form.record, body=Samples(slots, blocks, 0))
