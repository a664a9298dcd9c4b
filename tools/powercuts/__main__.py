"""Command line of the power-cut campaign; what it does: docstring of tools.powercuts.

With --json standard output holds one JSON object only. Exit status: 0 every promise was kept; 1 one was broken; 2 wrong
usage; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from tqdm import tqdm

from tools.powercuts import cases, foreign
from tools.powercuts.cases import PLANS, Outcome, Step, breaks, shortened
from tools.powercuts.flash import CUTS, FAULTS

FINE, FINDINGS, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
TRIPLES = 1_000_000  # the goal of a release (reference: reliability section 9, F2)
_MOST_SHOWN = 5  # failures that are shortened and printed

# Part, its tasks, what runs one, its share of the seconds that are left when its turn comes
Part = tuple[str, Callable[[], Iterable[Any]], Callable[[int, Any], Outcome], float]
PARTS: tuple[Part, ...] = (
    ("images", foreign.image_tasks, foreign.run_images, 0.05),
    ("bits", cases.bit_tasks, cases.run_bits, 0.15),
    ("singles", cases.single_tasks, cases.run_singles, 0.3),
    ("pairs", cases.pair_tasks, cases.run_pairs, 0.8),
    ("triples", count, cases.run_triples, 1.0),
)
_RUN = {name: run for name, _, run, _ in PARTS}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.powercuts", description="cut the power, then count")
    parser.add_argument("--seconds", type=float, default=60, help="budget (60); what is not reached is said")
    parser.add_argument("--whole", action="store_true", help=f"no budget: all parts whole and {TRIPLES:,} triples")
    parser.add_argument("--seed", type=int, help="of everything drawn (drawn and printed)")
    parser.add_argument(
        "--parts", nargs="+", choices=list(_RUN), default=list(_RUN), metavar="PART", help=" ".join(_RUN)
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (one a processor)")
    parser.add_argument("--replay", metavar="SCHEDULE", help="run one schedule that a failure has printed")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.seconds <= 0 or chosen.processes < 1:
        parser.error("--seconds and --processes are above 0")
    if chosen.seed is None:
        chosen.seed = time.time_ns() % 1_000_000
    return chosen


def to_text(name: str, steps: tuple[Step, ...]) -> str:
    """A schedule as --replay takes it."""
    return f"{name}:" + ",".join(f"{operation}/{how}/{number}" for operation, how, number in steps)


def from_text(text: str) -> tuple[str, tuple[Step, ...]]:
    """Raises ValueError with the place."""
    name, _, rest = text.partition(":")
    words = {"image": tuple(foreign.KINDS), "bit": ("bit",)} | dict.fromkeys(PLANS, (*CUTS, *FAULTS))
    if name not in words:
        raise ValueError(f"{name!r} is none of: {' '.join(words)}")
    steps = []
    for word in rest.split(","):
        found = word.split("/")
        if len(found) != 3 or not (found[0] + found[2]).isdecimal() or found[1] not in words[name]:
            raise ValueError(f"{word!r} is no NUMBER/BEHAVIOUR/NUMBER")
        steps.append((int(found[0]), found[1], int(found[2])))
    return name, tuple(steps)


def play_again(name: str, steps: tuple[Step, ...]) -> None:
    """What `from_text` has given; raises what the campaign has met."""
    if name in PLANS:
        cases.replay(name, steps)
        return
    for number, word, seed in steps:
        if name == "bit":
            cases.check_bit(number)
        else:
            foreign.check_drawn(word, number, seed)


def _run_task(job: tuple[str, int, Any, float]) -> tuple[Outcome, bool]:
    """In a process of its own; False: its turn came too late."""
    part, seed, task, until_s = job
    if time.monotonic() > until_s:
        return Outcome(), False
    return _RUN[part](seed, task), True


class Campaign:
    """`run` plays the parts one after the other; afterwards `figures` and `failures` hold what came of it."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.figures: dict[str, Any] = {"seed": chosen.seed}
        self.failures: list[tuple[str, tuple[Step, ...], str]] = []
        self.behaviours: Counter[str] = Counter()

    def run(self) -> None:
        began_s = time.monotonic()
        end_s = began_s + (float("inf") if self.chosen.whole else self.chosen.seconds)
        for name in PLANS:
            cases.workload(name)  # recorded once; the processes inherit it
        with multiprocessing.get_context("fork").Pool(self.chosen.processes) as pool:
            for part in PARTS:
                if part[0] in self.chosen.parts:
                    self._play(pool, part, end_s)
        self.figures |= {
            "seconds": round(time.monotonic() - began_s, 1),
            "cases": sum(self.figures[name]["cases"] for name in self.chosen.parts),
            "behaviours": dict(sorted(self.behaviours.items())),
            "broken": len(self.failures),
        }

    def _play(self, pool: Any, part: Part, end_s: float) -> None:
        name, tasks_of, _, share = part
        now_s = time.monotonic()
        is_last = name == self.chosen.parts[-1]
        until_s = end_s if is_last or self.chosen.whole else now_s + share * (end_s - now_s)
        tasks = tasks_of()
        total = None
        if not isinstance(tasks, count):
            tasks = list(tasks)
            random.Random(self.chosen.seed).shuffle(tasks)  # a short budget sees something of everything
            total = len(tasks)
        done = same = ran = 0
        broken = len(self.failures)
        jobs = ((name, self.chosen.seed, task, until_s) for task in self._limited(tasks, lambda: done, until_s))
        with tqdm(total=total, desc=name, unit="task", disable=None, leave=False) as bar:
            for outcome, is_run in pool.imap_unordered(_run_task, jobs):
                ran += is_run
                done += outcome.counts.total()
                same += outcome.same
                self.behaviours += outcome.counts
                self.failures += outcome.failures
                bar.update()
                bar.set_postfix_str(f"{done:,} cases, {len(self.failures)} broken", refresh=False)
        self.figures[name] = {
            "cases": done,
            "of_these_equal": same,
            "broken": len(self.failures) - broken,
            "share": round(done / TRIPLES if total is None else ran / total, 4),
            "seconds": round(time.monotonic() - now_s, 1),
        }

    def _limited(self, tasks: Iterable[Any], done: Callable[[], int], until_s: float) -> Iterable[Any]:
        """imap takes tasks as fast as it can: an endless row is given out only a little ahead of what is done."""
        if not isinstance(tasks, count):
            yield from tasks
            return
        given = 0
        while time.monotonic() < until_s and done() < (TRIPLES if self.chosen.whole else float("inf")):
            if given * cases.THIRDS > done() + 50 * self.chosen.processes * cases.THIRDS:
                time.sleep(0.01)
                continue
            yield next(tasks)  # type: ignore[call-overload]
            given += 1


def report(campaign: Campaign) -> None:
    """The counts; of the first failures what reproduces them."""
    figures, seed = campaign.figures, campaign.figures["seed"]
    if campaign.chosen.json:
        print(json.dumps(figures), flush=True)
    else:
        print(f"seed {seed}: {figures['cases']:,} cases in {figures['seconds']} s, {figures['broken']} broken")
        for name in campaign.chosen.parts:
            part = figures[name]
            words = f"{part['cases']:>10,} cases, {part['of_these_equal']:,} of them equal to others"
            print(f"  {name:8} {words}, {part['share']:.0%} of the part, {part['seconds']} s, {part['broken']} broken")
        print("  " + ", ".join(f"{name} {number:,}" for name, number in figures["behaviours"].items()))
    for name, steps, text in campaign.failures[:_MOST_SHOWN]:
        short = shortened(name, steps) if name in PLANS and breaks(name, steps) else steps
        print(f"powercuts: seed {seed}: {text}: --replay {to_text(name, short)}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign or one schedule; returns the exit status."""
    chosen = parse_arguments(arguments)
    if chosen.replay:
        try:
            name, steps = from_text(chosen.replay)
            play_again(name, steps)
        except ValueError as wrong:
            print(f"powercuts: --replay: {wrong}", file=sys.stderr)
            return WRONG_USAGE
        except Exception as broken:  # noqa: BLE001  whatever the journal raises is what was asked for
            print(f"powercuts: {type(broken).__name__}: {broken}", file=sys.stderr)
            return FINDINGS
        print("every promise was kept")
        return FINE
    campaign = Campaign(chosen)
    try:
        campaign.run()
    except KeyboardInterrupt:
        print(f"powercuts: seed {chosen.seed}: stopped at once; there are no counts", file=sys.stderr)
        return INTERRUPTED
    report(campaign)
    return FINDINGS if campaign.failures else FINE


if __name__ == "__main__":
    sys.exit(main())
