"""Serves the page on loopback: uvicorn in a thread of its own, on a socket that is bound before anybody is told.

Nothing can be changed through it. Whoever asks under another host name is refused (DNS rebinding), the browser may load
nothing from elsewhere (Content-Security-Policy), and nothing is kept in a cache.

    dashboard = Dashboard(service)
    dashboard.start()
    dashboard.url
"""

from __future__ import annotations

import logging
import socket
import threading
import time

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plumeproof.dashboard.pages import Pages
from plumeproof.errors import ConfigError
from plumeproof.service import Service

START_TIMEOUT_S = 10.0  # an old PC under load
STOP_TIMEOUT_S = 2.0  # open requests are answered within milliseconds
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI layer: known host names only, and the headers that keep the browser at home."""

    def __init__(self, app: ASGIApp, host_names: tuple[str, ...]) -> None:
        self._app = app
        self._host_names = frozenset(name.lower() for name in (*LOCAL_NAMES, *host_names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI 3.0 wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or self._name(hosts[0]) not in self._host_names:
            refusal = PlainTextResponse("unknown host name; add it to dashboard.host_names\n", 421)
            await refusal(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    @staticmethod
    def _name(host: str) -> str:
        """Without the port: "[::1]:80" and "localhost:80"."""
        end = host.find("]")
        return (host[: end + 1] if end >= 0 else host.partition(":")[0]).lower()


def build_app(pages: Pages, host_names: tuple[str, ...]) -> Starlette:
    """The application around the pages."""
    return Starlette(routes=pages.routes(), middleware=[Middleware(Guard, host_names=host_names)])


class Dashboard:
    """The page of one service."""

    def __init__(self, service: Service) -> None:
        """Bind the socket and open the ledger read-only. Raises ConfigError when the port is taken."""
        config = service.config.dashboard
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        # Named protocol: asyncio leaves Nagle's delay (40 ms an answer) on for sockets made without it.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            # A restart must not wait for the last connections of the run before.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((config.host, config.port))
        except OSError as error:
            self._socket.close()
            where = f"dashboard.port {config.port} on {config.host}"
            raise ConfigError(where, f"{error.strerror}; choose another, or 0 for a free one") from error
        host = f"[{config.host}]" if family == socket.AF_INET6 else config.host
        self.url = f"http://{host}:{self._socket.getsockname()[1]}/"
        self._pages = Pages(service)
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(self._pages, config.host_names),
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="dashboard", daemon=True
        )

    def start(self) -> None:
        """Return when it answers."""
        self._thread.start()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def stop(self) -> None:
        """Close the page and the ledger's reader."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()
        self._pages.close()
