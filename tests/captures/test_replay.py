"""What a rig has recorded, replayed: to the real module by scripted analyzers, to the bridge by a scripted module."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from acqwire import causes, frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.errors import LinkError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.framing import FrameCodec
from plumeproof.evidence.record import parse_record
from plumeproof.keys import build_entry, parse_keys
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.model import Samples
from plumeproof.pipeline import Ingest
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.module_rig import ModuleRig
from tests.system.interpreters import find
from tools.rig.capture import CAPTURE_MAX_BYTES, ORIGIN_KEYS, Capture, CaptureError, parse_capture, read_capture
from tools.rig.record import NAMES, UNCERTAINTY_MS
from tools.rig.replay import BusReplay, ReplayError, UplinkReplay, answers_of, impatient

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/uplink.jsonl"))
RECORDS = 4  # samples records that a module makes of a bus capture before it is judged


def in_folder(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("folder", FOLDERS, ids=in_folder)
@pytest.mark.parametrize("kind", sorted(NAMES))
def test_a_capture_is_small_and_says_where_it_comes_from(folder, kind):
    path = folder / NAMES[kind]
    capture = read_capture(path)
    assert capture.kind == kind and path.stat().st_size <= CAPTURE_MAX_BYTES + 8192  # the origin comes last
    assert set(ORIGIN_KEYS) <= set(capture.origin)
    assert len(bytes.fromhex(capture.origin["firmware_hash"])) == 32 and len(capture.pieces) > 50


def replay(capture: Capture, path: Path, chop=lambda raw: [raw]) -> tuple[SqliteLedger, Writer, Ingest]:
    """Ask what was asked when it was recorded; the ledger that came of it."""
    stream = UplinkReplay(capture, chop)
    origin = capture.origin
    keys = parse_keys(json.dumps([build_entry(origin["device"], bytes.fromhex(origin["public_key"]))]).encode(), "keys")
    line = Line(stream, FrameCodec(), Session(origin["link_address"]), stream)
    writer = Writer(path)
    ledger = SqliteLedger(writer, stream)
    ingest = Ingest(origin["device"], line, keys, ledger, impatient())
    steps = {
        frames.HELLO: ingest.greet,
        frames.TIME_ASK: lambda: line.synchronise(UNCERTAINTY_MS),
        frames.FETCH: ingest.poll,
    }
    while (question := stream.next_question) is not None:
        try:
            steps[question]()
        except LinkError:
            pass  # then as now: the module was starting, or off
    return ledger, writer, ingest


def uplinks() -> list[Path]:
    return [folder / NAMES["uplink"] for folder in FOLDERS]


@pytest.mark.parametrize("path", uplinks(), ids=lambda path: path.parent.name)
def test_the_bridge_makes_the_same_ledger_of_it(path, tmp_path):
    capture = read_capture(path)
    ledger, writer, ingest = replay(capture, tmp_path / "ledger.sqlite")
    then = capture.origin["ledger"]
    head = ledger.head(capture.origin["device"])
    assert (head.seq, head.content_hash.hex()) == (then["seq"], then["hash"])
    kinds = Counter(str(stored.kind) for stored in ledger.of_device(head.device, 1, head.seq))
    assert kinds == then["kinds"] and ingest.counters.records_total == sum(then["kinds"].values())
    assert ingest.counters.quarantined_total == ingest.counters.equivocations_total == 0
    stored = ledger.record(head.device, head.seq)
    record = parse_record(verify_envelope(stored.envelope, lambda kid: bytes.fromhex(capture.origin["public_key"])))
    assert ledger.parameter_set(record.parameters_hash) == capture.origin["parameters"].encode()
    writer.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 600), min_size=1, max_size=6))
def test_however_the_bytes_are_cut_the_ledger_is_the_same(cuts, tmp_path_factory):
    """A serial port hands over what it likes: single bytes, half frames, two frames at once."""
    capture = read_capture(uplinks()[0])

    def chop(raw: bytes) -> list[bytes]:
        pieces, at = [], 0
        while at < len(raw):
            size = cuts[len(pieces) % len(cuts)]
            pieces.append(raw[at : at + size])
            at += size
        return pieces

    ledger, writer, _ = replay(capture, tmp_path_factory.mktemp("cut") / "ledger.sqlite", chop)
    head = ledger.head(capture.origin["device"])
    writer.close()
    assert head.content_hash.hex() == capture.origin["ledger"]["hash"]


def test_a_spoilt_byte_of_a_record_reaches_no_ledger(tmp_path):
    capture = read_capture(uplinks()[0])
    longest = max(range(len(capture.pieces)), key=lambda at: len(capture.pieces[at].raw))
    piece = capture.pieces[longest]
    spoilt = bytearray(piece.raw)
    spoilt[len(spoilt) // 2] ^= 0x10
    pieces = list(capture.pieces)
    pieces[longest] = type(piece)(piece.t_us, piece.sender, bytes(spoilt))
    with pytest.raises(ReplayError):  # the bridge asks again for what it has not got, as it did not then
        replay(Capture(capture.kind, capture.origin, tuple(pieces)), tmp_path / "ledger.sqlite")


def test_a_bridge_that_asks_otherwise_is_noticed(tmp_path):
    capture = read_capture(uplinks()[0])
    stream = UplinkReplay(capture)
    with pytest.raises(ReplayError, match="piece 0"):
        Line(stream, FrameCodec(), Session(capture.origin["link_address"]), stream).fetch(3, 1)


@pytest.mark.parametrize("folder", FOLDERS, ids=in_folder)
def test_the_module_makes_records_of_the_bus_capture(folder, tmp_path):
    """Every value that it seals is one that a recorded analyzer sent whole; undisturbed ones come in their order."""
    capture = read_capture(folder / NAMES["bus"])
    answers = answers_of(capture)
    parameters = json.loads(capture.origin["parameters"])
    rig = ModuleRig(tmp_path, find("first"))
    rig.parameters_path.write_text(capture.origin["parameters"])
    analyzers = BusReplay(capture, rig.folder / "bus.tty")
    analyzers.start()
    try:
        rig.start()
        gateway = rig.gateway()
        gateway.collect(lambda records: sum(isinstance(one.body, Samples) for one in records) >= RECORDS)
    finally:
        rig.close()
        analyzers.stop()
    assert not analyzers.unknown
    bodies = [record.body for record in gateway.records if isinstance(record.body, Samples)]
    outcomes: Counter[int] = Counter()
    for index, block in enumerate(parameters["blocks"]):
        head = bytes((parameters["analyzers"][block["analyzer"]]["unit"], block["function"]))
        head += block["address"].to_bytes(2, "big") + block["quantity"].to_bytes(2, "big")
        (request,) = [request for request in answers if request[:-2] == head]
        good = [answer.registers for answer in answers[request]]
        sealed = []
        for body in bodies:
            found = body.blocks[index]
            outcomes.update(found.outcomes)
            values = found.outcomes.count(causes.VALUE)
            width = len(found.data) // values if values else 0
            sealed += [found.data[at * width : (at + 1) * width] for at in range(values)]
        if capture.origin["faults"]:
            assert set(sealed) <= sendable(answers[request])
        else:
            assert sealed == [good[at % len(good)] for at in range(len(sealed))]
    assert outcomes[causes.VALUE] > 0
    assert bool(capture.origin["faults"]) == (outcomes.total() > outcomes[causes.VALUE])


def sendable(answers) -> set[bytes]:
    """Registers of every whole answer among noise: what a good client may take."""
    found = set()
    for answer in answers:
        raw = b"".join(piece for _, piece in answer.pieces)
        for start in range(len(raw)):
            alone = type(answer)(((0.0, raw[start : start + 5 + raw[start + 2]]),)) if start + 2 < len(raw) else None
            if alone is not None and len(alone.pieces[0][1]) >= 5 and alone.registers is not None:
                found.add(alone.registers)
    return found


HEAD = b'{"capture":"bus","format":1,"begun_utc_ns":1,"origin":{}}\n'


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]\n", b"{}\n", HEAD.replace(b"1,", b"2,", 1), HEAD.replace(b"bus", b"sub"), HEAD + b"x\n",
        HEAD + b'{"t_us":1,"from":"gateway","hex":"00"}\n', HEAD + b'{"t_us":1,"from":"module","hex":"0"}\n',
        HEAD + b'{"t_us":-1,"from":"module","hex":"00"}\n', HEAD + b'{"t_us":"1","from":"module","hex":"00"}\n',
        HEAD + b'{"t_us":2,"from":"module","hex":"00"}\n{"t_us":1,"from":"module","hex":"00"}\n',
        HEAD + b'{"t_us":1,"from":"module","hex":"00","more":1}\n', HEAD + b"[]\n", HEAD + b"[" * 30000,
        HEAD + b'{"t_us":1,"from":"module","hex":"' + b"0" * 40000,
    ],
)  # fmt: skip
def test_no_capture_is_one_line(raw):
    with pytest.raises(CaptureError, match="here"):
        parse_capture(raw, "here")
