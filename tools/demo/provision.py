"""What an installer writes before a line runs: files of the modules, keys.json, the bridge's configuration."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from plumeproof.gateway_key import create_gateway_key
from plumeproof.keys import build_entry
from tools.broker import Broker
from tools.demo.layout import (
    ANALYZERS,
    BROKER_NAME,
    BUS_BAUD,
    FLASH_BYTES,
    GATEWAY,
    GRACE_S,
    INTERVALS_S,
    MODULES,
    PLATFORM_NAME,
    REPORT_INTERVAL_S,
    Layout,
)
from tools.parameters import compose, parse_choice

CLOCK = dt.timezone(dt.timedelta(hours=8))  # of site/line-1.toml
SITE = Path(__file__).parent / "site"
ANCHOR_RECORDS = 20  # for the demo; at a plant a day of them
LINK_ADDRESS = 1  # each module has a serial line of its own
CLIENT = "gateway"  # the platform's client (tools/eu_platform)


def provision_module(layout: Layout, name: str, slot_ms: int, seal_ms: int) -> None:
    """board.json, settings.json and parameters.json of an emulated module (boards/host)."""
    folder = layout.module(name)
    folder.mkdir(parents=True, exist_ok=True)
    board = {
        "bus": "bus.tty",
        "uplink": layout.module_tty(name).name,
        "flash": layout.flash(name).name,
        "flash_bytes": FLASH_BYTES,
    }
    (folder / "board.json").write_text(json.dumps(board, indent=1) + "\n")
    (folder / "settings.json").write_text(json.dumps({"link_address": LINK_ADDRESS}) + "\n")
    bus = {"baud": BUS_BAUD, "parity": "N", "stop_bits": 1}
    analyzers = [parse_choice(text) for text in ANALYZERS]
    layout.parameters(name).write_bytes(compose(name, analyzers, slot_ms, seal_ms, bus))


def enroll(layout: Layout, names: Sequence[str] = MODULES) -> None:
    """keys.json from the public keys that the started modules have left, and the gateway's own key, made here."""
    entries = [build_entry(name, (layout.module(name) / "public_key.bin").read_bytes()) for name in names]
    key, _ = create_gateway_key(layout.gateway_key, GATEWAY)
    entries.append(build_entry(GATEWAY, key.public_key, "anchor"))
    layout.keys.write_text(json.dumps(entries, indent=1) + "\n")


def configure_bridge(layout: Layout, broker: Broker, platform_url: str, dashboard_port: int) -> None:
    """bridge.toml: both modules, anchors, broker with client certificate, platform, dashboard."""
    layout.kept.mkdir(exist_ok=True)
    shutil.copytree(SITE, layout.site, dirs_exist_ok=True)
    (layout.site / "site.toml").write_text(site_description())
    ca_file = layout.authority / "ca.pem"
    modules = "".join(
        _table(
            "[module]",
            device=name,
            port=layout.gateway_tty(name),
            link_address=LINK_ADDRESS,
            time_sync_interval_s=60,
            poll_interval_s=0.05,  # a part of the latency that is shown
        )
        for name in MODULES
    )
    text = (
        "# Made by the demo; `plumeproof config check -c` reads it.\n"
        + _table("gateway", id=GATEWAY, data_dir=layout.ledger.parent, clock_uncertainty_ms=10)
        + _table("keys", file=layout.keys)
        + modules
        + _table("averaging", intervals_s=list(INTERVALS_S), grace_s=GRACE_S)
        + _table("[plant]", file=layout.site / "line-1.toml", rule_files=[str(layout.site / "demo_hour.json")])
        + _table("documents", site_file=layout.site / "site.toml")
        + _table("anchors", key_file=layout.gateway_key, every_records=ANCHOR_RECORDS, folders=[str(layout.kept)])
        + _table("dashboard", port=dashboard_port)
        + _table(
            "[sink.mqtt]",
            name=BROKER_NAME,
            host=broker.host,
            port=broker.port,
            protocol="5" if broker.is_mqtt5 else "3.1.1",
            ca_file=ca_file,
            cert_file=layout.authority / "client.pem",
            key_file=layout.authority / "client.key",
        )
        + _table(
            "[sink.https]",
            name=PLATFORM_NAME,
            profile="eu-carbon-cloud",
            base_url=platform_url,
            client_id=CLIENT,
            secret_file=layout.platform / "client.secret",
            report_interval_s=REPORT_INTERVAL_S,
            ca_file=ca_file,
            timeout_s=10,
        )
    )
    layout.config.write_text(text)


def site_description() -> str:
    """The sample that `plumeproof report --sample-site` prints, with CO2 declared by the demo's own rule set, for the
    month that runs."""
    found = files("plumeproof.documents").joinpath("sample_site.toml").read_text(encoding="utf-8")
    month, behind = running_month()
    changes = {'rule_set = "eu_mrr"': 'rule_set = "demo_hour"', '"2026-12"': f'"{month}"', '"2027-01"': f'"{behind}"',
               '"2027-01-15': f'"{behind}-15'}  # fmt: skip
    for old, new in changes.items():
        assert old in found, old
        found = found.replace(old, new)
    return found


def running_month() -> tuple[str, str]:
    """This month and the next by the site's clock, as `plumeproof report` reads them."""
    now = dt.datetime.now(CLOCK)
    behind = (now.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return f"{now:%Y-%m}", f"{behind:%Y-%m}"


def _table(header: str, /, **values: object) -> str:
    """A TOML table; JSON's strings, numbers, booleans and arrays are TOML's as well."""
    lines = [f"\n[{header}]"]
    for key, value in values.items():
        plain = os.fspath(value) if isinstance(value, Path) else value
        lines.append(f"{key} = {json.dumps(plain)}")
    return "\n".join(lines) + "\n"
