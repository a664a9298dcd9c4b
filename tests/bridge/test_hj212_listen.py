"""`plumeproof hj212 listen` with field units of others on TCP, and `hj212 clock-orders`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

from plumeproof.cli import main
from plumeproof.clock_order_desk import ClockOrderDesk
from plumeproof.delivery.hj212_orders import ClockOrder
from plumeproof.gateway_key import create_gateway_key
from plumeproof.hj212.commands import read_request
from plumeproof.hj212.frame import Check, Policy, crc_modbus, frame_bytes
from plumeproof.hj212.messages import Identity
from plumeproof.hj212.packet import parse_data
from plumeproof.keys import build_entry
from plumeproof.store.clock_orders import CODE, SqliteClockOrders
from plumeproof.store.connection import Writer
from tests.doubles.hj212_bench import MIDNIGHT_MS, MN, PW
from tests.doubles.manual_clock import ManualClock

DATA = (
    f"QN=20261201000000001;ST=31;CN=2011;PW={PW};MN={MN};Flag=5;CP=&&DataTime=20261201000000;a21026-Rtd=1.5&&".encode()
)
BY_MODBUS = b"##%04d%b%04X\r\n" % (len(DATA), DATA, crc_modbus(DATA))
WAIT_S = 20.0


class Listening:
    """The real command; `say` is one connection of a field unit."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "plumeproof", "hj212", "listen", "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.first = self.process.stderr.readline()
        self.port = int(self.first.partition("127.0.0.1:")[2].partition(",")[0] or 0)

    def say(self, *pieces: bytes, answer_bytes: int = 0) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as line:
            for piece in pieces:
                line.sendall(piece)
            heard = b""
            while len(heard) < answer_bytes:
                heard += line.recv(1024)
            return heard

    def end(self) -> tuple[int, list[dict], str]:
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, [json.loads(line) for line in out.splitlines()], self.first + err


def test_packets_of_two_units_with_their_verdicts(tmp_path):
    kept = tmp_path / "kept.jsonl"
    command = Listening("--policy", "modbus-crc-accepted", "--answer", "--store", str(kept), "--count", "4")
    frame = frame_bytes(DATA)
    heard = command.say(*(frame[at : at + 1] for at in range(len(frame))), answer_bytes=99 - 24 + len(MN))
    assert b"CN=9014" in heard and b"QN=20261201000000001" in heard
    command.say(b"\x00noise##12x4", BY_MODBUS, frame[:-6] + b"0000")
    code, entries, err = command.end()
    assert code == 1  # the last packet is bad
    assert [entry["verdict"] for entry in entries] == ["good", "bad", "good", "bad"]
    good, _, modbus, bad = entries
    assert good["items"][1][0]["policy"] == "modbus-crc-accepted" and good["items"][1][0]["crc"] == "hj212"
    assert modbus["items"][1][0]["crc"] == "modbus" and "CRC modbus: taken only because" in modbus["warnings"][0]
    assert good["peer"] != modbus["peer"] and bad["reason"]
    assert [json.loads(line) for line in kept.read_text().splitlines()] == entries
    assert kept.stat().st_mode & 0o77 == 0 and PW not in kept.read_text()
    assert "listening on 127.0.0.1:" in err and "2 connections, 2 good, 2 bad" in err


def test_a_port_that_is_taken_and_a_file_that_is_full(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["hj212", "listen", "--port", str(taken.getsockname()[1])]) == 3
    assert "is the port taken?" in capsys.readouterr().err
    assert main(["hj212", "listen", "--store", str(tmp_path)]) == 3
    assert main(["hj212", "listen", "--port", "70000"]) == 2
    full = tmp_path / "full.jsonl"
    full.write_bytes(b"x" * (1 << 20))
    command = Listening("--store", str(full), "--store-max", "1")
    command.say(frame_bytes(DATA))
    code, _, err = command.end()
    assert code == 3 and "has 1 MiB; name another file" in err and full.stat().st_size == 1 << 20


def test_clock_orders_are_listed_and_judged(tmp_path, capsys):
    key, _ = create_gateway_key(tmp_path / "gateway.key", "gw-1")
    (tmp_path / "keys.json").write_text(json.dumps([build_entry("gw-1", key.public_key, purpose="anchor")]))
    writer, clock = Writer(tmp_path / "ledger.sqlite"), ManualClock(MIDNIGHT_MS)
    desk = ClockOrderDesk(
        "gw-1", key, SqliteClockOrders(writer), clock, 60_000, None, threading.Lock(), lambda kid: b""
    )
    data = f"QN=20261201000000001;ST=31;CN=1012;PW={PW};MN={MN};Flag=5;CP=&&SystemTime=20261201001000&&".encode()
    request = read_request(parse_data(data, Check.MODBUS, Policy.MODBUS), Identity(MN, "31", PW))
    for _ in range(3):
        clock.advance(11.0)
        desk.take(ClockOrder("bureau", "platform:1", MN, request, MIDNIGHT_MS + 600_000))
    words = [
        "hj212",
        "clock-orders",
        "--ledger",
        str(tmp_path / "ledger.sqlite"),
        "--keys",
        str(tmp_path / "keys.json"),
    ]
    assert main([*words, "--json"]) == 0
    orders = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [order["number"] for order in orders] == [1, 2, 3]
    assert orders[0] | {"heads": []} == {
        "number": 1, "outcome": "refused", "old_utc_ms": MIDNIGHT_MS + 11_000, "new_utc_ms": MIDNIGHT_MS + 600_000,
        "link": "bureau", "platform": "platform:1", "mn": MN, "qn": "20261201000000001", "check": "modbus",
        "policy": "modbus-crc-accepted", "heads": [],
    }  # fmt: skip
    with writer.transaction() as connection:
        connection.execute("DELETE FROM audit WHERE id = (SELECT min(id) + 1 FROM audit WHERE code = ?)", (CODE,))
    assert main(words) == 1
    assert "clock order 3 does not follow 1" in capsys.readouterr().out
    writer.close()


def test_limits_of_a_listener():
    command = Listening("--idle", "0.2", "--count", "1")
    began = time.monotonic()
    lines = [socket.create_connection(("127.0.0.1", command.port), WAIT_S) for _ in range(70)]
    assert [line.recv(1) for line in lines] == [b""] * 70  # six are turned away, the others end by their silence
    assert time.monotonic() - began < 10
    for line in lines:
        line.close()
    command.say(frame_bytes(DATA))
    code, entries, err = command.end()
    assert code == 0 and len(entries) == 1 and "6 turned away" in err
