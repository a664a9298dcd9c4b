"""`plumeproof module info|provision|flash|rotate|update|loopback`: work at one module. In tools/ of the checkout.

All arguments go to `python -m tools.module`, whose lines and exit status are this verb's own.
"""

from __future__ import annotations

import argparse
from typing import Any

from plumeproof.cli.checkout import run_tool


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers; its options are those of tools/module, `--help` too."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "module", help="look at, provision, flash, update and test a module (needs the checkout)", add_help=False
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return run_tool("module", "tools.module", args.rest)
