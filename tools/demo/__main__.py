"""Command line of the demo: the whole line on this machine until --seconds are over or Ctrl-C, then its figures.

    python -m tools.demo --seconds 60 --json        # what `plumeproof demo` and `make demo` start
    python -m tools.demo --values year.csv --map tools/plant/maps/gas_turbine_2013.json --speed 3600  # a row a second

The first Ctrl-C ends the run as --seconds do (plant first, then the line drains); during the start, or the second time,
everything stops at once. With --json standard output holds one JSON object only, the rest goes to standard error.
Exit status: 0 nothing lost, nothing twice, chain, bundle and papers fine; 1 otherwise; 2 wrong usage; 3 a part cannot
start; 130 stopped before there were figures.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from acqwire import limits

from tools.demo.figures import is_good
from tools.demo.layout import SEAL_MS, SLOT_MS, Layout
from tools.demo.line import Wishes
from tools.demo.papers import PaperFindings, end_with_papers, with_papers
from tools.demo.part import Cancelled, PartError
from tools.demo.run import Stops, run, watch
from tools.demo.summary import Summary

MODEL = "model"  # what the analyzers show without a CSV
FINE, FINDINGS, WRONG_USAGE, NOT_STARTED, INTERRUPTED = 0, 1, 2, 3, 130


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(
        prog="plumeproof demo", description="the whole line on this machine: plant, modules, bridge, broker, platform"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds (without: Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--dir", type=Path, help="new folder for ledger, keys.json, anchor.json, envelopes, bundle.zip")
    parser.add_argument("--values", default=MODEL, metavar="model|CSV", help="what the analyzers show (tools/plant)")
    parser.add_argument("--map", type=Path, metavar="FILE", help="which column of the CSV is which channel")
    parser.add_argument("--row-s", type=float, metavar="S", help="plant seconds of one row of the CSV")
    parser.add_argument("--speed", type=float, default=1.0, help="plant seconds per second (1)")
    parser.add_argument("--fault", action="append", default=[], metavar="ANALYZER:KIND[:FROM-TO]", help="tools/plant")
    parser.add_argument("--broker", choices=("mosquitto", "amqtt"), help="only this one (mosquitto, else amqtt)")
    parser.add_argument("--slot-ms", type=int, default=SLOT_MS, help=f"between two polls ({SLOT_MS})")
    parser.add_argument("--seal-ms", type=int, default=SEAL_MS, help=f"sealing period ({SEAL_MS})")
    parser.add_argument("--seed", type=int, default=1, help="of plant model and faults")
    chosen = parser.parse_args(arguments)
    if chosen.seconds is not None and not 0 < chosen.seconds <= 7 * 86_400:
        parser.error("--seconds is above 0 and at most a week")
    if not limits.SLOT_MIN_MS <= chosen.slot_ms <= chosen.seal_ms <= limits.SEAL_MAX_MS:
        parser.error(
            f"--slot-ms is at least {limits.SLOT_MIN_MS}, --seal-ms not below it and at most {limits.SEAL_MAX_MS}"
        )
    if chosen.values != MODEL and not Path(chosen.values).is_file():
        parser.error(f"--values {chosen.values}: no such file; give `model` or a CSV")
    if chosen.dir is not None and chosen.dir.exists() and (not chosen.dir.is_dir() or any(chosen.dir.iterdir())):
        parser.error(f"--dir {chosen.dir}: is not empty; name a new folder, so that two runs are not mixed")
    return chosen


def wishes_of(chosen: argparse.Namespace) -> Wishes:
    """What the plants are told."""
    return Wishes(
        values=chosen.values if chosen.values == MODEL else str(Path(chosen.values).resolve()),
        map=chosen.map and chosen.map.resolve(),
        row_s=chosen.row_s,
        speed=chosen.speed,
        faults=tuple(chosen.fault),
        seed=chosen.seed,
        slot_ms=chosen.slot_ms,
        seal_ms=chosen.seal_ms,
        broker=chosen.broker,
    )


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
    good = "nothing lost, nothing twice, chain, bundle and papers fine"
    summary.say(good if is_good(figures) else "NOT FINE: see the findings above")


def tell_of(found: PaperFindings, layout: Layout, summary: Summary) -> PaperFindings:
    """Where the papers are."""
    if found.papers:
        told = f"papers {layout.site}: {', '.join(found.papers)}, drafts of a running month as JSON, page and PDF; "
        if found.ids:
            told += (
                f"each of the {found.ids} ids in them leads down to signed register bytes (`plumeproof trace"
                f" --document`), and {found.values} values of hours in them and in API payloads are the signed figures"
                " to the last decimal (`plumeproof agree`)"
            )
        summary.say(told if found.ids else told + "too short a run for an hour that counts")
    return found


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
        if chosen.values == MODEL:  # other values are of other works than the site that the demo has
            figures = with_papers(figures, tell_of(end_with_papers(layout), layout, summary))
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
    except BrokenPipeError:  # whoever read our lines has gone: nothing may be flushed into the pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    finally:
        if not is_kept:
            shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
