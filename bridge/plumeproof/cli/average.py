"""`plumeproof average`: figures of a period by rule sets, to CSV, JSON, Parquet or a plot, or one figure explained.

  plumeproof average -c bridge.toml --from 2026-12-01 --to 2026-12-02
  plumeproof average --ledger data/ledger.sqlite --plant line-1.toml --level day --level month -o figures.parquet
  plumeproof average -c bridge.toml --measurand NOx --from 2026-12 --to 2027-01 --plot nox.svg
  plumeproof average -c bridge.toml --explain NOx 2026-12-01T14:05:00+01:00
  plumeproof average -c bridge.toml --explain CO2 2026-12-01 --level month

Figures are made anew from the signed records by the engine that the bridge uses, and are equal to what it stored, bit
for bit; --stored shows what it stored, with every revision. A period is half-open; --from and --to are local days,
months or years of the site (2026-12-01) or RFC 3339 (2026-12-01T14:00:00Z). Only averages that lie inside it whole are
given; without --from and --to it is everything that the ledger holds. Files carry whole float64 numbers.

Exit status: 0 fine; 1 nothing in the period, or something is wrong with the records (said on standard error, the file
is written); 2 wrong usage, plant or rule set, a channel measured otherwise than described (nothing is written).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.plant_desks import PlantDesk, nothing_in, open_desks, period_of
from plumeproof.cli.plant_inputs import PlantInputs, find_inputs
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant

if TYPE_CHECKING:
    from plumeproof.figure_desk import Remark
    from plumeproof.figure_plot import Sheet
    from plumeproof.rules.figure import Figure

# As rules/figure.py, which is not imported before a figure is made; a test compares them
LEVELS = ("short_term", "day", "rolling_30d", "month", "year")
LAYERS = (
    "measured", "standardised", "validated", "without_o2_exception", "flow", "mass", "substituted", "co2e"
)  # fmt: skip
FORMATS = ("csv", "json", "parquet")
SPOOL_BYTES = 16 * 1024 * 1024  # of an answer to standard output that is kept in memory until it is whole


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "average",
        help="figures of a period by rule sets, to CSV, JSON, Parquet or a plot; one figure explained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is read")
    what.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: its ledger and its [[plant]]s")
    what.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    what.add_argument(
        "--plant", type=Path, action="append", default=[], metavar="FILE",
        help="plant description, instead of the configuration's; repeatable",
    )  # fmt: skip
    what.add_argument(
        "--rule-file", type=Path, action="append", default=[], metavar="FILE", help="rule set of your own; repeatable"
    )
    what.add_argument(
        "--rules", nargs="*", metavar="ID",
        help="rule sets, instead of the plant's; without an ID: list all with source, status and ⚠ doubtful settings",
    )  # fmt: skip
    which = parser.add_argument_group("which figures")
    which.add_argument("--from", dest="first", metavar="TIME", help="begin, included")
    which.add_argument("--to", metavar="TIME", help="end, excluded")
    which.add_argument("--level", action="append", choices=LEVELS, default=[], help="default short_term; repeatable")
    which.add_argument("--layer", action="append", choices=LAYERS, default=[], help="default all; repeatable")
    which.add_argument("--measurand", action="append", default=[], metavar="ID", help="default all; repeatable")
    which.add_argument("--stored", action="store_true", help="what the bridge wrote, every revision, not made anew")
    how = parser.add_argument_group("how they are given")
    how.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here; format by .csv, .json, .parquet")
    how.add_argument("--format", choices=FORMATS, help="format of the output, whatever its ending")
    how.add_argument("--plot", type=Path, metavar="FILE", help="draw one level of one plant: .svg or .png")
    how.add_argument(
        "--explain",
        nargs=2,
        metavar=("MEASURAND", "AT"),
        help="the average that holds an instant step by step, with its numbers; with --level a longer one",
    )
    how.add_argument("--minutes", type=int, metavar="N", help="with --explain: length of the average (10, 30, 60)")
    how.add_argument("--ids", action="store_true", help="show the id of each figure, which `plumeproof trace` takes")
    how.add_argument("--json", action="store_true", help="print one JSON object")
    how.add_argument("--reference-o2", action="store_true", help="list reference oxygen by regime and kind of plant")
    how.add_argument("--sample-plant", action="store_true", help="print a commented plant description")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if args.sample_plant:
        from plumeproof.rule_book import sample_plant

        print(sample_plant(), end="")
        return 0
    if args.reference_o2:
        return _list_reference_o2(args)
    if args.rules == []:
        return _list_rules(args)
    inputs = find_inputs(args.config, args.ledger, args.plant, args.rule_file)
    _refuse(args, inputs)
    with open_desks(args, inputs) as desks:
        return _explain(args, desks) if args.explain else _give(args, desks)


def _refuse(args: argparse.Namespace, inputs: PlantInputs) -> None:
    """What does not go together, before anything is opened."""
    if args.output is None and args.format == "parquet":
        raise ConfigError("--format parquet", "needs a file; name one with -o")
    if args.minutes is not None and set(args.level) - {"short_term"}:
        raise ConfigError("--minutes", "is the length of a short-term average; leave out --level or --minutes")
    if args.minutes is not None and not args.explain:
        raise ConfigError("--minutes", "belongs to --explain; lengths of averages come from the rule set")
    if args.explain and (args.output or args.plot or args.stored):
        raise ConfigError("--explain", "prints; leave out -o, --plot and --stored")
    if args.plot is not None and (len(args.level) > 1 or len(args.layer) > 1):
        raise ConfigError("--plot", "draws one --level and one --layer; name each once")
    if args.plot is not None and args.plot.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(str(args.plot), "ends in none of .svg, .png; name the plot so")
    if args.plot is not None and len(inputs.plants) != 1:
        raise ConfigError("--plot", "draws one plant; name it with --plant")
    if args.output is not None:
        from plumeproof.figure_files import format_of

        format_of(args.output, args.format)
    for output in filter(None, (args.output, args.plot)):
        inputs.refuse_output(output)
    if args.output is not None and args.plot is not None and args.output.absolute() == args.plot.absolute():
        raise ConfigError(str(args.plot), "is the output as well; name another file for the plot")


def _give(args: argparse.Namespace, desks: list[PlantDesk]) -> int:
    levels = tuple(dict.fromkeys(args.level or ["short_term"]))
    remarks: list[dict[str, object]] = []
    found: list[Remark] = []
    sheets: list[Sheet] = []
    figures = _figures(args, desks, levels, found, sheets)
    first = next(figures, None)
    if first is None:
        for desk in desks:
            print(f"plumeproof average: {nothing_in(args, desk)}", file=sys.stderr)
        return 1
    with _output(args, {desk.plant.id: desk.plant.utc_offset_min for desk in desks}, remarks) as write:
        count = 0
        for one in chain((first,), figures):
            if write is not None and _is_wanted(args, one):
                write(one)
                count += 1
        if write is not None and not count:
            raise ConfigError("--layer, --measurand", f"leave nothing of the figures of {', '.join(levels)}; drop one")
        remarks += [asdict(one) for one in found]
        for sheet in sheets:
            sheet.save(args.plot)
    for remark in found:
        print(f"plumeproof average: {remark.sentence}", file=sys.stderr)
    return 1 if any(remark.is_fault for remark in found) else 0


def _is_wanted(args: argparse.Namespace, one: Figure) -> bool:
    return (not args.layer or one.layer in args.layer) and (not args.measurand or one.measurand in args.measurand)


def _figures(
    args: argparse.Namespace,
    desks: list[PlantDesk],
    levels: tuple[str, ...],
    found: list[Remark],
    sheets: list[Sheet],
) -> Iterator[Figure]:
    """All of them; behind the last one `found` has what came up and `sheets` what is to be drawn."""
    for desk in desks:
        period = period_of(args, desk, levels)
        if period is None:
            continue
        sheet = None
        if args.plot is not None:
            from plumeproof.figure_plot import Sheet

            sheet = Sheet(desk.desk.engine, period, args.layer[0] if args.layer else None, args.measurand)
        days, is_quiet = desk.desk.days_in(levels, period), args.stored or not sys.stderr.isatty()
        with tqdm(total=days, unit=" days", desc=desk.plant.id, disable=is_quiet) as progress:
            source = (
                desk.desk.stored(levels, period, desk.ledger)
                if args.stored
                else desk.desk.figures(levels, period, progress.update)
            )
            for one in source:
                if sheet is not None:
                    sheet.add(one)
                yield one
        found += [] if args.stored else desk.desk.remarks()
        sheets += [] if sheet is None else [sheet]


@contextmanager
def _output(args: argparse.Namespace, offsets: dict[str, int], remarks: list[dict[str, object]]) -> Iterator[Any]:
    """Where figures go. Standard output gets its text when it is whole: nothing is written of what fails."""
    from plumeproof.figure_files import format_of, write_figures, write_text

    to_file: AbstractContextManager[Any] = nullcontext()
    if args.output is not None:
        to_file = write_figures(args.output, format_of(args.output, args.format), offsets, remarks)
    kind = "json" if args.json else args.format if args.output is None else None
    is_shown = args.output is None and args.plot is None or args.json
    with to_file as write_file:
        if not is_shown:
            yield write_file
            return
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="utf-8", newline="") as spool:
            shown = (
                _write_table(spool, offsets, args.ids) if kind is None else write_text(spool, kind, offsets, remarks)
            )
            with shown as write_shown:
                writers = [write for write in (write_file, write_shown) if write is not None]
                yield lambda figure: [write(figure) for write in writers]
            spool.seek(0)
            shutil.copyfileobj(spool, sys.stdout)


@contextmanager
def _write_table(file: Any, offsets: dict[str, int], with_ids: bool) -> Iterator[Any]:
    """Lines for eyes; decimals as the plant states them. An id says what the other columns do, and exactly."""
    from plumeproof.figure_files import local_time
    from plumeproof.figure_ids import id_of_figure

    several = len(offsets) > 1
    if not with_ids:
        file.write(f"{'begin':25}  {'level':11}  {'rule set':14}  {'measurand':10}  {'layer':20}  value\n")

    def write(one: Figure) -> None:
        value = "none" if one.value is None else f"{one.value:.{one.decimals}f} {one.unit}"
        told = [] if one.is_valid else ["not valid"]
        told += [] if one.state in ("", "operating") else [one.state]
        told += [f"{one.n_valid}/{one.n_expected}"] if one.n_valid != one.n_expected else []
        told += [*one.flags, *(f"{count} {cause}" for cause, count in one.n_invalid)]
        told += [f"revision {one.revision} ({one.reason})"] if one.revision else []
        name = f"{one.plant} {one.measurand}" if several else one.measurand
        level = one.level
        if level == "short_term":
            level = f"{(one.end_utc_ms - one.start_utc_ms) // 60_000} min"
        begin = local_time(one.start_utc_ms, offsets[one.plant])
        text = (
            f"{id_of_figure(one)}  {value}"
            if with_ids
            else f"{begin:25}  {level:11}  {one.rule_set:14}  {name:10}  {one.layer:20}  {value}"
        )
        file.write(f"{text}{'  ' if told else ''}{', '.join(told)}\n")

    yield write


def _explain(args: argparse.Namespace, desks: list[PlantDesk]) -> int:
    from plumeproof.explanation import explanation_lines, explanation_tree

    name, at = args.explain
    trees: list[dict[str, Any]] = []
    remarks: list[Remark] = []
    lines: list[str] = []
    for one in [one for one in desks if one.desk.has_measurand(name)] or desks:
        offset = one.plant.utc_offset_min
        for explanation in _explanations(args, one, name, read_instant(at, offset, "--explain")):
            trees.append(explanation_tree(explanation, offset))
            lines += explanation_lines(explanation, offset)
        remarks += one.desk.remarks()
    if args.json:
        told = {"format": "plumeproof.explanation/1", "explanations": trees, "remarks": list(map(asdict, remarks))}
        print(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        print("\n".join(lines))
    for remark in remarks:
        print(f"plumeproof average: {remark.sentence}", file=sys.stderr)
    return 1 if any(remark.is_fault for remark in remarks) else 0


def _explanations(args: argparse.Namespace, desk: PlantDesk, name: str, at_utc_ms: int) -> Iterator[Any]:
    """Of every level that was asked for, by every rule set."""
    for level in dict.fromkeys(args.level or ["short_term"]):
        if level == "short_term":
            yield from desk.desk.explain(name, at_utc_ms, args.minutes)
            continue
        with tqdm(unit=" days", desc=f"{desk.plant.id} {level}", disable=not sys.stderr.isatty()) as progress:
            yield from desk.desk.explain_longer(name, level, at_utc_ms, progress.update)


def _list_reference_o2(args: argparse.Namespace) -> int:
    from plumeproof.rule_book import DOUBTFUL_BELOW, reference_oxygen

    rows = reference_oxygen()
    if args.json:
        print(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1))
        return 0
    for row in rows:
        mark = "⚠ " if row.confidence < DOUBTFUL_BELOW else ""
        print(f"{row.regime:3} {row.plant:28} {row.o2_pct:4g} %  {mark}confidence {row.confidence:g}: {row.source}")
    return 0


def _list_rules(args: argparse.Namespace) -> int:
    from plumeproof.rule_book import rule_pages

    pages = rule_pages(args.rule_file)
    if args.json:
        print(json.dumps([asdict(page) for page in pages], ensure_ascii=False, indent=1))
        return 0
    for page in pages:
        print(f"{page.id} {page.version}  [{page.status}]  {page.title}\n  source: {page.source}")
        print(f"  SHA-256 {page.digest}")
        for doubt in page.doubts:
            print(f"  ⚠ {doubt.setting} = {doubt.value}  (confidence {doubt.confidence:g}: {doubt.note})")
    return 0
