"""The host's interface: token, list, get, events, and the OpenID document that names the token's place.

Nothing is answered over plain HTTP. Behind a proxy with TLS on this machine (host.py binds loopback only then) a
request counts as HTTPS when the proxy says so with `X-Forwarded-Proto: https`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plumeproof.pact.credentials import Client, RateLimit, TokenDesk
from plumeproof.pact.events import BODY_MAX_BYTES, CREATED, Event, read_event
from plumeproof.pact.faults import (
    ACCESS_DENIED,
    BAD_REQUEST,
    INTERNAL_ERROR,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    Fault,
    TokenFault,
)
from plumeproof.pact.shelf import Shelf, read_question

HEADER_MAX_BYTES = 16 * 1024  # request line and headers
FORM_MAX_BYTES = 4 * 1024
QUERY_MAX = 200  # parameters
BODY_S = 30.0  # for a whole body
REQUEST_S = 90.0  # for all of a request, its answer read by the client included
LIST_PATH = "/3/footprints"
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,260}")

_log = logging.getLogger(__name__)


class Post(Protocol):
    """Where events go."""

    def accept(self, client: Client, event: Event) -> None:
        """Answer a RequestCreatedEvent later; on disk when this returns. Raises Fault where that is known to be
        impossible, StoreError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests of a client, token requests of an address, and RequestCreatedEvents of a client, whose answers wait on
    our disk."""

    of_client: RateLimit
    of_address: RateLimit
    of_wishes: RateLimit


class Frame:
    """ASGI layer: whole headers within their limit, HTTPS only, one log line a request."""

    def __init__(self, app: ASGIApp, is_behind_proxy: bool) -> None:
        self._app, self._is_behind_proxy = app, is_behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI 3.0 wants it."""
        began_s, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        fault = self._find_fault(scope)
        try:
            if fault is not None:
                await answer_fault(fault)(scope, receive, watched)
            else:
                async with asyncio.timeout(REQUEST_S):
                    await self._app(scope, receive, watched)
        except TimeoutError:
            status = 0  # the client does not read; uvicorn closes the connection
        finally:
            # No query and no header: both may hold what is nobody's business.
            path = scope["path"].encode("ascii", "backslashreplace").decode()[:100]
            ms = (time.monotonic() - began_s) * 1000
            _log.info("pact_request method=%s path=%r status=%d ms=%.0f", scope["method"][:10], path, status, ms)

    def _find_fault(self, scope: Scope) -> Fault | None:
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > HEADER_MAX_BYTES:
            return Fault(BAD_REQUEST, f"more than {HEADER_MAX_BYTES} bytes of headers", 431, {"Connection": "close"})
        named = {name: value.decode("latin-1").strip().lower() for name, value in scope["headers"]}
        if _HOST.fullmatch(named.get(b"host", "")) is None:
            return Fault(BAD_REQUEST, "Host is missing or no host name")
        is_https = named.get(b"x-forwarded-proto") == "https" if self._is_behind_proxy else scope["scheme"] == "https"
        return None if is_https else Fault(ACCESS_DENIED, "only over HTTPS")


class Endpoints:
    """What is offered to programs. All in the event loop's thread, but what touches the disk."""

    def __init__(self, shelf: Shelf, desk: TokenDesk, post: Post, limits: Limits) -> None:
        self._shelf, self._desk, self._post, self._limits = shelf, desk, post, limits

    def app(self, is_behind_proxy: bool) -> Starlette:
        """The application."""
        found = Starlette(
            routes=[
                Route("/auth/token", _answering(self._issue_token), methods=["POST"]),
                Route("/.well-known/openid-configuration", _answering(self._tell_provider), methods=["GET"]),
                Route(LIST_PATH, _answering(self._list), methods=["GET"]),
                Route(LIST_PATH + "/", _answering(self._list), methods=["GET"]),  # an example of PACT writes it so
                Route(LIST_PATH + "/{footprint_id}", _answering(self._get), methods=["GET"]),
                Route("/3/events", _answering(self._take_event), methods=["POST"]),
            ],
            middleware=[Middleware(Frame, is_behind_proxy=is_behind_proxy)],
            exception_handlers={HTTPException: _answer_http, Exception: _answer_failure},
        )
        found.router.redirect_slashes = False  # a redirect would name the scheme behind the proxy
        return found

    async def _issue_token(self, request: Request) -> Response:
        self._limits.of_address.take(request.client.host if request.client is not None else "")
        body = await _read(request, FORM_MAX_BYTES)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise TokenFault("invalid_request", "Content-Type is not application/x-www-form-urlencoded")
        return _json(self._desk.issue(request.headers.getlist("authorization"), body))

    async def _tell_provider(self, request: Request) -> Response:
        """OpenID Connect Discovery 1.0 section 3, as far as client credentials need it."""
        root = _root(request)
        return _json(
            {
                "issuer": root,
                "token_endpoint": f"{root}/auth/token",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _list(self, request: Request) -> Response:
        client = self._recognise(request)
        pairs = request.query_params.multi_items()
        if len(pairs) > QUERY_MAX:
            raise Fault(BAD_REQUEST, f"more than {QUERY_MAX} parameters")
        page = self._shelf.page(read_question(pairs), pairs, client.products)
        link = f'<{_root(request)}{LIST_PATH}?{page.next_query}>; rel="next"'
        return _json({"data": [dict(one) for one in page.footprints]}, {"Link": link} if page.next_query else {})

    async def _get(self, request: Request) -> Response:
        client = self._recognise(request)
        found = self._shelf.find(request.path_params["footprint_id"])
        if found is None:
            raise Fault(NOT_FOUND, "there is no footprint of this id")
        if client.products is not None and found.offered.product.id not in client.products:
            raise Fault(ACCESS_DENIED, "this footprint is not for this client")
        return _json({"data": dict(found.content)})

    async def _take_event(self, request: Request) -> Response:
        client = self._recognise(request)
        event = read_event(request.headers.get("content-type", ""), await _read(request, BODY_MAX_BYTES))
        if event.type == CREATED:
            self._limits.of_wishes.take(client.id)
            await run_in_threadpool(self._post.accept, client, event)
        _log.info("pact_event client=%s type=%s", client.id, event.type)
        return Response(status_code=200, headers=NO_STORE)

    def _recognise(self, request: Request) -> Client:
        client = self._desk.recognise(request.headers.getlist("authorization"))
        self._limits.of_client.take(client.id)
        return client


Handler = Callable[[Request], Awaitable[Response]]


def _answering(handler: Handler) -> Handler:
    """Refusals become answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Fault as fault:
            return answer_fault(fault)
        except TokenFault as fault:
            basic = {"WWW-Authenticate": 'Basic realm="pact"'} if fault.status == 401 else {}
            return _json(fault.body(), basic, fault.status)
        except ClientDisconnect:
            return Response(status_code=400)

    return answer


async def _answer_http(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        return answer_fault(Fault(NOT_IMPLEMENTED, "this method is not offered here", 405))
    return answer_fault(Fault(NOT_FOUND, "there is nothing at this path"))


async def _answer_failure(_request: Request, _error: Exception) -> Response:
    """No word of what failed leaves; Starlette raises it again, so that it stands in our log."""
    return answer_fault(Fault(INTERNAL_ERROR, "something failed here; try again later"))


def answer_fault(fault: Fault) -> Response:
    """The schema Error."""
    return _json(fault.body(), fault.headers, fault.status)


def _json(content: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, {**NO_STORE, **(headers or {})}, "application/json")


async def _read(request: Request, limit: int) -> bytes:
    """A whole body within its limits. Raises Fault."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise Fault(BAD_REQUEST, f"the body is larger than {limit} bytes", 413, {"Connection": "close"})
    except TimeoutError as error:
        raise Fault(BAD_REQUEST, f"no whole body in {BODY_S:.0f} s", 408, {"Connection": "close"}) from error
    return bytes(body)


def _root(request: Request) -> str:
    """As the client knows us: the same host and port as in its request (pagination, rule 2)."""
    return f"https://{request.headers['host']}"
