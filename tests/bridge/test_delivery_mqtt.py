"""The MQTT sink against a real mosquitto with TLS and client certificates, and against a broker that does as told."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import signal
import socket
import struct
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from plumeproof.delivery.mqtt_sink import LONGEST_S, WINDOW, MqttSettings, MqttSink
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import NewRow, OutboxRow
from tests.bridge.delivery_bench import Bench
from tests.bridge.test_delivery_https import closed_doors
from tests.doubles.manual_clock import ManualClock
from tests.doubles.told_broker import ToldBroker
from tools import test_ca
from tools.broker import Broker

WAIT_S = 20.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    test_ca.make(folder)
    return folder


@pytest.fixture(scope="module")
def broker(tmp_path_factory, authority):
    found = Broker(tmp_path_factory.mktemp("broker"), authority, choice="mosquitto")
    found.start()
    yield found
    found.stop()


class Listener:
    """A subscriber of its own with a kept session. `heard`: (topic, payload, user properties), in order."""

    def __init__(self, broker: Broker, authority: Path, root: str) -> None:
        self.heard: list[tuple[str, bytes, dict[str, str]]] = []
        self.retained: list[tuple[str, bytes]] = []
        self._is_there = threading.Event()
        self._root = root
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{root}", protocol=mqtt.MQTTv5)
        self._client.tls_set(str(authority / "ca.pem"), str(authority / "client.pem"), str(authority / "client.key"))
        self._client.on_connect = lambda client, *_: client.subscribe(f"{root}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._is_there.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        self._client.connect(broker.host, broker.port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._is_there.wait(WAIT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def bodies(self, kind: str) -> list[bytes]:
        return [payload for topic, payload, _ in self.heard if f"/{kind}" in topic]

    def statuses(self) -> list[str]:
        return [json.loads(payload)["status"] for topic, payload, _ in self.heard if topic.endswith("/status")]

    def _on_message(self, _client, _data, message) -> None:
        pairs = getattr(message.properties, "UserProperty", [])
        self.heard.append((message.topic, bytes(message.payload), dict(pairs)))
        if message.retain:
            self.retained.append((message.topic, bytes(message.payload)))


def mqtt_settings(broker, authority: Path | None, root: str, **changed) -> MqttSettings:
    files = dict.fromkeys(("ca_file", "cert_file", "key_file"))
    if authority is not None:
        files = {"ca_file": authority / "ca.pem", "cert_file": authority / "client.pem"}
        files["key_file"] = authority / "client.key"
    values = {
        "host": broker.host, "port": broker.port, "root_topic": root, "is_v5": True, "client_id": f"bridge-{root}",
        "keepalive_s": 60, "username": None, "password_file": None, **files,
    }  # fmt: skip
    return MqttSettings(**(values | changed))


def sink_of(found: MqttSettings):
    return lambda clock: MqttSink("broker", "gw-1", found, clock)


def envelopes(count: int, module: str = "plume-01", first: int = 1) -> list[NewRow]:
    return [
        NewRow(
            "broker", module, "envelope", f"envelope/{module}/{seq}", b"raw %d\x00\xff" % seq,
            attributes={"seq": str(seq), "hash": "ab" * 32, "kid": "cd" * 16},
        )
        for seq in range(first, first + count)
    ]  # fmt: skip


@pytest.fixture
def root(request) -> str:
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def line(tmp_path, broker, authority, root):
    """A bench on the broker, and a listener behind it."""
    listener = Listener(broker, authority, root)
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    yield bench, listener
    bench.close()
    listener.close()


def test_topics_properties_and_status(line, root):
    bench, listener = line
    bench.add(*envelopes(1), NewRow("broker", "plume-01", "average", "average/7", b"{}", attributes={"interval": "60"}))
    bench.run()
    wait_for(lambda: len(listener.heard) >= 3)
    (status, online, _), (topic, raw, pairs), (average, body, more) = listener.heard
    assert (status, json.loads(online)["status"]) == (f"{root}/gw-1/status", "online")
    assert (topic, raw) == (f"{root}/gw-1/plume-01/envelope", b"raw 1\x00\xff")
    assert pairs == {"seq": "1", "hash": "ab" * 32, "kid": "cd" * 16}
    assert (average, body, more) == (f"{root}/gw-1/plume-01/average/60", b"{}", {"interval": "60"})
    assert [json.loads(proof)["puback"] for proof in bench.proofs()] == [0, 0]
    bench.stage.close()
    wait_for(lambda: listener.statuses()[-1] == "offline")


def test_mqtt_3_1_1(line, broker, authority, root):
    bench, listener = line
    bench.make_sink = sink_of(mqtt_settings(broker, authority, root, is_v5=False))
    bench.open()
    bench.add(*envelopes(50))
    bench.run()
    wait_for(lambda: len(listener.bodies("envelope")) == 50)
    assert listener.bodies("envelope") == [row.body for row in envelopes(50)]


def test_order_of_each_module_in_windows(line):
    bench, listener = line
    for number in range(3):
        bench.add(*envelopes(55, f"plume-{number}"))
    bench.run()
    wait_for(lambda: len(listener.bodies("envelope")) == 165)
    for number in range(3):
        assert listener.bodies(f"plume-{number}/envelope") == [row.body for row in envelopes(55)]
    assert bench.sink.counters()["connections_total"] == 1


def test_nobody_listens_counts_as_delivered_and_is_told(tmp_path, broker, authority, root, caplog):
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    bench.add(*envelopes(3))
    bench.run()
    assert bench.states() == {"closed": 3}
    assert [json.loads(proof)["puback"] for proof in bench.proofs()] == [16] * 3
    assert bench.stage.counters()["no_subscriber_total"] == 3
    assert caplog.text.count("no_subscribers") == 1
    bench.close()


def test_a_killed_bridge_is_offline_by_its_last_will(line):
    bench, listener = line
    bench.add(*envelopes(1))
    bench.run()
    wait_for(lambda: listener.statuses() == ["online"])
    bench.sink._connection.drop()  # as a kill would: no DISCONNECT
    wait_for(lambda: listener.statuses() == ["online", "offline"])
    bench.step()
    assert type(bench.errors[0]) is RetryableDelivery and bench.pauses_s[-1] >= 1.0
    assert bench.step() is None  # nothing to deliver: it is there again all the same
    wait_for(lambda: listener.statuses() == ["online", "offline", "online"])


def test_the_status_is_retained(line, broker, authority, root):
    bench, listener = line
    bench.step()
    wait_for(lambda: listener.statuses() == ["online"])
    later = Listener(broker, authority, f"{root}")  # same id: takes the session over and asks again
    wait_for(lambda: later.retained)
    assert json.loads(later.retained[0][1])["status"] == "online"
    later.close()


def test_a_broker_killed_in_mid_flow_is_caught_up_with_in_order(tmp_path, authority, root):
    """Every row ends with a PUBACK. What mosquitto acknowledged in its last turn before the kill it may not have on its
    own disk yet: that is no promise of ours, and the only thing that may be missing behind it."""
    broker = Broker(tmp_path / "broker", authority, choice="mosquitto")
    broker.start()
    listener = Listener(broker, authority, root)
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    bench.add(*envelopes(200))
    bodies = [row.body for row in envelopes(200)]
    unsure: set[bytes] = set()
    for round_number in range(2):
        while len(bench.proofs()) < 80 * (round_number + 1):
            if bench.step() is None:
                bench.clock.advance(5.0)
        broker.kill()
        known = len(bench.proofs())
        unsure.update(bodies[known - WINDOW : known])
        errors = len(bench.errors)
        for _ in range(4):
            bench.step()
            bench.clock.advance(60.0)
        assert len(bench.errors) > errors
        assert {type(error) for error in bench.errors[errors:]} == {RetryableDelivery}
        broker.start()
    bench.run()
    assert bench.states() == {"closed": 200}
    wait_for(lambda: set(listener.bodies("envelope")) >= set(bodies) - unsure)
    first = list(dict.fromkeys(listener.bodies("envelope")))
    assert first == [body for body in bodies if body in first]  # repeats are allowed, another order is not
    bench.close()
    listener.close()
    broker.stop()


def test_a_broker_that_stands_still_is_left_and_found_again(tmp_path, authority, root, monkeypatch):
    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.ANSWER_S", 0.5)
    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.CONNECT_S", 0.5)
    broker = Broker(tmp_path / "broker", authority, choice="mosquitto")
    broker.start()
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    bench.add(*envelopes(5))
    bench.step()
    os.kill(broker.part.pid, signal.SIGSTOP)
    bench.add(*envelopes(30, first=6))
    for _ in range(3):
        bench.step()
        bench.clock.advance(60.0)
    os.kill(broker.part.pid, signal.SIGCONT)
    assert len(bench.errors) == 3 and bench.states() == {"waiting": 30, "closed": 5}
    bench.run()
    assert bench.states() == {"closed": 35}
    bench.close()
    broker.stop()


@pytest.mark.parametrize(
    "name", ["wrong host", "expired", "not yet valid", "a client's certificate", "unknown authority", "self-signed"]
)
def test_a_certificate_that_does_not_hold_fails_closed(tmp_path, authority, root, name):
    certificate, key, word = closed_doors(authority)[name]
    served = tmp_path / "served"
    served.mkdir()
    for source, target in ((authority / "ca.pem", "ca.pem"), (certificate, "server.pem"), (key, "server.key")):
        (served / target).write_bytes(source.read_bytes())
    broker = Broker(tmp_path / "broker", served, choice="mosquitto")
    broker.start()
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    bench.add(*envelopes(2))
    for _ in range(2):
        bench.step()
    assert [type(error) for error in bench.errors] == [BlockedDelivery] * 2
    assert "certificate refused" in str(bench.errors[0]) and word in str(bench.errors[0]).lower()
    assert bench.states() == {"waiting": 2}
    bench.close()
    broker.stop()


def test_without_our_certificate_the_broker_takes_nothing(tmp_path, broker, authority, root):
    bare = mqtt_settings(broker, authority, root, cert_file=None, key_file=None)
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(bare), LONGEST_S)
    bench.add(*envelopes(2))
    bench.step()
    assert isinstance(bench.errors[0], RetryableDelivery | BlockedDelivery)
    assert bench.states() == {"waiting": 2}
    bench.close()


def test_an_expired_client_certificate_takes_nothing(tmp_path, broker, authority, root):
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    pair = test_ca.issue(authority, f"old-{root[:20]}", usage="client", hosts=(), starts=now - 2 * day, ends=now - day)
    old = mqtt_settings(broker, authority, root, cert_file=pair.certificate, key_file=pair.key)
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(old), LONGEST_S)
    bench.add(*envelopes(2))
    bench.step()
    assert isinstance(bench.errors[0], RetryableDelivery | BlockedDelivery)
    assert bench.states() == {"waiting": 2}
    bench.close()


@pytest.mark.parametrize("what", ["ca_file", "cert_file", "password_file"])
def test_a_file_that_is_missing_blocks_and_is_named(tmp_path, broker, authority, root, what):
    changed = {what: tmp_path / "none.pem"} | ({"username": "u"} if what == "password_file" else {})
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root, **changed)), LONGEST_S)
    bench.add(*envelopes(1))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery
    bench.close()


def test_the_days_that_certificates_hold_are_counted(tmp_path, broker, authority, root):
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root)), LONGEST_S)
    bench.sink.tend()
    counters = bench.stage.counters()
    names = ("client_certificate_left_days", "server_certificate_left_days")
    assert [counters[name] for name in names] == [test_ca.DAYS - 1] * 2
    bench.close()


@pytest.mark.parametrize("what", ["key_file", "password_file"])
def test_a_file_that_others_may_read_blocks_and_is_named(tmp_path, broker, authority, root, what):
    copy = tmp_path / "open.pem"
    copy.write_bytes((authority / "client.key").read_bytes())
    changed = {what: copy} | ({"username": "u"} if what == "password_file" else {})
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(broker, authority, root, **changed)), LONGEST_S)
    bench.add(*envelopes(1))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and "chmod 600 open.pem" in str(bench.errors[0])
    bench.close()


def told_bench(tmp_path: Path, told: ToldBroker, root: str) -> Bench:
    return Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(told, None, root)), LONGEST_S)


@pytest.mark.parametrize("code", [0x80, 0x83, 0x91, 0x97])
def test_a_code_that_may_pass_is_tried_again_in_order(tmp_path, root, code):
    told = ToldBroker(0, 0, code, 0, 0, code)  # in the middle of a window, then at its front
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(5))
    bench.run()
    assert [type(error) for error in bench.errors] == [RetryableDelivery] * 2
    assert [len(error.receipts) for error in bench.errors] == [2, 0] and min(bench.pauses_s) >= 1.0
    assert f"0x{code:02x}" in str(bench.errors[0])
    assert bench.states() == {"closed": 5}
    assert len(told.published) == 5 + 3 + 3  # those behind it go out again: order before traffic
    bench.close()
    told.close()


@pytest.mark.parametrize("code", [0x90, 0x99])
def test_a_code_about_the_bytes_takes_the_row_out(tmp_path, root, code):
    told = ToldBroker(0, code)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(4))
    bench.run()
    assert len(told.published) == 4 + 2  # those behind it go out again, it does not
    assert bench.states() == {"closed": 3, "quarantined": 1}
    assert bench.rows("quarantined")[0][0] == "envelope/plume-01/2"
    bench.close()
    told.close()


def test_a_row_that_is_too_large_does_not_condemn_the_one_before_it(tmp_path, root):
    told = ToldBroker(0x97, more=b"\x27" + struct.pack(">I", 1000))  # Maximum Packet Size
    bench = told_bench(tmp_path, told, root)
    large = replace(envelopes(1, first=2)[0], body=bytes(2000))
    bench.add(*envelopes(1), large, *envelopes(1, first=3))
    bench.run()
    assert bench.states() == {"closed": 2, "quarantined": 1}
    assert bench.rows("quarantined")[0][0] == "envelope/plume-01/2"
    assert [type(error) for error in bench.errors] == [RetryableDelivery]
    bench.close()
    told.close()


def test_not_authorized_blocks_and_keeps_the_rows(tmp_path, root):
    told = ToldBroker(0x87)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(2))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and bench.states() == {"waiting": 2}
    bench.run()
    assert bench.states() == {"closed": 2}
    bench.close()
    told.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [(0x84, BlockedDelivery), (0x86, BlockedDelivery), (0x88, RetryableDelivery), (0x97, RetryableDelivery)],
)
def test_a_refused_connection(tmp_path, root, code, kind):
    told = ToldBroker(connack=code)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(2))
    bench.step()
    assert type(bench.errors[0]) is kind
    told.connack = 0
    bench.run()
    assert bench.states() == {"closed": 2}
    bench.close()
    told.close()


class BabblingBroker(ToldBroker):
    """Answers CONNECT well and everything else with bytes that a test draws."""

    babble = b""

    def _serve(self, stream: socket.socket) -> None:
        self._packet(stream)
        stream.sendall(b"\x20\x03\x00\x00\x00")
        while packet := self._packet(stream):
            stream.sendall(self.babble if b"/status" not in packet[1] else b"\x40\x02\x00\x01")


def test_any_bytes_from_a_broker_are_a_named_reason(tmp_path, root, monkeypatch):
    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.ANSWER_S", 0.02)
    told = BabblingBroker()
    sink = sink_of(mqtt_settings(told, None, root))(ManualClock())
    row = OutboxRow(1, "broker", "m", "envelope", "e", b"raw", (("seq", "1"),), 0, 0)

    @given(
        st.one_of(
            st.binary(max_size=40),
            st.tuples(st.integers(0, 255), st.binary(max_size=8)).map(lambda p: bytes((p[0], len(p[1]))) + p[1]),
            st.binary(max_size=6).map(lambda body: b"\x40" + bytes((2 + len(body),)) + b"\x00\x02" + body),
        )
    )
    @settings(deadline=None, max_examples=120)
    def check(raw: bytes) -> None:
        told.babble = raw
        try:
            assert len(sink.deliver([row])) == 1
        except (RetryableDelivery, BlockedDelivery, FinalDelivery) as error:
            assert str(error).isprintable()
        sink.close()

    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.GOODBYE_S", 0.0)
    check()
    told.close()


def test_a_broker_without_qos_1_is_named(tmp_path, root):
    told = ToldBroker(more=b"\x24\x00")
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(1))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and "QoS 0 only" in str(bench.errors[0])
    bench.close()
    told.close()


def test_another_client_with_our_id_is_named(tmp_path, root):
    told = ToldBroker(-1)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(1))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and "taken over" in str(bench.errors[0])
    bench.run()
    assert bench.states() == {"closed": 1}
    bench.close()
    told.close()


def test_no_more_in_flight_than_our_window_or_the_broker_allows(tmp_path, root):
    for limit, expected in ((None, WINDOW), (4, 4)):
        told = ToldBroker(receive_maximum=limit)
        (tmp_path / str(limit)).mkdir()
        bench = told_bench(tmp_path / str(limit), told, root)
        bench.add(*envelopes(60))
        bench.run()
        assert bench.states() == {"closed": 60}
        assert 1 < told.most_in_flight <= expected
        bench.close()
        told.close()


def test_a_puback_that_never_comes_is_no_delivery(tmp_path, root, monkeypatch):
    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.ANSWER_S", 0.3)
    told = ToldBroker(None, 0, 0)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(3))
    bench.step()
    assert "no PUBACK in time" in str(bench.errors[0]) and bench.proofs() == []
    bench.run()
    assert bench.states() == {"closed": 3}
    bench.close()
    told.close()


def test_what_was_acknowledged_before_the_connection_broke_is_not_sent_again(tmp_path, root):
    told = ToldBroker(0, 0, -1)
    bench = told_bench(tmp_path, told, root)
    bench.add(*envelopes(5))
    bench.step()
    assert bench.states() == {"waiting": 3, "closed": 2}
    bench.run()
    assert bench.states() == {"closed": 5}
    first_two = [row.body for row in envelopes(2)]
    assert [sum(raw.endswith(body) for raw in told.published) for body in first_two] == [1, 1]
    bench.close()
    told.close()


def test_a_flapping_broker_leaves_no_sockets_behind(tmp_path, root):
    told = ToldBroker()
    sink = sink_of(mqtt_settings(told, None, root))(ManualClock())
    sink.tend()
    with warnings.catch_warnings():
        # What earlier tests left is not judged here (seen once: two unclosed sockets; cause not found)
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.disable()  # sockets must not wait for a collection that may come late
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            sink._drop()
            sink.tend()
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)
    finally:
        gc.enable()
    sink.close()
    told.close()


def test_nobody_at_the_port(tmp_path, root):
    nobody = ToldBroker()
    nobody.close()
    bench = Bench(tmp_path / "ledger.sqlite", sink_of(mqtt_settings(nobody, None, root)), LONGEST_S)
    bench.add(*envelopes(1))
    end_s = bench.clock.monotonic_s() + 2 * 3_600
    while bench.clock.monotonic_s() < end_s:  # hours of outage, a look a minute
        if bench.step() is None:
            bench.clock.advance(10.0)
    assert {type(error) for error in bench.errors} == {RetryableDelivery}
    assert max(bench.pauses_s) <= LONGEST_S
    bench.close()
