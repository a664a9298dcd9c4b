"""TLS as every sink speaks it: 1.2 or later, chain and host name always checked (reference: reliability section 10).

A client certificate is offered where the configuration names one; its key file is for its owner only. How long
certificates still hold is told, so that a person renews them before deliveries stop.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cryptography import x509

from plumeproof.delivery.private_file import check_private
from plumeproof.errors import ConfigError

WARN_DAYS = 30  # before a certificate ends (reference: reliability section 10)
DAY_S = 86_400
CERTIFICATE_MAX_BYTES = 256 * 1024  # a chain of a few


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """PEM files: the certificate (with the chain behind it, where there is one) and its key."""

    cert_file: Path
    key_file: Path

    def ends_utc_s(self) -> float:
        """When the certificate ends. Raises ConfigError."""
        try:
            with self.cert_file.open("rb") as file:
                first = x509.load_pem_x509_certificate(file.read(CERTIFICATE_MAX_BYTES))
        except OSError as error:
            raise ConfigError(str(self.cert_file), f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(str(self.cert_file), "holds no certificate in PEM") from error
        return first.not_valid_after_utc.timestamp()


def peer_of(stream: ssl.SSLSocket) -> str:
    """Version of TLS and end of the other side's certificate, for people."""
    certificate = stream.getpeercert() or {}
    return f"{stream.version()}, certificate until {certificate.get('notAfter')}"


def peer_ends_utc_s(stream: ssl.SSLSocket) -> float | None:
    """When the other side's certificate ends."""
    moment = (stream.getpeercert() or {}).get("notAfter")
    return float(ssl.cert_time_to_seconds(moment)) if isinstance(moment, str) else None


def left_days(ends_utc_s: float, now_utc_s: float) -> int:
    """Whole days that a certificate still holds; negative once it has ended."""
    return int((ends_utc_s - now_utc_s) // DAY_S)


def trusting(ca_file: Path | None, identity: ClientCertificate | None = None) -> ssl.SSLContext:
    """A client context of ours: TLS 1.2 or later, chain and host name checked; `identity` is shown when asked for.

    Raises ConfigError, and BlockedDelivery for a key that others may read.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(str(ca_file), f"no usable certificates: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if identity is not None:
        _offer(context, identity)
    return context


def _offer(context: ssl.SSLContext, identity: ClientCertificate) -> None:
    check_private(identity.key_file)
    ends_utc_s = identity.ends_utc_s()
    if ends_utc_s <= time.time():
        day = time.strftime("%Y-%m-%d", time.gmtime(ends_utc_s))
        raise ConfigError(str(identity.cert_file), f"has ended on {day}; put a new certificate there")
    try:
        context.load_cert_chain(identity.cert_file, identity.key_file, password=_refuse_pass_phrase)
    except _LockedKey as error:
        raise ConfigError(str(identity.key_file), "is locked with a pass phrase; a service needs it without") from error
    except (OSError, ssl.SSLError) as error:
        mend = f"put the key of {identity.cert_file} there"
        raise ConfigError(str(identity.key_file), f"is no key in PEM, or another certificate's; {mend}") from error


class _LockedKey(Exception):
    """OpenSSL asks for a pass phrase; without this it would ask at the terminal."""


def _refuse_pass_phrase() -> NoReturn:
    raise _LockedKey
