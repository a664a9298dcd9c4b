"""The real interpreters that the module is judged on: a missing one is an error, not a skip.

`first`: the one of the demo, with the words of this machine. `32`: the oldest release (1.25) with the words and floats
of a board. `newest`: the newest release that the package sources give.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

SET_UP = Path(__file__).parents[2] / "tools" / "setup" / "interpreter.py"
BUILDS = ("first", "32", "newest")


@functools.cache
def find(build: str) -> str:
    """Path of one. Skips only for the 32-bit one, outside CI, on machines that cannot have it: set-up's own remark."""
    if build == "32":
        remark = _ask("--remark").stdout.strip()
        if remark:
            pytest.skip(remark)
    found = _ask("--print", "--build", build)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SET_UP), *words], capture_output=True, text=True, check=False)
