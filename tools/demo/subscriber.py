"""A broker client of its own that writes down every message: the demo's witness on the far side of MQTT.

A persistent session with QoS 1: what the broker has taken while this client was away comes afterwards.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SESSION_S = 3600
LABELS = ("seq", "hash", "kid")  # DESIGN section 8


class Subscriber:
    """Listens to everything below a root topic. Of each message it keeps (module, SHA-256 of its bytes), in order.

    `labels`: (module, seq, hash, kid) of the user properties of each envelope, "" for one that is missing; none with
    MQTT 3.1.1, which has no properties. `listens`: set once the broker has taken the subscription.
    """

    def __init__(self, root_topic: str, is_mqtt5: bool, authority: Path, certificate: Path, key: Path) -> None:
        self.envelopes: list[tuple[str, bytes]] = []
        self.averages: list[tuple[str, bytes]] = []
        self.labels: list[tuple[str, ...]] = []
        self.listens = threading.Event()
        self._topic = f"{root_topic}/#"
        self._is_mqtt5 = is_mqtt5
        self._lock = threading.Lock()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="plumeproof-demo-witness",
            protocol=mqtt.MQTTv5 if is_mqtt5 else mqtt.MQTTv311,
            clean_session=None if is_mqtt5 else False,
        )
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(certificate, key)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self.listens.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 2)

    def start(self, host: str, port: int) -> None:
        """Connect and subscribe; goes on by itself when the broker comes back."""
        if self._is_mqtt5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = SESSION_S
            self._client.connect_async(host, port, keepalive=20, clean_start=False, properties=properties)
        else:
            self._client.connect_async(host, port, keepalive=20)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected()

    def counts(self) -> tuple[int, int]:
        """Envelopes and averages so far."""
        with self._lock:
            return len(self.envelopes), len(self.averages)

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: object, _more: object) -> None:
        if not getattr(reason, "is_failure", False):
            client.subscribe(self._topic, qos=1)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        _, _, module, *content = message.topic.split("/", 3)  # ROOT/GATEWAY/MODULE/CONTENT
        heard = (module, hashlib.sha256(message.payload).digest())
        with self._lock:
            if content == ["envelope"]:
                self.envelopes.append(heard)
                if self._is_mqtt5:
                    told = dict(getattr(message.properties, "UserProperty", ()))
                    self.labels.append((module, *(told.get(name, "") for name in LABELS)))
            elif content and content[0].startswith("average/"):
                self.averages.append(heard)
