"""`plumeproof report DOCUMENT`: papers of a site from the figures that the bridge made.

  plumeproof report --sample-site > site.toml
  plumeproof report permit -c bridge.toml --html permit.html --pdf permit.pdf

Every document is made from site.toml, the plant descriptions and the ledger; the same input gives the same bytes. None
of these forms is official unless its own text says so.

Exit status: 0 written; 1 a check of the document's own rules fails; 2 wrong usage or input (nothing is written).
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from typing import Any

from plumeproof.cli import (
    report_cbam,
    report_cbam_package,
    report_cbam_qreport,
    report_footprint,
    report_hj212,
    report_materiality,
    report_permit,
    report_statement,
)
from plumeproof.errors import ConfigError

DOCUMENTS = (
    report_permit,
    report_statement,
    report_materiality,
    report_footprint,
    report_cbam,
    report_cbam_qreport,
    report_cbam_package,
    report_hj212,
)


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="papers of a site: permit view, statements and others",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sample-site", action="store_true", help="print a commented site.toml")
    parser.set_defaults(main=main)
    documents = parser.add_subparsers(dest="document", metavar="DOCUMENT")
    for document in DOCUMENTS:
        document.add_parser(documents)


def main(args: argparse.Namespace) -> int:
    """Run the verb without a document."""
    if not args.sample_site:
        names = ", ".join(document.NAME for document in DOCUMENTS)
        raise ConfigError("DOCUMENT", f"is missing; there are {names}")
    print(files("plumeproof.documents").joinpath("sample_site.toml").read_text(encoding="utf-8"), end="")
    return 0
