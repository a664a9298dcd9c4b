"""4-20 mA loops by NAMUR NE 43, calibration marks, and which cause a slot has when several apply."""

from __future__ import annotations

import copy
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rfc8785
from acqwire import calibration, causes
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import ParametersError
from plumeproof.evidence import decoding, intervals, loops
from plumeproof.evidence.averaging import sum_slots, to_averages
from plumeproof.evidence.calibration_check import check_calibration
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.strips import strips_of
from plumeproof.model import Calibration
from plumeproof.rules import status
from plumeproof.rules.first_level import lay_out
from plumeproof.rules.plant import parse_plant
from tests.bridge.test_decoding import record_of
from tests.rules.examples import assert_close, example

LOOP = {"zero": "4800", "span": "24000", "calibration": "shunt-2026-114"}
COUNTS_PER_MA = 1200
SET = {
    "format": 1, "revision": 1, "device": "plume-01", "slot_ms": 1000, "seal_ms": 60000,
    "bus": {"baud": 9600, "parity": "E", "stop_bits": 1},
    "analyzers": [
        {"id": "gas", "profile": "p", "profile_version": "1", "unit": 1, "timeout_ms": 200, "retries": 1},
        {"id": "dust", "profile": "q", "profile_version": "1", "unit": 0, "timeout_ms": 200, "retries": 1},
        {"id": "door", "profile": "r", "profile_version": "1", "unit": 0, "timeout_ms": 200, "retries": 1},
    ],
    "blocks": [
        {"analyzer": 0, "function": 3, "address": 0, "quantity": 2},
        {"analyzer": 1, "function": 4, "address": 0, "quantity": 1},
        {"analyzer": 2, "function": 2, "address": 0, "quantity": 10},
    ],
    "channels": [
        {"id": "gas.so2", "quantity": "SO2", "block": 0, "register": 0, "type": "uint16", "order": "AB", "scale": "1",
         "offset": "0", "unit": "mg/m3", "min": "0", "max": "2000", "status": 0},
        {"id": "dust.dust", "quantity": "dust", "block": 1, "register": 0, "type": "uint16", "order": "AB",
         "scale": "0.01", "offset": "-48", "unit": "mg/m3", "min": "-10", "max": "195", "loop": LOOP},
    ],
    "statuses": [{"id": "gas.status", "block": 0, "bits": [{"bit": 16, "is": 1, "code": "F"},
                                                            {"bit": 17, "is": 1, "code": "M"}]}],
    "inputs": {"debounce_ms": 20},
    "calibrations": [
        {"analyzer": 0, "phase": "zero", "block": 2, "bit": 9, "is": 1},
        {"analyzer": 0, "phase": "span", "block": 0, "bit": 24, "is": 1},
        {"analyzer": 1, "phase": "maintenance", "block": 2, "bit": 0, "is": 0},
    ],
}  # fmt: skip


def parse_set(path=(), value=None):
    """The set, with one place changed, or taken out by None."""
    whole = copy.deepcopy(SET)
    at = whole
    for step in path[:-1]:
        at = at[step]
    if path and value is None:
        del at[path[-1]]
    elif path:
        at[path[-1]] = value
    return parse_parameters(rfc8785.dumps(whole))


def gas(*pairs):
    """Register bytes of the gas block: (number, status word)."""
    return b"".join(struct.pack(">HH", *pair) for pair in pairs)


def decoded(gas_block, dust_block, door_block):
    parameters = parse_set()
    record = record_of(parameters, gas_block, dust_block, door_block, utc_ms=1_800_000_006_000)
    return parameters, record, decoding.decode(record, parameters).channels


def words(readings):
    found = dict(decoding.STATUS_NAMES)
    return [found.get(int(status), "") for status in readings.status]


@pytest.mark.parametrize(
    ("milliamperes", "word"),
    [
        (0, "wire_break"), (1.18, "wire_break"), (1.19, "loop_failure"), (3.5, "loop_failure"), (3.6, "loop_failure"),
        (3.605, "loop_out_of_specification"), (3.795, "loop_out_of_specification"), (3.8, ""), (3.9, ""), (4, ""),
        (20, ""), (20.4, "over_range"), (20.5, "over_range"), (20.505, "loop_out_of_specification"),
        (20.995, "loop_out_of_specification"), (21, "loop_failure"), (21.3, "loop_failure"), (54, "loop_failure"),
    ],
)  # fmt: skip
def test_bands_of_namur_ne_43(milliamperes, word):
    counts = round(milliamperes * COUNTS_PER_MA)
    _, _, channels = decoded(([0], gas((5, 0))), ([0], struct.pack(">H", counts)), ([0], b"\x01\x00"))
    assert words(channels[1]) == [word]
    assert channels[1].values[0] == counts * 0.01 - 48


def so2_by_loop(milliamperes):
    """The first level value of a current, through parameter set, decoding and plant description of E04."""
    given_ = example("E04")["inputs"]
    low, high = given_["range_mg_m3"]
    per_ma = (high - low) / 16
    loop = {"zero": "4000", "span": "20000", "calibration": "e04"}  # counts of a microampere
    told = {"scale": str(per_ma / 1000), "offset": str(low - 4 * per_ma), "max": str(high), "loop": loop}
    parameters = parse_set(("channels", 1), SET["channels"][1] | told | {"min": "-80"})
    counts = struct.pack(">H", round(milliamperes * 1000))
    record = record_of(parameters, ([0], gas((5, 0))), ([0], counts), ([0], b"\x01\x00"), utc_ms=1_800_000_006_000)
    (strip,) = strips_of([record], parameters)
    tree = {
        "plant": {"id": "e04", "title": "E04", "utc_offset": "+00:00", "rule_sets": ["eu_ied_waste"]},
        "measurand": [{"id": "SO2", "source": "plume-01/dust.dust", "unit": "mg/m3", "range_max": float(high)}],
    }
    (raw,) = lay_out(parse_plant(tree, Path("e04.toml")), {"plume-01": [strip]}, 1_800_000_000_000, 1)
    line = {"id": "e04", "begins": "2020-01-01T00:00:00Z", **{key: given_["calibration"][key] for key in "ab"}}
    tree["measurand"][0]["calibration"] = [line]
    (row,) = lay_out(parse_plant(tree, Path("e04.toml")), {"plume-01": [strip]}, 1_800_000_000_000, 1)
    at = int(np.flatnonzero(row.status != intervals.ABSENT)[0])
    return raw.values[0, at], row.values[0, at], status.letters_of(status.to_codes(row.status[0, at]))


def test_e04():
    part = example("E04")
    x, y, letter = so2_by_loop(part["inputs"]["signal_mA"])
    assert_close(x, part["expected"]["x_mg_m3"])
    assert_close(y, part["expected"]["y_mg_m3"])
    is_inside = bool(y <= part["inputs"]["valid_calibration_range"][1])
    assert letter == "V" and is_inside is part["expected"]["inside_valid_range"]


@pytest.mark.parametrize("case", example("E04")["live_zero_examples"], ids=lambda case: f"{case['mA']} mA")
def test_e04_live_zero(case):
    x, _, letter = so2_by_loop(case["mA"])
    assert_close(x, case["x"])
    assert letter == case["status"]


@given(st.integers(0, 65535), st.floats(0, 10_000), st.floats(1, 50_000))
def test_the_bands_leave_no_current_out(counts, zero, width):
    loop = loops.Loop(zero, zero + width, "x")
    (current,) = loops.milliamperes(loop, np.array([float(counts)]))
    (found,) = loops.judge(loop, np.array([float(counts)]), 1, 2, 3)
    if current < loops.WIRE_BREAK_MA:
        assert found == 1
    elif current <= loops.FAILURE_LOW_MA or current >= loops.FAILURE_HIGH_MA:
        assert found == 2
    else:
        assert found == (0 if loops.MEASURING_LOW_MA <= current <= loops.MEASURING_HIGH_MA else 3)


def test_which_cause_a_slot_has():
    mark, door_open = b"\x01\x02", b"\x01\x00"
    slots = [
        # gas outcome, number, word | dust outcome, counts | door outcome, bits | gas is, dust is
        (0, 5, 0x000, 0, 9600, 0, door_open, "", ""),
        (0, 5, 0x000, 0, 9600, 0, mark, "calibration", ""),
        (0, 5, 0x001, 0, 9600, 0, mark, "calibration", ""),  # before the analyzer's own failure
        (0, 5, 0x101, 0, 9600, 0, door_open, "calibration", ""),  # a mark of its own status register
        (0, 5, 0x001, 0, 9600, 0, door_open, "failure", ""),
        (1, 0, 0x000, 0, 9600, 0, mark, "timeout", ""),  # a gap before everything
        (0, 5, 0x000, 0, 9600, 7, b"", "status_missing", "status_missing"),
        (0, 5, 0x100, 0, 9600, 7, b"", "calibration", "status_missing"),  # one mark is enough to know
        (0, 5, 0x001, 0, 9600, 7, b"", "failure", "status_missing"),
        (0, 5, 0x002, 0, 0, 0, b"\x00\x00", "warning", "calibration"),  # before a torn wire
        (0, 9999, 0x0, 0, 0, 0, door_open, "over_range", "wire_break"),
        (0, 5, 0x002, 7, 0, 0, b"\x00\x00", "warning", "bus_fault"),
    ]
    _, _, channels = decoded(
        ([slot[0] for slot in slots], gas(*[(slot[1], slot[2]) for slot in slots if slot[0] == 0])),
        ([slot[3] for slot in slots], b"".join(struct.pack(">H", slot[4]) for slot in slots if slot[3] == 0)),
        ([slot[5] for slot in slots], b"".join(slot[6] for slot in slots)),
    )
    assert words(channels[0]) == [slot[7] for slot in slots]
    assert words(channels[1]) == [slot[8] for slot in slots]


def test_averages_count_calibration_under_its_name():
    count = 60
    marks = [b"\x01\x02" if 10 <= index < 25 else b"\x01\x00" for index in range(count)]
    numbers = [(900, 0) if 10 <= index < 25 else (50, 0) for index in range(count)]
    parameters, record, _ = decoded(
        ([0] * count, gas(*numbers)), ([0] * count, struct.pack(">H", 9600) * count), ([0] * count, b"".join(marks))
    )
    (strip,) = strips_of([record], parameters)
    start = strip.first_utc_ms - strip.first_utc_ms % 3_600_000
    so2, dust = to_averages("plume-01", sum_slots([strip], start, 3600), start, 3600)
    assert (so2.n_valid, so2.mean, so2.maximum) == (45, 50.0, 50.0)
    assert dict(so2.n_invalid) == {"calibration": 15, "absent": 3540}
    assert (dust.n_valid, dict(dust.n_invalid)) == (60, {"absent": 3540})


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("inputs", "debounce_ms"), 0, "range"),
        (("inputs", "debounce_ms"), "20", "type"),
        (("inputs", "more"), 1, "key_unknown"),
        (("inputs",), None, "reference"),
        (("analyzers", 0, "unit"), 248, "range"),
        (("blocks", 1, "function"), 1, "reference"),
        (("blocks", 2, "quantity"), 17, "range"),
        (("blocks", 1, "address"), 32, "range"),
        (("channels", 1, "loop", "zero"), "24000", "range"),
        (("channels", 1, "loop", "zero"), 4800, "type"),
        (("channels", 1, "loop", "span"), "1e999", "range"),
        (("channels", 1, "loop", "calibration"), "", "range"),
        (("channels", 1, "loop", "more"), "1", "key_unknown"),
        (("channels", 1, "loop", "span"), None, "key_missing"),
        (("calibrations",), [], "range"),
        (("calibrations",), SET["calibrations"] * 11, "range"),
        (("calibrations", 0, "phase"), "lunch", "range"),
        (("calibrations", 0, "analyzer"), 3, "reference"),
        (("calibrations", 0, "block"), 3, "reference"),
        (("calibrations", 0, "bit"), 10, "range"),
        (("calibrations", 1, "bit"), 32, "range"),
        (("calibrations", 0, "is"), 2, "range"),
        (("calibrations", 0, "is"), True, "type"),
        (("calibrations", 0, "more"), 1, "key_unknown"),
    ],
)
def test_refused(path, value, code):
    with pytest.raises(ParametersError) as refused:
        parse_set(path, value)
    assert refused.value.code == code


def test_own_inputs_without_an_instrument_of_theirs():
    whole = json.loads(rfc8785.dumps(SET))
    for number in (1, 2):
        whole["analyzers"][number]["unit"] = number + 1
    with pytest.raises(ParametersError, match="unit 0 go together"):
        parse_parameters(rfc8785.dumps(whole))


def test_what_is_read():
    parameters = parse_set()
    assert parameters.debounce_ms == 20
    assert parameters.channels[1].loop == loops.Loop(4800.0, 24000.0, "shunt-2026-114")
    assert [(mark.phase, mark.is_set) for mark in parameters.calibrations] == [
        (calibration.PHASE_ZERO, True), (calibration.PHASE_SPAN, True), (calibration.PHASE_MAINTENANCE, False)
    ]  # fmt: skip


def test_a_calibration_record_speaks_of_its_set_and_of_the_samples_before_it():
    parameters, record, _ = decoded(
        ([0, 0, 1, 0], gas((5, 0), (5, 0x100), (5, 0))),
        ([0] * 4, struct.pack(">H", 9600) * 4),
        ([0] * 4, b"\x01\x00" * 4),
    )
    good = Calibration(mark=1, analyzer=0, phase=calibration.PHASE_SPAN, is_begin=True, slot=1, slot_mono_ms=1000)
    check_calibration(good, parameters, record.body)
    check_calibration(good, parameters, None)
    check_calibration(replace(good, is_begin=False, slot=3, slot_mono_ms=3000), parameters, record.body)
    check_calibration(replace(good, slot=4, slot_mono_ms=4000), parameters, record.body)  # none of these slots
    for change, code in (
        ({"mark": 3}, "mark"), ({"analyzer": 1}, "mark"), ({"phase": calibration.PHASE_ZERO}, "mark"),
        ({"slot_mono_ms": 1001}, "slot_ms"), ({"is_begin": False}, "bit"), ({"slot": 3, "slot_mono_ms": 3000}, "bit"),
        ({"slot": 2, "slot_mono_ms": 2000}, "bit"),
    ):  # fmt: skip
        with pytest.raises(ParametersError) as refused:
            check_calibration(replace(good, **change), parameters, record.body)
        assert refused.value.code == code, change


def test_no_number_is_used_twice():
    numbers = [number for number, _ in decoding.STATUS_NAMES]
    assert len(numbers) == len(set(numbers)) and causes.VALUE not in numbers
