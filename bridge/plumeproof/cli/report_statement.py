"""`plumeproof report statement`: GHG statement and verification data by ISO 14064 (bridge/STATEMENT.md).

  plumeproof report statement -c bridge.toml --from 2026-11 --to 2026-12 --json ghg.json --html ghg.html --pdf ghg.pdf
  plumeproof report statement -c bridge.toml --from 2026-11 --to 2026-12 --hours hours.csv
  plumeproof report statement --check ghg.json --evidence folder      one that somebody else has edited
  plumeproof report statement --schema > ghg_data_set.json            JSON Schema (draft 2020-12) of it

Own form: the standards define no file format. What still runs is a draft and says so.

Exit status: 0 written, or everything holds; 1 a check does not hold (one line for each; no data set is
written); 2 wrong usage or input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.cli.report_inputs import ReportInputs, add_inputs, open_inputs, write_document
from plumeproof.errors import ConfigError
from plumeproof.whole_file import whole_file

if TYPE_CHECKING:
    from plumeproof.documents.finding import Finding
    from plumeproof.documents.statement_parts import StatementParts

NAME = "statement"
FINDINGS_MAX = 1_000  # told in full; behind them only the count


def add_parser(subparsers: Any) -> None:
    """Add the document to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="GHG statement and verification data (ISO 14064-1, -3), and its check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_inputs(parser, is_period_needed=False)
    parser.add_argument("--hours", type=Path, metavar="FILE", help="every clock hour of the measured sources, as CSV")
    parser.add_argument("--check", type=Path, metavar="FILE", help="data set to check, instead of making one")
    parser.add_argument("--evidence", type=Path, metavar="DIR", help="where its evidence lies (folder of the data set)")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the data set")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Write the document or check one; returns the exit status."""
    if args.schema:
        print(files("plumeproof.documents").joinpath("schemas", "ghg_data_set.json").read_text("utf-8"), end="")
        return 0
    return _check(args) if args.check is not None else _make(args)


def _make(args: argparse.Namespace) -> int:
    from plumeproof.documents.hours_file import write_hours
    from plumeproof.documents.statement_checks import findings_of
    from plumeproof.documents.statement_sheet import statement_sheet
    from plumeproof.documents.verification import build_data_set
    from plumeproof.documents.verification_plan import read_verification_plan

    if args.evidence is not None:
        raise ConfigError("--evidence", "goes with --check; evidence of a new statement stands in site.toml")
    with open_inputs(args) as inputs:
        if args.hours is not None:
            inputs.plants.refuse_output(args.hours, (inputs.site_file.path,))
        parts = parts_of(inputs, [one for one in (args.json, args.html, args.pdf, args.hours) if one is not None])
        names = tuple(dict.fromkeys(one.source for one in parts.found.inputs))
        document = build_data_set(parts, read_verification_plan(inputs.site_file, names))
        findings = findings_of(document, None)  # files of evidence were read a moment ago
        if findings:
            return _tell(findings)
        if args.hours is not None:
            desks = {name: (own.desk, own.ledger) for name, own in inputs.desks.items()}
            with whole_file(args.hours) as file:
                count = write_hours(file, parts.site, names, desks, parts.period_utc_ms, parts.offset_min)
            print(f"{args.hours}: {count:,} hours", file=sys.stderr)
        if args.hours is None or args.json or args.html or args.pdf:
            write_document(args, document, statement_sheet(document, findings))
    return 0


def parts_of(inputs: ReportInputs, outputs: Sequence[Path] = ()) -> StatementParts:
    """Everything that was named, read; raises ConfigError before anything is written. `outputs`: what would be."""
    from plumeproof.documents.declared import DeclaredSource
    from plumeproof.documents.gwp_values import load_gwp_values
    from plumeproof.documents.hours import HourSource
    from plumeproof.documents.site_time import days_of
    from plumeproof.documents.statement_evidence import resolve
    from plumeproof.documents.statement_inputs import gather, refuse_not_final
    from plumeproof.documents.statement_parts import StatementParts
    from plumeproof.documents.statement_plan import read_statement_plan, refuse_overlap

    site_file, period = inputs.site_file, inputs.period_utc_ms
    assert period is not None  # open_inputs has refused that
    folder = site_file.path.parent
    plan = read_statement_plan(site_file)
    offset_min = next(iter(inputs.desks.values())).plant.utc_offset_min
    refuse_overlap(site_file, plan, *days_of(*period, offset_min))
    values = load_gwp_values(plan.gwp, folder)
    if not values.is_latest and not plan.gwp_justification:
        where = f"{site_file.path}: statement.gwp_justification"
        raise ConfigError(where, f"is missing: {values.source} is not the latest; say why it is taken")
    declared = {name: DeclaredSource(own.desk, own.ledger) for name, own in inputs.desks.items()}
    hours = {name: HourSource(own.desk, own.ledger) for name, own in inputs.desks.items()}
    found = gather(site_file.site, plan, values, declared, hours, period)
    refuse_not_final(site_file.path, plan, found)
    devices = sorted({own.device for one in found.inputs if one.figure is not None for own in one.figure.inputs})
    evidence = tuple(resolve(plan.evidence, folder, str(site_file.path), period, devices))
    for output in outputs:
        if output.exists() and any(output.samefile(folder / one.plan.file) for one in evidence):
            raise ConfigError(str(output), "is evidence of this statement; name another file to write")
    plants = {name: own.plant for name, own in inputs.desks.items()}
    return StatementParts(site_file.site, plan, values, plants, found, evidence, period, offset_min)


def _check(args: argparse.Namespace) -> int:
    from plumeproof.documents.data_set_file import read_data_set
    from plumeproof.documents.statement_checks import findings_of
    from plumeproof.documents.statement_sheet import statement_sheet

    for option in ("config", "site", "ledger", "plant", "rule_file", "first", "to", "json", "hours"):
        if getattr(args, option) not in (None, []):
            name = {"first": "--from", "config": "-c"}.get(option, f"--{option.replace('_', '-')}")
            raise ConfigError(name, "does not go with --check, which reads the data set alone")
    folder = args.evidence or args.check.parent
    if not folder.is_dir():
        raise ConfigError(str(folder), "is no folder; --evidence names the one where the evidence lies")
    for output in (args.html, args.pdf):
        if output is not None and output.exists() and args.check.exists() and output.samefile(args.check):
            raise ConfigError(str(output), "is read by this command; name another file to write")
    document = read_data_set(args.check)
    findings = findings_of(document, folder)
    if (args.html or args.pdf) and not any(one.rule == "schema" for one in findings):
        write_document(args, document, statement_sheet(document, findings))
    if findings:
        return _tell(findings)
    print(f"{args.check}: schema and all rules hold; SHA-256 of the statement {document['ghgStatementSha256']}")
    return 0


def _tell(findings: list[Finding]) -> int:
    for one in findings[:FINDINGS_MAX]:
        print(one)
    if len(findings) > FINDINGS_MAX:
        print(f"and {len(findings) - FINDINGS_MAX} more")
    return 1
