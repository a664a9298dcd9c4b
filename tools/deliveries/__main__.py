"""Command line of the delivery campaign; what it does: docstring of tools.deliveries.

With --json standard output holds one JSON object only. Exit status: 0 every promise was kept; 1 one was broken; 2 wrong
usage; 3 broker or platform do not start; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from tools.broker import find_broker
from tools.deliveries import broker_cases, platform_cases
from tools.deliveries.share import Job, Task, play
from tools.demo.part import PartError

FINE, FINDINGS, NOT_STARTED, INTERRUPTED = 0, 1, 3, 130
SHARE, SMALL_SHARE = 250, 50  # batches of a fault of the platform at a time; the small one where a budget ends it
LOOK_S = 0.2
BATCHES_MAX = 100_000  # of one fault, whatever the budget
PARTS = {"broker": tuple(broker_cases.CASES), "platform": platform_cases.CASES}
CASES = (*PARTS["broker"], *PARTS["platform"])
LARGEST = ("most_per_s", "peak_kib", "first_kib")  # of shares of a case; everything else is added
PLATFORM_COLUMNS = "batches requests repeats set_aside effects most_per_s lost doubled disordered".split()
BROKER_COLUMNS = "offered delivered set_aside duplicates disordered late gone most_per_s lost".split()


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.deliveries", description="faults of broker and platform")
    parser.add_argument("--seconds", type=float, default=60, help="budget (60); every fault gets the same share")
    parser.add_argument("--batches", type=int, help="no budget: so many under each fault of the platform (1000: whole)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the length of each fault of the broker (1)")
    parser.add_argument("--seed", type=int, help="of everything drawn (drawn and printed)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="all faults of these (both)")
    which.add_argument("--faults", nargs="+", choices=CASES, metavar="FAULT", help="only " + " ".join(CASES))
    parser.add_argument("--processes", type=int, default=2 * (os.cpu_count() or 1), help="at once (two a processor)")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.seconds <= 0 or chosen.processes < 1 or (chosen.batches is not None and chosen.batches < 1):
        parser.error("--seconds, --batches and --processes are above 0")
    if not 0 < chosen.scale <= 1:
        parser.error("--scale is above 0 and at most 1")
    chosen.faults = chosen.faults or [name for part in PARTS if part in chosen.parts for name in PARTS[part]]
    if chosen.seed is None:
        chosen.seed = time.time_ns() % 1_000_000
    return chosen


def draw_tasks(chosen: argparse.Namespace) -> Iterator[Task]:
    """The long ones first, each once; then shares of the platform's faults in turns."""
    for name in chosen.faults:
        if name in broker_cases.CASES or name == platform_cases.MIXED:
            yield name, chosen.seed, chosen.batches or SHARE, 0, chosen.scale
    batches = chosen.batches or BATCHES_MAX
    share = SHARE if chosen.batches else SMALL_SHARE
    for done in range(0, batches, share):
        for name in chosen.faults:
            if name in platform_cases.FAULTS:
                yield name, chosen.seed * 1000 + done // share, min(share, batches - done), done, chosen.scale


class Campaign:
    """`run` plays the tasks; afterwards `cases` and `failures` hold what came of it."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.cases: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.seconds = 0.0
        self._room = threading.Semaphore(2 * chosen.processes)
        self._is_over = threading.Event()

    def run(self) -> None:
        """Raises PartError."""
        chosen, began_s = self.chosen, time.monotonic()
        if any(name in broker_cases.CASES for name in chosen.faults):
            find_broker("mosquitto")
        until_s = float("inf") if chosen.batches else began_s + chosen.seconds
        tasks = list(draw_tasks(chosen)) if chosen.batches else None
        with (
            multiprocessing.get_context("spawn").Pool(chosen.processes, maxtasksperchild=1) as pool,
            tqdm(total=tasks and len(tasks), desc="deliveries", unit="share", disable=None, leave=False) as bar,
        ):
            try:
                for name, found in pool.imap_unordered(play, self._jobs(until_s)):
                    self._room.release()
                    bar.update()
                    if found is not None:
                        self._take(name, found)
            finally:
                self._is_over.set()
        self.seconds = round(time.monotonic() - began_s, 1)

    def figures(self) -> dict[str, Any]:
        """The one JSON object."""
        return {
            "seed": self.chosen.seed,
            "seconds": self.seconds,
            "lost": sum(case.get("lost", 0) for case in self.cases.values()),
            "doubled": sum(case.get("doubled", 0) for case in self.cases.values()),
            "disordered": sum(case.get("disordered", 0) for case in self.cases.values()),
            "broken": len(self.failures),
            "cases": self.cases,
        }

    def _jobs(self, until_s: float) -> Iterator[Job]:
        # A pool would take all jobs at once; it gets them as it plays them, so that a budget ends in time.
        for task in draw_tasks(self.chosen):
            while not self._room.acquire(timeout=LOOK_S):
                if self._is_over.is_set():
                    return
            if time.monotonic() > until_s:
                return
            yield task, until_s

    def _take(self, name: str, found: dict[str, Any]) -> None:
        self.failures += [f"{name}: {sentence}" for sentence in found.pop("wrong")]
        sums = self.cases.setdefault(name, {})
        for key, value in found.items():
            sums[key] = max(sums.get(key, 0), value) if key in LARGEST else round(sums.get(key, 0) + value, 1)


def report(campaign: Campaign) -> None:
    """The counts; what was broken and the seed that shows it again."""
    figures = campaign.figures()
    if campaign.chosen.json:
        print(json.dumps(figures), flush=True)
    else:
        print(
            f"seed {figures['seed']}: {len(figures['cases'])} faults in {figures['seconds']} s: {figures['lost']} lost,"
            f" {figures['doubled']} doubled, {figures['disordered']} out of order"
        )
        for part, columns in (("broker", BROKER_COLUMNS), ("platform", PLATFORM_COLUMNS)):
            _print_table(part, columns, [name for name in PARTS[part] if name in campaign.cases], campaign)
    for text in campaign.failures[:10]:
        print(f"deliveries: seed {figures['seed']}: {text}", file=sys.stderr)


def _print_table(title: str, columns: list[str], names: list[str], campaign: Campaign) -> None:
    if not names:
        return
    print(f"{title:20}" + "".join(f"{column:>12}" for column in columns) + f"{'hours':>9}{'MiB':>13}")
    for name in names:
        case = campaign.cases[name]
        counts = "".join(f"{case.get(column, '-'):>12}" for column in columns)
        kib = [f"{case[key] / 1024:.1f}" for key in ("first_kib", "peak_kib") if key in case]
        print(f"{name:20}{counts}{case.get('clock_s', 0) / 3600:>9.1f}{' to '.join(kib):>13}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    campaign = Campaign(parse_arguments(arguments))
    try:
        campaign.run()
    except KeyboardInterrupt:
        print(f"deliveries: seed {campaign.chosen.seed}: stopped at once; there are no counts", file=sys.stderr)
        return INTERRUPTED
    except PartError as error:
        print(f"deliveries: seed {campaign.chosen.seed}: {error}", file=sys.stderr)
        return NOT_STARTED
    report(campaign)
    return FINDINGS if campaign.failures else FINE


if __name__ == "__main__":
    sys.exit(main())
