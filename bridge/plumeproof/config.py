"""One TOML file (TOML v1.0.0) becomes one frozen tree of settings, validated completely before anything opens.

Unknown and doubled keys are refused with line and key; units are in every name; secrets are named by file, never
written here. Relative paths count from the folder of the configuration file. Defaults live here and nowhere else,
each limit beside its reason. No object reads the configuration itself: the service hands each its slice.

    config = load_config(Path("bridge.toml"))
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from acqwire import frames, limits

from plumeproof.errors import ConfigError
from plumeproof.section import Section, list_of, number_in, one_of, setting, text_like, typed
from plumeproof.toml_file import parse_toml, read_text
from plumeproof.toml_lines import At, Lines

if TYPE_CHECKING:
    from plumeproof.pact_config import PactConfig

FILE_MAX_BYTES = 1024 * 1024  # hundreds of modules; a larger file is a wrong file
DAY_S = 86_400
BAUDS = (9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)  # what USB adapters offer
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")  # gateway ids and sink names: parts of topics, keys and file names
_TOPIC = re.compile(r"[^#+\x00/]([^#+\x00]{0,126}[^#+\x00/])?")  # MQTT 5 section 4.7: no wildcards; no empty level
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # Sparkplug 3.0 section 4: one level of a topic
_SHIPPED = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # as delivery/profile.py; a path has a dot or a slash
_MN = re.compile(r"[0-9A-Za-z]{14,24}")  # HJ 212-2017: 24 characters; 2005: 14
_ST = re.compile(r"[0-9A-Za-z]{2}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")  # DNS name or address


def file_path(value: Any, folder: Path) -> Path:
    if not (text := typed(value, str)) or "\x00" in text:
        raise ValueError("is no path")
    return (folder / text).absolute()


def _device(value: Any, _folder: Path) -> str:
    text = typed(value, str)
    if not 1 <= len(text) <= limits.DEVICE_MAX_BYTES or not set(text) <= set(limits.DEVICE_CHARACTERS):
        raise ValueError(f"{text[:60]!r} is no device id (a-z 0-9 . _ -, at most {limits.DEVICE_MAX_BYTES})")
    return text


def _loopback(value: Any, _folder: Path) -> str:
    """The page has no login: it is bound to this machine only."""
    text = typed(value, str)
    try:
        is_loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no address; 127.0.0.1 is the usual one") from error
    if not is_loopback:
        raise ValueError(f"{text} is no loopback address; for other machines put a proxy with TLS and login before it")
    return text


def _interval(value: Any, _folder: Path) -> int:
    seconds = typed(value, int)
    if not 1 <= seconds <= DAY_S or DAY_S % seconds:
        raise ValueError(f"{seconds} s does not divide the UTC day ({DAY_S} s)")
    return seconds


def https_url(value: Any, _folder: Path) -> str:
    text = typed(value, str)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{text[:60]!r} is no https:// address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("holds a user, a password, a query or a fragment; secrets go into secret_file")
    return text.rstrip("/")


def _tsa_url(value: Any, _folder: Path) -> str:
    """Plain HTTP is usual for time-stamps: the answer is signed."""
    text = typed(value, str)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"{text[:60]!r} is no http:// or https:// address")
    return text


def _profile(value: Any, folder: Path) -> str:
    """The name of a shipped profile as it is; everything else is a path."""
    text = typed(value, str)
    return text if _SHIPPED.fullmatch(text) else str(file_path(text, folder))


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`data_dir` holds the ledger and the lock; it belongs to one bridge and stays on a local disk."""

    id: str = setting(text_like(_NAME, "gateway id (a-z 0-9 . _ -, at most 32)"))
    data_dir: Path = setting(file_path)
    clock_uncertainty_ms: int = setting(number_in(int, 1, 60_000), 100)  # NTP is within 50 ms; twice that for a busy PC

    @property
    def ledger_file(self) -> Path:
        """Where the ledger lies."""
        return self.data_dir / "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class KeysConfig:
    """keys.json: the enrolled public keys."""

    file: Path = setting(file_path)


@dataclass(frozen=True, slots=True)
class ModuleConfig:
    """One module on its own serial line."""

    device: str = setting(_device)
    port: str = setting(text_like())
    baud: int = setting(one_of(*BAUDS), 115_200)  # SPEC.md section 2
    link_address: int = setting(number_in(int, frames.ADDRESS_MIN, frames.ADDRESS_MAX), 1)
    time_sync_interval_s: int = setting(number_in(int, 5, 7 * DAY_S), 600)  # 50 ppm drift: 30 ms, limit is 500 ms
    poll_interval_s: float = setting(
        number_in(float, 0.02, 60.0), 0.2
    )  # rest after an empty answer; adds to the latency


@dataclass(frozen=True, slots=True)
class AveragingConfig:
    """Intervals on the UTC grid; `grace_s`: how long an interval waits for late records before it is computed."""

    intervals_s: tuple[int, ...] = setting(list_of(_interval, 1), (60, 600, 1_800, 3_600, 86_400))
    grace_s: int = setting(number_in(int, 0, DAY_S), 90)  # one sealing period (60 s) and half of it for the line


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """A stack whose figures are made: `file` describes it, `rule_files` are rule sets of your own that it names."""

    file: Path = setting(file_path)
    rule_files: tuple[Path, ...] = setting(list_of(file_path), ())


@dataclass(frozen=True, slots=True)
class AnchorsConfig:
    """Signed heads of all modules for keepers elsewhere. Without `key_file` there are none. `every_records` 0: by time
    alone. `folders`: on another disk, or a share of another host. `tsa_certificate_file`: whose time-stamps count."""

    key_file: Path | None = setting(file_path, None)
    every_hours: int = setting(number_in(int, 1, 24), 24)  # reference: reliability section 6, at least daily
    every_records: int = setting(number_in(int, 0, 1_000_000_000), 10_000)  # some six hours of twenty modules
    folders: tuple[Path, ...] = setting(list_of(file_path), ())
    tsa_url: str | None = setting(_tsa_url, None)
    tsa_certificate_file: Path | None = setting(file_path, None)


@dataclass(frozen=True, slots=True)
class DocumentsConfig:
    """`site_file`: who answers for the works, its permits, and what is declared of it (`plumeproof report`)."""

    site_file: Path | None = setting(file_path, None)


@dataclass(frozen=True, slots=True)
class MqttSinkConfig:
    """A broker. `ca_file` set: TLS with hostname check; `cert_file` and `key_file`: client certificate.

    `content`: what goes there, in which form. Rows queued less than `live_for_s` ago go first; what is older goes at no
    more than `replay_rows_per_s`, and both at no more than `rows_per_s`.
    """

    name: str = setting(text_like(_NAME, "sink name (a-z 0-9 . _ -, at most 32)"))
    host: str = setting(text_like(_HOST, "host name"))
    port: int = setting(number_in(int, 1, 65_535))
    root_topic: str = setting(text_like(_TOPIC, "topic (no # or +, no slash at its ends)"), "plumeproof")
    content: tuple[str, ...] = setting(
        list_of(one_of("envelope", "average", "anchor", "senml", "sparkplug"), 1), ("envelope", "average", "anchor")
    )
    sparkplug_group: str = setting(text_like(_GROUP, "group id (letters, digits, . _ -, at most 64)"), "plumeproof")
    live_for_s: int = setting(number_in(int, 10, DAY_S), 300)  # a broker's restart fits, an outage does not
    rows_per_s: int = setting(number_in(int, 1, 100_000), 1_000)
    replay_rows_per_s: int = setting(number_in(int, 1, 100_000), 200)  # a day of 100 modules in 12 minutes
    protocol: str = setting(one_of("5", "3.1.1"), "5")
    client_id: str | None = setting(
        text_like(_NAME, "client id (a-z 0-9 . _ -, at most 32)"), None
    )  # None: gateway and sink
    keepalive_s: int = setting(number_in(int, 5, 3_600), 60)
    ca_file: Path | None = setting(file_path, None)
    cert_file: Path | None = setting(file_path, None)
    key_file: Path | None = setting(file_path, None)
    username: str | None = setting(text_like(), None)
    password_file: Path | None = setting(file_path, None)


@dataclass(frozen=True, slots=True)
class HttpsSinkConfig:
    """A platform. `profile`: name of a shipped profile, or path of a JSON file. `report_interval_s`: averages sent.

    Which of the files the profile needs is checked when it is read (delivery_parts.py).
    """

    name: str = setting(text_like(_NAME, "sink name (a-z 0-9 . _ -, at most 32)"))
    profile: str = setting(_profile)
    client_id: str = setting(text_like())
    report_interval_s: int = setting(_interval)
    base_url: str | None = setting(https_url, None)  # None: the profile's own
    secret_file: Path | None = setting(file_path, None)
    assertion_key_file: Path | None = setting(file_path, None)  # private_key_jwt
    assertion_key_id: str = setting(text_like(), "")  # "": the assertion names no key
    signature_key_file: Path | None = setting(file_path, None)  # reports that are signed
    signature_key_id: str = setting(text_like(), "")  # "": client_id
    cert_file: Path | None = setting(file_path, None)  # client certificate, where the platform asks for one
    key_file: Path | None = setting(file_path, None)
    ca_file: Path | None = setting(file_path, None)  # None: the authorities of the system
    timeout_s: float = setting(number_in(float, 1.0, 300.0), 30.0)  # platforms store before they answer


@dataclass(frozen=True, slots=True)
class Hj212SinkConfig:
    """An environmental platform by HJ 212-2017; we are the field unit (bridge/HJ212.md). `outlet`: of the permit in
    documents.site_file, which gives MN, factor codes and duties; `rule_set`: of the plant, for converted values and
    masses."""

    name: str = setting(text_like(_NAME, "sink name (a-z 0-9 . _ -, at most 32)"))
    host: str = setting(text_like(_HOST, "host name"))
    port: int = setting(number_in(int, 1, 65_535))
    outlet: str = setting(text_like())
    secret_file: Path = setting(file_path)  # PW
    mn: str = setting(text_like(_MN, "station number MN"), "")  # "": the outlet's
    st: str = setting(text_like(_ST, "system code ST"), "31")  # air pollution source
    version: str = setting(one_of("2017", "2025-preview"), "2017")
    policy: str = setting(one_of("strict", "modbus-crc-accepted", "ignore-crc"), "strict")
    rule_set: str | None = setting(text_like(), None)
    factor_file: Path | None = setting(file_path, None)  # local codes
    over_time_s: int = setting(number_in(int, 1, 99), 5)  # reference: section 4.5, a wired line; cellular 10
    tries: int = setting(number_in(int, 1, 99), 3)
    real_time_interval_s: int = setting(_interval, 60)  # which averages are the present
    real_time_every_s: int = setting(number_in(int, 30, 3_600), 60)  # RtdInterval, until the platform sets it
    real_time_is_on: bool = setting(one_of(True, False), True)
    real_time_answer: bool = setting(one_of(True, False), False)
    minute_interval_min: int = setting(one_of(1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30), 10)
    interval_flags: str = setting(one_of("standard", "cause"), "standard")
    wait_for_modules_s: int = setting(number_in(int, 0, DAY_S), 300)  # that stand still, before a message goes without
    heartbeat_s: int = setting(number_in(int, 0, 3_600), 0)  # 0: none; a vendor extension on 2017 links
    login: bool = setting(one_of(True, False), False)
    ask_time: bool = setting(one_of(True, False), False)
    clock_tolerance_s: int = setting(number_in(int, 1, 3_600), 60)  # minutes matter to the platform's grid
    set_host_clock: bool = setting(one_of(True, False), False)
    allow_password_change: bool = setting(one_of(True, False), False)


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """`port` 0: a free one is chosen and printed. `host_names`: names under which a reverse proxy shows the page."""

    enabled: bool = setting(one_of(True, False), True)
    host: str = setting(_loopback, "127.0.0.1")
    port: int = setting(number_in(int, 0, 65_535), 0)
    host_names: tuple[str, ...] = setting(list_of(text_like(_HOST, "host name")), ())
    trend_minutes: int = setting(number_in(int, 1, 120), 15)  # at 1 s slots 120 minutes are 7,200 points a channel


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the service is told."""

    gateway: GatewayConfig
    keys: KeysConfig
    modules: tuple[ModuleConfig, ...]
    averaging: AveragingConfig
    plants: tuple[PlantConfig, ...]
    mqtt_sinks: tuple[MqttSinkConfig, ...]
    https_sinks: tuple[HttpsSinkConfig, ...]
    hj212_sinks: tuple[Hj212SinkConfig, ...]
    dashboard: DashboardConfig
    anchors: AnchorsConfig
    documents: DocumentsConfig
    pact: PactConfig


def load_config(path: Path) -> Config:
    """Read and check the file. Raises ConfigError: one line with file, line, key, reason and mend."""
    text = read_text(path, FILE_MAX_BYTES, "`plumeproof config sample` prints one", "this is no configuration")
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> Config:
    """Check the text of a configuration; `path` is named in errors and gives relative paths their folder."""
    from plumeproof.pact_config import read_pact  # takes its checks from here

    tree, lines = parse_toml(text, path)
    top = Section(tree, (), lines, path).only(
        "gateway", "keys", "module", "averaging", "plant", "sink", "dashboard", "anchors", "documents", "pact"
    )
    sinks = top.inner("sink").only("mqtt", "https", "hj212")
    config = Config(
        gateway=top.inner("gateway", is_needed=True).build(GatewayConfig),
        keys=top.inner("keys", is_needed=True).build(KeysConfig),
        modules=top.each("module", ModuleConfig, is_needed=True),
        averaging=top.inner("averaging").build(AveragingConfig),
        plants=top.each("plant", PlantConfig),
        mqtt_sinks=sinks.each("mqtt", MqttSinkConfig),
        https_sinks=sinks.each("https", HttpsSinkConfig),
        hj212_sinks=sinks.each("hj212", Hj212SinkConfig),
        dashboard=top.inner("dashboard").build(DashboardConfig),
        anchors=top.inner("anchors").build(AnchorsConfig),
        documents=top.inner("documents").build(DocumentsConfig),
        pact=read_pact(top.inner("pact")),
    )
    _check_together(config, lines, path)
    return config


def effective(config: object) -> Any:
    """The tree as plain JSON values, for printing. No secret is in it: it only knows the names of their files."""
    if hasattr(config, "__dataclass_fields__"):
        return {entry.name: effective(getattr(config, entry.name)) for entry in fields(config)}  # type: ignore[arg-type] # it has them
    if isinstance(config, tuple):
        return [effective(item) for item in config]
    return str(config) if isinstance(config, Path) else config


def _check_together(config: Config, lines: Lines, path: Path) -> None:
    """What one key alone cannot show."""

    def refuse(*at: str | int, reason: str) -> ConfigError:
        return Section({}, at[:-1], lines, path).refuse(str(at[-1]), reason)

    seen: set[tuple[str, str]] = set()
    places: list[At] = [("module", i, key) for i in range(len(config.modules)) for key in ("device", "port")]
    places += [("plant", i, "file") for i in range(len(config.plants))]
    entries = {"module": config.modules, "plant": config.plants, "mqtt": config.mqtt_sinks, "https": config.https_sinks}
    entries["hj212"] = config.hj212_sinks
    places += [("sink", kind, i, "name") for kind in ("mqtt", "https", "hj212") for i in range(len(entries[kind]))]
    for at in places:
        value = getattr(entries[str(at[-3])][int(at[-2])], str(at[-1]))
        if (str(at[-1]), value) in seen:
            raise refuse(*at, reason=f"{value!r} is there already; each has its own")
        seen.add((str(at[-1]), value))
    anchors = config.anchors
    for key, other in (
        ("folders", "key_file"),
        ("tsa_url", "key_file"),
        ("tsa_url", "tsa_certificate_file"),
        ("tsa_certificate_file", "tsa_url"),
    ):
        if getattr(anchors, key) and getattr(anchors, other) is None:
            raise refuse("anchors", key, reason=f"needs {other} beside it")
    nodes: set[tuple[str, int, str]] = set()
    for i, mqtt in enumerate(config.mqtt_sinks):
        if "sparkplug" in mqtt.content:
            node = (mqtt.host, mqtt.port, mqtt.sparkplug_group)
            if len(mqtt.content) > 1:  # MQTT has one last will a connection, and Sparkplug's is the node's death
                raise refuse("sink", "mqtt", i, "content", reason="give sparkplug a [[sink.mqtt]] of its own")
            if node in nodes:
                raise refuse("sink", "mqtt", i, "content", reason="this broker has our sparkplug node already")
            nodes.add(node)
        if mqtt.replay_rows_per_s > mqtt.rows_per_s:
            reason = f"{mqtt.replay_rows_per_s} is more than rows_per_s ({mqtt.rows_per_s})"
            raise refuse("sink", "mqtt", i, "replay_rows_per_s", reason=reason)
        # A password never travels without TLS.
        needs = (
            ("cert_file", "key_file"),
            ("key_file", "ca_file"),
            ("password_file", "username"),
            ("password_file", "ca_file"),
        )
        for key, other in needs:
            if getattr(mqtt, key) is not None and getattr(mqtt, other) is None:
                raise refuse("sink", "mqtt", i, key, reason=f"needs {other} beside it")
    for i, https in enumerate(config.https_sinks):
        for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(https, key) is not None and getattr(https, other) is None:
                raise refuse("sink", "https", i, key, reason=f"needs {other} beside it")
        if https.report_interval_s not in config.averaging.intervals_s:
            reason = f"{https.report_interval_s} s is not averaged; add it to averaging.intervals_s"
            raise refuse("sink", "https", i, "report_interval_s", reason=reason)
