"""A gateway's folder with everything that `plumeproof readiness` asks for: a month of signed records, an
anchor, keys, a site with its papers. December, judged on its last day. The bridge has stored no averages and figures:
they are made from the records. Imitates no platform."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from plumeproof.anchor_stage import AnchorStage
from plumeproof.enrolment import Registry
from plumeproof.gateway_key import GatewayKey, create_gateway_key
from plumeproof.keys import load_keys
from plumeproof.store.anchors import SqliteAnchors
from plumeproof.store.connection import Writer
from tests.doubles import carbon_month
from tests.doubles.manual_clock import ManualClock
from tests.doubles.timed_module import START_UTC_MS

DAY_MS = 86_400_000
SAMPLE = files("plumeproof.documents").joinpath("sample_site.toml").read_text()
CONFIG = """
[gateway]
id = "gw-1"
data_dir = "."
[keys]
file = "keys.json"
[[module]]
device = "plume-01"
port = "/dev/none"
[[plant]]
file = "line-1.toml"
[anchors]
key_file = "gateway.key"
folders = ["share"]
[documents]
site_file = "site.toml"
"""
PAPER = """
[[readiness.paper]]
name = "Supply contract 2027"
kind = "contract"
reference = "K-2027-11, annex 4"
valid_to = "2027-12-31"
states = ["signed_at_source", "anchored", "calibrated"]
"""


def site_text(category: str = "wte", more: str = "") -> str:
    """The sample with CO2 alone at its outlet, and what the review asks of this category stated elsewhere."""
    pattern = r'\[\[permit.outlet.pollutant\]\]\nmeasurand = "NOx".*?(?=\[\[permit.outlet.pollutant\]\])'
    text = re.sub(pattern, "", SAMPLE, flags=re.DOTALL).replace('category = "wte"', f'category = "{category}"', 1)
    text = text[: text.index("\n# Readiness, the review")]
    preset = files("plumeproof.documents").joinpath("presets", f"{category}.toml").read_text()
    wanted = re.findall(
        r'id = "(\w+)", name = "[^"]*", code = "[^"]*", known_as = \[[^]]*\], need = "required"', preset
    )
    measured = {"co2", "flow", "biogenic", "boiler_co2", "boiler_flow", "generators"}
    elsewhere = [
        f'[[readiness.parameter]]\nparameter = "{one}"\nwhere = "plant control system"\n'
        for one in wanted
        if one not in measured
    ]
    return text + carbon_month.SITE + "\n".join(elsewhere) + PAPER + more


def build_site(folder: Path, category: str = "wte", days: int = 31) -> Path:
    """bridge.toml, site.toml, line-1.toml, keys.json, gateway.key and ledger.sqlite; returns bridge.toml."""
    carbon_month.record_month(folder, days)
    key, _ = create_gateway_key(folder / "gateway.key", "gw-1")
    with Registry(folder / "keys.json") as registry:
        registry.enroll("gw-1", key.public_key, "anchor")
    clock = ManualClock(START_UTC_MS + days * DAY_MS - 3_600_000)
    writer = Writer(folder / "ledger.sqlite")
    anchors = AnchorStage(
        "gw-1", GatewayKey(folder / "gateway.key"), SqliteAnchors(writer, clock), load_keys(folder / "keys.json"),
        clock, DAY_MS, 0,
    )  # fmt: skip
    anchors.step()
    writer.close()
    (folder / "share").mkdir()
    (folder / "site.toml").write_text(site_text(category))
    (folder / "bridge.toml").write_text(CONFIG)
    return folder / "bridge.toml"
