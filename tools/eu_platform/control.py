"""/control: faults on demand while the platform runs, and what it has been asked. Only with `--control`.

It is not in openapi.yaml: no platform offers such a thing. Bearer token: DIR/control.token, made anew at each start.

    GET  /control                     {"faults": [{"fault", "hits"}], "requests": [{"at", "target", "idempotencyKey",
                                      "contentDigest", "fault", "status"}]}      the newest 20,000, oldest first
    POST /control {"faults": [...]}   these and no others from now on (texts of tools.eu_platform.faults); same answer
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import deque
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.eu_platform.body import read_body
from tools.eu_platform.faults import FaultPlan, FaultWishError, parse_faults
from tools.eu_platform.intake import to_rfc3339
from tools.eu_platform.problems import Problem
from tools.eu_platform.receipts import write_private
from tools.eu_platform.spoil import Seen

TOKEN_BYTES = 32


class Control:
    """The one endpoint."""

    def __init__(self, plan: FaultPlan, seen: deque[Seen], token_file: Path) -> None:
        """Writes the token. Raises OSError."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        write_private(token_file, token.encode() + b"\n")
        self._token_hash = hashlib.sha256(token.encode()).digest()
        self._plan = plan
        self._seen = seen

    def routes(self) -> list[Route]:
        """For Starlette."""
        return [Route("/control", self.control, methods=["GET", "POST"])]

    async def control(self, request: Request) -> Response:
        """Both methods."""
        offered = request.headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if not hmac.compare_digest(hashlib.sha256(offered).digest(), self._token_hash):
            detail = "the token is in control.token of the platform's folder"
            raise Problem("token-refused", detail, headers={"WWW-Authenticate": "Bearer"})
        if request.method == "POST":
            body = await read_body(request, "application/json")
            try:
                texts = json.loads(body)["faults"]
                self._plan.set(parse_faults([str(text) for text in texts]))
            except FaultWishError as error:
                raise Problem("malformed-body", str(error)) from error
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Problem("malformed-body", 'not {"faults": ["KIND...", ...]}') from error
        return JSONResponse(
            {
                "faults": [{"fault": text, "hits": hits} for text, hits in self._plan.hits()],
                "requests": [
                    {
                        "at": to_rfc3339(seen.at_utc_ms),
                        "target": seen.target,
                        "idempotencyKey": seen.key,
                        "contentDigest": seen.digest,
                        "fault": seen.fault,
                        "status": seen.status,
                    }
                    for seen in list(self._seen)
                ],
            }
        )
