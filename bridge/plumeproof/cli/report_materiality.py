"""`plumeproof report materiality`: share of the tonnes that rests on substitutes, missing calibrations, expired
cylinders and unverified factors, against the threshold.

  plumeproof report materiality -c bridge.toml --from 2026-11 --to 2027-01 --html materiality.html

Exit status: 0 within the threshold; 1 above it, without tonnes, or the hours are not the declared tonnes (everything is
written); 2 wrong usage or input (nothing is written).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.report_inputs import ReportInputs, add_inputs, open_inputs, write_document

if TYPE_CHECKING:
    from plumeproof.documents.materiality_view import Opened

NAME = "materiality"


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="share of the tonnes that rests on something weak, against the threshold",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inputs(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the document; returns the exit status."""
    from plumeproof.documents.materiality import materiality_document
    from plumeproof.documents.materiality_sheet import instant_text, materiality_sheet
    from plumeproof.documents.materiality_view import view_of
    from plumeproof.documents.schema import digest_of

    with open_inputs(args) as inputs, open_checks(inputs) as opened:
        site = inputs.site_file.site
        assert inputs.period_utc_ms is not None  # asked for
        with tqdm(unit=" days", desc="hours", disable=not sys.stderr.isatty(), leave=False) as progress:
            view = view_of(inputs.site_file, opened, inputs.period_utc_ms, progress.update)
        document = materiality_document(site.works.id, view, instant_text)
        foot = f"{document['format']}, SHA-256 (RFC 8785) {digest_of(document)}"
        write_document(args, document, materiality_sheet(site.works.name, view, foot))
    return 0 if view.is_fine else 1


@contextmanager
def open_checks(inputs: ReportInputs) -> Iterator[dict[str, Opened]]:
    """Of each plant its desk, ledger and zero and span checks."""
    from plumeproof.documents.materiality_view import Opened
    from plumeproof.ledger_checks import LedgerChecks

    with ExitStack() as stack:
        found = {}
        for name, desk in inputs.desks.items():
            checks = stack.enter_context(closing(LedgerChecks(inputs.plants.ledger, desk.desk.engine.devices())))
            found[name] = Opened(desk.desk, desk.ledger, checks.readings)
        yield found
