"""Command line of the bus-noise campaign; what it does: docstring of tools.noise.

With --json standard output holds one JSON object only. Exit status: 0 every promise was kept; 1 one was broken; 2 wrong
usage; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from acqwire import causes, names
from tqdm import tqdm

from tools.noise.cases import KINDS, Outcome, run

FINE, FINDINGS, INTERRUPTED = 0, 1, 130
CHUNK_SLOTS = 1_000  # of one task: 40 rests
CHUNKS_PER_S = 10  # of one kind and mode: more than any machine plays
DAY_SLOTS = 86_400
MODES = ("once", "twice")  # how often a block is read

Task = tuple[str, bool, int, int]  # kind, read twice, seed, slots


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.noise", description="disturb the bus, then judge each value")
    parser.add_argument("--seconds", type=float, default=60, help="budget (60); every kind gets the same share")
    parser.add_argument("--slots", type=int, help=f"no budget: so many of each kind and mode ({DAY_SLOTS} are a day)")
    parser.add_argument("--seed", type=int, help="of everything drawn (drawn and printed)")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND", help=" ".join(KINDS)
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (one a processor)")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.seconds <= 0 or chosen.processes < 1 or (chosen.slots is not None and chosen.slots < 1):
        parser.error("--seconds, --slots and --processes are above 0")
    if chosen.seed is None:
        chosen.seed = time.time_ns() % 1_000_000
    return chosen


def draw_tasks(kinds: Sequence[str], seed: int, slots: int) -> Iterator[Task]:
    """So many slots of each kind in both modes, in turn."""
    for done in range(0, slots, CHUNK_SLOTS):
        part = min(CHUNK_SLOTS, slots - done)
        for kind in kinds:
            for is_twice in (False, True):
                yield kind, is_twice, seed * 10_000 + done // CHUNK_SLOTS, part


def run_task(job: tuple[Task, float]) -> tuple[Task, Outcome | None]:
    """In a process of its own; None: its turn came too late."""
    (kind, is_twice, seed, slots), until_s = job
    if time.monotonic() > until_s:
        return job[0], None
    return job[0], run(kind, seed, slots, is_twice)


def is_broken(is_twice: bool, outcome: Outcome) -> bool:
    """Whether a promise was: read twice, not even the residual of the CRC is allowed."""
    return bool(outcome.wrong or outcome.slow_rests or (is_twice and (outcome.residual or outcome.stale)))


class Campaign:
    """`run` plays the tasks; afterwards `figures` and `failures` hold what came of it."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.figures: dict[str, Any] = {"seed": chosen.seed}
        self.failures: list[str] = []
        self._sums: dict[tuple[str, str], Counter[str]] = {}

    def run(self) -> None:
        chosen = self.chosen
        began_s = time.monotonic()
        until_s = float("inf") if chosen.slots else began_s + chosen.seconds
        total = None if chosen.slots is None else len(list(draw_tasks(chosen.kinds, chosen.seed, chosen.slots)))
        with (
            multiprocessing.get_context("fork").Pool(chosen.processes) as pool,
            tqdm(total=total, desc="noise", unit="task", disable=None, leave=False) as bar,
        ):
            for task, outcome in pool.imap_unordered(run_task, self._jobs(until_s)):
                if outcome is not None:
                    self._take(task, outcome)
                bar.update()
        names_of = dict(names.GAP_NAMES)
        for (kind, mode), sums in self._sums.items():
            gaps = {names_of[int(key)]: sums.pop(key) for key in sorted(sums) if key.isdecimal()}
            self.figures.setdefault(kind, {})[mode] = {**sums, "gaps": gaps}
        whole = sum(self._sums.values(), Counter())
        self.figures |= {
            "polls": whole["polls"],
            "values": whole["values"],
            "wrong": whole["wrong"],
            "stale_once": sum(sums["stale"] for (_, mode), sums in self._sums.items() if mode == MODES[0]),
            "residual_once": sum(sums["residual"] for (_, mode), sums in self._sums.items() if mode == MODES[0]),
            "wrong_twice": sum(
                sums["wrong"] + sums["residual"] + sums["stale"]
                for (_, mode), sums in self._sums.items()
                if mode == MODES[1]
            ),
            "slow_rests": whole["slow_rests"],
            "seconds": round(time.monotonic() - began_s, 1),
            "broken": len(self.failures),
        }

    def _jobs(self, until_s: float) -> Iterator[tuple[Task, float]]:
        chosen = self.chosen
        slots = chosen.slots or math.ceil(chosen.seconds * CHUNKS_PER_S) * CHUNK_SLOTS
        for task in draw_tasks(chosen.kinds, chosen.seed, slots):
            yield task, until_s

    def _take(self, task: Task, outcome: Outcome) -> None:
        kind, is_twice, seed, slots = task
        sums = self._sums.setdefault((kind, MODES[is_twice]), Counter())
        sums["slots"] += slots
        for name in (
            "polls",
            "values",
            "wrong",
            "residual",
            "stale",
            "rests",
            "slow_rests",
            "paused",
            "altered",
            "foreign",
        ):
            sums[name] += getattr(outcome, name)
        for cause, count in outcome.causes.items():
            if cause != causes.VALUE:
                sums[str(cause)] += count
        if is_broken(is_twice, outcome):
            self.failures.append(f"{kind}, read {MODES[is_twice]}, task seed {seed}, {slots} slots: {outcome.first}")


def report(campaign: Campaign) -> None:
    """The counts; what was broken and the seed that shows it again."""
    figures = campaign.figures
    if campaign.chosen.json:
        print(json.dumps(figures), flush=True)
    else:
        print(
            f"seed {figures['seed']}: {figures['polls']:,} polls in {figures['seconds']} s: {figures['wrong']} wrong"
            f" values, {figures['residual_once']} through the CRC, {figures['wrong_twice']} read twice"
        )
        for kind in campaign.chosen.kinds:
            for mode, sums in figures.get(kind, {}).items():
                words = f"{sums['polls']:>9,} polls, {sums['values']:>9,} values, {sums['altered']:>7,} frames altered"
                words += (
                    f", {sums['wrong']} wrong, {sums['residual']} through the CRC, {sums['stale']} of the slot before"
                )
                print(f"  {kind:15} {mode:5} {words}, {sums['slow_rests']} of {sums['rests']:,} rests slow")
    for text in campaign.failures[:5]:
        print(f"noise: seed {figures['seed']}: {text}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    campaign = Campaign(parse_arguments(arguments))
    try:
        campaign.run()
    except KeyboardInterrupt:
        print(f"noise: seed {campaign.chosen.seed}: stopped at once; there are no counts", file=sys.stderr)
        return INTERRUPTED
    report(campaign)
    return FINDINGS if campaign.failures else FINE


if __name__ == "__main__":
    sys.exit(main())
