"""The reference platform as a process, and an independent client of it: bare urllib3, nothing of the bridge."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rfc8785
import urllib3
import yaml

from tools import test_ca

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = yaml.safe_load((ROOT / "tools" / "eu_platform" / "openapi.yaml").read_text())
EXAMPLE = DESCRIPTION["paths"]["/v1/reports"]["post"]["requestBody"]["content"]["application/json"]["examples"][
    "twoAverages"
]["value"]
PROGRAM = ("-m", "tools.eu_platform")
FORM = "application/x-www-form-urlencoded"


def report(first_id: int = 41, **changes: Any) -> dict[str, Any]:
    """The example of the description with other ids."""
    averages = [{**average, "id": first_id + index} for index, average in enumerate(EXAMPLE["averages"])]
    return {**EXAMPLE, "averages": averages, **changes}


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class Client:
    """Says exactly what a test wants; no retries, no redirects."""

    def __init__(
        self, url: str, authority: Path, secret: str, client: str = "gateway", timeout_s: float = 20.0
    ) -> None:
        self.url = url
        self.secret = secret
        self.client = client
        self._pool = urllib3.PoolManager(
            ca_certs=str(authority / "ca.pem"), retries=False, timeout=timeout_s, maxsize=32, block=True
        )
        self._token = ""

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._pool.request(method, self.url + path, body=body, headers=named)

    def ask_token(self, body: str = "grant_type=client_credentials", **headers: str) -> urllib3.BaseHTTPResponse:
        basic = base64.b64encode(f"{self.client}:{self.secret}".encode()).decode()
        named = {"Authorization": f"Basic {basic}", "Content_Type": FORM, **headers}
        return self.ask("POST", "/oauth/token", body.encode(), **{k: v for k, v in named.items() if v})

    @property
    def bearer(self) -> str:
        if not self._token:
            answer = self.ask_token()
            assert answer.status == 200, answer.data
            self._token = f"Bearer {answer.json()['access_token']}"
        return self._token

    def deliver(self, what: dict[str, Any] | bytes, key: str | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """As a good client does; headers given here replace those, an empty one takes it away."""
        body = what if isinstance(what, bytes) else rfc8785.dumps(what)
        named = {
            "Authorization": self.bearer,
            "Content_Type": "application/json",
            "Idempotency_Key": f'"{hashlib.sha256(body).hexdigest() if key is None else key}"',
            "Content_Digest": digest_of(body),
            **headers,
        }
        return self.ask("POST", "/v1/reports", body, **{k: v for k, v in named.items() if v})

    def read(self, path: str) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", path, Authorization=self.bearer)

    def listed(self) -> list[dict[str, Any]]:
        """Every report of this client, over all pages."""
        found, cursor = [], ""
        while cursor is not None:
            page = self.read(f"/v1/reports?limit=50{cursor and f'&cursor={cursor}'}").json()
            found += page["reports"]
            cursor = page["next"]
        return found


class Platform:
    """The process. `client`: the one that it made at its first start."""

    def __init__(self, folder: Path, *arguments: str, program: Sequence[str] = PROGRAM) -> None:
        self.folder = folder
        self._program = program
        self.authority = folder.parent / "ca"
        self._arguments = arguments
        self.start()

    def start(self, port: int = 0) -> None:
        """Start it; return when it can be asked."""
        command = [sys.executable, *self._program, "--dir", str(self.folder), "--port", str(port)]
        self.log = (self.folder.parent / "platform.log").open("ab")
        self.process = subprocess.Popen(
            [*command, *self._arguments], stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready https://127.0.0.1:"), (line, self.said())
        self.url = line.split()[1]
        self.port = int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> Client:
        secret = (self.folder / "client.secret").read_text().strip()
        return Client(self.url, self.authority, secret, **options)

    def control(self, *faults: str) -> dict[str, Any]:
        """Set these faults; what /control answers."""
        token = (self.folder / "control.token").read_text().strip()
        body = json.dumps({"faults": faults}).encode()
        answer = self.client().ask(
            "POST", "/control", body, Authorization=f"Bearer {token}", Content_Type="application/json"
        )
        assert answer.status == 200, answer.data
        return answer.json()

    def said(self) -> str:
        """Its log so far."""
        return (self.folder.parent / "platform.log").read_text()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._reap()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """By signal; the exit status."""
        self.process.send_signal(number)
        return self._reap()

    def _reap(self) -> int:
        status = self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()
        return status


class Wire:
    """TLS by hand over a bare socket: Python's TLS socket shows a reset as an ordinary end (3.11, OpenSSL 3.0)."""

    def __init__(self, running: Platform) -> None:
        self._socket = socket.create_connection(("127.0.0.1", running.port), 10)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(running.authority / "ca.pem"))
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")
        self.was_reset = False
        self._do(self._tls.do_handshake)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def _do(self, step: Callable[[], Any]) -> Any:
        """Repeat a step of TLS until it has the bytes that it needs."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                octets = self._socket.recv(65536)
                if octets:
                    self._in.write(octets)
                else:
                    self._in.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if octets := self._out.read():
            self._socket.sendall(octets)

    def send(self, octets: bytes) -> None:
        left = memoryview(octets)
        while left:  # a write takes one TLS record
            left = left[self._do(lambda left=left: self._tls.write(left)) :]

    def read_all(self) -> bytes:
        """What comes until the end, of whichever kind."""
        found = b""
        try:
            while octets := self._do(lambda: self._tls.read(65536)):
                found += octets
        except ConnectionResetError:
            self.was_reset = True
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        return found


@contextmanager
def platform(folder: Path, *arguments: str, program: Sequence[str] = PROGRAM) -> Iterator[Platform]:
    """`program`: how Python starts it, for limits that a test cannot wait for."""
    test_ca.make(folder / "ca")
    running = Platform(folder / "platform", *arguments, program=program)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
