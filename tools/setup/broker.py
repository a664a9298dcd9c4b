"""Find or obtain the MQTT broker of demo and tests; tools/broker.py starts what is found here.

Order: an installed mosquitto (2.0 or later); the distribution's package, with root or sudo; the same package with its
libraries unpacked into .cache/broker/, which needs no rights; else amqtt from the lock, which speaks MQTT 3.1.1 only.
Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import packages
from packages import Unobtainable, say

VERSION_FLOOR = (2, 0)  # older ones listen on every address by default
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "broker"  # the package's own tree: usr/sbin, usr/lib
SBIN = ("/usr/sbin", "/usr/local/sbin")  # Debian puts mosquitto there; ordinary users have them not in PATH
AMQTT = "amqtt from the lock (MQTT 3.1.1 only)"


def version_of(program: Path) -> tuple[int, ...] | None:
    """Version of a mosquitto that runs here; None for one that is too old or lacks a library."""
    environment = dict(os.environ)
    if program.is_relative_to(CACHE):
        folders = {str(library.parent) for library in CACHE.glob("usr/lib/**/*.so*")}
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(sorted(folders))
    try:
        # Its help, the only way to its version, ends with status 3.
        answer = subprocess.run(
            [program, "-h"], capture_output=True, text=True, env=environment, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"mosquitto version (\d+)\.(\d+)\.(\d+)", answer.stdout)
    if found is None:
        return None
    version = tuple(int(part) for part in found.groups())
    return version if version >= VERSION_FLOOR else None


def installed() -> Path | None:
    """A mosquitto that is there already: the system's, or the one unpacked before."""
    found = shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN)))
    kept = CACHE / "usr" / "sbin" / "mosquitto"
    return next((path for path in (found and Path(found), kept) if path and version_of(path)), None)


def lacks() -> tuple[str, ...]:
    """System packages to install; none where there are no rights, because unpacking needs none."""
    if installed() or not packages.may_install():
        return ()
    packages.refresh()
    offered = packages.candidate("mosquitto")
    return ("mosquitto",) if offered is not None and offered >= VERSION_FLOOR else ()


def obtain() -> str:
    """Which broker there is, in words; never fails, amqtt comes with the lock."""
    if not installed():
        try:
            missing = lacks()
            if missing:
                packages.install(*missing)
            else:
                say("unpacking mosquitto into .cache/broker/")
                packages.unpack("mosquitto", CACHE)
        except Unobtainable as reason:
            say(f"no mosquitto: {reason}; the broker will be {AMQTT}")
    there = installed()
    if there is None:
        return AMQTT
    return f"mosquitto {'.'.join(str(part) for part in version_of(there) or ())} at {there}"


def main() -> int:
    """Obtain the broker and say which it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="only say what is there: the path, or `amqtt`")
    args = parser.parse_args()
    if args.print:
        print(installed() or "amqtt")
    else:
        print(obtain())
    return 0


if __name__ == "__main__":
    sys.exit(main())
