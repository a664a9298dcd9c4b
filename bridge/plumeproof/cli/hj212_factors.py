"""`plumeproof hj212 factors [CODE...]`: the factor table as CSV, and the form of a site's own codes.

A file of your own (`factor_file` of [[sink.hj212]]) has the same first line, codes that the standard does not have, and
`true` in the column `local`; --local FILE checks it and prints its rows.

    plumeproof hj212 factors a21026 a05001
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

from plumeproof.errors import ConfigError
from plumeproof.hj212.codes import FACTOR_COLUMNS, factors


def add_factors(subparsers: Any) -> None:
    """Add the verb to those of `hj212`."""
    verb: argparse.ArgumentParser = subparsers.add_parser(
        "factors", help="factor codes with units and formats, as CSV", description=__doc__
    )
    verb.add_argument("code", nargs="*", metavar="CODE", help="only these; also codes of 2005")
    verb.add_argument("--local", type=Path, metavar="FILE", help="a site's own codes: check them, print their rows")
    verb.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    known = dict(factors())
    if args.local is not None:
        from plumeproof.hj212_link import load_local

        known = {code: rows for code, rows in load_local(args.local).items() if code not in known}
    for code in args.code:
        if code not in known:
            raise ConfigError(f"code {code[:20]!r}", "is in no factor table; a local code stands in a file of your own")
    rows = dict.fromkeys(factor for code in args.code or known for factor in known[code])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FACTOR_COLUMNS)
    writer.writerows(astuple(factor) for factor in rows)
    return 0
