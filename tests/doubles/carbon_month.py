"""A ledger of a month of CO2 and flow in slots of a minute, with gaps and weekly span checks, and its site.

December 2026 and what follows, on UTC. Made from formulas: the same records each time. The module signs; it does not
imitate the journal, the link or sealing limits.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import rfc8785

from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_averaging_stage import StillClock
from tests.doubles.gas_checked_module import GasCheckedModule, checked_set
from tests.doubles.signed_module import write_keys
from tests.doubles.timed_module import build_set, store_all

SLOT_MS = 60_000
SLOTS_DAY = 1_440
PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+00:00"
rule_sets = ["eu_mrr"]
[flow]
source = "plume-01/dust"
unit = "m3/h"
conditions = "normal_dry"
slot_ms = 60000
[[flow.calibration]]
id = "flow-2025"
begins = "2025-06-01T00:00:00Z"
a = 0.0
b = 1.0
[[measurand]]
id = "CO2"
source = "plume-01/co"
unit = "%"
gas = "CO2"
greenhouse_gas = "CO2"
biomass_share_pct = 34.0
slot_ms = 60000
[[measurand.calibration]]
id = "qal2-2025"
begins = "2025-06-01T00:00:00Z"
a = 0.0
b = 1.0
[[measurand.test]]
what = "AST"
on = "2026-05-04"
[measurand.qal3]
kind = "shewhart"
settle_s = 60
interval_days = 7
span_s_ams = 0.2
[[measurand.qal3.gas]]
point = "span"
begins = "2026-11-01T00:00:00Z"
value = 10.0
name = "bottle 4711"
"""
SITE = """
[[cylinder]]
id = "bottle 4711"
expires = "2027-06-30"
certificate = "cert 4711"

[readiness]
[[readiness.factor]]
source = "S1"
what = "biomass_share_pct"
value = "34.0"
evidence = "C-14 laboratory report 12/2026"
valid_from = "2026-01-01"
valid_to = "2027-12-31"
"""


class CarbonModule(GasCheckedModule):
    """GasCheckedModule in slots of a minute: `co` is CO2 in %, `dust` a flow in m3/h."""

    def __init__(self) -> None:
        super().__init__()
        tree = json.loads(
            build_set(
                slot_ms=SLOT_MS,
                co={"quantity": "CO2", "unit": "%", "min": "-1000"},
                dust={"quantity": "flow", "unit": "m3/h", "scale": "10", "offset": "0", "min": "0", "max": "300000"},
            )
        )
        tree["calibrations"] = json.loads(checked_set())["calibrations"]
        self.use(rfc8785.dumps(tree))

    def seal(self, kind: int, own: dict[int, Any], seq: int | None = None) -> None:
        """One record behind the last, chained."""
        prev = self.sealed[-1][1].content_hash if self.sealed else bytes(32)
        super().seal(kind, own | {6: prev}, seq)


def record_month(
    folder: Path, days: int = 31, plant: str = PLANT, missing: tuple[tuple[int, int], ...] = ((50, 12),)
) -> Path:
    """keys.json, line-1.toml and ledger.sqlite. `missing`: (first hour, hours) of a failed analyzer."""
    module, rng = CarbonModule(), random.Random(7)
    lost = {hour for first, count in missing for hour in range(first, first + count)}
    for day in range(days):
        module.visit(day) if day % 7 == 0 else None
        slots = SLOTS_DAY
        if day % 7 == 0:
            module.check("span", [10.0 + rng.choice((-0.1, 0.0, 0.1))] * 2, settling=1)
            slots -= 7  # three before, one to settle, two of gas, one behind
        at = SLOTS_DAY - slots
        readings: list[tuple[int, float, int, bool]] = []
        for slot in range(at, SLOTS_DAY):
            is_lost = day * 24 + slot // 60 in lost
            readings.append((0, 9.0 + rng.random(), 3000 + rng.randrange(200), is_lost))
        module.sample(readings)
    write_keys(folder / "keys.json", module)
    (folder / "line-1.toml").write_text(plant)
    writer = Writer(folder / "ledger.sqlite")
    store_all(SqliteLedger(writer, StillClock()), module.sealed)
    writer.close()
    return folder
