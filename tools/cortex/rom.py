"""The ROM file system that the emulated part holds: the firmware's files compiled by mpy-cross of the pinned release.

MicroPython runs bytecode in place from there (ROMFS, since 1.25), so that it costs the heap what frozen code does, and
the interpreter's image need not be made anew for each change of the firmware.
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
PART_SIDE = Path(__file__).resolve().parent / "part_side"
BOARD_FILES = ("boards/__init__.py", "boards/cortex_mps2.py")  # the others are for other boards
FOLDERS = ("acq", "acqwire")
RELEASE = "-O3"  # of a production image: neither asserts nor line numbers
TESTING = "-O0"


class RomError(Exception):
    """A file that mpy-cross refuses; one line."""


def firmware_files() -> dict[str, Path]:
    """Path in the ROM file system: source, of what runs on this board."""
    sources = [FIRMWARE / "main.py", *(FIRMWARE / name for name in BOARD_FILES)]
    for folder in FOLDERS:
        sources += (FIRMWARE / folder).rglob("*.py")
    return {path.relative_to(FIRMWARE).as_posix(): path for path in sources}


def add_part_side(files: dict[str, Path]) -> dict[str, Path]:
    """With the programs of part_side/ at the root."""
    return files | {path.name: path for path in PART_SIDE.glob("*.py")}


def build_rom(images: Path, files: dict[str, Path], optimisation: str = RELEASE) -> bytes:
    """A ROM file system of `files`, each .py as its .mpy. Raises RomError."""
    writer = _writer(images).VfsRomWriter()
    with tempfile.TemporaryDirectory() as scratch_name:
        compiled = Path(scratch_name) / "out.mpy"
        tree: dict[str, bytes] = {}
        for name, source in files.items():
            if source.suffix != ".py":
                tree[name] = source.read_bytes()
                continue
            command = [images / "mpy-cross", optimisation, "-s", name, "-o", compiled, source]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise RomError(f"{source}: {answer.stderr.strip().splitlines()[-1]}")
            tree[name.removesuffix(".py") + ".mpy"] = compiled.read_bytes()
    _write(writer, sorted(tree.items()), "")
    return bytes(writer.finalise())


def _write(writer: object, entries: Iterable[tuple[str, bytes]], prefix: str) -> None:
    folders: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in entries:
        rest = name.removeprefix(prefix)
        if "/" in rest:
            folders.setdefault(rest.partition("/")[0], []).append((name, content))
        else:
            writer.mkfile(rest, content)  # type: ignore[attr-defined]
    for folder, inside in folders.items():
        writer.opendir(folder)  # type: ignore[attr-defined]
        _write(writer, inside, f"{prefix}{folder}/")
        writer.closedir()  # type: ignore[attr-defined]


def _writer(images: Path) -> ModuleType:
    """romfs.py of the same MicroPython."""
    spec = importlib.util.spec_from_file_location("romfs", images / "romfs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
