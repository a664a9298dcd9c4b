"""`plumeproof table check|import|export|diff`: register tables (CSV, XLSX) and analyzer profiles (JSON).

`check FILE` names every cell that cannot be used; `import FILE -o PLACE` makes profiles of a table or of anybody's
register list; `export PROFILE -o FILE.csv|FILE.xlsx` makes a table of a profile; `diff A B` compares two of any form.
Exit status: 0 fine (diff: equal), 1 refused cells or differences, 2 usage or a file that is unusable as a whole.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumeproof.cli.bus_options import number
from plumeproof.errors import ConfigError

if TYPE_CHECKING:
    from plumeproof.survey.register_list import Listed

FORMS = {".json": "json", ".csv": "csv", ".xlsx": "xlsx"}


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "table", help="register tables: check, import, export, diff"
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="check|import|export|diff")
    check = what.add_parser("check", help="name every cell that cannot be used, and what is worth a look")
    check.set_defaults(main=check_main)
    import_ = what.add_parser("import", help="make profiles of a CSV or XLSX table or register list")
    import_.add_argument(
        "-o", "--output", required=True, type=Path, metavar="PLACE", help="folder, or FILE.json for one"
    )
    import_.add_argument("--partial", action="store_true", help="write what is whole although cells were refused")
    import_.set_defaults(main=import_main)
    for one in (check, import_):
        one.add_argument("file", type=Path, metavar="FILE", help="CSV, XLSX or JSON")
        _add_list_options(one)
    export = what.add_parser("export", help="write a profile as table or JSON")
    export.add_argument("profile", metavar="PROFILE", help="name among firmware/profiles, or a file")
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="FILE.csv, .xlsx or .json")
    export.set_defaults(main=export_main)
    diff = what.add_parser("diff", help="compare two profiles or tables fact by fact")
    diff.add_argument("old", metavar="A", help="name among firmware/profiles, or a file")
    diff.add_argument("new", metavar="B")
    diff.set_defaults(main=diff_main)
    for one in (import_, export):
        one.add_argument("--replace", action="store_true", help="write over files that are there")
    for one in (check, import_, export, diff):
        one.add_argument("--json", action="store_true", help="print one JSON object")


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sheet", metavar="NAME", help="of a workbook; default: the first")
    parser.add_argument(
        "--first-address", type=int, choices=(0, 1), default=0, help="what plain numbers count from; default 0"
    )
    parser.add_argument(
        "--gap", type=number(0, 120), default=0, metavar="N", help="unnamed registers a block may read over; default 0"
    )
    parser.add_argument("--order", choices=("ABCD", "CDAB", "BADC", "DCBA"), default="", help="where the list has none")


def check_main(args: argparse.Namespace) -> int:
    """Run `table check`."""
    from plumeproof.survey.difference import look_over

    listed = _read(args)
    remarks = {profile["profile"]: look_over(profile) for profile in listed.profiles}
    if args.json:
        print(json.dumps(_result(listed) | {"worth_a_look": remarks}))
    else:
        for line in [*map(str, listed.refusals), *listed.remarks]:
            print(line)
        for profile in listed.profiles:
            channels, blocks = len(profile["channels"]), len(profile["blocks"])
            found = remarks[profile["profile"]]
            print(f"{profile['profile']}: {channels} channels in {blocks} blocks, {len(found)} remarks")
            for remark in found:
                print(f"  {remark}")
        print(_verdict(listed))
    return 1 if listed.refusals else 0


def import_main(args: argparse.Namespace) -> int:
    """Run `table import`."""
    from plumeproof.survey.table_file import build_json, write_new

    listed = _read(args)
    is_file = args.output.suffix.lower() == ".json"
    written: list[str] = []
    if listed.profiles and (args.partial or not listed.refusals):
        if is_file and (len(listed.profiles) != 1 or listed.profiles[0]["profile"] != args.output.stem):
            names = " ".join(profile["profile"] for profile in listed.profiles)
            raise ConfigError(str(args.output), f"a profile's file has its name, and here is {names}; name a folder")
        folder = args.output.parent if is_file else args.output
        folder.mkdir(parents=True, exist_ok=True)
        for profile in listed.profiles:
            path = folder / f"{profile['profile']}.json"
            write_new(path, build_json(profile), args.replace)
            written.append(str(path))
    if args.json:
        print(json.dumps(_result(listed) | {"written": written}))
    else:
        for line in [*map(str, listed.refusals), *listed.remarks, *(f"wrote {path}" for path in written)]:
            print(line)
        hint = "; nothing written, --partial writes the whole ones" if listed.refusals and not written else ""
        print(_verdict(listed) + hint)
    return 1 if listed.refusals else 0


def export_main(args: argparse.Namespace) -> int:
    """Run `table export`."""
    from plumeproof.survey.table_file import build_file, find_profile, write_new

    form = FORMS.get(args.output.suffix.lower())
    if form is None:
        raise ConfigError(str(args.output), f"ends in none of {' '.join(FORMS)}; name the form by the ending")
    profile = find_profile(args.profile)
    if form == "json" and args.output.stem != profile["profile"]:
        raise ConfigError(str(args.output), f"a profile's file has its name; call it {profile['profile']}.json")
    content = build_file(profile, form)
    write_new(args.output, content, args.replace)
    result = {"profile": profile["profile"], "file": str(args.output), "bytes": len(content)}
    print(
        json.dumps(result) if args.json else f"{args.output}: {len(profile['channels'])} channels, {len(content)} bytes"
    )
    return 0


def diff_main(args: argparse.Namespace) -> int:
    """Run `table diff`."""
    from plumeproof.survey.difference import compare
    from plumeproof.survey.table_file import find_profile

    changes = compare(find_profile(args.old), find_profile(args.new))
    if args.json:
        print(json.dumps({"equal": not changes, "changes": [asdict(change) for change in changes]}))
    else:
        for change in changes:
            print(f"{change.place}: {change.before} -> {change.after}")
        print(f"{len(changes)} differences" if changes else "equal")
    return 1 if changes else 0


def _read(args: argparse.Namespace) -> Listed:
    from plumeproof.survey.table_file import read_profiles

    if not args.file.is_file():
        raise ConfigError(str(args.file), "is no file; name a CSV, XLSX or JSON file")
    return read_profiles(args.file, args.sheet, args.first_address, args.gap, args.order)


def _result(listed: Listed) -> dict[str, Any]:
    return {
        "fine": not listed.refusals,
        "profiles": [
            {"profile": profile["profile"], "channels": len(profile["channels"]), "blocks": len(profile["blocks"])}
            for profile in listed.profiles
        ],
        "refusals": [asdict(refusal) for refusal in listed.refusals],
        "remarks": listed.remarks,
    }


def _verdict(listed: Listed) -> str:
    cells = len(listed.refusals)
    channels = sum(len(profile["channels"]) for profile in listed.profiles)
    word = "fine" if not cells else "NOT FINE"
    return f"{word}: {len(listed.profiles)} profiles with {channels} channels, {cells} cells refused"
