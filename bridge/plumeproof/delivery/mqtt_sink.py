"""A broker as a sink: QoS 1 over TLS with paho-mqtt, MQTT 5 or 3.1.1. A row is proven by its PUBACK and nothing else.

paho's queue lives in memory, so a client serves one connection only and is thrown away with it: what was not
acknowledged is still in the outbox and is published again, in order (reference: reliability section 3, H4). Topics:
ROOT/gateway/module/envelope and .../average/<interval>; ROOT/gateway/status is retained, "online" or, by the last
will, "offline". Two sinks of one broker need two client ids.

    sink = MqttSink("plant-broker", "gateway-01", settings, clock)
"""

from __future__ import annotations

import json
import logging
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumeproof.delivery.tls import peer_of, trusting
from plumeproof.errors import BlockedDelivery, ConfigError, DeliveryError, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

WINDOW = 20  # publications in flight; the broker may ask for fewer
LONGEST_S = 60.0  # cap of the back-off: a broker is near, and a look a minute costs it nothing
CONNECT_S = 10.0  # for the port and TLS
ANSWER_S = 20.0  # for CONNACK and for each window's PUBACKs
GOODBYE_S = 2.0  # less than a supervisor waits for the bridge to stop
INBOUND_MAX_BYTES = 64 * 1024  # reference: reliability section 8; nothing is subscribed to

# MQTT 5.0 section 3.4.2.1 (PUBACK) and 3.2.2.2 (CONNACK); 3.1.1's CONNACK codes come translated from paho
NO_SUBSCRIBERS = 0x10  # success for the broker; nobody has it
ROW_CODES = frozenset((0x90, 0x99))  # topic name invalid, payload format invalid: these bytes will never be taken
# Not authorized, banned, bad user name or password, bad method, client id or version refused, packet too large,
# retain or QoS not supported, server moved, another client took our id: a person must put something right.
BLOCKING_CODES = frozenset((0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E, 0x95, 0x9A, 0x9B, 0x9D))
# What paho lets through when a packet makes no sense; the connection is over then.
_UNREADABLE = (MQTTException, AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error)
ENVELOPE_TYPE = "application/cose"
AVERAGE_TYPE = "application/json"

_log = logging.getLogger(__name__)


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


class MqttSink:
    """ports.Sink. One connection at a time, served by the thread that delivers; nothing of it runs beside."""

    def __init__(self, name: str, gateway: str, settings: MqttSettings, clock: Clock) -> None:
        self.name = name
        self.window = WINDOW
        self._gateway, self._settings, self._clock = gateway, settings, clock
        self._connection: _Connection | None = None
        self._counters = {"connections_total": 0, "published_total": 0, "no_subscriber_total": 0}
        self._has_warned = False

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Publish a window and wait for its PUBACKs. Raises as ports.Sink.deliver."""
        connection = self._connected()
        rows = rows[: connection.window]
        mids: list[int] = []
        fault: DeliveryError | None = None
        try:
            for row in rows:
                mids.append(connection.publish(self._topic(row), row.body, self._properties(row)))
            connection.wait_for(mids)
        except DeliveryError as error:
            fault = error
            self._drop()
        self._counters["published_total"] += len(mids)
        receipts: list[Receipt] = []
        for row, mid in zip(rows, mids, strict=False):  # fewer were published where the connection was lost
            code = connection.code_of(mid)
            if code is None:
                break
            refusal = self._judge(row, code, connection)
            if refusal is not None:
                fault = fault or refusal
                break  # the others go out again behind it: order before traffic
            receipts.append(Receipt(row.id, self.name, self._proof(row, mid, code), self._clock.utc_ms()))
        if fault is not None and not receipts:
            raise fault
        return receipts

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """Neither an envelope nor an average can be divided."""
        return ()

    def tend(self) -> bool:
        """Be there, so that the status topic says so: answer pings, and connect again when the broker has gone."""
        if self._connection is not None:
            self._connection.tend()
        self._connected()
        return True

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return dict(self._counters)

    def close(self) -> None:
        """Say good-bye: the status becomes "offline" by our own word."""
        if self._connection is not None:
            self._connection.say_goodbye(self._status_topic, self._status("offline"))
            self._drop()

    def check(self) -> str:
        """For `doctor`: connect with an id of its own, in one sentence. Raises DeliveryError."""
        connection = _Connection(self._settings, f"{self._settings.client_id}-doctor", None)
        try:
            connection.open()
            return f"{self._settings.host}:{self._settings.port} takes us, {connection.peer}"
        finally:
            connection.drop()

    @property
    def _status_topic(self) -> str:
        return f"{self._settings.root_topic}/{self._gateway}/status"

    def _status(self, word: str) -> bytes:
        return json.dumps({"gateway": self._gateway, "status": word, "utc_ms": self._clock.utc_ms()}).encode()

    def _topic(self, row: OutboxRow) -> str:
        branch = f"{self._settings.root_topic}/{self._gateway}/{row.module}/{row.kind}"
        return f"{branch}/{dict(row.attributes)['interval']}" if row.kind == "average" else branch

    def _properties(self, row: OutboxRow) -> Properties | None:
        if not self._settings.is_v5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types there
        properties.ContentType = ENVELOPE_TYPE if row.kind == "envelope" else AVERAGE_TYPE
        properties.UserProperty = list(row.attributes)
        return properties

    def _judge(self, row: OutboxRow, code: int, connection: _Connection) -> DeliveryError | None:
        if code == NO_SUBSCRIBERS:
            self._counters["no_subscriber_total"] += 1
            if not self._has_warned:
                _log.warning("no_subscribers sink=%s topic=%s", self.name, self._topic(row))
            self._has_warned = True
        elif code < 0x80:
            self._has_warned = False
        elif code in ROW_CODES:
            return FinalDelivery(f"PUBACK 0x{code:02x} for {row.key}")
        elif code in BLOCKING_CODES:
            return BlockedDelivery(f"PUBACK 0x{code:02x} on {self._topic(row)}; check the rights of {connection.words}")
        else:
            return RetryableDelivery(f"PUBACK 0x{code:02x} on {self._topic(row)}")
        return None

    def _proof(self, row: OutboxRow, mid: int, code: int) -> bytes:
        proof = {"broker": f"{self._settings.host}:{self._settings.port}", "topic": self._topic(row)}
        return json.dumps({"puback": code, "packet_id": mid} | proof, sort_keys=True).encode()

    def _connected(self) -> _Connection:
        if self._connection is not None and self._connection.is_up:
            return self._connection
        self._drop()
        connection = _Connection(
            self._settings, self._settings.client_id, (self._status_topic, self._status("offline"))
        )
        try:
            connection.open()
            online = connection.publish(self._status_topic, self._status("online"), None, is_retained=True)
            connection.wait_for([online])
            code = connection.code_of(online)
            if code is not None and code >= 0x80:
                raise BlockedDelivery(f"PUBACK 0x{code:02x} on {self._status_topic}; check the rights of this client")
        except DeliveryError:
            connection.drop()
            raise
        self._connection = connection
        self._counters["connections_total"] += 1
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._connection = None


class _TidySocket(ssl.SSLSocket):
    """Closed when its handshake fails; paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class _Connection:
    """One connection from CONNECT to its end; afterwards a new one is made.

    paho's own thread is not used: it would wait for its queue before it ends, and there must be no queue but ours.
    """

    def __init__(self, settings: MqttSettings, client_id: str, will: tuple[str, bytes] | None) -> None:
        self._settings = settings
        self._connected: tuple[int, str] | None = None  # CONNACK: code, words
        self._lost = ""
        self._lost_code = 0  # of DISCONNECT, MQTT 5.0 section 3.14.2.1
        self._has_qos1 = True
        self._codes: dict[int, int] = {}
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
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)

    @property
    def is_up(self) -> bool:
        """CONNACK came and the connection was not lost since."""
        return self._connected is not None and not self._lost

    @property
    def peer(self) -> str:
        """Version of TLS and end of the broker's certificate."""
        stream = self._client.socket()
        return peer_of(stream) if isinstance(stream, ssl.SSLSocket) else "without TLS"

    def open(self) -> None:
        """Connect and wait for CONNACK. Raises BlockedDelivery, RetryableDelivery."""
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
        self._serve(lambda: self._connected is not None, "CONNACK")
        code, words = self._connected or (0, "")
        if code in BLOCKING_CODES:
            raise BlockedDelivery(f"{where}: refuses {self.words}: {words}")
        if code >= 0x80:
            raise RetryableDelivery(f"{where}: {words}")
        if not self._has_qos1:
            raise BlockedDelivery(f"{where}: offers QoS 0 only, which proves no delivery; name another broker")

    def publish(self, topic: str, body: bytes, properties: Properties | None, is_retained: bool = False) -> int:
        """Hand one publication to paho; its packet id. No proof of anything. Raises RetryableDelivery."""
        info = self._client.publish(topic, body, qos=1, retain=is_retained, properties=properties)
        if info.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_AGAIN):
            raise RetryableDelivery(f"{self._settings.host}: {self._lost or mqtt.error_string(info.rc)}")
        return info.mid

    def wait_for(self, mids: Sequence[int]) -> None:
        """Until all of these packets are answered. Raises RetryableDelivery and BlockedDelivery when one is not."""
        self._serve(lambda: all(mid in self._codes for mid in mids), "PUBACK")

    def code_of(self, mid: int) -> int | None:
        """The reason code of a packet's PUBACK, asked once; None when none has come."""
        return self._codes.pop(mid, None)

    def tend(self) -> None:
        """What has come, and a ping when it is time."""
        self._turn(0.0)

    def say_goodbye(self, topic: str, body: bytes) -> None:
        """A last retained word and DISCONNECT, if the connection still stands."""
        try:
            mid = self.publish(topic, body, None, is_retained=True)
            self._serve(lambda: mid in self._codes, "PUBACK", GOODBYE_S)
        except DeliveryError:
            return
        self._client.disconnect()

    def drop(self) -> None:
        """End it; nothing of its memory is used again. Without a good-bye the broker sends our last will."""
        # Without our methods in it nothing holds the client: its two inner sockets close now, not at some collection.
        self._client.on_connect = self._client.on_disconnect = self._client.on_publish = None
        stream = self._client.socket()
        if stream is not None:
            stream.close()

    def _serve(self, is_there: Callable[[], bool], what: str, timeout_s: float | None = None) -> None:
        deadline_s = time.monotonic() + (ANSWER_S if timeout_s is None else timeout_s)
        while not is_there():
            left_s = deadline_s - time.monotonic()
            self._turn(max(0.0, left_s))
            if is_there():
                return
            if self._lost_code in BLOCKING_CODES:
                raise BlockedDelivery(f"{self._settings.host}: {self._lost}")
            if self._lost or left_s <= 0:
                raise RetryableDelivery(f"{self._settings.host}: {self._lost or f'no {what} in time'}")

    def _turn(self, timeout_s: float) -> None:
        try:
            code = self._client.loop(timeout_s)
        except _UNREADABLE as error:
            self._lost = self._lost or f"unreadable packet: {type(error).__name__}"
            return
        if code != mqtt.MQTT_ERR_SUCCESS:
            self._lost = self._lost or mqtt.error_string(code)

    def _log_in(self) -> None:
        settings = self._settings
        if settings.ca_file is not None:
            try:
                context = trusting(settings.ca_file)
                context.sslsocket_class = _TidySocket
                if settings.cert_file is not None:
                    context.load_cert_chain(settings.cert_file, settings.key_file)
            except (ConfigError, OSError, ssl.SSLError) as error:
                raise BlockedDelivery(f"certificates of this client: {error}") from error
            self._client.tls_set_context(context)
        if settings.username is not None:
            password = None
            if settings.password_file is not None:
                try:
                    password = settings.password_file.read_text(encoding="utf-8").strip()
                except OSError as error:
                    raise BlockedDelivery(f"{settings.password_file}: cannot be read: {error.strerror}") from error
            self._client.username_pw_set(settings.username, password)

    # Called inside loop(), in the same thread

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        limit = getattr(properties, "ReceiveMaximum", None)
        if isinstance(limit, int) and limit > 0:
            self.window = min(WINDOW, limit)
        self._has_qos1 = getattr(properties, "MaximumQoS", 1) != 0
        self._connected = (code.value, str(code))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._lost, self._lost_code = f"connection lost: {code}", code.value

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        self._codes[mid] = code.value
