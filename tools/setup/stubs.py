"""Install the type stubs of MicroPython's ports that the board files are checked against, each into .cache/stubs/NAME.

Pinned with hashes in tests/stubs.lock. Standard library only; pip is that of the virtual environment.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
import tempfile
from pathlib import Path

from packages import Unobtainable, run, say

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "stubs"
LOCK = ROOT / "tests" / "stubs.lock"
PIP = ROOT / ".cache" / "venv" / "bin" / "python"


def pinned() -> dict[str, str]:
    """{esp32, rp2, stm32, stdlib: its line of the lock}."""
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    return {line.split("-")[1]: line for line in lines}


def obtain() -> Path:
    """The folder of all. Raises Unobtainable."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
        for name, line in pinned().items():
            target = CACHE / name
            stamp = target / "setup.stamp"
            if stamp.exists() and stamp.read_text() == line:
                continue
            say(f"installing {line.split()[0]}")
            shutil.rmtree(target, ignore_errors=True)
            with tempfile.TemporaryDirectory() as scratch:
                wanted = Path(scratch) / "requirements.txt"
                wanted.write_text(line + "\n")
                pip = (str(PIP), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps")
                run(*pip, "--require-hashes", "--target", str(target), "-r", str(wanted), cwd=ROOT)
            stamp.write_text(line)
    return CACHE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the folder")
    args = parser.parse_args()
    try:
        path = obtain()
    except Unobtainable as reason:
        print(f"stubs: {reason}", file=sys.stderr)
        return 3
    if args.print:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
