"""HJ 212 of 2025 as a preview: its commands, unknown fields byte for byte, any split; and decoding of hostile bytes.

Campaigns: PLUMEPROOF_HJ212_SPLITS=10000 PLUMEPROOF_HJ212_FUZZ=20000 python -m pytest tests/bridge/test_hj212_preview.py
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.hj212.frame import Check, Frame, FrameSplitter, Policy, Rubbish, frame_bytes
from plumeproof.hj212.packet import PacketError, parse_data
from plumeproof.hj212.parts import HELD_MAX, PARTS_MAX, PartsJoiner
from plumeproof.hj212.preview import COLUMNS, Edition, findings, meaning_of, preview_fields, read_by, read_fields
from plumeproof.hj212.report import StreamReport

SPLITS = int(os.environ.get("PLUMEPROOF_HJ212_SPLITS", "200"))
FUZZ = int(os.environ.get("PLUMEPROOF_HJ212_FUZZ", "300"))
MN = "010000A8900016F000169DC0"
CHECK = "DataTime=20260801080000;a21026-SampleRd=12.3,a21026-StandardValue=12.5,a21026-ResultType=1,a21026-Flag=N"
EXAMPLES = [  # CN, MN, CP, what differs from the preview
    ("1001", "", "i23005-Info=LOG1;i23006-Info=CPU7;i23007-Info=02-00-00-00-00-01", ""),
    ("1001", "", "i23006-Info=CPU7", "i23005-Info is missing"),
    ("9013", "", "", ""),
    ("9015", "", "", "CN 9015 with an empty MN"),
    ("1002", MN, "i23005-Info=LOG1", ""),
    ("1014", MN, "SKCreateTime=", ""),
    ("1014", MN, "SKCreateTime=20260801000000;NewSK=0123456789abcde", "NewSK is not of the form 16 characters"),
    ("1014", MN, "SKCreateTime=20260801000000;NewSK=0123456789abcdef", "may be encrypted"),
    ("9015", MN, "", ""),
    ("9015", MN, "a=1", "CN 9015 has nothing in CP"),
    ("2062", MN, CHECK, ""),
    ("2062", MN, CHECK.replace("Type=1", "Type=2"), "a21026-ResultType is not of the form 0 or 1"),
    ("2062", MN, CHECK + ";odd-Thing=9", "kept as they came: odd-Thing"),
    ("2062", MN, "", ""),
    ("2111", MN, "DataTime=20260801011000;a01901-Avg=912.4,a01901-Flag=N", ""),
    ("2111", MN, "DataTime=20260801011100;a01901-Avg=912.4", "DataTime is not of the form five minutes"),
    ("2111", MN, "BeginTime=20260801010000;EndTime=20260801020000", "kept as they came: BeginTime, EndTime"),
    ("2013", MN, "DataTime=20260801010000;a34013-SampleTime=20260801010500,a34013-Avg=1.8", ""),
    ("3011", MN, "PolId=a21026;CalibrationType=0", ""),
    ("3011", MN, "PolId=a21026", "CalibrationType is missing"),
    ("3014", MN, "PolId=a21026", "CN 3014 is not among the commands of 2025"),
    ("2061", MN, "DataTime=20260801080000;a21026-Avg=1.2,a21026-Flag=N", ""),
]


def data_of(command: str, mn: str, area: str, flag: int = 9) -> bytes:
    return f"QN=20260801085857223;ST=31;CN={command};PW=123456;MN={mn};Flag={flag};CP=&&{area}&&".encode()


PACKETS = [frame_bytes(data_of(command, mn, area)) for command, mn, area, _ in EXAMPLES]


def packet_of(data: bytes):
    return parse_data(data, Check.HJ212, Policy.STRICT)


@pytest.mark.parametrize(("command", "mn", "area", "differs"), EXAMPLES)
def test_what_the_preview_knows(command, mn, area, differs):
    packet = packet_of(data_of(command, mn, area))
    found = findings(packet)
    if differs:
        assert any(differs in line for line in found), found
    else:
        assert found == []
    assert not any("0123456789" in line for line in found), "a key is never shown"


def test_meanings():
    assert meaning_of("2062", "a21026-ResultType", "1").endswith(": passed")
    assert meaning_of("2062", "a21026-ResultType", "0").endswith(": failed")
    assert meaning_of("2062", "ResultType", "0").endswith(": failed"), "also without a factor"
    assert meaning_of("3011", "CalibrationType", "1").endswith(": span")
    assert meaning_of("2111", "a01901-Avg", "9") == "mean of the five minutes"
    assert meaning_of("2061", "a21026-Avg", "9") == meaning_of("9999", "x", "") == ""


def test_only_version_bits_and_choice_together_make_a_preview():
    for flag, edition, read in (
        (9, Edition.PREVIEW, "2025-preview"),
        (9, Edition.HJ2017, "2017"),
        (5, Edition.PREVIEW, "2017"),
    ):
        assert read_by(packet_of(data_of("2111", MN, "", flag)), edition) == read
    assert [packet_of(data_of("9015", MN, "", flag)).version for flag in (8, 9, 10, 11)] == ["2025"] * 4


def test_table():
    rows = [row for rows in preview_fields().values() for row in rows]
    assert {row.command for row in rows} >= {"1001", "1002", "1014", "2013", "2052", "2062", "2111"}
    assert all(row.source and row.confidence in ("low", "medium") and not row.verified for row in rows)
    header = ",".join(COLUMNS)
    for row, words in (
        ("2111,a,never,text,,,,", "need 'never'"),
        ("2111,a,may,odd,,,,", "form 'odd'"),
        ("8888,a,may,text,,,,", "command '8888'"),
        ("x", "line 2"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_fields(f"{header}\n{row}\n", "preview_fields.csv")


UNKNOWN = st.binary(min_size=0, max_size=12).map(lambda raw: raw.translate(None, b";,&#=\r\n"))
NAMES = st.sampled_from(
    [
        b"DataTime",
        b"a21026-Rtd",
        b"x",
        b"Odd.Name-2",
        b"a:b",
        b"i23005-Info",
        b"NewSK",
        b"a21026-ResultType",
        b"!~",
        b"PW",
    ]
)
ITEMS = st.lists(st.lists(st.tuples(NAMES, UNKNOWN), min_size=1, max_size=3), max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["1001", "1002", "1014", "9015", "2013", "2052", "2062", "2111", "3022", "3024"]), ITEMS)
def test_unknown_fields_come_back_byte_for_byte(command, items):
    area = b";".join(b",".join(name + b"=" + value for name, value in item) for item in items)
    data = data_of(command, MN, "")[:-2] + area + b"&&"
    (frame,) = FrameSplitter().feed(frame_bytes(data))
    packet = parse_data(frame.data, frame.check, frame.policy)
    assert frame_bytes(packet.data) == frame_bytes(data)
    assert [[(field.name, field.value) for field in item] for item in packet.items] == items
    assert all("\n" not in line for line in findings(packet)), "and judging them never fails"
    json.dumps(StreamReport(Policy.STRICT, Edition.PREVIEW).entry(frame))


def entries(stream: bytes, cuts: list[int], policy: Policy = Policy.STRICT, edition: Edition = Edition.PREVIEW):
    splitter, report, found, at = FrameSplitter(policy), StreamReport(policy, edition), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += map(report.entry, splitter.feed(stream[at:cut]))
        at = cut
    return found + [report.entry(piece) for piece in splitter.close()]


def test_splits_and_concatenations_give_the_same_messages():
    rng = random.Random(2025)
    expected = {raw: (entries(raw, [])[0]["items"], entries(raw, [])[0]["head"]) for raw in PACKETS}
    for _ in range(SPLITS):
        chosen = [rng.choice(PACKETS) for _ in range(rng.randint(1, 8))]
        stream = b"".join(raw[:-2] + rng.choice((b"\r\n", b"\n", b"\r", b"")) for raw in chosen)
        found = entries(stream, [rng.randrange(len(stream)) for _ in range(rng.randint(0, 12))])
        assert [(entry["items"], entry["head"]) for entry in found] == [expected[raw] for raw in chosen]
        assert {entry["read_as"] for entry in found} == {"2025-preview"}


def test_policy_and_version_stand_on_every_value(tmp_path, capsys):
    good = frame_bytes(data_of("2111", MN, "DataTime=20260801011000;a01901-Avg=912.4"))
    capture = tmp_path / "capture.bin"
    capture.write_bytes(good[:-6] + b"0000\r\n")
    for policy, status in (("strict", 1), ("modbus-crc-accepted", 1), ("ignore-crc", 0)):
        command = ["hj212", "decode", str(capture), "--policy", policy, "--version", "2025-preview"]
        assert main([*command, "--json"]) == status
        (entry,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
        assert entry["policy"] == policy
        if status == 0:
            assert (entry["version"], entry["read_as"]) == ("2025", "2025-preview")
            assert entry["preview"].startswith("preview: after an open implementation")
            values = [value for item in entry["items"] for value in item]
            assert [(value["crc"], value["policy"]) for value in values] == [("wrong", policy)] * 2
            assert values[1]["meaning"] == "mean of the five minutes"
        assert main(command) == status
        text = capsys.readouterr().out
        assert "not after the text of the standard" in text, "plainly a preview"
        assert status == 1 or text.count("crc wrong, ignore-crc") == 3, "the packet and both values"


def test_without_the_choice_a_packet_of_2025_is_only_named(tmp_path, capsys):
    capture = tmp_path / "capture.bin"
    capture.write_bytes(frame_bytes(data_of("2111", MN, "a=1")) + frame_bytes(data_of("2111", MN, "a=1", 5)))
    assert main(["hj212", "decode", str(capture), "--json"]) == 0
    new, old = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (new["version"], new["read_as"], old["version"], old["read_as"]) == ("2025", "2017", "2017", "2017")
    assert any("--version 2025-preview" in line for line in new["warnings"]) and "preview" not in new
    assert main(["hj212", "decode", str(capture), "--version", "2025"]) == 2
    assert main(["hj212", "decode", str(capture), "--json", "--version", "2025-preview"]) == 0
    new, old = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert any("DataTime is missing" in line for line in new["warnings"])
    assert "the version bits say 2017: read as 2017, not as 2025-preview" in old["warnings"]


def test_a_session_key_is_not_shown(tmp_path, capsys):
    capture = tmp_path / "capture.bin"
    capture.write_bytes(
        frame_bytes(data_of("1014", MN, "SKCreateTime=20260801000000;NewSK=secretsecretsecr"))
        + frame_bytes(data_of("1014", MN, "NewSK=secretsecretsecr"))[:-6] + b"0000\r\n"
    )  # fmt: skip
    for option in ([], ["--json"]):
        main(["hj212", "decode", str(capture), "--version", "2025-preview", *option])
        text = capsys.readouterr().out
        assert "may be encrypted" in text and "secret" not in text and "123456" not in text
    capture.write_bytes(frame_bytes(data_of("2011", MN, "a=1").replace(b"PW", b"pw")) * 2 + b"##12x4pw=123456;")
    main(["hj212", "decode", str(capture), "--json"])
    assert "123456" not in capsys.readouterr().out, "nor where the unit writes the name in its own way"


class TurnedBits:
    """A cipher for the test: every bit turned. Of the real one nothing is known."""

    def open(self, data: bytes) -> bytes:
        return bytes(255 - byte for byte in data)


def test_the_place_for_the_cipher():
    data = data_of("2111", MN, "DataTime=20260801011000;a01901-Avg=912.4")
    for sealed, verdict in ((TurnedBits().open(data), "good"), (data, "bad")):
        (frame,) = FrameSplitter().feed(frame_bytes(sealed))
        entry = StreamReport(Policy.STRICT, Edition.PREVIEW, TurnedBits()).entry(frame)
        assert entry["verdict"] == verdict, entry
        assert verdict == "bad" or entry["head"]["CN"] == "2111"


def spoilt(rng: random.Random) -> bytes:
    """Packets with changed, lost and doubled bytes, some with a right checksum over them; or plain noise."""
    raw = bytearray(rng.choice(PACKETS))
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(raw))
        pick = rng.random()
        if pick < 0.4:
            raw[at] = rng.randrange(256)
        elif pick < 0.6:
            del raw[at : at + rng.randint(1, 9)]
        else:
            raw[at:at] = rng.choice((b"##", b";", b",", b"=", b"&&", b"PNUM=3;PNO=2;", b"\xff\xfe", bytes(raw[:40])))
    if rng.random() < 0.5:
        return frame_bytes(bytes(raw[6:-6])[:1024])
    return bytes(raw) if rng.random() < 0.8 else rng.randbytes(rng.randrange(200))


@pytest.mark.parametrize("edition", list(Edition))
def test_hostile_bytes_never_break_decoding(edition):
    rng = random.Random(f"hostile {edition}")
    verdicts = set()
    for _ in range(FUZZ):
        stream = b"".join(spoilt(rng) for _ in range(rng.randint(1, 4)))
        policy = rng.choice(list(Policy))
        cuts = [rng.randrange(len(stream) + 1) for _ in range(3)]
        found = entries(stream, cuts, policy, edition)
        assert found == entries(stream, [], policy, edition)
        assert not any("123456" in entry.get("head", {}).get("PW", "") for entry in found)
        verdicts |= {entry["verdict"] for entry in found}
    assert verdicts == {"good", "bad", "rubbish"}, "each of them was met"


def test_the_verb_survives_a_file_of_noise(tmp_path, capsys):
    rng = random.Random(5)
    capture = tmp_path / "noise.bin"
    capture.write_bytes(b"".join(spoilt(rng) for _ in range(40)) + rng.randbytes(20_000) + b"##1024" * 40)
    for options in ([], ["--json"], ["--policy", "ignore-crc", "--version", "2025-preview"]):
        assert main(["hj212", "decode", str(capture), *options]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines and all(line.isprintable() for line in lines)


def test_parts_that_never_become_whole_do_not_pile_up():
    joiner, taken = PartsJoiner(), 0
    for message in range(6):
        for number in range(1, PARTS_MAX):
            joiner.take(packet_of(b"ST=31;CN=2062;MN=x;Flag=9;PNUM=256;PNO=%d;CP=&&DataTime=%d&&" % (number, message)))
            taken += 1
            assert taken - joiner.dropped <= HELD_MAX
    assert joiner.missing == HELD_MAX // (PARTS_MAX - 1)
    whole = joiner.take(packet_of(b"ST=31;CN=2062;MN=x;Flag=9;PNUM=256;PNO=256;CP=&&DataTime=5;a=1&&"))
    assert whole is not None and len(whole) == 2, "the newest is still put together"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(raw):
    pieces = FrameSplitter(Policy.IGNORE).feed(raw) + FrameSplitter(Policy.IGNORE).close()
    assert all(isinstance(piece, (Frame, Rubbish)) for piece in pieces)
    entries(raw, [], Policy.IGNORE)
    try:
        findings(packet_of(b"ST=31;CN=2062;MN=x;Flag=9;CP=&&" + raw + b"&&"))
    except PacketError as error:
        assert "\n" not in str(error)


def test_reference_vectors_of_2025():
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("PLUMEPROOF_REFERENCE", root.parent / "shared" / "reference")) / "data" / "hj212"
    if not folder.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    vectors = json.loads((folder / "vectors_own.json").read_text(encoding="utf-8"))["valid"]
    shaped = [vector for vector in vectors if "2025" in vector["name"]]
    assert len(shaped) == 2
    for vector in shaped:
        (entry,) = entries(vector["packet"].encode(), [])
        assert (entry["version"], entry["read_as"], entry["wants_answer"]) == ("2025", "2025-preview", True)
        assert not any(line.startswith("2025 preview") for line in entry["warnings"]), "as previewed"
