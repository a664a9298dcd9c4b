"""Records read many at once are those that the strict readers take, with the same slots; everything else is left."""

from __future__ import annotations

import random
import statistics

import cbor2
import numpy as np
import pytest
from acqwire import fields, limits
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.archive import _outline, _outlines
from plumeproof.errors import EnvelopeError, EvidenceError
from plumeproof.evidence.alike import strips_alike
from plumeproof.evidence.envelope import build_sig_structure, verify_envelope
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.evidence.strips import strips_of
from plumeproof.keys import parse_keys
from tests.doubles.signed_module import SignedModule, write_keys
from tests.doubles.timed_module import START_UTC_MS

COUNT = 40


class Row:
    """Unpacks to module, envelopes with slots, keys and parameter sets by hash; short when hypothesis prints it."""

    def __init__(self, *parts):
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    """Some have gaps, and their seqs grow to two bytes."""
    module, rng = SignedModule(), random.Random(3)
    module.clock_offset_ms = START_UTC_MS
    module.start()
    while len(module.sealed) < 235:
        module.sample([(0, 1.0, 1, False)])
    first = len(module.sealed)
    for _ in range(COUNT):
        module.sample([(rng.choice([0] * 30 + [1]), rng.gauss(100, 20), rng.randrange(300), False) for _ in range(20)])
    raws = [envelope.raw for _, envelope in module.sealed[first:]]
    keys = parse_keys(write_keys(tmp_path_factory.mktemp("keys") / "keys.json", module).read_bytes(), "keys")
    sets = {}
    for record, _ in module.sealed:
        if hasattr(record.body, "part_bytes"):
            sets[record.body.part_hash] = parse_parameters(record.body.part_bytes, record.body.part_hash)
    return Row(module, raws, keys, sets)


def read_strictly(raw, keys, sets):
    """The strip by the readers of one record, None where they refuse."""
    try:
        envelope = verify_envelope(raw, keys.public_key)
        record = parse_record(envelope)
        keys.find(envelope.kid, record.device, record.seq)
        (strip,) = strips_of([record], sets[record.parameters_hash])
    except (EvidenceError, KeyError, AssertionError):
        return None
    return record.device, strip


def assert_same(one, other):
    assert one[0] == other[0]
    for name in ("seq", "content_hash", "parameters", "first_utc_ms", "slot_ms", "slot_count"):
        assert getattr(one[1], name) == getattr(other[1], name), name
    assert np.array_equal(one[1].values.view(np.int64), other[1].values.view(np.int64))
    assert np.array_equal(one[1].status, other[1].status)


def sealed_again(module, raw, change):
    """The envelope with another payload under a good signature."""
    protected, unprotected, payload, _ = cbor2.loads(raw).value
    payload = change(payload)
    signature = module.sign(build_sig_structure(protected, payload))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature]), canonical=True)


def test_most_are_taken_and_all_are_the_same(row):
    _, raws, keys, sets = row
    found, rest = strips_alike(raws, keys.public_key, keys.find, sets.get)
    assert len(found) >= COUNT // 3
    assert sorted((*found, *rest)) == list(range(COUNT))
    for number, one in found.items():
        assert_same(one, read_strictly(raws[number], keys, sets))


@settings(max_examples=400)
@given(st.integers(0, COUNT - 1), st.one_of(st.integers(0, 250), st.integers(0, 2000)), st.integers(0, 255))
def test_nothing_is_taken_that_the_strict_readers_refuse(row, number, place, value):
    """A byte of the payload is another one, and the signature is good: only form and ranges can refuse it."""
    module, raws, keys, sets = row
    raws = list(raws)
    payload = cbor2.loads(raws[number]).value[2]
    at = place % len(payload)  # heads, keys and numbers stand in front of the blocks and behind them
    raws[number] = sealed_again(module, raws[number], lambda own: own[:at] + bytes([value]) + own[at + 1 :])
    found, _ = strips_alike(raws, keys.public_key, keys.find, sets.get)
    if number in found:
        strict = read_strictly(raws[number], keys, sets)
        assert strict is not None
        assert_same(found[number], strict)
    # and the index says of it what the reader of one says
    assert _outlines(raws) == [_outline(raw) for raw in raws]


def test_every_byte_before_and_behind_the_blocks_is_minded(row):
    """Small and large values at each place, beside a record that is right: lengths, heads, shortest forms, ranges."""
    module, raws, keys, sets = row
    size = statistics.mode(len(raw) for raw in raws)
    alike = [raw for raw in raws if len(raw) == size]
    length = len(cbor2.loads(alike[0]).value[2])
    taken = 0
    for at in (*range(260), *range(length - 8, length)):
        changed = [
            sealed_again(module, alike[1], lambda own, at=at, byte=byte: own[:at] + bytes([byte]) + own[at + 1 :])
            for byte in (0, 1, 23, 24, 63, 64, 127, 255)
        ]
        beside = [alike[0], *changed, *alike[2:5]]
        found, _ = strips_alike(beside, keys.public_key, keys.find, sets.get)
        for number, one in found.items():
            strict = read_strictly(beside[number], keys, sets)
            assert strict is not None, (at, number)
            assert_same(one, strict)
        taken += len(found) - 4
    assert taken > 100


def test_a_synchronisation_from_the_future_is_left_to_the_slow_way(row):
    module, raws, keys, sets = row

    def synced(raw, distance):
        def change(payload):
            body = cbor2.loads(payload)
            body[fields.SYNC_SEQ] = body[fields.SEQ] + distance
            return cbor2.dumps(body, canonical=True)

        return sealed_again(module, raw, change)

    of_two_bytes = raws[256 - 235 :]
    length = statistics.mode(len(raw) for raw in of_two_bytes)
    late = [raw for raw in of_two_bytes if len(raw) == length]
    changed = [synced(raw, -1) for raw in late]
    model = max(strips_alike(changed, keys.public_key, keys.find, sets.get)[0])
    changed[model] = synced(late[model], 1)
    found, rest = strips_alike(changed, keys.public_key, keys.find, sets.get)
    assert model in rest and len(found) >= 4
    assert read_strictly(changed[model], keys, sets) is None


@pytest.mark.parametrize("place", [0, 1, 2, 5, 20, -1, -64])
def test_a_bad_envelope_is_left_to_the_slow_way(row, place):
    _, raws, keys, sets = row
    raws = list(raws)
    bad = bytearray(raws[7])
    bad[place] ^= 1
    raws[7] = bytes(bad)
    found, rest = strips_alike(raws, keys.public_key, keys.find, sets.get)
    assert 7 in rest and len(found) >= COUNT // 3


def test_a_key_that_may_not_sign_all_of_them_takes_none(row):
    _, raws, keys, sets = row

    def find(kid, device, seq):
        if seq > 250:
            raise EnvelopeError("key_revoked", "")
        return keys.find(kid, device, seq)

    found, rest = strips_alike(raws, keys.public_key, find, sets.get)
    assert all(strip.seq <= 250 for _, strip in found.values())
    assert len(rest) >= 20


def test_nothing_and_rubbish():
    keys = parse_keys(b"[]", "keys")
    rubbish = [b"", b"\xd2", b"\xd2\x84", bytes(limits.ENVELOPE_MAX_BYTES)] * 5
    assert strips_alike(rubbish, keys.public_key, keys.find, {}.get) == ({}, list(range(20)))
    assert _outlines(rubbish) == [None] * 20
