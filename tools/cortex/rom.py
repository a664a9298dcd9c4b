"""The ROM file system beside the image: the firmware's sources, which the module hashes into its boot record, and
programs that only tests and benches run, compiled by mpy-cross of the same release.

All boards' files are there, as in every module's directory: one release has one firmware hash.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tools.cortex.images import FIRMWARE, FOLDERS, Images

PART_SIDE = Path(__file__).resolve().parent / "part_side"


class RomError(Exception):
    """A file that mpy-cross refuses; one line."""


def part_side() -> dict[str, Path]:
    """Programs of tools/cortex/part_side, by their name at the root."""
    return {path.name: path for path in sorted(PART_SIDE.glob("*.py"))}


def build_rom(images: Images, programs: dict[str, Path] | None = None) -> bytes:
    """The firmware's sources as they are below firmware/; `programs` compiled at the root. Raises RomError."""
    sources = [FIRMWARE / "main.py"]
    for folder in FOLDERS:
        sources += (FIRMWARE / folder).rglob("*.py")
    tree = {f"firmware/{path.relative_to(FIRMWARE).as_posix()}": path.read_bytes() for path in sources}
    with tempfile.TemporaryDirectory() as scratch_name:
        compiled = Path(scratch_name) / "out.mpy"
        for name, source in (programs or {}).items():
            command = [images.mpy_cross, "-s", name, "-o", compiled, source]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise RomError(f"{source}: {answer.stderr.strip().splitlines()[-1]}")
            tree[name.removesuffix(".py") + ".mpy"] = compiled.read_bytes()
    writer = images.romfs.VfsRomWriter()
    _write(writer, sorted(tree.items()), "")
    return bytes(writer.finalise())


def _write(writer: Any, entries: list[tuple[str, bytes]], prefix: str) -> None:
    folders: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in entries:
        rest = name.removeprefix(prefix)
        if "/" in rest:
            folders.setdefault(rest.partition("/")[0], []).append((name, content))
        else:
            writer.mkfile(rest, content)
    for folder, inside in folders.items():
        writer.opendir(folder)
        _write(writer, inside, f"{prefix}{folder}/")
        writer.closedir()
