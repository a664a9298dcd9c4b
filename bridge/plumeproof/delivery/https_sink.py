"""A platform as a sink: reports over HTTPS, by the rules of its profile (reference: reporting-interfaces section 3.3).

A delivery is proven by a receipt that names our key, our bytes and our averages. Everything ambiguous (no answer, 5xx,
a 2xx that cannot be read) is no delivery: the same bytes go out again under the same key, and the platform's answer to
a repeat is its first one. How it logs in: login.py; how a report is signed: message_signature.py.

    sink = HttpsSink("eu", load_profile("eu-carbon-cloud"), endpoint, "gateway-01", secret_file, clock)
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rfc8785

from plumeproof import __version__
from plumeproof.delivery import answers
from plumeproof.delivery.answers import PublicKeys
from plumeproof.delivery.certificates import CertificateWatch
from plumeproof.delivery.exchange import Answer, Endpoint
from plumeproof.delivery.login import Credentials, Login
from plumeproof.delivery.message_signature import sign_request
from plumeproof.delivery.private_file import PrivateKeyFile
from plumeproof.delivery.profile import NO_LOGIN, Profile
from plumeproof.delivery.report import identify, split_report
from plumeproof.delivery.retry import parse_http_date
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

SKEW_WARN_S = 5.0
UNAUTHORIZED = 401
ANCHOR = "anchor"  # kind of a row
AGENT = f"plumeproof/{__version__}"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Key files of a profile that wants them, and the ids under which the platform knows these keys."""

    assertion_file: Path | None = None
    assertion_id: str = ""
    signature_file: Path | None = None
    signature_id: str = ""


class HttpsSink:
    """ports.Sink. One report at a time, so that its receipt is stored before the next one leaves."""

    window = 1

    def __init__(
        self,
        name: str,
        profile: Profile,
        endpoint: Endpoint,
        client_id: str,
        secret_file: Path | None,
        clock: Clock,
        keys: SigningKeys = SigningKeys(),
    ) -> None:
        self.name = name
        self._profile, self._endpoint, self._clock = profile, endpoint, clock
        self._client_id = client_id
        credentials = Credentials(client_id, secret_file, keys.assertion_file, keys.assertion_id)
        self._login = Login(profile, credentials, endpoint.url(profile.token_path), self._post_form, clock)
        self._signature_id = keys.signature_id
        self._signature_key: PrivateKeyFile | None = None
        if profile.signature is not None and keys.signature_file is not None:
            self._signature_key = PrivateKeyFile(keys.signature_file, profile.signature.algorithm)
        self._keys: PublicKeys = {}
        self._is_skewed = False
        self.certificates = CertificateWatch(name, clock)
        self._counters = {"requests_total": 0, "unreadable_total": 0}

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Hand in the first of `rows`. Raises as ports.Sink.deliver."""
        row = rows[0]
        answer = self._post(row, self._login.authorization({"User-Agent": AGENT}))
        if answer.status == UNAUTHORIZED:
            self._login.forget()  # it may have been withdrawn: one new token, one more try
            answer = self._post(row, self._login.authorization({"User-Agent": AGENT}))
            if answer.status == UNAUTHORIZED:
                self._login.forget()
        self._judge(answer)
        return [self._receipt(row, answer)]

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """Halves of a report; an anchor is one."""
        if row.kind == ANCHOR:
            return ()
        return [(half.key, half.body) for half in split_report(row.body, self._profile.shape)]

    def tend(self) -> bool:
        """Nothing to keep: a connection that was closed is opened again when it is needed."""
        return False

    def counters(self) -> dict[str, int]:
        """Since the start; and the whole days that certificates still hold, as far as they were seen."""
        return {**self._counters, "tokens_total": self._login.tokens_total, **self.certificates.counters()}

    def close(self) -> None:
        """Forget the token, give the connection back."""
        self._login.forget()
        self._endpoint.close()

    def check(self) -> str:
        """For `doctor`: TLS, credentials and where the profile comes from, in one sentence. Raises DeliveryError."""
        if self._profile.auth_kind == NO_LOGIN:
            self._ask("GET", self._profile.keys_path, {"User-Agent": AGENT})
        self._login.authorization({"User-Agent": AGENT})
        if self._profile.signature is not None:
            self._key_of_signature().load()
        kind = "a token was given" if self._login.has_token else "no login"
        who = f"{self._endpoint.words} answers, {self._endpoint.peer}, {kind}"
        return f"{who}; profile {self._profile.name} ({self._profile.status})"

    def ending(self) -> list[str]:
        """Certificates that end within WARN_DAYS, as far as they were seen; a sentence each."""
        return self.certificates.ending()

    def _path(self, row: OutboxRow) -> str:
        if row.kind != ANCHOR:
            return self._profile.reports_path
        if self._profile.anchors is None:
            raise BlockedDelivery(f"profile {self._profile.name} has no place for anchors any more; name it again")
        return self._profile.anchors.path

    def _post(self, row: OutboxRow, authorization: str) -> Answer:
        profile, path = self._profile, self._path(row)
        headers = {
            "User-Agent": AGENT,
            "Content-Type": profile.content_type,
            "Accept": "application/json, application/problem+json",
            profile.key_header: f'"{row.key}"' if profile.is_key_quoted else row.key,
            profile.digest_header: digest_of(row.body),
        }
        if authorization:
            headers["Authorization"] = authorization
        if profile.signature is not None:
            named = {name.lower(): value for name, value in headers.items()}
            url, now_s = self._endpoint.url(path), self._clock.utc_ms() // 1000
            key = self._key_of_signature().load()
            headers |= sign_request("POST", url, named, profile.signature, key, self._signature_id, now_s)
        return self._ask("POST", path, headers, row.body)

    def _post_form(self, headers: dict[str, str], form: bytes) -> Answer:
        return self._ask("POST", self._profile.token_path, headers, form)

    def _key_of_signature(self) -> PrivateKeyFile:
        if self._signature_key is None:
            raise BlockedDelivery("the profile signs reports; name signature_key_file")
        return self._signature_key

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        self._counters["requests_total"] += 1
        answer = self._endpoint.ask(method, path, headers, body)
        self._watch_clock(answer)
        self.certificates.look(self._endpoint.identity, self._endpoint.peer_ends_utc_s)
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
            raise RetryableDelivery(sentence, answers.asked_wait_s(answer, self._clock.utc_ms()))
        if 200 <= status < 300:
            self._counters["unreadable_total"] += 1
            raise RetryableDelivery(f"{sentence}: no receipt")
        if 300 <= status < 400:
            raise BlockedDelivery(f"{sentence}: redirects are not followed; put the new address into base_url")
        if status == UNAUTHORIZED:
            raise BlockedDelivery(
                f"{sentence}: a new token is refused too; check client_id, the profile's login and scope"
            )
        raise BlockedDelivery(f"{sentence}: check base_url, profile and the rights of {self._client_id}")

    def _receipt(self, row: OutboxRow, answer: Answer) -> Receipt:
        names = self._profile.receipt
        try:
            receipt = answers.read_object(answer)
            if row.kind == ANCHOR and self._profile.anchors is not None:
                named, number = self._profile.anchors.receipt, int(dict(row.attributes)["number"])
                about = {named["gateway"]: row.module, named["number"]: number}
                answers.check_content(receipt, names, row.key, digest_of(row.body), about)
            else:
                identity = identify(row.body, self._profile.shape)
                answers.check_receipt(receipt, names, row.key, digest_of(row.body), identity)
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
            raise RetryableDelivery(
                f"{self._profile.keys_path}: {answers.explain(answer)}",
                answers.asked_wait_s(answer, self._clock.utc_ms()),
            )
        self._keys = answers.read_keys(answer)

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
