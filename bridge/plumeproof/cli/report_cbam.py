"""`plumeproof report cbam`: operator emissions data of the definitive period, for the Commission's template.

  plumeproof report --sample-site > site.toml     # its table [cbam]
  plumeproof report cbam -c bridge.toml --from 2026 --to 2027 --json cbam.json --csv cbam.csv --pdf cbam.pdf

No file format for operators is published: JSON and sheet are our own form, the CSV is for typing and pasting into the
template. bridge/CBAM.md says what is official.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.cli.report_inputs import ReportInputs, add_inputs, open_inputs, write_document, write_file

if TYPE_CHECKING:
    from plumeproof.cbam.operator_data import OperatorData

NAME = "cbam"


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="CBAM operator emissions data (definitive period)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inputs(parser)
    add_codes(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one row a line item, for the template")
    parser.add_argument("--hours", type=Path, metavar="FILE", help="CSV of each clock hour of each measured source")
    parser.set_defaults(main=main)


def add_codes(parser: argparse.ArgumentParser) -> None:
    """Rows of one's own for code lists."""
    parser.add_argument("--codes", type=Path, action="append", default=[], metavar="FILE", help="rows for code lists")


@contextmanager
def open_operator_data(args: argparse.Namespace) -> Iterator[tuple[ReportInputs, OperatorData]]:
    """Everything that was named, read, in agreement and attributed."""
    from plumeproof.cbam.codes import load_codes
    from plumeproof.cbam.measured import MeasuredReader
    from plumeproof.cbam.operator_data import collect
    from plumeproof.cbam.site_table import read_table
    from plumeproof.documents.declared import DeclaredSource
    from plumeproof.documents.hours import HourSource

    book = load_codes(args.codes)
    with open_inputs(args) as inputs:
        table = read_table(inputs.site_file, book)
        readers = {
            name: MeasuredReader(DeclaredSource(one.desk, one.ledger), HourSource(one.desk, one.ledger), one.plant)
            for name, one in inputs.desks.items()
        }
        assert inputs.period_utc_ms is not None  # the documents of CBAM ask for a period
        offset = next(iter(inputs.desks.values())).plant.utc_offset_min
        yield inputs, collect(inputs.site_file, table, readers, inputs.period_utc_ms, offset)


def main(args: argparse.Namespace) -> int:
    """Write the document; returns the exit status."""
    from plumeproof.cbam.operator_document import digest_of, operator_document
    from plumeproof.cbam.operator_rows import hours_csv, operator_csv
    from plumeproof.cbam.operator_sheet import operator_sheet

    with open_operator_data(args) as (inputs, data):
        for output in (args.csv, args.hours):
            if output is not None:
                inputs.plants.refuse_output(output, (inputs.site_file.path, *args.codes))
        document = operator_document(data)
        tables = [(args.csv, operator_csv(data)), (args.hours, hours_csv(data))]
        if args.json or args.html or args.pdf or not (args.csv or args.hours):
            write_document(args, document, operator_sheet(data, digest_of(document)))
        for output, raw in tables:
            if output is not None:
                write_file(output, raw)
    return 0
