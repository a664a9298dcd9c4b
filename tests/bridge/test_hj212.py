"""HJ 212 as pure code: vectors of the reference, any split of a stream, round trips, a slow second parser as referee.

The campaign of ten thousand splits: PLUMEPROOF_HJ212_SPLITS=10000 python -m pytest tests/bridge/test_hj212.py -k splits
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.hj212 import codes
from plumeproof.hj212.frame import (
    DATA_MAX,
    Check,
    Frame,
    FrameSplitter,
    Policy,
    Rubbish,
    crc_hj212,
    crc_modbus,
    frame_bytes,
)
from plumeproof.hj212.packet import PacketError, build_data, parse_data, read_text
from plumeproof.hj212.parts import OPEN_MAX, SEEN_MAX, DuplicateMemory, PartsJoiner
from plumeproof.hj212.report import StreamReport

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference")) / "data" / "hj212"
SPLITS = int(os.environ.get("PLUMEPROOF_HJ212_SPLITS", "300"))
MN = "010000A8900016F000169DC0"
HEAD = {"QN": "20260801090000001", "ST": "31", "CN": "2061", "PW": "123456", "MN": MN, "Flag": "5"}


def reference(name: str):
    if not (REFERENCE / name).exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


def slow_crc(data: bytes) -> int:
    """As the standard's annex writes it: bit by bit."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte
        for _ in range(8):
            last = register & 1
            register >>= 1
            if last:
                register ^= 0xA001
    return register


def slow_packets(stream: bytes) -> list[tuple[int, bytes]]:
    """Referee: right packets of a whole stream, tried at every byte, no state."""
    found, at = [], 0
    while at < len(stream):
        length = stream[at + 2 : at + 6]
        if stream[at : at + 2] == b"##" and len(length) == 4 and all(digit in b"0123456789" for digit in length):
            data = stream[at + 6 : at + 6 + int(length)]
            crc = stream[at + 6 + int(length) : at + 10 + int(length)]
            if int(length) <= 1024 and crc.upper() == b"%04X" % slow_crc(data) and len(data) == int(length):
                found.append((at, data))
                at += 10 + int(length)
                continue
        at += 1
    return found


def split(stream: bytes, cuts: list[int], policy: Policy = Policy.STRICT) -> list[Frame | Rubbish]:
    splitter, pieces, at = FrameSplitter(policy), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        pieces += splitter.feed(stream[at:cut])
        at = cut
    return pieces + splitter.close()


def accepted(pieces) -> list[tuple[int, bytes]]:
    return [(piece.offset, piece.data) for piece in pieces if isinstance(piece, Frame) and piece.accepted]


def part_of(number: int, total: int, data_time: str = "20260801080000"):
    head = HEAD | {"Flag": "7", "PNUM": str(total), "PNO": str(number)}
    data = build_data(head, [{"DataTime": data_time}, {f"a2100{number}-Avg": "1.5", f"a2100{number}-Flag": "N"}])
    return parse_data(data, Check.HJ212, Policy.STRICT)


def test_crc_of_the_table():
    assert (crc_hj212(b""), crc_hj212(b"A"), crc_hj212(b"123456789")) == (0xFFFF, 0x7080, 0x2F80)
    assert crc_modbus(b"123456789") == 0x4B37


def test_valid_vectors():
    for vector in reference("vectors_own.json")["valid"]:
        raw = vector["packet"].encode()
        (frame,) = split(raw, [])
        assert isinstance(frame, Frame) and frame.accepted and frame.raw == raw, vector["name"]
        assert (frame.data, len(frame.data)) == (vector["data"].encode(), vector["length"])
        assert f"{crc_hj212(frame.data):04X}" == vector["crc"]
        packet = parse_data(frame.data, frame.check, frame.policy)
        assert packet.data == frame.data
        assert frame_bytes(packet.data) == raw + b"\r\n"
        head = {field.name.decode(): field.value.decode() for field in packet.head}
        items = [{field.name.decode(): field.value.decode() for field in item} for item in packet.items]
        assert build_data(head, items) == frame.data


def test_edge_cases():
    cases = {case["name"]: case for case in reference("vectors_own.json")["edge_cases"]}
    assert len(cases) == 5
    for name, case in cases.items():
        raw = case["packet"].encode()
        good = accepted(split(raw, []))
        assert len(good) == (2 if "two valid" in case["expect"] else 0), name
        assert good == slow_packets(raw)
    modbus = cases["Modbus CRC-16 used instead of the HJ 212 one"]["packet"].encode()
    for policy in (Policy.MODBUS, Policy.IGNORE):
        (frame,) = split(modbus, [], policy)
        assert frame.accepted and (frame.check, frame.policy) == (Check.MODBUS, policy)
    flipped = cases["CRC digit flipped"]["packet"].encode()
    assert [accepted(split(flipped, [], policy)) != [] for policy in Policy] == [False, False, True]
    short = cases["length header too short"]["packet"].encode()
    after = frame_bytes(b"ST=31;CN=9015;MN=x;CP=&&&&")
    for policy in Policy:
        assert [offset for offset, _ in accepted(split(short + after, [], policy))] == [len(short)]


def test_public_samples():
    samples = reference("samples_public.json")
    assert [sample["ok_crc"] for sample in samples].count(True) == 3
    for sample in samples:
        raw = sample["packet"].encode()
        (frame,) = split(raw, [])
        assert frame.accepted is sample["ok_crc"]
        assert f"{crc_hj212(frame.data):04X}" == sample["calc"]
        (loose,) = split(raw, [], Policy.IGNORE)
        packet = parse_data(loose.data, loose.check, loose.policy)
        assert packet.data == loose.data
        checks = {field.check for item in packet.items for field in item}
        assert checks == {Check.HJ212 if sample["ok_crc"] else loose.check}


def test_factors_are_those_of_the_reference():
    path = REFERENCE / "factor_codes_2017.csv"
    if not path.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert len(rows) == 184
    for row in rows:
        (factor,) = [found for found in codes.factors()[row["code"]] if found.code == row["code"]]
        assert (factor.name_zh, factor.unit, factor.legacy_2005) == (
            row["name_zh"],
            row["concentration_unit"],
            row["legacy_2005_code"],
        )


def stream_of(rng: random.Random, packets: list[bytes]) -> bytes:
    parts = []
    for _ in range(rng.randint(1, 8)):
        parts.append(rng.choice(packets) + rng.choice((b"\r\n", b"\r", b"\n", b"")))
        if rng.random() < 0.3:
            parts.append(rng.choice((b"#", b"##", b"##12", b"##9999", b"###", b"\x00\xff##0040QN=", b"noise", b"\r\n")))
        if rng.random() < 0.2:
            broken = bytearray(rng.choice(packets))
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            parts.append(bytes(broken[: rng.randint(1, len(broken))]))
    return b"".join(parts)


def test_splits_give_the_same_packets():
    packets = [vector["packet"].encode() for vector in reference("vectors_own.json")["valid"]]
    rng = random.Random(212)
    for _ in range(SPLITS):
        stream = stream_of(rng, packets)
        cuts = [rng.randrange(len(stream)) for _ in range(rng.randint(0, 12))]
        pieces, whole = split(stream, cuts), split(stream, [])
        assert pieces == whole
        assert accepted(pieces) == slow_packets(stream)
        assert split(stream, cuts, Policy.IGNORE) == split(stream, [], Policy.IGNORE)


def test_valid_packets_one_byte_at_a_time():
    packets = [vector["packet"].encode() for vector in reference("vectors_own.json")["valid"]]
    stream = b"".join(packets)
    assert [data for _, data in accepted(split(stream, list(range(len(stream)))))] == [raw[6:-4] for raw in packets]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from([b"##", b"#", b"0008", b"ab", b"\r\n", b"0000FFFF", b"##0000FFFF", b"&&"])), st.data())
def test_every_byte_is_accounted_for(parts, data):
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    pieces = split(stream, cuts)
    assert pieces == split(stream, [])
    at = 0
    for piece in pieces:
        length = piece.length if isinstance(piece, Rubbish) else len(piece.raw)
        assert not stream[at : piece.offset].strip(b"\r\n"), "only line ends may go unnamed"
        at = piece.offset + length
    assert not stream[at:].strip(b"\r\n")
    assert accepted(pieces) == slow_packets(stream)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9\-]{0,12}", fullmatch=True).filter(lambda name: name not in (*HEAD, "CP"))
VALUES = st.text(st.characters(exclude_characters=";,&#\r\n", exclude_categories=["Cs"]), max_size=12)
FIELDS = st.dictionaries(NAMES.filter(lambda name: name not in ("PNUM", "PNO")), VALUES, min_size=1, max_size=3)


@settings(max_examples=80, deadline=None)
@given(FIELDS, st.lists(FIELDS, max_size=5))
def test_built_packets_come_back(unknown, items):
    data = build_data(HEAD | unknown, items)
    (frame,) = split(frame_bytes(data), [])
    packet = parse_data(frame.data, frame.check, frame.policy)
    assert frame.accepted and packet.data == data
    assert [{f.name.decode(): f.value.decode() for f in item} for item in packet.items] == items
    assert {f.name.decode(): f.value.decode() for f in packet.head} == HEAD | unknown


PIECES = st.sampled_from(
    [b"ST=31", b"CN=2011", b"MN=x", b";", b"CP=&&", b"&&", b"a=1", b",", b"=", b"\xd2\xc7", b"Flag=9"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join), st.lists(PIECES, max_size=8).map(b"".join))
def test_what_is_read_goes_back_to_its_bytes(head, area):
    for data in (head, b"ST=31;CN=2011;MN=x;CP=&&" + area + b"&&", head + b";CP=&&" + area + b"&&"):
        try:
            assert parse_data(data, Check.HJ212, Policy.STRICT).data == data
        except PacketError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ST=31;CN=2011;MN=x", "no CP=&&"),
        (b"ST=31;CN=2011;MN=x;CP=&&a=1", "not closed"),
        (b"ST=31;CN=2011;MN=x;CP=&&&", "not closed"),
        (b"ST=31;CN=2011;CP=&&&&", "MN is missing"),
        (b"ST=31;CN=201;MN=x;CP=&&&&", "CN '201' is not 4 digits"),
        (b"ST=31;CN=2011;MN=x;Flag=256;CP=&&&&", "at most 255"),
        (b"ST=31;ST=31;CN=2011;MN=x;CP=&&&&", "stands twice"),
        (b"ST=31;CN=2011;MN=x;PNUM=2;CP=&&&&", "only together"),
        (b"ST=31;CN=2011;MN=x;PNUM=2;PNO=3;CP=&&&&", "PNO 3 of PNUM 2"),
        (b"ST=31;CN=2011;MN=x;CP=&&a&&", "no name=value"),
        (b"QN=2026;ST=31;CN=2011;MN=x;CP=&&&&", "17 digits"),
        (b"x" * 1025, "at most 1024"),
    ],
)
def test_bad_packets_say_why(data, words):
    with pytest.raises(PacketError, match=words):
        parse_data(data, Check.HJ212, Policy.STRICT)


def test_flag_bits():
    for flag, version, answer, numbered in ((4, "2017", 0, 0), (7, "2017", 1, 1), (9, "2025", 1, 0), (2, "2005", 0, 1)):
        data = build_data(HEAD | {"Flag": str(flag)}, [])
        packet = parse_data(data, Check.HJ212, Policy.STRICT)
        assert (packet.version, packet.wants_answer, packet.has_numbers) == (version, answer, numbered)


def test_limits_on_sending():
    with pytest.raises(PacketError, match="more than 950"):
        build_data({"ST": "31", "CN": "1000", "MN": "x"}, [{"a-Info": "x" * 944}])
    assert len(build_data({"ST": "31", "CN": "1000", "MN": "x"}, [{"a-Info": "x" * 943}])) <= DATA_MAX
    with pytest.raises(ValueError, match="at most 1024"):
        frame_bytes(b"x" * 1025)
    for value in ("a;b", "a,b", "&&", "x\r\n", "##"):
        with pytest.raises(PacketError):
            build_data(HEAD, [{"a-Info": value}])


def test_gbk_text_keeps_its_bytes():
    data = b"ST=32;CN=3020;MN=x;Flag=4;CP=&&i11001-Info=" + "仪表校准".encode("gbk") + b"&&"
    packet = parse_data(data, Check.HJ212, Policy.STRICT)
    assert packet.data == data
    assert read_text(packet.items[0][0].value) == ("仪表校准", "gbk")


def test_parts_in_any_order_and_twice():
    joiner = PartsJoiner()
    assert [joiner.take(part_of(number, 3)) for number in (3, 1, 3)] == [None, None, None]
    whole = joiner.take(part_of(2, 3))
    assert whole is not None
    assert [item[0].name for item in whole] == [b"DataTime", b"a21001-Avg", b"a21002-Avg", b"a21003-Avg"]
    assert joiner.missing == 0


def test_parts_are_bounded():
    joiner = PartsJoiner()
    for minute in range(OPEN_MAX + 3):
        joiner.take(part_of(1, 2, f"2026080108{minute:02}00"))
    assert (joiner.missing, joiner.dropped) == (OPEN_MAX, 3)
    joiner.take(part_of(1, 9999))
    assert joiner.dropped == 4


def test_duplicates_by_identity():
    memory = DuplicateMemory()
    assert [memory.is_again(part_of(number, 2)) for number in (1, 2, 1)] == [False, False, True]
    for second in range(SEEN_MAX):
        memory.is_again(part_of(1, 2, f"2027{second:010}"))
    assert not memory.is_again(part_of(2, 2)), "forgotten, so that memory stays bounded"


def test_codes():
    assert codes.name_of("command", "2051") == "minute data"
    assert codes.name_of("flag", "T") == "above range"
    preview = {code for (kind, code), row in codes.codes().items() if kind == "command" and row.edition == "2025"}
    assert preview == set("1001 1002 1014 9015 2013 2052 2062 2111 3022 3024".split())
    assert all(row.source for row in codes.codes().values())
    factor = codes.factor_of("a05001-Rtd")
    assert factor is not None and factor.unit == "mg/m3"
    assert codes.factor_of("23-Rtd") is None, "wind speed or chlorobenzene"
    assert codes.factor_of("02-Rtd") == codes.factor_of("a21026-Rtd")
    header = ",".join(codes.CODE_COLUMNS)
    for text, words in (("a,b\n", "line 1"), (f"{header}\nx\n", "line 2"), (f"{header}\nodd,1,,,,,,\n", "kind 'odd'")):
        with pytest.raises(ConfigError, match=words):
            codes.read_codes(text, "codes.csv")


GOOD = frame_bytes(build_data(HEAD, [{"DataTime": "20260801080000"}, {"a21026-Avg": "12.35", "a21026-Flag": "N"}]))


def test_verb(tmp_path, capsys):
    capture = tmp_path / "capture.bin"
    capture.write_bytes(b"log: " + GOOD + GOOD.replace(b"12.35", b"12.36"))
    assert main(["hj212", "decode", str(capture), "--json"]) == 1
    rubbish, good, bad = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (rubbish["verdict"], rubbish["offset"], rubbish["length"]) == ("rubbish", 0, 5)
    assert (good["verdict"], good["offset"], good["head"]["CN"], good["command"]) == ("good", 5, "2061", "hourly data")
    value = good["items"][1][0]
    assert value == {
        "name": "a21026-Avg",
        "value": "12.35",
        "crc": "hj212",
        "policy": "strict",
        "factor": "sulfur dioxide",
    }
    assert (bad["verdict"], bad["offset"]) == ("bad", 5 + len(GOOD)) and "CRC" in bad["reason"]
    assert main(["hj212", "decode", str(capture), "--policy", "ignore-crc", "--json"]) == 0
    loose = json.loads(capsys.readouterr().out.splitlines()[2])
    assert {value["crc"] for item in loose["items"] for value in item} == {"wrong"}
    assert {value["policy"] for item in loose["items"] for value in item} == {"ignore-crc"}
    assert loose["duplicate"] is True
    assert main(["hj212", "decode", str(capture)]) == 1
    text = capsys.readouterr().out
    assert "1 packets good, 1 bad" in text and "123456" not in text
    capture.write_bytes(b"##00x1\x1b[2J")
    assert main(["hj212", "decode", str(capture)]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [["decode", "--policy", "lax"], ["decode", "no-such-file"], ["decode", "."], []])
def test_wrong_usage(words, capsys):
    assert main(["hj212", *words]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("plumeproof hj212")


def test_verb_shows_a_live_pipe_packet_by_packet():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "bridge"), str(ROOT / "firmware")])}
    command = [sys.executable, "-m", "plumeproof", "hj212", "decode", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as run:
        assert run.stdin is not None and run.stdout is not None
        for number in range(2):
            run.stdin.write(GOOD)
            run.stdin.flush()
            assert json.loads(run.stdout.readline())["offset"] == number * len(GOOD)
        run.stdin.close()
        assert run.wait() == 0


def test_memory_does_not_grow_with_the_stream():
    def peak(repeats: int) -> int:
        splitter, report = FrameSplitter(), StreamReport(Policy.STRICT)
        tracemalloc.start()
        for _ in range(repeats):
            for piece in splitter.feed(GOOD + b"#" * 500):
                report.entry(piece)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert peak(90) < peak(30) + 20_000
