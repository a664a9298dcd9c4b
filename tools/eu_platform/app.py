"""The application: routes, the frame around every request, and what each endpoint does with headers and body.

frame (host name, trace id, log line, headers)  ->  faults on demand  ->  routes
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.eu_platform.anchor_desk import AnchorDesk
from tools.eu_platform.body import CLOSE, read_body
from tools.eu_platform.clients import Clients
from tools.eu_platform.demands import Demands
from tools.eu_platform.description import Description, ecma_pattern
from tools.eu_platform.intake import Intake, parse_key, to_content_digest
from tools.eu_platform.pages import Pages
from tools.eu_platform.problems import Problem, answer_problem
from tools.eu_platform.receipts import ReceiptKey
from tools.eu_platform.signatures import COVERED, SignatureFault, SignedRequest, check_signature
from tools.eu_platform.store import StoreFault
from tools.eu_platform.tokens import Asking, TokenDesk

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")  # others are DNS rebinding
RETRY_S = 5  # when storing is tried again
HEADER_BYTES = 16 * 1024  # request line and headers
HEADER_EXTRA = 4  # ": " and the line's end
PAGE_SIZE = 100
LARGEST_PAGE = 200
_PORT = re.compile(r":[0-9]{1,5}\Z")
CURSOR = ecma_pattern("^c[0-9]{1,15}$")
LIMIT = ecma_pattern("^[0-9]{1,3}$")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}

logger = logging.getLogger(__name__)


class Frame:
    """ASGI layer: known host names only, a trace id, one log line a request, headers that keep browsers careful."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI 3.0 wants it."""
        trace_id = secrets.token_hex(8)
        scope.setdefault("state", {})["trace_id"] = trace_id
        began_s = time.monotonic()
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._find_fault(scope)
        try:
            if problem is not None:
                await answer_problem(Request(scope), problem)(scope, receive, send_framed)
            else:
                await self._app(scope, receive, send_framed)
        finally:
            took_ms = (time.monotonic() - began_s) * 1000
            path = scope["path"].encode("ascii", "backslashreplace").decode()[:100]  # no control character survives %r
            kind = scope["state"].get("problem", "none")
            values = (scope["method"], path, status, kind, took_ms, trace_id)
            logger.info("request method=%s path=%r status=%d problem=%s ms=%.0f trace=%s", *values)

    @staticmethod
    def _find_fault(scope: Scope) -> Problem | None:
        """What is wrong with a request whatever it asks for."""
        # h11 stops headers that do not end; those that come at once are measured here.
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) + HEADER_EXTRA for name, value in scope["headers"]) > HEADER_BYTES:
            return Problem("headers-too-large", f"more than {HEADER_BYTES} bytes of headers", headers=CLOSE)
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _PORT.sub("", hosts[0]).lower() not in LOCAL_NAMES:
            return Problem("foreign-host", "Host names another service")
        return None


class Endpoints:
    """What the interface offers to programs."""

    def __init__(
        self,
        description: Description,
        desk: TokenDesk,
        intake: Intake,
        key: ReceiptKey,
        clients: Clients,
        demands: Demands,
        anchors: AnchorDesk,
    ) -> None:
        self._anchors = anchors
        self._clients = clients
        self._demands = demands
        self._description = description
        self._desk = desk
        self._intake = intake
        self._key = key

    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/oauth/token", self.issue_token, methods=["POST"]),
            Route("/v1/reports", self.reports, methods=["GET", "POST"]),
            Route("/v1/reports/{receipt_id}", self.read_report),
            Route("/v1/anchors", self.anchors, methods=["GET", "POST"]),
            Route("/v1/keys", self.read_keys),
            Route("/openapi.json", self.read_description),
        ]

    async def issue_token(self, request: Request) -> Response:
        """POST /oauth/token"""
        body = await read_body(request, "application/x-www-form-urlencoded")
        authorization = request.headers.getlist("authorization")
        answer = await run_in_threadpool(self._desk.issue, authorization, body, asking(request))
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def reports(self, request: Request) -> Response:
        """The two methods of /v1/reports."""
        return await (self.deliver_report(request) if request.method == "POST" else self.list_reports(request))

    async def deliver_report(self, request: Request) -> Response:
        """POST /v1/reports"""
        authorization = request.headers.getlist("authorization")
        grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:write", asking(request))
        body = await read_body(request, "application/json")
        if self._demands.has_signature:
            self._check_signature(request, grant.client)
        taken = await run_in_threadpool(
            self._intake.take,
            grant,
            request.headers.getlist("idempotency-key"),
            request.headers.getlist("content-digest"),
            body,
            getattr(request.state, "hold_s", 0.0),
        )
        digest = hashlib.sha256(taken.receipt).digest()
        headers = {"Location": f"/v1/reports/{taken.receipt_id}", "Content-Digest": to_content_digest(digest)}
        return Response(taken.receipt, 201 if taken.is_new else 200, headers, "application/json")

    async def anchors(self, request: Request) -> Response:
        """The two methods of /v1/anchors."""
        return await (self.deliver_anchor(request) if request.method == "POST" else self.list_anchors(request))

    async def deliver_anchor(self, request: Request) -> Response:
        """POST /v1/anchors"""
        authorization = request.headers.getlist("authorization")
        grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:write", asking(request))
        body = await read_body(request, "application/json")
        if self._demands.has_signature:
            self._check_signature(request, grant.client)
        keys, digests = request.headers.getlist("idempotency-key"), request.headers.getlist("content-digest")
        taken = await run_in_threadpool(self._anchors.take, grant, keys, digests, body)
        headers = {"Content-Digest": to_content_digest(hashlib.sha256(taken.receipt).digest())}
        return Response(taken.receipt, 201 if taken.is_new else 200, headers, "application/json")

    async def list_anchors(self, request: Request) -> Response:
        """GET /v1/anchors"""
        authorization = request.headers.getlist("authorization")
        grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:read", asking(request))
        return JSONResponse(await run_in_threadpool(self._anchors.list_page, grant, *page_of(request)))

    def _check_signature(self, request: Request, client: str) -> None:
        """Raises Problem."""
        names = " ".join(f'"{name}"' for name in COVERED)
        wanted = {"Accept-Signature": f"sig1=({names});created;keyid;alg"}  # RFC 9421 section 5.1
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        signed = SignedRequest(request.method, asking(request).url, fields)
        try:
            check_signature(signed, self._clients.find(client).public_keys(), int(time.time()))
        except SignatureFault as fault:
            kind = "signature-missing" if fault.is_missing else "signature-refused"
            raise Problem(kind, str(fault), headers=wanted) from fault

    async def count_arrival(self, request: Request) -> None:
        """A delivery that a fault on demand keeps from being served still counts, if its token and key are good."""
        try:
            authorization = request.headers.getlist("authorization")
            grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:write", asking(request))
            key = parse_key(request.headers.getlist("idempotency-key"))
        except Problem:
            return  # nobody's delivery
        await run_in_threadpool(self._intake.count_arrival, grant, key)

    async def list_reports(self, request: Request) -> Response:
        """GET /v1/reports"""
        authorization = request.headers.getlist("authorization")
        grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:read", asking(request))
        return JSONResponse(await run_in_threadpool(self._intake.list_page, grant, *page_of(request)))

    async def read_report(self, request: Request) -> Response:
        """GET /v1/reports/{receiptId}"""
        authorization = request.headers.getlist("authorization")
        grant = await run_in_threadpool(self._desk.recognise, authorization, "reports:read", asking(request))
        return JSONResponse(await run_in_threadpool(self._intake.read, grant, request.path_params["receipt_id"]))

    async def read_keys(self, _request: Request) -> Response:
        """GET /v1/keys"""
        return JSONResponse({"keys": [self._key.jwk]})

    async def read_description(self, _request: Request) -> Response:
        """GET /openapi.json"""
        return Response(self._description.json_bytes, media_type="application/json")


def asking(request: Request) -> Asking:
    """Where a request came from: its address as the client wrote it, and the certificate that TLS has checked."""
    query = request.scope["query_string"]
    path = request.scope["raw_path"] + (b"?" + query if query else b"")
    transport = getattr(request.state, "transport", None)
    stream = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate = (stream.getpeercert(binary_form=True) or b"") if stream is not None else b""
    return Asking(f"https://{request.headers.get('host', '')}{path.decode('ascii', 'replace')}", certificate)


def page_of(request: Request) -> tuple[int, int]:
    """Cursor and limit of a listing. Raises Problem."""
    query = request.query_params
    if len(query.multi_items()) != len(query) or not set(query) <= {"cursor", "limit"}:
        raise Problem("malformed-query", "only cursor and limit, each once")
    cursor, limit = query.get("cursor", "c0"), query.get("limit", str(PAGE_SIZE))
    if CURSOR.search(cursor) is None:
        raise Problem("malformed-query", "cursor is none of ours")
    if LIMIT.search(limit) is None or not 1 <= int(limit) <= LARGEST_PAGE:
        raise Problem("malformed-query", f"limit is 1 to {LARGEST_PAGE}")
    return int(cursor[1:]), int(limit)


def build_app(endpoints: Endpoints, pages: Pages, routes: Sequence[Route], layers: Sequence[Middleware]) -> Starlette:
    """`routes`, `layers`: control and faults on demand; both empty in an ordinary run."""
    app = Starlette(
        routes=[*endpoints.routes(), *pages.routes(), *routes],
        middleware=[Middleware(Frame), *layers],
        exception_handlers={
            Problem: _answer_problem,
            HTTPException: _answer_routing,
            StoreFault: _answer_store_fault,
            ClientDisconnect: _answer_disconnect,
            Exception: _answer_fault,
        },
    )
    app.router.redirect_slashes = False  # a path is what the description says, or it is not there
    return app


def _answer_problem(request: Request, problem: Problem) -> Response:
    return answer_problem(request, problem)


def _answer_routing(request: Request, refusal: HTTPException) -> Response:
    """What Starlette's router refuses."""
    kind = "method-not-allowed" if refusal.status_code == 405 else "not-found"
    detail = f"{request.method} is not for this path" if kind == "method-not-allowed" else "no such path"
    return answer_problem(request, Problem(kind, detail, headers=dict(refusal.headers or {})))


def _answer_store_fault(request: Request, fault: StoreFault) -> Response:
    logger.error("store fault=%s", json.dumps(str(fault)))
    return answer_problem(request, Problem("storage-failed", "not stored", headers={"Retry-After": str(RETRY_S)}))


def _answer_disconnect(request: Request, _gone: ClientDisconnect) -> Response:
    return answer_problem(request, Problem("unreadable-request", "the client went away"))


def _answer_fault(request: Request, _fault: Exception) -> Response:
    """Starlette raises it again afterwards, so that the log has the traceback."""
    return answer_problem(request, Problem("internal-error", "see the log under traceId"))
