"""One question to a time-stamp authority over HTTP or HTTPS (RFC 3161 section 3.4), within limits of time and size.

Plain HTTP is usual here and safe: the answer is signed and repeats our nonce. No redirect is followed.
"""

from __future__ import annotations

import http.client
import socket
import threading
from urllib.parse import urlsplit

from plumeproof.delivery.tls import trusting
from plumeproof.errors import BlockedDelivery, RetryableDelivery

CONNECT_S = 10.0
WHOLE_S = 30.0  # of the exchange; then the connection is cut
ANSWER_MAX_BYTES = 64 * 1024
QUERY_TYPE, REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"


def ask_tsa(url: str, question: bytes) -> bytes:
    """The bytes of the answer. Raises RetryableDelivery, BlockedDelivery."""
    parts = urlsplit(url)
    host, where = str(parts.hostname), f"{parts.hostname}:{parts.port or parts.scheme}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=CONNECT_S, context=trusting(None))
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=CONNECT_S)
    timer: threading.Timer | None = None
    try:
        connection.connect()
        # A byte a second would keep every single read in time.
        timer = threading.Timer(WHOLE_S, _cut, [connection.sock])
        timer.daemon = True
        timer.start()
        headers = {"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE, "Connection": "close"}
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), question, headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise RetryableDelivery(f"time-stamp authority {where}: {error or type(error).__name__}") from error
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()
    if answer.status != 200:
        kind = RetryableDelivery if answer.status >= 500 or answer.status in (408, 429) else BlockedDelivery
        raise kind(f"time-stamp authority {where}: status {answer.status}; check anchors.tsa_url")
    if answer.headers.get_content_type() != REPLY_TYPE or len(body) > ANSWER_MAX_BYTES:
        raise BlockedDelivery(f"time-stamp authority {where}: no {REPLY_TYPE}; check anchors.tsa_url")
    return body


def _cut(stream: socket.socket) -> None:
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
