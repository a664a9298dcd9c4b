"""HTTPS on loopback: uvicorn's HTTP/1.1 with TLS, limits on headers and idle connections, a clean stop.

Bound before anybody is told; SO_REUSEADDR, so that a restart on the same port works while old connections die.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import socket
import sys
from asyncio import sslproto
from collections.abc import Generator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from tools.eu_platform.app import HEADER_BYTES
from tools.eu_platform.demands import Demands
from tools.eu_platform.problems import KINDS, MEDIA_TYPE, Problem, build_document

HOST = "127.0.0.1"  # there is no choice: the reference is no service for others
HEADER_S = 10.0  # from the connection, TLS included, to the first request
IDLE_S = 60  # between requests
MOST_CONNECTIONS = 256
GOODBYE_S = 1.0  # for the client's end of TLS, once the last answer has left
STOP_S = 5  # open requests at a stop; then they are cut

logger = logging.getLogger(__name__)


class Http(H11Protocol):
    """uvicorn's protocol with our limits. Each request finds its transport in scope["state"]: faults need it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        self._timer = self.loop.call_later(HEADER_S, self._end_silence)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _end_silence(self) -> None:
        """A connection without a whole request is closed: it may only be holding a place."""
        if self.cycle is None:
            self._leave()

    def on_response_complete(self) -> None:
        """An answer has been written; where it was the last one, the connection does not wait for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._leave()

    def _leave(self) -> None:
        """Close, and do not wait long for the client to do so too."""
        if not self.transport.is_closing():  # a second close would take the means of cutting it away (asyncio 3.11)
            self.transport.close()
        self._timer.cancel()
        self._timer = self.loop.call_later(GOODBYE_S, self._part)

    def _part(self) -> None:
        if self.transport.get_write_buffer_size() == 0:
            self.transport.abort()
        else:
            # The client still reads; TLS itself gives up after 30 s.
            self._timer = self.loop.call_later(GOODBYE_S, self._part)

    def shutdown(self) -> None:
        """The service stops. An idle connection is cut: TLS would wait for the client to say good-bye too."""
        if (self.cycle is None or self.cycle.response_complete) and self.transport.get_write_buffer_size() == 0:
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What h11 cannot read; it says itself when headers were too large (called while its error is handled)."""
        error = sys.exc_info()[1]
        is_large = getattr(error, "error_status_hint", 0) == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        problem = (
            Problem("headers-too-large", f"more than {HEADER_BYTES} bytes of headers")
            if is_large
            else Problem("unreadable-request", msg)
        )
        status = KINDS[problem.kind].status
        body = json.dumps(build_document(problem, "/", secrets.token_hex(8))).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._leave()


class _Server(uvicorn.Server):
    """Signals are ours: a stop that was asked for ends with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave them alone."""
        yield


class _TellingTls(sslproto.SSLProtocol):  # type: ignore[misc, name-defined]
    """asyncio's TLS, which tells the client why it refuses.

    asyncio (seen with 3.11) leaves the alert of a failed handshake in its buffer and closes: a client without the
    demanded certificate would only see the end of the connection, where other servers say `certificate required`.
    """

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is not None:
            self._process_outgoing()
        super()._on_handshake_complete(handshake_exc)


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; 0 is a free port. Raises OSError."""
    # Named TCP, because asyncio switches Nagle's delay off (40 ms an answer) only where the socket says so.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


async def serve(app: Starlette, listener: socket.socket, authority: Path, demands: Demands) -> None:
    """Until SIGTERM or SIGINT. Prints the ready line when it can be asked. `authority`: folder of the certificates."""
    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "ws": "none"}
    config = uvicorn.Config(
        app,
        http=Http,
        ssl_certfile=authority / "server.pem",
        ssl_keyfile=authority / "server.key",
        ssl_ca_certs=str(authority / "ca.pem"),
        server_header=False,
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
        **options,
    )
    config.load()
    assert config.ssl is not None
    demands.attach(config.ssl)
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    sslproto.SSLProtocol = _TellingTls  # type: ignore[misc] # the loop offers no other way to choose it
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        print(f"ready https://{HOST}:{listener.getsockname()[1]}", flush=True)
    await serving
