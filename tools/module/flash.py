"""`flash`: the program onto a board, file by file over its console, each read back and compared.

main is taken away first and comes last: a board whose flashing was cut off has no program, and says so, rather than
half of one. Files of an earlier program that the new one lacks are removed, for every file counts in FIRMWARE_HASH.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools.module.boards import FIRMWARE, Board, ask, check, check_mpy, find, hold, is_wanted
from tools.module.console import Console
from tools.module.refusal import FAULT, USAGE, Refusal
from tools.release.documents import DocumentError
from tools.release.package import collect

LIST = """
import os,json
def walk(f):
 for e in os.ilistdir(f):
  p=f+'/'+e[0]
  if e[1]&0x4000:
   walk(p)
  else:
   print(json.dumps(p))
for f in {folders!r}:
 try:
  walk({root!r}+f)
 except OSError as e:
  if e.errno!=2:
   raise
"""
FOLDERS = ("acq", "acqwire", "boards")
MAINS = ("main.py", "main.mpy")


def choose_files(folder: Path, board: Board) -> dict[str, bytes]:
    """The program below a folder such as firmware/ that this board needs. Raises Refusal."""
    try:
        files = {path: raw for path, raw in collect(folder).items() if is_wanted(path, board)}
    except DocumentError as error:
        raise Refusal(str(error), USAGE) from error
    if files.pop("main.mpy", None) is not None and "main.py" not in files:
        files["main.py"] = (FIRMWARE / "main.py").read_bytes()  # MicroPython starts no main.mpy
    if "main.py" not in files:
        raise Refusal(f"{folder}: holds no program with a main; name the program's folder with --from", USAGE)
    return files


def firmware_hash(files: Mapping[str, bytes]) -> bytes:
    """FIRMWARE_HASH of SPEC.md section 4.3."""
    whole = hashlib.sha256()
    for path in sorted(files, key=str.encode):
        whole.update(path.encode() + b"\x00" + hashlib.sha256(files[path]).digest())
    return whole.digest()


def flash(
    console: Console,
    name: str,
    folder: Path = FIRMWARE,
    report: Callable[[int, int], None] | None = None,
    has_element: bool = False,
) -> dict[str, Any]:
    """Put the program for board `name` on what answers. report(bytes of a step, bytes in all). Raises Refusal."""
    board = find(name)
    files = choose_files(folder, board)
    facts = ask(console)
    check(name, facts, console.port, has_element)
    for path, content in files.items():
        check_mpy(path, content, facts, console.port)
    root = "" if console.run("import os\nprint(os.getcwd())").strip() in ("", "/") else "/flash"
    with hold(console, board, is_flashing=True):
        written, removed = _replace(console, root, files, report)
    return {
        "board": name,
        "machine": facts.machine,
        "micropython": facts.release,
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "written": written,
        "removed": removed,
        "firmware_hash": firmware_hash(files).hex(),
    }


def _replace(
    console: Console, root: str, files: Mapping[str, bytes], report: Callable[[int, int], None] | None
) -> tuple[int, int]:
    """Files written and removed."""
    old = _list(console, root)
    for main in MAINS:
        console.remove(f"{root}/{main}")
    for folder_path in sorted({parent for path in files for parent in _parents(path)}):
        console.make_folder(f"{root}/{folder_path}")
    total = sum(map(len, files.values()))
    written = 0
    for path in sorted(files, key=lambda item: (item in MAINS, item)):
        place = f"{root}/{path}"
        is_same = place in old and console.hash(place) == hashlib.sha256(files[path]).digest()
        if is_same:
            if report is not None:
                report(len(files[path]), total)
            continue
        console.write(place, files[path], None if report is None else lambda count: report(count, total))
        written += 1
    gone = old - {f"{root}/{path}" for path in files}
    for place in sorted(gone):
        console.remove(place)
    _compare(console, root, files)
    return written, len(gone)


def _compare(console: Console, root: str, files: Mapping[str, bytes]) -> None:
    """Everything once more, from flash, when all of it is there."""
    found = _list(console, root) | {f"{root}/{main}" for main in MAINS if console.exists(f"{root}/{main}")}
    wanted = {f"{root}/{path}": hashlib.sha256(raw).digest() for path, raw in files.items()}
    for place in sorted(found ^ set(wanted)):
        raise Refusal(f"{console.port}: {place} should{'' if place in wanted else ' not'} be there: flash it again")
    for place, digest in wanted.items():
        if console.hash(place) != digest:
            raise Refusal(f"{console.port}: {place} reads back as another file: the board's flash is bad", FAULT)


def _list(console: Console, root: str) -> set[str]:
    lines = console.run(LIST.format(folders=[f"/{name}" for name in FOLDERS], root=root)).splitlines()
    try:
        return {str(json.loads(line)) for line in lines}
    except ValueError as error:
        raise Refusal(f"{console.port}: the board lists its files in words that are none") from error


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
