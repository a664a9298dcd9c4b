"""Command line of the kill campaign; what it does: docstring of tools.campaign.

With --json standard output holds one JSON object only: the figures of the demo, the seed, and how often each part was
killed. Exit status: 0 nothing lost, nothing twice, chain and bundle fine; 1 otherwise; 2 wrong usage; 3 a part cannot
start; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tools.broker import find_broker
from tools.campaign.schedule import Blow, draw_blows
from tools.demo.figures import is_good
from tools.demo.layout import MODULES, SEAL_MS, Layout
from tools.demo.line import BRIDGE, BROKER, PLATFORM, Line, Wishes
from tools.demo.part import Cancelled, PartError
from tools.demo.run import Stops, run
from tools.demo.summary import Summary

FINE, FINDINGS, NOT_STARTED, INTERRUPTED = 0, 1, 3, 130
PARTS = (BRIDGE, *MODULES, BROKER, PLATFORM)
WARM_UP_S = 4.0  # the first records are sealed
COOL_DOWN_S = 4.0  # and one sealing period behind the last death
LOOK_S = 0.1


class Campaign:
    """Plays blows on a line. `killed`: how often each part was."""

    def __init__(self, blows: Sequence[Blow], until_s: float | None, summary: Summary, stops: Stops) -> None:
        self.killed: Counter[str] = Counter()
        self._blows = blows
        self._until_s = until_s
        self._summary = summary
        self._stops = stops

    def play(self, line: Line) -> None:
        """All blows, or until the time is over or somebody wants the end."""
        self._rest(line, WARM_UP_S)
        for blow in self._blows:
            if self._stops.end.is_set() or (self._until_s is not None and time.monotonic() > self._until_s):
                break
            self._rest(line, blow.calm_s)
            self._strike(line, blow)
        self._rest(line, COOL_DOWN_S)
        self._stops.end.set()

    def _strike(self, line: Line, blow: Blow) -> None:
        for name in blow.parts:
            self._kill(line, name)
        time.sleep(blow.down_s)
        if blow.again_s is not None:
            line.begin_again(blow.parts[0])
            time.sleep(blow.again_s)
            self._kill(line, blow.parts[0])
        line.tend()

    def _kill(self, line: Line, name: str) -> None:
        line.kill(name)
        self.killed[name] += 1

    def _rest(self, line: Line, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not self._stops.end.is_set():
            line.tend()
            self._summary.tick(line.witness)
            time.sleep(min(LOOK_S, max(0.0, until_s - time.monotonic())))


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.campaign", description="kill -9 at random, then count")
    parser.add_argument("--kills", type=int, metavar="N", help="how many (20, or as many as --seconds allow)")
    parser.add_argument("--seconds", type=float, metavar="N", help="no new kill after N seconds")
    parser.add_argument("--seed", type=int, help="of the schedule (drawn and printed)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--seal-ms", type=int, default=SEAL_MS, help=f"sealing period ({SEAL_MS})")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--dir", type=Path, help="new folder for everything (kept; without, kept after a failure)")
    chosen = parser.parse_args(arguments)
    if chosen.kills is None and chosen.seconds is None:
        chosen.kills = 20
    if chosen.kills is not None and chosen.kills < 1 or chosen.seconds is not None and chosen.seconds <= 0:
        parser.error("--kills and --seconds are above 0")
    if chosen.dir is not None and chosen.dir.exists() and any(chosen.dir.iterdir()):
        parser.error(f"--dir {chosen.dir}: is not empty; name a new folder")
    if chosen.seed is None:
        chosen.seed = time.time_ns() % 1_000_000
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    chosen = parse_arguments(arguments)
    stops = Stops()
    root = (chosen.dir or Path(tempfile.mkdtemp(prefix="plumeproof-kills-"))).resolve()
    layout = Layout(root)
    summary = Summary(layout, sys.stderr if chosen.json else sys.stdout)
    until_s = None if chosen.seconds is None else time.monotonic() + chosen.seconds
    campaign = Campaign(draw_blows(chosen.seed, chosen.parts, chosen.kills), until_s, summary, stops)
    is_kept = True
    summary.say(f"seed {chosen.seed}")
    try:
        if BROKER in chosen.parts and not find_broker().is_mosquitto:
            raise PartError("broker: amqtt keeps nothing over its death; install mosquitto, or leave it out of --parts")
        figures = run(layout, Wishes(seal_ms=chosen.seal_ms, seed=chosen.seed), summary, stops, campaign.play)
    except Cancelled:
        summary.say("stopped at once; there are no figures")
        return INTERRUPTED
    except PartError as error:
        print(f"campaign: seed {chosen.seed}: {error}", file=sys.stderr)
        return NOT_STARTED
    else:
        is_kept = chosen.dir is not None or not is_good(figures)
        figures |= {"seed": chosen.seed, "killed": dict(campaign.killed)}
        report(figures, chosen.json, summary, root)
        return FINE if is_good(figures) else FINDINGS
    finally:
        if not is_kept:
            shutil.rmtree(root)


def report(figures: dict[str, object], as_json: bool, summary: Summary, root: Path) -> None:
    """The figures, and after a failure what and where."""
    if as_json:
        print(json.dumps(figures), flush=True)
    else:
        for name, value in figures.items():
            summary.say(f"  {name:20} {json.dumps(value)}")
    if not is_good(figures):
        print(f"campaign: seed {figures['seed']} FAILED; see {root}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
