"""The HJ 212 platform in small: answers, requests, faults, store and capture; each side read by the other's parser.

Campaign over TCP: PLUMEPROOF_HJ212_SPLITS=10000 python -m pytest tests/tools/test_hj212_platform.py -k splits
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from plumeproof.cli import main
from plumeproof.hj212 import codes
from plumeproof.hj212.frame import FrameSplitter, frame_bytes
from plumeproof.hj212.packet import Packet, build_data, parse_data
from tests.tools.test_hj212_agreement import of_entries, packets_of_reference
from tools.hj212_platform import __main__ as program
from tools.hj212_platform import server
from tools.hj212_platform.capture import Capture, CaptureError
from tools.hj212_platform.faults import KINDS, FaultPlan, parse_fault
from tools.hj212_platform.reader import PacketReader, Refused
from tools.hj212_platform.script import Player, ScriptError, StepFailed, parse_step, read_script
from tools.hj212_platform.server import Manners, Platform
from tools.hj212_platform.store import MessageStore

ROOT = Path(__file__).resolve().parents[2]
SPLITS = int(os.environ.get("PLUMEPROOF_HJ212_SPLITS", "100"))
MN = "010000A8900016F000169DC0"
QN = "20260801085857223"
MEMORY = Path(":memory:")  # a store that outlives no test
RTD = [{"DataTime": "20260801085857"}, {"a21026-Rtd": "12.35", "a21026-Flag": "N"}]


def upload(cn: str = "2011", items: list[dict[str, str]] | None = None, **head: str) -> bytes:
    fields = {"QN": QN, "ST": "31", "CN": cn, "PW": "123456", "MN": MN, "Flag": "5"} | head
    return frame_bytes(build_data(fields, RTD if items is None else items))


def answer(request: Packet, cn: str, **values: str) -> bytes:
    return upload(cn, [values] if values else [], QN=request.of_head("QN"), ST="91", Flag="4")


class Unit:
    """A field unit by hand: what the platform sends is read by plumeproof's parser, strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._splitter = FrameSplitter()
        self._waiting: list[Packet] = []
        self.pieces: list[Any] = []
        self.chunks: list[bytes] = []

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def receive(self, within_s: float = 5.0) -> Packet:
        """The next packet. Raises TimeoutError, and EOFError at the end of the connection."""
        while not self._waiting:
            chunk = await asyncio.wait_for(self._reader.read(4096), within_s)
            if not chunk:
                raise EOFError
            self.chunks.append(chunk)
            found = self._splitter.feed(chunk)
            self.pieces += found
            self._waiting += [
                parse_data(piece.data, piece.check, piece.policy) for piece in found if getattr(piece, "accepted", 0)
            ]
        return self._waiting.pop(0)

    def close(self) -> None:
        self._writer.close()


class Bench:
    """A platform in this process, and what it told."""

    def __init__(self, folder: Path, *faults: str, store: Path | None = MEMORY, **manners: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.units: list[Unit] = []
        self.store = MessageStore(store) if store is not None else None
        self.capture = Capture(folder / "session")
        plan = FaultPlan(tuple(map(parse_fault, faults)))
        self.platform = Platform(Manners(**manners), plan, self.tell, self.store, self.capture)
        self.player = Player(self.platform)

    def tell(self, event: str, **facts: Any) -> None:
        self.told.append({"event": event, **facts})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for facts in self.told if facts["event"] == event]

    async def connect(self) -> Unit:
        self.units.append(Unit(*await asyncio.open_connection("127.0.0.1", self.platform.port)))
        return self.units[-1]

    async def play(self, *lines: str) -> None:
        for line in lines:
            step = parse_step(line, "test")
            assert step is not None
            await self.player.play(step)


@asynccontextmanager
async def bench(folder: Path, *faults: str, **manners: Any):
    found = Bench(folder, *faults, **manners)
    await found.platform.start("127.0.0.1", 0)
    try:
        yield found
    finally:
        for unit in found.units:
            unit.close()
        await found.platform.stop()
        found.capture.close()
        if found.store is not None:
            found.store.close()


def with_bench(work: Callable[[Bench], Awaitable[None]], folder: Path, *faults: str, **manners: Any) -> None:
    async def run() -> None:
        async with bench(folder, *faults, **manners) as found:
            await work(found)

    asyncio.run(run())


def test_nothing_of_plumeproof_is_imported():
    for path in (ROOT / "tools" / "hj212_platform").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("plumeproof", "acqwire", "acq")], path


def test_answers(tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        for raw, cn, flag in (
            (upload(), "9014", "4"),
            (upload("2061", Flag="9"), "9014", "8"),
            (upload("9015", [], Flag="9"), "9013", "8"),
            (upload("1001", [{"i23005-Info": "LOG1"}], Flag="9", MN=""), "9013", "8"),
            (upload("2051", Flag="7", PNUM="2", PNO="1"), "9014", "4"),
        ):
            await unit.send(raw)
            packet = await unit.receive()
            assert (packet.of_head("CN"), packet.of_head("Flag"), packet.of_head("ST")) == (cn, flag, "91")
            assert packet.of_head("QN") == QN
        assert packet.of_head("MN") == MN
        silent = [upload(Flag="4"), upload("9014", [], QN="20990101000000000"), upload()[:-6] + b"0000\r\n"]
        await unit.send(b"".join(silent) + upload("1013", [{"PolId": "a21026"}], QN="20260801090000000"))
        packet = await unit.receive()
        assert (packet.of_head("CN"), packet.of_head("QN")) == ("9013", "20260801090000000"), "none for the three"
        packet = await unit.receive()
        assert (packet.of_head("CN"), packet.of_area("PolId"), packet.of_head("Flag")) == ("1012", "a21026", "5")
        assert len(packet.of_area("SystemTime")) == 14 and packet.of_head("PW") == "123456"
        assert len(found.of("refused")) == 1

    with_bench(work, tmp_path)


def test_requests_to_their_end(tmp_path):
    async def field_unit(unit: Unit, seen: list[str]) -> None:
        replies = {
            "1062": [("9011", {"QnRtn": "1"}), ("9012", {"ExeRtn": "1"})],
            "1072": [("9011", {"QnRtn": "3"})],
            "2012": [("9013", {})],
            "3011": [("9011", {"QnRtn": "1"}), ("9012", {"ExeRtn": "5"})],
            "2031": [("9011", {"QnRtn": "1"})],
        }
        while True:
            request = await unit.receive()
            cn = request.of_head("CN")
            seen.append(request.of_head("QN"))
            for name, values in replies.get(cn, ()):
                await unit.send(answer(request, name, **values))

    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload(Flag="4"))
        seen: list[str] = []
        task = asyncio.create_task(field_unit(unit, seen))
        await found.play("wait 2011 a21026-Rtd=12.35", f"use {MN}", "ask 1062 RtdInterval=30", "ask 2012")
        await found.play(
            "ask 1072 NewPW=654321 head:PW=000000 expect refused: QnRtn 3", "ask 3011 expect failed: ExeRtn 5"
        )
        qns = len(seen)
        await found.play("ask 2061 BeginTime=20260801000000;EndTime=20260801010000 expect no answer")
        assert len(seen) - qns == 3 and len(set(seen[qns:])) == 1, "the same packet, three times in all"
        await found.play("send 2031 expect no 9012", "send 1062 RtdInterval=60", "finish")
        with pytest.raises(StepFailed, match="no answer, expected done"):
            await found.play("ask 3012 PolId=a21026")
        with pytest.raises(StepFailed, match="within 0.05"):
            await found.play("wait 2061 within 0.05")
        await found.play("send 3012 expect connection lost", "pause 0.02", "hangup", "finish")
        with pytest.raises(EOFError):
            await task
        assert not [facts for facts in found.told if "654321" in str(facts) or "123456" in str(facts)]
        assert len({facts["qn"] for facts in found.of("asked")}) == len(found.of("asked"))

    with_bench(work, tmp_path, over_time_s=0.1)


def test_every_command_can_be_sent_and_is_understood(tmp_path):
    there = [
        code for (kind, code), row in codes.codes().items() if kind == "command" and row.direction != "to platform"
    ]
    wanted = [code for code in there if not code.startswith("90")]
    assert len(wanted) > 30

    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload(Flag="4"))
        await found.play("wait 2011", *[f"send {cn} PolId=a21026;Any=1 expect connection lost" for cn in wanted])
        assert [(await unit.receive()).of_head("CN") for _ in wanted] == wanted
        await found.play("hangup", "finish")

    with_bench(work, tmp_path)


def test_each_unit_is_greeted_each_time(tmp_path):
    greeting = [parse_step("send 1062 RtdInterval=60", "greeting"), parse_step("wait 9012 within 1", "greeting")]

    async def work(found: Bench) -> None:
        done: list[int] = []

        async def greet(unit: Any) -> None:
            player = Player(found.platform, unit)
            for step in greeting:
                await player.play(step)
            done.append(unit.number)

        found.platform.greet = greet
        for _ in range(3):
            unit = await found.connect()
            request = await unit.receive()
            assert request.of_area("RtdInterval") == "60"
            await unit.send(answer(request, "9011", QnRtn="1") + answer(request, "9012", ExeRtn="1"))
            await found.play("wait 9012")
        await found.play("pause 0.01")
        assert done == [1, 2, 3]

    with_bench(work, tmp_path, known={"MN": MN, "PW": "123456"})


def test_uploads_keep_a_request_alive(tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload(Flag="4"))
        await found.play("wait 2011", "send 2061 BeginTime=20260801000000;EndTime=20260801030000")
        request = await unit.receive()
        await unit.send(answer(request, "9011", QnRtn="1"))
        for hour in range(3):
            await asyncio.sleep(0.1)  # each shorter than the time-out, all together longer
            await unit.send(upload("2061", [{"DataTime": f"2026080100{hour:02}00"}], QN=f"2026080200000000{hour}"))
            assert (await unit.receive()).of_head("CN") == "9014"
        await unit.send(answer(request, "9012", ExeRtn="1"))
        await found.play("finish")

    with_bench(work, tmp_path, over_time_s=0.2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "late-answer"])
def test_faults(kind, tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload())
        if kind in ("cut-sending", "cut-receiving"):
            with pytest.raises(EOFError):
                await unit.receive()
            assert len(b"".join(unit.chunks)) == (20 if kind == "cut-sending" else 0)
            unit = await found.connect()  # the fault's count is used up
        elif kind in ("no-answer", "wrong-crc", "modbus-crc"):
            with pytest.raises(TimeoutError):
                await unit.receive(0.1)
            assert [str(piece.check) for piece in unit.pieces] == [
                {"wrong-crc": "wrong", "modbus-crc": "modbus"}[kind] for _ in range(kind != "no-answer")
            ]
        else:
            packet = await unit.receive()
            assert (packet.of_head("QN") == QN) is (kind != "other-qn")
            if kind == "answer-twice":
                assert (await unit.receive()).data == packet.data
            if kind == "split-bytes":
                assert len(unit.chunks) > 10
            if kind == "garbage":
                assert unit.pieces[0].length > 5, "named as rubbish, and the packet behind it found"
        await unit.send(upload(QN="20260801085857224"))
        assert (await unit.receive()).of_head("QN") == "20260801085857224", "and then it is over"

    options = {"cut-sending": ":byte=20", "split-bytes": ":ms=1"}.get(kind, "")
    with_bench(work, tmp_path, f"{kind}:count=1{options}")


def test_a_late_answer_is_overtaken(tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload() + upload(QN="20260801085857224"))
        assert [(await unit.receive()).of_head("QN")[-1] for _ in range(2)] == ["4", "3"]
        await found.play("fault no-answer:cn=9014")
        await unit.send(upload())
        with pytest.raises(TimeoutError):
            await unit.receive(0.05)
        await found.play("nofault no-answer")
        await unit.send(upload())
        await unit.receive()

    with_bench(work, tmp_path, "late-answer:count=1:ms=100")


def test_store_tells_copies_apart(tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        await unit.send(upload() + upload() + upload("2051") + upload("2051", Flag="7", PNUM="2", PNO="2"))
        await unit.send(upload(items=[{"DataTime": "20260801085857"}, {"a21026-Rtd": "99"}]) + upload(MN="OTHER"))
        await found.play("wait 2051", *["wait 2011"] * 4)
        assert [facts["kept"] for facts in found.of("message")] == ["new", "again", "new", "new", "differing", "new"]

    with_bench(work, tmp_path, store=tmp_path / "platform.sqlite")
    base = sqlite3.connect(tmp_path / "platform.sqlite")
    rows = base.execute("SELECT mn, cn, pno, copies FROM message ORDER BY id").fetchall()
    assert rows == [(MN, "2011", 0, 3), (MN, "2051", 0, 1), (MN, "2051", 2, 1), ("OTHER", "2011", 0, 1)]
    values = base.execute("SELECT item, field, name, value FROM value WHERE message = 1").fetchall()
    assert values == [(0, 0, "DataTime", "20260801085857"), (1, 0, "a21026-Rtd", "12.35"), (1, 1, "a21026-Flag", "N")]
    assert base.execute("SELECT count(*) FROM differing").fetchone() == (1,)
    base.close()


def test_several_units_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)

    async def work(found: Bench) -> None:
        units = [await found.connect() for _ in range(3)]
        await found.play("units 3")
        raws = [upload(MN=f"UNIT{number}", QN=f"2026080108585722{number}") for number in range(3)]
        for at in range(max(map(len, raws))):  # their bytes interleaved on the wire
            for unit, raw in zip(units, raws, strict=True):
                await unit.send(raw[at : at + 1])
        for number, unit in enumerate(units):
            assert (await unit.receive()).of_head("MN") == f"UNIT{number}"
        extra = await found.connect()
        with pytest.raises((EOFError, ConnectionResetError)):
            await extra.receive()
        await found.play("use UNIT2", "send 1061 expect connection lost")
        assert (await units[2].receive()).of_head("CN") == "1061"
        units[2].close()
        await found.play("finish")

    with_bench(work, tmp_path)
    for number in range(3):
        raw = (tmp_path / f"session.{number + 1}.received").read_bytes()
        assert b"UNIT%d" % number in raw and len(PacketReader().take(raw)) == 1
        assert (tmp_path / f"session.{number + 1}.received").stat().st_mode & 0o077 == 0
    index = [json.loads(line) for line in (tmp_path / "session").read_text().splitlines()]
    first = [line for line in index if line["connection"] == 1 and line["direction"] == "received"]
    assert sum(line["length"] for line in first) == (tmp_path / "session.1.received").stat().st_size
    assert all(line["utc"].endswith("Z") for line in index)


def test_a_silent_line_is_hung_up(tmp_path):
    async def work(found: Bench) -> None:
        unit = await found.connect()
        with pytest.raises(EOFError):
            await unit.receive()
        assert found.of("closed")[0]["reason"] == "idle for 0.05 s"

    with_bench(work, tmp_path, idle_s=0.05)


def test_a_capture_that_cannot_be_written_ends_the_platform(tmp_path):
    (tmp_path / "session.2.received").write_text("of another day")

    async def work(found: Bench) -> None:
        for _ in range(2):
            unit = await found.connect()
            await unit.send(upload())
            await found.play("pause 0.05")
        with pytest.raises(CaptureError, match="File exists"):
            await asyncio.wait_for(found.platform.failed, 5)

    with_bench(work, tmp_path)
    assert (tmp_path / "session.2.received").read_text() == "of another day"


def test_a_capture_has_an_end(tmp_path):
    capture = Capture(tmp_path / "c", max_bytes=10)
    capture.note(1, "x:1", "sent", b"12345678")
    capture.note(1, "x:1", "sent", b"123")
    capture.note(1, "x:1", "sent", b"1")
    capture.close()
    assert capture.is_cut and (tmp_path / "c.1.sent").read_bytes() == b"12345678"


def test_splits_over_tcp_give_the_same_messages(tmp_path):
    packets = [raw for raw in packets_of_reference() if not isinstance(PacketReader().take(raw)[0], Refused)]
    assert len(packets) > 12
    rng = random.Random(212)

    async def work(found: Bench) -> None:
        unit = await found.connect()
        expected: list[Any] = []
        for _ in range(SPLITS):
            chosen = [rng.choice(packets) for _ in range(rng.randint(1, 5))]
            stream = b"".join(raw.rstrip(b"\r\n") + rng.choice((b"\r\n", b"\n", b"")) for raw in chosen)
            expected += [server.facts_of(piece) for raw in chosen for piece in PacketReader().take(raw)]
            at = 0
            for cut in sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randint(0, 6))):
                await unit.send(stream[at:cut])
                at = cut
                await asyncio.sleep(0)
            await unit.send(stream[at:])
        while len(found.of("message")) < len(expected):
            await asyncio.sleep(0.02)
        names = ("head", "items", "checksum")
        told = [[facts[name] for name in names] for facts in found.of("message")]
        assert told == [[facts[name] for name in names] for facts in expected]
        assert not found.of("refused")

    with_bench(work, tmp_path, "no-answer", store=None)


@contextmanager
def started(*words: str):
    """The program; killed where a test fails, which would else wait for it."""
    command = [sys.executable, "-m", "tools.hj212_platform", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def test_a_session_of_the_program_decoded_by_both(tmp_path, capsys):
    """The program with a script, a unit that obeys it; its capture through both decoders, as a technician would."""
    script = tmp_path / "session.txt"
    script.write_text(
        "units 1  # until the unit is there\nwait 2011\nask 1062 RtdInterval=30\nfault split-bytes:cn=1072\n"
        "fault garbage:cn=9014\nfault answer-twice:cn=9014\nask 1072 NewPW=654321\nwait 2061\nhangup\n"
    )
    words = ["--script", str(script), "--json", "--capture", str(tmp_path / "session"), "--store", str(tmp_path / "db")]
    with started(*words) as run:
        assert run.stdout is not None
        port = json.loads(run.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), 10) as line:
            splitter = FrameSplitter()
            line.sendall(b"hello" + upload() + upload()[:-6] + b"0000\r\n")
            while chunk := line.recv(4096):
                for piece in splitter.feed(chunk):
                    packet = parse_data(piece.data, piece.check, piece.policy) if hasattr(piece, "data") else None
                    if packet is not None and packet.of_head("CN") in ("1062", "1072"):
                        line.sendall(answer(packet, "9011", QnRtn="1") + answer(packet, "9012", ExeRtn="1"))
                    if packet is not None and packet.of_head("CN") == "1072":
                        line.sendall(upload("2061"))
        told = run.stdout.read()
        assert run.wait(10) == 0, told
    assert "654321" not in told and "123456" not in told
    for direction, status, count in (("received", 1, 6), ("sent", None, 5)):
        file = tmp_path / f"session.1.{direction}"
        found = main(["hj212", "decode", str(file), "--json"])
        assert status is None or found == status
        entries = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        own = subprocess.run(
            [sys.executable, "-m", "tools.hj212_platform.decode", str(file)], cwd=ROOT, capture_output=True, text=True
        )
        lines = [json.loads(text) for text in own.stdout.splitlines()]
        good = [
            [entry[name] for name in ("at", "size", "checksum", "policy", "head", "items")]
            for entry in lines
            if entry["event"] == "message"
        ]
        assert good == of_entries(entries)[0] and len(good) == count
        assert own.returncode == (1 if direction == "received" else 0)
    live = [json.loads(text) for text in told.splitlines()]
    commands = [entry["head"]["CN"] for entry in live if entry["event"] == "message"]
    assert commands == ["2011", "9011", "9012", "9011", "9012", "2061"]


def test_by_hand_and_by_signal(tmp_path):
    with started("--script", "-", "--fault", "no-answer") as run:
        assert run.stdin is not None and run.stdout is not None
        assert " listening " in run.stdout.readline()
        for line, words in (("units 0", "ok"), ("dance", "cannot read"), ("units 1 within 0.01", "not within")):
            run.stdin.write(line + "\n")
            run.stdin.flush()
            assert words in run.stdout.readline()
        run.stdin.close()
        assert run.wait(10) == 1, "steps did not come true"
    with started() as run:
        assert run.stdout is not None
        run.stdout.readline()
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 0


def test_wrong_usage(tmp_path, capsys, monkeypatch):
    def status(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["platform", *words])
        try:
            return program.main()
        except SystemExit as end:
            return int(str(end.code))

    script = tmp_path / "script.txt"
    script.write_text("units 1\nask 20 x\n")
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    cases = [
        (["--fault", "sing"], 2, "no such kind"),
        (["--script", str(script)], 2, "line 2: cannot read 'ask 20 x'"),
        (["--script", str(tmp_path / "none")], 3, "none"),
        (["--port", port], 3, "choose another --port"),
        (["--store", str(tmp_path)], 3, "choose another --port or file"),
        (["--tries", "0"], 2, "--tries"),
        (["--policy", "lax"], 2, "invalid choice"),
    ]
    for words, expected, text in cases:
        assert status(*words) == expected, words
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert text in said
    taken.close()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wait 2061 extra", "'extra' does not belong to wait"),
        ("pause soon", "cannot read"),
        ("fault sing", "no such kind"),
        ("fault late-answer:byte=3", "cannot read 'byte=3'"),
        ("ask 2061 a=1 b=2", "'b=2' does not belong to ask"),
        ("x" * 3000, "cannot read"),
    ],
)
def test_lines_that_are_no_steps(line, words):
    with pytest.raises(ScriptError, match=f"s line 2: .*{words}"):
        read_script(f"# a remark\n{line}\n", "s")
