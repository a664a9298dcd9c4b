"""Set up everything the commands need: system packages, virtual environment, interpreter, broker, browser.

All of it lives in .cache/ of the checkout, but for system packages, which root or sudo installs in one go. A stamp over
the locks, the project file and this Python makes a second run short. Talks on standard error only, so that the last
line of a command stays the command's own. Standard library only.

    python3 tools/setup/environment.py              # everything
    python3 tools/setup/environment.py --for demo   # without what only tests need: browser, compiler, stubs, ...
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

import broker
import browser
import interpreter
import mpy_cross
import packages
import stubs
from packages import Unobtainable, run, say

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
VENV = CACHE / "venv"
REFEREES = CACHE / "referees"  # pycose and cwt need an older cbor2 than the bridge does
PEERS = CACHE / "peers"  # large, and wanted by one benchmark only
LOCKS = {VENV: "requirements.lock", REFEREES: "tests/referees.lock", PEERS: "tools/bench/peers.lock"}
PYTHON_FLOOR = (3, 11)


def fingerprint(folder: Path) -> str:
    """What an environment was made from."""
    digest = hashlib.sha256(sys.version.encode() + str(folder).encode())
    for name in (LOCKS[folder], "pyproject.toml", "tools/setup/environment.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def make(folder: Path) -> bool:
    """A virtual environment with exactly the versions and hashes of its lock; False when it was there already."""
    stamp, wanted = folder / "setup.stamp", fingerprint(folder)
    if stamp.exists() and stamp.read_text() == wanted and (folder / "bin" / "python").exists():
        return False
    python = str(folder / "bin" / "python")
    if not (folder / "bin" / "pip").exists():
        say(f"creating the virtual environment {folder.relative_to(ROOT)}")
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", str(folder))
    stamp.unlink(missing_ok=True)
    say(f"installing the locked packages of {LOCKS[folder]}")
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", LOCKS[folder], cwd=ROOT)
    if folder == VENV:
        run(*pip, "--no-deps", "--no-build-isolation", "-e", ".", cwd=ROOT)
    stamp.write_text(wanted)
    return True


def lacks(is_for_tests: bool) -> tuple[str, ...]:
    """All system packages that this machine lacks, so that one command installs and one line names them."""
    venv = () if importlib.util.find_spec("ensurepip") else ("python3-venv",)
    interpreters = interpreter.lacks(*wanted_interpreters(is_for_tests))
    for_tests = (*browser.lacks(), *mpy_cross.lacks()) if is_for_tests else ()
    return tuple(dict.fromkeys((*venv, *interpreters, *broker.lacks(), *for_tests)))


def wanted_interpreters(is_for_tests: bool) -> tuple[str, ...]:
    """The first is the demo's."""
    return interpreter.wanted_for_tests() if is_for_tests else (interpreter.FIRST,)


def set_up(is_for_tests: bool) -> None:
    """Everything, in the order in which it is needed. Raises Unobtainable."""
    missing = lacks(is_for_tests)
    if missing:
        packages.install(*missing)
        if "mosquitto" in missing and Path("/run/systemd/system").exists():
            say("mosquitto's own service, on loopback, is not needed here: `systemctl disable --now mosquitto` ends it")
    path, *_ = interpreter.obtain_all(*wanted_interpreters(is_for_tests))
    broker_words = broker.obtain()
    is_new = make(VENV)
    if is_for_tests:
        is_new = make(REFEREES) or is_new
        is_new = make(PEERS) or is_new
        browser.obtain()
        mpy_cross.obtain()
        stubs.obtain()
    if is_new or missing:
        say(f"ready; MicroPython {'.'.join(map(str, interpreter.version_of(path) or ()))} at {path}; {broker_words}")


def main() -> int:
    """Run the set-up; exit status 3 when something cannot be had, 2 when this Python is too old."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="purpose", choices=("demo", "test"), default="test", help="default: test")
    args = parser.parse_args()
    if sys.version_info < PYTHON_FLOOR:
        print("set-up: Python 3.11 or later is needed; call make with PYTHON=python3.x", file=sys.stderr)
        return 2
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
        try:
            set_up(args.purpose == "test")
        except Unobtainable as reason:
            print(f"set-up: {reason}", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
