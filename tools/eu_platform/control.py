"""/control: faults on demand while the platform runs, and what it has been asked. Only with `--control`.

It is not in openapi.yaml: no platform offers such a thing. Bearer token: DIR/control.token, made anew at each start.

    GET  /control                     {"faults": [{"fault", "hits"}], "demands": [...], "requests": [{"at", "atUtcNs",
                                      "target", "idempotencyKey", "contentDigest", "fault", "status"}]}
                                      the newest 20,000, oldest first
    POST /control {"faults": [...]}   these and no others from now on (texts of tools.eu_platform.faults); same answer
    POST /control {"demands": [...]}  the same for what it demands (words of tools.eu_platform.demands); or both at once
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import deque
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.eu_platform.body import read_body
from tools.eu_platform.demands import Demands, DemandWishError
from tools.eu_platform.faults import FaultPlan, FaultWishError, parse_faults
from tools.eu_platform.intake import to_rfc3339
from tools.eu_platform.problems import Problem
from tools.eu_platform.receipts import write_private
from tools.eu_platform.spoil import Seen

TOKEN_BYTES = 32


class Control:
    """The one endpoint."""

    def __init__(self, plan: FaultPlan, demands: Demands, seen: deque[Seen], token_file: Path) -> None:
        """Writes the token. Raises OSError."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        write_private(token_file, token.encode() + b"\n")
        self._token_hash = hashlib.sha256(token.encode()).digest()
        self._plan = plan
        self._demands = demands
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
                self._set(json.loads(body))
            except (FaultWishError, DemandWishError) as error:
                raise Problem("malformed-body", str(error)) from error
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Problem("malformed-body", 'not {"faults": ["KIND...", ...]} or "demands"') from error
        return JSONResponse(
            {
                "faults": [{"fault": text, "hits": hits} for text, hits in self._plan.hits()],
                "demands": list(self._demands.names),
                "requests": [
                    {
                        "at": to_rfc3339(seen.at_utc_ns // 1_000_000),
                        "atUtcNs": seen.at_utc_ns,
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

    def _set(self, wish: Any) -> None:
        """Nothing of it, unless all can be read."""
        if not isinstance(wish, dict) or not wish.keys() <= {"faults", "demands"} or not wish:
            raise KeyError
        faults = parse_faults([str(text) for text in wish["faults"]]) if "faults" in wish else None
        if "demands" in wish:
            self._demands.set([str(name) for name in wish["demands"]])
        if faults is not None:
            self._plan.set(faults)
