"""Find or build the MicroPython interpreter that demo, tests and emulated modules run on.

Order: $PLUMEPROOF_MICROPYTHON; an installed `micropython` of sufficient version; the distribution's package; the
unix port built from Debian's source package (1.25.0+ds-1, its files pinned by SHA-256), read through a private
package index so that the system's own sources stay as they are. The result is kept in .cache/micropython/.
A missing interpreter is an error, never a reason to skip. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import packages
from packages import Unobtainable, run, say

VERSION_FLOOR = (1, 23)
SOURCE_PACKAGE = "micropython=1.25.0+ds-1"  # Debian 13; the oldest release that the package sources give
SOURCE_SUITE = "trixie"
SOURCE_SHA256 = {
    "micropython_1.25.0+ds-1.dsc": "8c7c406be88a6f3bc19e694eb0bbc5841112243fdf2b5a296e000d8fdc5f3c34",
    "micropython_1.25.0+ds.orig.tar.xz": "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    "micropython_1.25.0+ds-1.debian.tar.xz": "87cd89f7900c86b963885dabe25acf3e5348815993f1500278ad8f6464465af4",
}
BUILD_PACKAGES = {  # package: the command or file that shows it is there
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "make": "make",
    "dpkg-dev": "dpkg-source",
    "xz-utils": "xz",
}
DISTRIBUTION_MIRROR = "http://deb.debian.org/debian"  # Debian's own name, where the machine's sources name none
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "micropython"
PROBE = (
    "import sys,select,hashlib,os,vfs,termios;hashlib.sha256;select.poll;vfs.VfsPosix;"
    "print('.'.join(str(n) for n in sys.implementation[1][:3]))"
)


def version_of(path: str | Path) -> tuple[int, ...] | None:
    """Version of a usable interpreter, None for one that is missing, too old or lacks a module."""
    try:
        answer = subprocess.run(
            [str(path), "-X", "heapsize=128k", "-c", PROBE], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)\s*", answer.stdout)
    if answer.returncode != 0 or match is None:
        return None
    version = tuple(int(part) for part in match.groups())
    return version if version >= VERSION_FLOOR else None


def installed() -> Path | None:
    """An interpreter that is there already: named, installed, or kept from an earlier set-up."""
    wished = os.environ.get("PLUMEPROOF_MICROPYTHON")
    if wished:
        if version_of(wished) is None:
            raise Unobtainable(
                f"$PLUMEPROOF_MICROPYTHON={wished} is no MicroPython >= 1.23 with select, vfs and termios"
            )
        return Path(wished)
    found = shutil.which("micropython")
    if found and version_of(found):
        return Path(found)
    return next((kept for kept in sorted(CACHE.glob("*/micropython"), reverse=True) if version_of(kept)), None)


def lacks() -> tuple[str, ...]:
    """System packages that `obtain` needs and this machine lacks."""
    if installed():
        return ()
    missing = tuple(package for package, sign in BUILD_PACKAGES.items() if not is_there(sign))
    if packages.may_install():
        packages.refresh()
    offered = packages.candidate("micropython")
    # Where nothing can be installed but everything to build with is there, building asks for nobody's help.
    is_offered = offered is not None and offered >= VERSION_FLOOR
    return ("micropython",) if is_offered and (packages.may_install() or missing) else missing


def is_there(sign: str) -> bool:
    """Whether a command, or a file by its full path, is on this machine."""
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign) is not None


def mirror() -> str:
    """The Debian mirror this machine uses already."""
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for source in lists:
        if source.is_file():
            found = re.search(
                r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s+)?)(\S+/debian)/?(?:\s|$)", source.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    return DISTRIBUTION_MIRROR


def unpack_source(scratch: Path) -> Path:
    """The pinned source, checked and unpacked below `scratch`, an empty folder. Raises Unobtainable."""
    # Without Debian's keys (Ubuntu) the index goes unchecked; every file that is used is pinned.
    option = f"signed-by={KEYRING}" if Path(KEYRING).exists() else "trusted=yes"
    env = packages.private_index(scratch, f"deb-src [{option}] {mirror()} {SOURCE_SUITE} main\n")
    run("apt-get", "source", "-q", "--download-only", SOURCE_PACKAGE, cwd=scratch, env=env)
    for name, pinned in SOURCE_SHA256.items():
        if hashlib.sha256((scratch / name).read_bytes()).hexdigest() != pinned:
            raise Unobtainable(f"{name}: SHA-256 is not the pinned one; the source is not to be trusted")
    # --no-check: the signature on the .dsc is not asked for, it and its two tarballs have just been checked.
    run("dpkg-source", "--no-check", "-x", next(iter(SOURCE_SHA256)), "source", cwd=scratch)
    return scratch / "source"


def build() -> Path:
    """Build the unix port from Debian's source package; about a minute on two cores."""
    say("building MicroPython 1.25.0 (unix port) from Debian's source package, about a minute")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch_name:
        source = unpack_source(Path(scratch_name))
        run("make", "-C", "mpy-cross", "-j2", cwd=source)
        run(
            "make", "-C", "ports/unix", "-j2", "STRIP=true", "FROZEN_MANIFEST=../../debian/config/manifest.py",
            "MICROPY_PY_BTREE=0", "MICROPY_PY_FFI=0", "MICROPY_PY_JNI=0", "MICROPY_PY_SSL=0",
            "MICROPY_SSL_MBEDTLS=0", "MICROPY_SSL_AXTLS=0", cwd=source,
        )  # fmt: skip
        target = CACHE / "1.25.0" / "micropython"
        target.parent.mkdir(exist_ok=True)
        built = next((source / "ports/unix").glob("build*/micropython"))
        # Renamed into place, so that an interrupted set-up leaves no half a file.
        shutil.copy2(built, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)
    return target


def obtain() -> Path:
    """Path of a usable interpreter; system packages it lacks are installed. Raises Unobtainable."""
    there = installed()
    if there is not None:
        return there
    missing = lacks()
    if missing:
        packages.install(*missing)
    path = installed() or build()
    if version_of(path) is None:
        raise Unobtainable(f"{path}: built or installed, but does not run as needed")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the path (default: path and version)")
    args = parser.parse_args()
    try:
        path = obtain()
    except Unobtainable as reason:
        print(f"MicroPython: {reason}", file=sys.stderr)
        return 3
    version = ".".join(str(part) for part in version_of(path) or ())
    print(path if args.print else f"{path} {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
