"""Every file of tests/firmware on the real MicroPython interpreters (interpreters.py) with a heap of 128 KiB of 32-bit
words (`128wk`: that many words of 4 bytes, so 128 KiB on the 32-bit build and twice the bytes for 64-bit words).

Files named *_vectors get 4 MiB: the JSON of the published vectors alone is larger than a module's heap. Files that run
a whole module get 1 MiB: its gateway, flash and analyzers live in the same heap (the module alone: test_module_heap).

A missing interpreter fails here: the module is judged on what it runs on.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.system.interpreters import BUILDS, find

ROOT = Path(__file__).parents[2]
FILES = sorted(path.stem for path in (ROOT / "tests" / "firmware").glob("test_*.py"))
WHOLE = {
    "test_native_signer": "1m",
    "test_life": "1m",
    "test_atecc": "1m",
    "test_atecc_app": "1m",
    "test_atecc_faults": "1m",
    "test_atecc_start": "1m",
    "test_allocation": "1m",
    "test_quiet_flash": "1m",
    "test_journal_power": "1m",  # images of the flash to go back to
    "test_app": "1m",
    "test_boards": "1m",
    "test_boards_module": "4m",
    "test_boards_start": "1m",
    "test_app_heap": "1m",
    "test_board_inputs": "1m",
    "test_inputs": "1m",
    "test_calibration": "1m",
    "test_health": "1m",
    "test_heartbeat": "1m",
    "test_link": "1m",
    "test_update": "1m",
    "test_update_power": "1m",
    "test_update_app": "1m",
}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("name", FILES)
def test_firmware_file(build: str, name: str) -> None:
    heap = "4m" if name.endswith("_vectors") else WHOLE.get(name, "128wk")
    run = subprocess.run(
        [find(build), "-X", f"heapsize={heap}", str(ROOT / "tests/firmware/mini_unittest.py"), str(ROOT), name],
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


def ask(build: str, expression: str) -> object:
    words = [find(build), "-c", f"import json,struct,sys;print(json.dumps({expression}))"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout)


def test_one_counts_as_boards_do() -> None:
    """Small integers of 31 bits and floats of 24 (single precision), which pass bit patterns unchanged (object model
    A). A flag of the build that is ignored would leave double precision and long words behind, and nobody would see."""
    assert ask("32", "sys.maxsize") == 2**31 - 1
    assert ask("32", "[16777217 * 1.0 == 16777216.0, 16777215 * 1.0 == 16777214.0]") == [True, False]
    pattern = "bytes((1, 0, 128, 63))"
    assert ask("32", f"struct.pack('<f', struct.unpack('<f', {pattern})[0]) == {pattern}") is True


def test_the_newest_is_newer_than_the_oldest() -> None:
    version = "list(sys.implementation[1][:3])"
    assert ask("32", version) == [1, 25, 0]
    assert ask("newest", version) > [1, 25, 0]
