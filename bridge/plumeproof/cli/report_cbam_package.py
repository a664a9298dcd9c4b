"""`plumeproof report producer-package`: the community's producer data package v2, for importers who ask for it.

  plumeproof report producer-package -c bridge.toml --from 2026-10 --to 2027-01 --xsd FOLDER --xml package.xml

Community format: no EU format, and no authority takes it. One quarter at a time, from the same figures as
`report cbam`; --json, --html and --pdf write the operator data that it was made from. Its schema (MIT) is not shipped:
--xsd names it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from plumeproof.cli.report_cbam import add_codes, open_operator_data
from plumeproof.cli.report_inputs import STDOUT, add_inputs, write_document, write_file
from plumeproof.errors import ConfigError

NAME = "producer-package"


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="CBAM producer data package v2 (community format)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inputs(parser)
    add_codes(parser)
    parser.add_argument("--xsd", type=Path, metavar="PATH", help="cbam-producer-data-package-v2.xsd, or its folder")
    parser.add_argument("--xml", type=Path, default=STDOUT, metavar="FILE", help="where to write; - is standard output")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the package; returns the exit status."""
    from plumeproof.cbam.operator_document import digest_of, operator_document
    from plumeproof.cbam.operator_sheet import operator_sheet
    from plumeproof.cbam.producer_package import STANDING, XSD_NAMES, build_package, require_valid
    from plumeproof.cbam.xml_file import load_schema, write_xml

    if args.xsd is None:
        raise ConfigError("--xsd", "is missing: name cbam-producer-data-package-v2.xsd; nothing is written unchecked")
    schema = load_schema(args.xsd, XSD_NAMES)
    with open_operator_data(args) as (inputs, data):
        if args.xml != STDOUT:
            inputs.plants.refuse_output(args.xml, (inputs.site_file.path, schema.path, *args.codes))
        document = operator_document(data)
        digest = digest_of(document)
        root = build_package(data, digest)
        require_valid(root, schema)
        if args.json or args.html or args.pdf:
            write_document(args, document, operator_sheet(data, digest))
        print(STANDING.text, file=sys.stderr)
        if args.xml == STDOUT:
            sys.stdout.write(write_xml(root).decode())
        else:
            write_file(args.xml, write_xml(root))
    return 0
