"""`plumeproof hj212 clock-orders`: what platforms have ordered about the clock (CN 1012), each signature checked.

Exit status 1 where one does not hold, or one between two others is missing.

    plumeproof hj212 clock-orders --ledger data/ledger.sqlite --keys keys.json
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from plumeproof.config import load_config
from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.evidence.clock_order import ClockOrderEvent, find_break, parse_clock_order
from plumeproof.figure_ids import utc_text
from plumeproof.keys import load_keys
from plumeproof.store.clock_orders import read_clock_orders


def add_clock_orders(subparsers: Any) -> None:
    """Add the verb to those of `hj212`."""
    verb: argparse.ArgumentParser = subparsers.add_parser(
        "clock-orders", help="clock orders of platforms, signed as they came", description=__doc__
    )
    verb.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger and keys")
    verb.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    verb.add_argument("--keys", type=Path, metavar="FILE", help="keys.json, instead of the configuration's")
    verb.add_argument("--json", action="store_true", help="print one JSON object for each order")
    verb.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    config = load_config(args.config) if args.config is not None else None
    ledger = args.ledger or (config.gateway.ledger_file if config else None)
    keys_file = args.keys or (config.keys.file if config else None)
    if ledger is None or keys_file is None:
        raise ConfigError("--ledger, --keys", "name both, or the bridge's configuration with -c")
    key_of_kid = partial(load_keys(keys_file).public_key, purpose="anchor")
    good: list[tuple[ClockOrderEvent, bytes]] = []
    faults = []
    for number, raw in enumerate(read_clock_orders(ledger), 1):
        try:
            good.append(parse_clock_order(raw, key_of_kid))
        except EvidenceError as error:
            faults.append(f"order {number}: {error}")
            continue
        _print(good[-1][0], args.json)
    broken = None if faults else find_break(good)
    faults += [broken] if broken else []
    for fault in faults:
        print(json.dumps({"fault": fault}) if args.json else f"fault: {fault}")
    if not args.json:
        print(f"{len(good)} clock orders hold, {len(faults)} faults")
    return 1 if faults else 0


def _print(event: ClockOrderEvent, as_json: bool) -> None:
    step_s = (event.new_utc_ms - event.old_utc_ms) / 1000
    if as_json:
        names = ("number", "outcome", "old_utc_ms", "new_utc_ms", "link", "platform", "mn", "qn", "check", "policy")
        heads = [[device, seq, content_hash.hex()] for device, seq, content_hash in event.heads]
        print(json.dumps({name: getattr(event, name) for name in names} | {"heads": heads}))
        return
    words = {
        "within": "right already", "refused": "not obeyed", "set": "obeyed", "failed": "the system refused"
    }[event.outcome]  # fmt: skip
    print(
        f"{event.number}  {utc_text(event.old_utc_ms, True)}  {event.link} ({event.platform}, MN {event.mn},"
        f" QN {event.qn}) ordered {step_s:+.3f} s: {words}  crc {event.check} by {event.policy}"
    )
