"""`plumeproof surveillance`: are the analyzers still trustworthy? QAL3 charts, valid range, AST and QAL2 (EN 14181).

  plumeproof surveillance -c bridge.toml
  plumeproof surveillance --ledger data/ledger.sqlite --plant line-1.toml --from 2026-01 --plot qal3.svg
  plumeproof surveillance -c bridge.toml -o checks.csv          one row a check; .json: everything

Zero and span checks are read from the signed calibration records and the samples between their begin and end; what the
gas was, s_AMS, adjustments and repairs stand in the plant description ([measurand.qal3]). Charts run over the whole
ledger until --to; --from leaves out earlier checks where they are shown. Dates are judged on --to, else today.

Exit status: 0 fine; 1 a chart is out of control, a check or test is overdue, or the valid range was left too often;
2 wrong usage or plant description; 3 something cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tqdm import tqdm

from plumeproof.cli.plant_inputs import PlantInputs, find_inputs
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant

ENDINGS = (".csv", ".json")
PLOTS = (".svg", ".png")
FORMAT = "plumeproof.surveillance/1"


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "surveillance",
        help="QAL3 charts of zero and span, weeks outside the valid range, when AST and QAL2 are due",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: its ledger and its [[plant]]s")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    parser.add_argument("--plant", type=Path, metavar="FILE", help="plant description, instead of the configuration's")
    parser.add_argument("--rules", metavar="ID", help="rule set whose intervals and averages count; default the first")
    parser.add_argument("--from", dest="first", metavar="TIME", help="show checks from here")
    parser.add_argument("--to", metavar="TIME", help="look at records before it, and judge dates on it; default now")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write .csv (a row a check) or .json")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the charts: .svg or .png")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    inputs = find_inputs(args.config, args.ledger, [args.plant] if args.plant is not None else [], ())
    _refuse(args, inputs)
    trees: list[dict[str, Any]] = []
    lines: list[str] = []
    table, is_fine = "", True
    for path, rule_files in inputs.plants:
        tree, own_lines, own_table, own_fine = _one(args, inputs.ledger, path, rule_files)
        trees.append(tree)
        lines += [*([""] if lines else []), *own_lines]
        table, is_fine = own_table, is_fine and own_fine
    told = json.dumps({"format": FORMAT, "plants": trees}, ensure_ascii=False, indent=1)
    if args.output is not None:
        from plumeproof.whole_file import whole_file

        text = table if args.output.suffix.lower() == ".csv" else told + "\n"
        with whole_file(args.output) as file:
            file.write(text.encode())
    print(told if args.json else "\n".join(lines))
    return 0 if is_fine else 1


def _refuse(args: argparse.Namespace, inputs: PlantInputs) -> None:
    """What does not go together, before anything is opened."""
    for output, endings in ((args.output, ENDINGS), (args.plot, PLOTS)):
        if output is None:
            continue
        if output.suffix.lower() not in endings:
            raise ConfigError(str(output), f"ends in none of {', '.join(endings)}; name it so")
        inputs.refuse_output(output)
        is_one = args.plot is not None or output.suffix.lower() == ".csv"
        if is_one and len(inputs.plants) != 1:
            raise ConfigError(str(output), "holds one plant; name it with --plant")


def _one(
    args: argparse.Namespace, ledger: Path, path: Path, rule_files: tuple[Path, ...]
) -> tuple[dict[str, Any], list[str], str, bool]:
    from plumeproof.clock import SystemClock
    from plumeproof.ledger_checks import LedgerChecks
    from plumeproof.ledger_strips import LedgerStrips
    from plumeproof.plant_file import open_engine
    from plumeproof.surveillance_desk import SurveillanceDesk
    from plumeproof.survey_files import survey_csv, survey_lines, survey_tree

    engine = open_engine(path, rule_files, [args.rules] if args.rules else ())
    offset = engine.plant.utc_offset_min
    first = None if args.first is None else read_instant(args.first, offset, "--from")
    until = SystemClock().utc_ms() if args.to is None else read_instant(args.to, offset, "--to")
    if first is not None and until <= first:
        raise ConfigError("--to", f"{args.to or 'now'} is not behind --from {args.first}; nothing would be shown")
    with closing(LedgerStrips(ledger, engine.devices())) as strips:
        with closing(LedgerChecks(ledger, engine.devices())) as checks:
            desk = SurveillanceDesk(engine, strips, checks)
            with tqdm(unit=" days", desc=engine.plant.id, disable=not sys.stderr.isatty(), leave=False) as progress:
                survey = desk.survey(until, until, progress.update)
    if args.plot is not None:
        from plumeproof.chart_plot import save_charts

        save_charts(args.plot, engine.plant, survey, first)
    for remark in survey.remarks:
        print(f"plumeproof surveillance: {remark}", file=sys.stderr)
    table = survey_csv(engine.plant, survey, first)
    is_fine = survey.is_fine and not survey.remarks
    return survey_tree(engine.plant, survey, first), list(survey_lines(engine.plant, survey)), table, is_fine
