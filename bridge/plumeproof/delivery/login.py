"""How the gateway says who it is: the bearer token of the profile's kind of login, kept until its last minute.

RFC 6749 section 4.4 with a secret (header or form), a signed assertion (RFC 7523) or a client certificate (RFC 8705).
Token and secret live in memory only; what a refusal says names files and the platform's error word, nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from plumeproof.delivery import answers
from plumeproof.delivery.assertion import KIND, build_assertion
from plumeproof.delivery.exchange import Answer
from plumeproof.delivery.private_file import PrivateKeyFile, read_secret
from plumeproof.delivery.profile import ASSERTION, BASIC, BODY, CERTIFICATE, NO_LOGIN
from plumeproof.errors import BlockedDelivery, RetryableDelivery
from plumeproof.ports import Clock

TOKEN_SPARE_S = 60.0  # a token is not used in its last minute
FORM = "application/x-www-form-urlencoded"
WHAT_TO_CHECK = {
    BASIC: "client_id, secret_file",
    BODY: "client_id, secret_file",
    ASSERTION: "client_id, assertion_key_file, assertion_key_id, this PC's clock",
    CERTIFICATE: "client_id, cert_file",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the configuration names; which of it is needed says the profile (delivery_parts.py checks it)."""

    client_id: str
    secret_file: Path | None = None
    assertion_key_file: Path | None = None
    assertion_key_id: str = ""

    def key_file(self) -> Path:
        """Of the assertion. Raises BlockedDelivery."""
        if self.assertion_key_file is None:
            raise BlockedDelivery("the profile logs in by private_key_jwt; name assertion_key_file")
        return self.assertion_key_file


class LoginRules(Protocol):
    """What a profile says of the login; profile.py has the meanings."""

    @property
    def auth_kind(self) -> str: ...
    @property
    def token_path(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def assertion_algorithm(self) -> str: ...
    @property
    def assertion_audience(self) -> str: ...
    @property
    def assertion_lifetime_s(self) -> int: ...
    @property
    def retried(self) -> frozenset[int]: ...


Ask = Callable[[dict[str, str], bytes], Answer]  # one POST to the token endpoint


class Login:
    """One client's token. `tokens_total`: how many were given."""

    def __init__(self, profile: LoginRules, credentials: Credentials, token_url: str, ask: Ask, clock: Clock) -> None:
        self._profile, self._credentials, self._clock, self._ask = profile, credentials, clock, ask
        self._audience = profile.assertion_audience or token_url
        self._key: PrivateKeyFile | None = None
        if profile.auth_kind == ASSERTION:
            self._key = PrivateKeyFile(credentials.key_file(), profile.assertion_algorithm)
        self._token = ""
        self._token_until_s = 0.0
        self.tokens_total = 0

    @property
    def has_token(self) -> bool:
        """Whether one was given and not forgotten."""
        return bool(self._token)

    def forget(self) -> None:
        """It may have been withdrawn."""
        self._token = ""

    def authorization(self, headers: dict[str, str]) -> str:
        """The header's value, with a token of at least TOKEN_SPARE_S; empty where the profile has no login.

        `headers`: of every question. Raises RetryableDelivery and BlockedDelivery.
        """
        if self._profile.auth_kind == NO_LOGIN:
            return ""
        if not self._token or self._clock.monotonic_s() >= self._token_until_s:
            self._token = ""
            asked_s = self._clock.monotonic_s()  # its life may have begun with the question
            answer = self._ask_token(headers)
            if answer.status != 200:
                self._refuse(answer)
            try:
                token = answers.read_token(answer)
            except ValueError as error:
                raise RetryableDelivery(f"{self._profile.token_path}: {error}") from error
            self._token, self._token_until_s = token.value, asked_s + max(0.0, token.lifetime_s - TOKEN_SPARE_S)
            self.tokens_total += 1
        return f"Bearer {self._token}"

    def _ask_token(self, headers: dict[str, str]) -> Answer:
        profile, client_id = self._profile, self._credentials.client_id
        form = {"grant_type": "client_credentials"} | ({"scope": profile.scope} if profile.scope else {})
        headers = {**headers, "Accept": "application/json", "Content-Type": FORM}
        if profile.auth_kind == BASIC:
            pair = f"{quote(client_id, safe='')}:{quote(self._secret(), safe='')}"  # RFC 6749 section 2.3.1
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif profile.auth_kind == BODY:
            form |= {"client_id": client_id, "client_secret": self._secret()}
        elif profile.auth_kind == ASSERTION:
            form |= {"client_id": client_id, "client_assertion_type": KIND, "client_assertion": self._assertion()}
        else:
            form |= {"client_id": client_id}  # RFC 8705 section 2
        return self._ask(headers, urlencode(form).encode())

    def _assertion(self) -> str:
        """Made anew for each question: a platform refuses a second use."""
        assert self._key is not None  # of this kind of login
        profile, credentials = self._profile, self._credentials
        return build_assertion(
            credentials.client_id,
            self._audience,
            self._key.load(),
            credentials.assertion_key_id,
            profile.assertion_algorithm,
            self._clock.utc_ms() // 1000,
            profile.assertion_lifetime_s,
        )

    def _secret(self) -> str:
        """Read anew for each token, so that a changed file needs no restart."""
        if self._credentials.secret_file is None:
            raise BlockedDelivery("the profile logs in with a secret; name secret_file")
        return read_secret(self._credentials.secret_file)

    def _refuse(self, answer: Answer) -> None:
        word = answers.error_word(answer)  # one of a fixed list: the body might repeat what was sent
        sentence = f"{self._profile.token_path}: status {answer.status}{f' ({word})' if word else ''}"
        if answer.status in self._profile.retried or answer.status >= 500:
            raise RetryableDelivery(sentence, answers.asked_wait_s(answer, self._clock.utc_ms()))
        check = WHAT_TO_CHECK[self._profile.auth_kind]
        raise BlockedDelivery(f"{sentence}: no token for {self._credentials.client_id}; check {check} and base_url")
