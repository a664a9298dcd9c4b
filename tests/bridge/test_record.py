"""evidence.record: every range, type and limit of SPEC.md section 4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from acqwire import causes, counts
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RecordError
from plumeproof.evidence.envelope import decode_deterministic, verify_envelope
from plumeproof.evidence.record import parse_payload, parse_record
from plumeproof.model import Health, UnknownBody
from tests.doubles.evidence_chain import BOOT_BODY, POINT, build_payload, seal

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "records.json").read_text())["records"]
PAYLOADS = {vector["name"]: cbor2.loads(bytes.fromhex(vector["payload"])) for vector in VECTORS}
HASH = bytes(32)


def parse(entries: dict[Any, Any]):
    return parse_payload(cbor2.dumps(entries, canonical=True), HASH)


REFUSED = [
    ("boot", {1: 2}, "version"),
    ("boot", {1: True}, "type"),
    ("boot", {3: ""}, "range"),
    ("boot", {3: "a" * 33}, "range"),
    ("boot", {3: "A"}, "range"),
    ("boot", {4: 0}, "range"),
    ("boot", {4: 2**32}, "range"),
    ("boot", {5: 0}, "range"),
    ("boot", {5: 2**63}, "range"),
    ("boot", {5: 1.0}, "type"),
    ("boot", {5: None}, "type"),
    ("boot", {6: bytes(31)}, "range"),
    ("boot", {8: 1}, "utc"),
    ("boot", {9: 5}, "range"),
    ("boot", {9: 1}, "utc"),
    ("boot", {30: 4}, "range"),
    ("boot", {31: "x" * 257}, "limits"),
    ("boot", {99: 1}, "key_unknown"),
    ("boot", {-1: 1}, "key_type"),
    ("boot", {"a": 1}, "key_type"),
    ("samples", {11: 5}, "range"),
    ("samples", {21: 3}, "outcomes"),
    ("samples", {21: 0}, "range"),
    ("samples", {22: 99}, "range"),
    ("samples", {24: []}, "range"),
    ("samples", {24: [[b"\x00\x00", b"123"]]}, "data"),
    ("samples", {24: [[b"\x00\x00", b""]]}, "data"),
    ("samples", {24: [[b"\x01\x01", b"12"]]}, "data"),
    ("samples", {24: [[b"\x00\x09", b"12"]]}, "outcomes"),
    ("samples", {24: [[b"\x00\x40", b"12"]]}, "outcomes"),
    ("samples", {24: [[b"\x00\x80", b"12"]]}, "outcomes"),
    ("samples", {24: [[b"\x00\x01", b"1" * 251]]}, "data"),
    ("samples", {24: [[b"\x00\x01"]]}, "type"),
    ("samples", {24: [[b"\x01\x01", b"1" * 2049]]}, "limits"),
    ("overflow", {20: 2**63 - 1}, "range"),
    ("parameters", {42: 0}, "range"),
    ("parameters", {41: 1}, "range"),
    ("parameters", {43: b""}, "range"),
    ("time_sync_first", {52: bytes(7)}, "range"),
    ("time_sync_first", {54: 2**63}, "type"),
    ("time_sync_first", {54: True}, "type"),
    ("time_sync_first", {55: 0}, "range"),
    ("event", {61: list(range(17))}, "range"),
    ("event", {61: [2**64]}, "cbor"),
    ("event", {61: [True]}, "type"),
    ("event", {61: [1.5]}, "type"),
    ("event", {60: 65536}, "range"),
    ("health", {30: 4}, "range"),
    ("health", {70: []}, "range"),
    ("health", {70: [[0] * 14] * 33}, "range"),
    ("health", {70: [[0] * 13]}, "range"),
    ("health", {70: [[0] * 15]}, "range"),
    ("health", {70: [[]]}, "range"),
    ("health", {70: [5]}, "type"),
    ("health", {70: 5}, "type"),
    ("health", {70: [[-1] + [0] * 13]}, "range"),
    ("health", {70: [[2**30] + [0] * 13]}, "range"),
    ("health", {70: [[True] + [0] * 13]}, "type"),
    ("health", {71: 2**30}, "range"),
    ("health", {72: [1, 2]}, "range"),
    ("health", {73: [1, 2, b"3"]}, "type"),
    ("health", {74: 2**32}, "range"),
    ("health", {75: 0}, "key_unknown"),
    ("unknown_kind", {100: [0] * 257}, "limits"),
    ("unknown_kind", {100: 1.5}, "type"),
]


@pytest.mark.parametrize(("name", "change", "code"), REFUSED)
def test_refused(name, change, code):
    with pytest.raises(RecordError) as caught:
        parse(PAYLOADS[name] | change)
    assert caught.value.code == code


def test_health():
    body = parse(PAYLOADS["health"]).body
    assert isinstance(body, Health)
    assert body.analyzers[0][counts.ROUND_LEAST_US] == 5200 and body.analyzers[1][counts.ROUND_MOST_US] == 2**30 - 1
    assert body.analyzers[1][causes.GAP_TIMEOUT] == body.analyzers[1][counts.EXCEPTIONS] == 1
    assert (body.reset_cause, body.stray_bytes, body.link, body.journal) == (1, 12, (40, 2, 0), (0, 1, 9))
    assert body.heap_free == 51_200
    assert parse(PAYLOADS["health"] | {70: [[0] * 14] * 32}).body.analyzers == ((0,) * 14,) * 32


@pytest.mark.parametrize("name", sorted(set(PAYLOADS) - {"unknown_kind"}))
def test_every_key_is_needed(name):
    for key in PAYLOADS[name]:
        if key in (37, 54):
            continue  # absent where no secure element counts, and for the first mapping
        with pytest.raises(RecordError):
            parse({other: value for other, value in PAYLOADS[name].items() if other != key})


def test_an_unknown_kind_is_named():
    assert parse(PAYLOADS["unknown_kind"]).body == UnknownBody(4711)


def test_payload_limits():
    for size in (0, 4097, 4096 * 1000):
        with pytest.raises(RecordError, match="limits"):
            parse_payload(bytes(size), HASH)


def write_map(pairs: list[tuple[Any, bytes]]) -> bytes:
    """A map of at most 23 pairs in the order given, values encoded already."""
    return bytes((0xA0 | len(pairs),)) + b"".join(cbor2.dumps(key) + encoded for key, encoded in pairs)


def pairs_of(name: str) -> list[tuple[Any, bytes]]:
    return [(key, cbor2.dumps(item, canonical=True)) for key, item in sorted(PAYLOADS[name].items())]


IN_ORDER = write_map([(1, b"\x02"), (3, b"\x04"), ("a", b"\x05")])
OUT_OF_ORDER = write_map([(3, b"\x04"), (1, b"\x02"), ("a", b"\x05")])


def test_a_map_inside_an_unknown_kind_is_taken_in_its_order_only():
    pairs = pairs_of("unknown_kind")
    assert parse_payload(write_map([*pairs, (200, IN_ORDER)]), HASH).body == UnknownBody(4711)
    for inner in (OUT_OF_ORDER, b"\x81" + OUT_OF_ORDER, write_map([(1, OUT_OF_ORDER)])):
        with pytest.raises(RecordError, match="not_deterministic"):
            parse_payload(write_map([*pairs, (200, inner)]), HASH)


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_another_order_or_form_is_refused(name):
    pairs = pairs_of(name)
    whole = cbor2.dumps(PAYLOADS[name], canonical=True)
    assert write_map(pairs) == whole
    longer = [(1, b"\x18\x01"), *pairs[1:]]
    swapped = [pairs[1], pairs[0], *pairs[2:]]
    for changed in (write_map(longer), write_map(swapped), whole + b"\x00"):
        with pytest.raises(RecordError, match="not_deterministic"):
            parse_payload(changed, HASH)


@given(st.sampled_from(sorted(PAYLOADS)), st.data())
def test_what_is_read_has_one_form(name, data):
    """Whatever is changed in a payload: what is still read is its own canonical encoding, byte for byte."""
    raw = bytearray(cbor2.dumps(PAYLOADS[name], canonical=True))
    place = data.draw(st.integers(0, len(raw)))
    raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        parse_payload(bytes(raw), HASH)
    except RecordError:
        return
    assert cbor2.dumps(decode_deterministic(bytes(raw), RecordError), canonical=True) == raw


def test_a_boot_record_names_the_key_that_signed_it():
    other = BOOT_BODY | {35: b"\x04" + bytes(64)}
    with pytest.raises(RecordError, match="boot_key"):
        parse_record(verify_envelope(seal(build_payload(1, 1, HASH, other)), lambda kid: POINT))


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_read_or_refused(raw):
    try:
        parse_payload(raw, HASH)
    except RecordError:
        pass


@given(st.sampled_from(sorted(PAYLOADS)), st.integers(0, 100), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(), inner, max_size=3), max_leaves=6,
))  # fmt: skip
def test_any_value_under_any_key_is_read_or_refused(name, key, value):
    try:
        record = parse(PAYLOADS[name] | {key: value})
    except RecordError:
        return
    assert 1 <= record.seq < 2**63 and 1 <= record.boot < 2**32
