"""Addresses in all notations, readings in all orders, `plumeproof read` on the emulated plant (pymodbus servers)."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.cli import main, read
from plumeproof.errors import ProfileError
from plumeproof.survey import adapter
from plumeproof.survey.address import SHORT, Address, parse_address, to_reference, to_zero_based
from plumeproof.survey.line import LineSettings
from plumeproof.survey.profile import Choice, compose
from plumeproof.survey.readings import LIKELY, ORDERS_OF, POSSIBLE, UNLIKELY, Wish, decode_one, guess, interpret
from tests.doubles.analyzer_bus import AnalyzerBus, Station

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
ADDRESSES = st.integers(0, 0xFFFF)
FUNCTIONS = st.sampled_from((1, 2, 3, 4))


@pytest.mark.parametrize(
    ("text", "function", "address", "unit", "order"),
    [
        ("1!40001#CDAB", 3, 0, 1, "CDAB"),
        ("40001", 3, 0, None, None),
        ("400001", 3, 0, None, None),
        ("4x0001", 3, 0, None, None),
        ("4X1", 3, 0, None, None),
        ("30139", 4, 138, None, None),
        ("365536", 4, 65_535, None, None),
        ("10001", 2, 0, None, None),
        ("00001", 1, 0, None, None),
        ("hr:0", 3, 0, None, None),
        ("IR:138", 4, 138, None, None),
        ("di:4000", 2, 4_000, None, None),
        ("co:0", 1, 0, None, None),
        ("4:138", 4, 138, None, None),
        ("hr:0x8A", 3, 138, None, None),
        ("3:8Ah", 3, 138, None, None),
        (" 247!hr:1#ba ", 3, 1, 247, "BA"),
    ],
)
def test_notations(text, function, address, unit, order):
    assert parse_address(text) == Address(function, address, unit, None, order)


@pytest.mark.parametrize(("text", "address"), [("138", 138), ("0x8A", 138), ("8Ah", 138), ("0", 0)])
def test_bare_numbers_need_a_function_and_count_from_0(text, address):
    assert parse_address(text, 4) == Address(4, address)
    with pytest.raises(ProfileError, match="does not say what kind"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no register address"),
        ("40000", "count from 1"),
        ("4x0", "count from 1"),
        ("50001", "does not say what kind"),
        ("465537", "behind the last address"),
        ("hr:65536", "behind the last address"),
        ("xx:1", "none of co:"),
        ("5:1", "none of co:"),
        ("0!40001", "unit id 0"),
        ("248!40001", "unit id 248"),
        ("40001#ABDC", "no word order"),
        ("10001#AB", "no word order"),
        ("hr:1.16", "a bit is .0 to .15"),
        ("di:1.1", "a bit is .0 to .15"),
        ("hr:-1", "no register address"),
        ("hr:1e3z", "no register address"),
        ("4\u0660001", "no register address"),
        ("4" * 50, "no register address"),
    ],
)
def test_refused_addresses_say_how_to_write_them(text, said):
    with pytest.raises(ProfileError, match=said) as refused:
        parse_address(text)
    assert "\n" not in str(refused.value)


def test_two_functions_contradict():
    with pytest.raises(ProfileError, match="means function 3, and function 4"):
        parse_address("40001", 4)


@given(FUNCTIONS, ADDRESSES, st.one_of(st.none(), st.integers(0, 15)))
def test_both_ways_of_writing_come_back(function, address, bit):
    place = Address(function, address, bit=bit if function > 2 else None)
    assert parse_address(to_zero_based(place)) == place
    assert parse_address(to_reference(place)) == place
    assert parse_address(f"{function}:{address:#x}") == Address(function, address)
    assert parse_address(f"{address:04X}h", function) == Address(function, address)
    digit = to_reference(place)[0]
    assert parse_address(f"{digit}{address + 1:05}") == Address(function, address)
    assert parse_address(f"17!{SHORT[function]}:{address}").unit == 17


@given(st.text(max_size=45))
def test_any_text_is_an_address_or_refused(text):
    try:
        place = parse_address(text)
    except ProfileError:
        return
    assert 0 <= place.address <= 0xFFFF
    assert place.function in (1, 2, 3, 4)


# Readings


def test_word_orders_of_the_reference():
    path = REFERENCE / "data" / "modbus" / "vectors.json"
    if not path.is_file():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    for order, raw in json.loads(path.read_text())["float_412_75"].items():
        assert decode_one(bytes.fromhex(raw), "float32", order) == 412.75


@given(st.binary(min_size=8, max_size=8), st.sampled_from(sorted(ORDERS_OF)), st.integers(0, 3))
def test_orders_are_permutations_that_struct_confirms(raw, kind, choice):
    order = ORDERS_OF[kind][choice % len(ORDERS_OF[kind])]
    raw = raw[: len(order)]
    value = decode_one(raw, kind, order)
    code = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "float32": "f", "float64": "d", "uint64": "Q",
            "int64": "q"}[kind]  # fmt: skip
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if order[:2] in ("CD", "GH", "DC", "HG"):
        words.reverse()
    if order[:2] in ("BA", "DC", "HG"):
        words = [word[::-1] for word in words]
    expected = struct.unpack(f">{code}", b"".join(words))[0]
    assert value == expected or (math.isnan(value) and math.isnan(expected))


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("value", [412.75, 0.0371, -3.5, 23_000.0])
def test_the_right_order_of_a_measured_value_is_likely(order, value):
    raw = struct.pack(">f", value)
    wire = bytes(raw["ABCD".index(letter)] for letter in order)
    found = {one.order: one for one in interpret([wire], Wish()) if one.type == "float32"}
    assert found[order].mark != UNLIKELY
    expected = guess(interpret([wire], Wish(expect=value)), Wish(expect=value))
    assert [(one.type, one.order) for one in expected][:1] == [("float32", order)]


def marks(reads: list[bytes], wish: Wish = Wish()) -> dict[str, tuple[str, str]]:  # noqa: B008 - frozen
    return {one.order: (one.mark, one.reason) for one in interpret(reads, wish) if one.type == "float32"}


def test_marks_of_one_value():
    assert marks([bytes.fromhex("43ce6000")]) == {
        "ABCD": (LIKELY, ""),
        "CDAB": (UNLIKELY, "range"),
        "BADC": (UNLIKELY, "range"),
        "DCBA": (UNLIKELY, "denormal"),
    }


@pytest.mark.parametrize(
    ("raw", "reason"), [("7fc00000", "NaN"), ("ff800000", "infinite"), ("00000001", "denormal"), ("7f000000", "range")]
)
def test_reasons(raw, reason):
    assert marks([bytes.fromhex(raw)])["ABCD"] == (UNLIKELY, reason)


def test_all_zero_says_nothing():
    assert set(marks([bytes(4)]).values()) == {(POSSIBLE, "")}
    assert guess(interpret([bytes(4)], Wish()), Wish()) == []


def test_jumps_tell_orders_apart_that_one_read_cannot():
    steady = [bytes.fromhex(raw) for raw in ("42004100", "42014100", "4200c100")]  # ABCD some 32, CDAB 8, 8 and -8
    assert marks(steady[:1])["ABCD"] == marks(steady[:1])["CDAB"] == (POSSIBLE, "")
    assert marks(steady)["ABCD"] == (LIKELY, "")
    assert marks(steady)["CDAB"] == (UNLIKELY, "jumps")


def test_bounds_pick():
    raw = bytes.fromhex("42004100")
    assert marks([raw], Wish(minimum=30, maximum=50))["ABCD"] == (LIKELY, "")
    assert marks([raw], Wish(minimum=30, maximum=50))["CDAB"] == (UNLIKELY, "outside bounds")


def test_usual_size_wins_over_possible_size():
    found = marks([bytes.fromhex("d8c740fc")])  # CDAB 7.90, BADC -111,096
    assert found["CDAB"] == (LIKELY, "")
    assert found["BADC"] == (POSSIBLE, "")


def test_scaled_integer_is_found_by_the_expected_value():
    wish = Wish(expect=412.8)
    best = guess(interpret([struct.pack(">h", 4128)], wish), wish)
    assert ("int16", "AB", "0.1") in [(one.type, one.order, one.scale) for one in best]


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=4), st.floats(-1e3, 1e3))
def test_any_bytes_are_read(reads, expect):
    for wish in (Wish(), Wish(expect=expect), Wish(minimum=0, maximum=expect)):
        found = interpret(reads, wish)
        assert len(found) == sum(len(orders) for orders in ORDERS_OF.values())
        assert all((one.mark == UNLIKELY) == bool(one.reason) for one in found)


# The verb


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """The demo's analyzers on one tty at 19200 8N1, values frozen by the same seed and a slow clock."""
    folder = tmp_path_factory.mktemp("plant")
    choices = [Choice("gas", "sick_mcs100ft", 1), Choice("dust", "generic_dust_int16", 2)]
    (folder / "p.json").write_bytes(compose("plume-01", choices, 1000, 60_000))
    command = [sys.executable, "-m", "tools.plant", "--dir", str(folder), "--module", "plume-01", "--parameters"]
    with subprocess.Popen([*command, str(folder / "p.json")], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield folder / "plume-01" / "bus.tty"
        process.terminate()


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_scan_finds_the_plant(capsys, plant):
    code, out, err = run(
        capsys, "scan", plant, "--baud", 19_200, "--parity", "NE", "--units", "1-3", "--timeout-ms", 100, "--json"
    )
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [(one["unit"], one["state"], one["exception"]) for one in found["units"]] == [
        (1, "exception", 2),
        (2, "answers", 0),
    ]
    assert found["refused_settings"] == ["19200 8E1"]  # a pty takes no parity, and that is said


def test_register_shows_raw_bytes_and_the_likely_order(capsys, plant):
    code, out, err = run(capsys, "read", plant, "--baud", 19_200, "--register", "1!30139", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["function"], found["address"], found["reference"]) == (4, 138, "30139")
    raw = bytes.fromhex(found["reads"][0])
    value = struct.unpack(">f", raw[2:] + raw[:2])[0]
    # The plant moves: now and then the words the other way round are a usual number too, and nothing is called likely.
    likely = [(one["type"], one["order"], one["value"]) for one in found["likely"]]
    assert likely in ([], [("float32", "CDAB", value)])
    _, out, _ = run(
        capsys, "read", plant, "--baud", 19_200, "--register", "1!30139", "--json", "--expect", f"{value:.2f}"
    )
    assert [(one["type"], one["order"]) for one in json.loads(out)["likely"]][0] == ("float32", "CDAB")


@pytest.mark.parametrize("count", [1, 2, 4, 12, 34])
@pytest.mark.parametrize("more", [(), ("--full",), ("--repeat", "2", "--interval-ms", "0")])
def test_output_fits_a_terminal(capsys, plant, count, more):
    words = ("read", plant, "--baud", 19_200, "--unit", 1, "--register", "ir:138", "--count", count, *more)
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) < 80
    assert "ir:138 counted from 0 = 30139 counted from 1" in out


def test_bits(capsys, plant):
    code, out, _ = run(capsys, "read", plant, "--baud", 19_200, "--unit", 1, "--register", "di:4000", "--count", 7)
    assert code == 0
    assert "discrete inputs (function 2)" in out
    assert "di:4000" in out


def test_expected_value_decides_the_status(capsys, plant):
    words = ("read", plant, "--baud", 19_200, "--unit", 1, "--register", "ir:138")
    assert run(capsys, *words, "--min", 1, "--max", 50)[0] == 0
    code, out, _ = run(capsys, *words, "--expect", 900)
    assert code == 1
    assert "nothing from the first register on is as expected" in out


def test_profile_shows_channels_with_units(capsys, plant):
    words = ("read", plant, "--baud", 19_200, "--unit", 1, "--profile", "sick_mcs100ft")
    code, out, err = run(capsys, *words, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    channels = {one["id"]: one for one in found["channels"]}
    assert channels["so2"]["unit"] == "mg/m3"
    assert channels["so2"]["status"] == "ok"
    assert [block["heard"] for block in found["blocks"]] == ["answer"] * 3
    out = run(capsys, *words)[1]
    assert "so2" in out
    assert max(map(len, out.splitlines())) < 80


def test_profile_of_another_analyzer_names_the_exceptions(capsys, plant):
    code, out, _ = run(capsys, "read", plant, "--baud", 19_200, "--unit", 2, "--profile", "sick_mcs100ft")
    assert code == 1
    assert "exception_2_illegal_address" in out
    assert "block ir:138, 34: exception 2" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--unit", "1", "--register", "hr:9000"), 1, "exception 2, illegal data address"),
        (("--unit", "9", "--register", "hr:0", "--timeout-ms", "50"), 3, "no answer; find it with `plumeproof scan"),
        (("--unit", "9", "--profile", "sick_mcs100ft", "--timeout-ms", "20"), 3, ""),
        (("--register", "hr:0"), 2, "--unit: is missing"),
        (("--unit", "2", "--register", "1!hr:0"), 2, "name two units"),
        (("--unit", "2", "--register", "hr:65535"), 2, "ends behind address 65535"),
        (("--unit", "2", "--register", "138"), 2, "does not say what kind"),
        (("--unit", "2", "--profile", "absent"), 2, "no profile 'absent'; there are"),
        (("--unit", "2", "--profile", "absent.csv"), 2, "absent.csv: No such file"),
        (("--profile", "sick_mcs100ft"), 2, "--unit: is missing"),
        (("--unit", "2", "--profile", "sick_mcs100ft", "--expect", "1"), 2, "leave --expect"),
        (("--unit", "1", "--register", "ir:138", "--parity", "E"), 2, "does not take 19200 8E1"),
    ],
)
def test_what_is_no_reading_has_one_line_and_a_status(capsys, plant, words, code, said):
    found, _, err = run(capsys, "read", plant, "--baud", 19_200, *words)
    assert found == code
    assert said in err
    assert err.count("\n") <= 1


def test_order_of_the_address_is_obeyed(capsys, plant):
    out = run(capsys, "read", plant, "--baud", 19_200, "--register", "1!30139#ABCD")[1]
    assert "float32 ABCD = " in out
    assert "\nlikely:" not in out


@pytest.fixture
def bus(monkeypatch):
    """A modelled bus in the place of the serial port: unit 1 at 9600 8N1 with registers 0, 0, 17096, 0."""
    made = AnalyzerBus([Station(1, LineSettings(9_600, "N", 1), (0, 0, 17_096, 0))])

    class Port(AnalyzerBus):
        def __new__(cls, *_args: object) -> AnalyzerBus:
            return made

    monkeypatch.setattr(adapter, "SerialPort", Port)
    monkeypatch.setattr(made, "close", lambda: None)
    yield made
    assert {data[1] for _, data in made.sent} <= {1, 2, 3, 4}
    monkeypatch.undo()
    made.close()


def test_all_zero_is_said(capsys, bus):
    assert "all zero: says nothing of the order" in run(capsys, "read", "X", "--register", "1!hr:0")[1]
    assert "likely: float32 ABCD = 100" in run(capsys, "read", "X", "--register", "1!hr:2")[1]


def test_reads_before_silence_are_shown(capsys, bus):
    bus.stations[0].says = None
    serve = AnalyzerBus._serve
    answers = iter((True, True))
    bus._serve = lambda one, request: serve(one, request) if next(answers, False) else b""
    words = ("read", "X", "--register", "1!hr:2", "--repeat", 5, "--interval-ms", 0, "--timeout-ms", 20)
    code, out, err = run(capsys, *words)
    assert code == 1
    assert "2 reads" in out
    assert "no answer" in err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--register", "1!hr:2"), "42 c8 00 00  float32 ABCD 100"),
        (("--register", "1!hr:0", "--count", "1"), "00 00  uint16 AB 0"),
        (("--register", "1!hr:0", "--count", "5"), "exception 2"),
        (("--register", "2!hr:0", "--timeout-ms", "20"), "no answer"),
        (("--register", "1!hr:2", "--json"), '"likely": [{"type": "float32"'),
    ],
)
def test_watch_goes_on_whatever_comes(capsys, monkeypatch, bus, words, shown):
    pauses = iter((None, None, KeyboardInterrupt))

    def sleep(_duration_s: float) -> None:
        if (end := next(pauses)) is not None:
            raise end

    with monkeypatch.context() as patched:
        patched.setattr(read, "time", SimpleNamespace(sleep=sleep))
        code, out, err = run(capsys, "read", "X", *words, "--watch")
    assert (out + err).count(shown) == 3
    assert code == {"exception 2": 1, "no answer": 3}.get(shown, 0)


def test_watch_prints_until_interrupted(plant):
    command = [sys.executable, "-m", "plumeproof", "read", str(plant), "--baud", "19200", "--register", "1!ir:138"]
    with subprocess.Popen(
        [*command, "--watch", "--interval-ms", "1"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(2)
        process.communicate(timeout=10)
    assert process.returncode == 0
    assert all("float32" in line and "CDAB" in line for line in lines)
