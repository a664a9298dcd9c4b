"""Where the images are: asked of the set-up, which builds them once and is no package to be imported from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parents[1] / "setup" / "cortex.py"


class ImagesError(Exception):
    """No image can be had; the set-up's own line."""


def find_images() -> Path:
    """The folder with m3.elf, m0.elf, mpy-cross and romfs.py, built if need be. Raises ImagesError."""
    found = subprocess.run([sys.executable, str(SETUP), "--print"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise ImagesError("the images could not be made; the line above says why")
    return Path(found.stdout.strip())


def facts_of(images: Path) -> dict[str, str]:
    """Versions the images were made with: `micropython`, `compiler`."""
    facts: dict[str, str] = json.loads((images / "built.json").read_text())
    return facts
