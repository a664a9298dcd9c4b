"""The board files against the type stubs of their ports: names, arguments and types that MicroPython 1.25 has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "firmware" / "boards"
SHARED = (
    "iron", "iron_choice", "iron_entropy", "iron_i2c", "iron_inputs", "iron_start", "iron_updates", "notes",
    "notes_start", "uart_bus", "ads1115", "block_flash", "update_folder",
)  # fmt: skip
OWN = {"esp32": "esp32_*.py", "rp2": "rp2_*.py", "stm32": "s[tp]*.py"}  # stm32: stm32_pyboard, spi_nor
SETTINGS = """[mypy]
python_version = 3.11
follow_imports = silent
check_untyped_defs = true
"""


@pytest.fixture(scope="module")
def stubs():
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools/setup/stubs.py"), "--print"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return Path(run.stdout.strip())


def findings(stubs: Path, port: str, scratch: Path, files: list[Path]) -> list[str]:
    """What mypy says of these files; what it says of the stubs themselves is not ours."""
    (scratch / "mypy.ini").write_text(SETTINGS)
    path = os.pathsep.join(str(place) for place in (stubs / port, stubs / "stdlib", ROOT / "firmware"))
    words = [sys.executable, "-m", "mypy", "--config-file", str(scratch / "mypy.ini"), "--no-error-summary"]
    words += ["--cache-dir", str(scratch / "cache"), "--custom-typeshed-dir", str(stubs / "stdlib")]
    run = subprocess.run(
        [*words, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": path},
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    names = tuple(os.path.relpath(file, ROOT) for file in files) + tuple(map(str, files))
    return [line for line in run.stdout.splitlines() if line.startswith(names) and ": error:" in line]


@pytest.mark.parametrize("port", OWN)
def test_a_board_uses_what_its_port_has(stubs, port, tmp_path):
    own = sorted(BOARDS.glob(OWN[port]))
    assert own
    spoiled = tmp_path / "spoiled.py"  # the same run must find these, or it looks at nothing
    spoiled.write_text(
        "import machine\nuart = machine.UART(1, baudrate=9600)\nuart.no_such_method()\nmachine.WDT(timeout='long')\n"
    )
    found = findings(stubs, port, tmp_path, [*(BOARDS / f"{name}.py" for name in SHARED), *own, spoiled])
    assert [line for line in found if "spoiled.py" not in line] == []
    assert len([line for line in found if "spoiled.py" in line]) == 2


def test_every_board_file_of_hardware_is_looked_at():
    looked = set(SHARED) | {path.stem for pattern in OWN.values() for path in BOARDS.glob(pattern)}
    there = {path.stem for path in BOARDS.glob("*.py") if not path.stem.startswith(("host", "cortex", "__", "loader"))}
    assert there == looked
