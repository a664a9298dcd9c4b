"""Events for one customer, posted to its own PACT host: a sink of the delivery machinery, with its promises.

An event waits on disk until the customer has answered 2xx; it goes out again, with the same id, after anything
ambiguous. After 72 hours it is abandoned, as the specification advises, and set aside with that reason. Where it goes
is what our configuration says: an address from a request (`source`) is never called.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from plumeproof import __version__
from plumeproof.delivery.answers import asked_wait_s
from plumeproof.delivery.exchange import Answer, Endpoint
from plumeproof.delivery.login import Credentials, Login
from plumeproof.delivery.profile import BASIC
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.pact.events import MEDIA_TYPE
from plumeproof.ports import Clock

ABANDON_MS = 72 * 3_600_000  # PACT 3, RequestFulfilledEvent: SHOULD abandon after 72 hours
TIMEOUT_S = 30.0
EVENTS_PATH = "/3/events"
TOKEN_PATH = "/auth/token"  # noqa: S105 - a path
MADE = "made_utc_ms"  # attribute of a row
TOKEN_STATUSES = (400, 401, 403)  # an invalid token is 400 with some hosts, 401 with others
RETRIED = frozenset({408, 425, 429})
AGENT = f"plumeproof/{__version__}"


@dataclass(frozen=True, slots=True)
class Partner:
    """A customer's host. `token_url` empty: /auth/token below `base_url`; `client_id`, `secret_file`: ours there."""

    name: str
    base_url: str
    token_url: str
    client_id: str
    secret_file: Path
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class _ByBasic:
    """delivery.login.LoginRules: client credentials in the header."""

    token_path: str
    auth_kind: str = BASIC
    scope: str = ""
    assertion_algorithm: str = ""
    assertion_audience: str = ""
    assertion_lifetime_s: int = 0
    retried: frozenset[int] = RETRIED


class PartnerSink:
    """ports.Sink. One event at a time."""

    window = 1

    def __init__(self, partner: Partner, clock: Clock) -> None:
        self.name, self._clock = partner.name, clock
        self._events = Endpoint(partner.base_url, partner.ca_file, TIMEOUT_S)
        self._tokens, path = self._events, TOKEN_PATH
        if partner.token_url:
            parts = urlsplit(partner.token_url)
            self._tokens, path = Endpoint(f"https://{parts.netloc}", partner.ca_file, TIMEOUT_S), parts.path
        self._path = path
        credentials = Credentials(partner.client_id, partner.secret_file)
        self._login = Login(_ByBasic(path), credentials, self._tokens.url(path), self._post_form, clock)
        self._requests_total = 0

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Post the first of `rows`. Raises as ports.Sink.deliver."""
        row = rows[0]
        if self._clock.utc_ms() - int(dict(row.attributes)[MADE]) > ABANDON_MS:
            raise FinalDelivery("was not taken within 72 hours")
        answer = self._post(row)
        if answer.status in TOKEN_STATUSES:
            self._login.forget()  # it may have been withdrawn: one new token, one more try
            answer = self._post(row)
        if not 200 <= answer.status < 300:
            self._refuse(answer)
        proof = json.dumps({"date": answer.headers.get("date", "")[:40], "status": answer.status}).encode()
        return [Receipt(row.id, self.name, proof, self._clock.utc_ms())]

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """An answer is one event."""
        return ()

    def tend(self) -> bool:
        """Nothing to keep."""
        return False

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return {"requests_total": self._requests_total, "tokens_total": self._login.tokens_total}

    def close(self) -> None:
        """Forget the token, give the connections back."""
        self._login.forget()
        self._events.close()
        self._tokens.close()

    def check(self) -> str:
        """Whether the host answers and knows us, in one sentence. Raises DeliveryError."""
        self._login.authorization({"User-Agent": AGENT})
        return f"{self._tokens.words} gives a token, {self._tokens.peer}"

    def _post(self, row: OutboxRow) -> Answer:
        headers = {
            "User-Agent": AGENT,
            "Content-Type": f"{MEDIA_TYPE}; charset=UTF-8",
            "Authorization": self._login.authorization({"User-Agent": AGENT}),
        }
        self._requests_total += 1
        return self._events.ask("POST", EVENTS_PATH, headers, row.body)

    def _post_form(self, headers: dict[str, str], form: bytes) -> Answer:
        self._requests_total += 1
        return self._tokens.ask("POST", self._path, headers, form)

    def _refuse(self, answer: Answer) -> None:
        told = f"{EVENTS_PATH}: status {answer.status}"
        if answer.status in RETRIED or answer.status >= 500:
            raise RetryableDelivery(told, asked_wait_s(answer, self._clock.utc_ms()))
        if answer.status in (401, 403):
            raise BlockedDelivery(f"{told} with a new token too; check own_client_id and its rights at {self.name}")
        if 300 <= answer.status < 400:
            raise BlockedDelivery(f"{told}: redirects are not followed; put the new address into base_url")
        raise FinalDelivery(told)
