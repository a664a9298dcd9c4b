"""The broker of demo and tests, by a real client: who may come in, and what outlives its death."""

from __future__ import annotations

import queue
import socket
import ssl
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tools import test_ca
from tools.broker import Broker, find_broker
from tools.demo.part import PartError

WAIT_S = 10.0
CHOICES = ["mosquitto", "amqtt"]


class Client:
    """paho with queues instead of callbacks."""

    def __init__(self, broker: Broker, authority, name: str, has_certificate: bool = True) -> None:
        self.connected: queue.Queue[object] = queue.Queue()
        self.messages: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self.subscribed: queue.Queue[int] = queue.Queue()
        self._broker = broker
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=mqtt.MQTTv5 if broker.is_mqtt5 else mqtt.MQTTv311,
            clean_session=None if broker.is_mqtt5 else False,
        )
        context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
        if has_certificate:
            context.load_cert_chain(authority / "client.pem", authority / "client.key")
        self.client.tls_set_context(context)
        self.client.on_connect = lambda *seen: self.connected.put(seen[3])
        self.client.on_subscribe = lambda *seen: self.subscribed.put(seen[2])
        self.client.on_message = lambda _client, _data, message: self.messages.put(
            (message.topic, bytes(message.payload), message.retain)
        )

    def __enter__(self) -> Client:
        options = {}
        if self._broker.is_mqtt5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600
            options = {"clean_start": False, "properties": properties}
        self.client.connect(self._broker.host, self._broker.port, **options)
        self.client.loop_start()
        assert not self.connected.get(timeout=WAIT_S).is_failure
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, qos=1)
        self.subscribed.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Returns at the PUBACK."""
        told = self.client.publish(topic, payload, qos=1, retain=retain)
        told.wait_for_publish(WAIT_S)
        assert told.is_published()


def wait_until(is_true) -> None:
    until_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca")
    test_ca.make(folder)
    return folder


@pytest.fixture(params=CHOICES)
def broker(request, tmp_path, authority):
    broker = Broker(tmp_path / "broker", authority, choice=request.param)
    broker.start()
    yield broker
    broker.stop()


def test_a_message_passes_bit_for_bit(broker, authority):
    payload = bytes(range(256)) * 16
    with Client(broker, authority, "reader") as reader, Client(broker, authority, "writer") as writer:
        reader.subscribe("plumeproof/#")
        writer.publish("plumeproof/gateway/module/envelope", payload)
        assert reader.messages.get(timeout=WAIT_S) == ("plumeproof/gateway/module/envelope", payload, False)


def test_without_a_certificate_nobody_comes_in(broker, authority):
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    with (
        pytest.raises(OSError),  # refused in the handshake, or behind it as TLS 1.3 does
        socket.create_connection((broker.host, broker.port), WAIT_S) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as line,
    ):
        line.sendall(bytes.fromhex("101000044d5154540402003c000461626364"))  # CONNECT of client `abcd`
        if line.recv(4) == b"":
            raise ConnectionResetError


def test_it_listens_on_loopback_only(broker):
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{broker.port:04X}")
    ]
    assert listening == [f"0100007F:{broker.port:04X}"]


def test_sessions_and_retained_messages_outlive_a_kill(tmp_path, authority):
    broker = Broker(tmp_path / "broker", authority, choice="mosquitto")
    assert broker.is_mqtt5 and broker.keeps_over_kill
    broker.start()
    try:
        with Client(broker, authority, "reader") as reader:
            reader.subscribe("plumeproof/#")
        with Client(broker, authority, "writer") as writer:
            for number in range(100):
                writer.publish("plumeproof/a", b"%d" % number)
            writer.publish("plumeproof/status", b"up", retain=True)
        # It acknowledges before it saves: what it took in the last turn of its loop may go with it.
        wait_until(lambda: b"plumeproof/status" in (tmp_path / "broker" / "mosquitto.db").read_bytes())
        port, pid = broker.port, broker.part.pid
        broker.kill()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((broker.host, port), WAIT_S)
        broker.start()
        assert broker.port == port and broker.part.pid != pid
        with Client(broker, authority, "reader") as reader:
            came = [reader.messages.get(timeout=WAIT_S) for _ in range(101)]
            assert [payload for _, payload, _ in came] == [*(b"%d" % number for number in range(100)), b"up"]
        with Client(broker, authority, "other") as other:
            other.subscribe("plumeproof/status")
            assert other.messages.get(timeout=WAIT_S) == ("plumeproof/status", b"up", True)
    finally:
        broker.stop()


def test_which_broker_it_is(broker):
    found = find_broker("mosquitto" if broker.is_mqtt5 else "amqtt")
    assert broker.words.startswith(f"{found.name} {found.version}")
    assert broker.words.endswith("(MQTT 3.1.1 only)") is not broker.is_mqtt5


def test_a_folder_without_certificates_is_named(tmp_path):
    broker = Broker(tmp_path / "broker", tmp_path / "nothing", choice="mosquitto")
    with pytest.raises(PartError, match=r"broker: .*nothing/ca\.pem is not there; make it with"):
        broker.start()
