"""firmware/main.py on CPython, where a fault of the program can be had at will: it is noted, and the process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from acqwire import causes

from tests.doubles.module_rig import ModuleRig

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
BREAK = """
import sys
sys.path.insert(0, {firmware!r})
import acq.app
import main

def step(self):
    raise {fault}

acq.app.App.step = step
sys.exit(main.main(["main.py", {folder!r}]))
"""


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("RuntimeError('unknown')", causes.FAULT_PROGRAM),
        ("MemoryError()", causes.FAULT_MEMORY),
        ("__import__('acq.faults').faults.JournalError(10)", causes.FAULT_FLASH_IO),
        ("__import__('acq.faults').faults.SignerFault()", causes.FAULT_SIGNER),
    ],
)
def test_an_unknown_fault_is_noted_and_ends_the_process(tmp_path, fault, code):
    rig = ModuleRig(tmp_path, sys.executable)
    try:
        script = BREAK.format(firmware=str(FIRMWARE), fault=fault, folder=str(rig.folder))
        for count in (1, 2):
            ended = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False, env=os.environ
            )
            assert ended.returncode == 1 and ended.stdout == "ready\n" and "Traceback" in ended.stderr
            assert (rig.folder / "fault.bin").read_text() == f"{code} {count} 1 0"  # before its first second
    finally:
        rig.close()
