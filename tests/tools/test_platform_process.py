"""The reference platform as a process: kill -9 at any instant, restart on the same port, stop, wrong usage."""

from __future__ import annotations

import gc
import json
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest
import urllib3

from tests.tools.platform_process import ROOT, Client, Wire, platform, report
from tools.eu_platform.store import Store

KILLS = 8
SEED = 20261125


class Sender(threading.Thread):
    """Delivers report after report, each until it is answered, as a client does that knows nothing but time-outs."""

    def __init__(self, url: str, authority: Path, secret: str, first_id: int) -> None:
        super().__init__(daemon=True)
        self.receipts: dict[int, dict] = {}
        self.asked = 0
        self.is_over = threading.Event()
        self._client = Client(url, authority, secret, timeout_s=2.0)
        self._next_id = first_id

    def run(self) -> None:
        while not self.is_over.is_set():
            try:
                self.asked += 1
                answer = self._client.deliver(report(self._next_id, module=f"m{self._next_id}"))
            except urllib3.exceptions.HTTPError:
                time.sleep(0.02)
                continue
            assert answer.status in (200, 201, 409), answer.data
            if answer.status != 409:
                self.receipts[self._next_id] = answer.json()
                self._next_id += 2


# CPython 3.11 to 3.13: SSLContext.wrap_socket leaves its socket to the collector when the peer reset the connection
# before it was wrapped (recv of ssl.SSLSocket._create raises ECONNRESET), which no client can close.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_kill_loses_nothing_that_was_answered(tmp_path):
    dice = random.Random(SEED)
    with platform(tmp_path) as running:
        port, secret = running.port, running.client().secret
        senders = [Sender(running.url, running.authority, secret, first) for first in (10_000, 20_000, 30_000)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.0, 0.25))
            running.kill()
            running.start(port)  # at once, on the same port, while old connections are still dying
            assert running.port == port
        time.sleep(0.3)
        for sender in senders:
            sender.is_over.set()
            sender.join(10)
            assert not sender.is_alive()
        receipts = [receipt for sender in senders for receipt in sender.receipts.values()]
        listed = {entry["idempotencyKey"]: entry for entry in running.client().listed()}
        # What was answered is there with the very receipt; and one report is stored once, however often it came.
        for receipt in receipts:
            entry = listed[receipt["idempotencyKey"]]
            assert {name: entry[name] for name in receipt} == receipt
        assert len(listed) == len({entry["module"] for entry in listed.values()})
        assert len(listed) - len(receipts) in range(len(senders) + 1), "stored, and the answer lost at the last moment"
        assert len(receipts) > KILLS
        assert running.stop() == 0
    gc.collect()  # what CPython left is collected here, not in a later test
    connection = apsw.Connection(str(tmp_path / "platform" / "platform.sqlite"))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_every_commit_is_synced(tmp_path):
    """SQLite's own word on the pragmas that the promise rests on."""
    store = Store(tmp_path / "platform.sqlite")
    assert (store._connection.pragma("journal_mode"), store._connection.pragma("synchronous")) == ("wal", 2)  # 2: FULL
    store.close()


def test_full_disk_is_said_and_mended(tmp_path):
    with platform(tmp_path) as running:
        client = running.client()
        first = client.deliver(report())
        written = running.folder / "platform.sqlite-wal"
        # No file of the process may grow beyond what the journal has now.
        size = max(written.stat().st_size, (tmp_path / "platform.log").stat().st_size + 65_536)
        limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        refused, first_id = None, 100
        while refused is None and first_id < 2000:
            answer = client.deliver(report(first_id))
            first_id += 2
            refused = answer if answer.status != 201 else None
        assert refused is not None and refused.status == 503
        assert refused.json()["type"] == "/problems/storage-failed" and refused.headers["retry-after"]
        stored = (first_id - 100) // 2  # with the first one, without the refused one
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)
        assert len(client.listed()) == stored
        assert client.deliver(report(first_id - 2)).status == 201
        assert client.deliver(report()).data == first.data


def test_slow_senders_are_not_waited_for(tmp_path):
    short = (
        "import sys, tools.eu_platform.body as body, tools.eu_platform.server as server\n"
        "body.BODY_S = server.HEADER_S = 0.5\n"
        "from tools.eu_platform.__main__ import main\n"
        "sys.exit(main())"
    )
    with platform(tmp_path, program=("-c", short)) as running:
        with Wire(running) as silent:
            assert silent.read_all() == b"", "a connection that asks nothing is closed"
        lines = ["POST /v1/reports HTTP/1.1", "Host: localhost", f"Authorization: {running.client().bearer}"]
        lines += ["Content-Type: application/json", "Content-Length: 100", "", ""]
        with Wire(running) as slow:
            slow.send("\r\n".join(lines).encode() + b"{")
            head, _, body = slow.read_all().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ") and json.loads(body)["type"] == "/problems/body-timeout"
        assert running.client().deliver(report()).status == 201


def test_receipt_key_token_and_key_survive_a_restart(tmp_path):
    with platform(tmp_path) as running:
        client = running.client()
        first = client.deliver(report())
        keys = client.ask("GET", "/v1/keys").data
        port = running.port
        assert running.stop() == 0
        running.start(port)
        assert client.ask("GET", "/v1/keys").data == keys
        again = client.deliver(report())  # with the token of before
        assert (again.status, again.data) == (200, first.data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_with_an_open_connection_and_a_silent_answer(tmp_path, number):
    with platform(tmp_path, "--fault", "hold:ms=500:count=1") as running:
        client = running.client()
        assert client.bearer  # keeps its connection open
        answers = []
        thread = threading.Thread(target=lambda: answers.append(client.deliver(report())))
        thread.start()
        time.sleep(0.2)
        began_s = time.monotonic()
        assert running.stop(number) == 0
        assert time.monotonic() - began_s < 5
        thread.join()
        assert answers[0].status == 201, "what was being worked on is answered"
        assert "Traceback" not in running.said()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--client", "x"], 2, "belong together"),
        (["--token-s", "0"], 2, "--token-s"),
        (["--port", "70000"], 2, "--port"),
        (["--fault", "sulk"], 2, "no such kind"),
        (["--client", "x", "--secret-file", "absent"], 3, "absent"),
        (["--client", "x", "--secret-file", "short"], 2, "16 characters"),
        (["--dir", "short"], 3, "short"),
    ],
)
def test_wrong_usage(tmp_path, arguments, status, words):
    (tmp_path / "short").write_text("secret")
    named = [str(tmp_path / part) if part in ("absent", "short") else part for part in arguments]
    command = [sys.executable, "-m", "tools.eu_platform", "--dir", str(tmp_path / "p"), *named]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert ended.returncode == status, ended.stderr
    assert words in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_taken_port_and_taken_folder(tmp_path):
    with platform(tmp_path) as running:
        for folder, port in (("other", running.port), ("platform", 0)):
            command = [sys.executable, "-m", "tools.eu_platform", "--dir", str(tmp_path / folder), "--port", str(port)]
            ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
            assert ended.returncode == 3 and len(ended.stderr.splitlines()) == 1, ended.stderr


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 3\0" + b"\0" * 500])
def test_foreign_database(tmp_path, content):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "platform.sqlite").write_bytes(content)
    command = [sys.executable, "-m", "tools.eu_platform", "--dir", str(tmp_path / "p")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert (tmp_path / "p" / "platform.sqlite").read_bytes() == content


def test_nothing_but_loopback_and_tls(tmp_path):
    with platform(tmp_path) as running:
        with socket.create_connection(("127.0.0.1", running.port), 5) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")
        # proc(5): local_address in hexadecimal, state 0A is LISTEN; of IPv4 and IPv6
        files = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        tables = [file.read_text().splitlines()[1:] for file in files if file.exists()]
        bound = [row.split()[1] for table in tables for row in table if row.split()[3] == "0A"]
        port = f":{running.port:04X}"
        assert [address for address in bound if address.endswith(port)] == [f"0100007F{port}"], "127.0.0.1 alone"
        assert stat.S_IMODE((running.authority / "server.key").stat().st_mode) == 0o600
