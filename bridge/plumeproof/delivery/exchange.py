"""One HTTPS question and its whole answer, within limits of time and size (reference: reliability sections 8 and 10).

TLS 1.2 or later with our own context, chain and host name always checked; no redirect is followed, no compression is
asked for or taken. Every byte passes a socket that counts bytes and looks at the deadline of the exchange, so that
endless headers and one byte a second end too. What an answer means is https_sink.py.
"""

from __future__ import annotations

import errno
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from plumeproof.delivery.private_file import Mark, mark_of
from plumeproof.delivery.tls import ClientCertificate, peer_ends_utc_s, peer_of, trusting
from plumeproof.errors import BlockedDelivery, ConfigError, DeliveryError, RetryableDelivery

CONNECT_S = 10.0
WHOLE_FACTOR = 2.0  # the whole exchange takes at most this many read time-outs
HEADER_MAX_BYTES = 16 * 1024
BODY_MAX_BYTES = 1024 * 1024
HEAD_READ_MAX_BYTES = 256 * 1024  # hard stop of endless headers; body bytes that came with them count too
FRAMING_MAX_BYTES = 256 * 1024  # of chunked bodies
READ_BYTES = 64 * 1024
HTTPS_PORT = 443
REFUSED_BY_PEER = (  # alerts of RFC 8446 section 6.2, as OpenSSL names them: our certificate is not taken
    "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "ACCESS_DENIED",
)  # fmt: skip

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs a server's bytes as they are; our errors say it all


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` with names in lower case; of doubled ones all values, joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Endpoint:
    """One server. Not for several threads."""

    def __init__(
        self, base_url: str, ca_file: Path | None, read_timeout_s: float, identity: ClientCertificate | None = None
    ) -> None:
        """`ca_file` None: the authorities of the system. `identity`: our certificate, shown when it is asked for.

        A file that changes makes a new connection with what it holds now, so that certificates are renewed without a
        restart.
        """
        parts = urlsplit(base_url)
        self._host, self._port, self._prefix = str(parts.hostname), parts.port or HTTPS_PORT, parts.path
        self._read_timeout_s = read_timeout_s
        self._budget = _Budget(read_timeout_s)
        self._socket_class = _counting_socket(self._budget)
        self._ca_file, self.identity = ca_file, identity
        files = [ca_file] if ca_file is not None else []
        self.files = tuple([*files, *((identity.cert_file, identity.key_file) if identity is not None else ())])
        self._marks: tuple[Mark | None, ...] = ()
        self._pool: urllib3.HTTPSConnectionPool | None = None
        self.words = f"{self._host}:{self._port}"

    @property
    def peer(self) -> str:
        """Version of TLS and end of the server's certificate, of the newest connection."""
        return self._budget.peer

    @property
    def peer_ends_utc_s(self) -> float | None:
        """When the server's certificate ends; None before the first connection."""
        return self._budget.peer_ends_utc_s

    def url(self, path: str) -> str:
        """The address that a question goes to, as the other side knows it: no port where it is the usual one."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}{'' if self._port == HTTPS_PORT else f':{self._port}'}{self._prefix}{path}"

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send and read. Raises BlockedDelivery for a certificate that is refused, RetryableDelivery for anything else
        that leaves no whole answer; then nobody knows whether the other side has acted."""
        self._budget.begin(WHOLE_FACTOR * self._read_timeout_s, HEAD_READ_MAX_BYTES)
        pool = self._ready_pool()
        response: urllib3.BaseHTTPResponse | None = None
        is_whole = False
        try:
            response = pool.urlopen(
                method,
                self._prefix + path,
                body=body,
                headers={**headers, "Accept-Encoding": "identity"},
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            self._budget.allow(BODY_MAX_BYTES + FRAMING_MAX_BYTES)
            answer = self._read(response)
            response.release_conn()
            is_whole = True
        except (HTTPError, OSError) as error:
            raise self._translate(error) from error
        finally:
            if not is_whole:  # what still comes on that connection is no answer to the next question
                if response is not None:
                    response.close()
                self.close()
        return answer

    def close(self) -> None:
        """Give the connection back. Never raises."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _read(self, response: urllib3.BaseHTTPResponse) -> Answer:
        size = sum(len(name) + len(value) + 4 for name, value in response.headers.items())
        if size > HEADER_MAX_BYTES:
            raise RetryableDelivery(f"{self.words}: headers of {size} bytes, at most {HEADER_MAX_BYTES}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RetryableDelivery(f"{self.words}: answers compressed though it was not asked to")
        body = bytearray()
        for part in response.stream(READ_BYTES, decode_content=False):
            body += part
            if len(body) > BODY_MAX_BYTES:
                raise RetryableDelivery(f"{self.words}: answer of more than {BODY_MAX_BYTES} bytes")
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _ready_pool(self) -> urllib3.HTTPSConnectionPool:
        marks = tuple(mark_of(path) for path in self.files)
        if self._pool is None or marks != self._marks:
            self.close()
            self._pool, self._marks = self._new_pool(), marks
        return self._pool

    def _new_pool(self) -> urllib3.HTTPSConnectionPool:
        try:
            context = trusting(self._ca_file, self.identity)
        except ConfigError as error:
            raise BlockedDelivery(str(error)) from error
        context.sslsocket_class = self._socket_class
        return urllib3.HTTPSConnectionPool(
            self._host,
            self._port,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=self._read_timeout_s),
            maxsize=1,
            block=True,
            ssl_context=context,
        )

    def _translate(self, error: Exception) -> DeliveryError:
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return BlockedDelivery(f"{self.words}: certificate refused: {cause.verify_message}")
            if isinstance(cause, ssl.SSLError) and (cause.reason or "").partition("_ALERT_")[2] in REFUSED_BY_PEER:
                alert = str(cause.reason).partition("_ALERT_")[2].lower().replace("_", " ")
                mend = "check cert_file" if self.identity else "name cert_file and key_file"
                return BlockedDelivery(f"{self.words}: our client certificate is not taken ({alert}); {mend}")
        return RetryableDelivery(f"{self.words}: {_words(error)}")


class _Budget:
    """What is left of an exchange: seconds and received bytes. `peer`: who answers, for people."""

    def __init__(self, slice_s: float) -> None:
        self._slice_s = slice_s
        self._deadline_s = 0.0
        self._left_bytes = 0
        self.peer = "no connection yet"
        self.peer_ends_utc_s: float | None = None

    def begin(self, seconds: float, limit_bytes: int) -> None:
        self._deadline_s = time.monotonic() + seconds
        self._left_bytes = limit_bytes

    def allow(self, more_bytes: int) -> None:
        self._left_bytes += more_bytes

    def timeout_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no whole answer in time")
        return min(self._slice_s, left_s)

    def take(self, count: int) -> None:
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise OSError("answer larger than any of ours")


def _counting_socket(budget: _Budget) -> type[ssl.SSLSocket]:
    class CountingSocket(ssl.SSLSocket):
        """An SSLSocket whose reads and writes keep to a budget."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            budget.peer, budget.peer_ends_utc_s = peer_of(self), peer_ends_utc_s(self)

        def read(self, len: int = 1024, buffer: Any = None) -> Any:
            self.settimeout(budget.timeout_s())
            found: Any = super().read(len, buffer)
            budget.take(found if isinstance(found, int) else found.__len__())
            return found

        def send(self, data: Any, flags: int = 0) -> int:
            self.settimeout(budget.timeout_s())
            try:
                return super().send(data, flags)
            except ssl.SSLEOFError as error:
                # The other side has gone while we still wrote. What it said before, an early answer or an alert (TLS
                # 1.3 refuses our certificate only after our handshake is over), urllib3 reads after a broken pipe.
                raise BrokenPipeError(errno.EPIPE, "gone while we still wrote") from error

    return CountingSocket


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, *one.args]
    return found


def _words(error: Exception) -> str:
    """The innermost reason, without the library's objects around it."""
    causes: list[BaseException] = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.args]
    text = str(causes[-1] if causes else error)
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
