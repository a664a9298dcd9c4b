"""`plumeproof evidence export` and `evidence verify`: the bundle that a verifier takes away, and its check anywhere.

A bundle is an ordinary zip file (bridge/BUNDLE.md) with the signed records of a period, their parameter sets, keys,
averages, figures, plant descriptions, rule sets and receipts. `verify` needs nothing but the file, and better also the
key registry that you have from elsewhere.

Exit status: 0 fine, 1 a fault in the evidence, 2 wrong usage or unusable file.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from plumeproof.anchors import read_kept
from plumeproof.cli.verify import certificates_of
from plumeproof.config import load_config
from plumeproof.errors import ConfigError
from plumeproof.inspection import Finding
from plumeproof.instants import read_instant
from plumeproof.keys import load_keys, read_keys
from plumeproof.whole_file import whole_file

FINDINGS_MAX = 10_000  # named in full; behind them only the count


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "evidence",
        help="the bundle for a verifier, and its check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="export|verify")
    export = what.add_parser("export", help="write the bundle of a period")
    export.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger and keys")
    export.add_argument("--ledger", type=Path, metavar="FILE", help="ledger to read, instead of -c")
    export.add_argument("--keys", type=Path, metavar="FILE", help="keys.json, beside --ledger")
    export.add_argument(
        "--gateway-key", type=Path, metavar="FILE", help="signs the manifest; with -c that of [anchors]"
    )
    export.add_argument("--from", dest="first", required=True, metavar="DAY", help="2026-12-01 (UTC), or an instant")
    export.add_argument("--to", required=True, metavar="DAY", help="day or instant behind the last")
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="bundle to write")
    export.add_argument("--json", action="store_true", help="print one JSON object")
    export.set_defaults(main=_export)
    verify = what.add_parser("verify", help="check a bundle: every signature, chain, average and figure")
    verify.add_argument("bundle", type=Path, metavar="FILE", help="bundle to check")
    verify.add_argument("--keys", type=Path, metavar="FILE", help="keys.json that you have from elsewhere")
    verify.add_argument(
        "--anchor", type=Path, metavar="PATH", action="append", default=[], help="signed anchors that a keeper has"
    )
    verify.add_argument(
        "--tsa-certificate", type=Path, metavar="FILE", help="root of the time-stamp authority, and what lies between"
    )
    verify.add_argument(
        "--platform-keys", type=Path, metavar="FILE", help="JWK set of the platform that signs receipts"
    )
    verify.add_argument("--html", type=Path, metavar="FILE", help="write the verdict as a page")
    verify.add_argument("--allow-test-keys", action="store_true", help="published test keys are no finding")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(main=_verify)


def _export(args: argparse.Namespace) -> int:
    from plumeproof.bundle.anchors import sign_with
    from plumeproof.bundle.writing import write_bundle
    from plumeproof.gateway_key import GatewayKey

    ledger, keys, key_file = args.ledger, args.keys, args.gateway_key
    if args.config is not None:
        config = load_config(args.config)
        ledger, keys = ledger or config.gateway.ledger_file, keys or config.keys.file
        key_file = key_file or config.anchors.key_file
    for name, value in (("--ledger", ledger), ("--keys", keys)):
        if value is None:
            raise ConfigError(name, "is missing; name it, or the bridge's configuration with -c")
    start, end = read_instant(args.first, 0, "--from"), read_instant(args.to, 0, "--to")
    if end <= start:
        raise ConfigError("--to", "is not behind --from; nothing lies between them")
    for path in (ledger, keys):
        if args.output.exists() and path.exists() and args.output.samefile(path):
            raise ConfigError(str(args.output), "is read by this command; name another file to write")
    gc.freeze()  # what is loaded stays: without it every full collection would go through all of numba
    raw = read_keys(keys)
    sign = sign_with(GatewayKey(key_file), raw, str(keys)) if key_file is not None else None
    with tqdm(unit=" records", disable=args.json or not sys.stderr.isatty()) as progress:
        with whole_file(args.output) as file:
            manifest = write_bundle(file, ledger, raw, (start, end), progress.update, sign, progress.reset)
    count = sum(one["record_count"] for one in manifest["devices"])
    averages = sum(one["average_count"] for one in manifest["devices"])
    size = args.output.stat().st_size
    if args.json:
        told = {"records": count, "averages": averages, "bytes": size, "devices": manifest["devices"]}
        print(json.dumps(told, sort_keys=True))
    else:
        print(f"{args.output}: {count:,} records, {averages:,} averages, {size:,} bytes")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from plumeproof.bundle.checking import BundleCheck
    from plumeproof.bundle.receipts import read_platform_keys
    from plumeproof.bundle.verdict import limits_of, page_of, verdict_of

    registry = load_keys(args.keys, allow_test_keys=True) if args.keys else None  # BundleCheck names them
    if args.html is not None and args.html.absolute() == args.bundle.absolute():
        raise ConfigError(str(args.html), "is the bundle; name another file for the page")
    kept, unsigned = read_kept(args.anchor)
    if unsigned:
        raise ConfigError("--anchor", "names an unsigned anchor.json; a bundle is held against signed anchors only")
    certificates = certificates_of(args.tsa_certificate)
    platform = None if args.platform_keys is None else read_platform_keys(args.platform_keys)
    gc.freeze()  # what is loaded stays: without it every full collection would go through all of numba
    findings: list[Finding] = []
    quiet = args.json or not sys.stderr.isatty()
    with args.bundle.open("rb") as file, tqdm(unit=" records", disable=quiet) as progress:

        def tick(count: int) -> None:
            if progress.total is None:
                progress.total = check.record_count  # of the manifest: what lacks of it or is too much is a finding
            progress.update(count)

        check = BundleCheck(file, registry, args.allow_test_keys, tick, kept, certificates, platform)
        for finding in check.run():
            if len(findings) < FINDINGS_MAX:
                findings.append(finding)
    verdict = verdict_of(check, findings)
    if args.html is not None:
        with whole_file(args.html) as page:
            page.write(page_of(args.bundle.name, verdict, findings))
    if args.json:
        print(json.dumps(verdict, sort_keys=True))
        return 0 if check.is_fine else 1
    for finding in findings:
        print(f"{finding.code}: {finding.sentence} (at {finding.place})")
    counts = check.counts
    if counts.findings > len(findings):
        print(f"{counts.findings - len(findings)} more findings not printed")
    for limit in limits_of(check):
        print(limit)
    told = f"{counts.records_verified:,} signatures hold, {counts.averages_equal:,} averages and"
    told += f" {counts.figures_equal:,} figures equal bit for bit, {counts.findings} findings"
    print(f"{'fine' if check.is_fine else 'NOT FINE'}: {told}; manifest {check.manifest_hash}")
    return 0 if check.is_fine else 1
