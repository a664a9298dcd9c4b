"""A platform over real TLS that records every request and answers as a test says, byte by byte where it must be wrong.

Unasked it is honest: tokens, ES256 receipts, one effect per idempotency key, the first answer again for a repeat. It
does not imitate a real server's checks of the body, its pages or its speed: tools/eu_platform does.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

LIFETIME_S = 3600
CLIENT = "gw-client"
SECRET = "canary-client-secret"  # noqa: S105 - planted, to be looked for in logs


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float


@dataclass
class Script:
    """One answer to one POST of a report. `is_stored`: it takes effect before the answer goes wrong.

    `raw`: bytes to send instead of an honest answer; `pause_s`: before each byte; `cut`: reset after so many bytes of
    the honest answer; `change`: applied to an honest receipt before it is signed; `hang_s`: silence, then reset.
    """

    raw: bytes | None = None
    is_stored: bool = False
    pause_s: float = 0.0
    cut: int | None = None
    hang_s: float = 0.0
    change: Callable[[dict], dict] | None = None
    resign: bool = True


def answer(status: int, body: bytes | dict = b"", *headers: str, kind: str = "application/json") -> bytes:
    """A whole HTTP answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def problem(status: int, *headers: str, detail: str = "as the test says") -> bytes:
    """A problem of RFC 9457."""
    body = {"type": "about:blank", "title": "scripted", "status": status, "detail": detail}
    return answer(status, body, *headers, kind="application/problem+json")


@dataclass(repr=False)  # it would hold every request
class ScriptedPlatform:
    """Serves until `close`. `script`: of the next POSTs of reports; `effects`: key to body; `requests`: all of them."""

    certificate: Path
    key: Path
    script: list[Script] = field(default_factory=list)
    token_script: list[bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    effects: dict[str, bytes] = field(default_factory=dict)
    receipts: dict[str, bytes] = field(default_factory=dict)
    judge: Callable[[bytes], bytes | None] | None = None  # body to a refusal, or None to take it
    token: str = "canary-token-1"  # noqa: S105 - planted, to be looked for in logs

    def __post_init__(self) -> None:
        self.signing_key = ec.generate_private_key(ec.SECP256R1())
        self.kid = "k" * 43
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, self.key)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.base_url = f"https://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more answers."""
        self._is_closing.set()
        # shutdown wakes the thread that waits in accept; a closed descriptor alone would not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def posts(self) -> list[Request]:
        """Reports that arrived, in order."""
        return [one for one in self.requests if one.path == "/v1/reports"]

    def _accept(self) -> None:
        while not self._is_closing.is_set():
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with self._lock:
            self._open.add(raw)
        try:
            with self._context.wrap_socket(raw, server_side=True) as stream, stream.makefile("rb") as reader:
                with self._lock:
                    self._open.add(stream)
                while self._one(stream, reader):
                    pass
        except OSError:
            return
        finally:
            raw.close()

    def _one(self, stream: ssl.SSLSocket, reader) -> bool:
        first = reader.readline()
        if not first:
            return False
        method, path, _ = first.decode().split(" ")
        headers = {}
        while (line := reader.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", "0")))
        with self._lock:
            self.requests.append(Request(method, path, headers, body, time.monotonic()))
            script = self.script.pop(0) if path == "/v1/reports" and self.script else Script()
        return self._answer(stream, path, headers, body, script)

    def _answer(self, stream: ssl.SSLSocket, path: str, headers: dict, body: bytes, script: Script) -> bool:
        if path == "/oauth/token":
            content = {"access_token": self.token, "token_type": "Bearer", "expires_in": LIFETIME_S}
            stream.sendall(self.token_script.pop(0) if self.token_script else answer(200, content))
            return True
        if path == "/v1/keys":
            stream.sendall(answer(200, {"keys": [self._jwk()]}))
            return True
        if script.raw is not None and not script.is_stored:
            return self._send(stream, script.raw, script)
        if script.hang_s and not script.is_stored:
            return self._send(stream, b"", script)
        if headers.get("authorization") != f"Bearer {self.token}":
            stream.sendall(problem(401))
            return True
        refusal = self.judge(body) if self.judge is not None else None
        if refusal is not None:
            stream.sendall(refusal)
            return True
        honest = self._take(headers["idempotency-key"].strip('"'), body, script)
        return self._send(stream, script.raw if script.raw is not None else honest, script)

    def _take(self, key: str, body: bytes, script: Script) -> bytes:
        with self._lock:
            if key in self.effects and self.effects[key] != body:
                return problem(422, detail="key with another body")
            is_first = key not in self.effects
            self.effects[key] = body
            if is_first:
                self.receipts[key] = self._receipt(key, body, Script())
            if script.change is not None:
                return answer(201, self._receipt(key, body, script))
            return answer(201 if is_first else 200, self.receipts[key])

    def _receipt(self, key: str, body: bytes, script: Script) -> bytes:
        report = json.loads(body)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        receipt = {
            "receiptId": hashlib.sha256(key.encode()).hexdigest()[:32],
            "receivedAt": "2026-11-25T00:00:00Z",
            "idempotencyKey": key,
            "contentDigest": f"sha-256=:{digest}:",
            "module": report["module"],
            "firstAverageId": report["averages"][0]["id"],
            "lastAverageId": report["averages"][-1]["id"],
            "averageCount": len(report["averages"]),
        }
        changed = script.change(dict(receipt)) if script.change is not None else receipt
        der = self.signing_key.sign(rfc8785.dumps(changed if script.resign else receipt), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
        return rfc8785.dumps({"signature": {"alg": "ES256", "keyId": self.kid, "value": value}} | changed)

    def _send(self, stream: ssl.SSLSocket, raw: bytes, script: Script) -> bool:
        if script.hang_s:
            self._is_closing.wait(script.hang_s)
            return False
        if script.cut is not None:
            stream.sendall(raw[: script.cut])
            return False
        if not script.pause_s:
            stream.sendall(raw)
            return True
        for byte in raw:
            stream.sendall(bytes((byte,)))
            if self._is_closing.wait(script.pause_s):
                return False
        return True

    def _jwk(self) -> dict[str, str]:
        numbers = self.signing_key.public_key().public_numbers()

        def text(number: int) -> str:
            return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")

        return {
            "kty": "EC", "crv": "P-256", "x": text(numbers.x), "y": text(numbers.y), "kid": self.kid, "alg": "ES256",
            "use": "sig",
        }  # fmt: skip
