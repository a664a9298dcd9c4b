"""Command line of the campaign of figures; what it does: docstring of tools.figures.

With --json standard output holds one JSON object only. Exit status: 0 all figures were equal; 1 one was not; 2 wrong
usage; 3 the recorded year is not there; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tests.doubles import recorded_plant
from tests.doubles.random_plant import TOLERANCE
from tools.figures.plants import TOLD_MAX, Job, compare

FINE, FINDINGS, UNREACHABLE, INTERRUPTED = 0, 1, 3, 130
YEAR_DAYS = 365
SEEDS_PER_CAMPAIGN = 1_000_000
PLANTS_PER_S = 50  # more than any machine compares: a pool takes all jobs at once


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.figures", description="compare drawn plants' figures")
    parser.add_argument("--seconds", type=float, default=60, help="budget (60)")
    parser.add_argument("--plants", type=int, help="no budget: so many plants")
    parser.add_argument("--seed", type=int, help="of everything drawn (drawn and printed)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (one a processor)")
    parser.add_argument("--recorded", action="store_true", help="the recorded year instead of drawn plants")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.seconds <= 0 or chosen.processes < 1 or (chosen.plants is not None and chosen.plants < 1):
        parser.error("--seconds, --plants and --processes are above 0")
    if chosen.seed is None:
        chosen.seed = time.time_ns() % 1_000_000
    return chosen


def draw_jobs(chosen: argparse.Namespace, until_s: float) -> Iterator[Job]:
    """Seeds of plants, while there is time."""
    count = chosen.plants or SEEDS_PER_CAMPAIGN
    for number in range(count):
        if chosen.plants is None and (time.monotonic() > until_s or number > chosen.seconds * PLANTS_PER_S):
            return
        yield chosen.seed * SEEDS_PER_CAMPAIGN + number, until_s


def run(chosen: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """What was counted, and what was not equal."""
    began_s = time.monotonic()
    until_s = float("inf") if chosen.plants else began_s + chosen.seconds
    figures: dict[str, Any] = {"seed": chosen.seed, "plants": 0, "figures": 0, "worst": 0.0, "differing_plants": 0}
    failures: list[str] = []
    with (
        multiprocessing.get_context("spawn").Pool(chosen.processes) as pool,
        tqdm(total=chosen.plants, desc="figures", unit="plant", disable=None, leave=False) as bar,
    ):
        for found in pool.imap_unordered(compare, draw_jobs(chosen, until_s)):
            bar.update()
            if found is None:
                continue
            count, worst, told = found
            figures["plants"] += 1
            figures["figures"] += count
            figures["worst"] = max(figures["worst"], worst)
            figures["differing_plants"] += bool(told)
            failures += told
    return figures | {"seconds": round(time.monotonic() - began_s, 1)}, failures


def run_recorded() -> tuple[dict[str, Any], list[str]]:
    """As `run`, of the recorded year; its seed is that of the model."""
    began_s = time.monotonic()
    count, worst, told = recorded_plant.compare_recorded(YEAR_DAYS)
    figures = {"seed": 2013, "plants": 1, "figures": count, "worst": worst, "differing_plants": int(bool(told))}
    return figures | {"seconds": round(time.monotonic() - began_s, 1)}, told[:TOLD_MAX]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status."""
    chosen = parse_arguments(arguments)
    if chosen.recorded and not recorded_plant.PATH.exists():
        print(f"figures: {recorded_plant.PATH} is not there; set PLUMEPROOF_REFERENCE", file=sys.stderr)
        return UNREACHABLE
    try:
        figures, failures = run_recorded() if chosen.recorded else run(chosen)
    except KeyboardInterrupt:
        return INTERRUPTED
    for line in failures:
        print(f"figures: {line}", file=sys.stderr)
    if chosen.json:
        print(json.dumps(figures))
    else:
        print(
            f"seed {figures['seed']}: {figures['figures']} figures of {figures['plants']} plants "
            f"in {figures['seconds']} s; "
            f"largest relative difference {figures['worst']:.1e} (allowed {TOLERANCE:g}); "
            f"{figures['differing_plants']} plants with a figure that is not equal"
        )
    return FINDINGS if failures else FINE


if __name__ == "__main__":
    sys.exit(main())
