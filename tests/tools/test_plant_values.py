"""Values of the emulated plant: encoding against the bridge's decoding, the model's promises, replay, fault wishes."""

from __future__ import annotations

import csv
import math
import os
import struct
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.evidence import decoding
from plumeproof.evidence.parameters import ORDERS, parse_parameters
from plumeproof.model import BlockReadings, Record, Samples, Slots
from tools.parameters import Choice, compose
from tools.plant.faults import Fault, FaultPlan, parse_fault
from tools.plant.layout import PlantError, read_layout
from tools.plant.model import (
    CALIBRATION_FIRST_S,
    DAY_S,
    RUNNING_S,
    SHUT_DOWN_S,
    START_UP_S,
    STOPPED_S,
    WEEK_S,
    PlantModel,
)
from tools.plant.recording import Recording
from tools.plant.registers import build_image, encode

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
LINE = [
    Choice("gas", "sick_mcs100ft", 1),
    Choice("dust", "generic_dust_int16", 2),
    Choice("flow", "generic_flow_tpm", 3),
]
NAMES = [choice.id for choice in LINE]
PARAMETERS = compose("plume-01", LINE, 1000, 60_000)


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    path = tmp_path_factory.mktemp("layout") / "parameters.json"
    path.write_bytes(PARAMETERS)
    return read_layout(path)[0]


def decode(parameters, *rows: bytes):
    """One slot of register bytes through the bridge's own decoding."""
    blocks = tuple(BlockReadings(b"\x00", row) for row in rows)
    record = Record(
        kind=2, device="plume-01", boot=1, seq=2, prev=bytes(32), mono_ms=1000, utc_ms=None, utc_status=0,
        utc_unc_ms=None, sync_seq=None, parameters_hash=parameters.parameters_hash, content_hash=bytes(32),
        body=Samples(Slots(0, 1, 1000, 0), blocks, 0),
    )  # fmt: skip
    return {readings.channel.id: readings for readings in decoding.decode(record, parameters).channels}


INTEGERS = {"uint16": (0, 16), "int16": (1, 15), "uint32": (0, 32), "int32": (1, 31)}
NUMBERS = {kind: st.integers(-(2**bits) if signed else 0, 2**bits - 1) for kind, (signed, bits) in INTEGERS.items()} | {
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "float64": st.floats(-1e18, 1e18),
}


@given(data=st.data())
def test_what_is_encoded_is_what_the_bridge_decodes(data):
    kind = data.draw(st.sampled_from(sorted(NUMBERS)))
    order = data.draw(st.sampled_from(ORDERS[kind]))
    number = data.draw(NUMBERS[kind].filter(lambda one: abs(one) < 1e19))
    channel = {
        "id": "c", "quantity": "q", "block": 0, "register": 0, "type": kind, "order": order, "scale": "1",
        "offset": "0", "unit": "1", "min": "-1e19", "max": "1e19",
    }  # fmt: skip
    top = {"format": 1, "revision": 1, "device": "plume-01", "slot_ms": 1000, "seal_ms": 1000, "statuses": []}
    top["bus"] = {"baud": 9600, "parity": "E", "stop_bits": 1}
    top["analyzers"] = [{"id": "a", "profile": "p", "profile_version": "1", "unit": 1, "timeout_ms": 9, "retries": 0}]
    top["blocks"] = [{"analyzer": 0, "function": 4, "address": 0, "quantity": len(order) // 2}]
    parameters = parse_parameters(rfc8785.dumps(top | {"channels": [channel]}))
    found = decode(parameters, encode(number, kind, order))["c"]
    assert found.values[0] == number and found.status[0] == decoding.VALID


def test_analyzers_saturate():
    assert encode(70_000, "uint16", "AB") == b"\xff\xff"
    assert encode(-1, "uint32", "ABCD") == bytes(4)
    assert encode(40_000, "int16", "BA") == b"\xff\x7f"
    assert encode(1e39, "float32", "ABCD") == struct.pack(">f", math.inf)
    assert encode(412.75, "float32", "CDAB") == bytes.fromhex("600043ce")  # the published vector of the reference


@settings(max_examples=60)
@given(t_s=st.floats(0, 3 * WEEK_S), seed=st.integers(0, 2**31))
def test_every_value_is_within_its_bounds_and_decodes_to_itself(layout, t_s, seed):
    model = PlantModel(seed, NAMES)
    parameters = parse_parameters(PARAMETERS)
    rows = []
    for analyzer in layout.analyzers:
        image = build_image(
            analyzer,
            lambda channel, name=analyzer.id: model.value(name, channel, t_s),
            model.codes(analyzer.id, t_s),
        )
        rows += [bytes(image[block]) for block in analyzer.blocks]
    found = decode(parameters, *rows)
    for analyzer in layout.analyzers:
        codes = model.codes(analyzer.id, t_s)
        for channel in analyzer.channels:
            readings = found[channel.id]
            step = channel.scale if channel.type == "int16" else abs(readings.values[0]) * 2**-23
            assert abs(readings.values[0] - model.value(analyzer.id, channel, t_s)) <= step
            if channel.id == "gas.maintenance":
                assert readings.values[0] == ("M" in codes)
            elif "F" in codes:
                assert readings.status[0] == decoding.FAILURE
            elif "C" in codes:
                assert readings.status[0] == decoding.FUNCTION_CHECK
            elif analyzer.id != "gas":  # the multi-gas profile has no bit for S and M
                worst = decoding.OUT_OF_SPECIFICATION if "S" in codes else decoding.WARNING if "M" in codes else 0
                assert readings.status[0] == worst
            else:
                assert readings.status[0] == decoding.VALID


def channel_of(layout, name):
    return next(channel for analyzer in layout.analyzers for channel in analyzer.channels if channel.id == name)


def test_model_tells_its_week(layout):
    model = PlantModel(1, NAMES)
    oxygen, nox = channel_of(layout, "gas.o2"), channel_of(layout, "gas.nox")
    stopped_s = (STOPPED_S + START_UP_S) / 2
    assert model.running(0) == model.running(SHUT_DOWN_S - 1) == model.running(RUNNING_S) == 1
    assert model.running(stopped_s) == 0
    assert model.undisturbed(oxygen, stopped_s) == pytest.approx(20.9, rel=0.1)
    assert model.undisturbed(oxygen, 3600.0) < 12
    assert model.undisturbed(nox, stopped_s) == 0 and model.undisturbed(nox, 3600.0) > 80
    assert "S" in model.codes("dust", (START_UP_S + RUNNING_S) / 2)


def test_model_calibrates_one_analyzer_after_the_other(layout):
    model = PlantModel(1, NAMES)
    first_s = CALIBRATION_FIRST_S + 30
    assert model.codes("gas", first_s) == {"C"} and model.codes("dust", first_s) == set()
    assert "C" in model.codes("dust", first_s + 600) and "C" in model.codes("gas", first_s + DAY_S)
    nox = channel_of(layout, "gas.nox")
    assert abs(model.value("gas", nox, first_s)) < 15
    assert model.value("gas", nox, first_s + 240) == pytest.approx(0.75 * nox.maximum, rel=0.02)


def test_model_holds_values_while_an_analyzer_has_failed(layout):
    model = PlantModel(5, NAMES)
    failed = [t_s for t_s in range(0, int(DAY_S), 60) if "F" in model.codes("flow", t_s)]
    assert len(failed) == 10
    flow = channel_of(layout, "flow.flow")
    assert len({model.value("flow", flow, t_s) for t_s in failed}) == 1
    assert model.codes("flow", failed[0] - 3600) == {"M"}


def test_model_repeats_itself_by_seed_only(layout):
    channel = channel_of(layout, "gas.co")
    shown = [PlantModel(seed, NAMES).value("gas", channel, 77.7) for seed in (1, 1, 2)]
    assert shown[0] == shown[1] != shown[2]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_recording_by_channel_id_and_codes(layout, tmp_path):
    path = write(tmp_path / "r.csv", "gas.co,gas.codes,other\n1.5,,x\n2.5,FM,y\n3.5,C,z\n")
    model = PlantModel(1, NAMES)
    found = Recording(path, layout.analyzers, model, None, 10.0)
    carbon, oxygen = channel_of(layout, "gas.co"), channel_of(layout, "gas.o2")
    assert [found.value("gas", carbon, t_s) for t_s in (0, 9.99, 10, 25, 30, 1e9)] == [1.5, 1.5, 2.5, 3.5, 3.5, 3.5]
    assert [found.codes("gas", t_s) for t_s in (0, 10, 20)] == [frozenset(), frozenset("FM"), frozenset("C")]
    assert found.codes("dust", 10) == frozenset() and found.end_s == 30 and found.channels == ("gas.co",)
    assert found.value("gas", oxygen, 5) == model.undisturbed(oxygen, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gas.co\n", "no rows"),
        ("gas.co,b\n1\n", "row 2 has 1 fields"),
        ("gas.co\n1\nx\n", "row 3, gas.co: 'x' is no number"),
        ("gas.co\nnan\n", "not a number"),
        ("co\n1\n", "no column belongs"),
        ("gas.co,gas.codes\n1,X\n", "none of F C S M"),
    ],
)
def test_recording_refuses(layout, tmp_path, text, said):
    with pytest.raises(PlantError, match=said):
        Recording(write(tmp_path / "r.csv", text), layout.analyzers, PlantModel(1, NAMES), None, None)


@pytest.mark.parametrize(("text", "said"), [
    ("[]", "is not"), ("{", "JSON"), (None, "No such file"), ('{"row_s": "x"}', "row_s"), ('{"row_s": []}', "row_s"),
    ('{"row_s": 0}', "row_s"), ('{"row_s": Infinity}', "row_s"), ('{"row_s": true}', "row_s"),
])  # fmt: skip
def test_map_refused(layout, tmp_path, text, said):
    path = write(tmp_path / "r.csv", "gas.co\n1\n")
    mapping = tmp_path / "map.json"
    if text is not None:
        mapping.write_text(text)
    with pytest.raises(PlantError, match=said):
        Recording(path, layout.analyzers, PlantModel(1, NAMES), mapping, None)


def test_recorded_turbine_year(layout):
    path = REFERENCE / "data" / "recorded" / "gas_turbine_hourly_2013.csv"
    if not path.is_file():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    mapping = ROOT / "tools" / "plant" / "maps" / "gas_turbine_2013.json"
    found = Recording(path, layout.analyzers, PlantModel(1, NAMES), mapping, None)
    assert (found.row_count, found.row_s) == (7152, 3600.0)
    assert found.channels == ("flow.pressure", "flow.temperature", "gas.co", "gas.nox")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for column, name in (("CO", "gas.co"), ("NOX", "gas.nox"), ("TAT", "flow.temperature"), ("AP", "flow.pressure")):
        channel = channel_of(layout, name)
        shown = [found.value(name.split(".")[0], channel, 3600.0 * hour) for hour in range(7152)]
        assert shown == [float(row[column]) for row in rows]
        assert channel.minimum <= min(shown) and max(shown) <= channel.maximum


def test_fault_wishes():
    assert parse_fault("gas:mute:10-20", NAMES) == Fault("gas:mute:10-20", "gas", "mute", 10.0, 20.0)
    assert parse_fault("*:late:ms=300:rate=0.5:5-", NAMES).late_ms == 300
    fault = parse_fault("gas:mute:10-20", NAMES)
    assert [fault.is_active(t_s) for t_s in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    plan = FaultPlan([fault, parse_fault("*:frozen:15-30", NAMES)], 1, NAMES)
    assert plan.draw("gas", 15) is fault and plan.draw("dust", 15) is None
    assert plan.frozen_since("dust", 20) == 15 and plan.frozen_since("dust", 30) is None


@pytest.mark.parametrize(
    "text",
    ["gas", "gas:odd", "other:mute", "gas:mute:20-10", "gas:mute:rate=2", "gas:crc:x", "gas:late:ms=1.5",
     "gas:exception:code=7", "gas:frozen:rate=0.5"],
)  # fmt: skip
def test_fault_wishes_refused(text):
    with pytest.raises(PlantError, match="fault "):
        parse_fault(text, NAMES)


def test_rate_is_repeatable_and_near_what_was_asked():
    hits = []
    for _ in range(2):
        plan = FaultPlan([parse_fault("*:crc:rate=0.2", NAMES)], 3, NAMES)
        hits.append([plan.draw("gas", 1.0) is not None for _ in range(2000)])
    assert hits[0] == hits[1] and 320 < sum(hits[0]) < 480
