"""What the platform says when it refuses: RFC 9457 problems, one kind a line, each with its status and its mend.

`type` is /problems/KIND of this service; the page there shows the same line. `detail` never repeats what was sent
beyond names and limits, so that nothing from outside travels into logs and pages through it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20  # of one answer; a sender mends its program, not its list


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem: the status it has, what it means, what a client does."""

    status: int
    title: str
    mend: str


KINDS = {
    "unreadable-request": Kind(400, "The request is not HTTP/1.1", "mend the client or the proxy before it"),
    "idempotency-key-missing": Kind(400, "Idempotency-Key is missing", "send the key of the batch"),
    "idempotency-key-malformed": Kind(400, "Idempotency-Key is malformed", 'send "KEY", 1 to 128 of A-Za-z0-9._:-'),
    "content-digest-missing": Kind(400, "Content-Digest is missing", "send sha-256=:BASE64: of the body"),
    "content-digest-malformed": Kind(400, "Content-Digest is malformed", "send sha-256=:BASE64: of the body, once"),
    "content-digest-mismatch": Kind(400, "The body is not the one of Content-Digest", "send the same bytes again"),
    "malformed-body": Kind(400, "The body cannot be read", "send UTF-8 JSON without duplicate members"),
    "malformed-query": Kind(400, "A query parameter is malformed", "use the cursor of the page before"),
    "token-request": Kind(400, "The token request cannot be granted", "send grant_type=client_credentials"),
    "invalid-client": Kind(401, "No such client, or another secret or key", "check client id and its files"),
    "no-token": Kind(401, "No bearer token", "ask /oauth/token and send Authorization: Bearer"),
    "token-refused": Kind(401, "The token is unknown or over", "ask /oauth/token for a new one"),
    "scope-missing": Kind(403, "The token does not allow this", "ask for a token with the scope, or for the right"),
    "signature-missing": Kind(403, "The report is not signed", "sign what Accept-Signature names (RFC 9421)"),
    "signature-refused": Kind(403, "The signature of the request is refused", "check key, keyid, clock and components"),
    "not-found": Kind(404, "Nothing is here", "check base URL and path"),
    "method-not-allowed": Kind(405, "This path has other methods", "see Allow"),
    "body-timeout": Kind(408, "The body did not arrive in time", "send the same request again"),
    "request-in-flight": Kind(409, "The first request with this key is not finished", "wait and send it again"),
    "body-too-large": Kind(413, "The body is too large", "split the batch"),
    "media-type": Kind(415, "The body has another media type", "send the media type of the description, unencoded"),
    "foreign-host": Kind(421, "This service has another name", "use 127.0.0.1 or localhost"),
    "report-refused": Kind(422, "The report breaks a rule", "see errors; split the batch and keep the bad average"),
    "idempotency-key-reused": Kind(422, "This key stands for another body", "a batch has one key and one body"),
    "anchor-refused": Kind(422, "The anchor does not extend what is kept", "find the true history; what is kept stays"),
    "headers-too-large": Kind(431, "The headers are too large", "send less than 16 KiB of headers"),
    "internal-error": Kind(500, "The platform met a fault of its own", "send the same request again; see its log"),
    "storage-failed": Kind(503, "The platform cannot store now", "send the same request again later"),
    "fault-on-demand": Kind(500, "A fault that was asked for", "it is the client that is being tried"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a body. `pointer`: RFC 6901."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """Refusal of a request. `kind`: one of KINDS. `detail`: what exactly, for people."""

    def __init__(
        self,
        kind: str,
        detail: str,
        errors: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors[:MOST_ERRORS])
        self.headers = dict(headers or {})
        self.members = dict(members or {})  # beside those of RFC 9457: RFC 6749 section 5.2 at the token endpoint


def build_document(problem: Problem, instance: str, trace_id: str, status: int | None = None) -> dict[str, object]:
    """The members of the problem. `status`: another than the kind's (faults on demand)."""
    kind = KINDS[problem.kind]
    document: dict[str, object] = {
        **problem.members,
        "type": f"/problems/{problem.kind}",
        "title": kind.title,
        "status": status or kind.status,
        "detail": f"{problem.detail}; {kind.mend}",
        "instance": instance,
        "traceId": trace_id,
    }
    if problem.errors:
        document["errors"] = [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail} for error in problem.errors
        ]
    return document


def answer_problem(request: Request, problem: Problem, status: int | None = None) -> Response:
    """The response to `request`. RFC 6749 members make it application/json, as its section 5.2 wants."""
    trace_id = getattr(request.state, "trace_id", "0" * 16)
    request.state.problem = problem.kind  # for the log line
    document = build_document(problem, request.scope["path"], trace_id, status)
    return Response(
        json.dumps(document).encode(),
        status or KINDS[problem.kind].status,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **problem.headers},
        media_type="application/json" if "error" in problem.members else MEDIA_TYPE,
    )
