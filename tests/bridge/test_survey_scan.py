"""The search on a bus of pymodbus servers whose line garbles at wrong settings; the verb itself on real ptys."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tty
from pathlib import Path

import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from plumeproof.cli import main
from plumeproof.clock import SystemClock
from plumeproof.errors import ConfigError
from plumeproof.survey import adapter, adu
from plumeproof.survey.line import BusLine, LineSettings
from plumeproof.survey.search import Plan, Search, order_settings
from tests.doubles.analyzer_bus import AnalyzerBus, Station, hear

ROOT = Path(__file__).resolve().parents[2]
USUAL = LineSettings(9_600, "N", 1)
EVEN = LineSettings(19_200, "E", 1)
SETTINGS = order_settings((9_600, 19_200, 38_400), "NE", (1,))
READING = {1, 2, 3, 4, 0x2B}


@pytest.fixture
def buses():
    """Makes buses; closes them."""
    made: list[AnalyzerBus] = []

    def make(*stations: Station, has_echo: bool = False) -> AnalyzerBus:
        made.append(AnalyzerBus(stations, has_echo))
        return made[-1]

    yield make
    for bus in made:
        # Whatever a test did: nothing that writes was ever sent.
        assert {data[1] for _, data in bus.sent} <= READING
        bus.close()


def search(bus: AnalyzerBus, units=range(1, 6), settings=SETTINGS, **facts) -> Search:
    facts = {"timeout_s": 0.02, "listen_s": 0.001, "is_identifying": False} | facts
    found = Search(BusLine(bus, SystemClock(), USUAL, rest_s=0.001), Plan(tuple(settings), tuple(units), **facts))
    for _ in found.run():
        pass
    return found


def test_common_settings_come_first():
    order = order_settings((1_200, 9_600, 19_200), "NE", (1,))
    assert [str(one) for one in order[:3]] == ["9600 8N1", "19200 8N1", "9600 8E1"]
    assert len(set(order)) == 6


def test_unit_at_other_settings_is_found_and_the_rest_asked_only_there(buses):
    bus = buses(Station(3, EVEN), Station(200, EVEN))
    found = search(bus, units=(1, 2, 3, 199, 200), is_identifying=True)
    assert [(one.unit, one.settings, one.state) for one in found.units] == [
        (3, EVEN, "answers"),
        (200, EVEN, "answers"),
    ]
    assert found.units[0].identity == {"vendor": "Maker", "product": "X1", "revision": "1.2"}
    assert found.units[0].asked == found.units[0].readable == 3
    assert {settings for settings, data in bus.sent if data[0] == 199} == {EVEN}
    after = SETTINGS[SETTINGS.index(EVEN) + 1 :]
    assert not {settings for settings, _ in bus.sent} & set(after)


def test_every_setting_goes_on(buses):
    bus = buses(Station(1, USUAL))
    search(bus, units=(1, 2), is_every_setting=True)
    assert {settings for settings, _ in bus.sent} == set(SETTINGS)


def test_unit_without_that_register_is_a_unit(buses):
    found = search(buses(Station(4, USUAL)), address=5_000).units[0]
    assert (found.unit, found.state, found.exception) == (4, "exception", 2)


def test_exception_of_a_gateway_is_no_unit(buses):
    says = bytes((2, 0x83, 11)) + adu.crc(bytes((2, 0x83, 11)))
    found = search(buses(Station(2, USUAL, says=says)), settings=(USUAL,))
    assert found.units == []
    assert found.remarks.gateway


def test_echo_is_no_answer_and_is_said(buses):
    found = search(buses(Station(2, USUAL), has_echo=True), settings=(USUAL,))
    assert [one.unit for one in found.units] == [2]
    assert found.remarks.echo


def test_two_units_at_once_cannot_be_read_and_are_named(buses):
    bus = buses(Station(2, USUAL, (0x1234, 1)), Station(2, USUAL, (0x0F0F, 2)))
    found = search(bus, settings=(USUAL,)).units
    assert [(one.unit, one.state, one.readable) for one in found] == [(2, "unreadable", 0)]


def test_two_units_one_behind_the_other_are_named(buses):
    bus = buses(Station(2, USUAL, (0x1234, 1)), Station(2, USUAL, (0x0F0F, 2), delay_s=0.01))
    assert [one.state for one in search(bus, settings=(USUAL,)).units] == ["two_units"]


def test_late_answer_is_credited_to_the_unit_that_was_asked(buses):
    bus = buses(Station(2, USUAL, delay_s=0.035))
    found = search(bus, settings=(USUAL,)).units
    assert [(one.unit, one.state) for one in found] == [(2, "answers")]
    assert found[0].first_byte_ms >= 20


def test_cut_answer_is_no_unit_that_answers(buses):
    found = search(buses(Station(2, USUAL, says=bytes((2, 3, 2, 0)))), settings=(USUAL,)).units
    assert [one.state for one in found] == ["unreadable"]


def test_bus_of_another_client_is_left_alone(buses):
    bus = buses(Station(2, USUAL))
    bus.noise = b"\x00" + adu.build_read(7, 4, 138, 34).raw
    bus.noise_settings = EVEN
    found = search(bus, listen_s=0.06)
    assert found.remarks.is_stopped
    assert found.remarks.traffic == (EVEN, adu.build_read(7, 4, 138, 34).raw)
    assert bus.sent == []


def test_noise_on_every_setting_stops_and_can_be_overruled(buses):
    bus = buses(Station(2, USUAL))
    bus.noise = bytes(range(40))
    assert search(bus, listen_s=0.06).remarks.is_stopped
    assert bus.sent == []
    bus.noise = b""
    assert [one.unit for one in search(bus, is_forced=True).units] == [2]


def test_settings_that_the_port_refuses_are_named(buses):
    bus = buses(Station(2, USUAL))
    bus.refused = set(SETTINGS) - {USUAL}
    found = search(bus)
    assert set(found.remarks.refused) == bus.refused
    assert [one.unit for one in found.units] == [2]
    with pytest.raises(ConfigError, match="none of these settings"):
        search(bus, settings=sorted(bus.refused, key=str))


def test_the_bus_rests_between_requests(buses):
    bus = buses(Station(1, USUAL))
    line = BusLine(bus, SystemClock(), USUAL, rest_s=0.03)
    started = time.monotonic()
    for _ in range(4):
        line.ask(adu.build_read(1, 3, 0, 1), 0.5)
    assert time.monotonic() - started >= 4 * 0.03


def test_what_was_found_stays_when_the_search_is_left(buses):
    bus = buses(Station(1, USUAL), Station(2, USUAL))
    found = Search(
        BusLine(bus, SystemClock(), USUAL, rest_s=0.001), Plan((USUAL,), (1, 2), timeout_s=0.02, listen_s=0.0)
    )
    for _, unit in found.run():
        if unit == 2:
            break
    assert [one.unit for one in found.units] == [1]


@given(st.binary(max_size=12), st.sampled_from((USUAL, EVEN, LineSettings(38_400, "O", 2))))
def test_line_passes_bytes_at_equal_settings(data, same):
    assert hear(data, same, same, is_strict=True) == data


@given(st.integers(1, 247), st.sampled_from((1_200, 4_800, 19_200, 38_400, 115_200)))
def test_line_passes_no_frame_at_another_speed(unit, baud):
    request = adu.build_read(unit, 3, 0, 1).raw
    assert hear(request, USUAL, LineSettings(baud, "N", 1), is_strict=True) != request


def test_one_stop_bit_hears_two():
    request = adu.build_read(9, 3, 0, 1).raw
    assert hear(request, LineSettings(9_600, "N", 2), USUAL, is_strict=True) == request


@given(st.binary(min_size=1, max_size=64))
def test_crc_is_that_of_pymodbus(content):
    assert adu.crc(content) == FramerRTU.compute_CRC(content).to_bytes(2, "big")


@settings(deadline=None)
@given(st.integers(1, 247), st.integers(1, 4), st.integers(0, 0xFF00), st.integers(1, 60), st.binary(max_size=300))
def test_judge_takes_any_bytes(unit, function, address, quantity, heard):
    request = adu.build_read(unit, function, address, quantity)
    verdict = adu.judge(request, heard)
    assert verdict.raw == heard
    width = (quantity + 7) // 8 if function < 3 else 2 * quantity
    content = bytes((unit, function, width)) + bytes(width)
    good = content + adu.crc(content)
    assert adu.judge(request, good).data == bytes(width)
    assert adu.judge(request, request.raw + good).has_echo
    assert adu.judge(request, good + good).heard is adu.Heard.TWO_ANSWERS
    assert adu.judge(request, good[:-1]).heard is adu.Heard.CUT
    spoilt = good[:-1] + bytes((good[-1] ^ 1,))
    assert adu.judge(request, spoilt).heard is adu.Heard.UNREADABLE


def test_bytes_behind_an_answer():
    """A direction switch throws one or two; a whole frame is a second answer; anything else spoils the first."""
    request = adu.build_read(2, 3, 0, 1)
    good = bytes((2, 3, 2, 0, 7)) + adu.crc(bytes((2, 3, 2, 0, 7)))
    assert adu.judge(request, good + b"\x00").data == b"\x00\x07"
    assert adu.judge(request, good + bytes(9)).heard is adu.Heard.UNREADABLE
    other = bytes((9, 0x83, 2)) + adu.crc(bytes((9, 0x83, 2)))
    assert adu.judge(request, good + other).heard is adu.Heard.TWO_ANSWERS
    assert adu.judge(request, other + good).stranger == 9


@pytest.mark.parametrize(
    ("unit", "address", "quantity"), [(0, 0, 1), (248, 0, 1), (1, 0, 0), (1, 0, 126), (1, 65_535, 2), (1, -1, 1)]
)
def test_requests_outside_the_specification_are_not_built(unit, address, quantity):
    with pytest.raises(ValueError, match="outside|ends behind"):
        adu.build_read(unit, 3, address, quantity)


@pytest.mark.parametrize("function", [0, 5, 6, 15, 16, 17, 22, 23, 43, 90])
def test_nothing_that_writes_can_be_built(function):
    with pytest.raises(ValueError, match="does not read"):
        adu.build_read(1, function, 0, 1)


@given(st.binary(max_size=60))
def test_identity_takes_any_bytes(data):
    assert all(text.isprintable() for text in adu.parse_identity(data).values())


# The verb


def scan(capsys, monkeypatch, bus: AnalyzerBus, *words: object) -> tuple[int, str, str]:
    """`plumeproof scan` with the modelled bus in the place of the serial port."""

    class Port(AnalyzerBus):
        def __new__(cls, *_args: object) -> AnalyzerBus:
            return bus

    monkeypatch.setattr(adapter, "SerialPort", Port)
    monkeypatch.setattr(bus, "close", lambda: None)
    found = run(capsys, "scan", "/dev/ttyUSB0", "--timeout-ms", 20, *words)
    monkeypatch.undo()
    return found


def test_everything_odd_is_said_in_80_columns(capsys, monkeypatch, buses):
    shaky = Station(5, USUAL)
    bus = buses(
        Station(1, USUAL, says=bytes((1, 0x83, 2)) + adu.crc(bytes((1, 0x83, 2)))),
        Station(2, USUAL, (0x1234, 1)),
        Station(2, USUAL, (0x0F0F, 2), delay_s=0.01),
        Station(3, USUAL, says=bytes(range(60))),
        Station(4, USUAL, says=bytes((4, 0x83, 11)) + adu.crc(bytes((4, 0x83, 11)))),
        shaky,
        has_echo=True,
    )
    bus.refused = {LineSettings(9_600, "E", 1)}
    serve = AnalyzerBus._serve
    count = iter(range(100))
    monkeypatch.setattr(AnalyzerBus, "_serve", staticmethod(
        lambda one, request: serve(one, request)[: 4 if one is shaky and next(count) == 1 else 99]
    ))  # fmt: skip
    code, out, err = scan(capsys, monkeypatch, bus, "--baud", 9_600, "--units", "1-6")
    assert (code, err) == (1, "")
    assert max(map(len, out.splitlines())) < 80
    for words in (
        "unit   1  9600 8N1     there; exception 2, illegal data address",
        "unit   2  9600 8N1     TWO UNITS with this id",
        "unit   3  9600 8N1     UNREADABLE every time",
        "unit   5  9600 8N1     UNSTEADY: 2 of 3 answers readable",
        "echo: ",
        "gateway: ",
        "not tried, the port refuses them: 9600 8E1",
        "complete: 3 units found, 1 of 2 settings tried",
        "next: plumeproof read /dev/ttyUSB0 --baud 9600 --unit 1 --register 40001",
    ):
        assert words in out
    assert "unit   4" not in out


def test_noise_and_foreign_frames_are_said(capsys, monkeypatch, buses):
    foreign = bytes((9, 0x83, 2)) + adu.crc(bytes((9, 0x83, 2)))
    once = Station(3, USUAL)
    bus = buses(Station(2, USUAL, says=foreign), once)
    bus.noise, bus.noise_settings = b"\x55", USUAL
    serve = AnalyzerBus._serve
    first = iter([b"\x03\x03\x02"])

    def answer(one: Station, request: bytes) -> bytes:
        bus.noise = b""
        return next(first, b"") if one is once else serve(one, request)

    monkeypatch.setattr(AnalyzerBus, "_serve", staticmethod(answer))
    code, out, _ = scan(capsys, monkeypatch, bus, "--baud", 9_600, "--parity", "N", "--units", "2-3", "--anyway")
    assert code == 3
    assert "bytes while nobody was asked (9600 8N1)" in out
    assert "noise: 1 answers came once and not again" in out
    assert "frames of units 9 came unasked" in out


def test_bus_in_use_is_3_and_says_who_talks(capsys, monkeypatch, buses):
    bus = buses(Station(2, USUAL))
    bus.noise = adu.build_read(7, 4, 138, 34).raw
    code, out, _ = scan(capsys, monkeypatch, bus, "--baud", 9_600, "--parity", "N")
    assert code == 3
    assert "in use: another client talks at 9600 8N1 (unit 7, function 4)" in out
    assert "nothing was asked" in out
    assert bus.sent == []


def test_no_other_verb_pays_for_these(capsys):
    """Neither serial port nor workbooks are loaded before their verb runs."""
    program = (
        "import sys; from plumeproof.cli import build_parser; build_parser(); "
        "print([name for name in ('serial', 'openpyxl', 'plumeproof.survey.search') if name in sys.modules])"
    )
    run_ = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run_.stdout == "[]\n"
    out = run(capsys, "--help")[1]
    assert all(verb in out for verb in ("scan", "read", "table"))


# On real ptys


@pytest.fixture
def terminal():
    """A pty that stays silent; its name."""
    near, far = os.openpty()
    tty.setraw(far)
    yield os.ttyname(far)
    os.close(near)
    os.close(far)


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_silent_bus_is_3_and_says_what_to_try(capsys, terminal):
    code, out, err = run(
        capsys, "scan", terminal, "--baud", 115_200, "--parity", "N", "--units", "1-2", "--timeout-ms", 10
    )
    assert (code, err) == (3, "")
    assert "nobody answers" in out
    assert max(map(len, out.splitlines())) < 80


def test_port_that_is_held_missing_or_none(capsys, terminal, tmp_path):
    with serial.Serial(terminal, exclusive=True):
        code, _, err = run(capsys, "scan", terminal)
        assert code == 3
        assert "held by another program (a running bridge" in err
    code, _, err = run(capsys, "scan", tmp_path / "ttyUSB9")
    assert code == 3
    assert "does not exist; plugged in? Ports here:" in err
    (tmp_path / "file").write_text("x")
    code, _, err = run(capsys, "scan", tmp_path / "file")
    assert code == 3
    assert err.count("\n") == 1


def test_permission_names_the_group(monkeypatch, terminal):
    from plumeproof.errors import UnreachableError
    from plumeproof.link import serial_port

    def refuse(*_args: object, **_words: object) -> None:
        raise serial.SerialException(13, f"could not open port {terminal}: Permission denied")

    monkeypatch.setattr(serial_port.serial, "Serial", refuse)  # tests run as root, whom no permission stops
    with pytest.raises(UnreachableError, match=r"no permission; on Linux: sudo usermod -aG \w+ \$USER"):
        serial_port.SerialPort(terminal, 9_600)


@pytest.mark.parametrize(
    "words",
    [("--units", "0"), ("--units", "5-3"), ("--units", "1-248"), ("--baud", "9601"), ("--parity", "X"),
     ("--baud", "9600", "--all-bauds"), ("--timeout-ms", "0")],
)  # fmt: skip
def test_wrong_usage_is_2(capsys, terminal, words):
    assert run(capsys, "scan", terminal, *words)[0] == 2


def test_interrupt_ends_at_once_with_what_was_found():
    near, far = os.openpty()
    tty.setraw(far)
    command = [sys.executable, "-m", "plumeproof", "scan", os.ttyname(far), "--json"]
    command += ["--baud", "9600", "--parity", "N", "--timeout-ms", "10000", "--no-identify"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for _ in range(3):  # unit 1 answers three times
            assert os.read(near, 8) == adu.build_read(1, 3, 0, 1).raw
            os.write(near, bytes.fromhex("0103020007f986"))
        assert os.read(near, 8)[0] == 2
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=8)  # less than the time-out of unit 2
    found = json.loads(out)
    assert process.returncode == 130
    assert (found["ended"], [one["unit"] for one in found["units"]]) == ("interrupted", [1])
    os.close(near)
    os.close(far)


def test_answers_under_foreign_ids_end(buses):
    """Two stations that answer with each other's id are asked again once, and named."""
    says = {unit: bytes((unit, 3, 2, 0, 7)) + adu.crc(bytes((unit, 3, 2, 0, 7))) for unit in (2, 3)}
    found = search(buses(Station(2, USUAL, says=says[3]), Station(3, USUAL, says=says[2])), settings=(USUAL,))
    assert found.units == []
    assert found.remarks.strangers == {2, 3}


def test_whoever_insists_asks_first_where_traffic_was_heard(buses):
    bus = buses(Station(2, EVEN))
    bus.noise, bus.noise_settings = adu.build_read(7, 4, 138, 34).raw, EVEN
    line = BusLine(bus, SystemClock(), USUAL, rest_s=0.001)
    found = Search(line, Plan(SETTINGS, (1, 2), timeout_s=0.02, listen_s=0.06, is_forced=True))
    for _, unit in found.run():
        if unit:
            break
    assert bus.settings == EVEN
