"""A platform as a sink: reports over HTTPS, by the rules of its profile (reference: reporting-interfaces section 3.3).

A delivery is proven by a receipt that names our key, our bytes and our averages. Everything ambiguous (no answer, 5xx,
a 2xx that cannot be read) is no delivery: the same bytes go out again under the same key, and the platform's answer to
a repeat is its first one. Token and secret live in memory only.

    sink = HttpsSink("eu", load_profile("eu-carbon-cloud"), endpoint, "gateway-01", secret_file, clock)
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

import rfc8785

from plumeproof import __version__
from plumeproof.delivery import answers
from plumeproof.delivery.answers import PublicKeys
from plumeproof.delivery.exchange import Answer, Endpoint
from plumeproof.delivery.profile import Profile
from plumeproof.delivery.report import identify, split_report
from plumeproof.delivery.retry import parse_http_date, parse_retry_after
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

TOKEN_SPARE_S = 60.0  # a token is not used in its last minute
SECRET_MAX_BYTES = 4 * 1024
SKEW_WARN_S = 5.0
UNAUTHORIZED = 401
AGENT = f"plumeproof/{__version__}"

_log = logging.getLogger(__name__)


class HttpsSink:
    """ports.Sink. One report at a time, so that its receipt is stored before the next one leaves."""

    window = 1

    def __init__(
        self, name: str, profile: Profile, endpoint: Endpoint, client_id: str, secret_file: Path, clock: Clock
    ) -> None:
        self.name = name
        self._profile, self._endpoint, self._clock = profile, endpoint, clock
        self._client_id, self._secret_file = client_id, secret_file
        self._token = ""
        self._token_until_s = 0.0
        self._keys: PublicKeys = {}
        self._is_skewed = False
        self._counters = {"requests_total": 0, "tokens_total": 0, "unreadable_total": 0}

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Hand in the first of `rows`. Raises as ports.Sink.deliver."""
        row = rows[0]
        answer = self._post(row, self._authorization())
        if answer.status == UNAUTHORIZED:
            self._token = ""  # it may have been withdrawn: one new token, one more try
            answer = self._post(row, self._authorization())
            if answer.status == UNAUTHORIZED:
                self._token = ""
        self._judge(answer)
        return [self._receipt(row, answer)]

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """Halves of a report."""
        return [(half.key, half.body) for half in split_report(row.body, self._profile.shape)]

    def tend(self) -> bool:
        """Nothing to keep: a connection that was closed is opened again when it is needed."""
        return False

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return dict(self._counters)

    def close(self) -> None:
        """Forget the token, give the connection back."""
        self._token = ""
        self._endpoint.close()

    def check(self) -> str:
        """For `doctor`: TLS, credentials and where the profile comes from, in one sentence. Raises DeliveryError."""
        if self._profile.auth_kind == "none":
            self._ask("GET", self._profile.keys_path, {"User-Agent": AGENT})
        self._authorization()
        kind = "a token was given" if self._token else "no login"
        who = f"{self._endpoint.words} answers, {self._endpoint.peer}, {kind}"
        return f"{who}; profile {self._profile.name} ({self._profile.status})"

    def _post(self, row: OutboxRow, authorization: str) -> Answer:
        profile = self._profile
        headers = {
            "User-Agent": AGENT,
            "Content-Type": profile.content_type,
            "Accept": "application/json, application/problem+json",
            profile.key_header: f'"{row.key}"' if profile.is_key_quoted else row.key,
            profile.digest_header: digest_of(row.body),
        }
        if authorization:
            headers["Authorization"] = authorization
        return self._ask("POST", profile.reports_path, headers, row.body)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        self._counters["requests_total"] += 1
        answer = self._endpoint.ask(method, path, headers, body)
        self._watch_clock(answer)
        return answer

    def _judge(self, answer: Answer) -> None:
        """Return for an accepted status; else raise what follows from it."""
        profile, status = self._profile, answer.status
        if status in profile.accepted:
            return
        sentence = answers.explain(answer)
        if status in profile.divided:
            raise FinalDelivery(sentence, can_split=True)
        if status in profile.retried or status >= 500:
            raise RetryableDelivery(sentence, self._asked_wait_s(answer))
        if 200 <= status < 300:
            self._counters["unreadable_total"] += 1
            raise RetryableDelivery(f"{sentence}: no receipt")
        if 300 <= status < 400:
            raise BlockedDelivery(f"{sentence}: redirects are not followed; put the new address into base_url")
        if status == UNAUTHORIZED:
            raise BlockedDelivery(f"{sentence}: a new token is refused too; check client_id, secret_file and scope")
        raise BlockedDelivery(f"{sentence}: check base_url, profile and the rights of {self._client_id}")

    def _receipt(self, row: OutboxRow, answer: Answer) -> Receipt:
        names = self._profile.receipt
        try:
            receipt = answers.read_object(answer)
            answers.check_receipt(receipt, names, row.key, digest_of(row.body), identify(row.body, self._profile.shape))
            if self._profile.is_signature_required:
                self._learn_keys(answers.signing_key(receipt, names))
                answers.check_signature(receipt, names, self._keys)
            proof = rfc8785.dumps(receipt)
        except (ValueError, rfc8785.CanonicalizationError) as error:
            self._counters["unreadable_total"] += 1
            raise RetryableDelivery(f"status {answer.status} without a good receipt: {answers.plain(error)}") from error
        return Receipt(row.id, self.name, proof, self._clock.utc_ms())

    def _learn_keys(self, kid: str) -> None:
        if kid in self._keys:
            return
        answer = self._ask("GET", self._profile.keys_path, {"User-Agent": AGENT, "Accept": "application/json"})
        if answer.status != 200:
            raise RetryableDelivery(f"{self._profile.keys_path}: {answers.explain(answer)}", self._asked_wait_s(answer))
        self._keys = answers.read_keys(answer)

    def _authorization(self) -> str:
        """The header's value, with a token of at least TOKEN_SPARE_S."""
        profile = self._profile
        if profile.auth_kind == "none":
            return ""
        if not self._token or self._clock.monotonic_s() >= self._token_until_s:
            self._token = ""
            asked_s = self._clock.monotonic_s()  # its life may have begun with the question
            answer = self._ask_token()
            if answer.status != 200:
                self._refuse_token(answer)
            try:
                token = answers.read_token(answer)
            except ValueError as error:
                raise RetryableDelivery(f"{profile.token_path}: {error}") from error
            self._token, self._token_until_s = token.value, asked_s + max(0.0, token.lifetime_s - TOKEN_SPARE_S)
            self._counters["tokens_total"] += 1
        return f"Bearer {self._token}"

    def _ask_token(self) -> Answer:
        profile = self._profile
        form = {"grant_type": "client_credentials"} | ({"scope": profile.scope} if profile.scope else {})
        headers = {
            "User-Agent": AGENT,
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        secret = self._secret()
        if profile.auth_kind == "client_credentials_basic":
            pair = f"{quote(self._client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749 section 2.3.1
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": secret}
        return self._ask("POST", profile.token_path, headers, urlencode(form).encode())

    def _refuse_token(self, answer: Answer) -> None:
        sentence = f"{self._profile.token_path}: status {answer.status}"  # a body might repeat what was sent
        if answer.status in self._profile.retried or answer.status >= 500:
            raise RetryableDelivery(sentence, self._asked_wait_s(answer))
        raise BlockedDelivery(f"{sentence}: no token for {self._client_id}; check client_id, secret_file and base_url")

    def _secret(self) -> str:
        """Read anew for each token, so that a changed file needs no restart."""
        try:
            with self._secret_file.open("rb") as file:
                raw = file.read(SECRET_MAX_BYTES + 1)
            secret = raw.decode("ascii").strip()
        except OSError as error:
            raise BlockedDelivery(f"{self._secret_file}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise BlockedDelivery(f"{self._secret_file}: holds other characters than ASCII") from error
        if not secret or len(raw) > SECRET_MAX_BYTES:
            raise BlockedDelivery(f"{self._secret_file}: is empty or larger than {SECRET_MAX_BYTES} bytes")
        return secret

    def _asked_wait_s(self, answer: Answer) -> float | None:
        return parse_retry_after(answer.headers.get("retry-after"), self._clock.utc_ms())

    def _watch_clock(self, answer: Answer) -> None:
        """Receipts and averages carry times: a clock that differs from the platform's is told once."""
        moment_s = parse_http_date(answer.headers.get("date", ""))
        if moment_s is None:
            return
        skew_s = self._clock.utc_ms() / 1000.0 - moment_s
        is_skewed = abs(skew_s) > SKEW_WARN_S
        if is_skewed and not self._is_skewed:
            _log.warning("clock_differs sink=%s seconds=%.0f", self.name, skew_s)
        self._is_skewed = is_skewed


def digest_of(body: bytes) -> str:
    """Content-Digest, RFC 9530."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
