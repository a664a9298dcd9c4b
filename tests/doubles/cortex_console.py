"""An emulated Cortex-M whose console is a tty, as a board's is, with a file system on it that takes what is flashed.

The REPL, the interpreter and the line are real; the file system is not: this port has none that can be written, so one
of our own in the part's memory is mounted at /. It does not imitate flash: no wear, no block size, gone with the part.
"""

from __future__ import annotations

import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

from tools.cortex.images import Images, find_images
from tools.cortex.machine import MOUNT, ROM_ADDRESS, Machine
from tools.cortex.rom import build_rom

READY_S = 20.0
DISK = Path(__file__).resolve().parent / "part_disk.py"


class CortexConsole:
    """`port`: the tty of its console, from `with` to its end."""

    def __init__(self, core: str = "m3") -> None:
        images: Images = find_images()
        self._scratch = tempfile.TemporaryDirectory()
        rom = Path(self._scratch.name) / "rom.img"
        content = build_rom(images)
        rom.write_bytes(content)
        self.mount = MOUNT.format(address=ROM_ADDRESS, size=len(content))  # code that brings the program's files
        words = Machine(images, content, core)._command(rom)
        words[words.index("stdio,id=console,signal=off")] = "pty,id=console"
        self._child = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        self.port = self._find_port()

    def __enter__(self) -> CortexConsole:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._scratch.cleanup()

    def _find_port(self) -> str:
        """QEMU says where it has put the console."""
        assert self._child.stdout is not None
        said = b""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if select.select([self._child.stdout], [], [], 0.2)[0]:
                said += self._child.stdout.read1(4096)  # type: ignore[attr-defined]
            found = re.search(rb"(/dev/pts/\d+)", said)
            if found:
                time.sleep(0.5)  # what comes before the image listens is lost (board/modmps2.c)
                return found[1].decode()
        raise AssertionError(said)
