"""A subscriber with a kept session: in which order the seqs of each topic came, and whether the bytes were right.

Keeps numbers only, so that the memory of the process that it lives in stays that of the gateway.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from array import array
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tools.deliveries.door import HOST

SESSION_S = 3600
WAIT_S = 30.0


class Listener:
    """`heard`: seqs by topic, in order; `altered`: messages whose bytes have another hash than they say."""

    def __init__(self, authority: Path, port: int, root: str) -> None:
        self.heard: dict[str, array[int]] = {}
        self.altered = 0
        self.listens = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="campaign-listener", protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
        context.load_cert_chain(authority / "client.pem", authority / "client.key")
        self._client.tls_set_context(context)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{root}/#", qos=1)
        self._client.on_subscribe = lambda *_: self.listens.set()
        self._client.on_disconnect = lambda *_: self.listens.clear()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_S
        self._client.connect_async(HOST, port, keepalive=20, clean_start=False, properties=properties)
        self._client.loop_start()

    def wait(self) -> bool:
        """Until it listens; whether it does."""
        return self.listens.wait(WAIT_S)

    def count(self) -> int:
        """Messages so far."""
        return sum(map(len, list(self.heard.values())))

    def close(self) -> None:
        """End it."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        pairs = dict(getattr(message.properties, "UserProperty", ()))
        if "seq" in pairs:
            self.heard.setdefault(message.topic, array("Q")).append(int(pairs["seq"]))
            self.altered += hashlib.sha256(message.payload).hexdigest() != pairs["hash"]
