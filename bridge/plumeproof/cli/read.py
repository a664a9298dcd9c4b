"""`plumeproof read PORT --unit N --register 40001|1!40001#CDAB|4:138|hr:0 [--count N]`: what registers hold.

Raw bytes, and every type in every word order side by side with a mark: `*` likely, `-` unlikely (NaN, infinite,
denormal, beyond 1e-6..1e7, jumps between repeated reads). `--expect 412.7` or `--min 0 --max 500` picks the order.
`--profile NAME` reads a whole analyzer. References such as 40001 count from 1, everything else from 0. Only functions
1 to 4. Exit status: 0 fine, 1 exception, unreadable or not as expected, 2 usage, 3 no answer or no port.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

from plumeproof.cli.bus_options import add_line_options, number
from plumeproof.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from plumeproof.survey.address import Address
    from plumeproof.survey.line import BusLine
    from plumeproof.survey.readings import Wish

REPEATS_KEPT = 16  # reads that a watch judges jumps by


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "read", help="show registers of an analyzer in every word order, or a whole profile; never writes"
    )
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, COM3")
    parser.add_argument(
        "--unit", type=number(1, 247), metavar="N", help="unit id; may stand before the register, 1!40001"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--register", metavar="ADDRESS", help="from 1: 40001 400001 4x0001 30001; from 0: hr:0 ir:138 4:138 hr:0x8A"
    )
    what.add_argument("--profile", metavar="NAME", help="name among firmware/profiles, or a JSON, CSV or XLSX file")
    parser.add_argument("--count", type=number(1, 125), default=2, metavar="N", help="registers or bits; default 2")
    parser.add_argument(
        "--function", type=int, choices=(1, 2, 3, 4), help="for an address that names none, such as 138"
    )
    add_line_options(parser)
    parser.add_argument("--timeout-ms", type=number(10, 60_000), metavar="N", help="default 500, or the profile's")
    parser.add_argument("--repeat", type=number(1, 1000), default=1, metavar="N", help="read N times; shows jumps")
    parser.add_argument("--watch", action="store_true", help="read until Ctrl-C, one line each time")
    parser.add_argument(
        "--interval-ms", type=number(0, 3_600_000), default=1000, metavar="N", help="between reads; default 1000"
    )
    parser.add_argument("--expect", type=_finite, metavar="VALUE", help="as the analyzer's display shows it")
    parser.add_argument("--min", type=_finite, metavar="VALUE", help="the value cannot be lower")
    parser.add_argument("--max", type=_finite, metavar="VALUE", help="the value cannot be higher")
    parser.add_argument("--full", action="store_true", help="every type for more than four registers as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with --watch one a line")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from plumeproof.survey.adapter import open_line
    from plumeproof.survey.line import LineSettings
    from plumeproof.survey.readings import Wish

    wish = Wish(args.expect, args.min, args.max)
    if args.profile is not None:
        return _read_profile(args)
    place = _place(args)
    with open_line(args.port, LineSettings(args.baud, args.parity, args.stop_bits)) as line:
        return _watch(args, line, place, wish) if args.watch else _read_once(args, line, place, wish)


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number; write it with a point, 412.75")
    return value


def _place(args: argparse.Namespace) -> Address:
    """The address with its unit id. Raises ConfigError for what does not fit together."""
    from dataclasses import replace

    from plumeproof.survey.address import parse_address

    place = parse_address(args.register, args.function)
    if place.unit is not None and args.unit is not None and place.unit != args.unit:
        raise ConfigError("--unit", f"{args.unit} and {args.register} name two units; give one of them")
    unit = place.unit or args.unit
    if unit is None:
        raise ConfigError("--unit", f"is missing; add it, or write 1!{args.register}")
    if place.address + args.count > 0x10000:
        raise ConfigError("--count", f"{args.count} from {args.register} ends behind address 65535; read fewer")
    return replace(place, unit=unit)


def _ask(args: argparse.Namespace, line: BusLine, place: Address) -> bytes:
    """Register or bit bytes. Raises UnreachableError for silence, _NoReading for everything else that is no answer."""
    from plumeproof.survey import adu
    from plumeproof.survey.adu import Heard

    assert place.unit is not None
    request = adu.build_read(place.unit, place.function, place.address, args.count)
    verdict = line.ask(request, (args.timeout_ms or 500) / 1000).verdict
    where = f"unit {place.unit} at {line.settings}"
    match verdict.heard:
        case Heard.ANSWER:
            return verdict.data
        case Heard.SILENCE:
            echo = " (the adapter's own echo was heard)" if verdict.has_echo else ""
            raise UnreachableError(f"{where}: no answer{echo}; find it with `plumeproof scan {args.port}`")
        case Heard.EXCEPTION:
            words = adu.EXCEPTIONS.get(verdict.exception, "not in the specification")
            mend = {1: "try another --function", 2: "try fewer registers or its neighbour: 40001 is hr:0"}
            hint = mend.get(verdict.exception, "see the analyzer's manual")
            raise _NoReading(f"{where}: exception {verdict.exception}, {words}; {hint}")
        case _:
            raw = verdict.raw[:24].hex(" ")
            raise _NoReading(f"{where}: {verdict.heard.value}, heard {raw}; line settings, two units, bad line?")


class _NoReading(Exception):
    """The unit spoke, and there is no reading in it; exit status 1."""


def _read_once(args: argparse.Namespace, line: BusLine, place: Address, wish: Wish) -> int:
    from plumeproof.cli import reading_view as view

    reads: list[bytes] = []
    try:
        for number_ in range(args.repeat):
            if number_:
                time.sleep(args.interval_ms / 1000)
            reads.append(_ask(args, line, place))
    except (_NoReading, UnreachableError) as refusal:
        view.complain(refusal)
        if not reads:
            return 1 if isinstance(refusal, _NoReading) else 3
    except KeyboardInterrupt:  # what was read so far is shown
        if not reads:
            raise
    look = view.Look(args.port, str(line.settings), place, tuple(reads), wish)
    view.show_json(look) if args.json else view.show(look, args.full)
    is_whole = len(reads) == args.repeat
    return 0 if is_whole and (wish.is_empty or place.is_bits or view.is_met(look)) else 1


def _watch(args: argparse.Namespace, line: BusLine, place: Address, wish: Wish) -> int:
    from plumeproof.cli import reading_view as view

    reads: list[bytes] = []
    status = 0
    try:
        while True:
            try:
                reads = [*reads[1 - REPEATS_KEPT :], _ask(args, line, place)]
                look = view.Look(args.port, str(line.settings), place, tuple(reads), wish)
                view.show_json(look) if args.json else view.show_line(look)
                status = 0
            except _NoReading as refusal:
                view.complain(refusal)
                status = 1
            except UnreachableError as silence:  # a watch is often kept while the analyzer is switched on
                view.complain(silence)
                status = 3
            time.sleep(args.interval_ms / 1000)
    except KeyboardInterrupt:
        return status


def _read_profile(args: argparse.Namespace) -> int:
    from plumeproof.cli import reading_view as view
    from plumeproof.survey.adapter import open_line
    from plumeproof.survey.line import LineSettings
    from plumeproof.survey.snapshot import read_snapshot
    from plumeproof.survey.table_file import find_profile

    if args.unit is None:
        raise ConfigError("--unit", "is missing; a profile does not say which unit it is")
    if args.expect is not None or args.min is not None or args.max is not None or args.function is not None:
        raise ConfigError("--profile", "knows types, orders and bounds; leave --expect, --min, --max, --function out")
    profile = find_profile(args.profile)
    timeout_s = args.timeout_ms / 1000 if args.timeout_ms else None
    left = args.repeat
    status = 0
    with open_line(args.port, LineSettings(args.baud, args.parity, args.stop_bits)) as line:
        try:
            while True:
                snapshot = read_snapshot(line, profile, args.unit, timeout_s)
                view.show_snapshot(snapshot, profile["title"], args.unit, str(line.settings), args.json)
                heard = {block.heard for block in snapshot.blocks}
                status = 3 if heard == {"silence"} else 0 if heard == {"answer"} else 1
                left -= 1
                if not args.watch and left <= 0:
                    return status
                time.sleep(args.interval_ms / 1000)
        except KeyboardInterrupt:
            return status
