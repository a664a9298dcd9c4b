"""Four days of CO2 (carbon_month.py) as every tongue of the product says them: the statement's and the CBAM document's
hours, an HJ 212 link's queue and a capture of its packets, a platform's reports, a broker's topics. All bytes are
written by the product; nothing is sent."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

from plumeproof.averaging_stage import AveragingStage
from plumeproof.cli import main
from plumeproof.config import load_config
from plumeproof.delivery_parts import build_relay
from plumeproof.figures_stage import FiguresStage
from plumeproof.hj212.messages import Identity, build_part
from plumeproof.hj212_parts import Stores, build_links
from plumeproof.plant_file import open_engine
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.clock_orders import SqliteClockOrders
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox
from tests.doubles.carbon_month import PLANT, record_month
from tests.doubles.manual_clock import ManualClock
from tests.doubles.steel_works import site_text

DAYS = 4
BEGIN_UTC_MS = 1_796_083_200_000  # 2026-12-01T00:00Z
MN, PW = "010000A8900016F000169DC0", "123456"
# Of most hours some minutes, so that no mass is that of a whole hour
STANDSTILLS = '[[state]]\nstate = "stopped"\nsource = "plume-01/dust"\nbelow = 30300.0\nslot_ms = 60000\n'
PERIOD = ("--from", "2026-12", "--to", "2027-01")
CONFIG = """
[gateway]
id = "gw-1"
data_dir = "."
[keys]
file = "keys.json"
[[module]]
device = "plume-01"
port = "/dev/null"
[averaging]
intervals_s = [3600]
grace_s = 0
[[plant]]
file = "line-1.toml"
[documents]
site_file = "site.toml"
[dashboard]
enabled = false
[[sink.hj212]]
name = "bureau"
host = "127.0.0.1"
port = 9
outlet = "DA001"
secret_file = "secret"
rule_set = "eu_mrr"
[[sink.mqtt]]
name = "broker"
host = "127.0.0.1"
port = 9
content = ["average", "senml"]
[[sink.https]]
name = "cloud"
profile = "eu-carbon-cloud"
base_url = "https://cloud.example"
report_interval_s = 3600
client_id = "gw-1"
secret_file = "secret"
ca_file = "ca.pem"
"""
SAMPLE = files("plumeproof.documents").joinpath("sample_site.toml").read_text(encoding="utf-8")
NOX = r"\[\[permit.outlet.pollutant\]\]\nmeasurand = \"NOx\".*?(?=\[\[permit.outlet.pollutant\]\])"


class SpokenMonth:
    """`folder`: ledger.sqlite, bridge.toml and all that it names; statement.csv, cbam.csv, capture.bin,
    report-N.json."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(BEGIN_UTC_MS + (DAYS * 24 + 1) * 3_600_000)
        record_month(folder, DAYS, PLANT + STANDSTILLS, missing=((50, 12),))
        (folder / "site.toml").write_text(re.sub(NOX, "", SAMPLE, flags=re.DOTALL))
        (folder / "cbam.toml").write_text(site_text(("2026-12", "2027-01")))
        (folder / "secret").write_text(PW)
        (folder / "secret").chmod(0o600)
        (folder / "ca.pem").write_text("")
        self.config_file = folder / "bridge.toml"
        self.config_file.write_text(CONFIG)
        self.config = load_config(self.config_file)
        self.writer = Writer(folder / "ledger.sqlite")
        self.averages = SqliteAverages(self.writer, self.clock)
        self.figures = SqliteFigures(self.writer, self.clock)
        self.outbox = SqliteOutbox(self.writer, self.clock)
        self._queue()
        for document, site in (("statement", "site.toml"), ("cbam", "cbam.toml")):
            named = ["--site", str(folder / site), "--hours", str(folder / f"{document}.csv")]
            named += ["--html", str(folder / f"{document}.html"), "--json", str(folder / f"{document}.json")]
            assert main(["report", document, "-c", str(self.config_file), *PERIOD, *named]) == 0, document
        self._save()

    def _queue(self) -> None:
        """Averages, figures, and rows of every feed."""
        ledger = SqliteLedger(self.writer, self.clock)
        stores = Stores(self.outbox, self.averages, self.figures, SqliteClockOrders(self.writer))
        (link,) = build_links(self.config, stores, self.clock, None, lambda kid: b"")
        relay = build_relay(self.config, ledger, self.averages, self.outbox, self.clock, more=[link.feed])
        relay.begin()
        engine = open_engine(self.folder / "line-1.toml", ())
        for stage in (
            AveragingStage(ledger, self.averages, (3600,), 0),
            FiguresStage(ledger, self.averages, self.figures, [engine], 0),
        ):
            while stage.step():
                pass
        for _ in range(2):
            while relay.step() is not None:
                pass
            self.clock.advance(600.0)  # reports close; nobody is waited for

    def rows(self, sink: str) -> list[tuple[int, bytes]]:
        """(id, body) of the outbox."""
        with self.writer.reading() as connection:
            return list(connection.execute("SELECT id, body FROM outbox WHERE sink = ? ORDER BY id", (sink,)))

    def _save(self) -> None:
        """What goes over the wires: packets as the link builds them, with an answer between them, and bodies."""
        identity, raw = Identity(MN, "31", PW), b""
        for _, body in self.rows("bureau"):
            content = json.loads(body)
            for number, part in enumerate(content["parts"], 1):
                items = [dict(item) for item in part["items"]]
                total = len(content["parts"])
                raw += build_part(identity, content["cn"], part["qn"], items, number, total, wants_answer=True)
        (self.folder / "capture.bin").write_bytes(raw)
        for number, (_, body) in enumerate(self.rows("cloud"), 1):
            (self.folder / f"report-{number}.json").write_bytes(body)

    def close(self) -> None:
        self.writer.close()
