"""`plumeproof demo [ARGS]`: the whole line on this machine. It lives in tools/ of the checkout, not in the package.

All arguments go to `python -m tools.demo`, whose last line and exit status are this verb's own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import plumeproof

CHECKOUT = Path(plumeproof.__file__).resolve().parents[2]


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers; its options are those of tools/demo, `--help` too."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo", help="the whole line on this machine (needs the checkout)", add_help=False
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; where the system allows it this process becomes the demo, so that signals need no forwarding."""
    if not (CHECKOUT / "tools" / "demo.py").is_file() and not (CHECKOUT / "tools" / "demo" / "__main__.py").is_file():
        print(
            "plumeproof demo: it is part of the source checkout and this is an installed package;"
            " clone the project and run `make demo`",
            file=sys.stderr,
        )
        return 2
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "tools.demo", *args.rest]
    if os.name != "posix":
        return subprocess.run(command, env=environment, check=False).returncode
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell between us and our own program
