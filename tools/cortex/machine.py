"""QEMU with our image, driven over its console by MicroPython's raw REPL.

    with Machine(images, rom) as machine:
        print(machine.run("print(6 * 7)"))

A line is the path of a tty that exists, or None for one that leads nowhere. Counted: `-icount shift=0`, an instruction
takes 1 ns of virtual time whatever the host does, and the same program takes the same number at each start. Not
counted: virtual time is the host's, for talking to real peers.

Semihosting gives the program on the part this user's files, as a process has them: only firmware of ours runs here.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.cortex.images import Images

QEMU = "qemu-system-arm"
ROM_ADDRESS = 0x2100_0000  # PSRAM of the MPS2; its upper half is the flash region (board/modmps2.c)
ROM_MAX_BYTES = 8 << 20
START_S = 20.0
READ_BYTES = 4096
MOUNT = """import sys,uctypes,vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({address},{size})),'/rom')
sys.path[:]=['.frozen','/rom']
del uctypes,vfs
"""


class MachineError(Exception):
    """QEMU did not start, died or did not answer in time; one line with its last words."""


class GuestError(Exception):
    """The program on the machine ended by an exception; the text is its traceback."""


class Machine:
    """One emulated part, running from `start` until `stop`. `console`: what it has printed and nobody has taken."""

    def __init__(
        self,
        images: Images,
        rom: bytes,
        core: str = "m3",
        lines: tuple[Path | None, ...] = (None, None),
        *,
        is_counted: bool = False,
        folder: Path | None = None,
    ) -> None:
        """lines: bus and uplink; folder: where the part's relative paths begin."""
        if len(rom) > ROM_MAX_BYTES:
            raise MachineError(f"ROM file system of {len(rom)} bytes; the region has {ROM_MAX_BYTES}")
        self._images = images
        self._rom = rom
        self._core = core
        self._lines = lines
        self._is_counted = is_counted
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.console = bytearray()

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Boot to the raw REPL and mount /rom. Raises MachineError."""
        self._scratch = tempfile.TemporaryDirectory()
        rom_path = Path(self._scratch.name) / "rom.img"
        rom_path.write_bytes(self._rom)
        self._child = subprocess.Popen(
            self._command(rom_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            umask=0o077,  # files that the part makes are the module's own: a private key among them
        )
        assert self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)
        try:
            self._take_until(b">>> ", START_S)  # what comes before the image listens is lost (board/modmps2.c)
            self._send(b"\x01")
            self._take_until(b"raw REPL; CTRL-B to exit\r\n>", START_S)
            self.run(MOUNT.format(address=ROM_ADDRESS, size=len(self._rom)), START_S)
        except (MachineError, GuestError):
            self.stop()
            raise

    def stop(self) -> None:
        """The power goes: nothing is finished."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            self._child = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def run(self, code: str, timeout_s: float = 60.0) -> str:
        """Run code to its end; what it printed. Raises GuestError, MachineError."""
        return "".join(f"{line}\n" for line in self.run_lines(code, timeout_s))

    def run_lines(self, code: str, timeout_s: float | None = None) -> Iterator[str]:
        """Run code; each line as it is printed. `timeout_s` without an end is a MachineError; None: for ever."""
        self._send(code.encode() + b"\x04")
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._take_until(b"OK", START_S)
        while True:
            found = self._find((b"\n", b"\x04"), deadline_s)
            text = self._take(found + 1)
            if text.endswith(b"\x04"):
                if len(text) > 1:
                    yield text[:-1].decode(errors="replace").rstrip("\r")
                break
            yield text.decode(errors="replace").rstrip("\r\n")
        trouble = self._take_until(b"\x04>", START_S).decode(errors="replace")
        if trouble:
            raise GuestError(trouble.replace("\r\n", "\n").strip())

    def _command(self, rom_path: Path) -> list[str]:
        words = ["setpriv", "--pdeathsig", "KILL", QEMU]  # no part outlives whoever runs it
        words += ["-machine", "mps2-an385", "-display", "none", "-monitor", "none", "-nodefaults", "-nic", "none"]
        words += ["-semihosting-config", "enable=on,target=native", "-kernel", str(self._images.elf(self._core))]
        words += ["-device", f"loader,file={rom_path},addr={ROM_ADDRESS:#x},force-raw=on"]
        words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        for name, path in zip(("bus", "uplink"), self._lines, strict=True):
            kind = "null" if path is None else "serial"
            where = "" if path is None else f",path={os.path.realpath(path)}"
            words += ["-chardev", f"{kind},id={name}{where}", "-serial", f"chardev:{name}"]
        return words + (["-icount", "shift=0"] if self._is_counted else [])

    def _send(self, raw: bytes) -> None:
        assert self._child is not None and self._child.stdin is not None
        try:
            self._child.stdin.write(raw)
            self._child.stdin.flush()
        except BrokenPipeError:
            raise MachineError(self._last_words()) from None

    def _take_until(self, end: bytes, timeout_s: float) -> bytes:
        deadline_s = time.monotonic() + timeout_s
        return self._take(self._find((end,), deadline_s) + len(end))[: -len(end)]

    def _take(self, count: int) -> bytes:
        taken = bytes(self.console[:count])
        del self.console[:count]
        return taken

    def _find(self, ends: tuple[bytes, ...], deadline_s: float | None) -> int:
        """Where the first of `ends` begins; reads until there is one."""
        assert self._child is not None and self._child.stdout is not None
        while True:
            places = [place for end in ends if (place := self.console.find(end)) >= 0]
            if places:
                return min(places)
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise MachineError(f"the emulated part did not answer in time; last: {self._last_words()}")
            ready, _, _ = select.select([self._child.stdout], [], [], left_s)
            if ready:
                piece = os.read(self._child.stdout.fileno(), READ_BYTES)
                if not piece:
                    raise MachineError(self._last_words())
                self.console += piece

    def _last_words(self) -> str:
        lines = self.console.decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "QEMU ended without a word"
