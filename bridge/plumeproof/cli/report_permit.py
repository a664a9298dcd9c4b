"""`plumeproof report permit`: numbers, outlets, limits, codes and reporting duties of the permits on one sheet."""

from __future__ import annotations

import argparse
from typing import Any

from plumeproof.cli.report_inputs import add_inputs, open_inputs, write_document

NAME = "permit"


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME, help="permit view, for the permit file", description=__doc__
    )
    add_inputs(parser, has_period=False)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the document; returns the exit status."""
    from plumeproof.documents.permit import permit_document, permit_sheet

    with open_inputs(args) as inputs:
        site = inputs.site_file.site
        write_document(args, permit_document(site), permit_sheet(site))
    return 0
