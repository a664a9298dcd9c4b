"""`plumeproof hj212 decode`: any capture of an HJ 212 link as its packets, with what is wrong with each.

Reads a file or standard input as it comes, in constant memory. One JSON object on a line, or a form for people;
passwords and keys are not shown. Exit status 1 where a packet is bad.

Packets of 2025 (Flag 8 to 11) are judged only with --version 2025-preview: a preview after an open implementation, for
the text of that edition is still to be read. Fields that it does not know are kept and named.

    plumeproof hj212 decode capture.bin --policy modbus-crc-accepted --json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from plumeproof.cli.hj212_clock import add_clock_orders
from plumeproof.cli.hj212_factors import add_factors
from plumeproof.cli.hj212_listen import add_listen
from plumeproof.errors import ConfigError
from plumeproof.hj212.frame import FrameSplitter, Policy
from plumeproof.hj212.preview import STATUS, Edition
from plumeproof.hj212.report import StreamReport

CHUNK = 1 << 16  # bytes read at once at most; what a pipe has is taken at once


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "hj212", help="HJ 212 links: captures, field units, clock orders"
    )
    verbs = parser.add_subparsers(dest="hj212_verb", required=True, metavar="decode|listen|clock-orders|factors")
    decode: argparse.ArgumentParser = verbs.add_parser(
        "decode", help="packets of a capture, each with its verdict", description=__doc__
    )
    decode.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the capture; none or -: standard input")
    decode.add_argument(
        "--policy",
        choices=[str(policy) for policy in Policy],
        default=str(Policy.STRICT),
        help="which checksums are taken (default strict)",
    )
    decode.add_argument(
        "--version",
        choices=[str(edition) for edition in Edition],
        default=str(Edition.HJ2017),
        help="how packets of 2025 are read (default 2017: their fields are not judged)",
    )
    decode.add_argument("--json", action="store_true", help="print one JSON object for each packet")
    decode.set_defaults(main=main)
    add_listen(verbs)
    add_clock_orders(verbs)
    add_factors(verbs)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    report = StreamReport(Policy(args.policy), Edition(args.version))
    if args.file is None or str(args.file) == "-":
        return _decode(sys.stdin.buffer, report, args.json)
    if args.file.is_dir():
        raise ConfigError(str(args.file), "is a folder; name the capture's file")
    with args.file.open("rb", buffering=0) as stream:
        return _decode(stream, report, args.json)


def _decode(stream: BinaryIO, report: StreamReport, as_json: bool) -> int:
    for entry in _entries(stream, FrameSplitter(report.policy), report):
        for line in [json.dumps(entry)] if as_json else _lines(entry):
            # A capture may hold what a terminal obeys.
            print("".join(letter if letter.isprintable() else "?" for letter in line), flush=True)
    if not as_json:
        print(
            f"{report.good} packets good, {report.bad} bad, {report.again} duplicates, {report.rubbish} bytes"
            f" of rubbish; {report.waiting} messages miss parts, {report.dropped} parts not joined"
            f" (policy {report.policy})"
        )
        if report.edition is Edition.PREVIEW:
            print(f"version {report.edition}: {STATUS}")
    return 1 if report.bad else 0


def _entries(stream: BinaryIO, splitter: FrameSplitter, report: StreamReport) -> Iterator[dict[str, Any]]:
    read = getattr(stream, "read1", stream.read)  # a live pipe is shown packet by packet
    while chunk := read(CHUNK):
        yield from map(report.entry, splitter.feed(chunk))
    yield from map(report.entry, splitter.close())


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    """The form for people."""
    if "head" not in entry:
        yield f"@{entry['offset']} {entry['verdict']}: {entry['reason']} ({entry['length']} bytes): {entry['bytes']}"
        return
    words = [entry["head"].get(name, "") for name in ("ST", "CN")]
    again = " duplicate" if entry["duplicate"] else ""
    part = f" part {entry['part']['number']} of {entry['part']['of']}" if "part" in entry else ""
    yield (
        f"@{entry['offset']} good{again}: ST {words[0]} {entry['system']}, CN {words[1]} {entry['command']},"
        f" MN {entry['head']['MN']}{part} (version {entry['version']} read as {entry['read_as']}, crc {entry['crc']},"
        f" {entry['policy']})"
    )
    for warning in entry["warnings"]:
        yield f"    ! {warning}"
    for item in entry["items"]:
        yield "    " + "  ".join(_value_words(value) for value in item)


def _value_words(value: dict[str, str]) -> str:
    notes = [value[key] for key in ("factor", "meaning") if key in value]
    notes += [f"crc {value['crc']}, {value['policy']}"] if value["crc"] != "hj212" else []
    return f"{value['name']}={value['value']}" + (f" ({', '.join(notes)})" if notes else "")
