"""One connection to a broker from CONNECT to its end, over TLS with paho-mqtt, MQTT 5 or 3.1.1.

paho's queue lives in memory, so a client serves one connection only and is thrown away with it: what was not
acknowledged is still in the outbox and is published again, in order (reference: reliability section 3, H4). What comes
in is bounded by section 8 there: 64 KiB a packet, 512 bytes a topic, 100 messages a second, one topic.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumeproof.delivery.certificates import CertificateWatch
from plumeproof.delivery.mqtt_publication import Publication
from plumeproof.delivery.private_file import read_secret
from plumeproof.delivery.tls import ClientCertificate, peer_ends_utc_s, peer_of, trusting
from plumeproof.errors import BlockedDelivery, ConfigError, DeliveryError, RetryableDelivery

WINDOW = 20  # publications in flight; the broker may ask for fewer
CONNECT_S = 10.0  # for the port and TLS
ANSWER_S = 20.0  # for CONNACK and for each window's PUBACKs
GOODBYE_S = 2.0  # less than a supervisor waits for the bridge to stop
INBOUND_MAX_BYTES = 64 * 1024  # reference: reliability section 8
INBOUND_TOPIC_MAX_BYTES = 512
INBOUND_PER_S_MAX = 100

# Not authorized, banned, bad user name or password, bad method, client id or version refused, packet too large,
# retain or QoS not supported, server moved, another client took our id: a person must put something right.
# MQTT 5.0 sections 3.2.2.2, 3.4.2.1, 3.14.2.1; 3.1.1's CONNACK codes come translated from paho.
BLOCKING_CODES = frozenset((0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E, 0x95, 0x9A, 0x9B, 0x9D))
# What paho lets through when a packet makes no sense; the connection is over then.
_UNREADABLE = (MQTTException, AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """config.MqttSinkConfig without what the relay decides."""

    host: str
    port: int
    root_topic: str
    is_v5: bool
    client_id: str
    keepalive_s: int
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    username: str | None
    password_file: Path | None

    @property
    def identity(self) -> ClientCertificate | None:
        """The client certificate, where there is one."""
        if self.cert_file is None or self.key_file is None:
            return None
        return ClientCertificate(self.cert_file, self.key_file)


def probe_broker(settings: MqttSettings, certificates: CertificateWatch) -> str:
    """For `doctor`: connect with an id of its own, in one sentence; `certificates` looks. Raises DeliveryError."""
    connection = Connection(settings, f"{settings.client_id}-doctor", None)
    try:
        connection.open()
        connection.show(certificates)
        return f"{settings.host}:{settings.port} takes us, {connection.peer}"
    finally:
        connection.drop()


class _TidySocket(ssl.SSLSocket):
    """Closed when its handshake fails; paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Connection:
    """One connection from CONNECT to its end; afterwards a new one is made.

    paho's own thread is not used: it would wait for its queue before it ends, and there must be no queue but ours.
    `counters`: what came in, and what of it was dropped.
    """

    def __init__(self, settings: MqttSettings, client_id: str, will: Publication | None) -> None:
        self._settings = settings
        self._connected: tuple[int, str] | None = None  # CONNACK: code, words
        self._lost = ""
        self._lost_code = 0  # of DISCONNECT, MQTT 5.0 section 3.14.2.1
        self._has_qos1 = True
        self._packet_max_bytes: int | None = None  # that the broker takes
        self._codes: dict[int, int] = {}
        self._listens_to = ""
        self._heard: list[bytes] = []
        self._heard_in = (0, 0)  # this second of the monotonic clock, and how many messages came in it
        self.counters = {"heard_total": 0, "heard_dropped_total": 0}
        self.window = WINDOW
        self.words = f"client {client_id}"
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5 if settings.is_v5 else mqtt.MQTTv311,
            clean_session=None if settings.is_v5 else True,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = CONNECT_S
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        if will is not None:
            self._client.will_set(will.topic, will.body, will.qos, will.is_retained)

    @property
    def is_up(self) -> bool:
        """CONNACK came and the connection was not lost since."""
        return self._connected is not None and not self._lost

    def show(self, certificates: CertificateWatch) -> None:
        """Ours and the broker's."""
        stream = self._client.socket()
        if isinstance(stream, ssl.SSLSocket):
            certificates.look(self._settings.identity, peer_ends_utc_s(stream))

    @property
    def peer(self) -> str:
        """Version of TLS and end of the broker's certificate."""
        stream = self._client.socket()
        return peer_of(stream) if isinstance(stream, ssl.SSLSocket) else "without TLS"

    def open(self, when_said: Callable[[], None] = lambda: None) -> None:
        """Connect and wait for CONNACK; `when_said` is called as soon as CONNECT is on its way. Raises BlockedDelivery,
        RetryableDelivery."""
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        properties = None
        if settings.is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types there
            properties.MaximumPacketSize = INBOUND_MAX_BYTES
        try:
            self._log_in()
            self._client.connect(
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=True if settings.is_v5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
                properties=properties,
            )
        except ssl.SSLCertVerificationError as error:
            raise BlockedDelivery(f"{where}: certificate refused: {error.verify_message}") from error
        except OSError as error:
            raise RetryableDelivery(f"{where}: {error}") from error
        when_said()
        self._serve(lambda: self._connected is not None, "CONNACK")
        code, words = self._connected or (0, "")
        if code in BLOCKING_CODES:
            raise BlockedDelivery(f"{where}: refuses {self.words}: {words}")
        if code >= 0x80:
            raise RetryableDelivery(f"{where}: {words}")
        if not self._has_qos1:
            raise BlockedDelivery(f"{where}: offers QoS 0 only, which proves no delivery; name another broker")

    def is_too_large(self, one: Publication) -> bool:
        """The broker has said that it takes no packet of this size (MQTT 5.0 section 3.2.2.3.6)."""
        if self._packet_max_bytes is None:
            return False
        rest = 2 + len(one.topic.encode()) + (2 if one.qos else 0) + len(one.body)
        properties = self._properties(one)
        rest += 0 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call] # as above
        return 2 + (rest > 127) + (rest > 16_383) + (rest > 2_097_151) + rest > self._packet_max_bytes

    def publish(self, one: Publication) -> int:
        """Hand one publication to paho; its packet id. No proof of anything. Raises RetryableDelivery."""
        info = self._client.publish(one.topic, one.body, one.qos, one.is_retained, self._properties(one))
        if info.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_AGAIN):
            raise RetryableDelivery(f"{self._settings.host}: {self._lost or mqtt.error_string(info.rc)}")
        return info.mid

    def listen(self, topic: str) -> None:
        """Subscribe to one topic, QoS 1, and wait for SUBACK. Raises BlockedDelivery, RetryableDelivery."""
        self._listens_to = topic
        code, mid = self._client.subscribe(topic, qos=1)
        if code != mqtt.MQTT_ERR_SUCCESS or mid is None:
            raise RetryableDelivery(f"{self._settings.host}: {self._lost or mqtt.error_string(code)}")
        self._serve(lambda: mid in self._codes, "SUBACK")
        if self._codes.pop(mid) >= 0x80:
            raise BlockedDelivery(f"{self._settings.host}: refuses to let {self.words} listen to {topic}; check rights")

    def take_heard(self) -> list[bytes]:
        """What came on the topic that we listen to, in order; nothing of it is trusted."""
        heard, self._heard = self._heard, []
        return heard

    def wait_for(self, mids: Sequence[int]) -> None:
        """Until all of these packets are answered. Raises RetryableDelivery and BlockedDelivery when one is not."""
        self._serve(lambda: all(mid in self._codes for mid in mids), "PUBACK")

    def code_of(self, mid: int) -> int | None:
        """The reason code of a packet's PUBACK, asked once; None when none has come."""
        return self._codes.pop(mid, None)

    def tend(self) -> None:
        """What has come, and a ping when it is time. Raises BlockedDelivery, RetryableDelivery when it is over."""
        for _ in range(INBOUND_PER_S_MAX):  # paho reads one packet a turn, and a PINGRESP may stand behind many
            before = self.counters["heard_total"]
            self._turn(0.0)
            if self.counters["heard_total"] == before:
                break
        if self._lost:
            self._give_up()

    def say_goodbye(self, last: Publication) -> None:
        """A last word and DISCONNECT, if the connection still stands."""
        try:
            mid = self.publish(last)
            self._serve(lambda: mid in self._codes, "PUBACK", GOODBYE_S)
        except DeliveryError:
            return
        self._client.disconnect()

    def drop(self) -> None:
        """End it; nothing of its memory is used again. Without a good-bye the broker sends our last will."""
        # Without our methods in it nothing holds the client: its two inner sockets close now, not at some collection.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = client.on_subscribe = client.on_message = None
        stream = client.socket()
        if stream is not None:
            stream.close()

    def _properties(self, one: Publication) -> Properties | None:
        if not self._settings.is_v5 or not (one.content_type or one.pairs):
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types there
        properties.ContentType = one.content_type
        if one.pairs:
            properties.UserProperty = list(one.pairs)
        return properties

    def _serve(self, is_there: Callable[[], bool], what: str, timeout_s: float | None = None) -> None:
        deadline_s = time.monotonic() + (ANSWER_S if timeout_s is None else timeout_s)
        while not is_there():
            left_s = deadline_s - time.monotonic()
            self._turn(max(0.0, left_s))
            if is_there():
                return
            if self._lost or left_s <= 0:
                self._give_up(f"no {what} in time")

    def _give_up(self, words: str = "") -> NoReturn:
        kind = BlockedDelivery if self._lost_code in BLOCKING_CODES else RetryableDelivery
        raise kind(f"{self._settings.host}: {self._lost or words}")

    def _turn(self, timeout_s: float) -> None:
        try:
            code = self._client.loop(timeout_s)
            coming_bytes = self._coming_bytes()
        except _UNREADABLE as error:
            self._lost = self._lost or f"unreadable packet: {type(error).__name__}"
            return
        if code != mqtt.MQTT_ERR_SUCCESS:
            self._lost = self._lost or mqtt.error_string(code)
        elif coming_bytes > INBOUND_MAX_BYTES:
            self._lost = self._lost or f"sends a packet of {coming_bytes} bytes, over {INBOUND_MAX_BYTES}"

    def _coming_bytes(self) -> int:
        """The size of the packet that is being read; paho itself would read 256 MiB."""
        packet = self._client._in_packet
        return packet["remaining_length"] + 1 + len(packet["remaining_count"])

    def _log_in(self) -> None:
        settings = self._settings
        if settings.ca_file is not None:
            try:
                context = trusting(settings.ca_file, settings.identity)
                context.sslsocket_class = _TidySocket
            except (ConfigError, OSError, ssl.SSLError) as error:
                raise BlockedDelivery(f"certificates of this client: {error}") from error
            self._client.tls_set_context(context)
        if settings.username is not None:
            password = None
            if settings.password_file is not None:
                password = read_secret(settings.password_file, "utf-8")
            self._client.username_pw_set(settings.username, password)

    # Called inside loop(), in the same thread

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        limit = getattr(properties, "ReceiveMaximum", None)
        if isinstance(limit, int) and limit > 0:
            self.window = min(WINDOW, limit)
        self._has_qos1 = getattr(properties, "MaximumQoS", 1) != 0
        self._packet_max_bytes = getattr(properties, "MaximumPacketSize", None)
        self._connected = (code.value, str(code))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._lost, self._lost_code = f"connection lost: {code}", code.value

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        self._codes[mid] = code.value

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any) -> None:
        self._codes[mid] = max((code.value for code in codes), default=0x80)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        second = int(time.monotonic())
        count = self._heard_in[1] + 1 if self._heard_in[0] == second else 1
        self._heard_in = (second, count)
        self.counters["heard_total"] += 1
        is_fine = len(message._topic) <= INBOUND_TOPIC_MAX_BYTES and self._coming_bytes() <= INBOUND_MAX_BYTES
        if is_fine and count <= INBOUND_PER_S_MAX and message.topic == self._listens_to and not message.retain:
            self._heard.append(bytes(message.payload))
        else:
            self.counters["heard_dropped_total"] += 1
