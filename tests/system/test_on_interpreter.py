"""Every file of tests/firmware on the real MicroPython interpreter with the module's heap of 128 KiB.

Files named *_vectors get 4 MiB: the JSON of the published vectors alone is larger than a module's heap. Files that run
a whole module get 1 MiB: its gateway, flash and analyzers live in the same heap (the module alone: test_module_heap).

A missing interpreter fails here: the module is judged on what it runs on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path.stem for path in (ROOT / "tests" / "firmware").glob("test_*.py"))
WHOLE = {
    "test_native_signer": "1m",
    "test_atecc": "1m",
    "test_atecc_app": "1m",
    "test_atecc_faults": "1m",
    "test_atecc_start": "1m",
    "test_app": "1m",
    "test_app_heap": "1m",
    "test_link": "1m",
    "test_update": "1m",
    "test_update_power": "1m",
    "test_update_app": "1m",
}


@pytest.fixture(scope="session")
def micropython() -> str:
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup" / "interpreter.py"), "--print"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.mark.parametrize("name", FILES)
def test_firmware_file(micropython: str, name: str) -> None:
    heap = "4m" if name.endswith("_vectors") else WHOLE.get(name, "128k")
    run = subprocess.run(
        [micropython, "-X", f"heapsize={heap}", str(ROOT / "tests/firmware/mini_unittest.py"), str(ROOT), name],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    lines = run.stdout.strip().splitlines()
    if run.returncode == 5 and lines[0].startswith("skipped"):
        pytest.skip(lines[0])  # every test of the file: what they need lies outside the checkout
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert " 0 failed" in lines[-1] and not lines[-1].startswith("0 passed"), lines[-1]


def test_there_is_something_to_run() -> None:
    assert len(FILES) >= 2
