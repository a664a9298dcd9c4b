"""What a fault on demand (tools.eu_platform.faults) does to a request: an ASGI layer between the frame and the routes.

A request that is not served has come in whole before anything happens to it; one whose answer is spoiled has been
served and stored like any other. Bytes that no HTTP library would write go straight to the transport.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tools.eu_platform.faults import AFTER, BEFORE, Fault, FaultPlan
from tools.eu_platform.intake import to_content_digest
from tools.eu_platform.problems import Problem, answer_problem
from tools.eu_platform.receipts import ReceiptKey

PATIENCE_MS = 300_000  # an answer that never comes: then the connection is cut
FLUSH_S = 0.05  # for bytes to leave before a reset overtakes them
WRITE_AHEAD = 64 * 1024  # bytes in the transport, not more, while the client does not read
MOST_ENDLESS_BYTES = 256 << 20  # of headers, for a client without limits
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
REQUESTS_KEPT = 20_000


@dataclass(slots=True)
class Seen:
    """A request as it came in, for whoever asks /control. `status` None: no answer with a status was begun."""

    at_utc_ns: int
    target: str
    key: str | None
    digest: str | None
    fault: str | None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Powers:
    """What faults may do to the platform: count a delivery that is not served, forget all tokens, sign receipts."""

    count_arrival: Callable[[Request], Awaitable[None]]
    forget_tokens: Callable[[], Awaitable[None]]
    key: ReceiptKey


@dataclass(slots=True)
class Answer:
    """What the platform would have said."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""

    def with_body(self, body: bytes, *more: tuple[bytes, bytes]) -> Answer:
        """The same with another body, its length, and its digest where there was one: a lie that fits together."""
        headers = {**dict(self.headers or []), b"content-length": str(len(body)).encode(), **dict(more)}
        if b"content-digest" in headers:
            headers[b"content-digest"] = to_content_digest(hashlib.sha256(body).digest()).encode()
        return Answer(self.status, list(headers.items()), body)

    def to_wire(self, length: int) -> bytes:
        """As HTTP/1.1, with this Content-Length."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        kept = [(name, value) for name, value in self.headers or [] if name != b"content-length"]
        fixed = [(b"date", formatdate(usegmt=True).encode()), (b"connection", b"close")]
        lines += [name + b": " + value for name, value in [*fixed, *kept]]
        return b"\r\n".join([*lines, b"content-length: " + str(length).encode(), b"", self.body])


class FaultLayer:
    """The ASGI layer. `seen`: the newest requests."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, powers: Powers, seen: deque[Seen]) -> None:
        self._app = app
        self._plan = plan
        self._powers = powers
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI 3.0 wants it."""
        target = to_target(scope)
        if target is None:
            await self._app(scope, receive, send)
            return
        fault = self._plan.draw(target)
        request = Request(scope, receive)
        seen = Seen(
            time.time_ns(),
            target,
            request.headers.get("idempotency-key", "").strip('"') or None,
            request.headers.get("content-digest"),
            None if fault is None else fault.text,
        )
        self._seen.append(seen)

        async def send_seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        if fault is None:
            await self._app(scope, receive, send_seen)
        elif fault.kind in BEFORE or fault.kind.isdigit():
            await drain(receive)
            await self._powers.count_arrival(request)
            await self._refuse(fault, request, receive, send_seen)
        elif fault.kind in AFTER:
            answer = await self._serve(scope, receive)
            await self._spoil(fault, answer, scope, receive, send_seen)
        else:
            if fault.kind == "token-refused":
                await self._powers.forget_tokens()
            else:
                scope["state"]["hold_s"] = fault.number("ms", 1000) / 1000
            await self._app(scope, receive, send_seen)

    async def _serve(self, scope: Scope, receive: Receive) -> Answer:
        answer = Answer()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self._app(scope, receive, collect)
        return answer

    async def _refuse(self, fault: Fault, request: Request, receive: Receive, send: Send) -> None:
        """Instead of serving it."""
        if fault.kind == "timeout-before":
            await stay_silent(fault, request.scope, receive)
        elif fault.kind == "reset-before":
            await reset(request.scope, receive)
        elif fault.kind == "redirect":
            host = fault.options.get("to", "elsewhere.invalid")
            response = Response(status_code=307, headers={"Location": f"https://{host}{request.scope['path']}"})
            await response(request.scope, receive, send)
        else:
            status = int(fault.kind)
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if status == 401 else {}
            if "retry" in fault.options:
                headers["Retry-After"] = to_retry_after(fault.options["retry"])
            response = answer_problem(request, Problem("fault-on-demand", fault.text, headers=headers), status)
            await response(request.scope, receive, send)

    async def _spoil(self, fault: Fault, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """After it was served."""
        if fault.kind == "timeout-after":
            await stay_silent(fault, scope, receive)
        elif fault.kind == "reset-after":
            await reset(scope, receive)
        elif fault.kind == "reset-at":
            octets = answer.to_wire(len(answer.body))
            scope["state"]["transport"].write(octets[: fault.cut(len(octets))])
            await asyncio.sleep(FLUSH_S)
            await reset(scope, receive)
        elif fault.kind == "slow":
            await drip(answer.to_wire(len(answer.body)), fault.number("ms", 1000) / 1000, scope, receive)
        elif fault.kind == "endless-headers":
            await write_endless_headers(answer, fault.number("ms", 1) / 1000, scope, receive)
        elif fault.kind == "wrong-length":
            length = max(0, len(answer.body) + fault.number("by", 64))
            scope["state"]["transport"].write(answer.to_wire(length))
            await end(scope, receive)
        else:
            await send_answer(self._falsify(fault, answer), send)

    def _falsify(self, fault: Fault, answer: Answer) -> Answer:
        """Good HTTP, another content; what is no receipt is only cut or blown up."""
        if fault.kind == "truncated-json":
            return answer.with_body(answer.body[: len(answer.body) // 2])
        if fault.kind == "gzip-bomb":
            return answer.with_body(press(answer.body, fault.number("mib", 64)), (b"content-encoding", b"gzip"))
        if answer.status not in (200, 201):
            return answer
        if fault.kind == "no-receipt":
            return answer.with_body(b'{"status":"accepted"}')
        receipt = json.loads(answer.body)
        if fault.kind == "bad-signature":
            value = bytearray(base64.b64decode(receipt["signature"]["value"]))
            value[-1] ^= 1
            receipt["signature"]["value"] = base64.b64encode(value).decode()
        else:
            receipt = self._powers.key.seal(to_foreign(receipt))
        return answer.with_body(json.dumps(receipt).encode())


def to_target(scope: Scope) -> str | None:
    """What a request is for the plan; None: never touched (control must stay reachable)."""
    if scope["type"] != "http" or scope["path"] == "/control":
        return None
    names = {("POST", "/v1/reports"): "report", ("POST", "/oauth/token"): "token"}
    return names.get((scope["method"], scope["path"]), "other")


def to_retry_after(wish: str) -> str:
    """The header's value; a date is 2 s away, or 1 h past."""
    forms = {
        "seconds": "2",
        "date": formatdate(time.time() + 2, usegmt=True),
        "past": formatdate(time.time() - 3600, usegmt=True),
        "absurd": "99999999999999999999",
        "negative": "-5",
        "words": "after the holidays",
    }
    return forms.get(wish, wish)


def to_foreign(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt that another batch might have got, without a signature."""
    foreign = {name: value for name, value in receipt.items() if name != "signature"}
    foreign["idempotencyKey"] = hashlib.sha256(receipt["idempotencyKey"].encode()).hexdigest()
    foreign["contentDigest"] = to_content_digest(hashlib.sha256(b"another batch").digest())
    for name in ("firstAverageId", "lastAverageId"):
        foreign[name] += 1000
    return foreign


def press(octets: bytes, mib: int) -> bytes:
    """gzip (RFC 1952) of so many MiB of blanks and the octets behind them; never all of it in memory."""
    engine = zlib.compressobj(9, wbits=31)
    blanks = b" " * (1 << 20)
    return b"".join([engine.compress(blanks) for _ in range(mib)] + [engine.compress(octets), engine.flush()])


async def send_answer(answer: Answer, send: Send) -> None:
    """Through the HTTP library."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def drain(receive: Receive) -> None:
    """The whole request has arrived."""
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body", False):
        message = await receive()


async def gone(receive: Receive) -> None:
    """The connection is over; only then may the layer return, or the server would add an answer of its own."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def stay_silent(fault: Fault, scope: Scope, receive: Receive) -> None:
    """Until the client gives up, or patience ends."""
    try:
        await asyncio.wait_for(gone(receive), fault.number("ms", PATIENCE_MS) / 1000)
    except TimeoutError:
        await reset(scope, receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """TCP reset, now."""
    transport = scope["state"]["transport"]
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
    await gone(receive)


async def end(scope: Scope, receive: Receive) -> None:
    """What is written leaves, then the connection ends."""
    scope["state"]["transport"].close()
    await gone(receive)


async def drip(octets: bytes, pause_s: float, scope: Scope, receive: Receive) -> None:
    """Byte by byte, until the client goes."""
    transport = scope["state"]["transport"]
    for octet in octets:
        if transport.is_closing():
            break
        transport.write(bytes([octet]))
        await asyncio.sleep(pause_s)
    await end(scope, receive)


async def write_endless_headers(answer: Answer, pause_s: float, scope: Scope, receive: Receive) -> None:
    """A good beginning, and then no end of it."""
    transport = scope["state"]["transport"]
    transport.write(answer.to_wire(len(answer.body)).partition(b"\r\n\r\n")[0] + b"\r\n")
    written = 0
    while not transport.is_closing() and written < MOST_ENDLESS_BYTES:
        if transport.get_write_buffer_size() < WRITE_AHEAD:
            line = b"x-endless-%d: " % written + b"a" * 100 + b"\r\n"
            transport.write(line)
            written += len(line)
        await asyncio.sleep(pause_s)
    await reset(scope, receive)
