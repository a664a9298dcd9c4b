"""The requester's own PACT host: a token endpoint and an events endpoint, so that what is asynchronous can be seen.

The host under test must know it: its address, and the client id and secret that it has here.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BODY_MAX_BYTES = 8 * 1024 * 1024


class Listener:
    """Runs from its making on. `events`: what came with a good token, oldest first; `refuse`: how many events are
    answered 503 first, to see that they come again."""

    def __init__(self, port: int, certificate: Path, key: Path, client_id: str, secret: str, refuse: int = 0) -> None:
        """Raises OSError where the port is taken or a file cannot be used."""
        self.events: list[dict[str, Any]] = []
        self.refused = 0
        self._refuse = refuse
        self._token = secrets.token_urlsafe(32)
        self._basic = "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._came = threading.Condition()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait_for(self, kind: str, request_id: str, seconds: float) -> dict[str, Any] | None:
        """The first event whose type ends in `kind` and that is about a request ("": any); None where none came."""

        def found() -> dict[str, Any] | None:
            for event in self.events:
                about = event.get("data", {}).get("requestEventId", "")
                if kind in str(event.get("type")) and request_id in ("", about):
                    return event
            return None

        with self._came:
            self._came.wait_for(lambda: found() is not None, seconds)
            return found()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length) if 0 < length <= BODY_MAX_BYTES else b""
                said = self.headers.get("Authorization", "")
                if self.path == "/auth/token" and said == listener._basic:
                    self._answer(200, {"access_token": listener._token, "token_type": "Bearer", "expires_in": 300})
                elif self.path == "/auth/token":
                    self._answer(401, {"error": "invalid_client"})
                elif self.path == "/3/events" and said == f"Bearer {listener._token}":
                    self._answer(*listener._take(body))
                else:
                    self._answer(400, {"code": "BadRequest", "message": "no such place, or no good token"})

            def _answer(self, status: int, content: dict[str, Any] | None) -> None:
                raw = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _take(self, body: bytes) -> tuple[int, dict[str, Any] | None]:
        with self._came:
            if self.refused < self._refuse:
                self.refused += 1
                return 503, {"code": "InternalError", "message": "not now"}
            self.events.append(json.loads(body))
            self._came.notify_all()
            return 200, None
