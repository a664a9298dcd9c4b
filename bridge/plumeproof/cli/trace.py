"""`plumeproof trace ID`: the way down from a declared figure to register bytes, every step verified while it is walked.

  plumeproof trace -c bridge.toml --list
  plumeproof trace -c bridge.toml line-1/CO2/co2e/month/20261130T2300Z/eu_mrr --html co2.html
  plumeproof trace -c bridge.toml CO2/co2e/2026-12 --hour 2026-12-04T07:00
  plumeproof trace --ledger data/ledger.sqlite --keys keys.json plume-01/nox/60s/20261204T063000Z
  plumeproof trace --bundle december.zip --keys keys.json CO2/co2e/2026-12
  plumeproof trace -c bridge.toml --document statement.json

An ID is that of a figure (it stands in every file of `plumeproof average`), of an average of a channel, or of a record
(plume-01/seq1204). Parts may be left out, and a begin may be written as the site's clock shows it, as long as one thing
only is meant. The way goes from the figure to the hours it rests on, to one hour step by step, to an average and a
record of it, its signature, key, chain and time, to the register bytes of one slot, and to the row of the signed
parameter set that gave them their meaning. --hour, --slot and --input choose the way. A bundle (`plumeproof evidence
export`) is enough for all of it, anywhere; without --keys its signatures are held against the keys that came with it.
With --document every id that a document names is walked down, whatever its form (JSON, XML, CSV, page), a line each.
With -c figures of periods that are still running, which drafts declare, are made from the records.

Exit status: 0 every check holds, 1 one does not or a bundle was changed, 2 no such figure, wrong usage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.plant_desks import open_desks
from plumeproof.cli.plant_inputs import find_inputs
from plumeproof.cli.trace_document import trace_document
from plumeproof.config import load_config
from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.instants import read_instant
from plumeproof.keys import KeyFile, load_keys, parse_keys, refuse_test_keys
from plumeproof.whole_file import whole_file

if TYPE_CHECKING:
    from plumeproof.figure_desk import FigureDesk
    from plumeproof.trace.running import DeskOf
    from plumeproof.trace.source import Source

_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?")
LISTED_MAX = 200  # ids of a list, unless --json


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "trace",
        help="from a declared figure down to register bytes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="figure, average or record; with --list a part of it")
    what = parser.add_argument_group("what is read")
    what.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: its ledger and keys")
    what.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    what.add_argument("--bundle", type=Path, metavar="FILE", help="bundle of a period, instead of a ledger")
    what.add_argument("--document", type=Path, metavar="FILE", help="walk every id that this document names")
    what.add_argument("--keys", type=Path, metavar="FILE", help="keys.json that you have from elsewhere")
    what.add_argument("--allow-test-keys", action="store_true", help="published test keys are no fault")
    way = parser.add_argument_group("which way is taken")
    way.add_argument("--hour", metavar="TIME", help="the short-term average that holds this instant")
    way.add_argument("--slot", metavar="TIME", help="the slot at this instant; also chooses the hour")
    way.add_argument("--input", metavar="NAME", help="a peripheral (O2, T, p, H2O), flow or another measurand")
    way.add_argument("--channel", metavar="ID", help="with the id of a record: the channel; default the first")
    way.add_argument("--whole", action="store_true", help="verify the signatures of all records of the period")
    how = parser.add_argument_group("how it is given")
    how.add_argument("--list", action="store_true", help="list ids of figures, or all that fit a part of one")
    how.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")
    how.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main, rules=None, measurand=())


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if args.document is not None and (args.id is not None or args.list or args.html or args.hour or args.slot):
        raise ConfigError("--document", "names what is traced; leave ID, --list, --html, --hour and --slot out")
    if args.id is None and not args.list and args.document is None:
        raise ConfigError("ID", "is missing; `plumeproof trace --list` shows what there is")
    try:
        with ExitStack() as stack:
            source, keys, keys_from = _open(args, stack)
            stack.callback(source.close)
            if args.document is not None:
                return trace_document(args, source, keys, keys_from)
            return _list(args, source) if args.list else _trace(args, source, keys, keys_from)
    except EvidenceError as error:  # a ledger's faults are checks of the trace; a changed bundle may end it
        print(f"plumeproof trace: NOT OK {args.bundle or args.ledger or args.config}: {error}", file=sys.stderr)
        return 1


def _open(args: argparse.Namespace, stack: ExitStack) -> tuple[Source, KeyFile, str]:
    from plumeproof.trace.running import RunningSource
    from plumeproof.trace.source import LedgerSource

    if args.html is not None and any(
        path is not None and args.html.absolute() == path.absolute() for path in (args.ledger, args.bundle, args.keys)
    ):
        raise ConfigError(str(args.html), "is read by this command; name another file for the page")
    if args.bundle is not None:
        return _open_bundle(args)
    config = load_config(args.config) if args.config is not None else None
    ledger = args.ledger or (config.gateway.ledger_file if config is not None else None)
    key_file = args.keys or (config.keys.file if config is not None else None)
    if ledger is None:
        raise ConfigError("--ledger", "is missing; name a ledger, or the configuration with -c")
    if key_file is None:
        raise ConfigError("--keys", "is missing; signatures are verified by the registry that you name")
    keys = load_keys(key_file, args.allow_test_keys)
    if config is None or not config.plants:
        return LedgerSource(ledger), keys, str(key_file)
    return RunningSource(ledger, _desks(args, stack)), keys, str(key_file)


def _desks(args: argparse.Namespace, stack: ExitStack) -> DeskOf:
    """Opened when the first is asked for: that places records which have none yet."""
    opened: list[dict[str, FigureDesk]] = []

    def desk_of(plant: str) -> FigureDesk | None:
        if not opened:
            inputs = find_inputs(args.config, args.ledger, (), ())
            desks = stack.enter_context(open_desks(args, inputs))
            opened.append({one.plant.id: one.desk for one in desks})
        return opened[0].get(plant)

    return desk_of


def _open_bundle(args: argparse.Namespace) -> tuple[Source, KeyFile, str]:
    from plumeproof.trace.bundle_source import BundleSource

    if args.ledger is not None or args.config is not None:
        raise ConfigError("--bundle", "and a ledger (-c, --ledger) are both named; a trace reads one of them")
    keys = None if args.keys is None else load_keys(args.keys, args.allow_test_keys)
    source = BundleSource(args.bundle)
    if keys is not None:
        return source, keys, str(args.keys)
    try:
        where = f"{args.bundle} itself (--keys names a registry that you have from elsewhere)"
        keys = parse_keys(source.keys(), where)
        if not args.allow_test_keys:
            refuse_test_keys(keys, where)
    except (ConfigError, EvidenceError):
        source.close()
        raise
    return source, keys, where


def _trace(args: argparse.Namespace, source: Source, keys: KeyFile, keys_from: str) -> int:
    from plumeproof.trace.page import page_of
    from plumeproof.trace.text import lines_of, tree_of
    from plumeproof.trace.walk import Choice, clock_of_id, trace_id

    offset = clock_of_id(source, args.id) if args.hour or args.slot else 0
    choice = Choice(
        hour_utc_ms=None if args.hour is None else _instant(args.hour, offset, "--hour"),
        slot_utc_ms=None if args.slot is None else _instant(args.slot, offset, "--slot"),
        quantity=args.input,
        channel=args.channel,
        is_whole=args.whole,
        allow_test_keys=args.allow_test_keys,
    )
    with tqdm(unit=" days", disable=args.json or not sys.stderr.isatty(), leave=False) as progress:
        trace = trace_id(source, keys, keys_from, args.id, choice, progress.update)
    if args.html is not None:
        with whole_file(args.html) as file:
            file.write(page_of(trace))
    if args.json:
        print(json.dumps(tree_of(trace), ensure_ascii=False))
    else:
        for line in lines_of(trace):
            print(line)
    return 0 if trace.is_fine else 1


def _instant(text: str, offset_min: int, option: str) -> int:
    """As read_instant; a time without a zone is one of the site's clock."""
    if _CLOCK.fullmatch(text) is None:
        return read_instant(text, offset_min, option)
    return read_instant(f"{text}Z", 0, option) - offset_min * 60_000


def _list(args: argparse.Namespace, source: Source) -> int:
    from plumeproof.trace.walk import list_ids

    found = list_ids(source, args.id)
    if args.json:
        print(json.dumps([{"id": name, "value": value, "unit": unit} for name, value, unit in found]))
        return 0
    for name, value, unit in found[:LISTED_MAX]:
        print(f"{name}  {'none' if value is None else f'{value!r} {unit}'}")
    if len(found) > LISTED_MAX:
        print(f"... {len(found) - LISTED_MAX} more; write a part of the id, as in `trace --list CO2/month`, or --json")
    if not found:
        told = "holds no figure" if args.id is None else f"holds nothing that fits {args.id[:60]}"
        mend = "averages of channels are listed by their interval, as in `trace --list 60s`"
        print(f"plumeproof trace: {source.where}: {told}; {mend}", file=sys.stderr)
        return 1
    return 0
