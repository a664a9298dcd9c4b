"""`plumeproof profile check|list|show`: platform profiles, without code and without sending anything.

    plumeproof profile list                                          the shipped ones
    plumeproof profile show generic-https > own.json                 a start for your own (bridge/PROFILES.md)
    plumeproof profile check own.json                                the file by itself
    plumeproof profile check own.json --openapi openapi.yaml         and against the platform's description

`check` prints one line for each finding. Exit status 0 no error (warnings may stand), 1 an error, 2 a profile or
description that cannot be read, 3 an address that does not answer.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("profile", help="list, print and check platform profiles")
    what = parser.add_subparsers(dest="what", required=True, metavar="check|list|show")
    check = what.add_parser("check", help="a profile by itself, and against a platform's OpenAPI description")
    check.add_argument("profile", metavar="PROFILE", help="name of a shipped profile, or path of your own")
    check.add_argument("--openapi", metavar="FILE|URL", help="description of the platform: OpenAPI 3.0 or 3.1")
    check.add_argument("--ca-file", type=Path, metavar="FILE", help="authorities for the URL (those of the system)")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(main=check_main)
    listing = what.add_parser("list", help="the shipped profiles")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(main=list_main)
    show = what.add_parser("show", help="print a profile as it is")
    show.add_argument("profile", metavar="PROFILE", help="name of a shipped profile, or path of your own")
    show.set_defaults(main=show_main)


def check_main(args: argparse.Namespace) -> int:
    """Run `profile check`; ConfigError and UnreachableError are printed by the caller."""
    from plumeproof.profile_desk import check_against, load_profile

    profile = load_profile(args.profile)
    today = dt.datetime.now(dt.UTC).date()
    findings = check_against(profile, args.openapi, args.ca_file, today) if args.openapi else ()
    errors = sum(finding.level == "error" for finding in findings)
    if args.json:
        told: dict[str, Any] = {"profile": profile.name, "version": profile.version, "status": profile.status}
        told |= {"checked": str(profile.checked), "openapi": args.openapi, "fine": errors == 0}
        print(json.dumps(told | {"findings": [asdict(finding) for finding in findings]}))
        return 1 if errors else 0
    for finding in findings:
        print(finding.line())
    against = f"against {args.openapi}" if args.openapi else "by itself; --openapi holds it against a platform"
    print(
        f"{profile.name} {profile.version} ({profile.status}, checked {profile.checked}) {against}: "
        f"{errors} errors, {len(findings) - errors} warnings"
    )
    return 1 if errors else 0


def list_main(args: argparse.Namespace) -> int:
    """Run `profile list`."""
    from plumeproof.profile_desk import load_profile, shipped

    profiles = [load_profile(name) for name in shipped()]
    if args.json:
        told = [
            {"name": p.name, "version": p.version, "status": p.status, "checked": str(p.checked), "source": p.source}
            for p in profiles
        ]
        print(json.dumps({"profiles": told}))
        return 0
    for p in profiles:
        print(f"{p.name:20} version {p.version}, {p.status}, checked {p.checked}, login {p.auth_kind}")
    return 0


def show_main(args: argparse.Namespace) -> int:
    """Run `profile show`: the bytes, so that a copy is one."""
    from plumeproof.profile_desk import load_profile, read_profile

    load_profile(args.profile)
    raw, _ = read_profile(args.profile)
    sys.stdout.write(raw.decode("utf-8-sig"))
    return 0
