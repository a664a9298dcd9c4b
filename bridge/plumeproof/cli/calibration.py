"""`plumeproof calibration qal2` and `ast`: the calibration function and its tests, from parallel measurements.

  plumeproof calibration qal2 pairs.csv --plant line-1.toml --measurand NOx
  plumeproof calibration qal2 pairs.csv --limit 50 --permissible 20 --zero 0.4
  plumeproof calibration ast pairs.csv --plant line-1.toml --measurand NOx

pairs.csv has a row a pair: time,ams,srm and perhaps factor (to reference conditions). `ams` is what the AMS showed
before any calibration function, `srm` the standard reference method at the same conditions. With --plant, the daily
limit and ci_pct of the measurand are taken, for an AST the function in force on the day of the last pair. Below the
verdict stand the lines for the plant description; nothing is changed (EN 14181:2014 clauses 6 and 8).

Exit status: 0 passed; 1 not passed, or too few pairs or days; 2 wrong usage, file or plant description.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant
from plumeproof.parallel_file import read_pairs

if TYPE_CHECKING:
    from plumeproof.calibration_desk import CalibrationDesk, FoundFunction
    from plumeproof.rules.plant import Measurand
    from plumeproof.rules.qal2 import AnnualTest, Variability

FORMAT = "plumeproof.calibration/1"
REMARKS = {
    "too_few_pairs": "too few pairs: 15 for a QAL2, 5 for an AST",
    "too_few_days": "too few days: at least 3",
    "slope_not_positive": "the slope is not above 0: is it the right channel?",
}


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibration",
        help="QAL2 and AST from parallel measurements: calibration function, valid range, tests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="qal2|ast")
    qal2 = what.add_parser("qal2", help="the calibration function, its valid range, the variability test")
    ast = what.add_parser("ast", help="whether the function in force still holds")
    for own in (qal2, ast):
        own.add_argument("pairs", type=Path, metavar="FILE", help="parallel measurements: time,ams,srm[,factor]")
        own.add_argument("--plant", type=Path, metavar="FILE", help="plant description")
        own.add_argument("--measurand", metavar="ID", help="its measurand")
        own.add_argument("--limit", type=_number, metavar="VALUE", help="daily limit, instead of the description's")
        own.add_argument("--permissible", type=_number, metavar="PCT", help="permissible uncertainty, % of the limit")
        own.add_argument("--json", action="store_true", help="print one JSON object")
    qal2.add_argument("--zero", type=_number, metavar="READING", help="what the AMS shows at zero (method b)")
    qal2.add_argument(
        "--reference", type=_point, action="append", default=[], metavar="READING=VALUE",
        help="zero or span reference material as the AMS read it (method c); twice or more",
    )  # fmt: skip
    qal2.add_argument(
        "--extend", type=_point, metavar="READING=VALUE", help="reference material near the limit: extends the range"
    )
    qal2.set_defaults(main=_qal2)
    ast.add_argument("--a", type=_number, metavar="A", help="of y = a + b x, instead of the description's")
    ast.add_argument("--b", type=_number, metavar="B")
    ast.set_defaults(main=_ast)


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= 1e9:
        raise ValueError(text)
    return value


def _point(text: str) -> tuple[float, float]:
    reading, _, value = text.partition("=")
    return _number(reading), _number(value)


def _inputs(args: argparse.Namespace) -> tuple[CalibrationDesk, Measurand | None, int]:
    """The desk, the measurand where a description is given, and the site's offset."""
    from plumeproof.calibration_desk import CalibrationDesk, desk_of
    from plumeproof.plant_file import load_plant

    if (args.plant is None) != (args.measurand is None):
        raise ConfigError("--plant and --measurand", "belong together")
    if args.plant is None:
        if args.limit is None or args.permissible is None:
            raise ConfigError("--plant and --measurand", "are missing; or give --limit and --permissible")
        return CalibrationDesk(args.limit, args.permissible), None, 0
    plant = load_plant(args.plant)
    one = next((entry for entry in plant.measurands if entry.id == args.measurand), None)
    if one is None:
        known = ", ".join(entry.id for entry in plant.measurands)
        raise ConfigError(f"--measurand {args.measurand[:40]}", f"is none of {known}")
    if args.limit is not None and args.permissible is not None:
        return CalibrationDesk(args.limit, args.permissible), one, plant.utc_offset_min
    desk = desk_of(one)
    limit = desk.daily_elv if args.limit is None else args.limit
    permissible = desk.permissible_pct if args.permissible is None else args.permissible
    return CalibrationDesk(limit, permissible), one, plant.utc_offset_min


def _qal2(args: argparse.Namespace) -> int:
    desk, one, offset = _inputs(args)
    found = desk.find_function(read_pairs(args.pairs, offset), args.zero, args.reference, args.extend)
    begins = read_instant(found.days[-1].isoformat(), offset, "time") + 86_400_000
    if args.json:
        tree: dict[str, Any] = {"function": asdict(found.function), "variability": asdict(found.variability)}
        tree |= {"valid_range": asdict(found.range_in_force), "extension": None, "days": len(found.days)}
        if found.extension is not None:
            tree["extension"] = asdict(found.extension) | {"since": found.extension.since.isoformat()}
        _print_tree("QAL2", desk, one, found.is_passed, found.days[-1], tree)
    else:
        print("\n".join(_qal2_lines(found, one, begins)))
    return 0 if found.is_passed else 1


def _ast(args: argparse.Namespace) -> int:
    from plumeproof.calibration_desk import function_on

    desk, one, offset = _inputs(args)
    pairs = read_pairs(args.pairs, offset)
    last = max(pairs.days)
    if (args.a is None) != (args.b is None):
        raise ConfigError("--a and --b", "belong together")
    name, a, b = "as given", args.a, args.b
    if a is None:
        if one is None:
            raise ConfigError("--a and --b", "are missing; or give --plant and --measurand")
        function = function_on(one, read_instant(last.isoformat(), offset, "time"))
        name, a, b = function.id, function.a, function.b
    found = desk.judge_annual(pairs, a, b)
    is_passed = found.is_passed and not found.remarks
    if args.json:
        tree = {"function": name, "a": a, "b": b, **asdict(found)}
        _print_tree("AST", desk, one, is_passed, last, tree)
    else:
        print("\n".join(_ast_lines(found, one, f"{name}: y = {a:.7g} + {b:.7g} x", last)))
    return 0 if is_passed else 1


def _print_tree(
    test: str, desk: CalibrationDesk, one: Measurand | None, is_passed: bool, on: date, tree: dict[str, Any]
) -> None:
    head = {"format": FORMAT, "test": test, "measurand": None if one is None else one.id, "on": on.isoformat()}
    told = head | asdict(desk) | {"passed": is_passed} | tree
    print(json.dumps(told, ensure_ascii=False, indent=1))


def _qal2_lines(found: FoundFunction, one: Measurand | None, begins_utc_ms: int) -> Iterator[str]:
    function, last = found.function, found.days[-1]
    yield f"{_name(one)}QAL2 by method {function.method}, {function.n} pairs on {len(found.days)} days until {last}"
    fit = f", r2 {function.r2:.5f}" if function.has_r2 else ""
    yield f"  function        y = {function.a:.7g} + {function.b:.7g} x{fit}"
    yield f"  span of pairs   {function.y_span:.6g} from {function.y_min:.6g}; permissible {function.permissible:.6g}"
    yield f"  variability     {_variability(found.variability)}"
    yield f"  valid range     {found.valid_range.lower:g} to {found.valid_range.upper:.6g}, at reference conditions"
    if (more := found.extension) is not None:
        told = f"extended to {more.after.upper:.6g}" if more.is_granted else "not extended"
        yield f"  reference       differs by {more.difference:+.6g}; permissible {more.permissible:.6g}: {told}"
    yield from (f"  {REMARKS[remark]}" for remark in function.remarks)
    yield ""
    yield "[[measurand.calibration]]"
    yield f'id = "qal2-{last}"'
    yield f'begins = "{_utc(begins_utc_ms)}"  # when it came into force'
    yield f"a = {function.a!r}"
    yield f"b = {function.b!r}"
    yield f"valid_to = {found.range_in_force.upper!r}"
    yield f'qal2_on = "{last}"'


def _ast_lines(found: AnnualTest, one: Measurand | None, function: str, on: date) -> Iterator[str]:
    holds = "passed" if found.is_bias_passed else "NOT PASSED"
    yield f"{_name(one)}AST of {found.variability.n} pairs until {on}, {function}"
    yield f"  variability     {_variability(found.variability)}"
    yield f"  function        |mean D| {abs(found.variability.mean):.6g}, limit {found.bias_limit:.6g}: {holds}"
    yield from (f"  {REMARKS[remark]}" for remark in found.remarks)
    yield ""
    yield "[[measurand.test]]"
    yield 'what = "AST"'
    yield f'on = "{on}"'
    yield f'result = "{"passed" if found.is_passed else "failed"}"'


def _name(one: Measurand | None) -> str:
    return "" if one is None else f"{one.id}: "


def _variability(found: Variability) -> str:
    verdict = "passed" if found.is_passed else "NOT PASSED"
    return f"s_D {found.s_d:.6g}, limit {found.limit:.6g} (sigma_0 {found.sigma_0:.6g}, k_v {found.k_v:.4f}): {verdict}"


def _utc(utc_ms: int) -> str:
    from plumeproof.figure_files import local_time

    return local_time(utc_ms, 0)
