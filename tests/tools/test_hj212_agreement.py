"""Two parsers of HJ 212, each written from the reference alone, read the same from the same bytes.

Campaign: PLUMEPROOF_HJ212_SPLITS=10000 python -m pytest tests/tools/test_hj212_agreement.py
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from plumeproof.hj212.frame import FrameSplitter, Policy
from plumeproof.hj212.report import StreamReport
from tools.hj212_platform import server
from tools.hj212_platform.reader import Message, PacketReader, Refused, modbus_of, packet_of

ROOT = Path(__file__).resolve().parents[2]
SPLITS = int(os.environ.get("PLUMEPROOF_HJ212_SPLITS", "100"))


def packets_of_reference() -> list[bytes]:
    folder = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference")) / "data" / "hj212"
    if not folder.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    vectors = json.loads((folder / "vectors_own.json").read_text(encoding="utf-8"))
    samples = json.loads((folder / "samples_public.json").read_text(encoding="utf-8"))
    return [entry["packet"].encode() for entry in [*vectors["valid"], *vectors["edge_cases"], *samples]]


READERS = {"strict": Policy.STRICT, "modbus-crc-accepted": Policy.MODBUS, "ignore-crc": Policy.IGNORE}
Read = tuple[list[Any], list[Any]]  # packets that are good, place and size of those that are not


def read_here(stream: bytes, policy: str, cuts: list[int]) -> Read:
    """By the platform's parser."""
    reader, found, at = PacketReader(policy), [], 0
    for cut in [*cuts, len(stream)]:
        found += reader.take(stream[at:cut])
        at = cut
    found += reader.end()
    facts = [server.facts_of(piece) for piece in found if isinstance(piece, Message)]
    good = [[entry[name] for name in ("at", "size", "checksum", "policy", "head", "items")] for entry in facts]
    return good, [[piece.at, piece.size] for piece in found if isinstance(piece, Refused) and piece.is_packet]


def of_entries(entries: list[dict[str, Any]]) -> Read:
    """What plumeproof says, in the same form."""
    good = [
        [entry[name] for name in ("offset", "length", "crc", "policy", "head")]
        + [[[[value["name"], value["value"]] for value in item] for item in entry["items"]]]
        for entry in entries
        if entry["verdict"] == "good"
    ]
    return good, [[entry["offset"], entry["length"]] for entry in entries if "crc" in entry and "head" not in entry]


def read_there(stream: bytes, policy: str, cuts: list[int]) -> Read:
    """By plumeproof's."""
    splitter, report, entries, at = FrameSplitter(READERS[policy]), StreamReport(READERS[policy]), [], 0
    for cut in [*cuts, len(stream)]:
        entries += map(report.entry, splitter.feed(stream[at:cut]))
        at = cut
    return of_entries(entries + [report.entry(piece) for piece in splitter.close()])


@pytest.mark.parametrize("policy", list(READERS))
def test_both_parsers_read_the_vectors_alike(policy):
    taken = 0
    for raw in packets_of_reference():
        for cuts in ([], list(range(len(raw)))):
            here = read_here(raw, policy, cuts)
            assert here == read_there(raw, policy, cuts)
            taken += len(here[0])
    assert taken // 2 == {"strict": 17, "modbus-crc-accepted": 18, "ignore-crc": 23}[policy]


def spoilt(rng: random.Random, packets: list[bytes]) -> bytes:
    """A packet with lost, doubled and strange bytes, most with some checksum that fits a rule."""
    data = bytearray(rng.choice(packets)[6:-4])
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        pick = rng.random()
        if pick < 0.4:
            strange = (b";", b",", b"=", b"&&", b"##", b"CP=&&", b"PNUM=2", b"Flag=300", b"\xd2\xc7", b"\n", b"\xb2")
            data[at:at] = rng.choice(strange)
        elif pick < 0.7:
            del data[at : at + rng.randint(1, 6)]
        elif pick < 0.9:
            data[at] = rng.randrange(256)
        else:
            data[at:at] = data[:40]
        data = data or bytearray(b"a")
    whole = bytes(data[:1024])
    checksum = rng.choice((None, None, modbus_of(whole), rng.randrange(1 << 16)))
    return packet_of(whole, checksum)


def test_both_parsers_read_spoilt_streams_alike():
    packets, rng, goods = packets_of_reference(), random.Random(42), 0
    for _ in range(SPLITS * 2):
        parts = [
            rng.choice((rng.choice(packets), spoilt(rng, packets), b"###", b"##12", rng.randbytes(rng.randrange(20))))
            for _ in range(rng.randint(1, 5))
        ]
        stream, policy = b"".join(parts), rng.choice(list(READERS))
        cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randint(0, 6)))
        here = read_here(stream, policy, cuts)
        assert here == read_there(stream, policy, cuts), (policy, stream)
        goods += len(here[0])
    assert goods > SPLITS, "there was something to read"
