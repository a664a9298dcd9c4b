"""The recorded year of a gas turbine as records of slots, for the engine and for the slow one.

CO, NOx, exhaust temperature, pressure and load are the plant's own, each hour at its level with a ripple by the minute;
oxygen, CO2 and flow follow the load by the model written here. Faults, checks and gaps are drawn with a seed. Behind
the 7,152 recorded hours the plant stands still until the year ends.
"""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path
from typing import Any

from tests.doubles.random_plant import compare
from tests.doubles.slow_terms import MINUTE, Recorded

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
PATH = REFERENCE / "data" / "recorded" / "gas_turbine_hourly_2013.csv"
START_UTC_MS = 1_356_998_400_000  # 2013-01-01T00:00Z
HOUR = 60 * MINUTE
UNITS = {
    "co": "mg/m3", "nox": "mg/m3", "co2": "%", "o2": "%", "t": "degC", "p": "mbar", "flow": "m3/h", "load": "MW",
}  # fmt: skip


def tree() -> dict[str, Any]:
    """A description of it, by combustion plants' rules and by those of emission trading."""

    def at(name: str) -> dict[str, Any]:
        return {"source": f"turbine/{name}", "unit": UNITS[name], "slot_ms": MINUTE}

    def measured(name: str, channel: str, limit: float) -> dict[str, Any]:
        limits = [{"kind": "day", "value": limit}]
        calibration = [
            {"id": "one", "begins": "2012-06-01T00:00:00Z", "a": -0.4, "b": 1.02, "valid_to": limit},
            {"id": "two", "begins": "2013-05-14T09:20:00Z", "a": 0.3, "b": 0.99, "valid_to": limit},
        ]
        needs = {"needs": ["O2"], "o2_reference_pct": 15.0, "ci_qal2": 1.1, "range_max": 4.0 * limit}
        return {"id": name, **at(channel), **needs, "limit": limits, "calibration": calibration}

    stopped = {key: value for key, value in at("load").items() if key != "unit"}
    return {
        "plant": {
            "id": "turbine", "title": "Gas turbine", "utc_offset": "+00:00", "rule_sets": ["eu_ied_lcp", "eu_mrr"],
        },
        "state": [{"state": "stopped", "below": 20.0, **stopped}, {"state": "start_up", "below": 104.0, **stopped}],
        "peripheral": [{"kind": "O2", **at("o2")}, {"kind": "T", **at("t")}, {"kind": "p", **at("p")}],
        "flow": {**at("flow"), "conditions": "normal_dry"},
        "measurand": [
            measured("CO", "co", 80.0),
            measured("NOx", "nox", 90.0),
            {"id": "CO2", "gas": "CO2", "greenhouse_gas": "CO2", "biomass_share_pct": 0.0, **at("co2")},
        ],
    }  # fmt: skip


def records(days: int) -> list[Recorded]:
    """One an hour; the first `days` of the year."""
    with PATH.open(encoding="utf-8") as file:
        hours = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    rng, found = random.Random(2013), []
    for hour in range(days * 24):
        row = hours[hour] if hour < len(hours) else None
        load = row["TEY"] if row else 0.0
        level = {
            "co": row["CO"] if row else 0.0,
            "nox": row["NOX"] if row else 0.0,
            "co2": 2.2 + 0.012 * load if row else 0.04,
            "o2": 16.4 - 0.014 * load if row else 20.9,
            "t": row["TAT"] if row else 20.0,
            "p": row["AP"] if row else 1013.0,
            "flow": 9_000.0 * load,
            "load": load,
        }
        readings = {}
        for name, value in level.items():
            fault = rng.choice((191, 192, 201, 1)) if name in ("co", "nox", "co2", "o2") and rng.random() < 0.04 else 0
            begins = rng.randrange(60)
            readings[name] = [
                (round(value * (1.0 + 0.02 * rng.uniform(-1, 1)), 4), fault if minute >= begins else 0)
                for minute in range(60)
            ]
        if rng.random() < 0.985 and not 2_000 <= hour < 2_040:  # a long gap in March
            found.append(Recorded("turbine", hour + 1, START_UTC_MS + hour * HOUR, MINUTE, 60, UNITS, readings))
    return found


def compare_recorded(days: int) -> tuple[int, float, list[str]]:
    """Figures, the largest relative difference, and what differs."""
    return compare("recorded", tree(), records(days), START_UTC_MS, START_UTC_MS + days * 24 * HOUR)
