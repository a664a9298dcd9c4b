"""Find or build mpy-cross of the release that interpreters and boards run: MicroPython 1.25.0, which writes .mpy 6.3.

Built once from the pinned source of interpreter.py, into .cache/micropython/1.25.0/. Standard library only.

    python3 tools/setup/mpy_cross.py --print
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import interpreter
import packages
from packages import Unobtainable, run, say

PATH = interpreter.CACHE / interpreter.OLDEST.version / "mpy-cross"
SIGN = f"MicroPython v{interpreter.OLDEST.version}"
EMITS = "emitting mpy v6.3"


def kept() -> Path | None:
    """What an earlier set-up built, if it is of the right release."""
    try:
        answer = subprocess.run([str(PATH), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    return PATH if SIGN in answer.stdout and EMITS in answer.stdout else None


def lacks() -> tuple[str, ...]:
    """System packages that `obtain` needs and this machine lacks."""
    if kept():
        return ()
    return tuple(name for name, sign in interpreter.BUILD_PACKAGES.items() if not interpreter.is_there(sign))


def obtain() -> Path:
    """Its path. Raises Unobtainable."""
    interpreter.CACHE.mkdir(parents=True, exist_ok=True)
    with (interpreter.CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
        if kept() is None:
            missing = lacks()
            if missing:
                packages.install(*missing)
            build()
    if kept() is None:
        raise Unobtainable(f"{PATH}: built, but does not say {EMITS!r}; try it by hand")
    return PATH


def build() -> None:
    """Half a minute on two cores. Raises Unobtainable."""
    with tempfile.TemporaryDirectory(dir=interpreter.CACHE) as scratch_name:
        source = interpreter.unpack_source(Path(scratch_name), interpreter.OLDEST)
        say(f"building mpy-cross {interpreter.OLDEST.version} from Debian's source package, about half a minute")
        run("make", "-C", "mpy-cross", "-j2", cwd=source)
        PATH.parent.mkdir(exist_ok=True)
        new = PATH.with_suffix(".new")  # renamed into place, so that an interrupted set-up leaves no half a file
        shutil.copy2(source / "mpy-cross/build/mpy-cross", new)
        new.replace(PATH)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the path (default: path and release)")
    args = parser.parse_args()
    try:
        path = obtain()
    except Unobtainable as reason:
        print(f"mpy-cross: {reason}", file=sys.stderr)
        return 3
    print(path if args.print else f"{path} {interpreter.OLDEST.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
