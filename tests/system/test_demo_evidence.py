"""What a demo has left, by the command that a verifier types: fine as it is, and every spoilt copy named."""

from __future__ import annotations

import json
import random
import subprocess
from itertools import pairwise
from pathlib import Path

import cbor2
import pytest

from plumeproof.cli import main
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import load_keys
from plumeproof.model import Record

REFEREES = Path(__file__).resolve().parents[2] / ".cache" / "referees" / "bin" / "python"
FLIPS = 60
REMOVED = 10


@pytest.fixture(scope="module")
def raws(finished_demo) -> list[bytes]:
    """The exported sequence, cut by another CBOR reader than the command's own."""
    found = []
    with finished_demo.layout.envelopes.open("rb") as file:
        decoder = cbor2.CBORDecoder(file)
        end = finished_demo.layout.envelopes.stat().st_size
        whole = finished_demo.layout.envelopes.read_bytes()
        at = 0
        while at < end:
            decoder.decode()
            found.append(whole[at : file.tell()])
            at = file.tell()
    return found


@pytest.fixture(scope="module")
def records(finished_demo, raws) -> list[Record]:
    keys = load_keys(finished_demo.layout.keys)
    return [parse_record(verify_envelope(raw, keys.public_key)) for raw in raws]


@pytest.fixture
def verify(finished_demo, tmp_path, capsys):
    """Exit status and JSON of `plumeproof verify` on a sequence of these envelopes."""

    def run(raws: list[bytes], has_anchor: bool = True) -> tuple[int, dict]:
        path = tmp_path / "envelopes.cbor"
        path.write_bytes(b"".join(raws))
        words = ["verify", str(path), "--keys", str(finished_demo.layout.keys), "--json"]
        words += ["--anchor", str(finished_demo.layout.anchor)] if has_anchor else []
        status = main(words)
        return status, json.loads(capsys.readouterr().out)

    return run


def named(result: dict) -> set[tuple[str, int]]:
    return {(finding["device"], finding["seq"]) for finding in result["findings"]}


def test_as_it_was_left_it_is_fine(finished_demo, raws, verify):
    status, result = verify(raws)
    assert (status, result["fine"], result["findings"]) == (0, True, [])
    assert result["records_verified"] == len(raws) == finished_demo.figures["records_verified"]


def test_any_flipped_bit_is_named(raws, records, verify):
    drawn = random.Random(20261125)
    for _ in range(FLIPS):
        place = drawn.randrange(len(raws))
        bit = drawn.randrange(len(raws[place]) * 8)
        spoilt = bytearray(raws[place])
        spoilt[bit // 8] ^= 1 << bit % 8
        status, result = verify([*raws[:place], bytes(spoilt), *raws[place + 1 :]], has_anchor=False)
        assert status == 1, (place, bit)
        # Where the bit is one of the device or the seq, the record is named by its place: what it claims is another's.
        offset = str(sum(map(len, raws[:place])))
        is_placed = offset in {finding["place"] for finding in result["findings"]}
        is_named = (records[place].device, records[place].seq) in named(result)
        assert is_named or is_placed, (place, bit, result["findings"])


def test_a_removed_record_is_named(raws, records, verify):
    last = {record.device: record.seq for record in records}
    inner = [place for place, record in enumerate(records) if record.seq < last[record.device]]
    for place in random.Random(3).sample(inner, min(REMOVED, len(inner))):
        status, result = verify([*raws[:place], *raws[place + 1 :]], has_anchor=False)
        assert status == 1
        assert (records[place].device, records[place].seq) in named(result), result["findings"]


def test_two_swapped_records_are_named(raws, records, verify):
    pairs = [place for place, (one, other) in enumerate(pairwise(records)) if one.device == other.device]
    for place in random.Random(4).sample(pairs, min(REMOVED, len(pairs))):
        status, result = verify([*raws[:place], raws[place + 1], raws[place], *raws[place + 2 :]], has_anchor=False)
        assert status == 1
        assert named(result) & {(record.device, record.seq) for record in records[place : place + 2]}


def test_a_replayed_record_is_named(raws, records, verify):
    for place in random.Random(5).sample(range(len(raws)), REMOVED):
        for at in (place + 1, len(raws)):
            status, result = verify([*raws[:at], raws[place], *raws[at:]], has_anchor=False)
            assert status == 1
            assert (records[place].device, records[place].seq) in named(result)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_cut_tail_is_named_where_there_is_an_anchor(raws, records, verify, count):
    device = records[-1].device
    status, result = verify(raws[:-count])
    assert status == 1
    assert (device, records[-count].seq) in named(result)
    status, _ = verify(raws[:-count], has_anchor=False)
    assert status == 0  # which is why anchors are kept elsewhere


def test_a_whole_module_taken_away_is_named_where_there_is_an_anchor(raws, records, verify):
    device = records[-1].device
    status, result = verify([raw for raw, record in zip(raws, records, strict=True) if record.device != device])
    assert status == 1
    assert (device, 1) in named(result)


def test_pycose_and_cwt_agree_with_every_envelope(finished_demo, raws):
    assert REFEREES.is_file(), f"{REFEREES} is missing: run make setup"
    script = (
        "import sys\n"
        "from pycose.messages import Sign1Message\n"
        "from pycose.keys import EC2Key\n"
        "from cwt import COSE, COSEKey\n"
        "lines = [line.split() for line in sys.stdin]\n"
        "points = {bytes.fromhex(line[1]): bytes.fromhex(line[2]) for line in lines if len(line) == 3}\n"
        "for raw in (bytes.fromhex(line[0]) for line in lines if len(line) == 1):\n"
        "    message = Sign1Message.decode(raw)\n"
        "    kid = next(value for name, value in message.phdr.items() if 'kid' in str(name).lower())\n"
        "    x, y = points[kid][1:33], points[kid][33:]\n"
        "    message.key = EC2Key(crv='P_256', x=x, y=y)\n"
        "    assert message.verify_signature()\n"
        "    cwt_key = COSEKey.new({1: 2, 2: kid, 3: -7, -1: 1, -2: x, -3: y, 4: [2]})\n"
        "    assert COSE.new().decode(raw, cwt_key) == message.payload\n"
        "    print(message.payload.hex())\n"
    )
    keys = load_keys(finished_demo.layout.keys)
    lines = [f"key {entry.kid.hex()} {entry.public_key.hex()}" for entry in keys.entries]
    text = "\n".join([*lines, *(raw.hex() for raw in raws)])
    answer = subprocess.run([REFEREES, "-W", "ignore", "-c", script], input=text, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [verify_envelope(raw, keys.public_key).payload.hex() for raw in raws]
