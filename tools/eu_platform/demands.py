"""What the platform demands of its clients, chosen at the start (`--demand`) or while it runs (`/control`).

    secret        the token endpoint takes client id and secret, in the header or in the form (RFC 6749 section 2.3.1)
    assertion     it takes an assertion signed by the client's key (RFC 7523)
    certificate   TLS itself wants a client certificate of our authority; tokens are bound to it (RFC 8705). Alone, it
                  is also the login: the subject of the certificate is the client's
    signature     every report is signed (RFC 9421)

Without a demand the token endpoint takes secret and assertion alike, and nothing else is asked for.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Sequence

DEMANDS = ("secret", "assertion", "certificate", "signature")


class DemandWishError(Exception):
    """A demand that is none of ours; one line."""


class Demands:
    """The present choice. Certificates are demanded of new connections; those that are open stay as they are."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises DemandWishError."""
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self.set(names)

    def attach(self, context: ssl.SSLContext) -> None:
        """The TLS side of the listener."""
        with self._lock:
            self._context = context
            self._apply()

    def set(self, names: Sequence[str]) -> None:
        """From now on these and no others. Raises DemandWishError."""
        for name in names:
            if name not in DEMANDS:
                raise DemandWishError(f"demand {name!r:.60}: there are {', '.join(DEMANDS)}")
        with self._lock:
            self.names = tuple(name for name in DEMANDS if name in names)
            self._apply()

    @property
    def logins(self) -> frozenset[str]:
        """What the token endpoint takes: of secret, assertion, certificate."""
        chosen = {"secret", "assertion"} & set(self.names)
        if chosen:
            return frozenset(chosen)
        return frozenset({"certificate"} if "certificate" in self.names else {"secret", "assertion"})

    @property
    def has_signature(self) -> bool:
        """Whether reports must be signed."""
        return "signature" in self.names

    def _apply(self) -> None:
        if self._context is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED if "certificate" in self.names else ssl.CERT_NONE
