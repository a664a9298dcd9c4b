"""amqtt as the demo's broker where no mosquitto can be had: MQTT 3.1.1, TLS, client certificates required.

    python -m tools.amqtt_broker --host 127.0.0.1 --port N --authority DIR

amqtt itself asks for a client certificate and takes a client without one; here the handshake refuses it. Its store
cannot hold binary messages (0.12.1), so it runs without: sessions and retained messages end with the process.
`ready` on stdout: it listens. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from pathlib import Path

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class CertificateAuth(BaseAuthPlugin):
    """Whoever has come through the handshake has shown a certificate of our authority."""

    async def authenticate(self, *, session: Session) -> bool:
        return True


class StrictBroker(Broker):
    """amqtt with a handshake that a client without certificate does not survive."""

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=listener["cafile"])
        context.load_cert_chain(listener["certfile"], listener["keyfile"])
        context.verify_mode = ssl.CERT_REQUIRED
        return context


async def serve(host: str, port: int, authority: Path) -> None:
    """Until SIGTERM or SIGINT."""
    listener = ListenerConfig(
        bind=f"{host}:{port}",
        ssl=True,
        cafile=authority / "ca.pem",
        certfile=authority / "server.pem",
        keyfile=authority / "server.key",
    )
    plugins = {"tools.amqtt_broker.CertificateAuth": {}}
    broker = StrictBroker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await broker.start()
    print("ready", flush=True)
    await ended.wait()
    await broker.shutdown()


def main() -> int:
    """Run the broker."""
    parser = argparse.ArgumentParser(prog="python -m tools.amqtt_broker", description="amqtt with client certificates")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--authority", type=Path, required=True, metavar="DIR", help="ca.pem, server.pem, server.key")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(chosen.host, chosen.port, chosen.authority))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
