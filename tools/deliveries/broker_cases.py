"""Faults of the broker (F7): a real mosquitto that dies and forgets, and a door that says what it cannot say.

Each case is a course of events on the gateway's clock; afterwards everything must drain. Rows are envelopes of three
modules. Delivered is what mosquitto itself has acknowledged; a subscriber says in which order it came.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plumeproof.config import MqttSinkConfig
from plumeproof.delivery import mqtt_connection
from plumeproof.delivery.lanes import LaneRule
from plumeproof.delivery.mqtt_sink import LONGEST_S
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.delivery_parts import build_mqtt
from plumeproof.ports import Clock, Outbox
from tools import test_ca
from tools.broker import Broker
from tools.deliveries.clock import CampaignClock, LeapingClock, RealClock
from tools.deliveries.door import HOST, Door, Manners
from tools.deliveries.gateway import GATEWAY, MODULES, Gateway, anonymous_kib
from tools.deliveries.listener import Listener
from tools.demo.part import PartError

ROOT = "campaign"
ANSWER_S = 0.3  # for CONNACK and PUBACK (at a plant 20 s)
CONNECT_S = 0.5  # for the port and TLS (10 s)
SETTLE_S = 20.0  # for what is on its way to the subscriber when everything drains
REFUSALS = (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)  # PUBACK, MQTT 5.0 section 3.4.2.1
ABOUT_THE_ROW = (0x90, 0x99)  # set aside: these bytes will never be taken
CONNACKS = tuple(  # section 3.2.2.2
    bytes.fromhex("80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f")
)
FAREWELLS = tuple(  # DISCONNECT of a server, section 3.14.2.1
    bytes.fromhex("80 81 82 83 87 89 8b 8d 8e 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9f a0")
)
GROUPS = 40  # of rows, where a case has no length of its own
GROUP = 9  # rows of each module at a time: with three modules more than a window


@dataclass(frozen=True, slots=True)
class BrokerOutcome:
    """Counts of a case. `delivered`: rows that mosquitto acknowledged; `gone`: of these, rows that no subscriber got.

    `duplicates`: messages that the subscriber got again (QoS 1 permits it). Behind a row that is not acknowledged the
    whole rest of a window goes out again. `disordered`: rows whose last arrival on a topic is behind a later one of
    their module; there may be none. `late`: rows whose first one is: where a broker refuses a row and takes those
    behind it, nobody can change that. `most_per_s`: connections in any second. `wrong`: sentences.
    """

    offered: int
    delivered: int
    set_aside: int
    lost: int
    duplicates: int
    disordered: int
    late: int
    gone: int
    failures: int
    faults: int
    most_per_s: int
    clock_s: float
    first_kib: int
    peak_kib: int
    wrong: tuple[str, ...]


class Scene:
    """Broker, door, subscriber and gateway. `scale`: share of the length that a case has."""

    def __init__(self, folder: Path, clock: CampaignClock, seed: int, scale: float) -> None:
        self.authority, self.scale, self.clock, self.seed = folder / "ca", scale, clock, seed
        self.dice = random.Random(seed)
        test_ca.make(self.authority)
        self.broker = Broker(folder / "broker", self.authority, choice="mosquitto")
        self.broker.start()
        self.folder = folder
        self.door = Door(self.authority, self.broker.port, clock.monotonic_s, seed)
        self.listener = Listener(self.authority, self.broker.port, ROOT)
        config = MqttSinkConfig(
            name="broker", host=HOST, port=self.door.port, root_topic=ROOT, ca_file=self.authority / "ca.pem",
            cert_file=self.authority / "client.pem", key_file=self.authority / "client.key",
        )  # fmt: skip
        lanes = LaneRule(config.live_for_s, config.rows_per_s, config.replay_rows_per_s)

        def build(outbox: Outbox, clock: Clock) -> DeliveryStage:
            return DeliveryStage(build_mqtt(config, GATEWAY, clock), outbox, clock, LONGEST_S, lanes=lanes)

        self.gateway = Gateway(folder, "broker", clock, build, seed)
        self.deaths = 0
        if not self.listener.wait():
            raise PartError("the subscriber does not reach mosquitto")

    def kill(self, forgets: bool = False) -> None:
        """SIGKILL; `forgets`: its memory of sessions and messages too."""
        self.broker.kill()
        self.deaths += 1
        if forgets:
            (self.folder / "broker" / "mosquitto.db").unlink(missing_ok=True)

    def revive(self) -> None:
        """Start it again; what it then acknowledges is heard."""
        self.listener.listens.clear()
        self.broker.start()
        if not self.listener.wait():
            raise PartError("the subscriber does not come back")

    def times(self, count: int) -> int:
        """`count`, as far as this run goes."""
        return max(1, round(count * self.scale))

    def close(self) -> None:
        self.gateway.close()
        self.door.close()
        self.listener.close()
        self.broker.stop()


def outage(scene: Scene, hours: int) -> None:
    """A row of each module a minute; the broker is dead for hours."""
    scene.gateway.offer_envelopes(GROUP)
    scene.gateway.run_for(60.0)
    scene.kill()
    for _ in range(scene.times(hours * 60)):
        scene.gateway.offer_envelopes(1)
        scene.gateway.run_for(60.0)
    scene.revive()


def flapping(scene: Scene) -> None:
    """A row of each module a second; the way to the broker is open for a second and closed for a second, for 1 h."""
    for second in range(scene.times(3600)):
        if second % 2:
            scene.door.shut()
        else:
            scene.door.manners = Manners()
        scene.gateway.offer_envelopes(1)
        scene.gateway.run_for(1.0)
    scene.door.manners = Manners()


def really_flapping(scene: Scene) -> None:
    """The same in real time, with mosquitto itself killed and started."""
    for second in range(scene.times(40)):
        if second % 2:
            scene.kill()
        elif second:
            scene.broker.start()
        scene.gateway.offer_envelopes(2)
        scene.gateway.run_for(1.0)
    if scene.broker.part.status is not None:
        scene.revive()


def really_out(scene: Scene) -> None:
    """An outage in real time."""
    scene.gateway.offer_envelopes(GROUP)
    scene.gateway.run_for(1.0)
    scene.kill()
    for _ in range(scene.times(20)):
        scene.gateway.offer_envelopes(1)
        scene.gateway.run_for(1.0)
    scene.revive()


def refused_qos(scene: Scene) -> None:
    """The broker offers QoS 0 only, again and again."""
    _by_turns(scene, lambda _: Manners(has_qos=False))


def lost_session(scene: Scene) -> None:
    """The broker dies in the middle of windows and forgets every session and message."""
    for _ in range(scene.times(20)):
        scene.gateway.offer_envelopes(3 * GROUP)
        scene.gateway.run_for(scene.dice.uniform(0.0, 0.05))
        scene.kill(forgets=True)
        scene.gateway.run_for(scene.dice.uniform(1.0, 90.0))
        scene.revive()
        scene.gateway.run_for(5.0)


def with_manners(scene: Scene, manners: Manners) -> None:
    """Rows while the door behaves in one way."""
    scene.door.manners = manners
    for _ in range(scene.times(GROUPS)):
        scene.gateway.offer_envelopes(GROUP)
        scene.gateway.run_for(30.0)
    scene.gateway.run_out()
    scene.door.manners = Manners()


def refused_connections(scene: Scene) -> None:
    """Each reason code of CONNACK, one after the other."""
    _by_turns(scene, lambda place: Manners(connack=CONNACKS[place % len(CONNACKS)]), len(CONNACKS))


def farewells(scene: Scene) -> None:
    """Each reason code of DISCONNECT, in the middle of windows."""
    for code in FAREWELLS[: scene.times(len(FAREWELLS))]:
        scene.door.manners = Manners(disconnect=code, disconnect_share=0.05)
        scene.gateway.offer_envelopes(GROUP)
        scene.gateway.run_out()
    scene.door.manners = Manners()


def bad_tls(scene: Scene) -> None:
    """Certificates that do not hold, plain text, a handshake that never begins."""
    doors = [Manners(certificate=pair) for pair in bad_certificates(scene.authority)]
    doors += [Manners(is_plain=True), Manners(is_stalled=True)]
    _by_turns(scene, lambda place: doors[place % len(doors)], len(doors))


def accepted_and_dropped(scene: Scene) -> None:
    """The broker takes the client and drops it at once, without a word, while nothing is to be delivered."""
    for _ in range(scene.times(GROUPS)):
        scene.gateway.run_for(3.0)
        scene.door.throw_out()
        time.sleep(0.02)  # real: the client must have been told
        for _ in range(3):
            scene.gateway.wake()


def _by_turns(scene: Scene, manners: Callable[[int], Manners], count: int = 12) -> None:
    """Rows under a way that takes none, and then a good one."""
    for place in range(scene.times(count)):
        scene.door.throw_out()
        time.sleep(0.02)  # real: the client must have been told
        scene.door.manners = manners(place)
        scene.gateway.offer_envelopes(GROUP)
        scene.gateway.run_for(20.0)
        scene.door.manners = Manners()
        scene.gateway.run_for(3700.0)  # after what needs a person it looks once an hour


def bad_certificates(authority: Path) -> list[tuple[Path, Path]]:
    """Wrong host, expired, not yet valid, a client's, of an unknown authority, self-signed."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    pairs = [
        test_ca.issue(authority, "wrong-host", hosts=("other.example",)),
        test_ca.issue(authority, "expired", starts=now - 3 * day, ends=now - day),
        test_ca.issue(authority, "early", starts=now + day, ends=now + 2 * day),
        test_ca.issue(authority, "as-client", usage="client"),
    ]
    other = authority.parent / "other-ca"
    test_ca.make(other)
    foreign = [(other / "server.pem", other / "server.key"), (other / "ca.pem", other / "ca.key")]
    return [(pair.certificate, pair.key) for pair in pairs] + foreign


_DOOR = {
    f"puback-0x{code:02x}": partial(
        with_manners, manners=Manners(puback=code, refused_share=0.1, is_bound=code in ABOUT_THE_ROW)
    )
    for code in REFUSALS
}
CASES: dict[str, Callable[[Scene], None]] = {
    "outage-1h": partial(outage, hours=1),
    "outage-24h": partial(outage, hours=24),
    "flapping-1h": flapping,
    "qos-refused": refused_qos,
    "session-lost": lost_session,
    "ack-withheld": partial(with_manners, manners=Manners(withheld_share=0.05)),
    **_DOOR,
    "connack": refused_connections,
    "disconnect": farewells,
    "cut-in-packets": partial(with_manners, manners=Manners(cut_share=0.05)),
    "dropped-while-idle": accepted_and_dropped,
    "tls": bad_tls,
    "real-outage": really_out,
    "real-flapping": really_flapping,
}


def run(name: str, folder: Path, seed: int, scale: float = 1.0) -> BrokerOutcome:
    """One case; `scale`: share of its length."""
    random.seed(seed)  # the stage's jitter
    mqtt_connection.ANSWER_S, mqtt_connection.CONNECT_S = ANSWER_S, CONNECT_S
    clock: CampaignClock = RealClock() if name.startswith("real") else LeapingClock()
    began_s = clock.monotonic_s()
    scene = Scene(folder, clock, seed, scale)
    try:
        scene.gateway.run_for(2.0)
        scene.gateway.first_kib = anonymous_kib()  # everything is loaded and connected
        CASES[name](scene)
        scene.gateway.run_out()
        seconds = clock.monotonic_s() - began_s
        _settle(scene)
        scene.gateway.peak_kib = max(scene.gateway.peak_kib, anonymous_kib())  # before judging, which reads every row
        return _judge(name, scene, seconds)
    finally:
        scene.close()


def _settle(scene: Scene) -> None:
    """What the broker has taken reaches the subscriber."""
    until_s = time.monotonic() + SETTLE_S
    while scene.listener.count() < sum(scene.door.taken.values()) and time.monotonic() < until_s:
        if scene.deaths and time.monotonic() > until_s - SETTLE_S + 2.0:
            break  # what died with it does not come
        time.sleep(0.02)


def _judge(name: str, scene: Scene, seconds: float) -> BrokerOutcome:
    gateway, door = scene.gateway, scene.door
    offered = {(module, seq) for module in MODULES for seq in range(1, gateway.offered // len(MODULES) + 1)}
    aside = {_named(key) for key, _ in gateway.bodies("quarantined")}
    closed = {_named(key) for key, _ in gateway.bodies("closed")}
    taken = {(_module_of(topic), seq) for topic, seq in door.taken}
    heard = Counter(
        (_module_of(topic), seq) for topic, seqs in list(scene.listener.heard.items()) for seq in list(seqs)
    )
    lost = offered - taken - aside
    gone = taken - set(heard)
    arrivals = [list(seqs) for seqs in scene.listener.heard.values()]
    late = sum(count_breaks(seqs) for seqs in arrivals)
    disordered = sum(count_breaks([-seq for seq in reversed(seqs)]) for seqs in arrivals)
    most = _most_per_s(door.knocks_s)
    wrong = []
    if lost:
        wrong.append(f"{len(lost)} rows that mosquitto has not taken, as {sorted(lost)[:3]}")
    if closed - taken:
        wrong.append(f"{len(closed - taken)} rows closed that mosquitto has not taken")
    if gone and not scene.deaths:
        wrong.append(f"{len(gone)} rows that mosquitto took reached no subscriber")
    if set(heard) - offered or scene.listener.altered:
        wrong.append("the subscriber got what nobody offered")
    if disordered or (late and not name.startswith("puback")):
        wrong.append(f"{disordered or late} rows out of their module's order")
    if most > 1:
        wrong.append(f"{most} connections in a second")
    expects_aside = name in {f"puback-0x{code:02x}" for code in ABOUT_THE_ROW}
    if bool(aside) != expects_aside and (aside or scene.scale == 1.0):
        wrong.append(f"{len(aside)} rows set aside")
    return BrokerOutcome(
        offered=len(offered),
        delivered=len(taken),
        set_aside=len(aside),
        lost=len(lost),
        duplicates=heard.total() - len(heard),
        disordered=disordered,
        late=late,
        gone=len(gone),
        failures=gateway.failed_steps,
        faults=sum(door.told.values()) + scene.deaths,
        most_per_s=most,
        clock_s=seconds,
        first_kib=gateway.first_kib,
        peak_kib=gateway.peak_kib,
        wrong=tuple(wrong),
    )


def count_breaks(seqs: list[int]) -> int:
    """First arrivals behind a larger one."""
    breaks, largest = 0, min(seqs, default=0)
    seen: set[int] = set()
    for seq in seqs:
        if seq not in seen:
            seen.add(seq)
            breaks += seq < largest
            largest = max(largest, seq)
    return breaks


def _most_per_s(knocks_s: list[float]) -> int:
    """Connections in any second."""
    return max((sum(1 for other_s in knocks_s[at : at + 20] if other_s < knock_s + 1.0)
                for at, knock_s in enumerate(knocks_s)), default=0)  # fmt: skip


def _named(key: str) -> tuple[str, int]:
    _, module, seq = key.split("/")
    return module, int(seq)


def _module_of(topic: str) -> str:
    return topic.split("/")[2]  # ROOT/GATEWAY/MODULE/...
