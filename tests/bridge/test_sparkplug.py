"""The Sparkplug sink against a real mosquitto with TLS and a host of its own, which reads with pysparkplug."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from plumeproof.delivery.lanes import LaneRule
from plumeproof.delivery.mqtt_connection import INBOUND_PER_S_MAX
from plumeproof.delivery.mqtt_sink import LONGEST_S
from plumeproof.delivery.report import build_average
from plumeproof.delivery.sparkplug_node import SparkplugNode
from plumeproof.delivery.sparkplug_payload import Metric, build_payload, parse_command
from plumeproof.delivery.sparkplug_sink import DEATH_AFTER_S, REBIRTH_REST_S, BirthNumbers, SparkplugSink
from plumeproof.errors import BlockedDelivery, RetryableDelivery
from plumeproof.model import NewRow
from tests.bridge.delivery_bench import Bench
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_delivery_mqtt import WAIT_S, mqtt_settings, wait_for
from tests.doubles.sparkplug_host import Host, Reader
from tests.doubles.told_broker import ToldBroker
from tools import test_ca
from tools.broker import Broker

GROUP = "plant-7"
PLAIN = replace(AVERAGE, minimum=1.5, maximum=4.25, deviation=0.5)


class Modules:
    """`known`: newest averages before the first row; `lost`: modules whose line is down."""

    def __init__(self) -> None:
        self.known: list = []
        self.lost: set[str] = set()

    def newest(self):
        for average in self.known:
            yield average.device, json.loads(build_average("gw-1", 0, average))

    def is_reached(self, module: str) -> bool:
        return module not in self.lost


def row(number: int, **changed) -> NewRow:
    average = replace(PLAIN, **{"start_utc_ms": PLAIN.start_utc_ms + 60_000 * number, "mean": number / 8, **changed})
    attributes = {"interval": str(average.interval_s), "view": "sparkplug"}
    body = build_average("gw-1", number, average)
    return NewRow(
        "broker", average.device, "average", f"sparkplug/{average.device}/{number}", body, attributes=attributes
    )


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


@pytest.fixture(scope="module")
def reader():
    found = Reader()
    yield found
    found.close()


class Plant:
    """A bench with the sink, and a host that hears with QoS 1, so that it sees with which QoS each message was sent."""

    def __init__(self, path: Path, broker: Broker, authority: Path, reader: Reader, root: str, **changed) -> None:
        self.reader, self.host, self.modules, self.gateway = reader, Host(), Modules(), f"gw-{abs(hash(root)) % 10**8}"
        self.progress: list[dict] = []
        self.drops_next = False
        self._lock = threading.Lock()
        found = mqtt_settings(broker, authority, root, **changed)
        self.bench = Bench(path, lambda clock: self.make(clock, found), LONGEST_S)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"host-{root}", protocol=mqtt.MQTTv5)
        self._client.tls_set(str(authority / "ca.pem"), str(authority / "client.pem"), str(authority / "client.key"))
        self.listens = threading.Event()
        topics = [(f"spBv1.0/{GROUP}/+/{self.gateway}/#", 1), (f"{root}/#", 1)]
        self._client.on_connect = lambda client, *_: client.subscribe(topics)
        self._client.on_subscribe = lambda *_: self.listens.set()
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self.listens.wait(WAIT_S)

    def make(self, clock, found):
        births = BirthNumbers(self.bench_outbox(), "broker")
        return SparkplugSink("broker", self.gateway, GROUP, found, clock, births, self.modules, "ab" * 16)

    def bench_outbox(self):
        return self.bench.outbox if hasattr(self, "bench") else _Late(self)

    def close(self) -> None:
        self.bench.close()
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client, _data, message) -> None:
        with self._lock:
            if not message.topic.startswith("spBv1.0"):
                self.progress.append(json.loads(message.payload))
            elif "/NCMD/" in message.topic:
                pass
            elif self.drops_next and "/DDATA/" in message.topic:
                self.drops_next = False
            else:
                self.host.take(self.reader.read(message.topic, message.payload), message.qos, message.retain)

    def command(self, payload: bytes, is_retained: bool = False) -> None:
        info = self._client.publish(f"spBv1.0/{GROUP}/NCMD/{self.gateway}", payload, 1, is_retained)
        info.wait_for_publish(WAIT_S)

    def tend_until(self, condition) -> None:
        wait_for(lambda: (self.bench.step(), condition())[1])

    def heard(self, count: int) -> None:
        wait_for(lambda: len(self.host.kinds) >= count)


class _Late:
    """The bench makes its sink before it can be asked for its outbox."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def cursor(self, *words):
        return self._plant.bench.outbox.cursor(*words)

    def enqueue(self, *words):
        self._plant.bench.outbox.enqueue(*words)


@pytest.fixture
def root(request) -> str:
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def plant(tmp_path, broker, authority, reader, root):
    found = Plant(tmp_path / "ledger.sqlite", broker, authority, reader, root)
    yield found
    found.close()
    assert found.host.faults == []


@pytest.mark.parametrize("is_v5", [True, False])
def test_a_host_follows_without_a_gap(tmp_path, broker, authority, reader, root, is_v5):
    plant = Plant(tmp_path / "ledger.sqlite", broker, authority, reader, root, is_v5=is_v5)
    plant.modules.known = [replace(PLAIN, mean=7.0), replace(PLAIN, device="plume-02", interval_s=3600, mean=None)]
    plant.bench.add(*(row(number) for number in range(1, 161)))
    plant.bench.add(*(row(number, device="plume-02", channel="o2", unit="%") for number in range(1, 141)))
    plant.bench.run()
    wait_for(lambda: plant.host.kinds.count("DDATA") == 300)  # seq has begun again at 0
    host = plant.host
    assert host.kinds[:3] == ["NBIRTH", "DBIRTH", "DBIRTH"] and host.kinds.count("DBIRTH") == 3
    assert host.faults == [] and not host.wants_rebirth and host.past == []
    assert host.node["Properties/Key ID"] == "ab" * 16 and host.node["bdSeq"] == 0
    first, second = host.devices["plume-01"], host.devices["plume-02"]
    assert (first.values["co/60/mean"], first.values["co/60/maximum"], first.values["co/60/expected"]) == (
        20.0,
        4.25,
        60,
    )
    assert first.properties["co/60/mean"] == {"Quality": 192, "engUnit": "mg/m3", "quantity": "CO"}
    assert second.values["o2/60/mean"] == 17.5 and second.properties["o2/60/mean"]["engUnit"] == "%"
    assert second.values["co/3600/mean"] is None and second.properties["co/3600/mean"]["Quality"] == 0
    assert plant.bench.sink._node.seq == host.seq
    wait_for(lambda: plant.progress[-1]["seq"] == host.seq)
    proofs = [json.loads(proof) for proof in plant.bench.proofs()]
    assert len(proofs) == 300 and {(one["puback"], one["bdSeq"]) for one in proofs} == {(0, 0)}
    plant.close()
    wait_for(lambda: host.kinds[-1] == "NDEATH")
    assert not host.is_online and not host.devices["plume-01"].is_alive


def test_a_killed_bridge_dies_by_its_will_and_is_born_with_the_next_number(plant):
    plant.bench.add(row(1))
    plant.bench.run()
    plant.heard(3)
    for number in (1, 2):
        plant.bench.sink._connection.drop()  # as a kill would: no DISCONNECT
        wait_for(lambda: not plant.host.is_online)
        plant.bench.open()  # restarted, on the same ledger
        plant.bench.step()
        wait_for(lambda: plant.host.is_online)
        assert plant.host.bd_seq == number
    plant.bench.add(row(2))
    plant.bench.run()
    wait_for(lambda: plant.host.devices["plume-01"].values["co/60/mean"] == 0.25)


def test_a_connect_that_nobody_answers_takes_a_number_and_one_that_fails_does_not(tmp_path, root, monkeypatch):
    monkeypatch.setattr("plumeproof.delivery.mqtt_connection.ANSWER_S", 0.2)
    told = ToldBroker(connack=0x88)
    bench = told_bench(tmp_path, told, root)
    for expected in (0, 1):
        bench.step()
        assert bench.outbox.cursor("sparkplug_births", "broker") == expected
    told.close()
    bench.step()
    assert bench.outbox.cursor("sparkplug_births", "broker") == 1
    assert {type(error) for error in bench.errors} == {RetryableDelivery}
    bench.outbox.enqueue((), "sparkplug_births", "broker", 255)
    assert BirthNumbers(bench.outbox, "broker").next() == 0
    bench.close()


def test_a_host_that_missed_a_message_asks_and_gets_the_present(plant):
    plant.bench.add(row(1), row(2, channel="so2"))
    plant.bench.run()
    plant.heard(5)
    plant.drops_next = True
    plant.bench.add(row(3), row(4, channel="so2"))
    plant.bench.run()
    wait_for(lambda: plant.host.wants_rebirth)
    plant.command(plant.reader.rebirth())
    plant.tend_until(lambda: not plant.host.wants_rebirth and plant.host.devices["plume-01"].is_alive)
    values = plant.host.devices["plume-01"].values
    assert (values["co/60/mean"], values["so2/60/mean"]) == (3 / 8, 4 / 8)
    assert plant.host.bd_seq == 0  # the same connection
    assert plant.bench.sink.counters()["rebirths_total"] == 1


def test_many_ask_and_are_answered_once(plant):
    plant.bench.add(row(1))
    plant.bench.run()
    plant.heard(3)
    for _ in range(30):
        plant.command(plant.reader.rebirth())
    plant.tend_until(lambda: plant.host.kinds.count("NBIRTH") == 2)
    for _ in range(20):
        plant.bench.sink.tend()
    assert plant.bench.sink.counters()["rebirths_total"] == 1
    plant.bench.clock.advance(REBIRTH_REST_S)
    plant.bench.sink.tend()
    assert plant.bench.sink.counters()["rebirths_total"] <= 2  # those that came while the first was said


def test_other_commands_are_counted_and_do_nothing(plant):
    plant.bench.step()
    plant.heard(1)
    plant.command(plant.reader.rebirth(), is_retained=False)
    plant.tend_until(lambda: plant.host.kinds == ["NBIRTH", "NBIRTH"])
    plant.command(plant.reader.rebirth(False))
    plant.command(plant.reader.ask(Node_Control_Reboot=True, text="x"))
    plant.command(b"\xff\xff no protobuf")
    plant.command(b"")
    plant.tend_until(lambda: plant.bench.sink.counters()["commands_ignored_total"] == 5)
    assert plant.host.kinds == ["NBIRTH", "NBIRTH"]
    assert plant.bench.errors == []
    plant.bench.stage.close()
    assert (counters := plant.bench.sink.counters())["heard_total"] == 5 and counters["heard_dropped_total"] == 0


def test_what_is_late_is_history(tmp_path, plant):
    plant.bench.stage = plant.bench.stage.__class__(
        plant.bench.sink, plant.bench.outbox, plant.bench.clock, LONGEST_S, lanes=LaneRule(replay_rows_per_s=100_000.0)
    )
    plant.bench.add(*(row(number) for number in range(1, 31)))
    plant.bench.clock.advance(3_600.0)
    plant.bench.add(row(100))
    plant.bench.run()
    wait_for(lambda: plant.host.kinds.count("DDATA") == 31)
    assert plant.host.devices["plume-01"].values["co/60/mean"] == 100 / 8  # the newest, said first
    means = [value for _, name, _, value in plant.host.past if name == "co/60/mean"]
    assert means == [number / 8 for number in range(1, 31)]
    assert plant.host.kinds[:3] == ["NBIRTH", "DBIRTH", "DDATA"]
    plant.bench.add(row(50, revision=1, channel="so2"), row(60, channel="so2"), row(51, revision=1, channel="so2"))
    plant.bench.run()  # a revision of an old interval comes in time and is history all the same
    wait_for(lambda: plant.host.kinds.count("DDATA") == 34)
    assert plant.host.devices["plume-01"].values["so2/60/mean"] == 60 / 8
    assert [value for _, name, _, value in plant.host.past if name == "so2/60/mean"] == [51 / 8]


def test_a_metric_first_heard_of_in_the_past_is_born_null():
    node = SparkplugNode("g", "n", "1", None)
    node.begin(0, 1_700_000_000_000)
    node.birth(1_700_000_000_000)
    content = json.loads(build_average("gw-1", 1, PLAIN))
    birth, data = node.data("m", content, True, 1_700_000_000_001)
    assert "/DBIRTH/" in birth.topic and "/DDATA/" in data.topic
    assert PLAIN.mean not in [metric.double_value for metric in read_back(birth.body).metrics]
    assert {metric.is_historical for metric in read_back(data.body).metrics} == {True}


def test_modules_die_and_live_again(plant):
    plant.bench.add(row(1), row(1, device="plume-02"))
    plant.bench.run()
    plant.heard(5)
    plant.modules.lost.add("plume-02")
    plant.bench.step()
    plant.bench.clock.advance(DEATH_AFTER_S - 1.0)
    plant.bench.step()
    assert "DDEATH" not in plant.host.kinds
    plant.bench.clock.advance(1.0)
    plant.tend_until(lambda: plant.host.kinds[-1] == "DDEATH")
    assert [plant.host.devices[name].is_alive for name in ("plume-01", "plume-02")] == [True, False]
    plant.bench.add(row(2, device="plume-02"))  # it had something to say still
    plant.bench.run()
    wait_for(lambda: plant.host.devices["plume-02"].is_alive)
    plant.bench.step()
    plant.bench.clock.advance(DEATH_AFTER_S)
    plant.tend_until(lambda: not plant.host.devices["plume-02"].is_alive)
    plant.modules.lost.clear()
    plant.tend_until(lambda: plant.host.devices["plume-02"].is_alive)
    assert plant.host.devices["plume-02"].values["co/60/mean"] == 0.25


def test_a_broker_that_comes_again_gets_a_new_session(tmp_path, authority, root):
    broker = Broker(tmp_path / "broker", authority, choice="mosquitto")
    broker.start()
    bench = told_bench(tmp_path, broker, root, authority)
    bench.add(*(row(number) for number in range(1, 30)))
    bench.run()
    broker.kill()
    bench.add(*(row(number) for number in range(30, 60)))
    for _ in range(3):
        bench.step()
    assert {type(error) for error in bench.errors} == {RetryableDelivery} and bench.states()["waiting"] == 30
    broker.start()
    bench.run()
    proofs = [json.loads(proof)["bdSeq"] for proof in bench.proofs()]
    assert proofs == [0] * 29 + [1] * 30
    bench.close()
    broker.stop()


def told_bench(tmp_path: Path, told: ToldBroker | Broker, root: str, authority: Path | None = None) -> Bench:
    made: list[Bench] = []

    class Late:
        def cursor(self, *words):
            return made[0].outbox.cursor(*words)

        def enqueue(self, *words):
            made[0].outbox.enqueue(*words)

    found = mqtt_settings(told, authority, root)
    births = BirthNumbers(Late(), "broker")
    made.append(
        Bench(
            tmp_path / "ledger.sqlite",
            lambda clock: SparkplugSink("broker", "gw-1", GROUP, found, clock, births, Modules()),
            LONGEST_S,
        )
    )
    return made[0]


@pytest.mark.parametrize(("code", "kind"), [(0x87, BlockedDelivery), (0x97, RetryableDelivery)])
def test_without_proof_no_row_is_closed(tmp_path, root, code, kind):
    told = ToldBroker(0, code)  # births are proven, the first window is not
    bench = told_bench(tmp_path, told, root)
    bench.add(row(1), row(2))
    bench.step()
    assert [type(error) for error in bench.errors] == [kind] and bench.states() == {"waiting": 2}
    assert f"0x{code:02x} on {root}/gw-1/sparkplug" in str(bench.errors[0])
    bench.run()
    assert bench.states() == {"closed": 2}
    bench.close()
    told.close()


def test_no_right_to_listen_and_too_small_a_broker_are_named(tmp_path, root):
    told = ToldBroker()
    told.suback = 0x87
    bench = told_bench(tmp_path, told, root)
    bench.add(row(1))
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and f"listen to spBv1.0/{GROUP}/NCMD/gw-1" in str(bench.errors[0])
    told.suback, told.more = 0, b"\x27\x00\x00\x01\x00"  # maximum packet size 256
    bench.step()
    assert type(bench.errors[1]) is BlockedDelivery and "more than the broker takes" in str(bench.errors[1])
    assert bench.states() == {"waiting": 1}
    bench.close()
    told.close()


def read_back(raw: bytes):
    from plumeproof.delivery.sparkplug_payload import _Payload

    return _Payload.FromString(raw)


def as_heard(one) -> dict:
    """A publication as the host takes it; the names of types are pysparkplug's."""
    _, group, kind, node, *device = one.topic.split("/")
    payload = read_back(one.body)
    types = {3: "INT32", 4: "INT64", 10: "DOUBLE", 11: "BOOLEAN", 12: "STRING"}
    metrics = []
    for metric in payload.metrics:
        which = metric.WhichOneof("value")
        metrics.append({
            "name": metric.name, "type": types[metric.datatype], "value": getattr(metric, which) if which else None,
            "timestamp": metric.timestamp, "is_historical": metric.is_historical, "is_null": metric.is_null,
            "properties": {},
        })  # fmt: skip
    return {
        "kind": kind, "group": group, "node": node, "device": device[0] if device else None,
        "timestamp": payload.timestamp, "seq": payload.seq if payload.HasField("seq") else None, "metrics": metrics,
    }  # fmt: skip


said = st.one_of(
    st.tuples(st.just("data"), st.sampled_from("ab"), st.sampled_from(["co", "so2"]), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("birth")),
    st.tuples(st.just("death"), st.sampled_from("ab")),
    st.tuples(st.just("begin")),
)


@given(st.lists(said, max_size=40))
@settings(deadline=None, max_examples=60)
def test_whatever_is_said_a_host_finds_no_fault(story):
    now = 1_700_000_000_000
    node, host, numbers = SparkplugNode("g", "n", "1", None), Host(), iter(range(1000))
    present: dict[tuple[str, str], tuple[int, float]] = {}
    node.begin(next(numbers), now)
    queue = node.birth(now)
    for word, *rest in story:
        if word == "begin":
            queue += [node.death(now)]
            node.begin(next(numbers), now)
            queue += node.birth(now)
        elif word == "birth":
            queue += node.birth(now)
        elif word == "death" and rest[0] in node.born:
            queue.append(node.device_death(rest[0], now))
        elif word == "data":
            module, channel, minute, is_replay = rest
            start = PLAIN.start_utc_ms + minute * 60_000
            average = replace(PLAIN, device=module, channel=channel, mean=float(minute), start_utc_ms=start)
            queue += node.data(module, json.loads(build_average("g", 1, average)), is_replay, now)
            if not is_replay and start >= present.get((module, channel), (0, 0.0))[0]:
                present[module, channel] = (start, float(minute))
    for one in queue:
        host.take(as_heard(one), one.qos, one.is_retained)
    assert host.faults == [] and not host.wants_rebirth
    assert host.bd_seq == node.bd_seq and host.seq == node.seq
    for (module, channel), (_, mean) in present.items():
        device = host.devices[module]
        assert not device.is_alive or device.values[f"{channel}/60/mean"] == mean
    assert sorted(name for name, device in host.devices.items() if device.is_alive) == sorted(node.born)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_command_are_read_or_refused(raw):
    try:
        assert all(isinstance(name, str) for name, _ in parse_command(raw))
    except ValueError:
        pass


def test_a_command_within_a_command_is_none():
    deep = b""
    for _ in range(200):  # groups of unknown fields, one in the other
        deep = b"\x23" + deep + b"\x24"
    with pytest.raises(ValueError, match="no Sparkplug payload"):
        parse_command(deep)
    assert parse_command(build_payload(1, [Metric("a", 12, "x", 1), Metric("b", 11, True, 1)], None)) == [
        ("a", None), ("b", True),
    ]  # fmt: skip
    assert INBOUND_PER_S_MAX == 100
