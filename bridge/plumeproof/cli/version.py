"""`plumeproof version [--json]`: releases of everything whose version can matter to a figure."""

from __future__ import annotations

import argparse
import json
from typing import Any

from plumeproof.observe import versions


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("version", help="releases of bridge, wire and libraries")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    found = versions()
    if args.json:
        print(json.dumps(found))
    else:
        for name, release in found.items():
            print(f"{name:12} {release}")
    return 0
