"""`plumeproof report hj212`: what a link reports of a period (minutes, hours, days), as JSON or as packets.

  plumeproof report hj212 -c bridge.toml --from 2026-12-01 --to 2026-12-02 --level hour --json hours.json

From the ledger as it is now, with the newest revisions; each message names the averages and figures that it rests on.
Packets hold asterisks in place of the password (`plumeproof hj212 decode` reads them). Not an official form.

Exit status: 0 written; 2 wrong usage or input, or nothing is there (nothing is written).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from plumeproof.config import load_config
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant
from plumeproof.whole_file import whole_file

NAME = "hj212"
LEVELS = ("minute", "hour", "day")
STDOUT = Path("-")


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="messages of an HJ 212 link for a period",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="bridge.toml")
    parser.add_argument("--link", metavar="NAME", help="of [[sink.hj212]], where there are several")
    parser.add_argument("--from", dest="first", required=True, metavar="TIME", help="2026-12, 2026-12-01: included")
    parser.add_argument("--to", required=True, metavar="TIME", help="2026-12-02: excluded")
    parser.add_argument("--level", action="append", choices=LEVELS, help="default: hour")
    parser.add_argument("--json", type=Path, metavar="FILE", help="messages; - is standard output, the default")
    parser.add_argument("--packets", type=Path, metavar="FILE", help="the same as packets, one behind the other")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the document; returns the exit status."""
    from plumeproof.hj212_document import choose_link, document_head, link_messages, packets_of

    config = load_config(args.config)
    sink, plan = choose_link(config, args.link)
    period = tuple(
        read_instant(text, plan.utc_offset_min, option) for text, option in ((args.first, "--from"), (args.to, "--to"))
    )
    start, end = period
    if end <= start:
        raise ConfigError("--to", f"{args.to} is not behind --from {args.first}; the period would be empty")
    messages = list(link_messages(config, sink, plan, (start, end), args.level or ["hour"]))
    if not messages:
        raise ConfigError("--from, --to", f"nothing of {', '.join(args.level or ['hour'])} is in the ledger for them")
    told = document_head(sink, plan, (start, end))
    told["messages"] = [
        {"cn": one.cn, "items": [dict(item) for item in one.items], "restsOn": list(one.rests_on)} for one in messages
    ]
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    if args.packets is not None:
        _write(args.packets, b"".join(raw for one in messages for raw in packets_of(sink, plan, one)))
    if args.json is not None and args.json != STDOUT:
        _write(args.json, text.encode())
    elif args.packets is None or args.json == STDOUT:
        sys.stdout.write(text)
    return 0


def _write(path: Path, raw: bytes) -> None:
    if path.is_dir():
        raise ConfigError(str(path), "is a folder; name a file")
    with whole_file(path) as file:
        file.write(raw)
    print(f"{path}: {len(raw):,} bytes", file=sys.stderr)
