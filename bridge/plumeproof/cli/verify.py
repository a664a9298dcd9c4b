"""`plumeproof verify PATH... --keys FILE [--anchor PATH] [--json]`: checks envelopes or a ledger, names each finding.

Exit status: 0 fine, 1 a fault in the evidence, 2 wrong usage or unusable file (DESIGN section 6). Without an anchor a
cut tail cannot be seen, and the summary says so. Signed anchors are judged first (anchors.py): by the same keys, and
their time-stamps by the certificate of the authority.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.anchors import KeptAnchors, load_anchors
from plumeproof.errors import ConfigError, StoreError
from plumeproof.inspection import Finding, Inspector, read_heads, read_ledger, read_sequence
from plumeproof.keys import load_keys

if TYPE_CHECKING:
    from plumeproof.time_stamp import Certificates

FINDINGS_MAX = 10_000  # named in full; behind them only the count
STANDARD_INPUT = "-"
SQLITE_MAGIC = b"SQLite format 3\x00"  # sqlite.org, database file format section 1.3


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verify", help="check envelopes or a ledger, name each finding"
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="CBOR sequence of envelopes (-: standard input), or ledger file",
    )
    parser.add_argument("--keys", required=True, type=Path, metavar="FILE", help="keys.json with the enrolled keys")
    parser.add_argument(
        "--anchor",
        type=Path,
        metavar="PATH",
        action="append",
        default=[],
        help="what a keeper has: .cose, a folder of them, anchors.jsonl or anchor.json; shows a cut tail",
    )
    parser.add_argument(
        "--tsa-certificate", type=Path, metavar="FILE", help="of the time-stamp authority: root and between (PEM)"
    )
    parser.add_argument("--allow-test-keys", action="store_true", help="take published test keys, for a test")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    try:
        keys = load_keys(args.keys, args.allow_test_keys)
        kept = load_anchors(args.anchor, keys, certificates_of(args.tsa_certificate))
        inspector = Inspector(keys, tuple(kept.anchors))
        findings: list[Finding] = []
        for finding in chain(_of_anchors(inspector, kept), _inspect(inspector, args.paths)):
            if inspector.finding_count <= FINDINGS_MAX:
                findings.append(finding)
                if not args.json:
                    print(f"{finding.code}: {finding.sentence} (at {finding.place})")
    except (ConfigError, StoreError) as error:
        print(f"plumeproof verify: {error}", file=sys.stderr)
        return 2
    is_fine = inspector.finding_count == 0 and inspector.verified_count > 0
    _print_summary(inspector, findings, is_fine, kept, args.json)
    return 0 if is_fine else 1


def certificates_of(path: Path | None) -> Certificates:
    """Of a time-stamp authority. Raises ConfigError."""
    if path is None:
        return ()
    from plumeproof.time_stamp import load_certificates  # its library is needed by who asks for stamps only

    return load_certificates(path)


def _of_anchors(inspector: Inspector, kept: KeptAnchors) -> Iterator[Finding]:
    for code, device, place, sentence in kept.findings:
        inspector.finding_count += 1
        yield Finding(code, device, None, place, sentence)


def _inspect(inspector: Inspector, paths: list[Path]) -> Iterator[Finding]:
    with tqdm(unit=" records", disable=not sys.stderr.isatty()) as progress:
        for path in paths:
            where = f"{path}, " if len(paths) > 1 else ""
            for finding in _inspect_one(inspector, path, progress):
                yield replace(finding, place=where + finding.place)
    yield from inspector.finish()


def _inspect_one(inspector: Inspector, path: Path, progress: tqdm[Any]) -> Iterator[Finding]:
    is_piped = str(path) == STANDARD_INPUT
    with open(sys.stdin.fileno(), "rb", closefd=False) if is_piped else path.open("rb") as file:
        is_ledger = file.peek(len(SQLITE_MAGIC)).startswith(SQLITE_MAGIC)  # a pipe cannot be wound back
        for item in read_ledger(path) if is_ledger else read_sequence(file):
            yield from inspector.take(item)
            progress.update()
    if is_ledger:
        yield from inspector.check_heads(read_heads(path))


def _print_summary(
    inspector: Inspector, findings: list[Finding], is_fine: bool, kept: KeptAnchors, as_json: bool
) -> None:
    heads, has_anchor = inspector.heads(), bool(kept.anchors)
    if as_json:
        result = {
            "fine": is_fine,
            "records_verified": inspector.verified_count,
            "anchored": has_anchor,
            "without_anchor": inspector.without_anchor(),
            "anchor_statements": len(kept.statements),
            "time_stamps": [
                {"gateway": gateway, "number": number, "utc_ms": utc_ms}
                for (gateway, number), utc_ms in sorted(kept.stamped.items())
            ],
            "time_stamps_unchecked": kept.unchecked_stamps,
            "devices": [
                {"device": head.device, "seq": head.seq, "content_hash": head.content_hash.hex(), "count": head.count}
                for head in heads
            ],
            "finding_count": inspector.finding_count,
            "findings": [asdict(finding) for finding in findings],
        }
        print(json.dumps(result, sort_keys=True))
        return
    for head in heads:
        print(f"{head.device}: {head.count} records up to seq {head.seq}, head {head.content_hash.hex()}")
    if kept.statements:
        newest = kept.statements[-1]
        count = len(kept.statements)
        told = "1 anchor statement holds" if count == 1 else f"{count} anchor statements hold"
        told += f", the newest of {newest.gateway} is number {newest.number}"
        if kept.stamped:
            told += f"; {len(kept.stamped)} time-stamped, the newest at {_utc(max(kept.stamped.values()))}"
        if kept.unchecked_stamps:
            told += f"; {kept.unchecked_stamps} time-stamps not checked, name --tsa-certificate"
        print(told)
    if inspector.finding_count > len(findings):
        print(f"{inspector.finding_count - len(findings)} more findings not printed")
    if not inspector.verified_count:
        print("no record verified")
    bare = ", ".join(inspector.without_anchor())
    tail = "; no anchor given: a cut tail would not be seen"
    if has_anchor:
        tail = f"; no anchor of {bare}: a cut tail of it would not be seen" if bare else ""
    found = f"{inspector.finding_count} finding{'' if inspector.finding_count == 1 else 's'}"
    print(f"{'fine' if is_fine else 'NOT FINE'}: {inspector.verified_count} signatures hold, {found}{tail}")


def _utc(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
