"""What a request is refused with: the error codes of PACT 3.0.4 (schema Error), each with its status.

An invalid bearer token is 400 BadRequest, as the public conformance cases 6, 7 and 16 want it; an expired one is 401
TokenExpired. Refusals of the token endpoint have the members of RFC 6749 section 5.2 instead.
"""

from __future__ import annotations

from collections.abc import Mapping

BAD_REQUEST, ACCESS_DENIED, TOKEN_EXPIRED = "BadRequest", "AccessDenied", "TokenExpired"
NOT_FOUND, NOT_IMPLEMENTED, INTERNAL_ERROR = "NotFound", "NotImplemented", "InternalError"
STATUS = {
    BAD_REQUEST: 400,
    TOKEN_EXPIRED: 401,
    ACCESS_DENIED: 403,
    NOT_FOUND: 404,
    INTERNAL_ERROR: 500,
    NOT_IMPLEMENTED: 501,
}


class Fault(Exception):
    """A refusal. `status`: where it is not the usual one of the code (405, 413, 429 have no code of their own)."""

    def __init__(
        self, code: str, message: str, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.status = code, STATUS[code] if status is None else status
        self.headers: Mapping[str, str] = headers or {}

    def body(self) -> dict[str, str]:
        """The schema Error."""
        return {"code": self.code, "message": str(self)}


class TokenFault(Exception):
    """A refusal of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.status = error, status

    def body(self) -> dict[str, str]:
        """RFC 6749 section 5.2."""
        return {"error": self.error, "error_description": str(self)}
