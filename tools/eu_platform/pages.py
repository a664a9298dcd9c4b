"""What eyes see: everything that was received, one report, what a problem means. HTML, no script, no foreign asset.

Loopback only and without a login, as the description says; it shows what all clients delivered and changes nothing.
A report's page checks again what it shows: the bytes against their digest, the receipt against the platform's key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from tools.eu_platform.description import Description, ecma_pattern
from tools.eu_platform.intake import to_rfc3339
from tools.eu_platform.problems import KINDS, Problem
from tools.eu_platform.receipts import ReceiptKey
from tools.eu_platform.store import Entry, Store

HERE = Path(__file__).parent
TEMPLATES = ("reports.html", "report.html", "problem.html")
STATIC = {"page.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml"}
PAGE_ROWS = 50
BEFORE = ecma_pattern("^[1-9][0-9]{0,15}$")
NEWEST = 2**53  # above every row; beyond what JSON and HTML programs count exactly
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP, "Cross-Origin-Resource-Policy": "same-origin"}
SPANS = ((86400, "d"), (3600, "h"), (60, "min"))
DASH = "\u2013"
MISSING = "\u2014"


class Pages:
    """The pages of one platform."""

    def __init__(self, store: Store, description: Description, key: ReceiptKey) -> None:
        self._store = store
        self._key = key
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        environment.filters.update(number=show_number, clock=show_clock, thousands=show_thousands)
        environment.globals.update(version=description.version)
        # Read now: what is changed on the disk later belongs to another release of this file.
        self._templates = {name: environment.get_template(name) for name in TEMPLATES}

    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/", self.show_reports),
            Route("/reports/{receipt_id}", self.show_report),
            Route("/problems/{kind}", self.show_problem),
            Route("/static/{name}", self.read_static),
        ]

    async def show_reports(self, request: Request) -> Response:
        """GET /"""
        query = request.query_params
        if len(query.multi_items()) != len(query) or not set(query) <= {"before"}:
            raise Problem("malformed-query", "only before, once")
        before = query.get("before", "")
        if "before" in query and (BEFORE.search(before) is None or int(before) >= NEWEST):
            raise Problem("malformed-query", "before is no row of a page")
        return await run_in_threadpool(self._reports, int(before) if before else NEWEST, not before)

    def _reports(self, before_id: int, is_newest: bool) -> Response:
        entries = self._store.newest(before_id, PAGE_ROWS + 1)
        rows = entries[:PAGE_ROWS]
        return self._render(
            "reports.html",
            rows=[_to_row(entry) for entry in rows],
            totals=self._store.totals(),
            older=rows[-1].id if len(entries) > PAGE_ROWS else None,
            is_newest=is_newest,
        )

    async def show_report(self, request: Request) -> Response:
        """GET /reports/{receiptId}"""
        return await run_in_threadpool(self._report, request.path_params["receipt_id"])

    def _report(self, receipt_id: str) -> Response:
        entry = self._store.find_receipt(receipt_id)
        if entry is None:
            raise Problem("not-found", "no such report")
        body = self._store.read_body(entry)
        receipt = json.loads(entry.receipt)
        averages = json.loads(body)["averages"]
        return self._render(
            "report.html",
            row=_to_row(entry),
            receipt=receipt,
            client=entry.client,
            body_bytes=len(body),
            has_same_bytes=hashlib.sha256(body).digest() == entry.digest,
            has_good_signature=self._key.is_ours(receipt),
            averages=averages,
            has_one_day=len({average["start"][:10] for average in averages}) == 1,
        )

    async def show_problem(self, request: Request) -> Response:
        """GET /problems/{kind}"""
        name = request.path_params["kind"]
        if name not in KINDS:
            raise Problem("not-found", "no such kind of problem")
        return self._render("problem.html", name=name, kind=KINDS[name])

    async def read_static(self, request: Request) -> Response:
        """GET /static/{name}"""
        name = request.path_params["name"]
        if name not in STATIC:
            raise Problem("not-found", "no such file")
        return FileResponse(HERE / "static" / name, media_type=STATIC[name])

    def _render(self, template: str, **values: Any) -> Response:
        return HTMLResponse(self._templates[template].render(**values), headers=HEADERS)


def _to_row(entry: Entry) -> dict[str, Any]:
    return {
        "receipt_id": entry.receipt_id,
        "received": show_clock(to_rfc3339(entry.received_utc_ms)),
        "gateway": entry.gateway,
        "module": entry.module,
        "interval": show_interval(entry.interval_s),
        "period": show_period(entry.period_start, entry.period_end),
        "count": entry.n_averages,
        "digest": base64.b64encode(entry.digest).decode(),
        "deliveries": entry.deliveries,
        "last_delivery": show_clock(to_rfc3339(entry.last_utc_ms)),
    }


def show_interval(interval_s: int) -> str:
    """3600 -> "1 h"; 5400 -> "90 min"; 10 -> "10 s"."""
    for span_s, unit in SPANS:
        if interval_s % span_s == 0:
            return f"{interval_s // span_s} {unit}"
    return f"{interval_s} s"


def show_clock(text: str) -> str:
    """RFC 3339 UTC as people read it; fractions stay only where they are not zero."""
    return text.removesuffix("Z").replace("T", " ").removesuffix(".000")


def show_period(start: str, end: str) -> str:
    """The day once where both ends have the same."""
    first, last = show_clock(start), show_clock(end)
    return f"{first} {DASH} {last[11:] if first[:10] == last[:10] else last}"


def show_number(value: float | None) -> str:
    """Six significant digits: what an engineer compares; the exact value is in the title of the cell."""
    return MISSING if value is None else f"{value:.6g}"


def show_thousands(value: int) -> str:
    """1234567 -> 1 234 567, with narrow spaces that do not break."""
    return f"{value:,}".replace(",", "\u202f")
