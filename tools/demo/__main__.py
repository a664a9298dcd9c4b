"""Command line of the demo: the whole line on this machine until --seconds are over or Ctrl-C, then its figures.

    python -m tools.demo --seconds 60 --json        # what `plumeproof demo` and `make demo` start

The first Ctrl-C ends the run as --seconds do (plant first, then the line drains); during the start, or the second time,
everything stops at once. With --json standard output holds one JSON object only, the rest goes to standard error.
Exit status: 0 nothing lost, nothing twice, chain fine; 1 otherwise; 2 wrong usage; 3 a part cannot start; 130 stopped
before there were figures.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools.demo.drain import NotDrained, drain
from tools.demo.figures import Course, is_good, take_figures
from tools.demo.layout import CHECKOUT, MODULES, SEAL_MS, Layout
from tools.demo.line import BRIDGE, PLATFORM, Line, Wishes
from tools.demo.part import Cancelled, PartError
from tools.demo.platform_view import read_platform
from tools.demo.provision import CLIENT
from tools.demo.summary import Summary

FINE, FINDINGS, WRONG_USAGE, NOT_STARTED, INTERRUPTED = 0, 1, 2, 3, 130
LOOK_S = 0.2


class Stops:
    """Ctrl-C and SIGTERM: the first asks for the end of the run, the next one for an end at once."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.at_once = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: object) -> None:
        if self.end.is_set() or number == signal.SIGTERM:
            self.at_once.set()
        self.end.set()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(
        prog="plumeproof demo", description="the whole line on this machine: plant, modules, bridge, broker, platform"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds (without: Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--dir", type=Path, help="new folder for ledger, keys.json, anchor.json, envelopes")
    parser.add_argument("--values", default="model", metavar="model|CSV", help="what the analyzers show (tools/plant)")
    parser.add_argument("--map", type=Path, metavar="FILE", help="which column of the CSV is which channel")
    parser.add_argument("--row-s", type=float, metavar="S", help="plant seconds of one row of the CSV")
    parser.add_argument("--speed", type=float, default=1.0, help="plant seconds per second (1)")
    parser.add_argument("--fault", action="append", default=[], metavar="ANALYZER:KIND[:FROM-TO]", help="tools/plant")
    parser.add_argument("--seal-ms", type=int, default=SEAL_MS, help=f"sealing period ({SEAL_MS})")
    parser.add_argument("--seed", type=int, default=1, help="of plant model and faults")
    chosen = parser.parse_args(arguments)
    if chosen.seconds is not None and not 0 < chosen.seconds <= 7 * 86_400:
        parser.error("--seconds is above 0 and at most a week")
    if chosen.values != "model" and not Path(chosen.values).is_file():
        parser.error(f"--values {chosen.values}: no such file; give `model` or a CSV")
    if chosen.dir is not None and chosen.dir.exists() and (not chosen.dir.is_dir() or any(chosen.dir.iterdir())):
        parser.error(f"--dir {chosen.dir}: is not empty; name a new folder, so that two runs are not mixed")
    return chosen


def wishes_of(chosen: argparse.Namespace) -> Wishes:
    """What the plants are told."""
    return Wishes(
        values=chosen.values if chosen.values == "model" else str(Path(chosen.values).resolve()),
        map=chosen.map and chosen.map.resolve(),
        row_s=chosen.row_s,
        speed=chosen.speed,
        faults=tuple(chosen.fault),
        seed=chosen.seed,
        seal_ms=chosen.seal_ms,
    )


def run(
    layout: Layout, wishes: Wishes, summary: Summary, stops: Stops, play: Callable[[Line], None]
) -> dict[str, object]:
    """Start the line, let `play` happen to it, drain it, take its figures. Raises PartError and Cancelled."""
    line = Line(layout, wishes, stops.end, summary.say)
    try:
        started_s = time.monotonic()
        line.start()
        say_where(line, summary, time.monotonic() - started_s)
        summary.begin()
        play(line)
        line.stopping = stops.at_once
        left = ""
        try:
            drain(line, summary.say)
        except NotDrained as error:
            left = str(error)
            summary.say(left)
        assert line.witness is not None
        secret = layout.platform / "client.secret"
        stored = read_platform(line.platform_page, layout.authority / "ca.pem", CLIENT, secret)
        for name in (*MODULES, BRIDGE, PLATFORM):
            line.stop_part(name)
        course = Course(line.starts, line.restarts, tuple(line.broker_deaths_ns), left)
        return take_figures(layout, course, line.witness, stored, verify_export(layout))
    finally:
        with deaf_to_signals():
            line.stop()


def say_where(line: Line, summary: Summary, took_s: float) -> None:
    """The addresses."""
    assert line.broker is not None
    summary.say(f"the line runs after {took_s:.1f} s: {', '.join(MODULES)} with three analyzers each")
    summary.say(f"  dashboard  {line.dashboard}")
    summary.say(f"  platform   {line.platform_page}/   (test certificate: {line.layout.authority / 'ca.pem'})")
    summary.say(f"  broker     mqtts://{line.broker.host}:{line.broker.port}   {line.broker.words}")
    summary.say(f"  files      {line.layout.root}")


def watch(line: Line, summary: Summary, stops: Stops, seconds: float | None) -> None:
    """Until the time is over or somebody wants the end; whoever dies is started again."""
    until_s = None if seconds is None else time.monotonic() + seconds
    while not stops.end.is_set() and (until_s is None or time.monotonic() < until_s):
        line.tend()
        summary.tick(line.witness)
        stops.end.wait(LOOK_S if until_s is None else max(0.0, min(LOOK_S, until_s - time.monotonic())))
    stops.end.set()


def verify_export(layout: Layout) -> bool:
    """Export the envelopes with an anchor and verify both, and the ledger, by the commands that a user has."""
    plumeproof = (sys.executable, "-m", "plumeproof")
    keys, anchor = str(layout.keys), str(layout.anchor)
    ledger, envelopes = str(layout.ledger), str(layout.envelopes)
    commands = (
        ("export", "envelopes", "--ledger", ledger, "--keys", keys, "-o", envelopes, "--anchor", anchor),
        ("verify", envelopes, "--keys", keys, "--anchor", anchor),
        ("verify", ledger, "--keys", keys, "--anchor", anchor),
    )
    with layout.log("verify").open("a") as log:
        return all(
            subprocess.run([*plumeproof, *command], cwd=CHECKOUT, stdout=log, stderr=log, check=False).returncode == 0
            for command in commands
        )


@contextlib.contextmanager
def deaf_to_signals():
    """While everything stops, another Ctrl-C would only leave something behind."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def print_figures(figures: dict[str, object], as_json: bool, summary: Summary) -> None:
    """One JSON object, or a small table."""
    if as_json:
        print(json.dumps(figures), flush=True)
        return
    for name, value in figures.items():
        if name != "findings":
            summary.say(f"  {name:20} {json.dumps(value) if isinstance(value, dict) else value}")
    for finding in figures["findings"]:  # type: ignore[attr-defined]
        summary.say(f"  finding: {finding}")
    summary.say("nothing lost, nothing twice, chain fine" if is_good(figures) else "NOT FINE: see the findings above")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    chosen = parse_arguments(arguments)
    stops = Stops()
    root = (chosen.dir or Path(tempfile.mkdtemp(prefix="plumeproof-demo-"))).resolve()
    layout = Layout(root)
    summary = Summary(layout, sys.stderr if chosen.json else sys.stdout)
    is_kept = chosen.dir is not None
    try:
        play = functools.partial(watch, summary=summary, stops=stops, seconds=chosen.seconds)
        figures = run(layout, wishes_of(chosen), summary, stops, play)
        print_figures(figures, chosen.json, summary)
        is_kept = is_kept or not is_good(figures)
        return FINE if is_good(figures) else FINDINGS
    except Cancelled:
        summary.say("stopped before the end; there are no figures")
        return INTERRUPTED
    except PartError as error:
        is_kept = True
        print(f"plumeproof demo: {error}", file=sys.stderr)
        return NOT_STARTED
    finally:
        if not is_kept:
            shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
