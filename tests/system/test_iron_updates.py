"""The update store of boards on MicroPython's own LittleFS: power cuts in every write of an update, room, trials that
end or hang (iron_updates_run.py). The file system is the real part; the flash below it is memory.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.system.interpreters import BUILDS, find

ROOT = Path(__file__).parents[2]


def run(build: str, *words: object) -> str:
    script = str(ROOT / "tests/system/iron_updates_run.py")
    done = subprocess.run(
        [find(build), "-X", "heapsize=8m", script, str(ROOT), *map(str, words)],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("build", "first", "step", "prefixes"), [
    ("first", 0, 1, (100,)), ("32", 0, 4, (0,)), ("newest", 2, 4, (256,)),
])  # fmt: skip
def test_power_may_fail_in_every_write(build, first, step, prefixes):
    said = run(build, "cut", first, step, *prefixes)
    writes, cases, old, new = map(int, re.findall(r"\d+", said))
    assert writes > 40 and cases == len(range(first, writes, step)) == old + new and old and new, said


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("case", ["full", "resets", "starts"])
def test_room_and_trials(build, case):
    assert run(build, case)
