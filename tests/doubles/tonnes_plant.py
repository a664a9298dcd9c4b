"""The end of a month of a stack with CO2 and flow, signed and chained, as the bridge stores it: for tonnes.

One slot a minute, one record an hour; some hours without an analyzer (substituted), some stopped. Made as fast as a
test wants it; imitates no more than its base.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

import rfc8785

from plumeproof.averaging_stage import AveragingStage
from plumeproof.figures_stage import FiguresStage
from plumeproof.plant_file import open_engine
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.chained_module import ChainedModule
from tests.doubles.manual_clock import ManualClock
from tests.doubles.signed_module import write_keys
from tests.doubles.timed_module import START_UTC_MS, store_all

PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+01:00"
rule_sets = ["eu_mrr"]
[[state]]
state = "stopped"
source = "plume-01/flow"
below = 100.0
slot_ms = 60000
[flow]
source = "plume-01/flow"
unit = "m3/h"
conditions = "normal_dry"
slot_ms = 60000
[[measurand]]
id = "CO2"
source = "plume-01/co2"
unit = "%"
slot_ms = 60000
gas = "CO2"
greenhouse_gas = "CO2"
biomass_share_pct = 40.0
"""
HOUR_MS = 3_600_000


def build_set() -> bytes:
    """`co2`: float32 in word order CDAB; `flow`: uint16 by scale and offset."""
    own = {"block": 0, "unit": "m3/h", "min": "-1000", "max": "1e30"}
    channels = [
        own | {"id": "co2", "quantity": "CO2", "register": 0, "type": "float32", "order": "CDAB", "scale": "1",
               "offset": "0", "unit": "%"},
        own | {"id": "flow", "quantity": "flow", "block": 1, "register": 0, "type": "uint16", "order": "AB",
               "scale": "2.5", "offset": "-12.5"},
    ]  # fmt: skip
    return rfc8785.dumps(
        {
            "format": 1,
            "revision": 3,
            "device": "plume-01",
            "slot_ms": 60_000,
            "seal_ms": HOUR_MS,
            "bus": {"baud": 19200, "parity": "E", "stop_bits": 1},
            "analyzers": [
                {"id": "gas", "profile": "p", "profile_version": "1", "unit": 7, "timeout_ms": 200, "retries": 1}
            ],
            "blocks": [
                {"analyzer": 0, "function": 4, "address": 40, "quantity": 2},
                {"analyzer": 0, "function": 3, "address": 100, "quantity": 1},
            ],
            "channels": channels,
            "statuses": [],
        }
    )


def write_tonnes(folder: Path, days: int = 4, plant: str = PLANT) -> ChainedModule:
    """Ledger with averages and figures, keys.json and line-1.toml: the last days of December 2026 on the site's clock,
    and two hours of January."""
    (folder / "line-1.toml").write_text(plant)
    module, rng = ChainedModule(raw_set=build_set()), random.Random(5)
    module.clock_offset_ms = START_UTC_MS - HOUR_MS + (31 - days) * 24 * HOUR_MS
    module.start()
    for hour in range(24 * days + 2):
        is_lost, is_stopped = hour % 100 in (30, 31), hour % 200 == 70
        outcomes = bytes([1 if is_lost else 0]) * 60
        co2 = [struct.pack(">f", rng.gauss(11.0, 1.0)) for _ in range(0 if is_lost else 60)]
        flow = [struct.pack(">H", 10 if is_stopped else rng.randrange(35_000, 38_000)) for _ in range(60)]
        blocks = [[outcomes, b"".join(one[2:] + one[:2] for one in co2)], [bytes(60), b"".join(flow)]]
        first_mono = module.mono_ms
        module.mono_ms += HOUR_MS
        module.seal(2, {20: module.next_slot, 21: 60, 22: 60_000, 23: first_mono, 24: blocks, 25: 0})
        module.next_slot += 60
    write_keys(folder / "keys.json", module)
    writer, clock = Writer(folder / "ledger.sqlite"), ManualClock()
    ledger = SqliteLedger(writer, clock)
    averages, figures = SqliteAverages(writer, clock), SqliteFigures(writer, clock)
    store_all(ledger, module.sealed)
    averaging = AveragingStage(ledger, averages, [3600], 0)
    while averaging.step():
        pass
    stage = FiguresStage(ledger, averages, figures, [open_engine(folder / "line-1.toml")], 0)
    while stage.step():
        pass
    writer.close()
    return module
