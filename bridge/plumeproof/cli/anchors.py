"""`plumeproof anchors export|list|rotate`: the signed heads of this gateway, with their time-stamps, for a verifier.

`export` writes one JSON object a line ({"number", "stamp", "statement"}, base64; bridge/EVIDENCE.md section 5), which
`verify --anchor` takes. What this PC has can be changed with it: a verifier asks a keeper too. `rotate` hands over to
the gateway's next key while the bridge is stopped.
Exit status: 0 done, 1 there is none, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plumeproof.anchors import KeptStatement, judge_statements, write_line
from plumeproof.config import load_config
from plumeproof.errors import ConfigError
from plumeproof.inspection import read_anchors
from plumeproof.keys import load_keys
from plumeproof.whole_file import whole_file


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("anchors", help="signed heads that keepers have")
    what = parser.add_subparsers(dest="what", required=True, metavar="export|list|rotate")
    export = what.add_parser("export", help="write them for a verifier")
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="file to write")
    export.set_defaults(main=export_main)
    listing = what.add_parser("list", help="number, time, time-stamp and modules of each")
    listing.add_argument("--keys", type=Path, metavar="FILE", help="keys.json, beside --ledger")
    listing.set_defaults(main=list_main)
    rotate = what.add_parser("rotate", help="hand over to the gateway's next key; the bridge is stopped")
    rotate.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="bridge.toml")
    rotate.add_argument("--next-key", required=True, type=Path, metavar="FILE", help="as `keys create-gateway` made it")
    rotate.set_defaults(main=rotate_main)
    for one in (export, listing):
        one.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger and keys")
        one.add_argument("--ledger", type=Path, metavar="FILE", help="ledger to read, instead of -c")
        one.add_argument("--json", action="store_true", help="print JSON")


def export_main(args: argparse.Namespace) -> int:
    """Run `anchors export`."""
    ledger = _ledger(args)
    if args.output.exists() and args.output.samefile(ledger):
        raise ConfigError(str(args.output), "is the ledger; name another file to write")
    count = stamped = 0
    with whole_file(args.output) as file:
        for stored in read_anchors(ledger):
            line = write_line(stored.number, stored.statement, stored.stamp)
            file.write(json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n")
            count, stamped = count + 1, stamped + (stored.stamp is not None)
    if args.json:
        print(json.dumps({"anchors": count, "time_stamped": stamped}))
    else:
        print(f"{args.output}: {count} anchors, {stamped} of them time-stamped")
    if not count:
        print(f"plumeproof anchors: {ledger} has none; [anchors] of bridge.toml makes them", file=sys.stderr)
    return 0 if count else 1


def list_main(args: argparse.Namespace) -> int:
    """Run `anchors list`."""
    ledger = _ledger(args)
    keys_file = args.keys or (load_config(args.config).keys.file if args.config else None)
    if keys_file is None:
        raise ConfigError("--keys", "is missing; name it, or the bridge's configuration with -c")
    items = [KeptStatement(f"number {one.number}", one.statement, one.stamp) for one in read_anchors(ledger)]
    stamped = {item.statement for item in items if item.stamp is not None}
    kept = judge_statements(items, load_keys(keys_file))
    rows: list[dict[str, Any]] = [
        {
            "number": one.number,
            "signed_utc_ms": one.utc_ms,
            "has_time_stamp": one.raw in stamped,
            "content_hash": one.content_hash.hex(),
            "modules": {head.device: head.seq for head in one.heads},
        }
        for one in kept.statements
    ]
    if args.json:
        findings = [{"code": code, "place": place, "sentence": said} for code, _, place, said in kept.findings]
        print(json.dumps({"anchors": rows, "findings": findings}))
    else:
        for row in rows:
            when = datetime.fromtimestamp(row["signed_utc_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            heads = ", ".join(f"{device} seq {seq}" for device, seq in row["modules"].items())
            print(f"{row['number']}  {when}  {'time-stamped' if row['has_time_stamp'] else 'no time-stamp'}  {heads}")
        for code, _, place, said in kept.findings:
            print(f"{code}: {said} (at {place})")
    return 1 if kept.findings or not rows else 0


def rotate_main(args: argparse.Namespace) -> int:
    """Run `anchors rotate`."""
    from plumeproof.anchor_rotation import hand_over

    number = hand_over(load_config(args.config), args.next_key)
    print(f"anchor {number} names the next key, and the registry has it; set anchors.key_file to {args.next_key} now")
    return 0


def _ledger(args: argparse.Namespace) -> Path:
    if args.ledger is None and args.config is None:
        raise ConfigError("--ledger", "is missing; name it, or the bridge's configuration with -c")
    ledger: Path = args.ledger or load_config(args.config).gateway.ledger_file
    return ledger
