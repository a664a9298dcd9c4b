"""From the configuration to the parts of delivery: one stage per sink, and the relay that feeds them.

Only service.py and `doctor` use it. Clients are imported when a sink needs them, so that a bridge without a broker
loads none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.clock import SystemClock
from plumeproof.config import Config, HttpsSinkConfig, MqttSinkConfig
from plumeproof.delivery.lanes import LaneRule
from plumeproof.delivery.profile import ASSERTION, BASIC, BODY, CERTIFICATE, Profile, load_profile
from plumeproof.delivery.relay import VIEWS, AverageFeed, EnvelopeFeed, Feed, Relay, ReportFeed, ReportRule
from plumeproof.delivery.report import build_average
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import ConfigError
from plumeproof.evidence.envelope import kid_in
from plumeproof.ports import AnchorStore, AverageStore, Clock, Ledger, Outbox, Sink

if TYPE_CHECKING:
    from plumeproof.delivery.https_sink import HttpsSink
    from plumeproof.delivery.mqtt_connection import MqttSettings
    from plumeproof.delivery.mqtt_sink import MqttSink
    from plumeproof.delivery.sparkplug_sink import SparkplugSink


Probed = tuple[str, Mapping[str, int]]  # a sentence; client and server to whole days


class StoredModules:
    """delivery.sparkplug_sink.Modules: the configured modules, their averages in the store, their lines."""

    def __init__(self, config: Config, averages: AverageStore, is_reached: Callable[[str], bool]) -> None:
        self._gateway, self._averages = config.gateway.id, averages
        self._devices = [module.device for module in config.modules]
        self._is_reached = is_reached

    def newest(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """As Modules.newest."""
        for device in self._devices:
            for interval_s, start_utc_ms in self._averages.newest_starts(device):
                for average in self._averages.newest(device, interval_s, start_utc_ms):
                    yield device, json.loads(build_average(self._gateway, 0, average))

    def is_reached(self, module: str) -> bool:
        """As Modules.is_reached."""
        return self._is_reached(module)


def build_sinks(
    config: Config,
    outbox: Outbox,
    clock: Clock,
    averages: AverageStore,
    is_reached: Callable[[str], bool],
    kid: str | None = None,
) -> Sequence[tuple[str, DeliveryStage]]:
    """A stage for every configured sink, by name. `is_reached`: the line of a module is up; `kid`: of the gateway's own
    key, for its status. Raises ConfigError for a profile that cannot be used."""
    found: list[tuple[str, DeliveryStage]] = []
    for mqtt in config.mqtt_sinks:
        from plumeproof.delivery.mqtt_sink import LONGEST_S

        lanes = LaneRule(mqtt.live_for_s, mqtt.rows_per_s, mqtt.replay_rows_per_s)
        broker: Sink
        if "sparkplug" in mqtt.content:
            modules = StoredModules(config, averages, is_reached)
            broker = build_sparkplug(mqtt, config.gateway.id, outbox, clock, modules, kid)
        else:
            broker = build_mqtt(mqtt, config.gateway.id, clock, kid)
        found.append((mqtt.name, DeliveryStage(broker, outbox, clock, LONGEST_S, lanes=lanes)))
    for https in config.https_sinks:
        from plumeproof.delivery.private_file import FileWatch

        watch = FileWatch(files_of(https))
        found.append((https.name, DeliveryStage(build_https(https, clock), outbox, clock, is_mended=watch.has_changed)))
    for folder in config.anchors.folders:
        from plumeproof.delivery.folder_sink import LONGEST_S as FOLDER_LONGEST_S
        from plumeproof.delivery.folder_sink import FolderSink

        sink = FolderSink(folder_name(folder), folder, clock)
        found.append((sink.name, DeliveryStage(sink, outbox, clock, FOLDER_LONGEST_S)))
    return found


def keepers(config: Config) -> Sequence[str]:
    """Sinks that get the anchors, by name. Raises ConfigError."""
    if config.anchors.key_file is None:
        return ()
    brokers = [sink.name for sink in config.mqtt_sinks if "anchor" in sink.content]
    platforms = [sink.name for sink in config.https_sinks if load_profile(sink.profile).anchors is not None]
    return [*brokers, *platforms, *map(folder_name, config.anchors.folders)]


def folder_name(folder: Path) -> str:
    """The name of a folder as a keeper of anchors."""
    return f"folder:{folder}"


def build_mqtt(sink: MqttSinkConfig, gateway: str, clock: Clock, kid: str | None = None) -> MqttSink:
    """The sink of a broker; nothing is connected yet."""
    from plumeproof.delivery.mqtt_sink import MqttSink

    return MqttSink(sink.name, gateway, mqtt_settings(sink, gateway), clock, kid)


def build_sparkplug(
    sink: MqttSinkConfig, gateway: str, outbox: Outbox, clock: Clock, modules: StoredModules, kid: str | None
) -> SparkplugSink:
    """The sink of a broker for Sparkplug hosts; nothing is connected yet."""
    from plumeproof.delivery.sparkplug_sink import BirthNumbers, SparkplugSink

    births = BirthNumbers(outbox, sink.name)
    settings = mqtt_settings(sink, gateway)
    return SparkplugSink(sink.name, gateway, sink.sparkplug_group, settings, clock, births, modules, kid)


def mqtt_settings(sink: MqttSinkConfig, gateway: str) -> MqttSettings:
    """What the connection of a broker's sink needs to know."""
    from plumeproof.delivery.mqtt_connection import MqttSettings

    return MqttSettings(
        sink.host,
        sink.port,
        sink.root_topic,
        sink.protocol == "5",
        sink.client_id or f"{gateway}-{sink.name}",
        sink.keepalive_s,
        sink.ca_file,
        sink.cert_file,
        sink.key_file,
        sink.username,
        sink.password_file,
    )


def build_https(sink: HttpsSinkConfig, clock: Clock) -> HttpsSink:
    """The sink of a platform; nothing is connected yet. Raises ConfigError."""
    from plumeproof.delivery.exchange import Endpoint
    from plumeproof.delivery.https_sink import HttpsSink, SigningKeys
    from plumeproof.delivery.tls import ClientCertificate

    profile = check_platform(sink)
    identity = ClientCertificate(sink.cert_file, sink.key_file) if sink.cert_file and sink.key_file else None
    endpoint = Endpoint(sink.base_url or profile.base_url, sink.ca_file, sink.timeout_s, identity)
    keys = SigningKeys(
        sink.assertion_key_file,
        sink.assertion_key_id,
        sink.signature_key_file,
        sink.signature_key_id or sink.client_id,
    )
    return HttpsSink(sink.name, profile, endpoint, sink.client_id, sink.secret_file, clock, keys)


def check_platform(sink: HttpsSinkConfig) -> Profile:
    """The profile of a sink, and whether the configuration names what it needs. Raises ConfigError."""
    profile = load_profile(sink.profile)
    needs = {
        BASIC: ("secret_file",),
        BODY: ("secret_file",),
        ASSERTION: ("assertion_key_file",),
        CERTIFICATE: ("cert_file",),
    }.get(profile.auth_kind, ())
    for key in needs:
        if getattr(sink, key) is None:
            raise ConfigError(
                f"sink.https {sink.name}: {key}",
                f"is missing; profile {profile.name} logs in by {profile.auth_kind}, which needs it",
            )
    if profile.signature is not None and sink.signature_key_file is None:
        raise ConfigError(
            f"sink.https {sink.name}: signature_key_file",
            f"is missing; profile {profile.name} signs every report ({profile.signature.algorithm})",
        )
    if sink.base_url is None and not profile.base_url:
        raise ConfigError(
            f"sink.https {sink.name}: base_url", f"is missing; profile {profile.name} names no address either"
        )
    return profile


def files_of(sink: HttpsSinkConfig) -> Sequence[Path]:
    """Every file of a platform that a person may have to replace: secrets, keys, certificates."""
    found = (sink.secret_file, sink.assertion_key_file, sink.signature_key_file, sink.cert_file, sink.key_file)
    return [path for path in (*found, sink.ca_file) if path is not None]


def probe_broker(sink: MqttSinkConfig, gateway: str) -> Probed:
    """Connect as the service would, under another client id. Raises DeliveryError."""
    from plumeproof.delivery import mqtt_connection
    from plumeproof.delivery.certificates import CertificateWatch

    certificates = CertificateWatch(sink.name, SystemClock())
    return mqtt_connection.probe_broker(mqtt_settings(sink, gateway), certificates), certificates.left


def probe_platform(sink: HttpsSinkConfig) -> Probed:
    """Get a token as the service would. Raises DeliveryError and ConfigError."""
    found = build_https(sink, SystemClock())
    try:
        return found.check(), found.certificates.left
    finally:
        found.close()


def build_relay(
    config: Config,
    ledger: Ledger,
    averages: AverageStore,
    outbox: Outbox,
    clock: Clock,
    anchors: AnchorStore | None = None,
    anchor_key_of_kid: Callable[[bytes], bytes] = bytes,
    more: Sequence[Feed] = (),
) -> Relay:
    """What goes to which sink; `anchor_key_of_kid`: public keys of the gateway, for platforms; `more`: of links that
    are built elsewhere (hj212_parts.py)."""
    gateway = config.gateway.id
    feeds: list[Feed] = [*more]
    for mqtt in config.mqtt_sinks:
        if "envelope" in mqtt.content:
            feeds.append(EnvelopeFeed(mqtt.name, ledger, outbox, kid_in))
        views = [view for view in VIEWS if view in mqtt.content]
        feeds += [AverageFeed(mqtt.name, gateway, averages, outbox, view) for view in views]
    for https in config.https_sinks:
        profile = load_profile(https.profile)
        rule = ReportRule(https.report_interval_s, profile.averages_max, profile.close_after_s, profile.shape)
        feeds.append(ReportFeed(https.name, gateway, rule, averages, outbox, clock))
    if anchors is not None and config.anchors.key_file is not None:
        from plumeproof.delivery.anchor_feed import AnchorFeed, plain_body, platform_body

        for mqtt in config.mqtt_sinks:
            if "anchor" in mqtt.content:
                feeds.append(AnchorFeed(mqtt.name, gateway, anchors, outbox, plain_body, is_newest_enough=True))
        for https in config.https_sinks:
            shape = load_profile(https.profile).anchors
            if shape is not None:
                body_of = partial(platform_body, gateway=gateway, shape=shape, public_key_of_kid=anchor_key_of_kid)
                feeds.append(AnchorFeed(https.name, gateway, anchors, outbox, body_of))
        for folder in config.anchors.folders:
            feeds.append(AnchorFeed(folder_name(folder), gateway, anchors, outbox, plain_body))
    return Relay(feeds)
