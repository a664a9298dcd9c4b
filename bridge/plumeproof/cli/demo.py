"""`plumeproof demo [ARGS]`: the whole line on this machine. It lives in tools/ of the checkout, not in the package.

All arguments go to `python -m tools.demo`, whose last line and exit status are this verb's own.
"""

from __future__ import annotations

import argparse
from typing import Any

from plumeproof.cli.checkout import run_tool


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers; its options are those of tools/demo, `--help` too."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo", help="the whole line on this machine (needs the checkout)", add_help=False
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return run_tool("demo", "tools.demo", args.rest, "clone the project and run `make demo`")
