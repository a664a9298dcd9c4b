"""Find or build the MicroPython interpreters that demo, tests and emulated modules run on.

The first, which the demo needs, in this order: $PLUMEPROOF_MICROPYTHON; an installed `micropython` of sufficient
version; the distribution's package; the unix port built from Debian's source package 1.25.0. Tests and benches need
two more, always built:

    --build 32      1.25.0 with 32-bit words and single-precision floats, as boards have them; on amd64 only
    --build newest  the newest release that Debian has a source package of, words of this machine

Source packages are pinned by SHA-256 and read through a private package index, so that the system's own sources stay
as they are. Each interpreter is built once, into .cache/micropython/. A missing one is an error, never a reason to
skip; only where no 32-bit build can be had, on other machines than amd64 and outside CI, do its tests not run, and the
last lines of `make test` say so. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import packages
from packages import Unobtainable, run, say

VERSION_FLOOR = (1, 23)
BUILD_PACKAGES = {  # package: the command or file that shows it is there
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "make": "make",
    "dpkg-dev": "dpkg-source",
    "xz-utils": "xz",
}
PACKAGES_32 = {"gcc-multilib": "/var/lib/dpkg/info/gcc-multilib.list"}
DISTRIBUTION_MIRROR = "http://deb.debian.org/debian"  # Debian's own name, where the machine's sources name none
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "micropython"
PROBE = (
    "import sys,select,hashlib,os,vfs,termios;hashlib.sha256;select.poll;vfs.VfsPosix;"
    "print('.'.join(str(n) for n in sys.implementation[1][:3]))"
)
# What a board's arithmetic is: small integers of 31 bits, floats of 24. A flag of the build that is ignored shows here.
PROBE_32 = "import sys;print(sys.maxsize==2**31-1 and 16777217*1.0==16777216.0)"
NOT_RUN = "tests on 32-bit words not run: the 32-bit MicroPython is built on amd64 only"
# Nothing frozen: the firmware brings all it uses, and no mpy-cross is needed then.
MAKE_WORDS = (
    "STRIP=true", "FROZEN_MANIFEST=", "MICROPY_PY_BTREE=0", "MICROPY_PY_FFI=0", "MICROPY_PY_JNI=0", "MICROPY_PY_SSL=0",
    "MICROPY_SSL_MBEDTLS=0", "MICROPY_SSL_AXTLS=0",
)  # fmt: skip


@dataclass(frozen=True)
class Release:
    """One of Debian's source packages. `sha256` of its three files, the .dsc first."""

    package: str
    suites: tuple[str, ...]
    sha256: dict[str, str]

    @property
    def version(self) -> str:
        """As the interpreter says it."""
        return self.package.partition("=")[2].partition("+")[0]


OLDEST = Release(
    "micropython=1.25.0+ds-1",  # Debian 13; the oldest release that the package sources give
    ("trixie",),
    {
        "micropython_1.25.0+ds-1.dsc": "8c7c406be88a6f3bc19e694eb0bbc5841112243fdf2b5a296e000d8fdc5f3c34",
        "micropython_1.25.0+ds.orig.tar.xz": "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
        "micropython_1.25.0+ds-1.debian.tar.xz": "87cd89f7900c86b963885dabe25acf3e5348815993f1500278ad8f6464465af4",
    },
)
NEWEST = Release(
    "micropython=1.26.1+ds-1",
    ("forky", "sid"),  # both have it (2026-11-25); one is enough
    {
        "micropython_1.26.1+ds-1.dsc": "5c3feac74c0ad2ec2a8810b04e223bd634023bd24c5e5e10b545ba05a6b74a65",
        "micropython_1.26.1+ds.orig.tar.xz": "f5ad2ec89d3e921f753d448955af98b6005655f84ba26087dde6ba0e8d062f34",
        "micropython_1.26.1+ds-1.debian.tar.xz": "1f6af20cc729518aeeb039455d43d5cd6fe7cb94f6ecff9980836003bdf795c2",
    },
)
SOURCE_PACKAGE = OLDEST.package
SOURCE_SHA256 = OLDEST.sha256


@dataclass(frozen=True)
class Build:
    """One interpreter: where it is kept below .cache/micropython/, what its words are, what make is told beside."""

    release: Release
    folder: str
    words: str
    make_words: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return CACHE / self.folder / "micropython"


FIRST = "first"
BUILDS = {
    FIRST: Build(OLDEST, "1.25.0", "1.25.0"),
    # MICROPY_FORCE_32BIT is no longer heard by 1.25: the compiler is told itself.
    "32": Build(
        OLDEST, "1.25.0-32", "1.25.0 with 32-bit words",
        ("CFLAGS_EXTRA=-m32 -DMICROPY_FLOAT_IMPL=MICROPY_FLOAT_IMPL_FLOAT", "LDFLAGS_EXTRA=-m32"),
    ),
    "newest": Build(NEWEST, "1.26.1", "1.26.1"),
}  # fmt: skip


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
    """A first interpreter that is there already: named, installed, or kept from an earlier set-up."""
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
    return kept(FIRST)


def kept(name: str) -> Path | None:
    """What was built by an earlier set-up and is still what it should be."""
    build = BUILDS[name]
    version = version_of(build.path)
    if version is None or ".".join(map(str, version)) != build.release.version:
        return None
    return build.path if name != "32" or run(str(build.path), "-c", PROBE_32) == "True\n" else None


def there(name: str) -> Path | None:
    """An interpreter that needs no further work."""
    return installed() if name == FIRST else kept(name)


def has_32() -> bool:
    """Whether a 32-bit build can be had here."""
    return platform.machine() == "x86_64"


def is_32_required() -> bool:
    """Whether its absence is an error: where it can be had, and in CI everywhere."""
    return has_32() or bool(os.environ.get("CI"))


def wanted_for_tests() -> tuple[str, ...]:
    """The interpreters that the suite runs on here."""
    return tuple(name for name in BUILDS if name != "32" or is_32_required())


def lacks(*names: str) -> tuple[str, ...]:
    """System packages that `obtain_all` of these needs and this machine lacks."""
    missing = [name for name in names or (FIRST,) if there(name) is None]
    wanted = BUILD_PACKAGES | (PACKAGES_32 if "32" in missing and has_32() else {})
    tools = tuple(package for package, sign in wanted.items() if not is_there(sign))
    if missing != [FIRST]:
        # The others are built anyway, so the first is too.
        return tools if missing else ()
    if packages.may_install():
        packages.refresh()
    offered = packages.candidate("micropython")
    # Where nothing can be installed but everything to build with is there, building asks for nobody's help.
    is_offered = offered is not None and offered >= VERSION_FLOOR
    return ("micropython",) if is_offered and (packages.may_install() or tools) else tools


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


def unpack_source(scratch: Path, release: Release = OLDEST) -> Path:
    """The pinned source, checked and unpacked below `scratch`, an empty folder. Raises Unobtainable."""
    # Without Debian's keys (Ubuntu) the index goes unchecked, and on a mirror that lags it may be past its date; every
    # file that is used is pinned.
    option = f"signed-by={KEYRING}" if Path(KEYRING).exists() else "trusted=yes"
    lines = (f"deb-src [{option} check-valid-until=no] {mirror()} {suite} main\n" for suite in release.suites)
    env = packages.private_index(scratch, "".join(lines))
    if release.package.partition("=")[2] not in run("apt-cache", "showsrc", "micropython", cwd=scratch, env=env):
        raise Unobtainable(
            f"Debian {' and '.join(release.suites)} have {release.package} no more: enter version and SHA-256 of the "
            "one they have in tools/setup/interpreter.py"
        )
    run("apt-get", "source", "-q", "--download-only", release.package, cwd=scratch, env=env)
    for name, pinned in release.sha256.items():
        if hashlib.sha256((scratch / name).read_bytes()).hexdigest() != pinned:
            raise Unobtainable(f"{name}: SHA-256 is not the pinned one; the source is not to be trusted")
    # --no-check: the signature on the .dsc is not asked for, it and its two tarballs have just been checked.
    run("dpkg-source", "--no-check", "-x", next(iter(release.sha256)), "source", cwd=scratch)
    return scratch / "source"


def build_all(*names: str) -> None:
    """Build unix ports, half a minute each on two cores; those of one release share its source. Raises Unobtainable."""
    for release in (OLDEST, NEWEST):
        builds = [BUILDS[name] for name in names if BUILDS[name].release is release]
        if not builds:
            continue
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch_name:
            source = unpack_source(Path(scratch_name), release)
            for build in builds:
                say(f"building MicroPython {build.words} (unix port) from Debian's source package, about half a minute")
                folder = f"build-{build.folder}"
                run("make", "-C", "ports/unix", "-j2", f"BUILD={folder}", *MAKE_WORDS, *build.make_words, cwd=source)
                build.path.parent.mkdir(exist_ok=True)
                # Renamed into place, so that an interrupted set-up leaves no half a file.
                new = build.path.with_suffix(".new")
                shutil.copy2(source / "ports/unix" / folder / "micropython", new)
                new.replace(build.path)


def obtain_all(*names: str) -> tuple[Path, ...]:
    """Paths of these interpreters; system packages they lack are installed. Raises Unobtainable."""
    if "32" in names and not has_32():
        raise Unobtainable(
            f"a build with 32-bit words needs an amd64 machine, for its gcc-multilib; this one is {platform.machine()}"
        )
    found = [there(name) for name in names]
    if None in found:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "setup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
            missing = lacks(*names)
            if missing:
                packages.install(*missing)
            build_all(*(name for name in names if there(name) is None))
        found = [there(name) for name in names]
    paths = tuple(path for path in found if path is not None)
    if len(paths) < len(names):
        failed = BUILDS[names[found.index(None)]].path
        raise Unobtainable(f"{failed}: built, but does not run here as needed; try it by hand")
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", choices=tuple(BUILDS), default=FIRST, help="default: first, the one of the demo")
    parser.add_argument("--print", action="store_true", help="print the path (default: path and version)")
    parser.add_argument("--remark", action="store_true", help="only say in a line that 32-bit tests do not run here")
    args = parser.parse_args()
    if args.remark:
        if not is_32_required():
            print(NOT_RUN)
        return 0
    try:
        (path,) = obtain_all(args.build)
    except Unobtainable as reason:
        print(f"MicroPython: {reason}", file=sys.stderr)
        return 3
    version = ".".join(str(part) for part in version_of(path) or ())
    print(path if args.print else f"{path} {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
