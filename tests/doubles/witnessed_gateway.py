"""A gateway with one signed module, its ledger, its own key and the stage that signs anchors. No threads, no line."""

from __future__ import annotations

import json
from pathlib import Path

from plumeproof.anchor_stage import AnchorStage
from plumeproof.enrolment import Registry
from plumeproof.gateway_key import GatewayKey, create_gateway_key
from plumeproof.keys import load_keys
from plumeproof.store.anchors import SqliteAnchors
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox
from tests.doubles.chained_module import ChainedModule
from tests.doubles.manual_clock import ManualClock
from tests.doubles.timed_module import START_UTC_MS, store_all

GATEWAY = "gw-1"
DAY_MS = 86_400_000
HOUR_S = 3600.0


class WitnessedGateway:
    """`folder` holds ledger.sqlite, keys.json, gateway.key."""

    def __init__(self, folder: Path, records: int = 6) -> None:
        self.folder = folder
        self.module = ChainedModule()
        self.module.start()
        self.clock = ManualClock(START_UTC_MS)
        (folder / "keys.json").write_text(json.dumps([self.module.entry()]))
        self.key_file = folder / "gateway.key"
        key, _ = create_gateway_key(self.key_file, GATEWAY)
        with Registry(folder / "keys.json") as registry:
            registry.enroll(GATEWAY, key.public_key, "anchor")
        self.stored = 0
        self.open()
        self.measure(records)

    def open(self, every_records: int = 0) -> None:
        """The bridge starts."""
        self.writer = Writer(self.folder / "ledger.sqlite")
        self.store = SqliteAnchors(self.writer, self.clock)
        self.outbox = SqliteOutbox(self.writer, self.clock)
        keys = load_keys(self.folder / "keys.json")
        key = GatewayKey(self.key_file)
        self.stage = AnchorStage(GATEWAY, key, self.store, keys, self.clock, DAY_MS, every_records)

    def measure(self, records: int) -> None:
        """So many records more, in the ledger."""
        while len(self.module.sealed) < self.stored + records:
            self.module.sample([(0, 100.0, 10, False)] * 3)
        store_all(SqliteLedger(self.writer, self.clock), self.module.sealed[self.stored :])
        self.stored = len(self.module.sealed)

    def sign(self) -> bytes:
        """What is due now; the statement."""
        assert self.stage.step() == 0.0
        newest = self.store.newest()
        assert newest is not None
        return newest.statement

    def cut(self, records: int) -> None:
        """Somebody deletes the newest records and makes every local table fit."""
        first = self.stored - records
        record = self.module.sealed[first - 1][0]
        with self.writer.transaction() as connection:
            connection.execute("DELETE FROM record WHERE seq > ?", (first,))
            connection.execute(
                "UPDATE head SET seq = ?, content_hash = ?, mono_ms = ?", (first, record.content_hash, record.mono_ms)
            )
            connection.execute("DELETE FROM anchor_stamp")
            connection.execute("DELETE FROM anchor")
        self.stored = first
        del self.module.sealed[first:]
