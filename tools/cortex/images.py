"""Images with the firmware frozen in: what a production board runs. Made in seconds from the set-up's compiled port.

Kept below the set-up's folder under a hash of the firmware's files, the few that were used last. MicroPython's bytecode
then lies in the image, so that the heap holds what a module's heap holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
FIRMWARE = CHECKOUT / "firmware"
SETUP = CHECKOUT / "tools" / "setup"
CORES = ("m3", "m0")
FOLDERS = ("acq", "acqwire", "boards")
OTHER_BOARDS = "host"  # files whose names begin so need a computer's modules
KEPT = 4  # sets of images
OPTIMISATION = 3  # of a production image: neither asserts nor line numbers


class ImagesError(Exception):
    """No image can be had; one line."""


@dataclass(frozen=True, slots=True)
class Images:
    """`elf(core)`, `mpy_cross`, `romfs` (MicroPython's writer of ROM file systems), `micropython` and `compiler`."""

    folder: Path
    source: Path
    micropython: str
    compiler: str

    def elf(self, core: str) -> Path:
        return self.folder / f"{core}.elf"

    @property
    def mpy_cross(self) -> Path:
        return self.source / "mpy-cross/build/mpy-cross"

    @property
    def romfs(self) -> ModuleType:
        return _load("romfs", self.source / "tools/mpremote/mpremote/romfs.py")


def firmware_files() -> dict[str, Path]:
    """Path below the module's root: source, of what runs on this board."""
    sources = [FIRMWARE / "main.py"]
    for folder in FOLDERS:
        sources += (path for path in (FIRMWARE / folder).rglob("*.py") if not path.name.startswith(OTHER_BOARDS))
    return {path.relative_to(FIRMWARE).as_posix(): path for path in sorted(sources)}


def find_images() -> Images:
    """Images of the firmware as it is in this checkout, made if need be. Raises ImagesError."""
    found = subprocess.run(
        [sys.executable, str(SETUP / "cortex.py"), "--print"], stdout=subprocess.PIPE, text=True, check=False
    )
    if found.returncode:
        raise ImagesError("the QEMU port could not be made; the line above says why")
    base = Path(found.stdout.strip())
    facts = json.loads((base / "built.json").read_text())
    files = firmware_files()
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    folder = base / "frozen" / digest.hexdigest()[:16]
    with (base / "frozen.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns in one tree
        if not folder.exists():
            _freeze(base / "source", facts, list(files), folder)
        folder.touch()
    return Images(folder, base / "source", facts["micropython"], facts["compiler"])


def _freeze(source: Path, facts: dict[str, Any], names: list[str], target: Path) -> None:
    (source / facts["manifest"]).write_text(f"freeze({str(FIRMWARE)!r}, {tuple(names)!r}, opt={OPTIMISATION})\n")
    new = target.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for core in CORES:
        make = subprocess.run(facts["make"][core], cwd=source, capture_output=True, text=True, check=False)
        if make.returncode:
            tail = " | ".join((make.stderr or make.stdout).strip().splitlines()[-3:])
            raise ImagesError(f"freezing the firmware for {core}: {tail}")
        shutil.copy2(source / facts["images"][core], new / f"{core}.elf")
    new.replace(target)  # an interrupted run leaves no half a set
    for old in sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
