"""What the page asks for: the page itself, `/api/overview`, `/api/trend`, and three static files.

Plain functions on the overview and the health snapshot; they decide nothing. Several open pages share one look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from plumeproof.errors import StoreError
from plumeproof.overview import Overview
from plumeproof.service import Service

HERE = Path(__file__).parent
STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "favicon.svg": "image/svg+xml",
}
SHARED_S = 0.5  # answers younger than this are given again
# Cursors of delivery and what they count: positions of records, ids of averages
FEEDS = {"relay": "records_total"} | dict.fromkeys(("relay_averages", "relay_reports", "relay_hj212"), "averages_total")
NOTHING_QUEUED = {"waiting": 0, "oldest_utc_ms": None, "attempts": 0, "quarantined": 0}


class Shared:
    """A look at the ledger, shared by those who ask within SHARED_S."""

    def __init__(self, look: Callable[[], dict[str, Any]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._taken_s = -SHARED_S
        self._answer: dict[str, Any] = {}

    def get(self) -> dict[str, Any]:
        """The newest look. Raises what the look raises."""
        with self._lock:
            if time.monotonic() - self._taken_s >= SHARED_S:
                self._answer = self._look()
                self._taken_s = time.monotonic()
            return self._answer


class Pages:
    """The endpoints of one service."""

    def __init__(self, service: Service) -> None:
        """Opens the ledger read-only. Raises StoreError."""
        config = service.config
        self._service = service
        self._overview = Overview(
            config.gateway.ledger_file,
            service.keys.public_key,
            [module.device for module in config.modules],
            config.averaging.intervals_s,
            service.clock,
            config.dashboard.trend_minutes * 60_000,
        )
        self._live = Shared(self._overview.live)
        self._trend = Shared(self._overview.trend)
        templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._page = templates.get_template("overview.html").render(
            gateway=config.gateway.id, versions=service.versions
        )

    def close(self) -> None:
        """Give the ledger back."""
        self._overview.close()

    def routes(self) -> list[BaseRoute]:
        """For Starlette."""
        return [
            Route("/", self.page),
            Route("/api/overview", self.overview),
            Route("/api/trend", self.trend),
            Route("/static/{name}", self.static),
        ]

    # Plain functions: Starlette runs them in threads, so that a slow disk never stops the server's loop.

    def page(self, _request: Request) -> Response:
        """The page; everything that changes is fetched by it."""
        return HTMLResponse(self._page)

    def static(self, request: Request) -> Response:
        """One of the three files."""
        name = request.path_params["name"]
        if name not in STATIC:
            return PlainTextResponse("not found\n", 404)
        return FileResponse(HERE / "static" / name, media_type=STATIC[name])

    def overview(self, _request: Request) -> Response:
        """Everything but the trend, as JSON."""
        try:
            live = self._live.get()
        except StoreError as error:
            return JSONResponse({"error": str(error)}, 503)
        config = self._service.config
        cursors = live["cursors"]
        return JSONResponse(
            {
                **live,
                "gateway": config.gateway.id,
                "versions": self._service.versions,
                "intervals_s": config.averaging.intervals_s,
                "parts": self._service.health.snapshot(),
                "unaveraged": live["records_total"] - cursors.get("averaging", 0),
                "sinks": [
                    {
                        "name": sink.name,
                        "kind": kind,
                        "unqueued": sum(
                            live[total] - cursors[f"{feed}/{sink.name}"]
                            for feed, total in FEEDS.items()
                            if f"{feed}/{sink.name}" in cursors
                        ),
                        **live["outbox"].get(sink.name, NOTHING_QUEUED),
                    }
                    for kind, sinks in (
                        ("MQTT", config.mqtt_sinks),
                        ("HTTPS", config.https_sinks),
                        ("HJ\u00a0212", config.hj212_sinks),
                    )
                    for sink in sinks
                ],
            }
        )

    def trend(self, _request: Request) -> Response:
        """The trend of every channel, as JSON."""
        try:
            return JSONResponse(self._trend.get())
        except StoreError as error:
            return JSONResponse({"error": str(error)}, 503)
