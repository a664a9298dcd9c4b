"""What a broker gets from a running stage, on real mosquitto: forms, replay topics, what is retained; and what may come
in, against a broker that does as told."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from dataclasses import replace

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from plumeproof import __version__
from plumeproof.delivery.lanes import LaneRule
from plumeproof.delivery.mqtt_connection import INBOUND_MAX_BYTES, INBOUND_PER_S_MAX, Connection
from plumeproof.delivery.mqtt_publication import Publication
from plumeproof.delivery.mqtt_sink import LONGEST_S, MqttSink
from plumeproof.delivery.senml import build_senml
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import FinalDelivery, RetryableDelivery
from plumeproof.model import NewRow, OutboxRow
from tests.bridge.delivery_bench import Bench
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_delivery_mqtt import (  # noqa: F401 - fixtures
    WAIT_S,
    Listener,
    authority,
    broker,
    envelopes,
    mqtt_settings,
    root,
    wait_for,
)
from tests.doubles.manual_clock import ManualClock
from tests.doubles.told_broker import ToldBroker

KID = "0f" * 16


@pytest.fixture
def line(tmp_path, broker, authority, root):  # noqa: F811 - fixtures
    listener = Listener(broker, authority, root)
    found = mqtt_settings(broker, authority, root)
    bench = Bench(tmp_path / "ledger.sqlite", lambda clock: MqttSink("broker", "gw-1", found, clock, KID), LONGEST_S)
    rule = LaneRule(live_for_s=300.0, rows_per_s=10_000.0, replay_rows_per_s=10_000.0)
    bench.stage = DeliveryStage(bench.sink, bench.outbox, bench.clock, LONGEST_S, lanes=rule)
    yield bench, listener
    bench.close()
    listener.close()


def test_the_past_has_topics_of_its_own_and_each_lane_its_order(line, root):  # noqa: F811
    bench, listener = line
    bench.add(*envelopes(130), *envelopes(130, "plume-02"))
    bench.clock.advance(3_600.0)
    bench.add(*envelopes(30, first=131))
    bench.run()
    wait_for(lambda: len(listener.bodies("envelope")) == 290)
    topics = [topic for topic, _, _ in listener.heard if topic.endswith("envelope")]
    assert topics[:20] == [f"{root}/gw-1/plume-01/envelope"] * 20  # the present first
    for module, count in (("plume-01", 130), ("plume-02", 130)):
        assert listener.bodies(f"{module}/replay/envelope") == [row.body for row in envelopes(count, module)]
    assert listener.bodies("plume-01/envelope") == [row.body for row in envelopes(30, first=131)]
    assert {json.loads(proof)["topic"].split("/", 3)[3] for proof in bench.proofs()} == {"envelope", "replay/envelope"}


def test_senml_is_a_form_beside_the_others(line, root):  # noqa: F811
    bench, listener = line
    body = build_senml("gw-1", 7, replace(AVERAGE, maximum=4.0))
    attributes = {"interval": "60", "view": "senml"}
    bench.add(NewRow("broker", "plume-01", "average", "senml/7", body, attributes=attributes))
    bench.run()
    wait_for(lambda: listener.bodies("senml"))
    topic, heard, pairs = listener.heard[-1]
    assert (topic, heard, pairs) == (f"{root}/gw-1/plume-01/senml/60", body, attributes)


def test_the_status_says_who_and_since_when(line, broker, authority, root):  # noqa: F811
    bench, listener = line
    begin_ms = bench.clock.utc_ms()
    bench.step()
    wait_for(lambda: listener.statuses() == ["online"])
    bench.sink._connection.drop()  # as a kill would
    wait_for(lambda: listener.statuses() == ["online", "offline"])
    bench.clock.advance(3_600.0)
    wait_for(lambda: (bench.step(), listener.statuses()[-1])[1] == "online")
    bench.clock.advance(3_600.0)
    bench.stage.close()
    wait_for(lambda: listener.statuses()[-1] == "offline")
    found = [json.loads(payload) for topic, payload, _ in listener.heard if topic == f"{root}/gw-1/status"]
    assert {tuple(sorted(one)) for one in found} == {
        ("gateway", "kid", "online_since_utc_ms", "since_utc_ms", "status", "version")
    }
    assert {(one["gateway"], one["kid"], one["version"]) for one in found} == {("gw-1", KID, __version__)}
    hours = [
        tuple(
            None if one[key] is None else (one[key] - begin_ms) // 3_600_000
            for key in ("since_utc_ms", "online_since_utc_ms")
        )
        for one in found
    ]
    assert hours == [(0, 0), (None, 0), (1, 1), (2, 1)]  # nobody knows when a will is said


def test_the_newest_anchor_is_retained_and_a_late_one_is_not(line, broker, authority, root):  # noqa: F811
    bench, listener = line
    bench.add(NewRow("broker", "gw-1", "anchor", "anchor/0", b"zero"))
    bench.clock.advance(3_600.0)
    bench.run()  # late, and the newest there is
    bench.add(NewRow("broker", "gw-1", "anchor", "anchor/1", b"first"))
    bench.clock.advance(3_600.0)
    bench.add(NewRow("broker", "gw-1", "anchor", "anchor/2", b"second"))
    bench.run()
    wait_for(lambda: len(listener.bodies("anchor")) == 3)
    assert [(topic, body) for topic, body, _ in listener.heard if topic.endswith("anchor")] == [
        (f"{root}/gw-1/anchor", b"zero"),
        (f"{root}/gw-1/anchor", b"second"),
        (f"{root}/gw-1/replay/anchor", b"first"),
    ]
    later = Listener(broker, authority, root)
    wait_for(lambda: len(later.retained) >= 2)
    assert [body for topic, body in later.retained if topic.endswith("anchor")] == [b"second"]
    later.close()


def test_a_row_that_the_broker_finds_too_large_is_set_aside_and_the_others_go(tmp_path, root):  # noqa: F811
    told = ToldBroker(more=b"\x27\x00\x00\x02\x00")  # maximum packet size 512
    found = mqtt_settings(told, None, root[:20])
    connection = Connection(found, "c", None)
    connection.open()
    for size in range(300, 512):
        one = Publication("t" * 40, b"x" * size, "application/cose", (("seq", "1"),))
        rest = 2 + 40 + 2 + size + 1 + (3 + 16) + (1 + 2 + 3 + 2 + 1)  # MQTT 5.0 section 3.3.2
        assert connection.is_too_large(one) == (1 + 2 + rest > 512)
    connection.drop()
    bench = Bench(tmp_path / "ledger.sqlite", lambda clock: MqttSink("broker", "gw-1", found, clock), LONGEST_S)
    large = replace(envelopes(1)[0], key="large", body=bytes(600))
    bench.add(*envelopes(3), large, *envelopes(3, first=4))
    bench.run()
    assert bench.states() == {"closed": 6, "quarantined": 1} and bench.sink.counters()["connections_total"] == 1
    assert {type(error) for error in bench.errors} <= {FinalDelivery, RetryableDelivery}
    bench.close()
    told.close()


class Talking(ToldBroker):
    """Sends `talk` after each SUBACK."""

    talk = b""

    def _serve(self, stream) -> None:
        while packet := self._packet(stream):
            if packet[0] >> 4 == 1:
                stream.sendall(b"\x20\x02\x00\x00" if self.is_311 else b"\x20\x03\x00\x00\x00")
            elif packet[0] >> 4 == 8:
                code = b"\x90\x03" + packet[1][:2] + b"\x00"
                stream.sendall(code if self.is_311 else b"\x90\x04" + packet[1][:2] + b"\x00\x00")
                stream.sendall(self.talk)


def publish(topic: bytes, body: bytes, is_311: bool, first: int = 0x30) -> bytes:
    rest = struct.pack(">H", len(topic)) + topic + (b"" if is_311 else b"\x00") + body
    length, size = b"", len(rest)
    while True:
        size, low = size >> 7, size & 0x7F
        length += bytes((low | (0x80 if size else 0),))
        if not size:
            return bytes((first,)) + length + rest


@pytest.mark.parametrize("is_311", [False, True])
def test_what_comes_in_is_bounded(root, is_311):  # noqa: F811
    told = Talking()
    told.is_311 = is_311
    found = mqtt_settings(told, None, root[:20], is_v5=not is_311)
    header = 2 + 1 + (0 if is_311 else 1)

    def hear(talk: bytes, expected: int) -> tuple[list[bytes], Connection]:
        told.talk = talk
        connection = Connection(found, "c", None)
        connection.open()
        connection.listen("c")
        heard: list[bytes] = []

        def has_come() -> bool:
            with contextlib.suppress(RetryableDelivery):
                connection.tend()
            heard.extend(connection.take_heard())
            return not connection.is_up or connection.counters["heard_total"] >= expected

        wait_for(has_come)
        connection.drop()
        return heard, connection

    for size, is_taken in ((INBOUND_MAX_BYTES, True), (INBOUND_MAX_BYTES + 1, False)):
        heard, connection = hear(publish(b"c", bytes(size - header - 4), is_311), 1)
        assert len(heard) == is_taken
    huge = b"\x30\xff\xff\xff\x7f" + bytes(100)  # claims 256 MiB
    heard, connection = hear(huge, 1)
    assert heard == [] and "268435460 bytes" in connection._lost
    others = publish(b"d", b"x", is_311) + publish(b"c" * 513, b"x", is_311) + publish(b"c", b"old", is_311, 0x31)
    heard, connection = hear(others + publish(b"c", b"y", is_311), 4)
    assert heard == [b"y"] and connection.counters == {"heard_total": 4, "heard_dropped_total": 3}
    many = INBOUND_PER_S_MAX * 3
    heard, connection = hear(publish(b"c", b"y", is_311) * many, many)
    assert INBOUND_PER_S_MAX <= len(heard) <= 2 * INBOUND_PER_S_MAX  # one second, or the end of one and another
    told.close()


def test_nothing_is_heard_by_the_sink_that_listens_to_nothing(broker, authority, root):  # noqa: F811
    sink = MqttSink("broker", "gw-1", mqtt_settings(broker, authority, root), ManualClock())
    sink.tend()
    done = threading.Event()
    other = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"other-{root}", protocol=mqtt.MQTTv5)
    other.tls_set(str(authority / "ca.pem"), str(authority / "client.pem"), str(authority / "client.key"))
    other.on_publish = lambda *_: done.set()
    other.connect(broker.host, broker.port)
    other.loop_start()
    other.publish(f"{root}/gw-1/plume-01/envelope", b"x", 1)
    assert done.wait(WAIT_S)
    row = OutboxRow(1, "broker", "m", "envelope", "e", b"raw", (("seq", "1"),), 0, 0)
    assert len(sink.deliver([row])) == 1 and sink._connection.counters["heard_total"] == 0
    sink.close()
    other.disconnect()
    other.loop_stop()
