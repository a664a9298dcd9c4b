"""Section [pact] of bridge.toml: where footprints are handed out, and to whom (`plumeproof pact serve`).

What is handed out stands in site.toml. Secrets are hashes or files; a client that is to be answered later has a host of
its own, with what we are there.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumeproof.config import Config, file_path, https_url
from plumeproof.section import Section, list_of, number_in, setting, text_like, typed

ALL = "*"
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_PRODUCT = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")


def _address(value: Any, _folder: Path) -> str:
    text = typed(value, str)
    try:
        return text if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(
            f"{text[:60]!r} is no address; 127.0.0.1 is this machine only, 0.0.0.0 all networks"
        ) from error


@dataclass(frozen=True, slots=True)
class PactClientConfig:
    """One customer. `products`: ids of site.toml's products that it may see, "*": all. `base_url`: of its own PACT
    host, for answers and news; then with `own_client_id` and `own_secret_file`, which are ours there."""

    id: str = setting(text_like(_CLIENT, "client id (letters, digits, . _ @ -)"))
    products: tuple[str, ...] = setting(list_of(text_like(_PRODUCT, 'product id, or "*"'), 1))
    secret_sha256: str = setting(text_like(_HASH, "SHA-256 (`plumeproof pact secret` prints it)"), "")
    secret_file: Path | None = setting(file_path, None)
    base_url: str | None = setting(https_url, None)
    token_url: str | None = setting(https_url, None)  # None: /auth/token below base_url
    own_client_id: str = setting(text_like(), "")
    own_secret_file: Path | None = setting(file_path, None)
    ca_file: Path | None = setting(file_path, None)  # None: the authorities of the system


@dataclass(frozen=True, slots=True)
class PactConfig:
    """Without certificate and key it is for a proxy with TLS on this machine: loopback, and no answer to plain HTTP."""

    host: str = setting(_address, "127.0.0.1")
    port: int = setting(number_in(int, 0, 65_535), 8443)
    cert_file: Path | None = setting(file_path, None)
    key_file: Path | None = setting(file_path, None)
    token_s: int = setting(number_in(int, 60, 86_400), 3_600)
    refresh_s: int = setting(number_in(int, 60, 86_400), 300)  # page links live for several of these, 180 s at least
    connections_max: int = setting(number_in(int, 4, 10_000), 128)
    requests_per_minute: int = setting(number_in(int, 10, 100_000), 600)  # of each client
    tokens_per_minute: int = setting(number_in(int, 1, 10_000), 30)  # of each address: guessing stays slow
    events_per_minute: int = setting(number_in(int, 1, 10_000), 60)  # RequestCreatedEvents of each client
    clients: tuple[PactClientConfig, ...] = ()


def outbox_of(config: Config) -> Path:
    """Where events for customers wait; its folder belongs to one host."""
    return config.gateway.data_dir / "pact" / "outbox.sqlite"


def read_pact(section: Section) -> PactConfig:
    """Raises ConfigError."""
    clients: list[PactClientConfig] = []
    for one in section.sections("client"):
        client = one.build(PactClientConfig)
        if client.id in {other.id for other in clients}:
            raise one.refuse("id", f"client {client.id} is there twice; each stands once")
        if bool(client.secret_sha256) == (client.secret_file is not None):
            raise one.refuse(
                "secret_sha256", "or secret_file: one of the two is needed; `plumeproof pact secret` makes it"
            )
        if client.base_url is not None and (not client.own_client_id or client.own_secret_file is None):
            raise one.refuse("base_url", "needs own_client_id and own_secret_file beside it")
        clients.append(client)
    config = section.build(PactConfig, clients=tuple(clients))
    if (config.cert_file is None) != (config.key_file is None):
        raise section.refuse("cert_file", "and key_file stand together or not at all")
    is_loopback = config.host == "localhost" or ipaddress.ip_address(config.host).is_loopback
    if config.cert_file is None and not is_loopback:
        raise section.refuse("host", f"{config.host} is no loopback address; that needs cert_file and key_file")
    return config
