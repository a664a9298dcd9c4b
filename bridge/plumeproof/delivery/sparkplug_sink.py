"""A broker as a sink for Sparkplug hosts: the averages of every module as an edge node's metrics (sparkplug_node.py).

Sparkplug publishes with QoS 0, which proves nothing. So each window ends with one publication of our own with QoS 1,
on ROOT/gateway/sparkplug: brokers read a connection in order, and its PUBACK shows that all before it was read. That
closes the rows. It does not show that a host has them: a host that misses a number in `seq` asks for a rebirth and gets
the present again; the past is in the other forms. The last will is NDEATH, so this sink has a connection of its own and
no retained status. It listens to NCMD and obeys one command, Rebirth; the others are counted.

    sink = SparkplugSink("scada", "gateway-01", "plumeproof", settings, clock, births)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from plumeproof import __version__
from plumeproof.delivery.certificates import CertificateWatch
from plumeproof.delivery.mqtt_connection import BLOCKING_CODES, WINDOW, Connection, MqttSettings
from plumeproof.delivery.mqtt_publication import AVERAGE_TYPE, Publication
from plumeproof.delivery.sparkplug_node import REBIRTH, SEQS, SparkplugNode
from plumeproof.delivery.sparkplug_payload import parse_command
from plumeproof.errors import BlockedDelivery, DeliveryError, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock, Outbox

REBIRTH_REST_S = 5.0  # hosts may ask all at once; one answer serves them
DEATH_AFTER_S = 180.0  # a line may be replugged, and its last averages come 150 s later (sealing period and grace)
BIRTHS = "sparkplug_births"  # in the cursor table: the newest bdSeq

_log = logging.getLogger(__name__)


class BirthNumbers:
    """bdSeq of the connections of one sink, over restarts: 0 first, then one more each, 0 again after 255."""

    def __init__(self, outbox: Outbox, sink: str) -> None:
        self._outbox, self._sink = outbox, sink

    def next(self) -> int:
        """Of the connection that is to be made."""
        newest = self._outbox.cursor(BIRTHS, self._sink)
        return 0 if newest is None else (newest + 1) % SEQS

    def use(self, number: int) -> None:
        """It stands in a CONNECT that was sent. Raises StoreError."""
        self._outbox.enqueue((), BIRTHS, self._sink, number)


class Modules(Protocol):
    """What a birth needs to know of the modules."""

    def newest(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """(module, content of report.build_average) of the newest average of every channel and interval."""

    def is_reached(self, module: str) -> bool:
        """Its line is up."""


class SparkplugSink:
    """ports.Sink. One connection at a time, served by the thread that delivers."""

    def __init__(
        self,
        name: str,
        gateway: str,
        group: str,
        settings: MqttSettings,
        clock: Clock,
        births: BirthNumbers,
        modules: Modules,
        kid: str | None = None,
    ) -> None:
        self.name = name
        self.window = WINDOW
        self._settings, self._clock, self._births = settings, clock, births
        self._modules = modules
        self._progress = f"{settings.root_topic}/{gateway}/sparkplug"
        self._node = SparkplugNode(group, gateway, __version__, kid)
        self._connection: Connection | None = None
        self._certificates = CertificateWatch(name, clock)
        self._lost_since_s: dict[str, float] = {}  # born devices that nobody reaches, on the monotonic clock
        self._is_asked = False  # for a rebirth
        self._reborn_at_s: float | None = None
        self._counters = dict.fromkeys(
            (
                "connections_total",
                "published_total",
                "births_total",
                "rebirths_total",
                "commands_ignored_total",
                "heard_total",
                "heard_dropped_total",
            ),
            0,
        )

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Say a window, and prove it. Raises as ports.Sink.deliver."""
        connection = self._connected()
        try:
            said: list[Publication] = []
            for row in rows:
                said += self._node.data(row.module, json.loads(row.body), row.is_replay, self._clock.utc_ms())
            mid, code = self._say(connection, said)
        except DeliveryError:
            self._drop()  # a new connection says everything anew
            raise
        proof = {
            "broker": f"{self._settings.host}:{self._settings.port}",
            "topic": said[-1].topic,
            "bdSeq": self._node.bd_seq,
            "seq": self._node.seq,
            "puback": code,
            "packet_id": mid,
        }
        content = json.dumps(proof, sort_keys=True).encode()
        return [Receipt(row.id, self.name, content, self._clock.utc_ms()) for row in rows]

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """An average cannot be divided."""
        return ()

    def tend(self) -> bool:
        """Be there; hear what hosts ask for; say which modules live."""
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
        heard = {} if self._connection is None else self._connection.counters
        heard = {name: self._counters[name] + count for name, count in heard.items()}
        return {**self._counters, **heard, **self._certificates.counters()}

    def close(self) -> None:
        """NDEATH by our own word, then DISCONNECT."""
        if self._connection is not None:
            self._connection.say_goodbye(self._node.death(self._clock.utc_ms()))
            self._drop()

    def _connected(self) -> Connection:
        """The connection, with everything said on it that is not in a row."""
        try:
            connection = self._connection
            if connection is None or not connection.is_up:
                self._drop()
                connection = self._connection = self._open()
            said = self._answers(connection) + self._presence()
            if said:
                self._say(connection, said)
        except DeliveryError:
            self._drop()
            raise
        return connection

    def _open(self) -> Connection:
        now = self._clock.utc_ms()
        number = self._births.next()
        connection = Connection(self._settings, self._settings.client_id, self._node.begin(number, now))
        try:
            connection.open(lambda: self._births.use(number))
            connection.listen(self._node.commands)
            for module, average in self._modules.newest():
                self._node.learn(module, average)
            self._lost_since_s = {}
            self._is_asked = False
            self._say(connection, self._node.birth(now))
        except BaseException:
            connection.drop()
            raise
        self._counters["connections_total"] += 1
        return connection

    def _answers(self, connection: Connection) -> list[Publication]:
        """What hosts ask for. Whoever may publish there can make us say again what we have said, no more."""
        for raw in connection.take_heard():
            try:
                commands = parse_command(raw)
            except ValueError:
                commands = ()
            asks = [name for name, value in commands if name == REBIRTH and value is True]
            self._is_asked = self._is_asked or bool(asks)
            self._counters["commands_ignored_total"] += max(1, len(commands)) - len(asks)
        now_s = self._clock.monotonic_s()
        is_too_soon = self._reborn_at_s is not None and now_s - self._reborn_at_s < REBIRTH_REST_S
        if not self._is_asked or is_too_soon:
            return []
        self._is_asked, self._reborn_at_s = False, now_s
        self._counters["rebirths_total"] += 1
        return self._node.birth(self._clock.utc_ms())

    def _presence(self) -> list[Publication]:
        """Births of modules that are reached, deaths of those that have not been for a while."""
        now, now_s = self._clock.utc_ms(), self._clock.monotonic_s()
        said = []
        for module in self._node.known:
            is_born, is_reached = module in self._node.born, self._modules.is_reached(module)
            if is_reached or not is_born:
                self._lost_since_s.pop(module, None)
            if is_reached and not is_born:
                said.append(self._node.device_birth(module, now))
            elif is_born and not is_reached:
                since_s = self._lost_since_s.setdefault(module, now_s)
                if now_s - since_s >= DEATH_AFTER_S:
                    said.append(self._node.device_death(module, now))
                    _log.warning("sparkplug_device_death sink=%s module=%s", self.name, module)
        return said

    def _say(self, connection: Connection, said: Sequence[Publication]) -> tuple[int, int]:
        """Publish, and prove that it was read; packet id and reason code of the proof."""
        where = f"{self._settings.host}:{self._settings.port}"
        for one in said:
            if connection.is_too_large(one):
                raise BlockedDelivery(f"{where}: {len(one.body)} bytes on {one.topic} are more than the broker takes")
            connection.publish(one)
        state = {"bdSeq": self._node.bd_seq, "seq": self._node.seq, "utc_ms": self._clock.utc_ms()}
        mid = connection.publish(Publication(self._progress, json.dumps(state).encode(), AVERAGE_TYPE))
        connection.wait_for([mid])
        code = connection.code_of(mid) or 0
        if code in BLOCKING_CODES:
            raise BlockedDelivery(f"PUBACK 0x{code:02x} on {self._progress}; check the rights of {connection.words}")
        if code >= 0x80:
            raise RetryableDelivery(f"PUBACK 0x{code:02x} on {self._progress}")
        self._counters["published_total"] += len(said)
        self._counters["births_total"] += sum("BIRTH/" in one.topic for one in said)
        return mid, code

    def _drop(self) -> None:
        if self._connection is not None:
            for name, count in self._connection.counters.items():
                self._counters[name] += count
            self._connection.drop()
            self._connection = None
