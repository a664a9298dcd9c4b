"""`plumeproof doctor -c FILE [--json]`: disk, keys, time, ports, brokers, platforms, each tried now.

One line each: `ok`, `warning` (works today, a certificate ends within 30 days), or `problem` with the mend. Exit status
0, 2 when something on this PC must be put right, 3 when something outside cannot be reached. It changes nothing: no
file is made, no module is told anything.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plumeproof.cli.anchor_checks import check_anchors, check_authority
from plumeproof.config import Config, Hj212SinkConfig, HttpsSinkConfig, ModuleConfig, MqttSinkConfig, load_config
from plumeproof.delivery.tls import WARN_DAYS
from plumeproof.delivery_parts import files_of, probe_platform
from plumeproof.errors import BridgeError, ConfigError, EvidenceError, RetryableDelivery, UnreachableError
from plumeproof.keys import load_keys

DISK_FREE_MIN_BYTES = 1_000_000_000  # a module seals some 0.5 GB a year at 1 s slots
EARLIEST_UTC_S = 1_767_225_600  # 2026-01-01, as the modules refuse earlier dates (SPEC.md section 4.1)
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
MODULE_MEND = "check cable, port and baud, and that the module's own key is in keys.file"
TIMEX_BYTES = 512  # struct timex is 208 bytes on 64-bit Linux


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer. `state`: ok, warning (soon), problem (this PC) or unreachable (outside)."""

    name: str
    state: str
    sentence: str
    mend: str = ""


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "doctor", help="try ports, time, brokers, platforms, keys and disk"
    )
    parser.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    checks = []
    for check in examine(load_config(args.config)):
        checks.append(check)
        if not args.json:
            mend = f" | {check.mend}" if check.mend else ""
            print(f"{check.state:11} {check.name}: {check.sentence}{mend}")
    states = {check.state for check in checks}
    if args.json:
        print(json.dumps({"fine": states <= {"ok", "warning"}, "checks": [asdict(check) for check in checks]}))
    return 3 if "unreachable" in states else 2 if "problem" in states else 0


def examine(config: Config) -> Iterator[Check]:
    """Every check of a configuration, the near ones first."""
    yield _tried("disk", lambda: _disk(config), "name a local folder with space in gateway.data_dir")
    yield _tried("keys", lambda: _keys(config), "enrol the module's public key in keys.file")
    yield _tried("time", check_time, "let this PC synchronise its clock (chrony, systemd-timesyncd, Windows Time)")
    is_running = _is_running(config)
    for module in config.modules:
        yield _tried(f"module {module.device}", partial(_module, module, is_running, config.keys.file), MODULE_MEND)
    if config.anchors.key_file is not None:
        mend = "what the gateway's key signs and when it refuses: bridge/EVIDENCE.md section 5.2"
        yield _tried("anchors", lambda: check_anchors(config, is_running), mend)
    if config.anchors.tsa_url is not None:
        yield _tried("time-stamps", lambda: check_authority(config), "check anchors.tsa_url and tsa_certificate_file")
    for mqtt in config.mqtt_sinks:
        left: dict[str, int] = {}
        mend = "check host, port, firewall and certificates"
        yield _tried(f"broker {mqtt.name}", partial(_broker, mqtt, config.gateway.id, left), mend)
        yield from _certificates(mqtt.name, left)
    for https in config.https_sinks:
        left = {}
        mend = "check profile, base_url, firewall, ca_file, secret and key files"
        yield _tried(f"platform {https.name}", partial(_platform, https, left), mend)
        yield from _certificates(https.name, left)
    for link in config.hj212_sinks:
        mend = "check host, port, firewall, secret_file, and the outlet in documents.site_file"
        yield _tried(f"hj212 {link.name}", partial(_hj212, config, link), mend)


def _tried(name: str, check: Callable[[], str], mend: str) -> Check:
    try:
        return Check(name, "ok", check())
    except (UnreachableError, RetryableDelivery) as error:
        return Check(name, "unreachable", str(error), mend)
    except (BridgeError, OSError) as error:
        return Check(name, "problem", str(error), mend)


def _disk(config: Config) -> str:
    folder = config.gateway.data_dir
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(str(folder), "is no folder")
    if not os.access(folder, os.W_OK):
        raise ConfigError(str(folder), "may not be written to by this user")
    free = shutil.disk_usage(folder).free
    if free < DISK_FREE_MIN_BYTES:
        raise ConfigError(str(folder), f"only {free // 1_000_000} MB are free")
    if config.gateway.ledger_file.exists():
        from plumeproof.store.reader import LedgerView

        view = LedgerView(config.gateway.ledger_file)
        count = view.newest_position()
        view.close()
        return f"{free // 1_000_000_000} GB free, ledger with {count} records"
    return f"{free // 1_000_000_000} GB free, no ledger yet"


def _keys(config: Config) -> str:
    keys = load_keys(config.keys.file)
    for module in config.modules:
        mine = [entry for entry in keys.entries if entry.device == module.device and entry.purpose == "record"]
        if not any(not entry.is_revoked for entry in mine):
            raise ConfigError(str(config.keys.file), f"no usable record key of {module.device}")
    for sink in config.https_sinks:
        for named in files_of(sink):
            _readable(named)
    for mqtt in config.mqtt_sinks:
        for path in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file, mqtt.password_file):
            if path is not None:
                _readable(path)
    return f"{len(keys.entries)} keys, one for each module; secrets and certificates readable"


def _readable(path: Path) -> None:
    with path.open("rb") as file:
        if not file.read(1):
            raise ConfigError(str(path), "is empty")


def check_time() -> str:
    """In one sentence, which ends in "synchronised" where that can be seen. Raises ConfigError."""
    now = time.time()
    if now < EARLIEST_UTC_S:
        raise ConfigError("system clock", f"shows {time.strftime('%Y-%m-%d', time.gmtime(now))}")
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if not sys.platform.startswith("linux"):
        return f"{shown}; whether it is synchronised cannot be seen on this system"
    if ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)) == TIME_ERROR:
        raise ConfigError("system clock", f"{shown}, but the kernel says it is not synchronised")
    return f"{shown}, synchronised"


def _is_running(config: Config) -> bool:
    from plumeproof.store.lock import LedgerLock

    if not (config.gateway.data_dir / "bridge.lock").exists():
        return False
    try:
        LedgerLock(config.gateway.data_dir).release()
    except ConfigError:
        return True
    return False


def _module(module: ModuleConfig, is_running: bool, keys_file: Path) -> str:
    if is_running:
        return f"{module.port} is held by the running bridge; its page shows the state of the line"
    from plumeproof.module_stage import ask_who

    welcome = ask_who(module)
    if welcome.device != module.device:
        raise ConfigError(module.port, f"module {welcome.device} answers, not {module.device}")
    try:
        load_keys(keys_file).find(welcome.kid, module.device, welcome.newest_seq + 1)
    except EvidenceError as error:
        # Its records would not be taken. That keys.json itself is good was looked at before.
        raise ConfigError(module.port, f"{module.device} answers, but {error.detail}") from error
    return f"{module.port} answers, boot {welcome.boot}, records {welcome.oldest_seq} to {welcome.newest_seq} kept"


def _broker(sink: MqttSinkConfig, gateway: str, left: dict[str, int]) -> str:
    """`left`: takes the days that certificates still hold."""
    from plumeproof.delivery_parts import probe_broker

    sentence, days = probe_broker(sink, gateway)
    left.update(days)
    return sentence


def _certificates(name: str, left: dict[str, int]) -> Iterator[Check]:
    if not left:
        return
    is_soon = min(left.values()) < WARN_DAYS
    told = ", ".join(f"the {which}'s holds for {days} more days" for which, days in sorted(left.items()))
    mend = "renew what ends soon; the bridge takes the new files" if is_soon else ""
    yield Check(f"certificates {name}", "warning" if is_soon else "ok", told, mend)


def _hj212(config: Config, sink: Hj212SinkConfig) -> str:
    from plumeproof.hj212_parts import try_link

    return try_link(config, sink)


def _platform(sink: HttpsSinkConfig, left: dict[str, int]) -> str:
    """As `_broker`."""
    sentence, days = probe_platform(sink)
    left.update(days)
    return sentence
