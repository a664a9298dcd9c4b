"""TLS as every sink speaks it: 1.2 or later, chain and host name always checked (reference: reliability section 10)."""

from __future__ import annotations

import ssl
from pathlib import Path

from plumeproof.errors import ConfigError


def peer_of(stream: ssl.SSLSocket) -> str:
    """Version of TLS and end of the other side's certificate, for people."""
    certificate = stream.getpeercert() or {}
    return f"{stream.version()}, certificate until {certificate.get('notAfter')}"


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A client context of ours: TLS 1.2 or later, chain and host name checked. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(str(ca_file), f"no usable certificates: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
