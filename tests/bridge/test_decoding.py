"""Register bytes to values: every type and word order bit for bit, statuses, ranges, gaps."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import rfc8785
from acqwire import causes
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import ParametersError
from plumeproof.evidence import decoding
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.model import BlockReadings, Record, Samples, Slots

WIDE = "1" + "0" * 19


def parameters_with(channels, blocks=None, statuses=()):
    """A parameter set with the given channels on one analyzer."""
    raw = rfc8785.dumps(
        {
            "format": 1,
            "revision": 1,
            "device": "plume-01",
            "slot_ms": 1000,
            "seal_ms": 60000,
            "bus": {"baud": 9600, "parity": "E", "stop_bits": 1},
            "analyzers": [
                {"id": "gas", "profile": "p", "profile_version": "1", "unit": 1, "timeout_ms": 200, "retries": 1}
            ],
            "blocks": blocks or [{"analyzer": 0, "function": 4, "address": 0, "quantity": 4}],
            "channels": [
                {
                    "id": f"c{index}",
                    "quantity": "SO2",
                    "block": 0,
                    "register": 0,
                    "scale": "1",
                    "offset": "0",
                    "unit": "mg/m3",
                    "min": "-" + WIDE,
                    "max": WIDE,
                    **channel,
                }
                for index, channel in enumerate(channels)
            ],
            "statuses": list(statuses),
        }
    )
    return parse_parameters(raw)


def record_of(parameters, *blocks, utc_ms=None, mono_ms=10_000, first_slot_mono_ms=4_000):
    """A samples record with (outcomes, data) per block."""
    readings = tuple(BlockReadings(bytes(outcomes), data) for outcomes, data in blocks)
    slots = Slots(0, len(readings[0].outcomes), 1000, first_slot_mono_ms)
    return Record(
        kind=2, device="plume-01", boot=1, seq=2, prev=bytes(32), mono_ms=mono_ms, utc_ms=utc_ms, utc_status=0,
        utc_unc_ms=None, sync_seq=None, parameters_hash=parameters.parameters_hash, content_hash=bytes(32),
        body=Samples(slots, readings, 0),
    )  # fmt: skip


def only(parameters, *blocks):
    return decoding.decode(record_of(parameters, *blocks), parameters).channels[0]


@pytest.mark.parametrize(
    ("order", "wire"), [("ABCD", "43CE6000"), ("CDAB", "600043CE"), ("BADC", "CE430060"), ("DCBA", "0060CE43")]
)
def test_412_75_in_every_word_order(order, wire):
    """The published vector of the reference: 412.75 = 0x43CE6000."""
    found = only(parameters_with([{"type": "float32", "order": order}]), ([0], bytes.fromhex(wire) + bytes(4)))
    assert found.values.tolist() == [412.75]
    assert found.status.tolist() == [decoding.VALID]


TYPES = {
    "uint16": ("H", ("AB", "BA")),
    "int16": ("h", ("AB", "BA")),
    "uint32": ("I", ("ABCD", "CDAB", "BADC", "DCBA")),
    "int32": ("i", ("ABCD", "CDAB", "BADC", "DCBA")),
    "float32": ("f", ("ABCD", "CDAB", "BADC", "DCBA")),
    "float64": ("d", ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA")),
}


@given(data=st.data())
def test_every_pattern_of_every_type_comes_out_exactly(data):
    """Against struct, one value at a time: the obvious way, byte by byte."""
    kind = data.draw(st.sampled_from(sorted(TYPES)))
    code, orders = TYPES[kind]
    order = data.draw(st.sampled_from(orders))
    size = len(order)
    natural = data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=5))
    wire = b"".join(bytes(one["ABCDEFGH".index(letter)] for letter in order) + bytes(8 - size) for one in natural)
    found = only(parameters_with([{"type": kind, "order": order}]), ([0] * len(natural), wire))
    for one, value, status in zip(natural, found.values, found.status, strict=True):
        (expected,) = struct.unpack(">" + code, one)
        if math.isfinite(expected):
            if abs(expected) <= float(WIDE):
                assert status == decoding.VALID
            assert struct.pack(">d", value) == struct.pack(">d", float(expected) * 1.0 + 0.0)
        else:
            assert status == decoding.NOT_FINITE
            assert value == 0.0


@given(
    number=st.integers(-32768, 32767),
    scale=st.sampled_from(["0.1", "0.01", "3", "1e-3", "0.0625"]),
    offset=st.sampled_from(["0", "-20", "0.7", "273.15"]),
)
def test_scale_and_offset_are_two_rounded_steps(number, scale, offset):
    parameters = parameters_with([{"type": "int16", "order": "AB", "scale": scale, "offset": offset}])
    found = only(parameters, ([0], struct.pack(">h", number) + bytes(6)))
    step = float(number) * float(scale)
    assert found.values[0] == step + float(offset)


def test_a_gap_keeps_its_cause_and_shifts_nothing():
    parameters = parameters_with([{"type": "uint16", "order": "AB"}])
    outcomes = [0, causes.GAP_TIMEOUT, 0, causes.GAP_EXCEPTION + 2]
    found = only(parameters, (outcomes, struct.pack(">H6x", 7) + struct.pack(">H6x", 9)))
    assert found.values.tolist() == [7, 0, 9, 0]
    assert found.status.tolist() == outcomes
    assert decoding.is_valid(found.status).tolist() == [True, False, True, False]


def test_range_bounds_are_inclusive():
    parameters = parameters_with([{"type": "int16", "order": "AB", "min": "-2", "max": "5"}])
    data = b"".join(struct.pack(">h6x", number) for number in (-3, -2, 5, 6))
    assert only(parameters, ([0] * 4, data)).status.tolist() == [
        decoding.UNDER_RANGE,
        decoding.VALID,
        decoding.VALID,
        decoding.OVER_RANGE,
    ]


BITS = [{"bit": 0, "is": 1, "code": "M"}, {"bit": 9, "is": 0, "code": "F"}, {"bit": 2, "is": 1, "code": "C"}]


def test_worst_status_bit_wins_and_a_missing_status_invalidates():
    blocks = [
        {"analyzer": 0, "function": 4, "address": 0, "quantity": 1},
        {"analyzer": 0, "function": 2, "address": 0, "quantity": 10},
    ]
    parameters = parameters_with(
        [{"type": "uint16", "order": "AB", "status": 0}], blocks, [{"id": "device", "block": 1, "bits": BITS}]
    )
    status_rows = bytes.fromhex("0002010205020100")
    found = only(parameters, ([0] * 5, struct.pack(">5H", 1, 2, 3, 4, 5)), ([0, 0, 0, 0, causes.GAP_CRC], status_rows))
    assert found.status.tolist() == [
        decoding.VALID,
        decoding.WARNING,
        decoding.FUNCTION_CHECK,
        decoding.FAILURE,
        decoding.STATUS_MISSING,
    ]
    assert decoding.is_valid(found.status).tolist() == [True, True, False, False, False]


def test_status_bits_of_registers_count_from_the_low_end():
    blocks = [{"analyzer": 0, "function": 3, "address": 0, "quantity": 2}]
    bits = [{"bit": 16, "is": 1, "code": "F"}, {"bit": 25, "is": 1, "code": "S"}]
    parameters = parameters_with(
        [{"type": "uint16", "order": "AB", "status": 0}], blocks, [{"id": "device", "block": 0, "bits": bits}]
    )
    data = struct.pack(">HHHHHH", 1, 0x0001, 2, 0x0200, 3, 0x0100)
    assert only(parameters, ([0] * 3, data)).status.tolist() == [
        decoding.FAILURE,
        decoding.OUT_OF_SPECIFICATION,
        decoding.VALID,
    ]


def test_a_warning_does_not_hide_a_number_out_of_range():
    blocks = [{"analyzer": 0, "function": 3, "address": 0, "quantity": 2}]
    parameters = parameters_with(
        [{"type": "uint16", "order": "AB", "status": 0, "max": "5"}],
        blocks,
        [{"id": "device", "block": 0, "bits": [{"bit": 16, "is": 1, "code": "M"}]}],
    )
    assert only(parameters, ([0], struct.pack(">HH", 6, 1))).status.tolist() == [decoding.OVER_RANGE]


def test_slot_times_follow_the_records_own_mapping():
    parameters = parameters_with([{"type": "uint16", "order": "AB"}])
    data = bytes(16)
    decoded = decoding.decode(record_of(parameters, ([0, 0], data), utc_ms=1_800_000_010_000), parameters)
    assert decoded.slot_utc_ms is not None
    assert decoded.slot_utc_ms.tolist() == [1_800_000_004_000, 1_800_000_005_000]
    assert decoding.decode(record_of(parameters, ([0, 0], data)), parameters).slot_utc_ms is None


EDGES = st.sampled_from([0, 1, 1_999, 2**62, 2**63 - 3_000, 2**63 - 2_001, 2**63 - 2_000, 2**63 - 1])


@given(EDGES, EDGES, EDGES)
def test_slot_times_never_wrap(utc_ms, mono_ms, first_slot_mono_ms):
    """Whatever 63-bit numbers a module signs: times are the exact ones, or there are none."""
    parameters = parameters_with([{"type": "float32", "order": "ABCD"}])
    record = record_of(
        parameters, ([0, 0], bytes(16)), utc_ms=utc_ms, mono_ms=mono_ms, first_slot_mono_ms=first_slot_mono_ms
    )
    times = decoding.decode(record, parameters).slot_utc_ms
    first = utc_ms - (mono_ms - first_slot_mono_ms)
    exact = [first, first + 1000]
    assert times is None or times.tolist() == exact
    assert times is not None or not all(abs(at) < 2**63 - 2_000 for at in exact)


def test_bytes_without_meaning_are_refused():
    parameters = parameters_with([{"type": "uint16", "order": "AB"}])
    with pytest.raises(ParametersError, match="width"):
        only(parameters, ([0, 0], bytes(8)))
    with pytest.raises(ParametersError, match="blocks"):
        only(parameters, ([0], bytes(8)), ([0], bytes(8)))
    other = parameters_with([{"type": "int16", "order": "AB"}])
    with pytest.raises(ParametersError, match="parameters_hash"):
        decoding.decode(record_of(parameters, ([0], bytes(8))), other)


def test_a_finite_number_that_the_scale_makes_infinite_is_not_finite():
    parameters = parameters_with([{"type": "float64", "order": "ABCDEFGH", "scale": "1e10"}])
    found = only(parameters, ([0], struct.pack(">d", np.finfo(np.float64).max)))
    assert found.status.tolist() == [decoding.NOT_FINITE]
