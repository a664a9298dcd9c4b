"""`plumeproof report qreport`: the CBAM quarterly report of the transitional period as XML 23.00, or the check of one.

  plumeproof report qreport --sample > q4.toml
  plumeproof report qreport q4.toml --xsd FOLDER --xml q4.xml
  plumeproof report qreport --check q4.xml --xsd FOLDER

The transitional period ended on 2025-12-31: this is for archives and corrections. The schema is the Commission's and is
not shipped; --xsd names QReport_ver23.00.xsd, with stypes.xsd beside it.

Exit status: 0 written, or the checked file holds; 1 the checked file is refused; 2 wrong usage or input.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from plumeproof.cli.report_inputs import STDOUT, write_file
from plumeproof.errors import ConfigError

NAME = "qreport"
XSD_NAMES = "QReport*.xsd"
FAULTS_SHOWN = 20
STANDING = (  # documents/standing.py's words: importing it would cost every start of `report` its time
    "official: the Commission's QReport schema 23.00, (EU) 2023/1773 annexes I to IV, transitional period only; last "
    "checked 2026-11-25. Code lists are our own, unverified (bridge/CBAM.md)"
)


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="CBAM quarterly report (transitional period, XML 23.00)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, nargs="?", metavar="FILE", help="the report as TOML or JSON")
    parser.add_argument("--sample", action="store_true", help="print a commented input")
    parser.add_argument("--check", type=Path, metavar="XML", help="check a report that is there")
    parser.add_argument("--xsd", type=Path, metavar="PATH", help="QReport_ver23.00.xsd, or its folder")
    parser.add_argument("--xml", type=Path, default=STDOUT, metavar="FILE", help="where to write; - is standard output")
    parser.add_argument("--codes", type=Path, action="append", default=[], metavar="FILE", help="rows for code lists")
    parser.add_argument("--operator-data", type=Path, metavar="FILE", help="`report cbam --json`, for its figures")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write or check a report; returns the exit status."""
    from plumeproof.cbam.codes import load_codes
    from plumeproof.cbam.qreport import build_report, faults_of, figures_of, load_input
    from plumeproof.cbam.qreport_layout import load_layout
    from plumeproof.cbam.xml_file import load_schema, read_xml, write_xml

    if args.sample:
        print(files("plumeproof.cbam").joinpath("sample_qreport.toml").read_text(encoding="utf-8"), end="")
        return 0
    if (args.input is None) == (args.check is None):
        raise ConfigError("FILE", "name an input, or a report with --check; --sample prints an input")
    if args.xsd is None:
        raise ConfigError("--xsd", "is missing: name QReport_ver23.00.xsd or its folder; nothing is written unchecked")
    book, schema = load_codes(args.codes), load_schema(args.xsd, XSD_NAMES)
    if args.check is not None:
        layout = load_layout()
        layout.require_version(schema)
        found = list(faults_of(read_xml(args.check), layout, book, schema))
        for fault in found[:FAULTS_SHOWN]:
            print(f"{args.check}: line {fault.line}: {fault.name}: {fault.sentence}")
        if len(found) > FAULTS_SHOWN:
            print(f"{args.check}: {len(found) - FAULTS_SHOWN} more")
        if not found:
            print(f"{args.check}: holds by {schema.path.name} and the rules of bridge/CBAM.md")
        return 1 if found else 0
    report = build_report(load_input(args.input), figures_of(args.operator_data) if args.operator_data else None)
    report.require_valid(book, schema)
    raw = write_xml(report.root)
    if args.xml != STDOUT and args.xml.resolve() in {
        path.resolve() for path in (args.input, args.operator_data, *args.codes) if path
    }:
        raise ConfigError(str(args.xml), "is an input; write to another file")
    print(STANDING, file=sys.stderr)
    if args.xml == STDOUT:
        sys.stdout.write(raw.decode())
    else:
        write_file(args.xml, raw)
    return 0
