"""A broker as a sink: QoS 1. A row is proven by its PUBACK and nothing else.

A connection serves until it is lost and is thrown away with what paho still held: what was not acknowledged is in the
outbox and is published again, in order (mqtt_connection.py). The gateway's status is retained, "online" or, by the last
will, "offline". Two sinks of one broker need two client ids.

    sink = MqttSink("plant-broker", "gateway-01", settings, clock)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from plumeproof import __version__
from plumeproof.delivery.certificates import CertificateWatch
from plumeproof.delivery.mqtt_connection import BLOCKING_CODES, WINDOW, Connection, MqttSettings
from plumeproof.delivery.mqtt_publication import OFFLINE, ONLINE, Publication, Speaker, publication_of, status_of
from plumeproof.errors import BlockedDelivery, DeliveryError, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

LONGEST_S = 60.0  # cap of the back-off: a broker is near, and a look a minute costs it nothing

# MQTT 5.0 section 3.4.2.1
NO_SUBSCRIBERS = 0x10  # success for the broker; nobody has it
ROW_CODES = frozenset((0x90, 0x99))  # topic name invalid, payload format invalid: these bytes will never be taken

_log = logging.getLogger(__name__)


class MqttSink:
    """ports.Sink. One connection at a time, served by the thread that delivers; nothing of it runs beside."""

    def __init__(self, name: str, gateway: str, settings: MqttSettings, clock: Clock, kid: str | None = None) -> None:
        """`kid`: of the gateway's own key, for the status."""
        self.name = name
        self.window = WINDOW
        self._settings, self._clock = settings, clock
        self._speaker = Speaker(settings.root_topic, gateway, __version__, kid)
        self._connection: Connection | None = None
        self._online_since_utc_ms = 0
        self._anchor_id = 0  # row of the newest anchor that was said
        self._counters = {"connections_total": 0, "published_total": 0, "no_subscriber_total": 0}
        self._has_warned = False
        self._certificates = CertificateWatch(name, clock)

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Publish a window and wait for its PUBACKs. Raises as ports.Sink.deliver."""
        connection = self._connected()
        rows = rows[: connection.window]
        mids: list[int] = []
        fault: DeliveryError | None = None
        try:
            for row in rows:
                one = publication_of(row, self._speaker, self._anchor_id)
                if connection.is_too_large(one):
                    fault = FinalDelivery(f"{len(one.body)} bytes for {row.key} are more than the broker takes")
                    break
                mids.append(connection.publish(one))
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
                fault = refusal  # whatever befell those behind it
                break  # the others go out again behind it: order before traffic
            receipts.append(Receipt(row.id, self.name, self._proof(row, mid, code), self._clock.utc_ms()))
        proven = {receipt.outbox_id for receipt in receipts}
        self._anchor_id = max([self._anchor_id, *(row.id for row in rows if row.kind == "anchor" and row.id in proven)])
        if fault is not None:
            fault.receipts = receipts
            raise fault
        return receipts

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """Neither an envelope nor an average can be divided."""
        return ()

    def tend(self) -> bool:
        """Be there, so that the status topic says so: answer pings, and connect again when the broker has gone."""
        if self._connection is not None:
            try:
                self._connection.tend()
            except DeliveryError:
                self._drop()  # and a rest before the next: who drops us at once is not asked at once
                raise
        self._connected().show(self._certificates)
        return True

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return {**self._counters, **self._certificates.counters()}

    def close(self) -> None:
        """Say good-bye: the status becomes "offline" by our own word."""
        if self._connection is not None:
            since = self._clock.utc_ms()
            self._connection.say_goodbye(status_of(self._speaker, OFFLINE, since, self._online_since_utc_ms))
            self._drop()

    def _judge(self, row: OutboxRow, code: int, connection: Connection) -> DeliveryError | None:
        topic = publication_of(row, self._speaker, self._anchor_id).topic
        if code == NO_SUBSCRIBERS:
            self._counters["no_subscriber_total"] += 1
            if not self._has_warned:
                _log.warning("no_subscribers sink=%s topic=%s", self.name, topic)
            self._has_warned = True
        elif code < 0x80:
            self._has_warned = False
        elif code in ROW_CODES:
            return FinalDelivery(f"PUBACK 0x{code:02x} for {row.key}")
        elif code in BLOCKING_CODES:
            return BlockedDelivery(f"PUBACK 0x{code:02x} on {topic}; check the rights of {connection.words}")
        else:
            return RetryableDelivery(f"PUBACK 0x{code:02x} on {topic}")
        return None

    def _proof(self, row: OutboxRow, mid: int, code: int) -> bytes:
        proof = {
            "broker": f"{self._settings.host}:{self._settings.port}",
            "topic": publication_of(row, self._speaker, self._anchor_id).topic,
        }
        return json.dumps({"puback": code, "packet_id": mid} | proof, sort_keys=True).encode()

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.is_up:
            return self._connection
        self._drop()
        now = self._clock.utc_ms()
        connection = Connection(self._settings, self._settings.client_id, status_of(self._speaker, OFFLINE, None, now))
        try:
            connection.open()
            self._say(connection, status_of(self._speaker, ONLINE, now, now))
        except DeliveryError:
            connection.drop()
            raise
        self._connection = connection
        self._online_since_utc_ms = now
        self._counters["connections_total"] += 1
        return connection

    def _say(self, connection: Connection, one: Publication) -> None:
        mid = connection.publish(one)
        connection.wait_for([mid])
        code = connection.code_of(mid)
        if code is not None and code >= 0x80:
            raise BlockedDelivery(f"PUBACK 0x{code:02x} on {one.topic}; check the rights of this client")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._connection = None
