"""The emulated plant as a process, asked by an independent client (pymodbus, or bare pyserial where frames are broken).

One plant with an analyzer for each fault, one with the line of the demo; the log is compared with what the client got.
"""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from pymodbus.client import ModbusSerialClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer.rtu import FramerRTU

from tools.parameters import Choice, compose
from tools.plant.layout import Analyzer, Layout, read_layout
from tools.plant.model import PlantModel
from tools.plant.registers import build_image

ROOT = Path(__file__).resolve().parents[2]
MODULE = "plume-01"
LINE = [
    Choice("gas", "sick_mcs100ft", 1),
    Choice("dust", "generic_dust_int16", 2),
    Choice("flow", "generic_flow_tpm", 3),
]
BROKEN = ("mute", "crc", "cut", "foreign", "late", "stray", "exception", "frozen")
PATIENCE_S = 1.0  # a good answer takes milliseconds; a loaded machine may take longer
SILENCE_S = 0.15  # after which a missing answer is taken as missing


class Running:
    """A plant process: its tty, its log, its layout."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], layout: Layout) -> None:
        self.folder = folder
        self.process = process
        self.layout = layout
        self.tty = folder / MODULE / "bus.tty"

    def log(self, kind: str | None = None) -> list[dict]:
        text = (self.folder / MODULE / "plant.jsonl").read_text()
        return [entry for entry in map(json.loads, text.splitlines()) if kind in (None, entry["kind"])]

    def answers(self) -> list[dict]:
        """Once every request has its answer: the client may have it before the log does."""
        while True:
            lines = self.log()
            asked = sum(entry["kind"] == "request" and entry["analyzer"] is not None for entry in lines)
            found = [entry for entry in lines if entry["kind"] == "answer"]
            if len(found) == asked:
                return found
            time.sleep(0.005)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@contextmanager
def plant(folder: Path, choices: list[Choice], *arguments: str) -> Iterator[Running]:
    parameters = folder / "parameters.json"
    parameters.write_bytes(compose(MODULE, choices, 1000, 60_000))
    command = [sys.executable, "-m", "tools.plant", "--dir", str(folder), "--module", MODULE]
    command += ["--parameters", str(parameters), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield Running(folder, process, read_layout(parameters)[0])
        finally:
            process.kill()


@contextmanager
def client_of(running: Running, timeout_s: float = PATIENCE_S) -> Iterator[ModbusSerialClient]:
    client = ModbusSerialClient(str(running.tty), baudrate=19_200, timeout=timeout_s, retries=0)
    assert client.connect()
    try:
        yield client
    finally:
        client.close()


def read_block(client: ModbusSerialClient, unit: int, function: int, address: int, quantity: int) -> bytes:
    """Register or bit bytes in wire order, by pymodbus."""
    ask = {
        1: client.read_coils,
        2: client.read_discrete_inputs,
        3: client.read_holding_registers,
        4: client.read_input_registers,
    }[function]
    answer = ask(address, count=quantity, device_id=unit)
    assert not answer.isError(), answer
    if function <= 2:
        packed = bytearray((quantity + 7) // 8)
        for place, is_set in enumerate(answer.bits[:quantity]):
            packed[place // 8] |= is_set << place % 8
        return bytes(packed)
    return struct.pack(f">{quantity}H", *answer.registers)


def read_all(client: ModbusSerialClient, layout: Layout) -> list[bytes]:
    return [
        read_block(client, analyzer.unit, block.function, block.address, block.quantity)
        for analyzer in layout.analyzers
        for block in analyzer.blocks
    ]


def expected(model: PlantModel, analyzer: Analyzer, t_s: float) -> dict[tuple[int, int], str]:
    image = build_image(analyzer, lambda channel: model.value(analyzer.id, channel, t_s), model.codes(analyzer.id, t_s))
    return {(block.function, block.address): bytes(held).hex() for block, held in image.items()}


def request(unit: int) -> bytes:
    """Three holding registers from 0, framed by pymodbus."""
    content = bytes((unit, 3)) + struct.pack(">HH", 0, 3)
    return content + FramerRTU.compute_CRC(content).to_bytes(2, "big")


def exchange(line: serial.Serial, unit: int) -> bytes:
    """What comes until the line is silent, once something came."""
    line.reset_input_buffer()
    line.write(request(unit))
    line.timeout = PATIENCE_S
    first = line.read(1)
    line.timeout = SILENCE_S
    return first + line.read(300)


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[Running]:
    with plant(tmp_path_factory.mktemp("line"), LINE, "--speed", "600", "--seed", "4") as running:
        yield running


def test_client_reads_every_analyzer_and_log_and_model_agree(line):
    before = len(line.answers())
    with client_of(line) as client:
        got = [one.hex() for _ in range(3) for one in read_all(client, line.layout)]
    answers = line.answers()[before:]
    assert [answer["registers"] for answer in answers] == got
    assert all(answer["intact"] and answer["fault"] is None and answer["exception"] == 0 for answer in answers)
    assert [(a["n"], a["unit"], a["function"], a["address"], a["quantity"]) for a in line.log("request")[before:]] == [
        (a["n"], a["unit"], a["function"], a["address"], a["quantity"]) for a in answers
    ]
    model = PlantModel(4, [analyzer.id for analyzer in line.layout.analyzers])
    units = {analyzer.unit: analyzer for analyzer in line.layout.analyzers}
    for answer in answers:
        shown = expected(model, units[answer["unit"]], answer["plant_s"])
        assert answer["registers"] == shown[answer["function"], answer["address"]]


def test_tty_outlives_its_users(line):
    for _ in range(3):
        with client_of(line) as client:
            read_block(client, 2, 3, 0, 3)
    with open(line.tty, "r+b", buffering=0) as user, subprocess.Popen(["sleep", "60"], stdin=user) as holder:
        user.write(request(1)[:5])  # killed in the middle of a request
        holder.kill()
    with client_of(line) as client:
        assert len(read_all(client, line.layout)) == 5
    assert line.tty.is_symlink()
    assert line.log("state")[-1]["state"] == "noise" and line.log("state")[-1]["hex"] == request(1)[:5].hex()


def test_nobody_answers_for_another(line):
    with client_of(line, SILENCE_S) as client, pytest.raises(ModbusIOException):
        client.read_holding_registers(0, count=3, device_id=9)
    assert line.log("request")[-1]["analyzer"] is None and line.log("request")[-1]["unit"] == 9


@pytest.mark.parametrize(
    ("ask", "arguments", "code"),
    [
        ("read_holding_registers", {"address": 3}, 2),
        ("read_holding_registers", {"address": 2, "count": 2}, 2),
        ("read_coils", {"address": 0}, 2),
        ("write_register", {"address": 0, "value": 1}, 1),
    ],
)
def test_what_an_analyzer_does_not_have_is_an_exception(line, ask, arguments, code):
    with client_of(line) as client:
        answer = getattr(client, ask)(**arguments, device_id=2)
    assert answer.exception_code == code
    logged = line.answers()[-1]
    assert (logged["exception"], logged["registers"], logged["intact"], logged["fault"]) == (code, "", True, None)


def test_requests_in_one_write_are_answered_one_by_one(line):
    before = len(line.answers())
    with serial.Serial(str(line.tty), 19_200, timeout=PATIENCE_S) as bare:
        bare.write(request(2) * 3 + request(3)[:4])
        got = bare.read(3 * 11)
    assert [entry["registers"] for entry in line.answers()[before:]] == [
        got[place + 3 : place + 9].hex() for place in (0, 11, 22)
    ]


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Iterator[Running]:
    choices = [Choice(kind, "generic_dust_int16", unit) for unit, kind in enumerate((*BROKEN, "well"), 1)]
    faults = [f"--fault={kind}:{kind}" + (":ms=300" if kind == "late" else "") for kind in BROKEN]
    with plant(tmp_path_factory.mktemp("broken"), choices, *faults, "--speed", "600") as running:
        yield running


def last_answer(running: Running, kind: str) -> dict:
    return [answer for answer in running.answers() if answer["analyzer"] == kind][-1]


@pytest.mark.parametrize("kind", BROKEN)
def test_fault_is_seen_and_written_down(broken, kind):
    unit = BROKEN.index(kind) + 1
    with serial.Serial(str(broken.tty), 19_200) as bare:
        got = exchange(bare, unit)
    answer = last_answer(broken, kind)
    assert answer["fault"] == kind
    content = bytes((unit, 3, 6)) + bytes.fromhex(answer["registers"])
    good = content + FramerRTU.compute_CRC(content).to_bytes(2, "big")
    if kind in ("late", "frozen"):
        assert got == good and answer["intact"] and "wire" not in answer
        return
    if kind == "exception":
        assert got[:3] == bytes((unit, 0x83, 4)) and answer["exception"] == 4 and answer["intact"]
        return
    assert not answer["intact"] and got == bytes.fromhex(answer["wire"])
    match kind:
        case "mute":
            assert got == b""
        case "crc":
            assert got[:-1] == good[:-1] and got[-1] != good[-1]
        case "cut":
            assert 0 < len(got) < len(good) and good.startswith(got)
        case "foreign":
            assert got[0] != unit and got[1:-2] == good[1:-2]
            assert FramerRTU.check_CRC(got[:-2], int.from_bytes(got[-2:], "big"))
        case "stray":
            assert good in got and 1 <= len(got) - len(good) <= 6


def test_pymodbus_client_refuses_broken_answers(broken):
    with client_of(broken, SILENCE_S) as client:
        for kind in ("mute", "crc", "cut", "late"):
            with pytest.raises(ModbusIOException):
                client.read_holding_registers(0, count=3, device_id=BROKEN.index(kind) + 1)
    with client_of(broken) as client:
        assert client.read_holding_registers(0, count=3, device_id=BROKEN.index("exception") + 1).exception_code == 4
        assert not client.read_holding_registers(0, count=3, device_id=len(BROKEN) + 1).isError()


def test_frozen_values_stay_and_others_move(broken):
    with client_of(broken) as client:
        frozen, well = set(), set()
        for _ in range(10):
            frozen.add(read_block(client, BROKEN.index("frozen") + 1, 3, 0, 3))
            well.add(read_block(client, len(BROKEN) + 1, 3, 0, 3))
    assert len(frozen) == 1 and len(well) > 1


def test_schedule_and_rate_in_the_log(tmp_path):
    faults = ["--fault=dust:mute:0-0.05", "--fault=*:crc:rate=0.5", "--seed=2"]
    with plant(tmp_path, LINE, *faults) as running:
        with serial.Serial(str(running.tty), 19_200) as bare:
            while len(running.log("state")) < 4:  # start and three changes of faults
                time.sleep(0.01)
            good = sum(
                FramerRTU.compute_CRC(one[:-2]) == int.from_bytes(one[-2:], "big")
                for one in (exchange_whole(bare, 2, 11) for _ in range(40))
            )
        assert running.stop() == 0
    assert 8 < good < 32
    assert [answer["fault"] for answer in running.answers()].count("crc") == 40 - good
    changes = [(entry["fault"], entry["active"]) for entry in running.log("state") if entry["state"] == "fault"]
    assert sorted(changes) == [("*:crc:rate=0.5", True), ("dust:mute:0-0.05", False), ("dust:mute:0-0.05", True)]


def exchange_whole(line: serial.Serial, unit: int, length: int) -> bytes:
    line.timeout = PATIENCE_S
    line.write(request(unit))
    return line.read(length)


def test_replayed_rows_are_the_bytes_on_the_wire(tmp_path):
    rows = [(round(9.1 + 0.37 * row, 4), round(98.741 / (row + 1), 4), round(-4.5 + row * 0.3, 1)) for row in range(40)]
    text = "CO,gas.nox,dust.dust\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    (tmp_path / "recorded.csv").write_text(text)
    (tmp_path / "map.json").write_text('{"row_s": 3600, "columns": {"CO": "CO mg/m3"}}')
    arguments = ["--values", str(tmp_path / "recorded.csv"), "--map", str(tmp_path / "map.json"), "--speed", "72000"]
    seen = set()
    with plant(tmp_path, LINE, *arguments) as running:
        with client_of(running) as client:
            while not any(entry["state"] == "replay_ended" for entry in running.log("state")):
                gas = read_block(client, 1, 4, 138, 34)
                dust = read_block(client, 2, 3, 0, 3)
                for got in (gas, dust):
                    answer = [entry for entry in running.answers() if entry["registers"] == got.hex()][-1]
                    row = min(int(answer["plant_s"] // 3600), 39)
                    seen.add(row)
                    carbon, nox, level = rows[row]
                    if got is gas:  # CDAB: low word first
                        assert got[12:16] == struct.pack(">f", carbon)[2:] + struct.pack(">f", carbon)[:2]
                        assert got[64:68] == struct.pack(">f", nox)[2:] + struct.pack(">f", nox)[:2]
                    else:
                        assert got[:2] == struct.pack(">h", round(level * 10))
        assert running.stop() == 0
    assert len(seen) >= 5


def test_paced_bytes_take_their_time(tmp_path):
    with plant(tmp_path, LINE, "--baud", "9600", "--paced") as running:
        with client_of(running) as client:
            read_all(client, running.layout)
        assert running.stop() == 0
    answers = running.answers()
    asked = {entry["n"]: entry["t_utc_ns"] for entry in running.log("request")}
    for answer in answers:
        width = len(answer["registers"]) // 2
        characters = 8 + 5 + width + 3.5
        assert answer["wire_us"] == pytest.approx(characters * 10 / 9600 * 1e6, abs=1)
        assert answer["t_utc_ns"] - asked[answer["n"]] >= answer["wire_us"] * 1000 - 2_000_000 and answer["intact"]
    stop = running.log("state")[-1]
    assert stop["wire_us"] == sum(answer["wire_us"] for answer in answers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_what_was_asked_and_nothing_more(tmp_path, number):
    with plant(tmp_path, LINE, "--fault", "dust:late:ms=300") as running:
        with open(running.tty, "r+b", buffering=0) as bare:
            bare.write(request(2))
            while not running.log("request"):
                time.sleep(0.005)
            running.process.send_signal(number)
            assert running.process.wait(10) == 0
        assert not running.tty.is_symlink()
    (answer,) = running.answers()
    assert answer["intact"] and answer["fault"] == "late"
    stop = running.log()[-1]
    assert (stop["state"], stop["requests"], stop["answers"], stop["intact"]) == ("stop", 1, 1, 1)


def test_started_again_after_a_kill(tmp_path):
    with plant(tmp_path, LINE) as first:
        first.process.kill()
        first.process.wait(10)
        assert first.tty.is_symlink()
    with plant(tmp_path, LINE) as second:
        with client_of(second) as client:
            assert len(read_all(client, second.layout)) == 5
        assert second.stop() == 0
    assert [entry["state"] for entry in second.log("state")] == ["start", "start", "stop"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--fault", "gas:odd"], 2, "kinds:"),
        (["--values", "absent.csv"], 2, "absent.csv: No such file"),
        (["--speed", "0"], 2, "--speed"),
        (["--parameters", "absent.json"], 2, "tools/parameters.py"),
        (["--dir", "/proc/absent"], 3, "/proc/absent"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, arguments, status, said):
    parameters = tmp_path / "parameters.json"
    parameters.write_bytes(compose(MODULE, LINE, 1000, 60_000))
    command = [sys.executable, "-m", "tools.plant", "--dir", str(tmp_path), "--module", MODULE]
    command += ["--parameters", str(parameters), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == status and said in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("plant: ")
