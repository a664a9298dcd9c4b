"""`plumeproof limits`: what a plant is judged by, year by year: emission limits, lost days, hours of states, tiers.

  plumeproof limits -c bridge.toml --from 2026 --to 2027
  plumeproof limits --ledger data/ledger.sqlite --plant line-1.toml -o limits-2026.csv

Averages are made anew from the signed records and compared as the rule set says: which averages, how many may be above
(97 %, 95 %), rounded to which decimals. A year that the period or the records do not hold whole is judged so far.
Lines joined by "or" are alternatives. CSV has a row a line; JSON also every average that is above.

Exit status: 0 everything that is judged is kept; 1 something is exceeded, nothing is in the period, or something is
wrong with the records; 2 wrong usage, plant or rule set (nothing is written).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.plant_desks import nothing_in, open_desks, period_of
from plumeproof.cli.plant_inputs import find_inputs
from plumeproof.errors import ConfigError
from plumeproof.whole_file import whole_file

if TYPE_CHECKING:
    from plumeproof.fuel_file import FuelYear
    from plumeproof.rules.judgement import Judgement

FORMAT = "plumeproof.limits/1"
CASES_SHOWN = 5  # as limit_files.py
ENDINGS = (".csv", ".json")


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "limits",
        help="verdicts of a year: emission limits, lost days, hours of plant states, tiers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: its ledger and its [[plant]]s")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    parser.add_argument("--plant", type=Path, action="append", default=[], metavar="FILE", help="plant description")
    parser.add_argument(
        "--rule-file", type=Path, action="append", default=[], metavar="FILE", help="rule set of your own"
    )
    parser.add_argument("--rules", nargs="+", metavar="ID", help="rule sets, instead of the plant's")
    parser.add_argument("--from", dest="first", metavar="TIME", help="begin, included (default: the ledger's years)")
    parser.add_argument("--to", metavar="TIME", help="end, excluded")
    parser.add_argument(
        "--fuels", type=Path, action="append", default=[], metavar="FILE",
        help="fuels of a year, whose CO2 is compared with the measured one; repeatable",
    )  # fmt: skip
    parser.add_argument("--sample-fuels", action="store_true", help="print a commented file of fuels")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here; format by .csv, .json")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main, measurand=[], stored=False)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from plumeproof.fuel_file import load_fuels, sample_fuels

    if args.sample_fuels:
        print(sample_fuels(), end="")
        return 0
    inputs = find_inputs(args.config, args.ledger, args.plant, args.rule_file)
    fuels = [load_fuels(path) for path in args.fuels]
    if args.output is not None:
        if args.output.suffix.lower() not in ENDINGS:
            raise ConfigError(str(args.output), f"ends in none of {', '.join(ENDINGS)}; name it so")
        inputs.refuse_output(args.output, args.fuels)
    with open_desks(args, inputs) as desks:
        known = [one.plant.id for one in desks]
        for path, year in zip(args.fuels, fuels, strict=True):
            if year.plant not in known:
                raise ConfigError(str(path), f"is for plant {year.plant[:40]}, which is none of {', '.join(known)}")
        return _judge(args, desks, fuels)


def _judge(args: argparse.Namespace, desks: Sequence[Any], fuels: Sequence[FuelYear]) -> int:
    from plumeproof.limit_files import row_of, to_csv
    from plumeproof.rules.judgement import EXCEEDED
    from plumeproof.rules.limit_account import LimitAccount

    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    remarks = []
    is_over = False
    for one in desks:
        desk, offset = one.desk, one.plant.utc_offset_min
        period, extent = period_of(args, one, ("year",)), desk.extent()
        account = None if period is None else LimitAccount(desk.engine, period)
        if account is not None and period is not None:
            days = desk.days_in(account.levels(), period)
            with tqdm(total=days, unit=" days", desc=one.plant.id, disable=not sys.stderr.isatty()) as progress:
                for figure in desk.figures(account.levels(), period, progress.update):
                    account.add(figure)
        found = [] if account is None or extent is None else list(account.judgements(extent))
        for year in [year for year in fuels if account is not None and year.plant == one.plant.id]:
            assert account is not None  # as above
            found += account.corroboration(year.measurand, year.year, year.calculated_t(), year.tolerance_pct)
        if not found:
            print(f"plumeproof limits: {nothing_in(args, one)}", file=sys.stderr)
            return 1
        is_over = is_over or any(
            line.is_met is False or (line.is_met is None and line.verdict == EXCEEDED) for line in found
        )
        remarks += [remark for remark in desk.remarks() if remark.code != "provisional"]
        rows += [row_of(one.plant.id, line, offset) for line in found]
        lines += _lines(one.plant, found, offset)
    tree = {"format": FORMAT, "judgements": rows, "remarks": [asdict(one) for one in remarks]}
    if args.output is not None:
        with whole_file(args.output) as file:
            told = json.dumps(tree, ensure_ascii=False, indent=1) + "\n"
            file.write((to_csv(rows) if args.output.suffix.lower() == ".csv" else told).encode())
    if args.json:
        print(json.dumps(tree, ensure_ascii=False, indent=1))
    elif args.output is None:
        print("\n".join(lines))
    for remark in remarks:
        print(f"plumeproof limits: {remark.sentence}", file=sys.stderr)
    return 1 if is_over or any(remark.is_fault for remark in remarks) else 0


def _lines(plant: Any, found: Sequence[Judgement], offset_min: int) -> Iterator[str]:
    """For eyes, by rule set and year."""
    from plumeproof.figure_files import local_time

    heads: set[tuple[str, int]] = set()
    before: tuple[Any, ...] = ()
    for line in found:
        if (line.rule_set, line.year) not in heads:
            heads.add((line.rule_set, line.year))
            begin, end = local_time(line.start_utc_ms, offset_min)[:16], local_time(line.end_utc_ms, offset_min)[:16]
            so_far = "" if line.is_whole else f" so far ({begin} to {end})"
            yield f"{plant.title} ({plant.id}), {line.rule_set}, {line.year}{so_far}"
        group = (line.rule_set, line.year, line.subject, line.about, line.requirement)
        is_other = bool(line.requirement) and line.about == "limit" and group == before
        before = group
        verdict = "   or " + line.verdict if is_other else line.verdict
        yield f"  {verdict:16} {line.subject:8} {line.test}: {_told(line, offset_min)}"
        for case in line.cases[:CASES_SHOWN]:
            value = f"  {case.value:.6g} {line.unit}" if line.about == "limit" and line.test != "any 24 h" else ""
            what = "lost" if line.about == "lost_days" else "above"
            yield f"{'':27} {what} from {local_time(case.start_utc_ms, offset_min)}{value}"
        if len(line.cases) > CASES_SHOWN:
            yield f"{'':27} and {len(line.cases) - CASES_SHOWN} more; --json or -o FILE.json has all"


def _told(line: Judgement, offset_min: int) -> str:
    from plumeproof.figure_files import local_time

    told = []
    if line.n_over is not None and line.n:
        told.append(f"{line.n} averages, {line.n_over} above {line.limit} {line.unit} ({line.n_allowed} may be)")
        if line.n_allowed:
            told.append(f"{line.kept_pct:.2f} % kept")
        if line.at is not None:
            told.append(f"highest {line.compared_text} from {local_time(line.at.start_utc_ms, offset_min)}")
    elif line.compared is not None:
        limit = f", at most {line.limit} {line.unit}" if line.limit else ""
        told.append(f"{line.compared_text} {line.unit}{limit}")
        if line.at is not None:
            told.append(f"from {local_time(line.at.start_utc_ms, offset_min)}")
    elif line.limit:
        told.append(f"limit {line.limit} {line.unit}")
    return "; ".join([*told, *([line.reason] if line.reason else [])])
