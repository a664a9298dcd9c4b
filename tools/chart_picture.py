"""Makes the picture of control charts in bridge/AVERAGES.md: a made-up analyzer, checked every week, by the real verb.

    python -m tools.chart_picture [-o bridge/charts.png]

The records are signed as a module signs them; drift, adjustment and failure are made up, always the same. Exit status
0, or that of the verb when it cannot draw.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
from pathlib import Path

from plumeproof.cli import main as plumeproof
from plumeproof.clock import SystemClock
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.gas_checked_module import GasCheckedModule
from tests.doubles.timed_module import store_all

CHECKOUT = Path(__file__).resolve().parents[1]
PICTURE = CHECKOUT / "bridge" / "charts.png"
WEEKS, DRIFTS_FROM, ADJUSTED, FAILS_FROM = 40, 8, 22, 36
PLANT = """
[plant]
id = "line-1"
title = "Line 1, stack A"
utc_offset = "+01:00"
rule_sets = ["eu_ied_waste"]
"""
MEASURAND = """
[[measurand]]
id = "{name}"
source = "plume-01/co"
unit = "mg/m3"
[measurand.qal3]
kind = "{kind}"
settle_s = 5
interval_days = 7
span_s_ams = 1.2
[[measurand.qal3.gas]]
point = "span"
begins = "2026-11-01T00:00:00Z"
value = 100.0
[[measurand.qal3.event]]
at = "2027-05-03T10:00:00Z"
what = "adjusted"
"""


def checked_weekly() -> GasCheckedModule:
    """Drift from week 8, adjusted before week 22, a failure from week 36."""
    module, chance = GasCheckedModule(), random.Random(4)
    for week in range(WEEKS):
        drift = 0.16 * max(0, week - DRIFTS_FROM) if week < ADJUSTED else 1.6 * max(0, week - FAILS_FROM + 1)
        off = 100.0 + drift + chance.gauss(0.0, 0.8)
        module.visit(7 * week)
        module.check("span", [off + chance.gauss(0.0, 0.2) for _ in range(10)])
    return module


def main() -> int:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-o", "--output", type=Path, default=PICTURE, metavar="FILE", help=f"default {PICTURE.name}")
    args = parser.parse_args()
    kinds = (("CO", "cusum"), ("CO-2", "shewhart"), ("CO-3", "ewma"))
    with tempfile.TemporaryDirectory() as name:
        ledger, plant = Path(name) / "ledger.sqlite", Path(name) / "plant.toml"
        plant.write_text(PLANT + "".join(MEASURAND.format(name=one, kind=kind) for one, kind in kinds))
        writer = Writer(ledger)
        store_all(SqliteLedger(writer, SystemClock()), checked_weekly().sealed)
        writer.close()
        words = ["surveillance", "--ledger", str(ledger), "--plant", str(plant), "--to", "2027-09-02"]
        with contextlib.redirect_stdout(io.StringIO()):  # the table is not what was asked for
            code = plumeproof([*words, "--plot", str(args.output)])
    return 0 if code == 1 else code or 2  # 1: charts are out of control, as they are made to be


if __name__ == "__main__":
    sys.exit(main())
