"""Reads the body of a request within its limits: media type, bytes, time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from tools.eu_platform.problems import Problem

BODY_BYTES = 1 << 20
DRAIN_BYTES = 8 * BODY_BYTES  # read and dropped, so that an honest sender sees the 413; then the connection is closed
BODY_S = 30.0  # for the whole body
CLOSE = {"Connection": "close"}  # what is left of the body is not waited for


async def read_body(request: Request, media_type: str) -> bytes:
    """The whole body within its limits. Raises Problem: media-type, body-too-large, body-timeout."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    has_other_type = content_type != media_type or "content-encoding" in request.headers
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size <= BODY_BYTES and not has_other_type:
                    body += part
                elif size > DRAIN_BYTES:
                    break
    except TimeoutError as error:
        raise Problem("body-timeout", f"{size} bytes came in {BODY_S:.0f} s", headers=CLOSE) from error
    if size > BODY_BYTES:
        raise Problem("body-too-large", f"more than {BODY_BYTES} bytes", headers=CLOSE)
    if has_other_type:
        raise Problem("media-type", f"this path takes {media_type} without Content-Encoding")
    return bytes(body)
