"""Find or build the emulated Cortex-M: QEMU's port of MicroPython as our board (tools/cortex/board), for M3 and M0.

Built from the same pinned source as the interpreter, with the distribution's cross compiler, once: the folder in
.cache/cortex/ carries the hash of what it was made from. It holds the part of the source that the port needs, compiled,
so that freezing the firmware into it takes seconds (tools/cortex/images.py), and built.json: versions, and how to make
an image again. QEMU and compiler are system packages, installed with root or sudo or named in one line. Standard
library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import interpreter
import packages
from packages import Unobtainable, run, say

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "cortex"
BOARD = ROOT / "tools" / "cortex" / "board"
NAME = "PLUMEPROOF"  # of the board, below ports/qemu/boards
CORES = ("m3", "m0")
QEMU = "qemu-system-arm"
COMPILER = "arm-none-eabi-gcc"
BUILD_PACKAGES = {  # package: the command or file that shows it is there
    **interpreter.BUILD_PACKAGES,
    "gcc-arm-none-eabi": COMPILER,
    "libnewlib-arm-none-eabi": "/var/lib/dpkg/info/libnewlib-arm-none-eabi.list",
}
RUN_PACKAGES = {"qemu-system-arm": QEMU}
KEPT = ("py", "extmod", "lib", "shared", "tools", "mpy-cross", "ports/qemu", "debian")  # of the source
MANIFEST = f"boards/{NAME}/manifest.py"
NOTHING_FROZEN = "# replaced when the firmware is frozen\n"


def folder() -> Path:
    """Where the images made from this board and this source lie."""
    digest = hashlib.sha256("".join(interpreter.SOURCE_SHA256.values()).encode())
    for path in (*sorted(BOARD.iterdir()), Path(__file__)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return CACHE / digest.hexdigest()[:16]


def lacks() -> tuple[str, ...]:
    """System packages that `obtain` needs and this machine lacks."""
    wanted = {**BUILD_PACKAGES, **RUN_PACKAGES}
    return tuple(package for package, sign in wanted.items() if not interpreter.is_there(sign))


def make_words(core: str) -> tuple[str, ...]:
    """The command that makes an image, from the top of the source."""
    names = (f"BOARD={NAME}", f"CORE={core}", f"BUILD=build-{core}", f"FROZEN_MANIFEST={MANIFEST}")
    return ("make", "-C", "ports/qemu", "-j2", *names)


def build(target: Path) -> None:
    """Both images; half a minute on two cores. Raises Unobtainable."""
    say("building MicroPython 1.25.0 (QEMU port, Cortex-M3 and M0) from Debian's source package, about half a minute")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch_name:
        scratch = Path(scratch_name)
        unpacked = interpreter.unpack_source(scratch)
        new = scratch / "new"
        source = new / "source"
        for name in KEPT:
            shutil.copytree(unpacked / name, source / name, symlinks=True)
        shutil.copytree(BOARD, source / "ports/qemu/boards" / NAME)
        (source / "ports/qemu" / MANIFEST).write_text(NOTHING_FROZEN)
        run("make", "-C", "mpy-cross", "-j2", cwd=source)
        for core in CORES:
            run(*make_words(core), cwd=source)
        compiler = run(COMPILER, "--version").splitlines()[0]
        facts = {
            "micropython": interpreter.SOURCE_PACKAGE.partition("=")[2],
            "compiler": compiler,
            "manifest": f"ports/qemu/{MANIFEST}",
            "images": {core: f"ports/qemu/build-{core}/firmware.elf" for core in CORES},
            "make": {core: make_words(core) for core in CORES},
        }
        (new / "built.json").write_text(json.dumps(facts, indent=1) + "\n")
        for old in CACHE.glob("*/built.json"):
            shutil.rmtree(old.parent)
        # Renamed into place, so that an interrupted set-up leaves no half a folder.
        new.replace(target)


def obtain() -> Path:
    """The folder with the images; system packages it lacks are installed. Raises Unobtainable."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
        missing = lacks()
        if missing:
            packages.install(*missing)
        target = folder()
        if not target.exists():
            build(target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the folder (default: folder and versions)")
    args = parser.parse_args()
    try:
        path = obtain()
    except Unobtainable as reason:
        print(f"emulated Cortex-M: {reason}", file=sys.stderr)
        return 3
    facts = json.loads((path / "built.json").read_text())
    print(path if args.print else f"{path} (MicroPython {facts['micropython']}, {facts['compiler']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
