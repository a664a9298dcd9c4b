"""The emulated board's bus takes what has arrived, as many bytes as fit, and leaves the rest: on both interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import tty
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = """
import select, sys
sys.path.insert(0, sys.argv[1])
from boards.host_clock import HostClock
from boards.host_tty import HostBus, Tty
bus = HostBus(Tty(sys.argv[2], HostClock(), select.poll()))
buf = bytearray(8)
print("ready", bus.receive(buf, 0))
if hasattr(sys.stdout, "flush"):
    sys.stdout.flush()
sys.stdin.readline()
print(bus.receive(buf, 0), bytes(buf))
print(bus.receive(buf, 5), bytes(buf))
print(bus.receive(buf, 8), bytes(buf))
print(bus.drain(), bus.drain())
"""


@pytest.mark.parametrize("interpreter", ["micropython", "cpython"])
def test_receive_takes_what_fits(interpreter, micropython, tmp_path):
    command = micropython if interpreter == "micropython" else sys.executable
    near, far = os.openpty()
    tty.setraw(far)
    script = tmp_path / "receive.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [command, str(script), str(FIRMWARE), os.ttyname(far)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready 0\n"
        os.write(near, b"abcdefghijklmnopqrst")
        child.stdin.write("\n")
        child.stdin.flush()
        lines = child.stdout.read().splitlines()
    os.close(near)
    os.close(far)
    assert lines == ["8 b'abcdefgh'", "3 b'abcdeijk'", "0 b'abcdeijk'", "9 0"]
    assert child.returncode == 0
