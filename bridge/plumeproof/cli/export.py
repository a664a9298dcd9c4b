"""`plumeproof export envelopes --ledger FILE --keys FILE -o FILE [--device D] [--anchor FILE]`: evidence to take along.

Writes a CBOR sequence (RFC 8742) of the envelopes as received, in device and seq order, and verifies each on the way:
nothing bad leaves unnamed. Exit status as `verify`. The files appear whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from plumeproof.errors import ConfigError, StoreError
from plumeproof.inspection import Inspector, read_ledger
from plumeproof.keys import load_keys
from plumeproof.whole_file import whole_file


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("export", help="write evidence to files")
    what = parser.add_subparsers(dest="what", required=True, metavar="envelopes")
    envelopes = what.add_parser("envelopes", help="the signed envelopes as a CBOR sequence")
    envelopes.add_argument("--ledger", required=True, type=Path, metavar="FILE", help="ledger to read")
    envelopes.add_argument("--keys", required=True, type=Path, metavar="FILE", help="keys.json with the enrolled keys")
    envelopes.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="file to write")
    envelopes.add_argument("--allow-test-keys", action="store_true", help="take published test keys, for a test")
    envelopes.add_argument("--device", metavar="D", help="only this module")
    envelopes.add_argument("--anchor", type=Path, metavar="FILE", help="write head and count of each module here")
    envelopes.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    try:
        _refuse_inputs(args)
        inspector = Inspector(load_keys(args.keys, args.allow_test_keys))
        _write_envelopes(inspector, args.ledger, args.output, args.device)
        if args.anchor:
            _write_whole(args.anchor, build_anchors(inspector))
    except (ConfigError, StoreError) as error:
        print(f"plumeproof export: {error}", file=sys.stderr)
        return 2
    if not inspector.verified_count:
        of = f" of {args.device}" if args.device else ""
        print(f"plumeproof export: {args.ledger}: no verified record{of}; nothing to take along", file=sys.stderr)
        return 1
    print(f"{args.output}: {inspector.verified_count} records, {inspector.finding_count} findings")
    return 0 if inspector.finding_count == 0 else 1


def build_anchors(inspector: Inspector) -> bytes:
    """The heads an inspector has seen as anchor.json (unsigned)."""
    anchors = [
        {"device": head.device, "seq": head.seq, "content_hash": head.content_hash.hex(), "count": head.count}
        for head in inspector.heads()
    ]
    return json.dumps(anchors, indent=1).encode() + b"\n"


def _refuse_inputs(args: argparse.Namespace) -> None:
    """An output must not take the place of what is read."""
    for output in filter(None, (args.output, args.anchor)):
        if output.is_dir():
            raise ConfigError(str(output), "is a folder; name a file")
        for path in (args.ledger, args.keys):
            if output.exists() and path.exists() and output.samefile(path):
                raise ConfigError(str(output), "is read by this command; name another file to write")
    if args.anchor is not None and args.anchor.absolute() == args.output.absolute():
        raise ConfigError(str(args.anchor), "is the output as well; name another file for the anchor")


def _write_envelopes(inspector: Inspector, ledger: Path, output: Path, device: str | None) -> None:
    with whole_file(output) as file, tqdm(unit=" records", disable=not sys.stderr.isatty()) as progress:
        for item in read_ledger(ledger, device):
            for finding in inspector.take(item):
                print(f"{finding.code}: {finding.sentence} (at {finding.place})", file=sys.stderr)
            file.write(item.raw)
            progress.update()
        for finding in inspector.finish():
            print(f"{finding.code}: {finding.sentence}", file=sys.stderr)


def _write_whole(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)
