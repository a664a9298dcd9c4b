"""Find or build the MicroPython interpreter that demo, tests and emulated modules run on.

Order: $PLUMEPROOF_MICROPYTHON; an installed `micropython` of sufficient version; the distribution's package; the
unix port built from Debian's source package (1.25.0+ds-1, source tarball pinned by SHA-256), read through a private
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

VERSION_FLOOR = (1, 23)
SOURCE_PACKAGE = "micropython=1.25.0+ds-1"  # Debian 13; the oldest release that the package sources give
SOURCE_SUITE = "trixie"
SOURCE_SHA256 = "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
BUILD_PACKAGES = ("gcc", "libc6-dev", "make", "dpkg-dev", "xz-utils")
DISTRIBUTION_MIRROR = "http://deb.debian.org/debian"  # Debian's own name, where the machine's sources name none
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "micropython"
PROBE = (
    "import sys,select,hashlib,os,vfs,termios;hashlib.sha256;select.poll;vfs.VfsPosix;"
    "print('.'.join(str(n) for n in sys.implementation[1][:3]))"
)


class Unobtainable(Exception):
    """No interpreter; the text says what, why and the mend."""


def say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


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


def as_root(*command: str) -> list[str]:
    """The command with the rights that package tools need, or [] where there are none."""
    if os.geteuid() == 0:
        return list(command)
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", *command]
    return []


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; its last lines become the error when it fails."""
    answer = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        tail = " | ".join((answer.stderr or answer.stdout).strip().splitlines()[-3:])
        raise Unobtainable(f"{' '.join(command[:4])} failed: {tail}")
    return answer.stdout


def install(*packages: str) -> None:
    """Install system packages. Raises Unobtainable naming them when there is no right to."""
    command = as_root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends")
    if not command:
        raise Unobtainable(f"not root and no sudo: ask for `apt-get install {' '.join(packages)}`, then run again")
    say(f"installing {' '.join(packages)}")
    run(*as_root("apt-get", "update", "-q"))
    run(*command, *packages)


def from_distribution() -> Path | None:
    """The distribution's package, where it is new enough."""
    if shutil.which("apt-cache") is None:
        return None
    policy = subprocess.run(["apt-cache", "policy", "micropython"], capture_output=True, text=True, check=False).stdout
    candidate = re.search(r"Candidate: (\d+)\.(\d+)", policy)
    if candidate is None or (int(candidate[1]), int(candidate[2])) < VERSION_FLOOR or not as_root("true"):
        return None
    install("micropython")
    found = shutil.which("micropython")
    return Path(found) if found and version_of(found) else None


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


def build() -> Path:
    """Build the unix port from Debian's source package; about a minute on two cores."""
    missing = [
        package
        for package, tool in zip(BUILD_PACKAGES, ("gcc", "", "make", "dpkg-source", "xz"), strict=True)
        if (tool and shutil.which(tool) is None) or (not tool and not list(Path("/usr/include").rglob("stdio.h"))[:1])
    ]
    if missing:
        install(*missing)
    say("building MicroPython 1.25.0 (unix port) from Debian's source package, about a minute")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch_name:
        scratch = Path(scratch_name)
        for folder in ("lists/partial", "cache/archives/partial"):
            (scratch / folder).mkdir(parents=True)
        signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
        (scratch / "sources.list").write_text(f"deb-src {signed}{mirror()} {SOURCE_SUITE} main\n")
        (scratch / "aptrc").write_text(
            f'Dir::Etc::SourceList "{scratch}/sources.list";\nDir::Etc::SourceParts "-";\n'
            f'Dir::State::Lists "{scratch}/lists";\nDir::Cache "{scratch}/cache";\n'
            'Acquire::Languages "none";\nAPT::Sandbox::User "";\n'
        )
        env = {**os.environ, "APT_CONFIG": str(scratch / "aptrc")}
        run("apt-get", "update", "-q", cwd=scratch, env=env)
        run("apt-get", "source", "-q", "--download-only", SOURCE_PACKAGE, cwd=scratch, env=env)
        tarball = next(scratch.glob("micropython_*.orig.tar.*"))
        if hashlib.sha256(tarball.read_bytes()).hexdigest() != SOURCE_SHA256:
            raise Unobtainable(f"{tarball.name}: SHA-256 is not the pinned one; the source is not to be trusted")
        run("dpkg-source", "--no-check", "-x", next(scratch.glob("*.dsc")).name, "source", cwd=scratch)
        source = scratch / "source"
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
    """Path of a usable interpreter. Raises Unobtainable."""
    wished = os.environ.get("PLUMEPROOF_MICROPYTHON")
    if wished:
        if version_of(wished) is None:
            raise Unobtainable(
                f"$PLUMEPROOF_MICROPYTHON={wished} is no MicroPython >= 1.23 with select, vfs and termios"
            )
        return Path(wished)
    installed = shutil.which("micropython")
    if installed and version_of(installed):
        return Path(installed)
    for kept in sorted(CACHE.glob("*/micropython"), reverse=True):
        if version_of(kept):
            return kept
    path = from_distribution() or build()
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
