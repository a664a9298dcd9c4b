"""Set up everything the commands need: virtual environment, locked dependencies, interpreter.

All of it lives in .cache/ of the checkout. A stamp over the lock, the project file and this Python makes a second run
short. Talks on standard error only, so that the last line of a command stays the command's own. Standard library only.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import interpreter

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
VENV = CACHE / "venv"
STAMP = CACHE / "setup.stamp"
INPUTS = ("requirements.lock", "pyproject.toml", "tools/setup/environment.py", "tools/setup/interpreter.py")
PYTHON_FLOOR = (3, 11)


def fingerprint() -> str:
    """What the set-up was made from."""
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """The virtual environment, with venv installed by the package manager where the system lacks it."""
    if (VENV / "bin" / "python").exists():
        return
    interpreter.say("creating the virtual environment")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        interpreter.run(sys.executable, "-m", "venv", str(VENV))
    except interpreter.Unobtainable:
        shutil.rmtree(VENV, ignore_errors=True)
        interpreter.install("python3-venv")
        interpreter.run(sys.executable, "-m", "venv", str(VENV))


def install_locked() -> None:
    """Exactly the versions and hashes of requirements.lock, then the project itself, editable."""
    interpreter.say("installing locked dependencies")
    pip = (str(VENV / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    interpreter.run(*pip, "--require-hashes", "-r", "requirements.lock", cwd=ROOT)
    interpreter.run(*pip, "--no-deps", "--no-build-isolation", "-e", ".", cwd=ROOT)


def main() -> int:
    if sys.version_info < PYTHON_FLOOR:
        print("set-up: Python 3.11 or later is needed; call make with PYTHON=python3.x", file=sys.stderr)
        return 2
    wanted = fingerprint()
    try:
        path = interpreter.obtain()
        if STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "python").exists():
            return 0
        make_venv()
        install_locked()
    except interpreter.Unobtainable as reason:
        print(f"set-up: {reason}", file=sys.stderr)
        return 3
    STAMP.write_text(wanted)
    interpreter.say(f"ready; MicroPython at {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
