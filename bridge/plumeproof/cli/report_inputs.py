"""What every document of `plumeproof report` reads and writes: a site, its plants, a period; JSON, HTML, PDF."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.cli.plant_desks import PlantDesk, open_desks
from plumeproof.cli.plant_inputs import PlantInputs, find_inputs
from plumeproof.config import load_config
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant
from plumeproof.whole_file import whole_file

if TYPE_CHECKING:
    from plumeproof.documents.sheet import Sheet
    from plumeproof.documents.site import SiteFile

STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """`desks` by plant id; `period_utc_ms` where one is asked for."""

    site_file: SiteFile
    desks: dict[str, PlantDesk]
    period_utc_ms: tuple[int, int] | None
    plants: PlantInputs


def add_inputs(parser: argparse.ArgumentParser, has_period: bool = True, is_period_needed: bool = True) -> None:
    """The options that all documents share. `is_period_needed`: by every use of the verb; `open_inputs` always does."""
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger, plants, site_file")
    parser.add_argument("--site", type=Path, metavar="FILE", help="site.toml, instead of the configuration's")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    parser.add_argument("--plant", type=Path, action="append", default=[], metavar="FILE", help="plant description")
    parser.add_argument(
        "--rule-file", type=Path, action="append", default=[], metavar="FILE", help="rule set of your own"
    )
    if has_period:
        parser.add_argument(
            "--from", dest="first", required=is_period_needed, metavar="MONTH", help="2026-11, or 2026: included"
        )
        parser.add_argument("--to", required=is_period_needed, metavar="MONTH", help="2026-12, or 2027: excluded")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the document; - is standard output")
    parser.add_argument("--html", type=Path, metavar="FILE", help="as a page")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="on paper (A4)")
    parser.set_defaults(rules=None, measurand=[], stored=False)


@contextmanager
def open_inputs(args: argparse.Namespace) -> Iterator[ReportInputs]:
    """Everything that was named, read and in agreement. Raises ConfigError: one line, nothing written."""
    from plumeproof.documents.permit import require_agreement
    from plumeproof.documents.site import load_site

    site = args.site
    if site is None and args.config is not None:
        site = load_config(args.config).documents.site_file
    if site is None:
        raise ConfigError("--site", "is missing; `plumeproof report --sample-site` prints a file to begin with")
    site_file = load_site(site)
    inputs = find_inputs(args.config, args.ledger, args.plant, args.rule_file)
    for output in (args.json, args.html, args.pdf):
        if output is not None and output != STDOUT:
            inputs.refuse_output(output, (site,))
    with open_desks(args, inputs) as desks:
        by_id = {desk.plant.id: desk for desk in desks}
        require_agreement(site_file, {name: desk.plant for name, desk in by_id.items()})
        yield ReportInputs(site_file, by_id, _period(args, desks), inputs)


def _period(args: argparse.Namespace, desks: list[PlantDesk]) -> tuple[int, int] | None:
    if not hasattr(args, "first"):
        return None
    if args.first is None or args.to is None:
        option = "--from" if args.first is None else "--to"
        raise ConfigError(option, "is missing; a month (2026-11) or year (2026) of the site's clock")
    offsets = {desk.plant.utc_offset_min for desk in desks}
    if len(offsets) > 1:
        raise ConfigError("--plant", "the plants' clocks differ; make a document for each")
    offset = offsets.pop()
    start, end = read_instant(args.first, offset, "--from"), read_instant(args.to, offset, "--to")
    if end <= start:
        raise ConfigError("--to", f"{args.to} is not behind --from {args.first}; the period would be empty")
    return start, end


def write_document(args: argparse.Namespace, document: dict[str, Any], sheet: Sheet) -> None:
    """To every file that was asked for; without any the sheet's words go to the terminal as JSON."""
    from plumeproof.documents.sheet_page import page_of
    from plumeproof.documents.sheet_pdf import pdf_of

    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if args.json == STDOUT or not (args.json or args.html or args.pdf):
        sys.stdout.write(text)
    elif args.json is not None:
        write_file(args.json, text.encode())
    if args.html is not None:
        write_file(args.html, page_of(sheet).encode())
    if args.pdf is not None:
        write_file(args.pdf, pdf_of(sheet))


def write_file(path: Path, raw: bytes) -> None:
    """Whole or not at all, and said so."""
    with whole_file(path) as file:
        file.write(raw)
    print(f"{path}: {len(raw):,} bytes", file=sys.stderr)
