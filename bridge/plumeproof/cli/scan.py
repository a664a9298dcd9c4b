"""`plumeproof scan PORT [--baud 9600,19200|--all-bauds] [--parity NEO] [--units 1-247] [--json]`: who is on the bus.

Only reads: one register (function 3 or 4, a bit with 1 or 2) of each unit id, and of units that answer their device
identification (43/14). Listens first and leaves a bus alone on which somebody else asks. Ctrl-C shows what was found.
Exit status: 0 units found and nothing wrong, 1 something answers that cannot be read, 2 usage, 3 nobody answers or the
port cannot be opened.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.bus_options import BAUDS, bauds, number, parities, units
from plumeproof.errors import LinkError

if TYPE_CHECKING:
    from plumeproof.survey.search import FoundUnit, Plan, Search

INTERRUPTED = 130  # as the other verbs
RAW_SHOWN_BYTES = 16
WIDTH = 79  # columns of the narrowest terminal in use


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "scan", help="find analyzers and their line settings on a bus; never writes"
    )
    parser.add_argument("port", metavar="PORT", help="/dev/ttyUSB0, COM3")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--baud", type=bauds, metavar="N[,N]", help="default 9600,19200,38400,115200")
    speed.add_argument("--all-bauds", action="store_true", help=f"{BAUDS[0]} to {BAUDS[-1]}")
    parser.add_argument("--parity", type=parities, default="NE", metavar="NEO", help="which to try; default NE")
    parser.add_argument(
        "--stop-bits", type=int, choices=(1, 2), default=1, help="default 1, which hears 2 as well, most often"
    )
    parser.add_argument("--units", type=units, default=units("1-247"), metavar="1-247", help="ids; 1-10,17 as well")
    parser.add_argument("--function", type=int, choices=(1, 2, 3, 4), default=3, help="to ask with; default 3")
    parser.add_argument("--address", type=number(0, 65535), default=0, metavar="N", help="from 0; default 0")
    parser.add_argument(
        "--timeout-ms", type=number(10, 10_000), default=200, metavar="N", help="for an answer to begin; default 200"
    )
    parser.add_argument("--every-setting", action="store_true", help="go on with other settings after a unit was found")
    parser.add_argument("--no-identify", action="store_true", help="do not ask for maker and product (43/14)")
    parser.add_argument("--anyway", action="store_true", help="ask although the bus is in use or noisy")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from plumeproof.survey.adapter import open_line
    from plumeproof.survey.search import COMMON_BAUDS, Plan, Search, order_settings

    speeds = BAUDS if args.all_bauds else args.baud or COMMON_BAUDS
    plan = Plan(
        settings=order_settings(speeds, args.parity, (args.stop_bits,)),
        units=args.units,
        function=args.function,
        address=args.address,
        timeout_s=args.timeout_ms / 1000,
        is_every_setting=args.every_setting,
        is_forced=args.anyway,
        is_identifying=not args.no_identify,
    )
    ended = "complete"
    with open_line(args.port) as line:
        search = Search(line, plan)
        try:
            _run(search, args.port)
        except KeyboardInterrupt:
            ended = "interrupted"
        except LinkError as error:  # the adapter was pulled: what was found stays found
            print(f"plumeproof scan: {error}", file=sys.stderr)
            ended = "port lost"
    if search.remarks.is_stopped:
        ended = "bus in use"
    if args.json:
        print(json.dumps(_result(search, args.port, ended)))
    else:
        _print(search, plan, args.port, ended)
    return _status(search, ended)


def _run(search: Search, port: str) -> None:
    with tqdm(total=search.total, unit=" units", ncols=WIDTH, disable=not sys.stderr.isatty(), leave=False) as progress:
        for settings, unit in search.run():
            progress.total = search.total
            found = f", {len(search.units)} found" if search.units else ""
            progress.set_description(
                f"{settings} unit {unit}{found}" if unit else f"{settings} listening", refresh=False
            )
            progress.update(1 if unit else 0)


def _status(search: Search, ended: str) -> int:
    if ended == "interrupted":
        return INTERRUPTED
    if ended != "complete" or not search.units:
        return 3
    is_fine = all(found.state in ("answers", "exception") for found in search.units)
    return 0 if is_fine else 1


def _result(search: Search, port: str, ended: str) -> dict[str, Any]:
    remarks = search.remarks
    return {
        "port": port,
        "ended": ended,
        "tried": [str(settings) for settings in search.tried],
        "refused_settings": [str(settings) for settings in remarks.refused],
        "units": [
            asdict(found) | {"settings": asdict(found.settings), "last_raw": found.last_raw.hex()}
            for found in sorted(search.units, key=lambda one: (one.settings.baud, one.settings.parity, one.unit))
        ],
        "echo": remarks.echo,
        "gateway": remarks.gateway,
        "noise_count": remarks.noise_count,
        "strangers": sorted(remarks.strangers),
        "unasked": [{"settings": str(settings), "bytes": count} for settings, count in remarks.unasked],
        "traffic": None
        if remarks.traffic is None
        else {"settings": str(remarks.traffic[0]), "frame": remarks.traffic[1].hex()},
    }


def _print(search: Search, plan: Plan, port: str, ended: str) -> None:
    for found in sorted(search.units, key=lambda one: (one.settings.baud, one.settings.parity, one.unit)):
        print(f"unit {found.unit:3}  {found.settings!s:11}  {_sentence(found)}")
    for line in _remarks(search):
        print(textwrap.fill(line, WIDTH, subsequent_indent="  "))
    readable = [found for found in search.units if found.is_readable]
    tried = f"{len(search.tried)} of {len(plan.settings)} settings tried"
    rest = "; units that were not asked yet may be there" if ended in ("interrupted", "port lost") else ""
    print(f"{ended}: {len(readable)} units found, {tried}{rest}")
    if readable:
        best = next((found for found in readable if found.state == "answers"), readable[0])
        first = best.settings
        stop = f" --stop-bits {first.stop_bits}" if first.stop_bits != 1 else ""
        parity = f" --parity {first.parity}" if first.parity != "N" else ""
        print(f"next: plumeproof read {port} --baud {first.baud}{parity}{stop} --unit {best.unit} --register 40001")
    elif ended == "complete":
        print("nobody answers: A and B swapped? power? termination? Then try --all-bauds,")
        other = 4 if plan.function == 3 else 3
        print(f"--parity NEO, --timeout-ms 1000, --function {other} (a few know only that one)")


def _sentence(found: FoundUnit) -> str:
    from plumeproof.survey.adu import EXCEPTIONS

    name = " ".join(found.identity.values())
    quick = f" in {found.first_byte_ms} ms" if found.first_byte_ms is not None else ""
    match found.state:
        case "answers":
            return f"answers{quick}{'  ' + name if name else ''}"
        case "exception":
            words = EXCEPTIONS.get(found.exception, "not in the specification")
            return f"there; exception {found.exception}, {words}{'  ' + name if name else ''}"
        case "unsteady":
            return f"UNSTEADY: {found.readable} of {found.asked} answers readable; bad line? two units?"
        case "two_units":
            return "TWO UNITS with this id: two answers to one request"
        case _:
            raw = found.last_raw[:RAW_SHOWN_BYTES].hex(" ")
            return f"UNREADABLE every time: two units with this id? parity?\n{'':22}heard {raw}"


def _remarks(search: Search) -> list[str]:
    remarks = search.remarks
    lines = []
    if remarks.traffic is not None:
        settings, frame = remarks.traffic
        lines.append(f"in use: another client talks at {settings} (unit {frame[0]}, function {frame[1] & 0x7F})")
    elif remarks.unasked:
        count = sum(one for _, one in remarks.unasked)
        where = ", ".join(str(settings) for settings, _ in remarks.unasked[:3])
        lines.append(f"noise: {count} bytes while nobody was asked ({where}); bias and termination? other client?")
    if remarks.is_stopped:
        lines.append("nothing was asked; disconnect the other client, or --anyway (it disturbs its readings)")
    if remarks.echo:
        lines.append("echo: the adapter hears itself; harmless here, switch it off where the adapter can")
    if remarks.gateway:
        lines.append("gateway: exceptions 10 and 11 come from a Modbus gateway for units that are not there")
    if remarks.noise_count:
        lines.append(f"noise: {remarks.noise_count} answers came once and not again; slow units? --timeout-ms 1000")
    foreign = sorted(remarks.strangers - {found.unit for found in search.units})
    if foreign:
        lines.append(f"frames of units {', '.join(map(str, foreign[:8]))} came unasked: another client, or wrong ids?")
    if remarks.refused:
        lines.append(f"not tried, the port refuses them: {', '.join(str(one) for one in remarks.refused)}")
    return lines
