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
REFEREES = CACHE / "referees"  # pycose and cwt need an older cbor2 than the bridge does
INPUTS = (
    "requirements.lock",
    "tests/referees.lock",
    "pyproject.toml",
    "tools/setup/environment.py",
    "tools/setup/interpreter.py",
)
PYTHON_FLOOR = (3, 11)


def fingerprint() -> str:
    """What the set-up was made from."""
    digest = hashlib.sha256(sys.version.encode() + str(ROOT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make_venv(folder: Path) -> None:
    """A virtual environment, with venv installed by the package manager where the system lacks it."""
    if (folder / "bin" / "python").exists():
        return
    interpreter.say(f"creating the virtual environment {folder.relative_to(ROOT)}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        interpreter.run(sys.executable, "-m", "venv", str(folder))
    except interpreter.Unobtainable:
        shutil.rmtree(folder, ignore_errors=True)
        interpreter.install("python3-venv")
        interpreter.run(sys.executable, "-m", "venv", str(folder))


def install_locked(folder: Path, lock: str) -> None:
    """Exactly the versions and hashes of a lock."""
    interpreter.say(f"installing the locked packages of {lock}")
    interpreter.run(*pip(folder), "--require-hashes", "-r", lock, cwd=ROOT)


def install_project() -> None:
    """The project itself, editable."""
    interpreter.run(*pip(VENV), "--no-deps", "--no-build-isolation", "-e", ".", cwd=ROOT)


def pip(folder: Path) -> tuple[str, ...]:
    return (str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")


def main() -> int:
    if sys.version_info < PYTHON_FLOOR:
        print("set-up: Python 3.11 or later is needed; call make with PYTHON=python3.x", file=sys.stderr)
        return 2
    wanted = fingerprint()
    try:
        path = interpreter.obtain()
        if STAMP.exists() and STAMP.read_text() == wanted and (VENV / "bin" / "python").exists():
            return 0
        make_venv(VENV)
        install_locked(VENV, "requirements.lock")
        install_project()
        make_venv(REFEREES)
        install_locked(REFEREES, "tests/referees.lock")
    except interpreter.Unobtainable as reason:
        print(f"set-up: {reason}", file=sys.stderr)
        return 3
    STAMP.write_text(wanted)
    interpreter.say(f"ready; MicroPython at {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
