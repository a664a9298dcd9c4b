"""`plumeproof version [--json]`: releases of everything whose version can matter to a figure."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata
from typing import Any

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST

from plumeproof import __version__

LIBRARIES = ("apsw", "cbor2", "cryptography", "numba", "numpy", "paho-mqtt", "pyserial", "urllib3")


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("version", help="releases of bridge, wire and libraries")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def versions() -> dict[str, str]:
    """Name to release."""
    found = {
        "plumeproof": __version__,
        "wire": f"{WIRE_VERSION} (reads {WIRE_VERSION_OLDEST} to {WIRE_VERSION})",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in LIBRARIES:
        found[name] = metadata.version(name)
    return found


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    found = versions()
    if args.json:
        print(json.dumps(found))
    else:
        for name, release in found.items():
            print(f"{name:12} {release}")
    return 0
