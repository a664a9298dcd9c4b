"""The socket: uvicorn's HTTP/1.1 in a thread of its own, bound before anybody is told, with limits on strangers.

TLS 1.2 or later where certificate files are named; without them loopback only, for a proxy on this machine. Headers
that do not end, connections that say nothing and too many of them are cut.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from plumeproof.delivery.private_file import FileWatch, check_private
from plumeproof.errors import ConfigError, DeliveryError
from plumeproof.pact.endpoints import HEADER_MAX_BYTES

HEADER_S = 10.0  # for the handshake of TLS, and from there to the first whole request
IDLE_S = 60  # between requests
START_TIMEOUT_S = 10.0  # an old PC under load
STOP_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the host listens. `port` 0: a free one."""

    host: str
    port: int
    cert_file: Path | None
    key_file: Path | None
    connections_max: int


class Host:
    """One listening place. `url`: what to tell people."""

    def __init__(self, place: Place, app: Starlette) -> None:
        """Bind. Raises ConfigError: port taken, certificate or key that cannot be used."""
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        # Named protocol: asyncio leaves Nagle's delay (40 ms an answer) on for sockets made without it.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._settings = _configure(place, app)
            self._server = uvicorn.Server(self._settings)
            # A restart must not wait for the last connections of the run before.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((place.host, place.port))
        except OSError as error:
            self._socket.close()
            where = f"pact.port {place.port} on {place.host}"
            raise ConfigError(where, f"{error.strerror}; choose another, or 0 for a free one") from error
        except ConfigError:
            self._socket.close()
            raise
        self._cert_file, self._key_file = place.cert_file, place.key_file
        self._watch = FileWatch([file for file in (place.cert_file, place.key_file) if file is not None])
        shown = f"[{place.host}]" if family == socket.AF_INET6 else place.host
        scheme = "https" if place.cert_file is not None else "http"
        self.port = int(self._socket.getsockname()[1])
        self.url = f"{scheme}://{shown}:{self.port}"
        self._thread = threading.Thread(target=self._run, name="pact-host", daemon=True)

    def start(self) -> None:
        """Return when it answers."""
        self._thread.start()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def renew(self) -> None:
        """Take certificate and key anew where their files have changed: for connections from now on. Raises
        ConfigError, and the old ones stay."""
        if self._settings.ssl is None or self._cert_file is None or not self._watch.has_changed():
            return
        try:
            # Into a context of its own first: one that takes the certificate but not the key would serve neither.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert_file, self._key_file)
            self._settings.ssl.load_cert_chain(self._cert_file, self._key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{self._cert_file}", f"cannot be used: {error}; the one before is shown on") from error

    def stop(self) -> None:
        """Open answers are finished, then everything is closed."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            if self._settings.ssl is not None:
                # asyncio gives a handshake a minute, and uvicorn offers no other word on it.
                listen = partial(loop.create_server, ssl_handshake_timeout=HEADER_S)
                loop.create_server = listen  # type: ignore[method-assign]
            runner.run(self._server.serve(sockets=[self._socket]))


def _configure(place: Place, app: Starlette) -> uvicorn.Config:
    if place.key_file is not None:
        try:
            check_private(place.key_file)
        except DeliveryError as error:
            raise ConfigError("pact.key_file", str(error)) from error
    config = uvicorn.Config(
        app,
        http=_limited(place.connections_max),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEADER_MAX_BYTES,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=1,
        ssl_certfile=place.cert_file,
        ssl_keyfile=place.key_file,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        mend = "put a certificate and its own key, both PEM, into pact.cert_file and pact.key_file"
        raise ConfigError(f"{place.cert_file}, {place.key_file}", f"cannot be used: {error}; {mend}") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def _limited(connections_max: int) -> type[asyncio.Protocol]:
    class Limited(H11Protocol):
        """uvicorn's protocol with our limits."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._silence = self.loop.call_later(HEADER_S, self._end_silence)
            if len(self.connections) > connections_max:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._silence.cancel()
            super().connection_lost(exc)

        def _end_silence(self) -> None:
            if self.cycle is None:  # no whole request yet: it may only be holding a place
                self.transport.abort()

    return Limited
