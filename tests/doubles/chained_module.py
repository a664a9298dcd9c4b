"""A signed module whose records name their predecessors, and a plant's folder made from one; no more than its base."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from plumeproof.averaging_stage import AveragingStage
from plumeproof.figures_stage import FiguresStage
from plumeproof.plant_file import open_engine
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.manual_clock import ManualClock
from tests.doubles.signed_module import SignedModule, write_keys
from tests.doubles.timed_module import store_all
from tests.rules.test_minutes import PLANT


class ChainedModule(SignedModule):
    """`prev` as SPEC.md section 4 has it."""

    def seal(self, kind: int, own: dict[int, Any], seq: int | None = None) -> None:
        """One record behind the last."""
        prev = self.sealed[-1][1].content_hash if self.sealed else bytes(32)
        super().seal(kind, own | {6: prev}, seq)


def write_plant(
    folder: Path,
    minutes: int,
    offset_ms: int,
    slots: int = 60,
    interval_s: int = 3600,
    shortest_s: int = 20,
    rule_sets: str = '["eu_mrr"]',
) -> ChainedModule:
    """Ledger with averages and figures, keys.json and line-1.toml of one module over `minutes` minutes."""
    (folder / "line-1.toml").write_text(PLANT.replace('["eu_mrr"]', rule_sets))
    module, rng = ChainedModule(), random.Random(7)
    module.clock_offset_ms = offset_ms
    module.start()
    for number in range(minutes):
        if number == minutes // 2:
            module.clock_offset_ms -= 1500  # set back: two slots come twice
        module.sample(
            [(rng.choice([0] * 30 + [1]), rng.gauss(100, 20), rng.randrange(-300, 300), False) for _ in range(slots)]
        )
        module.wait(60_000 - slots * 1000)
    write_keys(folder / "keys.json", module)
    writer, clock = Writer(folder / "ledger.sqlite"), ManualClock()
    ledger = SqliteLedger(writer, clock)
    averages, figures = SqliteAverages(writer, clock), SqliteFigures(writer, clock)
    store_all(ledger, module.sealed)
    averaging = AveragingStage(ledger, averages, sorted({shortest_s, 60, interval_s}), 0)
    while averaging.step():
        pass
    stage = FiguresStage(ledger, averages, figures, [open_engine(folder / "line-1.toml")], 0)
    while stage.step():
        pass
    writer.close()
    return module
