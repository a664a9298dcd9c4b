"""Where everything of a demo lies below its directory, and the choices that are the same in every demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = ("plume-01", "plume-02")
ANALYZERS = ("gas=sick_mcs100ft@1", "dust=generic_dust_int16@2", "stack=generic_flow_tpm@3")
SLOT_MS = 1000
SEAL_MS = 3000  # every few seconds, so that everything behind it appears at once
INTERVALS_S = (10, 60, 600, 1800, 3600, 86400)  # 10 s for the demo, the others as at a plant
REPORT_INTERVAL_S = 10
GRACE_S = 1
BUS_BAUD = 115200
FLASH_BYTES = 1 << 20  # 256 sectors: half an hour of records of 3 s stay readable for the referee
GATEWAY = "demo-gateway"
BROKER_NAME = "broker"
PLATFORM_NAME = "platform"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one demo."""

    root: Path

    def module(self, name: str) -> Path:
        return self.root / name

    @property
    def authority(self) -> Path:
        return self.root / "ca"

    @property
    def platform(self) -> Path:
        return self.root / "platform"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def config(self) -> Path:
        return self.root / "bridge.toml"

    @property
    def ledger(self) -> Path:
        return self.root / "bridge" / "ledger.sqlite"

    @property
    def envelopes(self) -> Path:
        return self.root / "envelopes.cbor"

    @property
    def anchor(self) -> Path:
        return self.root / "anchor.json"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle.zip"

    @property
    def verdict(self) -> Path:
        return self.root / "verdict.html"

    @property
    def platform_keys(self) -> Path:
        """The JWK set with which the platform signs receipts."""
        return self.root / "platform-keys.json"

    @property
    def gateway_key(self) -> Path:
        return self.root / "gateway.key"

    @property
    def kept(self) -> Path:
        """Anchors at a keeper: here a folder, at a plant on another disk or host."""
        return self.root / "kept"

    @property
    def site(self) -> Path:
        """site.toml, the plant description and the demo's own rule set; its papers, at the end."""
        return self.root / "site"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    def log(self, part: str) -> Path:
        return self.root / f"{part}.log"

    def plant_log(self, name: str) -> Path:
        return self.module(name) / "plant.jsonl"

    def flash(self, name: str) -> Path:
        return self.module(name) / "flash.bin"

    def parameters(self, name: str) -> Path:
        return self.module(name) / "parameters.json"

    def gateway_tty(self, name: str) -> Path:
        return self.module(name) / "gateway.tty"

    def module_tty(self, name: str) -> Path:
        return self.module(name) / "uplink.tty"

    def drain(self, name: str) -> Path:
        """A file by which the module is asked to seal the rest (boards/host)."""
        return self.module(name) / "drain"
