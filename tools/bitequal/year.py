"""Records of a plant over many days, and the hash of all its figures, made in pieces by threads.

The records hold noise from a seed, faults, gaps, standstills and start-ups; one an hour, without the envelope, which
has its own tests. Run as a module it makes the figures once and prints them as JSON: for a process of another target.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plumeproof.array_strips import ArrayStrips, Readings
from plumeproof.evidence.strips import Strip
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MONTH, ROLLING_30_DAYS, YEAR, Figure
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from tests.doubles import stack_day

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START_UTC_MS = 1_767_222_000_000  # 2026-01-01T00:00+01:00
CHANNELS = {  # level, noise, unit
    "nox": (60.0, 40.0, "ppm"),
    "co2": (9.5, 2.0, "%"),
    "o2": (8.0, 3.0, "%"),
    "moisture": (14.0, 3.0, "%"),
    "temperature": (140.0, 9.0, "degC"),
    "pressure": (1_008.0, 6.0, "hPa"),
    "flow": (82_000.0, 9_000.0, "m3/h"),
}
RULE_SETS = ("eu_ied_waste", "eu_mrr", "de_13bimschv")


def make_strips(days: int, slot_ms: int, seed: int) -> list[Strip]:
    """One record an hour of all channels; some are missing."""
    rng = np.random.default_rng(seed)
    of_hour = HOUR_MS // slot_ms
    single = [_parameters_of(name, slot_ms) for name in CHANNELS]
    parameters = replace(single[0], channels=tuple(one.channels[0] for one in single))
    found = []
    for hour in range(days * 24):
        drawn = rng.random((len(CHANNELS), of_hour))
        kind, at = rng.random(), rng.random()
        values = np.array(
            [level + noise * (2.0 * own - 1.0) for (level, noise, _), own in zip(CHANNELS.values(), drawn, strict=True)]
        )
        status = np.where(rng.random(drawn.shape) < 0.01, 191, 0).astype(np.uint8)
        if kind < 0.04:  # at standstill for a part of the hour
            values[2, int(at * of_hour) :] = 20.8
        elif kind < 0.06:
            values[4, : int(at * of_hour)] = 80.0
        elif kind < 0.1:
            status[int(at * 7)] = 191
        elif kind < 0.12:
            continue
        values[status != 0] = 0.0
        content_hash = hashlib.sha256(hour.to_bytes(8, "big")).digest()
        first = START_UTC_MS + hour * HOUR_MS
        found.append(Strip(hour + 1, content_hash, parameters, first, slot_ms, of_hour, values, status))
    return found


def _parameters_of(name: str, slot_ms: int) -> Any:
    one = Readings(np.zeros(1, np.int64), np.zeros(1), CHANNELS[name][2], slot_ms)
    return ArrayStrips({f"plume-01/{name}": one}).of_period(-1, 1)["plume-01"][0].parameters


def make_engine(slot_ms: int) -> Engine:
    """The stack of tests/doubles/stack_day.py with slots of another length."""
    text = stack_day.PLANT.replace("slot_ms = 60000", f"slot_ms = {slot_ms}")
    plant = parse_plant(tomllib.loads(text), Path("stack.toml"))
    return Engine(plant, [load_rule_set(name) for name in RULE_SETS])


def short_figures(
    engine: Engine, strips: Sequence[Strip], hours: int, pieces: int, threads: int, seed: int
) -> list[Figure]:
    """Cut at hours drawn, made in an order drawn; each piece is given the records that touch it."""
    rng = np.random.default_rng(seed + pieces)
    cuts = [0, *sorted((1 + rng.choice(hours - 1, pieces - 1, replace=False)).tolist()), hours]
    jobs = list(zip(cuts, cuts[1:], strict=False))
    order = rng.permutation(len(jobs)).tolist()

    def make(number: int) -> list[Figure]:
        first, end = (START_UTC_MS + hour * HOUR_MS for hour in jobs[number])
        near = {"plume-01": [strip for strip in strips if strip.touches(first, end)]}
        return engine.short_term_figures(near, first, end)

    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(make, order))
    return [figure for part in made for figure in part]


def long_figures(engine: Engine, short: Sequence[Figure], days: int) -> list[Figure]:
    """Days, windows, months and the year, as far as the records reach."""
    found: list[Figure] = []
    midnights = [START_UTC_MS + day * DAY_MS for day in range(days)]
    by_day: dict[int, list[Figure]] = {}
    for one in short:
        by_day.setdefault((one.start_utc_ms - START_UTC_MS) // DAY_MS, []).append(one)
    for day, midnight in enumerate(midnights):
        found += engine.long_term_figures(DAY, midnight, by_day.get(day, []))
        window = [one for before in range(max(0, day - 29), day + 1) for one in by_day.get(before, [])]
        if day % 30 == 29 or day == days - 1:
            found += engine.long_term_figures(ROLLING_30_DAYS, midnight, window)
        for level in (MONTH, YEAR):
            open_period = engine.open_period(level, midnight)
            if open_period.period is not None:
                for one in short:
                    open_period.add(one)
                found += open_period.figures()
    return found


def digest(figures: Sequence[Figure]) -> str:
    """Of every field; repr of a float tells its bits."""
    told = hashlib.sha256()
    for one in sorted(figures, key=lambda one: one.place):
        told.update(repr(one).encode())
    return told.hexdigest()


def run(days: int, slot_ms: int, pieces: int, threads: int, seed: int) -> dict[str, Any]:
    """One way of making all figures."""
    began_s = time.monotonic()
    engine, strips = make_engine(slot_ms), make_strips(days, slot_ms, seed)
    short = short_figures(engine, strips, days * 24, pieces, threads, seed)
    # In the order of the pieces, not of time: longer figures must not depend on it
    everything = [*short, *long_figures(engine, short, days)]
    values = sum(one.value is not None for one in everything)
    return {
        "pieces": pieces, "threads": threads, "figures": len(everything), "values": values,
        "sha256": digest(everything), "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def run_all(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every way in which it is asked for."""
    ways = [(1, 1), (1, 2), (asked["pieces"], 1), (asked["pieces"], 2)]
    return [run(asked["days"], asked["slot_ms"], pieces, threads, asked["seed"]) for pieces, threads in ways]


if __name__ == "__main__":
    print(json.dumps(run_all(json.loads(sys.argv[1]))))
