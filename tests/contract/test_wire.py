"""SPEC.md's numbers, record.cddl, the golden vectors, the bridge's readers: all must say the same."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import cbor2
import pycddl
import pytest
from acqwire import calibration, fields, frames, key_change

from plumeproof.errors import RecordError
from plumeproof.evidence.envelope import kid_of, verify_envelope
from plumeproof.evidence.framing import FrameCodec, encode_frame
from plumeproof.evidence.parameters import check_samples, parse_parameters
from plumeproof.evidence.record import parse_payload, parse_record
from plumeproof.model import Frame, Samples, UnknownBody

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
GRAMMAR = (ROOT / "firmware" / "acqwire" / "record.cddl").read_text()
RECORDS = json.loads((VECTORS / "records.json").read_text())
FRAMES = json.loads((VECTORS / "frames.json").read_text())["frames"]
POINT = bytes.fromhex(RECORDS["key"]["public_key"])


def schema(rule: str) -> pycddl.Schema:
    return pycddl.Schema(f"start = {rule}\n{GRAMMAR}")


@pytest.mark.parametrize("vector", RECORDS["records"], ids=lambda vector: vector["name"])
def test_golden_record(vector):
    envelope = verify_envelope(bytes.fromhex(vector["envelope"]), lambda kid: POINT)
    assert envelope.kid == kid_of(POINT) == bytes.fromhex(RECORDS["key"]["kid"])
    assert envelope.payload.hex() == vector["payload"]
    assert envelope.content_hash.hex() == vector["content_hash"]
    assert not envelope.is_high_s
    record = parse_record(envelope)
    assert (record.seq, record.kind, record.device) == (vector["seq"], vector["kind"], RECORDS["device"])
    assert isinstance(record.body, UnknownBody) == (vector["name"] == "unknown_kind")
    schema("envelope").validate_cbor(envelope.raw)
    schema("protected-header").validate_cbor(cbor2.loads(envelope.raw).value[0])
    if vector["name"] != "unknown_kind":
        schema("record").validate_cbor(envelope.payload)


def test_grammar_refuses_what_the_reader_refuses():
    payload = cbor2.loads(bytes.fromhex(RECORDS["records"][0]["payload"]))
    for change in ({99: 1}, {6: b""}, {3: "UPPER"}, {9: 1}, {12: "text"}, {4: 2**32}, {31: ""}, {34: 256}):
        changed = cbor2.dumps(payload | change, canonical=True)
        with pytest.raises(pycddl.ValidationError):
            schema("record").validate_cbor(changed)
        with pytest.raises(RecordError):
            parse_payload(changed, bytes(32))


def test_grammar_and_reader_refuse_the_same_health():
    (vector,) = [vector for vector in RECORDS["records"] if vector["name"] == "health"]
    payload = cbor2.loads(bytes.fromhex(vector["payload"]))
    row = payload[70][0]
    short, large = {70: [row[1:]]}, {70: [[2**30, *row[1:]]]}  # 33 rows: pycddl does not count them, the reader does
    for change in (short, large, {70: []}, {70: [5]}, {71: 2**30}, {71: -1}, {72: [1, 2]}, {73: [0] * 4},
                   {74: 2**32}, {30: 4}, {75: 0}):  # fmt: skip
        changed = cbor2.dumps(payload | change, canonical=True)
        with pytest.raises(pycddl.ValidationError):
            schema("record").validate_cbor(changed)
        with pytest.raises(RecordError):
            parse_payload(changed, bytes(32))
    for change in ({70: [row] * 32}, {71: 2**30 - 1}, {74: 0}):
        changed = cbor2.dumps(payload | change, canonical=True)
        schema("record").validate_cbor(changed)
        parse_payload(changed, bytes(32))


def test_grammar_and_reader_refuse_the_same_calibration():
    (vector,) = [vector for vector in RECORDS["records"] if vector["name"] == "calibration_limits"]
    payload = cbor2.loads(bytes.fromhex(vector["payload"]))
    for change in ({80: 32}, {81: 32}, {82: 0}, {82: 6}, {83: 2}, {84: "1"}, {85: b""}, {86: 0}):
        changed = cbor2.dumps(payload | change, canonical=True)
        with pytest.raises(pycddl.ValidationError):
            schema("record").validate_cbor(changed)
        with pytest.raises(RecordError):
            parse_payload(changed, bytes(32))
    for key in range(80, 86):
        changed = cbor2.dumps({number: value for number, value in payload.items() if number != key}, canonical=True)
        with pytest.raises(pycddl.ValidationError):
            schema("record").validate_cbor(changed)
        with pytest.raises(RecordError):
            parse_payload(changed, bytes(32))


def test_golden_records_are_one_chain():
    prev = bytes(32)
    for vector in RECORDS["records"]:
        entries = cbor2.loads(bytes.fromhex(vector["payload"]))
        assert entries[fields.PREV] == prev
        prev = hashlib.sha256(bytes.fromhex(vector["sig_structure"])).digest()


@pytest.mark.parametrize("vector", FRAMES, ids=lambda vector: f"{vector['number']}-{vector['name']}")
def test_golden_frame(vector):
    assert getattr(frames, vector["name"]) == vector["type"]
    frame = Frame(vector["type"], vector["address"], vector["number"], bytes.fromhex(vector["body"]))
    assert encode_frame(frame).hex() == vector["line"]
    assert FrameCodec().feed(bytes.fromhex(vector["line"])) == [frame]


def test_golden_parameter_set():
    vector = json.loads((VECTORS / "parameters.json").read_text())
    parameters = parse_parameters(bytes.fromhex(vector["bytes"]), bytes.fromhex(vector["sha256"]))
    assert [block.width_bytes for block in parameters.blocks] == [8, 2]
    for record in RECORDS["records"]:
        body = parse_record(verify_envelope(bytes.fromhex(record["envelope"]), lambda kid: POINT)).body
        if isinstance(body, Samples):
            check_samples(body, parameters)


def test_labels_of_the_grammar_are_the_constants():
    found = re.findall(r"^\s*\??\s*(\d+) => [^;\n]*; ([A-Z][A-Z0-9_]*)", GRAMMAR, re.M)
    assert len(found) > 30
    for number, name in found:
        home = calibration if name.startswith("CALIBRATION_") else key_change if hasattr(key_change, name) else fields
        assert getattr(home, name) == int(number), name


def test_frame_types_of_the_text_are_the_constants():
    text = (ROOT / "firmware" / "SPEC.md").read_text()
    tables = text[text.index("### 2.2") : text.index("## 3.")]
    names = re.findall(r"^\| ([A-Z_]{3,}) \|", tables, re.M)
    assert len(names) == 21
    assert sorted({getattr(frames, name) for name in names}) == sorted({vector["type"] for vector in FRAMES})


def test_vectors_are_what_the_tool_makes():
    answer = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_vectors.py", "--check"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
