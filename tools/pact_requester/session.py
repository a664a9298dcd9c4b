"""One run against one host: connection, token, what was learnt, and the questions that several cases ask."""

from __future__ import annotations

import base64
import json
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tools.pact_requester.listener import Listener
from tools.pact_requester.schemas import Description

TIMEOUT_S = 20.0
FORM = "application/x-www-form-urlencoded"
CLOUD_EVENTS = "application/cloudevents+json; charset=UTF-8"
PAGES_MAX = 200
_LINK = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class CaseFailure(Exception):
    """A case does not hold; one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host and who we are there. `auth_url`: base of the token endpoint."""

    base_url: str
    auth_url: str
    client_id: str
    secret: str
    ca_file: Path | None


@dataclass(slots=True)
class Session:
    """What the cases share."""

    target: Target
    description: Description
    listener: Listener | None = None
    wait_s: float = 10.0
    token: str = ""
    footprints: list[dict[str, Any]] = field(default_factory=list)
    _http: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        """One connection pool."""
        if self._http is None:
            cafile = None if self.target.ca_file is None else str(self.target.ca_file)
            context = ssl.create_default_context(cafile=cafile)
            self._http = httpx.Client(verify=context, timeout=TIMEOUT_S, follow_redirects=False)
        return self._http

    def close(self) -> None:
        """Give the connections back."""
        if self._http is not None:
            self._http.close()

    def ask_token(self, url: str, secret: str) -> httpx.Response:
        """A token request with Basic credentials."""
        pair = base64.b64encode(f"{self.target.client_id}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": FORM, "Accept": "application/json"}
        return self.http.post(url, content="grant_type=client_credentials", headers=headers)

    def get(self, url: str, token: str | None = None) -> httpx.Response:
        """With our token, or another."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", "Accept": "application/json"}
        return self.http.get(url if "://" in url else self.target.base_url + url, headers=headers)

    def post_event(
        self, event: dict[str, Any], token: str | None = None, base_url: str | None = None
    ) -> httpx.Response:
        """To the events endpoint."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", "Content-Type": CLOUD_EVENTS}
        body = json.dumps(event)
        return self.http.post(f"{base_url or self.target.base_url}/3/events", content=body, headers=headers)

    def read_list(self, answer: httpx.Response) -> list[dict[str, Any]]:
        """Footprints of a list's answer, each held against its schema."""
        require_status(answer, 200, 202)
        found = object_of(answer).get("data")
        if not isinstance(found, list):
            raise CaseFailure("the answer has no array `data`")
        for one in found:
            self.require_schema("ProductFootprint", one)
        return found

    def read_pages(self, url: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            answer = self.get(url)
            found += self.read_list(answer)
            following = next_link(answer)
            if following is None:
                return found
            url = following
        raise CaseFailure(f"more than {PAGES_MAX} pages; a page link may lead round in a circle")

    def require_schema(self, name: str, value: Any) -> None:
        """Raises CaseFailure with the first objection."""
        faults = self.description.faults(name, value)
        if faults:
            raise CaseFailure(f"against schema {name}: {faults[0]}")

    def require_error(self, answer: httpx.Response, status: int, *codes: str) -> None:
        """An answer of the schema Error."""
        require_status(answer, status)
        error = object_of(answer)
        if error.get("code") not in codes:
            raise CaseFailure(f"code is {str(error.get('code'))[:40]!r}, not {' or '.join(codes)}")
        if error["code"] != "NoSuchFootprint":  # the word of older texts, in no enum of 3.0
            self.require_schema("Error", error)


def require_status(answer: httpx.Response, *statuses: int) -> None:
    """Raises CaseFailure."""
    if answer.status_code not in statuses:
        told = answer.text[:120].replace("\n", " ")
        raise CaseFailure(f"status {answer.status_code}, not {' or '.join(map(str, statuses))}: {told}")


def object_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer."""
    try:
        found = json.loads(answer.content)
    except ValueError as error:
        raise CaseFailure("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise CaseFailure("the answer is no JSON object")
    return found


def next_link(answer: httpx.Response) -> str | None:
    """Of the following page."""
    found = _LINK.search(answer.headers.get("link", ""))
    return None if found is None else found[1]


def to_http(url: str) -> str:
    """The same place without TLS."""
    return urlsplit(url)._replace(scheme="http").geturl()
