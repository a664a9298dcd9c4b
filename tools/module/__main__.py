"""`plumeproof module VERB`: a module from the box to keys.json.

    info PORT|DIRECTORY        at its link; at its console while no program holds it; or in a directory's files
    flash PORT --board NAME    the program over the console, read back and compared
    provision PORT|DIRECTORY --device ID --analyzer ID=PROFILE@UNIT ... --link-address N --keys keys.json
    rotate PORT|DIRECTORY      another key at its next start; PORT: with --board NAME
    update PORT --release DIR  a signed release over the link
    loopback PORT --board NAME what the board's driver does to the analyzer bus; unplug the analyzers first

PORT of `provision`, `rotate`, `flash` and `loopback` is the board's console, of `update` its link. Exit status: 0 done,
1 a fault found at the module, 2 wrong usage or configuration, 3 it cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rfc8785
from acqwire import frames
from tqdm import tqdm

from tools.module import label, loopback
from tools.module.boards import BOARDS, FIRMWARE, check, data_folder, find, hold
from tools.module.boards import ask as ask_facts
from tools.module.console import BAUD, Console
from tools.module.emulated import Directory
from tools.module.flash import choose_files, firmware_hash, flash
from tools.module.info import ask_console, lines_of, read_folder
from tools.module.provision import Place, compose_plan, prepare_directory, provision
from tools.module.refusal import FAULT, UNREACHABLE, USAGE, Refusal
from tools.module.rotate import ask_rotation
from tools.module.rotate import lines_of as lines_of_rotation
from tools.module.update_root import FILE as UPDATE_ROOT
from tools.module.update_root import read_root, refuse_other_root
from tools.module.uplink import ask_link, find_release, update
from tools.release.package import collect


def say(line: str) -> None:
    """How far it is, on the error stream: standard output is the result's."""
    print(line, file=sys.stderr, flush=True)


def info_main(args: argparse.Namespace) -> dict[str, Any]:
    if Path(args.port).is_dir():
        place = Directory(Path(args.port).resolve())
        told = {"port": place.port, "seen_at": "directory"} | read_folder(place, "")
    else:
        found = None if args.console else ask_link(args.port, args.baud, args.link_address)
        if found is None:
            try:
                with Console(args.port, args.baud) as console:
                    found = ask_console(console)
            except Refusal as error:
                if args.console or error.status != UNREACHABLE:
                    raise
                raise Refusal(
                    f"{args.port}: neither a module at link address {args.link_address} nor a MicroPython console"
                    f" answers at {args.baud} baud; check cable, --link-address and power",
                    UNREACHABLE,
                ) from error
        told = found
    if not args.json:
        print("\n".join(lines_of(told)))
    return told


def flash_main(args: argparse.Namespace) -> dict[str, Any]:
    find(args.board)
    with (
        Console(args.port, args.baud) as console,
        tqdm(unit="B", unit_scale=True, ncols=80, disable=not sys.stderr.isatty(), leave=False) as progress,
    ):

        def report(count: int, total: int) -> None:
            progress.total = total
            progress.update(count)

        told = {"port": args.port} | flash(console, args.board, args.folder, report, args.element is not None)
    if not args.json:
        print(
            f"{args.port}: {told['board']} on {told['machine']}: {told['files']} files, {told['bytes']} bytes, all read"
            f" back and equal ({told['written']} written, {told['removed']} old ones removed)"
        )
        print(f"firmware {told['firmware_hash']}")
    return told


def provision_main(args: argparse.Namespace) -> dict[str, Any]:
    bus = {"baud": args.bus_baud, "parity": args.bus_parity, "stop_bits": args.bus_stop_bits}
    plan = compose_plan(
        args.device,
        args.analyzer,
        args.table,
        args.link_address,
        args.slot_ms,
        args.seal_ms,
        bus,
        args.revision,
        args.site,
    )
    if args.board is not None:
        find(args.board)
    if args.label is not None and args.label.suffix.lower() not in label.SUFFIXES:
        raise Refusal(f"--label {args.label}: ends in none of {' '.join(label.SUFFIXES)}", USAGE)
    extra: dict[str, bytes] = {}
    root = None if args.update_root is None else read_root(args.update_root)
    with ExitStack() as stack:
        place: Place
        if args.board is not None:
            console = stack.enter_context(Console(args.port, args.baud))
            board = check(args.board, ask_facts(console), args.port, args.element is not None)
            stack.enter_context(hold(console, board))
            extra["board.json"] = rfc8785.dumps({"board": args.board})
            if args.element is not None:
                extra["element.json"] = rfc8785.dumps(args.element)
            folder = data_folder(args.board) + "/"
            console.make_folder(folder.rstrip("/"))
            wanted = firmware_hash(choose_files(args.folder, BOARDS[args.board]))
            place = console
        elif Path(args.port).is_char_device():
            raise Refusal(f"{args.port}: is a port; say which board is there with --board NAME", USAGE)
        else:
            prepare_directory(Path(args.port), args.uplink, args.bus)
            place, folder = Directory(Path(args.port).resolve()), ""
            wanted = firmware_hash(collect(FIRMWARE))
        if root is not None:
            refuse_other_root(place, folder, root)
            place.make_folder(folder + str(Path(UPDATE_ROOT).parent))
            extra[UPDATE_ROOT] = root
        told = provision(
            place, plan, args.keys, folder, wanted if args.firmware == "same" else None, say, args.last_seq, extra
        )
        if not place.exists(folder + UPDATE_ROOT):
            say("no root for updates: this module takes none; --update-root FILE sets one")
    if args.label is not None:
        label.write(args.label, told["device"], told["kid"], told["serial"])
        say(f"label: {args.label}")
    if not args.json:
        print(label.draw(told["device"], told["kid"], told["serial"]))
    return told


def rotate_main(args: argparse.Namespace) -> dict[str, Any]:
    if Path(args.port).is_dir():
        told = ask_rotation(Directory(Path(args.port).resolve()), "")
    elif args.board is None:
        raise Refusal(f"{args.port}: is no directory; say which board's console is there with --board NAME", USAGE)
    else:
        find(args.board)
        with ExitStack() as stack:
            console = stack.enter_context(Console(args.port, args.baud))
            # An element makes up for no generator here: ask_rotation refuses a module with one and says why
            stack.enter_context(hold(console, check(args.board, ask_facts(console), args.port, True)))
            told = ask_rotation(console, data_folder(args.board) + "/")
    if not args.json:
        print("\n".join(lines_of_rotation(told)))
    return told


def update_main(args: argparse.Namespace) -> dict[str, Any]:
    release = find_release(args.release)
    with tqdm(
        total=len(release.stream), unit="B", unit_scale=True, ncols=80, disable=not sys.stderr.isatty(), leave=False
    ) as progress:
        told = update(
            args.port, args.baud, args.link_address, release, lambda done, _: progress.update(done - progress.n)
        )
    if not args.json:
        print(f"{told['device']}: has taken {told['bytes']} bytes, verified them and starts the new program on trial")
        print("it is confirmed when the gateway has acknowledged a record of the new boot, else the old one returns")
    return told


def loopback_main(args: argparse.Namespace) -> dict[str, Any]:
    find(args.board)
    with ExitStack() as stack:
        console = stack.enter_context(Console(args.port, args.baud))
        stack.enter_context(hold(console, check(args.board, ask_facts(console), args.port, True)))  # no key is made
        heard = loopback.ask_loopback(console, args.board)
    if not args.json:
        print("\n".join(loopback.lines_of(heard)))
    fault = next((f"at {one.baud} baud {one.fault}" for one in heard if one.fault), None)
    if fault is not None:
        if args.json:
            print(json.dumps({"port": args.port, **loopback.report(heard)}))
        raise Refusal(f"{args.port}: {fault}", FAULT)
    return {"port": args.port, **loopback.report(heard)}


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    whole = argparse.ArgumentParser(prog="plumeproof module", description="a module from the box to keys.json")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="info|flash|provision|rotate|update|loopback")
    info = verbs.add_parser("info", help="who it is and what it holds")
    info.add_argument("port", metavar="PORT|DIRECTORY", help="serial port (link or console), or emulated module")
    info.add_argument("--console", action="store_true", help="ask at the console only")
    info.set_defaults(run=info_main)
    flashing = verbs.add_parser("flash", help="put the program on a board")
    flashing.add_argument("port", metavar="PORT", help="the board's console")
    flashing.add_argument("--board", required=True, metavar="NAME", help=" ".join(sorted(BOARDS)))
    flashing.set_defaults(run=flash_main)
    providing = verbs.add_parser("provision", help="parameters, settings, key, label")
    providing.add_argument("port", metavar="PORT|DIRECTORY", help="the board's console, or an emulated module")
    providing.add_argument("--board", metavar="NAME", help="what is at PORT")
    providing.add_argument("--device", required=True, metavar="ID", help="what the module is to be called")
    providing.add_argument(
        "--analyzer", action="append", default=[], metavar="ID=PROFILE@UNIT",
        help="repeat, in polling order; PROFILE: a name, or a table (.csv, .xlsx, .json)",
    )  # fmt: skip
    providing.add_argument("--table", type=Path, metavar="FILE", help="TOML with all of it, or one register table")
    providing.add_argument("--site", type=Path, metavar="FILE", help="own inputs, 4-20 mA loops, calibration marks")
    providing.add_argument("--update-root", type=Path, metavar="FILE", help="root document; none: it takes no updates")
    providing.add_argument("--keys", required=True, type=Path, metavar="FILE", help="keys.json to enter the key in")
    providing.add_argument("--slot-ms", type=int, default=1000)
    providing.add_argument("--seal-ms", type=int, default=60_000)
    providing.add_argument("--bus-baud", type=int, default=19200)
    providing.add_argument("--bus-parity", choices=("N", "E", "O"), default="N")
    providing.add_argument("--bus-stop-bits", type=int, choices=(1, 2), default=1)
    providing.add_argument("--revision", type=int, default=1, help="of the parameter set")
    providing.add_argument("--last-seq", type=int, metavar="N", help="last record of the module that it replaces")
    providing.add_argument("--label", type=Path, metavar="FILE", help="write the label: .svg, .png or .txt")
    providing.add_argument(
        "--firmware", choices=("same", "any"), default="same", help="must its program be this checkout's?"
    )
    providing.add_argument("--uplink", default="uplink.tty", help="line of a new emulated module")
    providing.add_argument("--bus", default="bus.tty", help="line of a new emulated module")
    providing.set_defaults(run=provision_main)
    rotating = verbs.add_parser("rotate", help="ask for another key")
    rotating.add_argument("port", metavar="PORT|DIRECTORY", help="the board's console, or an emulated module")
    rotating.add_argument("--board", metavar="NAME", help="what is at PORT")
    rotating.set_defaults(run=rotate_main)
    updating = verbs.add_parser("update", help="send a signed release")
    updating.add_argument("port", metavar="PORT", help="the module's link")
    updating.add_argument("--release", required=True, type=Path, metavar="DIR", help="release file, or its folder")
    updating.set_defaults(run=update_main)
    looping = verbs.add_parser("loopback", help="what the driver does to the analyzer bus")
    looping.add_argument("port", metavar="PORT", help="the board's console; no analyzers on its bus")
    looping.add_argument("--board", required=True, metavar="NAME", help=" ".join(sorted(BOARDS)))
    looping.set_defaults(run=loopback_main)
    for one in (info, providing, updating):
        one.add_argument("--link-address", type=_address, default=1, metavar="N", help="default 1")
    for one in (flashing, providing):
        one.add_argument(
            "--element",
            type=_element,
            metavar="ADDRESS:SLOT[:COUNTER]",
            help="a secure element has the key, e.g. 0x60:0; 0x60:0:0: its counter 0 counts the starts",
        )
        one.add_argument("--from", dest="folder", type=Path, default=FIRMWARE, help="program, .py or .mpy files")
    for one in (info, flashing, providing, rotating, updating, looping):
        one.add_argument("--baud", type=int, default=BAUD, help=f"of PORT; default {BAUD}")
        one.add_argument("--json", action="store_true", help="print one JSON object")
    return whole


def main(words: list[str] | None = None) -> int:
    """Exit status."""
    args = parser().parse_args(words)
    try:
        told = args.run(args)
    except Refusal as error:
        print(f"plumeproof module {args.verb}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps(told))
    return 0


def _address(text: str) -> int:
    if not text.isdecimal() or not frames.ADDRESS_MIN <= int(text) <= frames.ADDRESS_MAX:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not {frames.ADDRESS_MIN} to {frames.ADDRESS_MAX}")
    return int(text)


def _element(text: str) -> dict[str, int]:
    """What element.json says (boards/iron_start.py)."""
    try:
        words = [int(word, 0) for word in text.split(":")]
    except ValueError:
        words = []
    is_good = len(words) in (2, 3) and 8 <= words[0] <= 0x77 and 0 <= words[1] <= 15 and words[2:] in ([], [0], [1])
    if not is_good:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no ADDRESS:SLOT[:COUNTER] of 8..0x77, 0..15 and 0..1")
    return dict(zip(("address", "slot", "counter"), words, strict=False))


if __name__ == "__main__":
    sys.exit(main())
