"""`plumeproof report footprint`: product carbon footprints (PACT 3) of site.toml's table [pact], as the host hands
them out, with the ids of the figures that they rest on.

Exit status: 0 written; 1 written, and a figure in it does not count by its rule set; 2 wrong usage or input (nothing
is written).
"""

from __future__ import annotations

import argparse
from typing import Any

from plumeproof.cli.report_inputs import add_inputs, open_inputs, write_document
from plumeproof.errors import ConfigError

NAME = "footprint"


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME, help="product carbon footprints (PACT 3)", description=__doc__
    )
    add_inputs(parser, has_period=False)
    parser.add_argument("--product", metavar="ID", help="of this product only")
    parser.add_argument("--active", action="store_true", help="without those that a newer one has replaced")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the document; returns the exit status."""
    from plumeproof.pact.footprint_sheet import footprint_document, footprint_sheet
    from plumeproof.pact.issuing import issue_all

    with open_inputs(args) as inputs:
        site = inputs.site_file.site
        found = issue_all(inputs.site_file, {name: (desk.desk, desk.ledger) for name, desk in inputs.desks.items()})
        found = [one for one in found if one.is_active or not args.active]
        if args.product is not None:
            known = sorted({one.offered.product.id for one in found})
            found = [one for one in found if one.offered.product.id == args.product]
            if not found:
                raise ConfigError("--product", f"{args.product[:40]!r} has no footprint; there are {', '.join(known)}")
        write_document(args, footprint_document(found, site), footprint_sheet(found, site))
    return 1 if any(one.weak for one in found) else 0
