"""`plumeproof readiness -c bridge.toml`: the review before the deadline: what is shown, what is missing, how to mend.

  plumeproof readiness -c bridge.toml --from 2026-11 --to 2026-12 --html readiness.html --pdf readiness.pdf
  plumeproof readiness -c bridge.toml --category cbam --json -       as another category than site.toml says
  plumeproof readiness -c bridge.toml --offline --on 2026-11-25      asks nothing outside; the same bytes each time
  plumeproof readiness --sample-preset zld > zld.toml                a category's list, to change

It tries what can be tried: documents are made, a bundle of the period is written and checked (--last-day: of one day),
platforms are asked for a token. It sends no figures and changes nothing. Lines and settings: bridge/READINESS.md.

Exit status: 0 ready; 1 something is missing, disagrees or could not be judged; 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.report_inputs import STDOUT, write_document
from plumeproof.config import Config, load_config
from plumeproof.errors import ConfigError

if TYPE_CHECKING:
    from plumeproof.documents.readiness import Line
    from plumeproof.documents.readiness_file import ReadinessFile
    from plumeproof.documents.sheet import Bar
    from plumeproof.documents.site import SiteFile

CATEGORIES = ("zld", "wte", "swro", "cbam")  # documents/site.py has them; importing it would cost every start


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "readiness",
        help="the review before the deadline: what is shown, what is missing, how to mend it",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml, with [documents] site_file")
    parser.add_argument("--category", choices=CATEGORIES, help="kind of project, instead of site.toml's")
    parser.add_argument(
        "--from", dest="first", metavar="MONTH", help="2026-11, or 2026: included; default: first month"
    )
    parser.add_argument("--to", metavar="MONTH", help="2026-12, or 2027: excluded; default: behind the last record")
    parser.add_argument("--on", metavar="DAY", help="the day it is judged on, 2026-11-25; default today")
    parser.add_argument("--offline", action="store_true", help="ask no platform and no broker, and say so")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="bundle to check; default: one of the period")
    parser.add_argument(
        "--last-day", action="store_true", help="write and check a bundle of the last day only: quicker"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the review; - is standard output")
    parser.add_argument("--html", type=Path, metavar="FILE", help="as a page")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="on paper (A4)")
    parser.add_argument("--sample-preset", choices=CATEGORIES, help="print the list of a category")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from plumeproof.documents.presets import load_preset, preset_text
    from plumeproof.documents.readiness import Review, review_document
    from plumeproof.documents.readiness_file import read_readiness
    from plumeproof.documents.readiness_sheet import readiness_sheet
    from plumeproof.documents.schema import digest_of
    from plumeproof.documents.statable import find_statable, paper_promises

    if args.sample_preset is not None:
        print(preset_text(args.sample_preset), end="")
        return 0
    config, site_file = _read(args)
    own = read_readiness(site_file)
    category = args.category or site_file.site.works.category
    is_own = category == site_file.site.works.category
    preset = load_preset(category, own.preset_file if is_own else None)
    with (
        ExitStack() as stack,
        tqdm(unit=" steps", desc="reviewing", disable=not sys.stderr.isatty(), leave=False) as progress,
    ):
        from plumeproof.cli.readiness_plants import PlantReview
        from plumeproof.cli.readiness_platform import try_links

        plants = PlantReview(args.config, config, site_file, own, stack, progress.update)
        on = _day(args.on) if args.on is not None else plants.today()
        plants.choose_period(args.first, args.to)
        lines, bars = _lines(args, config, site_file, own, category, plants, on)
        from plumeproof.documents.agreement_lines import link_lines
        from plumeproof.documents.presets import parameter_lines
        from plumeproof.hj212.codes import factors
        from plumeproof.hj212_link import load_local

        lines += parameter_lines(preset, site_file, plants.plants, own, is_own)
        local = [load_local(sink.factor_file) for sink in config.hj212_sinks if sink.factor_file is not None]
        lines += link_lines(site_file, plants.plants, preset, set(factors()).union(*local))
        lines += try_links(config, args.offline)
        statements = find_statable(lines)
        lines += paper_promises(own.papers, statements, lines, site_file.path.name)
        period = plants.period_days()
    review = Review(
        site_file.site.works.name,
        category,
        preset.title,
        preset.is_cbam,
        on,
        own.deadline,
        period,
        tuple(lines),
        statements,
    )
    document = review_document(review)
    foot = f"{document['format']}, SHA-256 (RFC 8785) {digest_of(document)}"
    write_document(args, document, readiness_sheet(review, preset, bars, foot))
    print(f"{site_file.site.works.name}: {review.headline}", file=sys.stderr)
    return 0 if review.is_ready else 1


def _read(args: argparse.Namespace) -> tuple[Config, SiteFile]:
    from plumeproof.documents.site import load_site

    if args.config is None:
        raise ConfigError("-c", "is missing; name the bridge's configuration (`plumeproof config sample` prints one)")
    config = load_config(args.config)
    site = config.documents.site_file
    if site is None:
        told = "names no site_file; `plumeproof report --sample-site` prints one to begin with"
        raise ConfigError(f"{args.config}: [documents]", told)
    read = [args.config, site, config.gateway.ledger_file, config.keys.file, *(one.file for one in config.plants)]
    for output in (args.json, args.html, args.pdf):
        if output is None or output == STDOUT:
            continue
        if output.is_dir():
            raise ConfigError(str(output), "is a folder; name a file")
        if output.exists() and any(path.exists() and output.samefile(path) for path in [*read, args.bundle or site]):
            raise ConfigError(str(output), "is read by this command; name another file to write")
    return config, load_site(site)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("--on", f"{text[:40]!r} is no day; write 2026-11-25") from error


def _lines(
    args: argparse.Namespace,
    config: Config,
    site_file: SiteFile,
    own: ReadinessFile,
    category: str,
    plants: Any,
    on: date,
) -> tuple[list[Line], tuple[Bar, ...]]:
    """What is tried, read and dated; the bars of the materiality view."""
    from plumeproof.cli.readiness_evidence import evidence_lines
    from plumeproof.cli.readiness_papers import document_lines
    from plumeproof.cli.readiness_platform import platform_lines
    from plumeproof.documents.agreement_lines import permit_lines
    from plumeproof.documents.due_lines import Days, paper_lines, quality_lines

    days = Days(on, max(on, own.deadline), own.soon_days)
    lines = list(document_lines(site_file, category, plants, days.must_hold))
    lines += platform_lines(config, own, days, args.offline)
    lines += evidence_lines(config, own, plants, days, args.bundle, args.last_day)
    period_lines, bars = plants.period_lines()
    lines += period_lines
    for watched in plants.watched(on):
        lines += quality_lines(watched, own.cylinders, days)
    lines += paper_lines(site_file, own, days)
    lines += plants.faults
    lines += permit_lines(site_file, plants.plants, {one.device for one in config.modules})
    lines += plants.parameter_lines()
    return lines, bars
